/* ai/estimate.h: how many tokens a text is, where nobody has counted
 *
 * Four ASCII characters to one, and every other character by its length in UTF-8.
 * tenon.estimate_tokens() in sql/migrations/0004_chat.sql is the same rule; t/sql/chat.sql and
 * t/unit/estimate.c hold both to it.
 *
 * Threads: any; a count belongs to one.
 */
#ifndef TN_AI_ESTIMATE_H
#define TN_AI_ESTIMATE_H

#include <stddef.h>
#include <stdint.h>

/* What has been seen so far; starts as {0}. */
typedef struct tn_ai_count {
    int64_t bytes, characters;
} tn_ai_count;

void tn_ai_count_add(tn_ai_count *count, const char *text, size_t length);
int64_t tn_ai_count_tokens(const tn_ai_count *count);

#endif
