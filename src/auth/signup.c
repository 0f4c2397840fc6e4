/* auth/signup.c: POST /auth/v1/signup: how people come to be */
#include <string.h>

#include "auth/area.h"
#include "auth/ask.h"
#include "auth/queries.h"
#include "base/text.h"

enum { SIGN_UP_USER = TN_ASK_MESSAGE + 1, SIGN_UP_CLAIMS };

/* In the order in which upstream complains; `address` is NULL for somebody anonymous. */
static const tn_error *
check_newcomer(const tn_ctx *c, const tn_ask *in, tn_challenge *challenge, const char **address)
{
    *address = NULL;
    *challenge = (tn_challenge){0};
    if (!c->config->auth.signup)
        return tn_error_new(c->arena, 422, "signup_disabled", NULL,
                            "Signups not allowed for this instance");
    if (in->email == NULL && in->phone == NULL)
        return c->config->auth.anonymous
                   ? NULL
                   : tn_error_new(c->arena, 422, "anonymous_provider_disabled", NULL,
                                  "Anonymous sign-ins are disabled");
    if (!tn_text_is_given(in->password))
        return tn_auth_refuse_input(c, "Signup requires a valid password");
    TN_TRY(tn_password_check(c->config, c->arena, in->password));
    if (in->email != NULL && in->phone != NULL)
        return tn_auth_refuse_input(
            c, "Only an email address or phone number should be provided on signup.");
    if (in->phone != NULL && (tn_text_is_given(in->challenge) || tn_text_is_given(in->method)))
        return tn_auth_refuse_input(c, "PKCE not supported for phone signups");
    if (in->phone != NULL)
        TN_TRY(tn_ask_check_channel(c, in));
    TN_TRY(tn_flow_challenge(c, in->challenge, in->method, challenge));
    TN_TRY(tn_ask_check_provider(c, in->phone != NULL, "signups"));
    return tn_ask_address(c, in, address);
}

static const tn_error *
respond_sign_up(tn_ctx *c, const tn_rows *rows, const tn_auth_opening *opening)
{
    const char *outcome = tn_rows_text(rows, 0, TN_ASK_OUTCOME);

    if (strcmp(outcome, "session") == 0)
        return tn_auth_respond_session(c, tn_rows_text(rows, 0, SIGN_UP_CLAIMS),
                                       tn_rows_text(rows, 0, SIGN_UP_USER), opening->token, NULL);
    if (strcmp(outcome, "user") == 0 || strcmp(outcome, "fabricated") == 0)
        return tn_respond_json(c, 200, tn_rows_text(rows, 0, SIGN_UP_USER));
    return tn_ask_respond_failure(c, rows);
}

/* What must be asked before anybody knows whether the address is taken. */
static const tn_error *
admit(tn_ctx *c, const tn_uuid *tenant, const tn_ask *in, const char *address, bool sends)
{
    const bool by_phone = in->phone != NULL;

    if (address == NULL)
        TN_TRY(tn_auth_take_anonymous(c));
    else if (sends)
        TN_TRY(tn_auth_take_message(c, tenant, by_phone ? "sms" : "email"));
    return tn_auth_before_user(c, tenant,
                               tn_auth_user_to_be(c, by_phone ? NULL : address,
                                                  by_phone ? address : NULL,
                                                  address == NULL ? NULL
                                                  : by_phone      ? "phone"
                                                                  : "email",
                                                  in->data));
}

const tn_error *
tn_auth_sign_up(tn_ctx *c)
{
    const tn_auth_opening opening = tn_auth_open(c);
    const char *address, *hash = NULL;
    tn_challenge challenge;
    tn_message message = {0};
    const tn_rows *rows;
    bool by_phone, autoconfirm;
    tn_uuid tenant;
    tn_ask in;

    /* parse */
    TN_TRY(tn_ask_read(c, &in));
    TN_TRY(check_newcomer(c, &in, &challenge, &address));
    by_phone = in.phone != NULL;
    autoconfirm = address == NULL ||
                  (by_phone ? c->config->auth.phone_autoconfirm : c->config->auth.autoconfirm);

    /* authorise */
    TN_TRY(tn_auth_tenant(c, &tenant));
    TN_TRY(admit(c, &tenant, &in, address, !autoconfirm));

    /* hash, with no connection held; also for an address that is taken, which nobody may notice */
    if (address != NULL) {
        TN_TRY(tn_password_hash(c, in.password, &hash));
        message = tn_message_new(c, &tenant, by_phone, address, &challenge, NULL);
    }

    /* SQL: one transaction, one round trip */
    TN_TRY(
        tn_auth_query(c, &tenant, TN_READ_WRITE, &tn_sql_auth_sign_up,
                      TN_PARAMS(TN_MESSAGE(message), hash,
                                in.data != NULL ? tn_json_print(c->arena, in.data) : "{}",
                                autoconfirm ? "true" : "false", opening.id.text, opening.token_hash,
                                opening.user_agent, opening.address, opening.lifetime_s),
                      &rows));
    return respond_sign_up(c, rows, &opening);
}
