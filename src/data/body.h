/* data/body.h: the body of a write, whatever its media type, as JSON text and its keys
 *
 * JSON is checked and its keys are read here; the text itself goes to PostgreSQL as it came, so
 * that no number passes through a double. CSV (RFC 4180) and forms become JSON objects of texts.
 *
 * Threads: any.
 * Errors:  400 PGRST102 in PostgREST's words; 400 json_too_deep beyond data.json_depth; 413 is the
 *          dispatcher's.
 */
#ifndef TN_DATA_BODY_H
#define TN_DATA_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct tn_payload {
    const char *json; /* an array or object; scalars and null are "[]" already */
    size_t length;
    const char *const *keys; /* of the object, or of every object of the array; each once, in the
                                order of the first object */
    size_t key_count;
    bool is_array;
    bool is_empty_object; /* {} or [{}, …]: rows of defaults */
    bool is_unread;       /* columns= was given: the text was not looked at */
    size_t row_count;     /* of an array that was read; 1 for an object */
} tn_payload;

typedef struct tn_body_source {
    const char *content_type; /* NULL: JSON */
    const char *text;
    size_t length;
    bool is_call;     /* /rpc: an empty body is {}, ragged arrays are allowed (the first
                         element counts), text/plain and others are raw */
    bool has_columns; /* columns= was given */
    int64_t depth;    /* of JSON, at most */
} tn_body_source;

/* application/json, text/csv, application/x-www-form-urlencoded; for calls also raw types:
 * `is_raw` is set then and the bytes are the single argument. */
typedef struct tn_data_body {
    tn_payload payload;
    const char *media;    /* "text/csv": of the content, without parameters; NULL: JSON */
    bool is_csv;          /* columns= says nothing of it */
    bool is_raw;          /* text/plain, text/xml, application/octet-stream on /rpc */
    const char *raw_type; /* "text/plain" */
    const char *raw;
    size_t raw_length;
} tn_data_body;

const tn_error *tn_data_body_read(tn_arena *arena, const tn_body_source *source,
                                  tn_data_body *body) TN_MUST_CHECK;

#endif
