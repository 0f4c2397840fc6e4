/* data/json_text.h: a JSON text checked in one pass, and the keys of its objects
 *
 * The text is neither changed nor taken apart: no number passes through a double, and what is kept
 * of 50 MB is the keys of one object. What RFC 8259 has not is refused, lone surrogates and
 * invalid UTF-8 too; \u0000 passes in values, and PostgreSQL says what it thinks of it.
 *
 * Threads: any.
 */
#ifndef TN_DATA_JSON_TEXT_H
#define TN_DATA_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

typedef enum tn_json_verdict {
    TN_JSON_GOOD,
    TN_JSON_BAD,      /* not JSON, or a key with \u0000 */
    TN_JSON_TOO_DEEP, /* nested deeper than allowed */
    TN_JSON_UNEVEN    /* an array of which something is no object, or has other keys */
} tn_json_verdict;

typedef struct tn_json_shape {
    bool is_array, is_object;
    const char *const *keys; /* of the object, or of each object of the array; each once */
    size_t key_count;
    size_t row_count; /* items of the array */
} tn_json_shape;

/* Reads the whole text; what is bad in it counts for more than what is uneven. */
tn_json_verdict tn_json_text_read(tn_arena *arena, const char *text, size_t length, int64_t depth,
                                  tn_json_shape *result) TN_MUST_CHECK;

#endif
