/* auth/authorize.c: GET /auth/v1/authorize: a browser leaves for a provider */
#include <string.h>

#include "auth/flow.h"
#include "auth/queries.h"
#include "auth/visitor.h"

#define NONCE_MAX 256
#define INVITE_MAX 512

/* A value of the query; empty is absent. */
static const char *
take(const tn_ctx *c, const char *name)
{
    const char *value = tn_request_query(c->request, name);

    return value != NULL && *value != '\0' ? value : NULL;
}

/* An app may bring the nonce that it will look for in the id token. */
static const tn_error *
new_request(const tn_ctx *c, tn_oauth_request *request)
{
    const char *nonce = take(c, "nonce");

    if (nonce != NULL && strlen(nonce) > NONCE_MAX)
        return tn_auth_refuse_input(c, "nonce is too long");
    *request = tn_oauth_request_new(c->arena, nonce);
    return NULL;
}

const tn_error *
tn_visit_depart(tn_ctx *c, const tn_uuid *tenant, const char *target, const char **url)
{
    const char *name = take(c, "provider"), *invite = take(c, "invite_token");
    tn_oauth_departure departure = {
        .callback_url = tn_visit_callback_url(c),
        .state = "", /* until the flow has begun */
        .scopes = take(c, "scopes"),
        .extras = c->request->query,
        .extra_count = c->request->query_count,
    };
    tn_oauth_provider provider;
    tn_oauth_request request;
    tn_challenge challenge;
    const tn_rows *rows;

    if (name == NULL)
        return tn_auth_refuse_input(c, "Unsupported provider: missing provider");
    if (invite != NULL && strlen(invite) > INVITE_MAX)
        return tn_auth_refuse_input(c, "invite_token is too long");
    TN_TRY(tn_flow_challenge(c, take(c, "code_challenge"), take(c, "code_challenge_method"),
                             &challenge));
    TN_TRY(tn_oauth_open(tn_auth_of(c)->oauth, c->arena, name, &provider));
    TN_TRY(new_request(c, &request));
    departure.request = &request;
    /* what is wrong with the request is said before anything is written */
    TN_TRY(tn_oauth_authorize_url(&provider, c->arena, &departure, url));
    TN_TRY(tn_auth_query(
        c, tenant, TN_READ_WRITE, &tn_sql_visitor_depart,
        TN_PARAMS(name, challenge.challenge, challenge.method, tn_auth_request_redirect(c),
                  tn_flow_seal(c, tenant, tn_oauth_request_pack(c->arena, &request)), target,
                  invite),
        &rows));
    departure.state = tn_rows_text(rows, 0, 0);
    return tn_oauth_authorize_url(&provider, c->arena, &departure, url);
}

/* GET /auth/v1/authorize?provider=&redirect_to=&scopes=&code_challenge=… */
const tn_error *
tn_auth_authorize(tn_ctx *c)
{
    tn_uuid tenant;
    const char *url;

    TN_TRY(tn_auth_public_tenant(c, &tenant));
    TN_TRY(tn_visit_depart(c, &tenant, NULL, &url));
    tn_response_header(c->response, "Location", url);
    return tn_respond_empty(c, 302);
}
