/* data/caller.c: on whose behalf the database is asked */
#include <string.h>

#include "data/error.h"
#include "data/request.h"

static const char *const faults[] = {
    [TN_TOKEN_SOUND] = "JWT invalid",
    [TN_TOKEN_BROKEN] = "JWT invalid",
    [TN_TOKEN_EXPIRED] = "JWT expired",
    [TN_TOKEN_EARLY] = "JWT not yet valid",
    [TN_TOKEN_FROM_FUTURE] = "JWT issued at future",
    [TN_TOKEN_NOT_FOR_US] = "JWT not in audience",
};

/* A bad token in this dialect's words. */
static const tn_error *
bad_token(const tn_ctx *c)
{
    const tn_token_fault fault = c->who->token_fault;
    const tn_error *found = c->who->token_error;
    tn_error *error;

    if (fault == TN_TOKEN_SOUND || fault == TN_TOKEN_BROKEN)
        error = tn_error_new(c->arena, 401, "PGRST301", found->hint, "%s", found->message);
    else
        error = tn_error_new(c->arena, 401, "PGRST303", NULL, "%s", faults[fault]);
    return tn_data_unauthorized(c->arena, error, faults[fault]);
}

static const tn_error *
be_anonymous(tn_data_request *r)
{
    const tn_ctx *c = r->c;
    tn_uuid tenant;

    TN_TRY(tn_principal_default_tenant(c->process, c->arena, &tenant));
    if (tenant.text[0] == '\0')
        return tn_data_unauthorized(c->arena,
                                    tn_error_new(c->arena, 401, "PGRST302",
                                                 "Send the tenant's key in the header apikey.",
                                                 "Anonymous access is disabled"),
                                    NULL);
    r->role = "anon";
    r->tenant_id = tn_arena_text(c->arena, tenant.text);
    r->claims = "{\"role\":\"anon\"}";
    r->is_anonymous = true;
    return NULL;
}

const tn_error *
tn_data_caller(tn_data_request *r)
{
    const tn_principal *who = r->c->who;

    if (who->token_error != NULL)
        return bad_token(r->c);
    if (who->role == TN_ROLE_NONE)
        return be_anonymous(r);
    r->role = who->role_name;
    r->tenant_id = who->tenant_id.text;
    r->claims = who->claims;
    r->is_anonymous = who->role == TN_ROLE_ANON;
    return NULL;
}
