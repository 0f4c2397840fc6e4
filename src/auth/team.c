/* auth/team.c: teams, and the roles that a tenant has for them */
#include "auth/team.h"

#include <string.h>

#include "auth/area.h"
#include "auth/queries.h"
#include "auth/users.h"

#define NAME_MAX_CHARACTERS 100
#define SLUG_MAX 63
#define METADATA_MAX 8192 /* bytes as sent; the database spaces it out and allows twice that */
#define ROLE_MAX 40
#define RANK_MAX 79 /* below admin */

struct team {
    const char *name, *slug;
    json_object *metadata;
    tn_uuid owner_id;
};

static const tn_field team_fields[] = {
    {.name = "name", .offset = offsetof(struct team, name), .max = NAME_MAX_CHARACTERS},
    {.name = "slug", .offset = offsetof(struct team, slug), .max = SLUG_MAX},
    {.name = "metadata", .offset = offsetof(struct team, metadata), .type = TN_FIELD_JSON},
    {.name = "owner_id", .offset = offsetof(struct team, owner_id), .type = TN_FIELD_UUID},
    {.name = NULL},
};

/* --- input ------------------------------------------------------------------------------------ */

/* Small letters, digits and, inside, dashes: it stands in URLs. */
static bool
is_slug(const char *text)
{
    const size_t length = strlen(text);

    return length > 0 && length <= SLUG_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length && text[0] != '-' &&
           text[length - 1] != '-';
}

/* It stands in mails: one line, and something to see in it. */
static bool
is_name(const char *text)
{
    bool is_visible = false;

    for (; *text != '\0'; text++) {
        const unsigned char byte = (unsigned char)*text;

        if (byte < ' ' || byte == 0x7f)
            return false;
        is_visible = is_visible || byte != ' ';
    }
    return is_visible;
}

static const tn_error *
read_team(tn_ctx *c, struct team *in, const char **metadata)
{
    json_object *body;

    *metadata = NULL;
    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, team_fields, in));
    if (in->name != NULL && !is_name(in->name))
        return tn_auth_refuse_input(c, "name is one line of 1 to 100 characters");
    if (in->slug != NULL && !is_slug(in->slug))
        return tn_auth_refuse_input(
            c, "slug is 1 to 63 small letters, digits and, inside, dashes (a-z, 0-9, -)");
    if (in->metadata == NULL)
        return NULL;
    *metadata = tn_json_print(c->arena, in->metadata);
    if (!json_object_is_type(in->metadata, json_type_object) || strlen(*metadata) > METADATA_MAX)
        return tn_auth_refuse_input(c, "metadata is an object of at most 8192 bytes");
    return NULL;
}

static const char *
id_or_null(const tn_uuid *id)
{
    return *id->text == '\0' ? NULL : id->text;
}

/* --- teams ------------------------------------------------------------------------------------ */

/* GET /auth/v1/teams?page=&per_page=&user_id= */
const tn_error *
tn_team_list(tn_ctx *c)
{
    const char *whose = tn_request_query(c->request, "user_id");
    tn_team_caller caller;
    tn_auth_page page;
    tn_uuid person = {""};

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_auth_page_read(c, &page));
    if (whose != NULL && *whose != '\0' && !tn_uuid_parse(whose, &person))
        return tn_auth_refuse_input(c, "user_id must be a UUID");
    return tn_team_respond(
        c, &caller, TN_READ_ONLY, &tn_sql_team_list,
        TN_PARAMS(TN_TEAM_CALLER(caller), id_or_null(&person), page.first, page.most));
}

/* POST /auth/v1/teams */
const tn_error *
tn_team_create(tn_ctx *c)
{
    struct team in = {0};
    tn_team_caller caller;
    const char *metadata;

    TN_TRY(read_team(c, &in, &metadata));
    if (in.name == NULL)
        return tn_auth_refuse_input(c, "name is missing");
    TN_TRY(tn_team_caller_read(c, &caller));
    if (caller.person == NULL && *in.owner_id.text == '\0')
        return tn_auth_refuse_input(c, "owner_id is missing: with a secret key, say whose team");
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_create,
                           TN_PARAMS(TN_TEAM_CALLER(caller), id_or_null(&in.owner_id), in.slug,
                                     in.name, metadata,
                                     tn_arena_number(c->arena, c->config->auth.teams_max)));
}

/* GET /auth/v1/teams/{id} */
const tn_error *
tn_team_read(tn_ctx *c)
{
    tn_team_caller caller;
    tn_uuid team;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    return tn_team_respond(c, &caller, TN_READ_ONLY, &tn_sql_team_read,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text));
}

/* PATCH /auth/v1/teams/{id} */
const tn_error *
tn_team_update(tn_ctx *c)
{
    struct team in = {0};
    tn_team_caller caller;
    const char *metadata;
    tn_uuid team;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    TN_TRY(read_team(c, &in, &metadata));
    return tn_team_respond(
        c, &caller, TN_READ_WRITE, &tn_sql_team_update,
        TN_PARAMS(TN_TEAM_CALLER(caller), team.text, in.slug, in.name, metadata));
}

/* DELETE /auth/v1/teams/{id} */
const tn_error *
tn_team_delete(tn_ctx *c)
{
    tn_team_caller caller;
    tn_uuid team;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(tn_team_path(c, &team));
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_delete,
                           TN_PARAMS(TN_TEAM_CALLER(caller), team.text));
}

/* --- roles ------------------------------------------------------------------------------------ */

static const tn_error *
path_role(tn_ctx *c, const char **role)
{
    const char *text = tn_path_text(c, "name");
    const size_t length = strlen(text);

    if (length > ROLE_MAX || text[0] < 'a' || text[0] > 'z' ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") != length)
        return tn_auth_refuse_input(
            c, "a role is a small letter and up to 39 small letters, digits and underscores");
    *role = text;
    return NULL;
}

/* GET /auth/v1/teams/roles */
const tn_error *
tn_team_role_list(tn_ctx *c)
{
    tn_team_caller caller;

    TN_TRY(tn_team_caller_read(c, &caller));
    return tn_team_respond(c, &caller, TN_READ_ONLY, &tn_sql_team_role_list,
                           TN_PARAMS(TN_TEAM_CALLER(caller)));
}

struct role {
    int64_t rank;
};

static const tn_field role_fields[] = {
    {.name = "rank", .offset = offsetof(struct role, rank), .max = RANK_MAX, .type = TN_FIELD_INT},
    {.name = NULL},
};

/* PUT /auth/v1/teams/roles/{name} */
const tn_error *
tn_team_role_define(tn_ctx *c)
{
    struct role in = {0};
    tn_team_caller caller;
    json_object *body;
    const char *role;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(path_role(c, &role));
    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, role_fields, &in));
    if (in.rank < 1)
        return tn_auth_refuse_input(c, "rank must be a whole number from 1 to 79");
    return tn_team_respond(
        c, &caller, TN_READ_WRITE, &tn_sql_team_role_define,
        TN_PARAMS(TN_TEAM_CALLER(caller), role, tn_arena_number(c->arena, in.rank)));
}

/* DELETE /auth/v1/teams/roles/{name} */
const tn_error *
tn_team_role_delete(tn_ctx *c)
{
    tn_team_caller caller;
    const char *role;

    TN_TRY(tn_team_caller_read(c, &caller));
    TN_TRY(path_role(c, &role));
    return tn_team_respond(c, &caller, TN_READ_WRITE, &tn_sql_team_role_delete,
                           TN_PARAMS(TN_TEAM_CALLER(caller), role));
}
