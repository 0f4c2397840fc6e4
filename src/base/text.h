/* base/text.h: small questions about text that came from outside
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TN_BASE_TEXT_H
#define TN_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

bool tn_text_is_utf8(const char *text, size_t length); /* RFC 3629: shortest form, no surrogates */

/* The bytes, 1 to 4, of the character that `text` begins with; 0 when it is none or is cut off. */
size_t tn_text_utf8_size(const char *text, size_t length);

bool tn_text_starts(const char *text, const char *prefix);

/* Absent and empty are alike in most of what clients send. */
static inline bool
tn_text_is_given(const char *text)
{
    return text != NULL && *text != '\0';
}
bool tn_text_same_case(const char *a, const char *b); /* ASCII letters compare alike */

/* A whole decimal number within [min, max], no sign tricks, no blanks; false otherwise. */
bool tn_text_int(const char *text, int64_t min, int64_t max, int64_t *value) TN_MUST_CHECK;

/* application/x-www-form-urlencoded or path text decoded (WHATWG URL section 5.1). `plus_is_space`
 * for queries and forms, where a % that begins no escape is one (`like.*%*`). NULL when an escape
 * of a path is broken, or when the result holds NUL or invalid UTF-8. */
char *tn_text_url_decode(tn_arena *arena, const char *text, size_t length,
                         bool plus_is_space) TN_MUST_CHECK;

/* What stands between commas, without the blanks around it; empty items are left out. */
const char *const *tn_text_split(tn_arena *arena, const char *text,
                                 size_t *count) TN_NEVER_NULL TN_MUST_CHECK;

/* Levenshtein's distance in bytes; `limit` or more is as good as never, and so is anything where a
 * text has more than 256 bytes. */
size_t tn_text_distance(const char *a, const char *b, size_t limit);

/* The text, or its first characters with an ellipsis behind them where it has more than `most`
 * bytes: what a message quotes of a text that may be of any size. */
const char *tn_text_excerpt(tn_arena *arena, const char *text,
                            size_t most) TN_NEVER_NULL TN_MUST_CHECK;

/* The same text in lower case, ASCII letters only. */
char *tn_text_lower(tn_arena *arena, const char *text) TN_MUST_CHECK;

#endif
