/* objects/condition.h: conditional requests (RFC 9110 section 13), judged by two validators
 *
 * Threads: any.
 */
#ifndef TN_OBJECTS_CONDITION_H
#define TN_OBJECTS_CONDITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

/* What the client says; each may be NULL. */
typedef struct tn_conditions {
    const char *if_match, *if_none_match, *if_modified_since, *if_unmodified_since;
} tn_conditions;

typedef enum tn_verdict {
    TN_VERDICT_GO_ON,
    TN_VERDICT_NOT_MODIFIED, /* 304 for GET and HEAD, else 412 */
    TN_VERDICT_FAILED        /* 412 */
} tn_verdict;

/* In the order of section 13.2.2; times in whole seconds. `etag` is strong, with its quotes. A time
 * that cannot be read is no condition. */
tn_verdict tn_conditions_judge(const tn_conditions *conditions, const char *etag,
                               int64_t modified_s) TN_MUST_CHECK;

/* Whether the range that is asked for may be sent (If-Range, section 13.1.5; NULL: yes). */
bool tn_if_range_holds(const char *if_range, const char *etag, int64_t modified_s) TN_MUST_CHECK;

/* "Sat, 21 Nov 2026 19:48:00 GMT", and back from all three forms of section 5.6.7; -1: none. */
#define TN_HTTP_DATE_SIZE 32
void tn_http_date(int64_t seconds, char text[TN_HTTP_DATE_SIZE]);
int64_t tn_http_date_read(const char *text) TN_MUST_CHECK;

#endif
