/* base/json.h: JSON that came from outside, read with json-c and bounded
 *
 * Threads: an object belongs to its arena's thread.
 */
#ifndef TN_BASE_JSON_H
#define TN_BASE_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define TN_JSON_DEPTH 32 /* how deep values may nest unless a caller says otherwise */

/* One JSON text (RFC 8259), nothing behind it but blanks. Refused with 400 `bad_json`: what does
 * not parse (message names the byte), NUL, invalid UTF-8, nesting deeper than `depth`. The object
 * lives until the arena is freed. JSON null gives *value == NULL and no error. */
const tn_error *tn_json_parse(tn_arena *arena, const char *text, size_t length, int depth,
                              json_object **value) TN_MUST_CHECK;

/* The member as text / number / object, or the fallback when absent, null or of another type. */
const char *tn_json_text(json_object *object, const char *member, const char *fallback);
int64_t tn_json_int(json_object *object, const char *member, int64_t fallback);
bool tn_json_bool(json_object *object, const char *member, bool fallback);
json_object *tn_json_get(json_object *object, const char *member); /* NULL when absent or null */

/* The value as compact JSON text, owned by the arena. */
const char *tn_json_print(tn_arena *arena, json_object *value) TN_NEVER_NULL TN_MUST_CHECK;

#endif
