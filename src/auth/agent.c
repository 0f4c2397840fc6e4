/* auth/agent.c: /auth/v1/agents: what people let act for them */
#include "auth/agent.h"
#include "auth/queries.h"
#include "mail/mail.h"

#define ROWS_MAX 200

struct agent {
    const char *name;
    json_object *scopes, *budget;
    int64_t expires_in, rate_per_minute;
    tn_uuid user_id;
    bool has_budget;
};

static const tn_field agent_fields[] = {
    {"name", offsetof(struct agent, name), .max = 200},
    {"scopes", offsetof(struct agent, scopes), .type = TN_FIELD_JSON},
    {"expires_in", offsetof(struct agent, expires_in), .max = INT64_MAX / 2000000,
     .type = TN_FIELD_INT},
    {"rate_per_minute", offsetof(struct agent, rate_per_minute), .max = 1000000,
     .type = TN_FIELD_INT},
    {"budget", offsetof(struct agent, budget), .type = TN_FIELD_JSON,
     .present = offsetof(struct agent, has_budget) + 1},
    {"user_id", offsetof(struct agent, user_id), .type = TN_FIELD_UUID},
    {.name = NULL},
};

/* A number as a parameter; below 0: it was not given. */
static const char *
number_or_null(const tn_ctx *c, int64_t number)
{
    return number >= 0 ? tn_arena_number(c->arena, number) : NULL;
}

static const char *
json_or_null(const tn_ctx *c, json_object *value)
{
    return value != NULL ? tn_json_print(c->arena, value) : NULL;
}

static const char *
text_or_null(const char *text)
{
    return text != NULL && *text != '\0' ? text : NULL;
}

/* What the person is told, since whoever has their session for a moment could keep it that way. */
static const char *
seal_notice(const tn_ctx *c, const tn_agent_caller *caller, const char *name)
{
    PQExpBuffer data = tn_arena_buffer(c->arena);

    appendPQExpBufferStr(data, "{\"name\":");
    tn_buffer_json_string(data, name != NULL ? name : "");
    appendPQExpBufferChar(data, '}');
    return tn_letter_seal(c->config, c->arena, &caller->tenant_id,
                          &(tn_letter){.data = tn_buffer_text(data)});
}

/* POST /auth/v1/agents */
const tn_error *
tn_agent_create(tn_ctx *c)
{
    struct agent in = {.expires_in = -1, .rate_per_minute = -1};
    tn_agent_caller caller;

    TN_TRY(tn_agent_caller_read(c, &caller));
    TN_TRY(tn_body_fields(c, agent_fields, &in));
    if (in.expires_in < 0)
        in.expires_in = c->config->auth.agent_ttl_s < c->config->auth.agent_ttl_max_s
                            ? c->config->auth.agent_ttl_s
                            : c->config->auth.agent_ttl_max_s;
    return tn_agent_answer(
        c, &caller, 201, &tn_sql_agent_create,
        TN_PARAMS(caller.user_id, caller.session_id, text_or_null(in.user_id.text),
                  text_or_null(in.name), json_or_null(c, in.scopes),
                  number_or_null(c, in.expires_in),
                  in.rate_per_minute > 0 ? number_or_null(c, in.rate_per_minute) : NULL,
                  json_or_null(c, in.budget), number_or_null(c, c->config->auth.agent_ttl_max_s),
                  number_or_null(c, c->config->auth.agents_max),
                  tn_request_client_address(c->request), seal_notice(c, &caller, in.name)));
}

/* `limit` and `before` of a list: the last id of the page before, or NULL. */
static const tn_error *
read_page(tn_ctx *c, const char **limit, const char **before)
{
    const char *text = text_or_null(tn_request_query(c->request, "before"));
    int64_t rows = 50;
    tn_uuid id;

    TN_TRY(tn_request_query_int(c->request, c->arena, "limit", 1, ROWS_MAX, &rows));
    if (text != NULL && !tn_uuid_parse(text, &id))
        return tn_auth_refuse_input(c, "before is the last id of the page before");
    *limit = number_or_null(c, rows);
    *before = text;
    return NULL;
}

/* GET /auth/v1/agents?limit=&before= */
const tn_error *
tn_agent_list(tn_ctx *c)
{
    const char *limit, *before;
    tn_agent_caller caller;

    TN_TRY(tn_agent_caller_read(c, &caller));
    TN_TRY(read_page(c, &limit, &before));
    return tn_agent_answer(c, &caller, 200, &tn_sql_agent_list,
                           TN_PARAMS(caller.user_id, caller.session_id, limit, before));
}

/* GET /auth/v1/agents/{id} */
const tn_error *
tn_agent_show(tn_ctx *c)
{
    tn_agent_caller caller;
    tn_uuid id;

    TN_TRY(tn_agent_caller_read(c, &caller));
    TN_TRY(tn_path_uuid(c, "id", &id));
    return tn_agent_answer(c, &caller, 200, &tn_sql_agent_show,
                           TN_PARAMS(caller.user_id, caller.session_id, id.text));
}

/* PATCH /auth/v1/agents/{id} */
const tn_error *
tn_agent_update(tn_ctx *c)
{
    struct agent in = {.expires_in = -1, .rate_per_minute = -1};
    tn_agent_caller caller;
    const char *budget;
    tn_uuid id;

    TN_TRY(tn_agent_caller_read(c, &caller));
    TN_TRY(tn_path_uuid(c, "id", &id));
    TN_TRY(tn_body_fields(c, agent_fields, &in));
    if (in.user_id.text[0] != '\0')
        return tn_auth_refuse_input(c, "for whom an agent acts is never changed");
    budget = in.has_budget && in.budget == NULL ? "null" : json_or_null(c, in.budget);
    return tn_agent_answer(c, &caller, 200, &tn_sql_agent_update,
                           TN_PARAMS(caller.user_id, caller.session_id, id.text,
                                     text_or_null(in.name), json_or_null(c, in.scopes),
                                     number_or_null(c, in.expires_in),
                                     number_or_null(c, in.rate_per_minute), budget,
                                     number_or_null(c, c->config->auth.agent_ttl_max_s),
                                     number_or_null(c, c->config->auth.agents_max),
                                     tn_request_client_address(c->request)));
}

/* DELETE /auth/v1/agents/{id} */
const tn_error *
tn_agent_revoke(tn_ctx *c)
{
    tn_agent_caller caller;
    tn_uuid id;

    TN_TRY(tn_agent_caller_read(c, &caller));
    TN_TRY(tn_path_uuid(c, "id", &id));
    return tn_agent_answer(c, &caller, 200, &tn_sql_agent_revoke,
                           TN_PARAMS(caller.user_id, caller.session_id, id.text,
                                     tn_request_client_address(c->request)));
}

/* GET /auth/v1/agents/{id}/activity?limit=&before= */
const tn_error *
tn_agent_activity(tn_ctx *c)
{
    const char *limit, *before;
    tn_agent_caller caller;
    tn_uuid id;

    TN_TRY(tn_agent_caller_read(c, &caller));
    TN_TRY(tn_path_uuid(c, "id", &id));
    TN_TRY(read_page(c, &limit, &before));
    return tn_agent_answer(c, &caller, 200, &tn_sql_agent_activity,
                           TN_PARAMS(caller.user_id, caller.session_id, id.text, limit, before));
}
