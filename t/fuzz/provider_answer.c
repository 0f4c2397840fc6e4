/* t/fuzz/provider_answer.c: whatever a provider sends, text comes out as UTF-8, words of ours say
 * why it ended, and nothing that is kept lives in the scratch arena */
#include "ai/provider.h"

#include <string.h>

#include "ai/event_stream.h"
#include "base/buffer.h"
#include "base/text.h"
#include "t/fuzz/fuzz.h"

struct reading {
    const tn_ai_dialect *dialect;
    tn_ai_answer answer;
    tn_arena *scratch;
    PQExpBuffer text;
};

static bool
take_text(void *context, const char *text, size_t length)
{
    struct reading *reading = context;

    assert(length > 0 && tn_text_is_utf8(text, length) && memchr(text, '\0', length) == NULL);
    appendBinaryPQExpBuffer(reading->text, text, length);
    return reading->text->len < 64;
}

static bool
take_event(void *context, const char *name, const char *data, size_t length)
{
    struct reading *reading = context;
    const bool is_understood =
        reading->dialect->event(&reading->answer, reading->scratch, name, data, length);

    tn_arena_reset(reading->scratch);
    return is_understood && !reading->answer.stopped;
}

static void
check(const tn_ai_answer *answer)
{
    static const char *const reasons[] = {"stop", "length", "content_filter", "tool_calls"};
    bool is_known = answer->finish_reason == NULL;

    for (size_t i = 0; i < TN_COUNT(reasons) && !is_known; i++)
        is_known = strcmp(answer->finish_reason, reasons[i]) == 0;
    assert(is_known);
    assert(answer->id == NULL || *answer->id != '\0');
    assert(answer->model == NULL || *answer->model != '\0');
}

static void
read_as(const tn_ai_dialect *dialect, const char *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    struct reading reading = {.dialect = dialect,
                              .scratch = tn_arena_new(),
                              .text = tn_arena_buffer(arena),
                              .answer = TN_AI_ANSWER_INIT};

    reading.answer.arena = arena;
    reading.answer.on_text = take_text;
    reading.answer.context = &reading;
    if (tn_event_stream_feed(tn_event_stream_new(arena, 1024, take_event, &reading), bytes,
                             length) == TN_EVENTS_STOPPED)
        assert(length > 0);
    check(&reading.answer);
    reading.answer = (tn_ai_answer)TN_AI_ANSWER_INIT;
    reading.answer.arena = arena;
    reading.answer.on_text = take_text;
    reading.answer.context = &reading;
    resetPQExpBuffer(reading.text);
    (void)dialect->whole(&reading.answer, reading.scratch, bytes, length);
    tn_arena_free(reading.scratch);
    check(&reading.answer);
    (void)tn_ai_error_words(arena, bytes, length);
    tn_arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char *text = malloc(length + 1);

    assert(text != NULL);
    memcpy(text, bytes, length);
    text[length] = '\0';
    read_as(&tn_ai_openai, text, length);
    read_as(&tn_ai_anthropic, text, length);
    free(text);
    return 0;
}
