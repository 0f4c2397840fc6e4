/* data/prefer.h: the Prefer header (RFC 7240) as the data API reads it
 *
 * Preferences that are not known are ignored, unless `handling=strict` (400 PGRST122). Per
 * preference the first recognised value counts.
 *
 * Threads: any.
 */
#ifndef TN_DATA_PREFER_H
#define TN_DATA_PREFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/request.h"

typedef enum tn_prefer_return {
    TN_RETURN_DEFAULT, /* as minimal, but not echoed */
    TN_RETURN_MINIMAL,
    TN_RETURN_HEADERS_ONLY,
    TN_RETURN_REPRESENTATION
} tn_prefer_return;
typedef enum tn_prefer_count {
    TN_COUNT_NONE,
    TN_COUNT_EXACT,
    TN_COUNT_PLANNED,
    TN_COUNT_ESTIMATED
} tn_prefer_count;
typedef enum tn_prefer_resolution {
    TN_RESOLUTION_NONE,
    TN_RESOLUTION_MERGE,
    TN_RESOLUTION_IGNORE
} tn_prefer_resolution;
typedef enum tn_prefer_missing {
    TN_MISSING_UNSET,
    TN_MISSING_DEFAULT,
    TN_MISSING_NULL
} tn_prefer_missing;
typedef enum tn_prefer_tx { TN_TX_UNSET, TN_TX_COMMIT, TN_TX_ROLLBACK } tn_prefer_tx;
typedef enum tn_prefer_handling {
    TN_HANDLING_UNSET,
    TN_HANDLING_LENIENT,
    TN_HANDLING_STRICT
} tn_prefer_handling;

typedef struct tn_prefer {
    tn_prefer_return returning;
    tn_prefer_count count;
    tn_prefer_resolution resolution;
    tn_prefer_missing missing;
    tn_prefer_tx tx;
    tn_prefer_handling handling;
    const char *time_zone; /* NULL: none; whether it exists is the caller's to check */
    bool single_object;    /* params=single-object */
    bool has_max_affected; /* counts only with TN_HANDLING_STRICT */
    int64_t max_affected;
    const char *unknown; /* what was not understood, comma-joined as in the message of PGRST122;
                            NULL: nothing. The caller refuses it when handling is strict */
} tn_prefer;

/* Reads all Prefer header fields of the request (nginx joins several with ", "). Cannot fail:
 * see `unknown`. */
void tn_prefer_parse(tn_arena *arena, const char *header, tn_prefer *prefer);

/* 400 PGRST122 when handling is strict and something was not understood. */
const tn_error *tn_prefer_check(tn_arena *arena, const tn_prefer *prefer) TN_MUST_CHECK;

/* The value of Preference-Applied in its fixed order (resolution, missing, return, params, count,
 * tx, handling, timezone, max-affected), or NULL when there is nothing to say. `applied` is what
 * the request's kind makes effective: the caller clears the members that were not. */
const char *tn_prefer_applied(tn_arena *arena, const tn_prefer *applied);

#endif
