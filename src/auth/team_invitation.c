/* auth/team_invitation.c: asking somebody to join a team, by mail
 *
 * The mail leads to a page of the app's, which sends the token in its query back with the token of
 * whoever is signed in there. The token is 32 random bytes; the database has its SHA-256.
 */

#include "auth/area.h"
#include "auth/one_time.h"
#include "auth/queries.h"
#include "auth/team.h"
#include "auth/users.h"
#include "base/crypto.h"
#include "mail/mail.h"

#define ROLE_MAX 40
#define TOKEN_BYTES 32
#define TOKEN_MAX 200

struct invitation {
    const char *email, *role;
};

static const tn_field invitation_fields[] = {
    {.name = "email", .offset = offsetof(struct invitation, email)},
    {.name = "role", .offset = offsetof(struct invitation, role), .max = ROLE_MAX},
    {.name = NULL},
};

/* GET /auth/v1/teams/{id}/invitations?page=&per_page= */
const tn_error *
tn_team_invitation_list(tn_ctx *c)
{
    tn_team_caller caller;
    tn_auth_page page;
    tn_uuid team;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    TN_TRY(tn_auth_page_read(c, &page));
    return tn_team_respond(c, &caller, TN_READ_ONLY, &tn_sql_team_invitation_list,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text, page.first, page.most));
}

/* --- sending ---------------------------------------------------------------------------------- */

/* What an invitation that is sent needs, as parameters of SQL. */
struct sending {
    const char *token_hash, *sealed;
    const char *members_max, *per_hour, *ttl_s;
};

/* The mail names the team and who invites, so it is asked first, and whether the caller may; what
 * changes meanwhile, the sending transaction sees. Either `role` or `invitation` is given. */
static const tn_error *
prepare_sending(tn_ctx *c, const tn_team_caller *caller, const tn_uuid *team, const char *role,
                const char *invitation, struct sending *sending)
{
    char *token = tn_arena_alloc(c->arena, 2 * TOKEN_BYTES + 1, 1);
    tn_letter letter = {.token = token, .redirect_to = tn_auth_request_redirect(c)};
    uint8_t random[TOKEN_BYTES];

    TN_TRY(tn_team_query(c, caller, TN_READ_ONLY, &tn_sql_team_letter,
                         TN_PARAMS(TN_TEAM_CALLER(*caller), team->text, role, invitation),
                         &letter.data));
    TN_TRY(tn_auth_take_message(c, &caller->tenant, "email"));
    tn_random(random, sizeof(random));
    tn_hex(random, sizeof(random), token);
    *sending = (struct sending){
        .token_hash = tn_one_time_hash_of_token(c->arena, token),
        .sealed = tn_letter_seal(c->config, c->arena, &caller->tenant, &letter),
        .members_max = tn_arena_number(c->arena, c->config->auth.team_members_max),
        .per_hour = tn_arena_number(c->arena, c->config->auth.team_invitations_per_hour),
        .ttl_s = tn_arena_number(c->arena, c->config->auth.team_invitation_ttl_s),
    };
    return NULL;
}

/* POST /auth/v1/teams/{id}/invitations?redirect_to= */
const tn_error *
tn_team_invitation_create(tn_ctx *c)
{
    struct invitation in = {.role = "member"};
    struct sending sending;
    tn_team_caller caller;
    json_object *body;
    const char *email;
    tn_uuid team;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, invitation_fields, &in));
    if (in.email == NULL)
        return tn_auth_refuse_input(c, "email is missing");
    TN_TRY(tn_email_normalise(c->arena, in.email, &email));
    TN_TRY(prepare_sending(c, &caller, &team, in.role, NULL, &sending));
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_invitation_create,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text, email, in.role,
                                     sending.token_hash, sending.sealed, sending.members_max,
                                     sending.per_hour, sending.ttl_s));
}

/* POST /auth/v1/teams/{id}/invitations/{invitation_id}/resend?redirect_to= */
const tn_error *
tn_team_invitation_resend(tn_ctx *c)
{
    struct sending sending;
    tn_team_caller caller;
    tn_uuid team, invitation;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    TN_TRY(tn_team_path_invitation(c, &invitation));
    TN_TRY(prepare_sending(c, &caller, &team, NULL, invitation.text, &sending));
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_invitation_resend,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text, invitation.text,
                                     sending.token_hash, sending.sealed, sending.members_max,
                                     sending.per_hour, sending.ttl_s));
}

/* DELETE /auth/v1/teams/{id}/invitations/{invitation_id} */
const tn_error *
tn_team_invitation_revoke(tn_ctx *c)
{
    tn_team_caller caller;
    tn_uuid team, invitation;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    TN_TRY(tn_team_path_invitation(c, &invitation));
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_invitation_revoke,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text, invitation.text));
}

/* --- answering -------------------------------------------------------------------------------- */

struct answer {
    const char *token;
};

static const tn_field answer_fields[] = {
    {.name = "token", .offset = offsetof(struct answer, token), .max = TOKEN_MAX},
    {.name = NULL},
};

static const tn_error *
read_token_hash(tn_ctx *c, const char **hash)
{
    struct answer in = {0};
    json_object *body;

    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, answer_fields, &in));
    if (in.token == NULL || *in.token == '\0')
        return tn_auth_refuse_input(c, "token is missing");
    *hash = tn_one_time_hash_of_token(c->arena, in.token);
    return NULL;
}

/* POST /auth/v1/teams/invitations/accept */
const tn_error *
tn_team_invitation_accept(tn_ctx *c)
{
    tn_team_caller caller;
    const char *hash;

    TN_TRY(tn_auth_require_person(c));
    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(read_token_hash(c, &hash));
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_invitation_accept,
                           TN_PARAMS(TN_TEAM_CALLER(caller), hash,
                                     tn_arena_number(c->arena, c->config->auth.team_members_max)));
}

/* POST /auth/v1/teams/invitations/decline: with the link alone */
const tn_error *
tn_team_invitation_decline(tn_ctx *c)
{
    tn_team_caller caller = {.address = tn_request_client_address(c->request)};
    const char *hash;

    TN_TRY(tn_auth_tenant(c, &caller.tenant));
    TN_TRY(read_token_hash(c, &hash));
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_invitation_decline,
                           TN_PARAMS(TN_TEAM_CALLER(caller), hash));
}
