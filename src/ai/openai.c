/* ai/openai.c: chat completions as OpenAI made them and many others speak them
 *
 * Servers differ in what they leave out: usage, ids, the final "[DONE]", even `choices`. What is
 * there is taken, what is not is not missed; call.c decides whether an answer was whole.
 */
#include <string.h>

#include "ai/provider.h"
#include "base/json.h"
#include "base/text.h"

static const char *const finish_words[][2] = {
    {"stop", "stop"},
    {"length", "length"},
    {"content_filter", "content_filter"},
    {"tool_calls", "tool_calls"},
    {"function_call", "tool_calls"},
    {NULL, NULL},
};

static const char *const *
make_headers(tn_arena *arena, const tn_provider_config *provider)
{
    const char **headers = tn_arena_alloc(arena, 4, sizeof(*headers));
    size_t count = 0;

    headers[count++] = "Content-Type: application/json";
    headers[count++] = "Accept: text/event-stream, application/json";
    if (provider->key != NULL)
        headers[count++] = tn_arena_printf(arena, "Authorization: Bearer %s", provider->key);
    return headers;
}

static void
add_part(PQExpBuffer body, const tn_ai_part *part)
{
    appendPQExpBufferStr(body, part->text != NULL
                                   ? "{\"type\":\"text\",\"text\":"
                                   : "{\"type\":\"image_url\",\"image_url\":{\"url\":");
    tn_buffer_json_string(body, part->text != NULL ? part->text : part->image_url);
    appendPQExpBufferStr(body, part->text != NULL ? "}" : "}}");
}

/* A single text goes as a string: not every server takes parts. */
static void
add_message(PQExpBuffer body, const tn_ai_message *message)
{
    appendPQExpBufferStr(body, "{\"role\":");
    tn_buffer_json_string(body, message->role);
    appendPQExpBufferStr(body, ",\"content\":");
    if (message->part_count == 1 && message->parts[0].text != NULL) {
        tn_buffer_json_string(body, message->parts[0].text);
    } else {
        for (size_t i = 0; i < message->part_count; i++) {
            appendPQExpBufferChar(body, i == 0 ? '[' : ',');
            add_part(body, &message->parts[i]);
        }
        appendPQExpBufferChar(body, ']');
    }
    appendPQExpBufferChar(body, '}');
}

/* OpenAI itself has renamed the member, and refuses the old one for its newer models; others know
 * only the old one. */
static const char *
limit_member(const tn_provider_config *provider)
{
    return tn_text_starts(provider->base_url, "https://api.openai.com/") ? "max_completion_tokens"
                                                                         : "max_tokens";
}

static const char *
make_body(tn_arena *arena, const tn_provider_config *provider, const tn_ai_request *request)
{
    PQExpBuffer body = tn_arena_buffer(arena);

    appendPQExpBufferStr(body, "{\"model\":");
    tn_buffer_json_string(body, request->model);
    appendPQExpBufferStr(body, ",\"messages\":[");
    if (request->instructions != NULL) {
        appendPQExpBufferStr(body, "{\"role\":\"system\",\"content\":");
        tn_buffer_json_string(body, request->instructions);
        appendPQExpBufferStr(body, request->message_count > 0 ? "}," : "}");
    }
    for (size_t i = 0; i < request->message_count; i++) {
        if (i > 0)
            appendPQExpBufferChar(body, ',');
        add_message(body, &request->messages[i]);
    }
    appendPQExpBuffer(body, "],\"%s\":%lld", limit_member(provider),
                      (long long)request->max_tokens);
    if (request->stream)
        appendPQExpBufferStr(body, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    appendPQExpBufferChar(body, '}');
    return tn_buffer_text(body);
}

/* Text as a string, or as the parts that some servers answer with. */
static void
take_content(tn_ai_answer *answer, json_object *content)
{
    if (json_object_is_type(content, json_type_string)) {
        (void)tn_ai_answer_text(answer, json_object_get_string(content),
                                (size_t)json_object_get_string_len(content));
        return;
    }
    if (!json_object_is_type(content, json_type_array))
        return;
    for (size_t i = 0; i < json_object_array_length(content); i++) {
        const char *text = tn_json_text(json_object_array_get_idx(content, i), "text", NULL);

        if (text != NULL)
            (void)tn_ai_answer_text(answer, text, strlen(text));
    }
}

static void
take_usage(tn_ai_answer *answer, json_object *value)
{
    json_object *usage = tn_json_get(value, "usage");

    answer->input_tokens = tn_ai_usage_tokens(usage, "prompt_tokens", answer->input_tokens);
    answer->output_tokens = tn_ai_usage_tokens(usage, "completion_tokens", answer->output_tokens);
}

/* What a streamed chunk (`member` delta) and a whole answer (message) have in common. */
static bool
take_value(tn_ai_answer *answer, json_object *value, const char *member)
{
    json_object *choices, *choice, *error = tn_json_get(value, "error");

    if (!json_object_is_type(value, json_type_object))
        return false;
    if (error != NULL) {
        const char *words = tn_json_text(error, "message", tn_json_text(value, "error", ""));

        answer->failure = tn_arena_text(answer->arena, words);
        return true;
    }
    tn_ai_answer_name(answer, tn_json_text(value, "id", NULL), tn_json_text(value, "model", NULL));
    take_usage(answer, value);
    choices = tn_json_get(value, "choices");
    if (!json_object_is_type(choices, json_type_array) || json_object_array_length(choices) == 0)
        return true;
    choice = json_object_array_get_idx(choices, 0);
    take_content(answer, tn_json_get(tn_json_get(choice, member), "content"));
    tn_ai_answer_finish(answer, tn_json_text(choice, "finish_reason", NULL), finish_words);
    return true;
}

static bool
take_event(tn_ai_answer *answer, tn_arena *scratch, const char *name, const char *data,
           size_t length)
{
    json_object *value;

    (void)name;
    if (length == 6 && memcmp(data, "[DONE]", 6) == 0) {
        answer->ended = true;
        return true;
    }
    return tn_json_parse(scratch, data, length, TN_JSON_DEPTH, &value) == NULL &&
           take_value(answer, value, "delta");
}

static bool
take_whole(tn_ai_answer *answer, tn_arena *scratch, const char *text, size_t length)
{
    json_object *value;

    if (tn_json_parse(scratch, text, length, TN_JSON_DEPTH, &value) != NULL ||
        !json_object_is_type(tn_json_get(value, "choices"), json_type_array))
        return false;
    answer->ended = true;
    return take_value(answer, value, "message");
}

const tn_ai_dialect tn_ai_openai = {
    .path = "/chat/completions",
    .headers = make_headers,
    .body = make_body,
    .event = take_event,
    .whole = take_whole,
};
