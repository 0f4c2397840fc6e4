/* auth/caller.c: whose tenant, which person, and what they sent */
#include <string.h>

#include "auth/area.h"
#include "auth/queries.h"
#include "identity/key.h"

enum { PERSON_OBJECT, PERSON_IS_BANNED, PERSON_IS_LIVE };

const tn_error *
tn_auth_tenant(tn_ctx *c, tn_uuid *tenant)
{
    *tenant = c->who->tenant_id;
    if (tenant->text[0] == '\0')
        TN_TRY(tn_principal_default_tenant(c->process, c->arena, tenant));
    if (tenant->text[0] == '\0')
        return tn_error_new(c->arena, 401, "no_authorization",
                            "Send the tenant's key in the header apikey.",
                            "No API key found in request");
    return NULL;
}

static const tn_error *
bad_subject(const tn_ctx *c)
{
    if (c->who->subject_malformed)
        return tn_error_new(c->arena, 400, "bad_jwt", NULL,
                            "invalid JWT: invalid claim: sub claim must be a UUID");
    return tn_error_new(c->arena, 403, "bad_jwt", NULL,
                        "invalid JWT: invalid claim: missing sub claim");
}

const tn_error *
tn_auth_public_tenant(tn_ctx *c, tn_uuid *tenant)
{
    const char *text = tn_request_query(c->request, "apikey");
    tn_key key;

    if (c->who->tenant_id.text[0] != '\0' || text == NULL || *text == '\0')
        return tn_auth_tenant(c, tenant);
    TN_TRY(tn_keys_find(c->process->keys, c->arena, text, &key));
    *tenant = key.tenant_id;
    return tenant->text[0] != '\0' ? NULL : tn_auth_tenant(c, tenant);
}

/* There is one audience per server; clients may name it. */
static const tn_error *
check_audience(const tn_ctx *c)
{
    const char *wanted = tn_request_header(c->request, "x-jwt-aud");

    if (!c->who->audience_foreign &&
        (wanted == NULL || *wanted == '\0' || strcmp(wanted, c->config->auth.audience) == 0))
        return NULL;
    return tn_auth_refuse_input(c, "Token audience doesn't match request audience");
}

/* Accounts, agents and keys are people's business, whatever an agent's scopes are. */
static const tn_error *
refuse_agents(const tn_ctx *c)
{
    if (c->who->role != TN_ROLE_AGENT)
        return NULL;
    return tn_error_new(c->arena, 403, "agent_not_allowed", NULL,
                        "Agents may not do this, whatever their scopes");
}

const tn_error *
tn_auth_require_person(tn_ctx *c)
{
    const tn_error *problem = c->who->token_error;

    TN_TRY(refuse_agents(c));
    if (tn_principal_bearer(c->request, c->arena) == NULL)
        return tn_error_new(c->arena, 401, "no_authorization", NULL,
                            "This endpoint requires a valid Bearer token");
    if (problem != NULL && strcmp(problem->code, "bad_jwt") == 0)
        return tn_error_new(c->arena, 403, "bad_jwt", NULL, "%s", problem->message);
    if (problem != NULL)
        return problem;
    if (c->who->user_id.text[0] == '\0')
        return bad_subject(c);
    return check_audience(c);
}

/* An admin who is a person (auth.users.role) is one only as long as they are signed in. */
static const tn_error *
check_admin_session(tn_ctx *c)
{
    const tn_principal *who = c->who;
    const tn_rows *rows;

    if (who->session_id.text[0] == '\0')
        return NULL;
    TN_TRY(tn_auth_query(c, &who->tenant_id, TN_READ_ONLY, &tn_sql_auth_person_check,
                         TN_PARAMS(who->user_id.text, who->session_id.text), &rows));
    if (tn_rows_count(rows) == 1 && !tn_rows_bool(rows, 0, PERSON_IS_BANNED) &&
        tn_rows_bool(rows, 0, PERSON_IS_LIVE))
        return NULL;
    return tn_error_new(c->arena, 403, "session_expired", NULL,
                        "The session of this token is over");
}

const tn_error *
tn_auth_require_admin(tn_ctx *c, tn_uuid *tenant)
{
    if (c->who->token_error != NULL)
        return tn_auth_require_person(c);
    if (c->who->role == TN_ROLE_NONE ||
        (c->who->role == TN_ROLE_ANON && tn_principal_bearer(c->request, c->arena) == NULL))
        return tn_error_new(c->arena, 401, "no_authorization",
                            "Send the tenant's secret key as bearer token.",
                            "This endpoint requires a valid Bearer token");
    TN_TRY(refuse_agents(c));
    if (!tn_principal_is_service(c->who))
        return tn_error_new(c->arena, 403, "not_admin", NULL, "User not allowed");
    TN_TRY(check_admin_session(c));
    return tn_auth_tenant(c, tenant);
}

const tn_error *
tn_auth_check_person(tn_ctx *c, const tn_rows *rows)
{
    if (tn_rows_count(rows) == 0)
        return tn_error_new(c->arena, 403, "user_not_found", NULL,
                            "User from sub claim in JWT does not exist");
    if (tn_rows_bool(rows, 0, PERSON_IS_BANNED))
        return tn_error_new(c->arena, 403, "user_banned", NULL, "User is banned");
    if (!tn_rows_bool(rows, 0, PERSON_IS_LIVE))
        return tn_error_new(c->arena, 403, "session_not_found", NULL,
                            "Session from session_id claim in JWT does not exist");
    return NULL;
}

const tn_error *
tn_auth_find_person(tn_ctx *c)
{
    const tn_rows *rows;

    TN_TRY(tn_auth_require_person(c));
    TN_TRY(tn_auth_query(c, &c->who->tenant_id, TN_READ_ONLY, &tn_sql_auth_person_check,
                         TN_PARAMS(c->who->user_id.text, tn_principal_session(c->who)), &rows));
    return tn_auth_check_person(c, rows);
}

const tn_error *
tn_auth_body(tn_ctx *c, json_object **body)
{
    if (c->request->body_length == 0)
        return tn_error_new(c->arena, 400, "bad_json", NULL,
                            "Could not parse request body as JSON: it is empty");
    return tn_body_object(c, body);
}

const tn_error *
tn_auth_query(tn_ctx *c, const tn_uuid *tenant, tn_access access, const tn_statement *statement,
              const char *const *parameters, size_t count, const tn_rows **rows)
{
    const tn_query query = {
        .statement = statement, .parameters = parameters, .parameter_count = count};
    tn_db_context context = tn_ctx_db_as(c, "tenon_worker");

    context.tenant_id = tenant->text;
    context.settings = access == TN_READ_ONLY ? NULL : tn_auth_settings_of_transaction(c->config);
    return tn_db_run(c->process->db, c->arena, &context, access, &query, 1, rows);
}
