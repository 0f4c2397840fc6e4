/* auth/generate_link.c: people who are to come in: invited by mail, or by a link that an admin
 * sends themselves */
#include <string.h>

#include "auth/account.h"
#include "auth/area.h"
#include "auth/ask.h"
#include "auth/one_time.h"
#include "auth/queries.h"
#include "auth/users.h"
#include "base/text.h"

enum { LINK_OUTCOME, LINK_USER, LINK_TYPE };

struct guest {
    const char *type, *email, *new_email, *password, *redirect_to;
    json_object *data;
};

static const tn_field guest_fields[] = {
    {.name = "type", .offset = offsetof(struct guest, type)},
    {.name = "email", .offset = offsetof(struct guest, email)},
    {.name = "new_email", .offset = offsetof(struct guest, new_email)},
    {.name = "password", .offset = offsetof(struct guest, password)},
    {.name = "redirect_to", .offset = offsetof(struct guest, redirect_to)},
    {.name = "data", .offset = offsetof(struct guest, data), .type = TN_FIELD_JSON},
    {.name = NULL},
};

static const tn_error *
read_guest(tn_ctx *c, struct guest *in)
{
    json_object *body;

    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, guest_fields, in));
    if (in->data != NULL && !json_object_is_type(in->data, json_type_object))
        return tn_auth_refuse_input(c, "data must be an object");
    return tn_email_normalise(c->arena, in->email != NULL ? in->email : "", &in->email);
}

static json_object *
attributes_of(const tn_ctx *c, const struct guest *in)
{
    json_object *attributes = tn_auth_object(c);

    tn_auth_object_text(attributes, "email", in->email);
    if (in->data != NULL)
        json_object_object_add(attributes, "user_metadata", json_object_get(in->data));
    return attributes;
}

/* POST /auth/v1/invite */
const tn_error *
tn_admin_invite(tn_ctx *c)
{
    const tn_challenge none = {0};
    struct guest in = {0};
    tn_message message;
    const tn_rows *rows;
    tn_uuid tenant;

    TN_TRY(tn_auth_require_admin(c, &tenant));
    TN_TRY(read_guest(c, &in));
    TN_TRY(
        tn_auth_before_user(c, &tenant, tn_auth_user_to_be(c, in.email, NULL, "email", in.data)));
    TN_TRY(tn_auth_take_message(c, &tenant, "email"));
    message = tn_message_new(c, &tenant, false, in.email, &none, NULL);
    TN_TRY(tn_auth_change(c, &tenant, &tn_sql_auth_invite,
                          TN_PARAMS(tn_json_print(c->arena, attributes_of(c, &in)), message.hash,
                                    message.sealed, message.lifetime_s,
                                    tn_request_client_address(c->request)),
                          &rows));
    if (strcmp(tn_rows_text(rows, 0, LINK_OUTCOME), "user") != 0)
        return tn_auth_refuse(c, tn_rows_text(rows, 0, LINK_OUTCOME));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, LINK_USER));
}

/* --- a link ----------------------------------------------------------------------------------- */

static const tn_error *
check_link(tn_ctx *c, struct guest *in)
{
    static const char *const types[] = {
        "signup", "invite", "magiclink", "recovery", "email_change_current", "email_change_new"};
    bool is_known = false;

    for (size_t i = 0; i < TN_COUNT(types); i++)
        is_known = is_known || (in->type != NULL && strcmp(types[i], in->type) == 0);
    if (!is_known)
        return tn_auth_refuse_input(c, "Invalid email action link type requested");
    if (strcmp(in->type, "signup") == 0) {
        if (!tn_text_is_given(in->password))
            return tn_auth_refuse_input(c, "Signup requires a valid password");
        return tn_password_check(c->config, c->arena, in->password);
    }
    in->password = NULL;
    if (strncmp(in->type, "email_change", strlen("email_change")) != 0) {
        in->new_email = NULL;
        return NULL;
    }
    if (strcmp(in->type, "email_change_current") == 0 && !c->config->auth.secure_email_change)
        return tn_auth_refuse_input(
            c, "Enable secure email change to generate link for current email");
    return tn_email_normalise(c->arena, in->new_email != NULL ? in->new_email : "", &in->new_email);
}

/* The type that the link itself says: both halves of a change of address say the same. */
static const char *
type_in_link(const char *type)
{
    return strncmp(type, "email_change", strlen("email_change")) == 0 ? "email_change" : type;
}

static void
append_link(PQExpBuffer text, const tn_ctx *c, const char *type, const char *token,
            const char *redirect_to)
{
    appendPQExpBuffer(text, "%s/auth/v1/verify?token=%s&type=%s&redirect_to=",
                      c->config->server.public_url, token, type_in_link(type));
    tn_buffer_url_value(text, redirect_to);
}

static void
append_member(PQExpBuffer body, const char *name, const char *value)
{
    appendPQExpBuffer(body, ",\"%s\":", name);
    tn_buffer_json_string(body, value);
}

/* The members of the user and those of the link, side by side. `user` is an object that PostgreSQL
 * wrote. */
static const tn_error *
respond_link(tn_ctx *c, const char *user, const char *type, const tn_one_time *secret,
             const char *redirect_to)
{
    PQExpBuffer link = tn_arena_buffer(c->arena), body = tn_arena_buffer(c->arena);

    append_link(link, c, type, secret->token, redirect_to);
    appendBinaryPQExpBuffer(body, user, strlen(user) - 1);
    append_member(body, "action_link", tn_buffer_text(link));
    append_member(body, "email_otp", secret->code);
    append_member(body, "hashed_token", secret->token);
    append_member(body, "verification_type", type);
    append_member(body, "redirect_to", redirect_to);
    appendPQExpBufferChar(body, '}');
    return tn_respond_json(c, 200, tn_buffer_text(body));
}

/* POST /auth/v1/admin/generate_link */
const tn_error *
tn_admin_generate_link(tn_ctx *c)
{
    struct guest in = {0};
    const char *hash = NULL, *redirect_to;
    json_object *attributes;
    tn_one_time secret;
    const tn_rows *rows;
    tn_uuid tenant;

    TN_TRY(tn_auth_require_admin(c, &tenant));
    TN_TRY(read_guest(c, &in));
    TN_TRY(check_link(c, &in));
    redirect_to = tn_text_is_given(in.redirect_to)
                      ? tn_auth_redirect(c->config, c->arena, in.redirect_to)
                      : tn_auth_request_redirect(c);
    attributes = attributes_of(c, &in);
    if (in.password != NULL) {
        TN_TRY(tn_password_hash(c, in.password, &hash));
        tn_auth_object_text(attributes, "password", hash);
    }
    /* to whom the code goes, it must say where it came from */
    secret = tn_one_time_new(c, &tenant,
                             strcmp(in.type, "email_change_new") == 0 ? in.new_email : in.email);
    TN_TRY(tn_auth_change(
        c, &tenant, &tn_sql_auth_generate_link,
        TN_PARAMS(in.type, tn_json_print(c->arena, attributes), in.new_email, secret.hash,
                  tn_arena_number(c->arena, c->config->auth.otp_ttl_s),
                  in.new_email != NULL ? tn_account_email_notice(c, &tenant, in.email, in.new_email)
                                       : NULL,
                  tn_request_client_address(c->request)),
        &rows));
    if (strcmp(tn_rows_text(rows, 0, LINK_OUTCOME), "user") != 0)
        return tn_auth_refuse(c, tn_rows_text(rows, 0, LINK_OUTCOME));
    return respond_link(c, tn_rows_text(rows, 0, LINK_USER), tn_rows_text(rows, 0, LINK_TYPE),
                        &secret, redirect_to);
}
