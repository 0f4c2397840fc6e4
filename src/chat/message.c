/* chat/message.c: bodies of messages to JSON for SQL, and histories to requests for providers */
#include "chat/message.h"

#include <string.h>

#include "ai/model.h"
#include "base/crypto.h"
#include "base/text.h"

#define PARTS_MAX 100
#define URL_MAX 4096
#define METADATA_MAX 16384
#define SYSTEM_MAX 262144
#define IDEMPOTENCY_KEY_MAX 255

struct body {
    json_object *content, *metadata;
    tn_uuid chat_id, parent_id;
    bool has_parent;
    const char *title, *model, *provider, *instructions;
    int stream;
};

static const tn_field body_fields[] = {
    {"content", offsetof(struct body, content), .type = TN_FIELD_JSON},
    {"chat_id", offsetof(struct body, chat_id), .type = TN_FIELD_UUID},
    {"parent_id", offsetof(struct body, parent_id), .type = TN_FIELD_UUID,
     .present = offsetof(struct body, has_parent) + 1},
    {"title", offsetof(struct body, title), .max = 200},
    {"model", offsetof(struct body, model), .max = 200},
    {"provider", offsetof(struct body, provider), .max = 100},
    {"system", offsetof(struct body, instructions), .max = SYSTEM_MAX},
    {"metadata", offsetof(struct body, metadata), .type = TN_FIELD_JSON},
    {"stream", offsetof(struct body, stream), .type = TN_FIELD_BOOL},
    {.name = NULL},
};

static const tn_error *
invalid(tn_ctx *c, const char *what)
{
    return tn_error_new(c->arena, 400, "validation_failed", NULL, "%s", what);
}

/* --- content --------------------------------------------------------------------------------- */

/* The address of a picture in any of the spellings that people send:
 *   {"type": "image_url", "image_url": {"url": "…"}}            OpenAI
 *   {"type": "image", "source": {"type": "url", "url": "…"}}    Anthropic */
static const char *
image_url(json_object *part)
{
    const char *type = tn_json_text(part, "type", "");
    json_object *source = tn_json_get(part, "source");

    if (strcmp(type, "image_url") == 0)
        return tn_json_text(tn_json_get(part, "image_url"), "url", NULL);
    if (strcmp(type, "image") == 0 && strcmp(tn_json_text(source, "type", ""), "url") == 0)
        return tn_json_text(source, "url", NULL);
    return NULL;
}

static bool
is_web_address(const char *url)
{
    return (tn_text_starts(url, "https://") || tn_text_starts(url, "http://")) &&
           strlen(url) <= URL_MAX && url[strcspn(url, " \t\r\n\"<>\\")] == '\0';
}

/* Adds one part to the text of all and to the parts as they are kept: in OpenAI's spelling. */
static const tn_error *
add_part(tn_ctx *c, json_object *part, PQExpBuffer text, PQExpBuffer parts)
{
    const char *words = NULL, *url = image_url(part);

    if (strcmp(tn_json_text(part, "type", ""), "text") == 0)
        words = tn_json_text(part, "text", NULL);
    if (words == NULL && url == NULL)
        return invalid(c, "a part of content is {\"type\": \"text\", \"text\": …} or "
                          "{\"type\": \"image_url\", \"image_url\": {\"url\": …}}");
    if (url != NULL && !is_web_address(url))
        return invalid(c, "an image is given by its http or https address");
    appendPQExpBufferStr(parts, parts->len == 0 ? "[" : ",");
    if (words != NULL) {
        appendPQExpBuffer(text, "%s%s", text->len > 0 ? "\n" : "", words);
        appendPQExpBufferStr(parts, "{\"type\":\"text\",\"text\":");
        tn_buffer_json_string(parts, words);
        appendPQExpBufferChar(parts, '}');
    } else {
        appendPQExpBufferStr(parts, "{\"type\":\"image_url\",\"image_url\":{\"url\":");
        tn_buffer_json_string(parts, url);
        appendPQExpBufferStr(parts, "}}");
    }
    return NULL;
}

static bool
is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n\v\f")] == '\0';
}

/* Adds "content" and "parts" to the request. */
static const tn_error *
add_content(tn_ctx *c, json_object *content, PQExpBuffer request)
{
    PQExpBuffer text = tn_arena_buffer(c->arena), parts = tn_arena_buffer(c->arena);

    if (json_object_is_type(content, json_type_string)) {
        appendPQExpBufferStr(text, json_object_get_string(content));
    } else if (json_object_is_type(content, json_type_array)) {
        if (json_object_array_length(content) > PARTS_MAX)
            return invalid(c, "content has more than 100 parts");
        for (size_t i = 0; i < json_object_array_length(content); i++)
            TN_TRY(add_part(c, json_object_array_get_idx(content, i), text, parts));
        if (parts->len > 0)
            appendPQExpBufferChar(parts, ']');
    } else {
        return invalid(c, "content is a text or an array of parts");
    }
    if (text->len > (size_t)c->config->chat.message_max)
        return tn_error_new(c->arena, 413, "content_too_large", NULL,
                            "the message has %zu bytes; at most %lld are taken", text->len,
                            (long long)c->config->chat.message_max);
    if (is_blank(tn_buffer_text(text)) && strstr(tn_buffer_text(parts), "\"image_url\"") == NULL)
        return invalid(c, "content is empty");
    appendPQExpBufferStr(request, ",\"content\":");
    tn_buffer_json_string(request, tn_buffer_text(text));
    if (parts->len > 0)
        appendPQExpBuffer(request, ",\"parts\":%s", tn_buffer_text(parts));
    return NULL;
}

/* --- the request for SQL --------------------------------------------------------------------- */

static void
add_text(PQExpBuffer json, const char *member, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    appendPQExpBuffer(json, ",\"%s\":", member);
    tn_buffer_json_string(json, text);
}

static const tn_error *
add_model(tn_ctx *c, const struct body *body, PQExpBuffer request)
{
    tn_ai_choice choice;

    if (body->model == NULL && body->provider == NULL)
        return NULL;
    if (!tn_ai_choose(c->arena, c->config, body->provider, body->model, &choice))
        return tn_error_new(c->arena, 400, "model_not_found",
                            "Leave out model and provider for the default.",
                            "no provider is configured for this model");
    add_text(request, "provider", choice.provider->name);
    add_text(request, "model", choice.model);
    return NULL;
}

/* All that makes one request differ from another. */
static const tn_error *
add_members(tn_ctx *c, const struct body *body, PQExpBuffer request)
{
    appendPQExpBufferStr(request, "{\"chat_id\":");
    tn_buffer_json_string(request, *body->chat_id.text == '\0' ? NULL : body->chat_id.text);
    if (body->content != NULL)
        TN_TRY(add_content(c, body->content, request));
    if (body->has_parent) {
        appendPQExpBufferStr(request, ",\"parent_id\":");
        tn_buffer_json_string(request, *body->parent_id.text == '\0' ? NULL : body->parent_id.text);
    }
    if (body->title != NULL && *body->title == '\0')
        return invalid(c, "title has 1 to 200 characters");
    if (body->instructions != NULL && strlen(body->instructions) > SYSTEM_MAX)
        return invalid(c, "system has more than 262144 bytes");
    add_text(request, "title", body->title);
    add_text(request, "system", body->instructions);
    TN_TRY(add_model(c, body, request));
    if (body->metadata != NULL) {
        const char *metadata = tn_json_print(c->arena, body->metadata);

        if (!json_object_is_type(body->metadata, json_type_object) ||
            strlen(metadata) > METADATA_MAX)
            return invalid(c, "metadata is an object of at most 16384 bytes");
        appendPQExpBuffer(request, ",\"metadata\":%s", metadata);
    }
    return NULL;
}

static const tn_error *
add_idempotency_key(tn_ctx *c, PQExpBuffer request)
{
    const char *key = tn_request_header(c->request, "idempotency-key");
    uint8_t digest[TN_SHA256_SIZE];
    char hex[TN_SHA256_HEX];

    if (key == NULL || *key == '\0')
        return NULL;
    if (strlen(key) > IDEMPOTENCY_KEY_MAX)
        return tn_error_new(c->arena, 400, "idempotency_key_too_long", NULL,
                            "an Idempotency-Key has at most 255 bytes");
    tn_sha256(tn_buffer_text(request), request->len, digest);
    tn_hex(digest, sizeof(digest), hex);
    add_text(request, "request_hash", hex);
    add_text(request, "idempotency_key", key);
    return NULL;
}

/* What the server adds of its own. */
static void
add_circumstances(tn_ctx *c, const tn_message *message, PQExpBuffer request)
{
    tn_ai_choice choice;

    add_text(request, "run_id", message->run_id.text);
    add_text(request, "worker_id", c->process->worker_id.text);
    add_text(request, "request_id", c->request->id);
    appendPQExpBuffer(request, ",\"stream\":%s,\"history_messages\":%lld",
                      message->is_streaming ? "true" : "false",
                      (long long)c->config->chat.history_messages);
    if (tn_ai_choose(c->arena, c->config, NULL, NULL, &choice)) {
        appendPQExpBufferStr(request, ",\"default\":{\"provider\":");
        tn_buffer_json_string(request, choice.provider->name);
        add_text(request, "model", choice.model);
        appendPQExpBufferChar(request, '}');
    }
    appendPQExpBuffer(request, ",\"providers\":%s,\"fallback\":%s}",
                      tn_ai_providers_json(c->arena, c->config),
                      tn_ai_fallback_json(c->arena, c->config));
}

const tn_error *
tn_message_read(tn_ctx *c, const tn_uuid *chat_id, tn_message *message)
{
    struct body body = {.stream = -1};
    PQExpBuffer request = tn_arena_buffer(c->arena);

    TN_TRY(tn_body_fields(c, body_fields, &body));
    if (*chat_id->text != '\0' && *body.chat_id.text != '\0' &&
        strcmp(chat_id->text, body.chat_id.text) != 0)
        return invalid(c, "chat_id is another one than the path's");
    if (*chat_id->text != '\0')
        body.chat_id = *chat_id;
    if (body.content == NULL && *body.parent_id.text == '\0')
        return invalid(
            c, "content is missing; to answer a message again, name a user's message in parent_id");
    message->is_streaming = body.stream == 1;
    message->run_id = tn_uuid_new();
    TN_TRY(add_members(c, &body, request));
    TN_TRY(add_idempotency_key(c, request));
    add_circumstances(c, message, request);
    message->request_json = tn_buffer_text(request);
    return NULL;
}

/* --- the request for a provider -------------------------------------------------------------- */

static tn_ai_message
read_message(tn_ctx *c, json_object *entry)
{
    json_object *parts = tn_json_get(entry, "parts");
    const size_t count = parts == NULL ? 1 : json_object_array_length(parts);
    tn_ai_part *read = tn_arena_alloc(c->arena, count, sizeof(*read));

    for (size_t i = 0; i < count; i++) {
        json_object *part = parts == NULL ? NULL : json_object_array_get_idx(parts, i);

        read[i].image_url = part == NULL ? NULL : image_url(part);
        if (read[i].image_url == NULL)
            read[i].text =
                part == NULL ? tn_json_text(entry, "content", "") : tn_json_text(part, "text", "");
    }
    return (tn_ai_message){
        .role = tn_json_text(entry, "role", "user"), .parts = read, .part_count = count};
}

static bool
is_one_text(const tn_ai_message *message)
{
    return message->part_count == 1 && message->parts[0].text != NULL;
}

/* After a run that failed without a word two messages of the user follow one another, and many
 * models' templates want turns that alternate. */
static void
join(tn_ctx *c, tn_ai_message *earlier, const tn_ai_message *later)
{
    const bool is_text = is_one_text(earlier) && is_one_text(later);
    const size_t count = is_text ? 1 : earlier->part_count + later->part_count;
    tn_ai_part *parts = tn_arena_alloc(c->arena, count, sizeof(*parts));

    if (is_text) {
        parts[0].text =
            tn_arena_printf(c->arena, "%s\n\n%s", earlier->parts[0].text, later->parts[0].text);
    } else {
        memcpy(parts, earlier->parts, earlier->part_count * sizeof(*parts));
        memcpy(parts + earlier->part_count, later->parts, later->part_count * sizeof(*parts));
    }
    earlier->parts = parts;
    earlier->part_count = count;
}

static void
read_history(tn_ctx *c, json_object *history, tn_ai_request *request)
{
    const size_t most = json_object_array_length(history);
    tn_ai_message *messages = tn_arena_alloc(c->arena, most, sizeof(*messages));
    size_t count = 0;

    for (size_t i = 0; i < most; i++) {
        const tn_ai_message message = read_message(c, json_object_array_get_idx(history, i));

        if (count > 0 && strcmp(messages[count - 1].role, message.role) == 0)
            join(c, &messages[count - 1], &message);
        else
            messages[count++] = message;
    }
    request->messages = messages;
    request->message_count = count;
}

/* [provider, model, max_tokens]; false: not configured here (the configuration has just changed).
 */
static bool
read_candidate(tn_ctx *c, json_object *entry, tn_ai_candidate *candidate)
{
    const char *name = json_object_get_string(json_object_array_get_idx(entry, 0));

    *candidate = (tn_ai_candidate){
        .provider = name == NULL ? NULL : tn_config_provider(c->config, name),
        .model = json_object_get_string(json_object_array_get_idx(entry, 1)),
        .max_tokens = json_object_get_int64(json_object_array_get_idx(entry, 2)),
    };
    return candidate->provider != NULL;
}

const tn_error *
tn_message_call(tn_ctx *c, json_object *admitted, tn_ai_call *call)
{
    json_object *list = tn_json_get(admitted, "candidates"),
                *history = tn_json_get(admitted, "history");
    const size_t most = list == NULL ? 0 : json_object_array_length(list);
    tn_ai_candidate *candidates = tn_arena_alloc(c->arena, most + 1, sizeof(*candidates));

    for (size_t i = 0; i < most; i++)
        if (read_candidate(c, json_object_array_get_idx(list, i),
                           &candidates[call->candidate_count]))
            call->candidate_count++;
    if (call->candidate_count == 0 || history == NULL)
        return tn_error_internal(c->arena, "chat.begin.odd", "no candidates or no history");
    call->candidates = candidates;
    call->input_estimate = tn_json_int(admitted, "input_estimate", 0);
    call->request.instructions = tn_json_text(admitted, "system", NULL);
    call->request.stream =
        true; /* always: so that a run can be followed, cancelled and kept in part */
    read_history(c, history, &call->request);
    return NULL;
}
