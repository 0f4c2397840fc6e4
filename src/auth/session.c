/* auth/session.c: sessions opened, shown and ended */
#include <string.h>

#include "auth/area.h"
#include "auth/queries.h"
#include "base/clock.h"
#include "identity/token.h"

tn_auth_opening
tn_auth_open(const tn_ctx *c)
{
    const tn_refresh_token first = {.session_id = tn_uuid_new(), .counter = 0};
    const char *token = tn_refresh_token_make(c->arena, tn_auth_of(c)->refresh_key, &first);

    return (tn_auth_opening){
        .id = first.session_id,
        .token = token,
        .token_hash = tn_refresh_token_hash(c->arena, token),
        .user_agent = tn_request_header(c->request, "user-agent"),
        .address = tn_request_client_address(c->request),
        .lifetime_s = tn_arena_number(c->arena, c->config->auth.session_ttl_s),
    };
}

/* `claims` is an object that PostgreSQL wrote; ours go in front. */
static const char *
complete_claims(const tn_ctx *c, const char *claims, int64_t issued_at, int64_t expires_at)
{
    PQExpBuffer text = tn_arena_buffer(c->arena);

    appendPQExpBufferStr(text, "{\"iss\":");
    tn_buffer_json_string(text, tn_auth_of(c)->issuer);
    appendPQExpBufferStr(text, ",\"aud\":");
    tn_buffer_json_string(text, c->config->auth.audience);
    appendPQExpBuffer(text, ",\"iat\":%lld,\"exp\":%lld,%s", (long long)issued_at,
                      (long long)expires_at, claims + 1);
    return tn_buffer_text(text);
}

const tn_error *
tn_auth_sign_session(tn_ctx *c, const char *claims, tn_auth_signed *session)
{
    const int64_t now = tn_clock_unix();

    if (claims == NULL) /* its session was gone before it could be described */
        return tn_error_internal(c->arena, "auth.session.claims_missing", "no claims");
    session->lifetime_s = c->config->auth.jwt_ttl_s;
    session->expires_at = now + session->lifetime_s;
    claims = complete_claims(c, claims, now, session->expires_at);
    TN_TRY(tn_auth_customise_claims(c, &claims));
    return tn_tokens_sign(c->process->tokens, c->arena, claims, &session->token);
}

const tn_error *
tn_auth_respond_session(tn_ctx *c, const char *claims, const char *user, const char *refresh_token,
                        const char *members)
{
    PQExpBuffer body = tn_arena_buffer(c->arena);
    tn_auth_signed session;

    TN_TRY(tn_auth_sign_session(c, claims, &session));
    appendPQExpBuffer(body,
                      "{\"access_token\":\"%s\",\"token_type\":\"bearer\",\"expires_in\":%lld,"
                      "\"expires_at\":%lld,\"refresh_token\":\"%s\",\"user\":%s",
                      session.token, (long long)session.lifetime_s, (long long)session.expires_at,
                      refresh_token, user);
    if (members != NULL)
        appendPQExpBuffer(body, ",%s", members);
    appendPQExpBufferChar(body, '}');
    return tn_respond_json(c, 200, tn_buffer_text(body));
}

/* POST /auth/v1/logout?scope=global|local|others */
const tn_error *
tn_auth_logout(tn_ctx *c)
{
    const tn_principal *who = c->who;
    const char *scope = tn_request_query(c->request, "scope");
    const char *session = tn_principal_session(who);
    const tn_rows *rows;

    TN_TRY(tn_auth_require_person(c));
    if (scope == NULL || *scope == '\0')
        scope = "global";
    if (strcmp(scope, "global") != 0 && strcmp(scope, "local") != 0 && strcmp(scope, "others") != 0)
        return tn_auth_refuse_input(c,
                                    "Unsupported logout scope: expected global, local or others");
    TN_TRY(tn_auth_query(
        c, &who->tenant_id, TN_READ_WRITE, &tn_sql_auth_logout,
        TN_PARAMS(who->user_id.text, session, scope, tn_request_client_address(c->request)),
        &rows));
    TN_TRY(tn_auth_check_person(c, rows));
    return tn_respond_empty(c, 204);
}
