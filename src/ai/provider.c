/* ai/provider.c: what both dialects have in common */
#include "ai/provider.h"

#include <string.h>

#include "base/json.h"

#define WORDS_MAX 500                 /* bytes of a provider's error that are passed on */
#define TOKENS_MAX INT64_C(500000000) /* more is a mistake and no figure */

bool
tn_ai_answer_text(tn_ai_answer *answer, const char *text, size_t length)
{
    if (length > 0 && !answer->stopped)
        answer->stopped = !answer->on_text(answer->context, text, length);
    return !answer->stopped;
}

void
tn_ai_answer_name(tn_ai_answer *answer, const char *id, const char *model)
{
    if (answer->id == NULL && id != NULL && *id != '\0')
        answer->id = tn_arena_text(answer->arena, id);
    if (answer->model == NULL && model != NULL && *model != '\0')
        answer->model = tn_arena_text(answer->arena, model);
}

int64_t
tn_ai_usage_tokens(json_object *usage, const char *member, int64_t fallback)
{
    const int64_t tokens = tn_json_int(usage, member, fallback);

    return tokens >= 0 && tokens <= TOKENS_MAX ? tokens : fallback;
}

void
tn_ai_answer_finish(tn_ai_answer *answer, const char *word, const char *const words[][2])
{
    if (word == NULL)
        return;
    answer->finish_reason = "stop"; /* also for words that were invented since */
    for (size_t i = 0; words[i][0] != NULL; i++)
        if (strcmp(words[i][0], word) == 0)
            answer->finish_reason = words[i][1];
}

/* At most WORDS_MAX bytes, not cut within a character. */
static const char *
shorten(tn_arena *arena, const char *text)
{
    size_t length = strlen(text);

    if (length <= WORDS_MAX)
        return tn_arena_text(arena, text);
    length = WORDS_MAX;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
        length--;
    return tn_arena_printf(arena, "%s…", tn_arena_bytes(arena, text, length));
}

const char *
tn_ai_error_words(tn_arena *arena, const char *body, size_t length)
{
    json_object *value, *error;
    const char *words;

    if (body == NULL || tn_json_parse(arena, body, length, TN_JSON_DEPTH, &value) != NULL)
        return NULL;
    error = tn_json_get(value, "error");
    words = tn_json_text(error, "message", NULL);
    if (words == NULL)
        words = tn_json_text(value, "error", NULL);
    if (words == NULL)
        words = tn_json_text(value, "message", NULL);
    return words == NULL ? NULL : shorten(arena, words);
}

const char *
tn_ai_last_text(tn_arena *arena, const tn_ai_request *request)
{
    PQExpBuffer text = tn_arena_buffer(arena);
    size_t last = request->message_count;

    while (last > 0 && strcmp(request->messages[last - 1].role, "user") != 0)
        last--;
    if (last == 0)
        return "";
    for (size_t i = 0; i < request->messages[last - 1].part_count; i++)
        if (request->messages[last - 1].parts[i].text != NULL)
            appendPQExpBufferStr(text, request->messages[last - 1].parts[i].text);
    return tn_buffer_text(text);
}
