/* ai/anthropic.c: the messages API of Anthropic
 *
 * The system prompt is a member of its own, turns alternate between user and assistant, and
 * max_tokens is required. Events say what they are in `type`, the same word as the event's name.
 */
#include <string.h>

#include "ai/provider.h"
#include "base/json.h"

#define API_VERSION "2023-06-01"

static const char *const finish_words[][2] = {
    {"end_turn", "stop"},
    {"stop_sequence", "stop"},
    {"max_tokens", "length"},
    {"model_context_window_exceeded", "length"},
    {"refusal", "content_filter"},
    {"tool_use", "tool_calls"},
    {NULL, NULL},
};

static const char *const *
make_headers(tn_arena *arena, const tn_provider_config *provider)
{
    const char **headers = tn_arena_alloc(arena, 5, sizeof(*headers));
    size_t count = 0;

    headers[count++] = "Content-Type: application/json";
    headers[count++] = "Accept: text/event-stream, application/json";
    headers[count++] = "anthropic-version: " API_VERSION;
    if (provider->key != NULL)
        headers[count++] = tn_arena_printf(arena, "x-api-key: %s", provider->key);
    return headers;
}

static void
add_part(PQExpBuffer body, const tn_ai_part *part)
{
    appendPQExpBufferStr(body, part->text != NULL
                                   ? "{\"type\":\"text\",\"text\":"
                                   : "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":");
    tn_buffer_json_string(body, part->text != NULL ? part->text : part->image_url);
    appendPQExpBufferStr(body, part->text != NULL ? "}" : "}}");
}

static bool
is_system(const tn_ai_message *message)
{
    return strcmp(message->role, "system") == 0;
}

/* Anthropic refuses texts without a visible character. */
static bool
says_something(const tn_ai_part *part)
{
    return part->image_url != NULL || part->text[strspn(part->text, " \t\r\n")] != '\0';
}

/* The request's own and those of system messages within the conversation, one below the other. */
static void
add_system(PQExpBuffer body, tn_arena *arena, const tn_ai_request *request)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    if (request->instructions != NULL)
        appendPQExpBufferStr(text, request->instructions);
    for (size_t i = 0; i < request->message_count; i++)
        for (size_t j = 0; is_system(&request->messages[i]) && j < request->messages[i].part_count;
             j++)
            if (request->messages[i].parts[j].text != NULL)
                appendPQExpBuffer(text, "%s%s", text->len > 0 ? "\n\n" : "",
                                  request->messages[i].parts[j].text);
    if (text->len == 0)
        return;
    appendPQExpBufferStr(body, ",\"system\":");
    tn_buffer_json_string(body, tn_buffer_text(text));
}

static void
add_message(PQExpBuffer body, const tn_ai_message *message)
{
    bool is_first = true;

    appendPQExpBufferStr(body, "{\"role\":");
    tn_buffer_json_string(body, message->role);
    appendPQExpBufferStr(body, ",\"content\":[");
    for (size_t i = 0; i < message->part_count; i++) {
        if (!says_something(&message->parts[i]))
            continue;
        if (!is_first)
            appendPQExpBufferChar(body, ',');
        add_part(body, &message->parts[i]);
        is_first = false;
    }
    appendPQExpBufferStr(body, "]}");
}

static const char *
make_body(tn_arena *arena, const tn_provider_config *provider, const tn_ai_request *request)
{
    PQExpBuffer body = tn_arena_buffer(arena);
    bool is_first = true;

    (void)provider;
    appendPQExpBufferStr(body, "{\"model\":");
    tn_buffer_json_string(body, request->model);
    appendPQExpBuffer(body, ",\"max_tokens\":%lld", (long long)request->max_tokens);
    add_system(body, arena, request);
    appendPQExpBufferStr(body, ",\"messages\":[");
    for (size_t i = 0; i < request->message_count; i++) {
        if (is_system(&request->messages[i]))
            continue;
        if (!is_first)
            appendPQExpBufferChar(body, ',');
        add_message(body, &request->messages[i]);
        is_first = false;
    }
    appendPQExpBufferStr(body, request->stream ? "],\"stream\":true}" : "]}");
    return tn_buffer_text(body);
}

/* Tokens that came from, or went into, the provider's cache were input as well. */
static void
take_input(tn_ai_answer *answer, json_object *usage)
{
    const int64_t input = tn_ai_usage_tokens(usage, "input_tokens", -1);

    if (input >= 0)
        answer->input_tokens = input + tn_ai_usage_tokens(usage, "cache_creation_input_tokens", 0) +
                               tn_ai_usage_tokens(usage, "cache_read_input_tokens", 0);
}

static void
take_failure(tn_ai_answer *answer, json_object *value)
{
    const char *words = tn_json_text(tn_json_get(value, "error"), "message", "");

    answer->failure = tn_arena_text(answer->arena, words);
}

static bool
take_event(tn_ai_answer *answer, tn_arena *scratch, const char *name, const char *data,
           size_t length)
{
    json_object *value, *part;
    const char *type, *text;

    if (tn_json_parse(scratch, data, length, TN_JSON_DEPTH, &value) != NULL ||
        !json_object_is_type(value, json_type_object))
        return false;
    type = tn_json_text(value, "type", name);
    if (strcmp(type, "content_block_delta") == 0) {
        text = tn_json_text(tn_json_get(value, "delta"), "text", NULL);
        if (text != NULL) /* else a tool's input or thoughts */
            (void)tn_ai_answer_text(answer, text, strlen(text));
    } else if (strcmp(type, "content_block_start") == 0) {
        text = tn_json_text(tn_json_get(value, "content_block"), "text", NULL);
        if (text != NULL)
            (void)tn_ai_answer_text(answer, text, strlen(text));
    } else if (strcmp(type, "message_start") == 0) {
        part = tn_json_get(value, "message");
        tn_ai_answer_name(answer, tn_json_text(part, "id", NULL),
                          tn_json_text(part, "model", NULL));
        take_input(answer, tn_json_get(part, "usage")); /* output_tokens means nothing yet */
    } else if (strcmp(type, "message_delta") == 0) {
        part = tn_json_get(value, "usage");
        take_input(answer, part);
        answer->output_tokens = tn_ai_usage_tokens(part, "output_tokens", answer->output_tokens);
        tn_ai_answer_finish(answer, tn_json_text(tn_json_get(value, "delta"), "stop_reason", NULL),
                            finish_words);
    } else if (strcmp(type, "message_stop") == 0) {
        answer->ended = true;
    } else if (strcmp(type, "error") == 0) {
        take_failure(answer, value);
    }
    return true; /* ping and what may come in later versions */
}

static bool
take_whole(tn_ai_answer *answer, tn_arena *scratch, const char *text, size_t length)
{
    json_object *value, *content, *usage;

    if (tn_json_parse(scratch, text, length, TN_JSON_DEPTH, &value) != NULL)
        return false;
    if (strcmp(tn_json_text(value, "type", ""), "error") == 0) {
        take_failure(answer, value);
        return true;
    }
    content = tn_json_get(value, "content");
    if (!json_object_is_type(content, json_type_array))
        return false;
    tn_ai_answer_name(answer, tn_json_text(value, "id", NULL), tn_json_text(value, "model", NULL));
    usage = tn_json_get(value, "usage");
    take_input(answer, usage);
    answer->output_tokens = tn_ai_usage_tokens(usage, "output_tokens", -1);
    for (size_t i = 0; i < json_object_array_length(content); i++) {
        const char *piece = tn_json_text(json_object_array_get_idx(content, i), "text", NULL);

        if (piece != NULL)
            (void)tn_ai_answer_text(answer, piece, strlen(piece));
    }
    tn_ai_answer_finish(answer, tn_json_text(value, "stop_reason", NULL), finish_words);
    answer->ended = true;
    return true;
}

const tn_ai_dialect tn_ai_anthropic = {
    .path = "/v1/messages",
    .headers = make_headers,
    .body = make_body,
    .event = take_event,
    .whole = take_whole,
};
