/* auth/totp_factor.c: an authenticator app as second factor */
#include <string.h>

#include "auth/factor.h"
#include "auth/queries.h"
#include "auth/totp.h"
#include "base/clock.h"
#include "base/crypto.h"

/* What a secret is sealed for: this factor of this tenant. */
static const char *
owner_of(const tn_ctx *c, const tn_factor_call *call)
{
    return tn_arena_printf(c->arena, "%s %s", call->tenant->text, call->factor.text);
}

/* "https://app.example.com:8443/x" → "app.example.com:8443" */
static const char *
host_of(tn_arena *arena, const char *url)
{
    const char *begin = strstr(url, "://");

    begin = begin == NULL ? url : begin + 3;
    return tn_arena_bytes(arena, begin, strcspn(begin, "/?#"));
}

static const tn_error *
respond_enrolled(tn_ctx *c, const tn_factor_call *call, const tn_enrolment *in, const char *account,
                 const uint8_t secret[TN_TOTP_SECRET_SIZE])
{
    const char *issuer =
        *in->issuer != '\0' ? in->issuer : host_of(c->arena, tn_auth_site_url(c->config));
    const char *text = tn_totp_secret_text(c->arena, secret);
    const char *uri = tn_totp_uri(c->arena, issuer, account, text);
    const char *picture = tn_totp_qr(c->arena, uri);
    PQExpBuffer body = tn_arena_buffer(c->arena);

    appendPQExpBuffer(body,
                      "{\"id\":\"%s\",\"type\":\"totp\",\"friendly_name\":", call->factor.text);
    tn_buffer_json_string(body, in->name);
    appendPQExpBufferStr(body, ",\"totp\":{\"qr_code\":");
    tn_buffer_json_string(body, picture == NULL ? "" : picture);
    appendPQExpBuffer(body, ",\"secret\":\"%s\",\"uri\":", text);
    tn_buffer_json_string(body, uri);
    appendPQExpBufferStr(body, "}}");
    return tn_respond_json(c, 200, tn_buffer_text(body));
}

const tn_error *
tn_totp_enroll(tn_ctx *c, tn_factor_call *call, const tn_enrolment *in)
{
    tn_enrolment enrolment = *in;
    uint8_t secret[TN_TOTP_SECRET_SIZE];
    const char *account;

    enrolment.phone = NULL;
    tn_random(secret, sizeof(secret));
    TN_TRY(tn_factor_post_enrolment(
        c, call, &enrolment,
        tn_totp_seal(c->arena, tn_auth_of(c)->factor_key, owner_of(c, call), secret), &account));
    return respond_enrolled(c, call, in, account, secret);
}

const tn_error *
tn_totp_challenge(tn_ctx *c, tn_factor_call *call)
{
    int64_t expires_at;

    TN_TRY(tn_factor_post_challenge(c, call, NULL, NULL, NULL, &expires_at));
    return tn_respond_json(c, 200,
                           tn_arena_printf(c->arena,
                                           "{\"id\":\"%s\",\"type\":\"totp\",\"expires_at\":%lld}",
                                           call->challenge.text, (long long)expires_at));
}

const tn_error *
tn_totp_verify(tn_ctx *c, tn_factor_call *call)
{
    uint8_t secret[TN_TOTP_SECRET_SIZE];
    const tn_rows *rows;
    int64_t step;

    if (call->secret == NULL ||
        !tn_totp_open(c->arena, tn_auth_of(c)->factor_key, owner_of(c, call), call->secret, secret))
        return tn_error_internal(c->arena, "auth.totp.secret_unreadable", "%s", call->factor.text);
    step = tn_totp_step(secret, tn_json_text(call->body, "code", ""), tn_clock_unix());
    TN_TRY(tn_factor_ask_hook(c, call, "totp", step >= 0));
    if (step < 0)
        return tn_factor_wrong(c, "Invalid TOTP code entered");

    TN_TRY(tn_auth_query(c, call->tenant, TN_READ_WRITE, &tn_sql_auth_factor_verify,
                         TN_PARAMS(call->person, call->session, call->factor.text,
                                   call->challenge.text, call->address,
                                   tn_arena_number(c->arena, step), call->refresh_hash,
                                   call->refresh_counter, tn_factor_notice(c, call, "totp")),
                         &rows));
    return tn_factor_respond_session(c, call, rows);
}
