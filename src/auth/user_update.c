/* auth/user_update.c: what people change about their own account */
#include <string.h>

#include "auth/account.h"
#include "auth/area.h"
#include "auth/ask.h"
#include "auth/queries.h"
#include "auth/users.h"
#include "base/text.h"
#include "mail/mail.h"

enum { UPDATE_OUTCOME, UPDATE_USER };

struct change {
    const char *email, *phone, *password, *current_password, *nonce, *challenge, *method;
    json_object *data, *app_metadata;
};

static const tn_field change_fields[] = {
    {.name = "email", .offset = offsetof(struct change, email)},
    {.name = "phone", .offset = offsetof(struct change, phone)},
    {.name = "password", .offset = offsetof(struct change, password)},
    {.name = "current_password", .offset = offsetof(struct change, current_password)},
    {.name = "nonce", .offset = offsetof(struct change, nonce)},
    {.name = "code_challenge", .offset = offsetof(struct change, challenge)},
    {.name = "code_challenge_method", .offset = offsetof(struct change, method)},
    {.name = "data", .offset = offsetof(struct change, data), .type = TN_FIELD_JSON},
    {.name = "app_metadata",
     .offset = offsetof(struct change, app_metadata),
     .type = TN_FIELD_JSON},
    {.name = NULL},
};

/* --- input ------------------------------------------------------------------------------------ */

/* Addresses and numbers come out normalised, and NULL where nothing is said of them. */
static const tn_error *
read_change(tn_ctx *c, struct change *in, tn_challenge *challenge)
{
    json_object *body;

    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, change_fields, in));
    TN_TRY(tn_flow_challenge(c, in->challenge, in->method, challenge));
    if (in->data != NULL && !json_object_is_type(in->data, json_type_object))
        return tn_auth_refuse_input(c, "data must be an object");
    if (in->app_metadata != NULL)
        return tn_error_new(c->arena, 403, "not_admin", NULL,
                            "Updating app_metadata requires admin privileges");
    if (tn_text_is_given(in->email))
        TN_TRY(tn_email_normalise(c->arena, in->email, &in->email));
    else
        in->email = NULL;
    if (tn_text_is_given(in->phone))
        TN_TRY(tn_phone_normalise(c->arena, in->phone, &in->phone));
    else
        in->phone = NULL;
    return NULL;
}

/* What is as it was is no change. */
static void
leave_out_the_same(struct change *in, const tn_account *account)
{
    if (in->email != NULL && strcmp(in->email, account->email) == 0)
        in->email = NULL;
    if (in->phone != NULL && strcmp(in->phone, account->phone) == 0)
        in->phone = NULL;
}

/* --- authorise -------------------------------------------------------------------------------- */

static const tn_error *
check_addresses(const tn_ctx *c, const struct change *in, const tn_account *account)
{
    if (account->needs_second_factor &&
        (in->email != NULL || in->phone != NULL || in->password != NULL))
        return tn_auth_refuse(c, "insufficient_aal");
    if (account->is_anonymous && in->password != NULL && in->email == NULL && in->phone == NULL &&
        *account->email == '\0' && *account->phone == '\0')
        return tn_error_new(c->arena, 422, "validation_failed", NULL,
                            "Updating password of an anonymous user without an email or phone is "
                            "not allowed");
    if (account->is_email_taken)
        return tn_auth_refuse(c, "email_exists");
    if (account->is_phone_taken)
        return tn_auth_refuse(c, "phone_exists");
    if (in->phone != NULL)
        return tn_ask_check_provider(c, true, "logins");
    return NULL;
}

/* A code or the password so far, where the settings ask for them. */
static const tn_error *
check_right_to_password(tn_ctx *c, const struct change *in, const tn_account *account)
{
    bool is_right;

    if (c->config->auth.secure_password_change && account->is_old && !tn_text_is_given(in->nonce))
        return tn_auth_refuse(c, "reauthentication_needed");
    if (!c->config->auth.require_current_password || account->is_recovery || account->hash == NULL)
        return NULL;
    if (!tn_text_is_given(in->current_password))
        return tn_auth_refuse(c, "current_password_required");
    TN_TRY(tn_account_try_password(c, account, in->current_password, &is_right));
    return is_right ? NULL : tn_auth_refuse(c, "current_password_invalid");
}

static const tn_error *
check_password(tn_ctx *c, const struct change *in, const tn_account *account)
{
    const char *better;
    bool is_same = false;

    TN_TRY(tn_password_check(c->config, c->arena, in->password));
    TN_TRY(check_right_to_password(c, in, account));
    if (account->hash != NULL)
        TN_TRY(tn_password_verify(c, in->password, account->hash, &is_same, &better));
    return is_same ? tn_auth_refuse(c, "same_password") : NULL;
}

/* --- what SQL is told ------------------------------------------------------------------------- */

static json_object *
add_object(json_object *object, const char *name)
{
    json_object *member = json_object_new_object();

    json_object_object_add(object, name, member);
    return member;
}

static const tn_error *
add_password(tn_ctx *c, const struct change *in, const tn_account *account, json_object *change)
{
    const tn_letter notice = {0};
    json_object *password = add_object(change, "password");
    const char *hash;

    TN_TRY(tn_password_hash(c, in->password, &hash));
    tn_auth_object_text(password, "hash", hash);
    tn_auth_object_text(password, "seen", account->hash);
    tn_auth_object_text(password, "notice",
                        tn_letter_seal(c->config, c->arena, &c->who->tenant_id, &notice));
    if (c->config->auth.secure_password_change && account->is_old)
        tn_auth_object_text(password, "nonce", tn_account_nonce_hash(c, account, in->nonce));
    return NULL;
}

static void
add_message(json_object *object, const tn_message *message)
{
    tn_auth_object_text(object, "token", message->hash);
    tn_auth_object_text(object, "letter", message->sealed);
    tn_auth_object_text(object, "lifetime_s", message->lifetime_s);
    tn_auth_object_text(object, "interval_s", message->interval_s);
}

static void
add_flow(json_object *object, const tn_message *message)
{
    json_object *flow;

    if (message->challenge.challenge == NULL)
        return;
    flow = add_object(object, "flow");
    tn_auth_object_text(flow, "challenge", message->challenge.challenge);
    tn_auth_object_text(flow, "method", message->challenge.method);
    tn_auth_object_text(flow, "redirect_to", message->redirect_to);
}

/* At once only for somebody who had no address to lose. */
static const tn_error *
add_email(tn_ctx *c, const char *address, const tn_account *account, const tn_challenge *challenge,
          json_object *change)
{
    const bool at_once = account->is_anonymous && c->config->auth.autoconfirm;
    json_object *email = add_object(change, "email");
    tn_message message, old;

    tn_auth_object_text(email, "address", address);
    json_object_object_add(email, "at_once", json_object_new_boolean(at_once));
    if (at_once)
        return NULL;
    TN_TRY(tn_auth_take_message(c, &c->who->tenant_id, "email"));
    message = tn_message_new(c, &c->who->tenant_id, false, address, challenge, address);
    old = tn_message_new(c, &c->who->tenant_id, false, account->email, challenge, address);
    json_object_object_add(email, "secure",
                           json_object_new_boolean(c->config->auth.secure_email_change));
    add_message(email, &message);
    add_flow(email, &message);
    tn_auth_object_text(email, "token_current", old.hash);
    tn_auth_object_text(email, "letter_current", old.sealed);
    tn_auth_object_text(email, "notice",
                        tn_account_email_notice(c, &c->who->tenant_id, account->email, address));
    return NULL;
}

static const tn_error *
add_phone(tn_ctx *c, const char *number, const tn_account *account, json_object *change)
{
    const tn_challenge none = {0};
    json_object *phone = add_object(change, "phone");
    tn_message message;

    tn_auth_object_text(phone, "number", number);
    tn_auth_object_text(phone, "notice",
                        tn_account_phone_notice(c, &c->who->tenant_id, account->phone, number));
    json_object_object_add(phone, "at_once",
                           json_object_new_boolean(c->config->auth.phone_autoconfirm));
    if (c->config->auth.phone_autoconfirm)
        return NULL;
    TN_TRY(tn_auth_take_message(c, &c->who->tenant_id, "sms"));
    message = tn_message_new(c, &c->who->tenant_id, true, number, &none, NULL);
    add_message(phone, &message);
    return NULL;
}

/* --- PUT /auth/v1/user ------------------------------------------------------------------------ */

const tn_error *
tn_auth_user_update(tn_ctx *c)
{
    const tn_principal *who = c->who;
    const char *session = tn_principal_session(who);
    json_object *change = tn_auth_object(c);
    struct change in = {0};
    tn_challenge challenge;
    tn_account account;
    const tn_rows *rows;

    /* parse */
    TN_TRY(tn_auth_require_person(c));
    TN_TRY(read_change(c, &in, &challenge));

    /* authorise */
    TN_TRY(tn_account_find(c, in.email, in.phone, &account));
    leave_out_the_same(&in, &account);
    TN_TRY(check_addresses(c, &in, &account));
    if (in.password != NULL)
        TN_TRY(check_password(c, &in, &account));

    /* SQL: one transaction */
    if (in.data != NULL)
        json_object_object_add(change, "data", json_object_get(in.data));
    if (in.password != NULL)
        TN_TRY(add_password(c, &in, &account, change));
    if (in.email != NULL)
        TN_TRY(add_email(c, in.email, &account, &challenge, change));
    if (in.phone != NULL)
        TN_TRY(add_phone(c, in.phone, &account, change));
    TN_TRY(tn_auth_change(c, &who->tenant_id, &tn_sql_auth_user_update,
                          TN_PARAMS(who->user_id.text, session, tn_json_print(c->arena, change),
                                    tn_request_client_address(c->request)),
                          &rows));

    /* respond */
    if (strcmp(tn_rows_text(rows, 0, UPDATE_OUTCOME), "user") != 0)
        return tn_auth_refuse(c, tn_rows_text(rows, 0, UPDATE_OUTCOME));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, UPDATE_USER));
}
