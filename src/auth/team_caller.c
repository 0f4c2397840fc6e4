/* auth/team_caller.c: who asks for something about a team, and what came of it */
#include <string.h>

#include "auth/area.h"
#include "auth/team.h"

#define RESEND_S 60

enum { OUTCOME, ANSWER };

struct outcome {
    const char *word; /* of the SQL functions */
    int status;
    const char *code; /* NULL: the word */
    const char *message;
    int retry_after_s;
};

static const struct outcome outcomes[] = {
    {"user_not_found", 403, NULL, "User from sub claim in JWT does not exist", 0},
    {"user_banned", 403, NULL, "User is banned", 0},
    {"session_not_found", 403, NULL, "Session from session_id claim in JWT does not exist", 0},
    {"no_authorization", 403, NULL, "Anonymous user not allowed to perform these actions", 0},
    {"not_admin", 403, NULL, "User not allowed", 0},
    {"team_not_found", 404, NULL, "Team not found", 0},
    {"team_role_insufficient", 403, NULL, "Your role in this team does not allow that", 0},
    {"team_slug_taken", 409, NULL, "Another team has this slug", 0},
    {"too_many_teams", 422, NULL, "You own as many teams as one person may", 0},
    {"too_many_team_members", 422, NULL, "The team has as many members as it may", 0},
    {"team_person_not_found", 404, "user_not_found", "User not found", 0},
    {"team_role_not_found", 422, NULL, "There is no such role", 0},
    {"team_role_built_in", 422, NULL, "The roles owner, admin and member cannot be changed", 0},
    {"team_role_in_use", 409, NULL, "Members or invitations have this role", 0},
    {"team_member_not_found", 404, NULL, "Nobody like that is in this team", 0},
    {"team_member_exists", 409, NULL, "That person is in this team already", 0},
    {"team_invitation_not_found", 404, NULL, "There is no such invitation, or it is over", 0},
    {"team_invitation_exists", 409, NULL, "This address has an invitation already", 0},
    {"team_invitation_expired", 410, NULL, "The invitation has expired", 0},
    {"team_invitation_for_another", 403, NULL, "The invitation was sent to another address", 0},
    {"email_not_confirmed", 403, NULL, "Email not confirmed", 0},
    {"over_email_send_rate_limit", 429, NULL, "This invitation has been sent often enough for now",
     RESEND_S},
    {"over_invitation_rate_limit", 429, "over_email_send_rate_limit",
     "You have sent as many invitations as one person may in an hour", 3600},
};

static const tn_error *
refuse_outcome(const tn_ctx *c, const char *word)
{
    for (size_t i = 0; i < TN_COUNT(outcomes); i++)
        if (strcmp(outcomes[i].word, word) == 0) {
            const struct outcome *found = &outcomes[i];
            const char *code = found->code != NULL ? found->code : found->word;
            tn_error *error =
                tn_error_new(c->arena, found->status, code, NULL, "%s", found->message);

            error->retry_after_s = found->retry_after_s;
            return error;
        }
    return tn_error_internal(c->arena, "auth.team.outcome_unknown", "%s", word);
}

const tn_error *
tn_team_caller_read(tn_ctx *c, tn_team_caller *caller)
{
    const tn_principal *who = c->who;

    *caller = (tn_team_caller){.address = tn_request_client_address(c->request)};
    if (who->token_error == NULL && tn_principal_is_service(who))
        return tn_auth_require_admin(c, &caller->tenant);
    TN_TRY(tn_auth_require_person(c));
    caller->tenant = who->tenant_id;
    caller->person = who->user_id.text;
    caller->session = tn_principal_session(who);
    return NULL;
}

const tn_error *
tn_team_query(tn_ctx *c, const tn_team_caller *caller, tn_access access,
              const tn_statement *statement, const char *const *parameters, size_t count,
              const char **answer)
{
    const tn_rows *rows;
    const char *outcome;

    TN_TRY(tn_auth_query(c, &caller->tenant, access, statement, parameters, count, &rows));
    outcome = tn_rows_text(rows, 0, OUTCOME);
    if (strcmp(outcome, "ok") != 0)
        return refuse_outcome(c, outcome);
    *answer = tn_rows_text(rows, 0, ANSWER);
    return NULL;
}

const tn_error *
tn_team_respond(tn_ctx *c, const tn_team_caller *caller, tn_access access,
                const tn_statement *statement, const char *const *parameters, size_t count)
{
    const char *answer = NULL;

    TN_TRY(tn_team_query(c, caller, access, statement, parameters, count, &answer));
    return tn_respond_json(c, 200, answer);
}

/* --- input ------------------------------------------------------------------------------------ */

const tn_error *
tn_team_path(tn_ctx *c, tn_uuid *team)
{
    return tn_uuid_parse(tn_path_text(c, "id"), team) ? NULL : refuse_outcome(c, "team_not_found");
}

const tn_error *
tn_team_path_member(tn_ctx *c, tn_uuid *person)
{
    return tn_uuid_parse(tn_path_text(c, "user_id"), person)
               ? NULL
               : refuse_outcome(c, "team_member_not_found");
}

const tn_error *
tn_team_path_invitation(tn_ctx *c, tn_uuid *invitation)
{
    return tn_uuid_parse(tn_path_text(c, "invitation_id"), invitation)
               ? NULL
               : refuse_outcome(c, "team_invitation_not_found");
}

const tn_error *
tn_team_refuse_input(const tn_ctx *c, const char *message)
{
    return tn_error_new(c->arena, 400, "validation_failed", NULL, "%s", message);
}
