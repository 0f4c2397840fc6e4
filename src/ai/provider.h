/* ai/provider.h: what a provider is asked and what it answers, whatever its wire format
 *
 * A dialect (openai.c, anthropic.c) turns a request into a body, and the pieces of an answer, one
 * event or one whole JSON text, into a tn_ai_answer. Dialects do no I/O and keep no state but the
 * answer; call.c carries the bytes.
 *
 * Threads: a request is read-only; an answer belongs to one thread.
 */
#ifndef TN_AI_PROVIDER_H
#define TN_AI_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/config.h"
#include "base/json.h"

/* A part is a text or a picture's address, never both. */
typedef struct tn_ai_part {
    const char *text, *image_url;
} tn_ai_part;

typedef struct tn_ai_message {
    const char *role; /* "user", "assistant", "system" */
    const tn_ai_part *parts;
    size_t part_count;
} tn_ai_message;

typedef struct tn_ai_request {
    const char *model, *instructions; /* instructions: the system prompt, or NULL */
    const tn_ai_message *messages;
    size_t message_count;
    int64_t max_tokens; /* of the answer */
    bool stream;
} tn_ai_request;

/* An answer as it comes in. Start with TN_AI_ANSWER_INIT and set arena, on_text and context. */
typedef struct tn_ai_answer {
    tn_arena *arena;                                                 /* of what the answer keeps */
    bool (*on_text)(void *context, const char *text, size_t length); /* false: stop */
    void *context;
    const char *finish_reason; /* stop, length, content_filter, tool_calls; NULL: not yet */
    const char *model, *id;    /* as the provider names them, or NULL */
    int64_t input_tokens, output_tokens; /* -1: not told */
    const char *failure;                 /* the provider's words for an error in mid-answer */
    bool ended;                          /* it said that this was all */
    bool stopped;                        /* on_text() wanted no more */
} tn_ai_answer;

#define TN_AI_ANSWER_INIT                       \
    {                                           \
        .input_tokens = -1, .output_tokens = -1 \
    }

typedef struct tn_ai_dialect {
    const char *path; /* behind the base URL */
    /* Request headers, NULL-terminated, the key among them. */
    const char *const *(*headers)(tn_arena *arena, const tn_provider_config *provider);
    const char *(*body)(tn_arena *arena, const tn_provider_config *provider,
                        const tn_ai_request *request);
    /* One server-sent event; `name` is "" when it has none. False: not understood. `scratch` lives
     * until the next event. */
    bool (*event)(tn_ai_answer *answer, tn_arena *scratch, const char *name, const char *data,
                  size_t length);
    /* A whole answer that is no stream. False: not understood. */
    bool (*whole)(tn_ai_answer *answer, tn_arena *scratch, const char *text, size_t length);
} tn_ai_dialect;

extern const tn_ai_dialect tn_ai_openai, tn_ai_anthropic;

/* The provider's words out of an error body of either dialect ({"error": {"message": …}},
 * {"error": "…"}, {"message": …}), or NULL. */
const char *tn_ai_error_words(tn_arena *arena, const char *body, size_t length);

/* The text of the last message that a user said, for echo. */
const char *tn_ai_last_text(tn_arena *arena, const tn_ai_request *request) TN_NEVER_NULL;

/* --- for dialects ---------------------------------------------------------------------------- */

/* Hands on a piece of text; false when nobody wants more. */
bool tn_ai_answer_text(tn_ai_answer *answer, const char *text, size_t length);

/* Keeps the first id and model that were told. */
void tn_ai_answer_name(tn_ai_answer *answer, const char *id, const char *model);

/* The tokens that `member` of a provider's usage tells; `fallback` where it is no such number. */
int64_t tn_ai_usage_tokens(json_object *usage, const char *member, int64_t fallback);

/* Keeps a provider's word for why it ended, translated with `words` ({theirs, ours}, NULL ends). */
void tn_ai_answer_finish(tn_ai_answer *answer, const char *word, const char *const words[][2]);

#endif
