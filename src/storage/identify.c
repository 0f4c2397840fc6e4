/* storage/identify.c: who is calling where a key may be missing */
#include <string.h>

#include "identity/key.h"
#include "storage/area.h"
#include "storage/signed.h"

#define RESUMABLE "/storage/v1/upload/resumable/"

static const tn_principal nobody = {
    .role = TN_ROLE_NONE, .role_name = "none", .claims = "{\"role\":\"anon\"}", .scopes = ""};

/* The tenant's own state counts for tokens too: a suspended one serves nothing. */
static const tn_error *
find_tenant(const tn_process *process, tn_arena *arena, const char *name, tn_uuid *id)
{
    TN_TRY(tn_keys_tenant(process->keys, arena, name, id));
    if (id->text[0] == '\0')
        return tn_error_new(arena, 400, "validation_failed", NULL, "there is no such tenant");
    return NULL;
}

/* One place for each route: who calls and what may be done are read from the same token. */
static const char *
token_of(const tn_route *route, const tn_request *request)
{
    if (strncmp(route->path, RESUMABLE, strlen(RESUMABLE)) == 0)
        return tn_request_header(request, "x-signature");
    return tn_request_query(request, "token");
}

const tn_error *
tn_storage_signed(tn_ctx *c, const char *scope, const char *bucket, const char *name,
                  tn_signed *what)
{
    return tn_signed_check(c->arena, c->config, token_of(c->match->route, c->request),
                           &c->who->tenant_id, scope, bucket, name, what);
}

const char *
tn_storage_subject(tn_ctx *c)
{
    json_object *claims = NULL;
    const char *subject;

    if (c->who->claims == NULL || tn_json_parse(c->arena, c->who->claims, strlen(c->who->claims),
                                                TN_JSON_DEPTH, &claims) != NULL)
        return NULL;
    subject = tn_json_text(claims, "sub", NULL);
    return subject != NULL && *subject != '\0' ? subject : NULL;
}

static const tn_error *
identify_signed(const tn_process *process, const tn_route *route, const tn_request *request,
                tn_arena *arena, tn_principal *who)
{
    tn_signed what;

    *who = nobody;
    TN_TRY(tn_signed_read(arena, process->config, token_of(route, request), &what));
    return find_tenant(process, arena, what.tenant_id.text, &who->tenant_id);
}

/* A key or a token that is bad is none, as long as the database has been able to say so. */
static const tn_error *
identify_if_given(const tn_process *process, const tn_area *area, const tn_request *request,
                  tn_arena *arena, tn_principal *who)
{
    const tn_error *error = tn_principal_identify(process, area, request, arena, who);
    const tn_uuid tenant = who->tenant_id;

    if (error != NULL && error->status >= 500)
        return error;
    if (error != NULL || who->token_error != NULL || who->role == TN_ROLE_NONE) {
        *who = nobody;
        if (error == NULL)
            who->tenant_id = tenant;
    }
    return NULL;
}

static const tn_error *
identify_public(const tn_process *process, const tn_area *area, const tn_request *request,
                tn_arena *arena, tn_principal *who)
{
    const char *name = tn_request_query(request, "tenant");

    TN_TRY(identify_if_given(process, area, request, arena, who));
    if (who->role != TN_ROLE_NONE)
        return NULL;
    if (name != NULL)
        return find_tenant(process, arena, name, &who->tenant_id);
    if (who->tenant_id.text[0] != '\0')
        return NULL;
    return tn_principal_default_tenant(process, arena, &who->tenant_id);
}

/* A segment of the path is `sign`. */
static bool
is_signed(const tn_route *route)
{
    const char *found = strstr(route->path, "/sign");

    return found != NULL && (found[5] == '/' || found[5] == '\0');
}

const tn_error *
tn_storage_identify(const tn_process *process, const tn_area *area, const tn_route *route,
                    const tn_request *request, tn_arena *arena, tn_principal *who)
{
    const bool needs_no_key = route != NULL && (route->roles & TN_ROLE_NONE) != 0;

    if (!needs_no_key)
        return tn_principal_identify(process, area, request, arena, who);
    if (is_signed(route))
        return identify_signed(process, route, request, arena, who);
    return identify_public(process, area, request, arena, who);
}
