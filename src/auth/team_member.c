/* auth/team_member.c: who is in a team, and as what */
#include "auth/area.h"
#include "auth/queries.h"
#include "auth/team.h"
#include "auth/users.h"

#define ROLE_MAX 40

struct member {
    tn_uuid user_id;
    const char *role;
};

static const tn_field member_fields[] = {
    {.name = "user_id", .offset = offsetof(struct member, user_id), .type = TN_FIELD_UUID},
    {.name = "role", .offset = offsetof(struct member, role), .max = ROLE_MAX},
    {.name = NULL},
};

/* GET /auth/v1/teams/{id}/members?page=&per_page= */
const tn_error *
tn_team_member_list(tn_ctx *c)
{
    tn_team_caller caller;
    tn_auth_page page;
    tn_uuid team;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    TN_TRY(tn_auth_page_read(c, &page));
    return tn_team_respond(c, &caller, TN_READ_ONLY, &tn_sql_team_member_list,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text, page.first, page.most));
}

/* POST /auth/v1/teams/{id}/members: without an invitation, with the secret key only */
const tn_error *
tn_team_member_add(tn_ctx *c)
{
    struct member in = {.role = "member"};
    tn_team_caller caller;
    json_object *body;
    tn_uuid team;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, member_fields, &in));
    if (*in.user_id.text == '\0')
        return tn_auth_refuse_input(c, "user_id is missing");
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_member_add,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text, in.user_id.text, in.role,
                                     tn_arena_number(c->arena, c->config->auth.team_members_max)));
}

/* PATCH /auth/v1/teams/{id}/members/{user_id} */
const tn_error *
tn_team_member_update(tn_ctx *c)
{
    struct member in = {.role = NULL};
    tn_team_caller caller;
    json_object *body;
    tn_uuid team, person;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    TN_TRY(tn_team_path_member(c, &person));
    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, member_fields, &in));
    if (in.role == NULL)
        return tn_auth_refuse_input(c, "role is missing");
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_member_update,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text, person.text, in.role));
}

/* DELETE /auth/v1/teams/{id}/members/{user_id} */
const tn_error *
tn_team_member_delete(tn_ctx *c)
{
    tn_team_caller caller;
    tn_uuid team, person;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    TN_TRY(tn_team_path_member(c, &person));
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_member_delete,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text, person.text));
}

/* POST /auth/v1/teams/{id}/leave */
const tn_error *
tn_team_leave(tn_ctx *c)
{
    tn_team_caller caller;
    tn_uuid team;

    TN_TRY(tn_auth_require_person(c));
    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_member_delete,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text, caller.person));
}
