/* ai/echo.c: the same answer to the same question */
#include "ai/echo.h"

#include <string.h>

#include "ai/estimate.h"
#include "ai/pause.h"

#define FRAME_TOKENS 4 /* of each message, as in SQL */

static int64_t
count_input(const tn_ai_request *request)
{
    int64_t tokens = 0;

    for (size_t i = 0; i < request->message_count; i++) {
        const tn_ai_message *message = &request->messages[i];
        tn_ai_count count = {0};

        for (size_t j = 0; j < message->part_count; j++)
            if (message->parts[j].text != NULL)
                tn_ai_count_add(&count, message->parts[j].text, strlen(message->parts[j].text));
        tokens += tn_ai_count_tokens(&count) + FRAME_TOKENS;
    }
    if (request->instructions != NULL) {
        tn_ai_count count = {0};

        tn_ai_count_add(&count, request->instructions, strlen(request->instructions));
        tokens += tn_ai_count_tokens(&count) + FRAME_TOKENS;
    }
    return tokens;
}

/* The next word with the blanks before it. */
static size_t
word_length(const char *text)
{
    const size_t blanks = strspn(text, " \t\r\n");

    return blanks + strcspn(text + blanks, " \t\r\n");
}

void
tn_ai_echo(tn_arena *arena, const tn_provider_config *provider, const tn_ai_request *request,
           tn_ai_answer *answer, bool (*on_tick)(void *context))
{
    const char *text = tn_arena_printf(arena, "You said: %s", tn_ai_last_text(arena, request));
    const char *at = text;
    tn_ai_count count = {0};

    answer->input_tokens = count_input(request);
    answer->model = request->model;
    while (*at != '\0') {
        /* nobody watches the words go by: all at once */
        const size_t length =
            provider->delay_ms > 0 || request->stream ? word_length(at) : strlen(at);

        if (!tn_ai_answer_text(answer, at, length))
            return;
        at += length;
        if (*at != '\0' && provider->delay_ms > 0 &&
            !tn_pause_ms(provider->delay_ms, on_tick, answer->context))
            return;
    }
    tn_ai_count_add(&count, text, strlen(text));
    answer->output_tokens = tn_ai_count_tokens(&count);
    answer->finish_reason = "stop";
    answer->ended = true;
}
