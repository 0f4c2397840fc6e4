/* chat/answer.c: JSON of a run to answers and events */
#include "chat/answer.h"

#include <string.h>

/* The error that a failed run has kept. */
static const tn_error *
read_error(tn_ctx *c, json_object *run)
{
    json_object *kept = tn_json_get(run, "error");
    const int64_t provider_status = tn_json_int(kept, "provider_status", 0);
    PQExpBuffer members = tn_arena_buffer(c->arena);
    tn_error *error = tn_arena_alloc(c->arena, 1, sizeof(*error));

    *error = (tn_error){
        .status = (int)tn_json_int(kept, "status", 500),
        .code = tn_json_text(kept, "code", "internal_error"),
        .message = tn_json_text(kept, "message", "the run failed"),
    };
    appendPQExpBufferStr(members, "\"run_id\":");
    tn_buffer_json_string(members, tn_json_text(run, "id", NULL));
    appendPQExpBufferStr(members, ",\"chat_id\":");
    tn_buffer_json_string(members, tn_json_text(run, "chat_id", NULL));
    if (provider_status != 0)
        appendPQExpBuffer(members, ",\"provider_status\":%d", (int)provider_status);
    error->members = tn_buffer_text(members);
    return error;
}

const tn_error *
tn_answer_read(tn_ctx *c, const char *json, tn_answer *answer)
{
    json_object *value, *run, *content;

    TN_TRY(tn_json_parse(c->arena, json, strlen(json), TN_JSON_DEPTH * 2, &value));
    run = tn_json_get(value, "run");
    content = tn_json_get(tn_json_get(value, "reply"), "content");
    *answer = (tn_answer){
        .json = json,
        .run_id = tn_json_text(run, "id", ""),
        .status = tn_json_text(run, "status", ""),
        .text = content == NULL ? "" : json_object_get_string(content),
        .text_length = content == NULL ? 0 : (size_t)json_object_get_string_len(content),
    };
    if (strcmp(answer->status, "failed") == 0)
        answer->error = read_error(c, run);
    else if (tn_json_get(value, "chat") == NULL)
        answer->error = tn_error_new(c->arena, 404, "chat_not_found", NULL,
                                     "the chat was deleted while it was answered");
    return NULL;
}

const tn_error *
tn_answer_respond(tn_ctx *c, const tn_answer *answer)
{
    return answer->error != NULL ? answer->error : tn_respond_json(c, 200, answer->json);
}

/* --- events ---------------------------------------------------------------------------------- */

void
tn_event_run(tn_ctx *c, const char *answer_json)
{
    (void)tn_sse_event(c->response, "run", "0", answer_json);
}

void
tn_event_delta(tn_ctx *c, tn_arena *scratch, const char *text, size_t length, size_t offset)
{
    PQExpBuffer data = tn_arena_buffer(scratch);

    appendPQExpBufferStr(data, "{\"text\":");
    tn_buffer_json_bytes(data, text, length);
    appendPQExpBufferChar(data, '}');
    (void)tn_sse_event(c->response, "delta", tn_arena_printf(scratch, "%zu", offset),
                       tn_buffer_text(data));
    tn_arena_reset(scratch);
}

static void
send_error(tn_ctx *c, const tn_error *error, size_t total)
{
    tn_response response = {0};

    tn_render_error(c->request, error, c->arena, &response);
    (void)tn_sse_event(c->response, "error", tn_arena_printf(c->arena, "%zu", total + 1),
                       response.body);
}

static void
send_done(tn_ctx *c, const char *run_id, const char *status, size_t total)
{
    PQExpBuffer data = tn_arena_buffer(c->arena);

    appendPQExpBufferStr(data, "{\"run_id\":");
    tn_buffer_json_string(data, run_id);
    appendPQExpBufferStr(data, ",\"status\":");
    tn_buffer_json_string(data, status);
    appendPQExpBufferChar(data, '}');
    (void)tn_sse_event(c->response, "done", tn_arena_printf(c->arena, "%zu", total + 2),
                       tn_buffer_text(data));
}

void
tn_event_end(tn_ctx *c, const tn_answer *answer, size_t total, uint64_t seen)
{
    if (seen <= total && answer->error != NULL)
        send_error(c, answer->error, total);
    else if (seen <= total)
        (void)tn_sse_event(c->response, "message", tn_arena_printf(c->arena, "%zu", total + 1),
                           answer->json);
    /* Also for those who have seen it: a client that comes back after the end must learn that it
     * was. */
    send_done(c, answer->run_id, answer->status, total);
}

void
tn_event_error(tn_ctx *c, const tn_error *error, const char *run_id, size_t total)
{
    send_error(c, error, total);
    send_done(c, run_id, "unknown", total);
}
