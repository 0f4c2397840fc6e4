/* auth/team_caller.c: who asks for something about a team, and what came of it */
#include <string.h>

#include "auth/area.h"
#include "auth/team.h"

#define RESEND_S 60

enum { OUTCOME, ANSWER };

static const tn_auth_outcome outcomes[] = {
    TN_OUTCOME("user_not_found", 403, "User from sub claim in JWT does not exist"),
    TN_OUTCOME("user_banned", 403, "User is banned"),
    TN_OUTCOME("session_not_found", 403, "Session from session_id claim in JWT does not exist"),
    TN_OUTCOME("no_authorization", 403, "Anonymous user not allowed to perform these actions"),
    TN_OUTCOME("not_admin", 403, "User not allowed"),
    TN_OUTCOME("team_not_found", 404, "Team not found"),
    TN_OUTCOME("team_role_insufficient", 403, "Your role in this team does not allow that"),
    TN_OUTCOME("team_slug_taken", 409, "Another team has this slug"),
    TN_OUTCOME("too_many_teams", 422, "You own as many teams as one person may"),
    TN_OUTCOME("too_many_team_members", 422, "The team has as many members as it may"),
    {"team_person_not_found", 404, "User not found", .code = "user_not_found"},
    TN_OUTCOME("team_role_not_found", 422, "There is no such role"),
    TN_OUTCOME("team_role_built_in", 422, "The roles owner, admin and member cannot be changed"),
    TN_OUTCOME("team_role_in_use", 409, "Members or invitations have this role"),
    TN_OUTCOME("team_member_not_found", 404, "Nobody like that is in this team"),
    TN_OUTCOME("team_member_exists", 409, "That person is in this team already"),
    TN_OUTCOME("team_invitation_not_found", 404, "There is no such invitation, or it is over"),
    TN_OUTCOME("team_invitation_exists", 409, "This address has an invitation already"),
    TN_OUTCOME("team_invitation_expired", 410, "The invitation has expired"),
    TN_OUTCOME("team_invitation_for_another", 403, "The invitation was sent to another address"),
    TN_OUTCOME("email_not_confirmed", 403, "Email not confirmed"),
    {"over_email_send_rate_limit", 429, "This invitation has been sent often enough",
     .retry_after_s = RESEND_S},
    {"over_invitation_rate_limit", 429,
     "You have sent as many invitations as one person may in an hour",
     .code = "over_email_send_rate_limit", .retry_after_s = 3600},
    {.word = NULL},
};

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
        return tn_auth_refuse_by(c, outcomes, outcome);
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
    return tn_uuid_parse(tn_path_text(c, "id"), team)
               ? NULL
               : tn_auth_refuse_by(c, outcomes, "team_not_found");
}

const tn_error *
tn_team_path_member(tn_ctx *c, tn_uuid *person)
{
    return tn_uuid_parse(tn_path_text(c, "user_id"), person)
               ? NULL
               : tn_auth_refuse_by(c, outcomes, "team_member_not_found");
}

const tn_error *
tn_team_path_invitation(tn_ctx *c, tn_uuid *invitation)
{
    return tn_uuid_parse(tn_path_text(c, "invitation_id"), invitation)
               ? NULL
               : tn_auth_refuse_by(c, outcomes, "team_invitation_not_found");
}
