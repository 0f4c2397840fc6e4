/* identity/activity.c: one row per request of an agent */
#include "identity/activity.h"

#include "identity/queries.h"

/* What the request was about: what stands in the places of the route's {names}. */
static const char *
describe_target(const tn_ctx *c)
{
    PQExpBuffer text = tn_arena_buffer(c->arena);

    for (size_t i = 0; i < c->match->capture_count; i++)
        appendPQExpBuffer(text, "%s%s", i > 0 ? "/" : "", c->match->captures[i].value);
    return tn_buffer_text(text);
}

static void
append_member(PQExpBuffer text, const char *name, const char *value)
{
    if (value == NULL || *value == '\0')
        return;
    appendPQExpBuffer(text, ",\"%s\":", name);
    tn_buffer_json_string(text, value);
}

static const char *
describe_request(const tn_ctx *c, const tn_error *error)
{
    PQExpBuffer text = tn_arena_buffer(c->arena);

    appendPQExpBuffer(text, "{\"status\":%d", c->response->status);
    append_member(text, "method", c->request->method);
    append_member(text, "route", c->match->route->path);
    append_member(text, "target", describe_target(c));
    append_member(text, "code", error != NULL ? error->code : NULL);
    append_member(text, "request_id", c->request->id);
    appendPQExpBufferChar(text, '}');
    return tn_buffer_text(text);
}

void
tn_activity_record(tn_ctx *c, const tn_error *error)
{
    const tn_principal *who = c->who;
    const char *person = who->user_id.text[0] != '\0' ? who->user_id.text : NULL;
    const tn_error *problem;
    const tn_rows *rows;

    if (who->role != TN_ROLE_AGENT || c->match->route == NULL || c->response->status == 429)
        return;
    problem = tn_tx_worker(
        c, TN_READ_WRITE_ASYNC, &tn_sql_agent_request_record,
        TN_PARAMS(person, describe_request(c, error), tn_request_client_address(c->request)),
        &rows);
    if (problem != NULL)
        tn_log(TN_LOG_ERROR, "identity.activity.lost", TN_STR("request_id", c->request->id),
               TN_STR("agent_id", who->agent_id.text), TN_STR("code", problem->code),
               TN_STR("message", problem->message));
}
