/* auth/otp.c: codes and links for those who ask: /otp, /magiclink, /recover, /resend
 *
 * The answer is the same for addresses that somebody has and that nobody has, and so is the work.
 */
#include <string.h>

#include "auth/area.h"
#include "auth/ask.h"
#include "auth/queries.h"
#include "base/text.h"

enum { CHANGE_USER, CHANGE_EMAIL, CHANGE_PHONE };

/* Exactly one address, and a channel that goes with it. */
static const tn_error *
check_one_address(const tn_ctx *c, const tn_ask *in)
{
    if ((in->email != NULL) == (in->phone != NULL))
        return tn_auth_refuse_input(c, "Only an email address or phone number should be provided");
    if (in->email != NULL && tn_text_is_given(in->channel))
        return tn_auth_refuse_input(c, "Channel should only be specified with Phone OTP");
    return tn_ask_check_channel(c, in);
}

/* A request whose address and challenge are good. */
struct asked {
    const char *address;
    bool by_phone;
    tn_challenge challenge;
    tn_uuid tenant;
    tn_message message;
};

static const tn_error *
take(tn_ctx *c, const tn_ask *in, struct asked *asked)
{
    *asked = (struct asked){.by_phone = in->phone != NULL};
    TN_TRY(tn_flow_challenge(c, in->challenge, in->method, &asked->challenge));
    if (asked->by_phone)
        asked->challenge = (tn_challenge){0}; /* a text message has no link */
    TN_TRY(tn_ask_check_provider(c, asked->by_phone, "logins"));
    TN_TRY(tn_ask_address(c, in, &asked->address));
    TN_TRY(tn_auth_tenant(c, &asked->tenant));
    return tn_auth_take_message(c, &asked->tenant, asked->by_phone ? "sms" : "email");
}

static void
prepare(tn_ctx *c, struct asked *asked)
{
    asked->message =
        tn_message_new(c, &asked->tenant, asked->by_phone, asked->address, &asked->challenge, NULL);
}

/* --- to sign in by ---------------------------------------------------------------------------- */

static const tn_error *
send_code(tn_ctx *c, const tn_ask *in)
{
    const bool creates = in->create_user != 0;
    struct asked asked;
    const tn_rows *rows;
    bool autoconfirm;

    TN_TRY(check_one_address(c, in));
    TN_TRY(take(c, in, &asked));
    autoconfirm = asked.by_phone ? c->config->auth.phone_autoconfirm : c->config->auth.autoconfirm;
    if (creates && c->config->auth.signup)
        TN_TRY(
            tn_auth_before_user(c, &asked.tenant,
                                tn_auth_user_to_be(c, asked.by_phone ? NULL : asked.address,
                                                   asked.by_phone ? asked.address : NULL,
                                                   asked.by_phone ? "phone" : "email", in->data)));
    prepare(c, &asked);
    TN_TRY(tn_auth_query(
        c, &asked.tenant, TN_READ_WRITE, &tn_sql_auth_ask_code,
        TN_PARAMS(TN_MESSAGE(asked.message),
                  in->data != NULL ? tn_json_print(c->arena, in->data) : "{}",
                  creates ? "true" : "false", c->config->auth.signup ? "true" : "false",
                  autoconfirm ? "true" : "false", tn_request_client_address(c->request)),
        &rows));
    return tn_ask_respond(c, rows, asked.by_phone);
}

/* POST /auth/v1/otp */
const tn_error *
tn_auth_otp(tn_ctx *c)
{
    tn_ask in;

    TN_TRY(tn_ask_read(c, &in));
    return send_code(c, &in);
}

/* POST /auth/v1/magiclink: the same for e-mail addresses alone, as older clients know it */
const tn_error *
tn_auth_magiclink(tn_ctx *c)
{
    tn_ask in;

    TN_TRY(tn_ask_read(c, &in));
    in.phone = in.channel = NULL;
    if (in.email == NULL)
        return tn_auth_refuse_input(c, "Unable to validate email address: invalid format");
    return send_code(c, &in);
}

/* --- for those who have forgotten their password ---------------------------------------------- */

/* POST /auth/v1/recover */
const tn_error *
tn_auth_recover(tn_ctx *c)
{
    struct asked asked;
    const tn_rows *rows;
    tn_ask in;

    TN_TRY(tn_ask_read(c, &in));
    in.phone = NULL;
    if (in.email == NULL)
        return tn_auth_refuse_input(c, "Password recovery requires an email");
    TN_TRY(take(c, &in, &asked));
    prepare(c, &asked);
    TN_TRY(tn_auth_query(
        c, &asked.tenant, TN_READ_WRITE, &tn_sql_auth_ask_recovery,
        TN_PARAMS(TN_MESSAGE(asked.message), tn_request_client_address(c->request)), &rows));
    return tn_ask_respond(c, rows, false);
}

/* --- once more -------------------------------------------------------------------------------- */

static const struct {
    const char *type;
    bool by_phone, is_change;
} kinds[] = {
    {"signup", false, false},
    {"email_change", false, true},
    {"sms", true, false},
    {"phone_change", true, true},
};

static const tn_error *
find_kind(const tn_ctx *c, const tn_ask *in, bool *is_change)
{
    for (size_t i = 0; i < TN_COUNT(kinds); i++)
        if (tn_text_is_given(in->type) && strcmp(kinds[i].type, in->type) == 0) {
            *is_change = kinds[i].is_change;
            if ((in->email != NULL) == (in->phone != NULL) ||
                (in->phone != NULL) != kinds[i].by_phone)
                return tn_auth_refuse_input(c, kinds[i].by_phone
                                                   ? "Type provided requires a phone number"
                                                   : "Type provided requires an email address");
            return NULL;
        }
    return tn_auth_refuse_input(
        c, "Missing one of these types: signup, email_change, sms, phone_change");
}

/* Letters for a change of address go to an address that only the database knows. When nothing is
 * pending they are made for the one that was given, and go nowhere. */
static const tn_error *
send_change_again(tn_ctx *c, struct asked *asked)
{
    const char *person = NULL, *wanted = NULL;
    const tn_rows *found, *rows;
    tn_message old;

    TN_TRY(tn_auth_query(c, &asked->tenant, TN_READ_ONLY, &tn_sql_auth_change_find,
                         TN_PARAMS(asked->address), &found));
    if (tn_rows_count(found) > 0)
        wanted = tn_rows_text(found, 0, asked->by_phone ? CHANGE_PHONE : CHANGE_EMAIL);
    if (wanted != NULL)
        person = tn_rows_text(found, 0, CHANGE_USER);
    else
        wanted = asked->address;
    asked->message =
        tn_message_new(c, &asked->tenant, asked->by_phone, wanted, &asked->challenge, wanted);
    old = tn_message_new(c, &asked->tenant, asked->by_phone, asked->address, &asked->challenge,
                         wanted);
    TN_TRY(tn_auth_query(c, &asked->tenant, TN_READ_WRITE, &tn_sql_auth_change_again,
                         TN_PARAMS(TN_MESSAGE(asked->message), person,
                                   c->config->auth.secure_email_change ? "true" : "false", old.hash,
                                   old.sealed, tn_request_client_address(c->request)),
                         &rows));
    return tn_ask_respond(c, rows, asked->by_phone);
}

/* POST /auth/v1/resend */
const tn_error *
tn_auth_resend(tn_ctx *c)
{
    struct asked asked;
    const tn_rows *rows;
    bool is_change;
    tn_ask in;

    TN_TRY(tn_ask_read(c, &in));
    TN_TRY(find_kind(c, &in, &is_change));
    TN_TRY(take(c, &in, &asked));
    if (is_change)
        return send_change_again(c, &asked);
    prepare(c, &asked);
    TN_TRY(tn_auth_query(
        c, &asked.tenant, TN_READ_WRITE, &tn_sql_auth_ask_again,
        TN_PARAMS(TN_MESSAGE(asked.message), tn_request_client_address(c->request)), &rows));
    return tn_ask_respond(c, rows, asked.by_phone);
}
