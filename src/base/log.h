/* base/log.h: one JSON line per event, on standard error or in the configured file
 *
 * An event is a dotted name and typed fields, no prose built from values:
 *     tn_log(TN_LOG_WARN, "db.connection.lost", TN_STR("host", host), TN_INT("ms", ms));
 * Field values are never secrets and never content of messages. Each line is one write(2), so lines
 * of several processes do not mix. In a line that would pass 8 KiB the longest texts are cut.
 *
 * Threads: any, after tn_log_open(). Errors: a line that cannot be written is dropped and counted.
 */
#ifndef TN_BASE_LOG_H
#define TN_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

typedef enum tn_log_level { TN_LOG_DEBUG, TN_LOG_INFO, TN_LOG_WARN, TN_LOG_ERROR } tn_log_level;

typedef struct tn_log_field {
    const char *name; /* NULL ends the list */
    enum { TN_LOG_TEXT, TN_LOG_NUMBER, TN_LOG_REAL, TN_LOG_BOOL } type;
    const char *text; /* NULL is written as null */
    int64_t number;
    double real;
} tn_log_field;

#define TN_STR(field, value) ((tn_log_field){.name = (field), .type = TN_LOG_TEXT, .text = (value)})
#define TN_INT(field, value) \
    ((tn_log_field){.name = (field), .type = TN_LOG_NUMBER, .number = (int64_t)(value)})
#define TN_REAL(field, value) \
    ((tn_log_field){.name = (field), .type = TN_LOG_REAL, .real = (value)})
#define TN_BOOL(field, value) \
    ((tn_log_field){.name = (field), .type = TN_LOG_BOOL, .number = (value) ? 1 : 0})

#define tn_log(level, event, ...) \
    tn_log_write((level), (event), (const tn_log_field[]){__VA_OPT__(__VA_ARGS__, ){.name = NULL}})

/* Opens the log: a path (appended to, mode 0640) or NULL for standard error. Called again with the
 * same path it reopens the file, for logrotate. Returns false and keeps the old one on failure. */
bool tn_log_open(const char *path, tn_log_level threshold) TN_MUST_CHECK;

/* Where lines that could not be written are counted from now on (metrics, in shared memory). */
void tn_log_count_drops(_Atomic uint64_t *counter);

void tn_log_write(tn_log_level level, const char *event, const tn_log_field *fields);

/* "debug", "info", "warn", "error" → level; false for anything else. */
bool tn_log_level_parse(const char *text, tn_log_level *level) TN_MUST_CHECK;

#endif
