/* auth/ask.c: what somebody says who is to be sent a code or a link, and what is made of it */
#include "auth/ask.h"

#include <string.h>

#include "auth/area.h"
#include "auth/one_time.h"
#include "base/log.h"
#include "base/text.h"
#include "mail/mail.h"

static const tn_field ask_fields[] = {
    {.name = "email", .offset = offsetof(tn_ask, email)},
    {.name = "phone", .offset = offsetof(tn_ask, phone)},
    {.name = "password", .offset = offsetof(tn_ask, password)},
    {.name = "code_challenge", .offset = offsetof(tn_ask, challenge)},
    {.name = "code_challenge_method", .offset = offsetof(tn_ask, method)},
    {.name = "channel", .offset = offsetof(tn_ask, channel)},
    {.name = "type", .offset = offsetof(tn_ask, type)},
    {.name = "data", .offset = offsetof(tn_ask, data), .type = TN_FIELD_JSON},
    {.name = "create_user", .offset = offsetof(tn_ask, create_user), .type = TN_FIELD_BOOL},
    {.name = NULL},
};

const tn_error *
tn_ask_read(tn_ctx *c, tn_ask *in)
{
    json_object *body;

    *in = (tn_ask){.create_user = -1};
    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, ask_fields, in));
    TN_TRY(tn_auth_check_captcha(c, body));
    if (!tn_text_is_given(in->email))
        in->email = NULL;
    if (!tn_text_is_given(in->phone))
        in->phone = NULL;
    if (in->data != NULL && !json_object_is_type(in->data, json_type_object))
        return tn_auth_refuse_input(c, "data must be an object");
    return NULL;
}

const tn_error *
tn_ask_check_provider(const tn_ctx *c, bool by_phone, const char *what)
{
    if (by_phone && !c->config->auth.phone)
        return tn_error_new(c->arena, 400, "phone_provider_disabled", NULL, "Phone %s are disabled",
                            what);
    if (!by_phone && !c->config->auth.email)
        return tn_error_new(c->arena, 400, "email_provider_disabled", NULL, "Email %s are disabled",
                            what);
    return NULL;
}

const tn_error *
tn_ask_check_channel(const tn_ctx *c, const tn_ask *in)
{
    if (tn_text_is_given(in->channel) && strcmp(in->channel, "sms") != 0 &&
        strcmp(in->channel, "whatsapp") != 0)
        return tn_auth_refuse_input(c, "Invalid channel, supported values are 'sms' or 'whatsapp'");
    return NULL;
}

const tn_error *
tn_ask_address(const tn_ctx *c, const tn_ask *in, const char **address)
{
    if (in->phone != NULL)
        return tn_phone_normalise(c->arena, in->phone, address);
    return tn_email_normalise(c->arena, in->email, address);
}

/* --- the message ------------------------------------------------------------------------------ */

tn_message
tn_message_new(tn_ctx *c, const tn_uuid *tenant, bool by_phone, const char *address,
               const tn_challenge *challenge, const char *new_email)
{
    const tn_one_time secret = tn_one_time_new(c, tenant, address);
    const bool has_flow = challenge->challenge != NULL;
    const char *redirect_to = tn_auth_request_redirect(c);
    const tn_letter letter = {
        .code = secret.code,
        .token = has_flow ? tn_arena_printf(c->arena, "pkce_%s", secret.token) : secret.token,
        .redirect_to = redirect_to,
        .new_email = new_email,
    };

    return (tn_message){
        .channel = by_phone ? "sms" : "email",
        .address = address,
        .hash = secret.hash,
        .sealed = tn_letter_seal(c->config, c->arena, tenant, &letter),
        .lifetime_s = tn_arena_number(c->arena, by_phone ? c->config->auth.sms_otp_ttl_s
                                                         : c->config->auth.otp_ttl_s),
        .interval_s = tn_arena_number(c->arena, by_phone ? c->config->auth.sms_interval_s
                                                         : c->config->auth.mail_interval_s),
        .challenge = *challenge,
        .redirect_to = redirect_to,
    };
}

/* --- the answer ------------------------------------------------------------------------------- */

/* What people's triggers and constraints said goes the way of all such errors (error.c); faults
 * that are none of the app's are not shown. */
static const tn_error *
refuse_by_database(tn_ctx *c, const char *failure)
{
    const tn_error *error;
    tn_db_problem problem;

    TN_TRY(tn_ask_read_failure(c, failure, &problem));
    error = tn_auth_wants_new_form(c->request) ? NULL : tn_auth_apps_error(c->arena, &problem);
    return error != NULL ? error
                         : tn_error_new(c->arena, 500, "unexpected_failure", NULL,
                                        "Database error saving new user");
}

const tn_error *
tn_ask_read_failure(tn_ctx *c, const char *failure, tn_db_problem *problem)
{
    json_object *object = NULL;

    TN_TRY(tn_json_parse(c->arena, failure, strlen(failure), TN_JSON_DEPTH, &object));
    *problem = (tn_db_problem){
        .sqlstate = tn_json_text(object, "code", ""),
        .message = tn_json_text(object, "message", NULL),
        .detail = tn_json_text(object, "detail", NULL),
        .hint = tn_json_text(object, "hint", NULL),
    };
    tn_log(TN_LOG_WARN, "auth.sign_up.refused_by_database", TN_STR("request_id", c->request->id),
           TN_STR("sqlstate", problem->sqlstate), TN_STR("cause", problem->message));
    return NULL;
}

static const tn_error *
refuse_haste(const tn_ctx *c, const char *code, const char *failure)
{
    json_object *object = NULL;
    tn_error *error;
    int64_t seconds;

    TN_TRY(tn_json_parse(c->arena, failure, strlen(failure), TN_JSON_DEPTH, &object));
    seconds = tn_json_int(object, "seconds", 60);
    error = tn_error_new(c->arena, 429, code, NULL,
                         "For security purposes, you can only request this after %lld seconds.",
                         (long long)seconds);
    error->retry_after_s = (int)seconds;
    return error;
}

const tn_error *
tn_ask_respond_failure(tn_ctx *c, const tn_rows *rows)
{
    const char *outcome = tn_rows_text(rows, 0, TN_ASK_OUTCOME);
    const char *failure = tn_rows_text(rows, 0, TN_ASK_FAILURE);

    if (tn_text_starts(outcome, "over_"))
        return refuse_haste(c, outcome, failure);
    if (strcmp(outcome, "database_error") == 0)
        return refuse_by_database(c, failure);
    if (strcmp(outcome, "user_already_exists") == 0)
        return tn_error_new(c->arena, 422, "user_already_exists", NULL, "User already registered");
    if (strcmp(outcome, "otp_disabled") == 0)
        return tn_error_new(c->arena, 422, "otp_disabled", NULL, "Signups not allowed for otp");
    return tn_error_internal(c->arena, "auth.ask.outcome_unknown", "%s", outcome);
}

const tn_error *
tn_ask_respond(tn_ctx *c, const tn_rows *rows, bool by_phone)
{
    if (strcmp(tn_rows_text(rows, 0, TN_ASK_OUTCOME), "sent") != 0)
        return tn_ask_respond_failure(c, rows);
    return tn_respond_json(c, 200,
                           by_phone ? tn_arena_printf(c->arena, "{\"message_id\":\"%s\"}",
                                                      tn_rows_text(rows, 0, TN_ASK_MESSAGE))
                                    : "{}");
}
