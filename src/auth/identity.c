/* auth/identity.c: ways to sign in, added and taken away by the person themselves */
#include <string.h>

#include "auth/queries.h"
#include "auth/users.h"
#include "auth/visitor.h"
#include "mail/mail.h"

/* GET /auth/v1/user/identities/authorize?provider=…&skip_http_redirect=true */
const tn_error *
tn_auth_identity_authorize(tn_ctx *c)
{
    const char *skip = tn_request_query(c->request, "skip_http_redirect");
    PQExpBuffer body = tn_arena_buffer(c->arena);
    const char *url;

    TN_TRY(tn_auth_require_person(c));
    TN_TRY(tn_visit_may_link(c));
    TN_TRY(tn_auth_find_person(c));
    TN_TRY(tn_visit_depart(c, &c->who->tenant_id, c->who->user_id.text, &url));
    if (skip == NULL || strcmp(skip, "true") != 0) {
        tn_response_header(c->response, "Location", url);
        return tn_respond_empty(c, 302);
    }
    appendPQExpBufferStr(body, "{\"url\":");
    tn_buffer_json_string(body, url);
    appendPQExpBufferChar(body, '}');
    return tn_respond_json(c, 200, tn_buffer_text(body));
}

static const tn_error *
refuse(const tn_ctx *c, const char *outcome)
{
    if (strcmp(outcome, "identity_not_found") == 0)
        return tn_error_new(c->arena, 422, "identity_not_found", NULL, "Identity doesn't exist");
    return tn_error_new(c->arena, 422, "single_identity_not_deletable", NULL,
                        "User must have at least 1 identity after unlinking");
}

/* DELETE /auth/v1/user/identities/{identity_id} */
const tn_error *
tn_auth_identity_delete(tn_ctx *c)
{
    const tn_principal *who = c->who;
    const tn_letter letter = {.data = "{}"};
    const char *outcome;
    const tn_rows *rows;
    tn_uuid identity;

    TN_TRY(tn_auth_require_person(c));
    TN_TRY(tn_visit_may_link(c));
    TN_TRY(tn_auth_path_uuid(c, "identity_id", &identity));
    TN_TRY(tn_auth_find_person(c));
    TN_TRY(tn_auth_query(c, &who->tenant_id, TN_READ_WRITE, &tn_sql_identity_unlink,
                         TN_PARAMS(who->user_id.text, identity.text,
                                   tn_letter_seal(c->config, c->arena, &who->tenant_id, &letter),
                                   tn_request_client_address(c->request)),
                         &rows));
    outcome = tn_rows_text(rows, 0, 0);
    if (strcmp(outcome, "done") != 0)
        return refuse(c, outcome);
    return tn_respond_json(c, 200, "{}");
}
