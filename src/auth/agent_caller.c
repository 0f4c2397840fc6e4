/* auth/agent_caller.c: who manages agents, and what came of it */
#include <string.h>

#include "auth/agent.h"

enum { OUTCOME, RESULT, MESSAGE };

const tn_error *
tn_agent_caller_read(tn_ctx *c, tn_agent_caller *caller)
{
    *caller = (tn_agent_caller){0};
    if (c->who->token_error == NULL && tn_principal_is_service(c->who))
        return tn_auth_require_admin(c, &caller->tenant_id);
    TN_TRY(tn_auth_require_person(c));
    caller->tenant_id = c->who->tenant_id;
    caller->user_id = c->who->user_id.text;
    caller->session_id = tn_principal_session(c->who);
    return NULL;
}

static const tn_auth_outcome outcomes[] = {
    TN_OUTCOME("user_not_found", 403, "User from sub claim in JWT does not exist"),
    TN_OUTCOME("user_banned", 403, "User is banned"),
    TN_OUTCOME("session_not_found", 403, "Session from session_id claim in JWT does not exist"),
    TN_OUTCOME("no_authorization", 403, "Anonymous user not allowed to perform these actions"),
    TN_OUTCOME("insufficient_aal", 403, "AAL2 session is required to make or change agents"),
    TN_OUTCOME("not_admin", 403, "Only a secret key makes agents for others"),
    TN_OUTCOME("too_many_agents", 422, "You have as many agents as one person may"),
    TN_OUTCOME("agent_not_found", 404, "There is no such agent"),
    TN_OUTCOME("agent_revoked", 409, "This agent has been revoked"),
    TN_OUTCOME("agent_scopes_too_wide", 422, "A key has no scopes that its agent does not have"),
    TN_OUTCOME("too_many_agent_keys", 422, "This agent has as many keys as one may"),
    TN_OUTCOME("agent_key_not_found", 404, "This agent has no such key in force"),
    {.word = NULL},
};

static const tn_error *
refuse_outcome(const tn_ctx *c, const tn_agent_caller *caller, const tn_rows *rows)
{
    const char *word = tn_rows_text(rows, 0, OUTCOME);

    if (strcmp(word, "validation_failed") == 0)
        return tn_error_new(c->arena, 400, word, NULL, "%s", tn_rows_text(rows, 0, MESSAGE));
    if (strcmp(word, "user_not_found") == 0 && caller->user_id == NULL)
        return tn_error_new(c->arena, 404, word, NULL, "User not found");
    return tn_auth_refuse_by(c, outcomes, word);
}

const tn_error *
tn_agent_answer(tn_ctx *c, const tn_agent_caller *caller, int status, const tn_statement *statement,
                const char *const *parameters, size_t count)
{
    const tn_rows *rows;
    const char *result;

    TN_TRY(
        tn_auth_query(c, &caller->tenant_id, TN_READ_WRITE, statement, parameters, count, &rows));
    if (tn_rows_text(rows, 0, OUTCOME) != NULL)
        return refuse_outcome(c, caller, rows);
    result = tn_rows_text(rows, 0, RESULT);
    if (caller->extra != NULL)
        result =
            tn_arena_printf(c->arena, "%.*s,%s}", (int)strlen(result) - 1, result, caller->extra);
    return tn_respond_json(c, status, result);
}
