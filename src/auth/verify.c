/* auth/verify.c: codes and links that come back
 *
 * POST /verify takes a code with its address, or what a link carries, and answers with a session.
 * GET /verify is the link itself: it sends the browser on, with the session in the fragment or,
 * when the request for the mail had a challenge, with a code for it (flow.h).
 *
 * Whatever is wrong with a token has one answer: else it could be told which addresses are known.
 */
#include <string.h>

#include "auth/area.h"
#include "auth/ask.h"
#include "auth/one_time.h"
#include "auth/queries.h"
#include "base/text.h"
#include "mail/mail.h"

#define HALF_MESSAGE \
    "Confirmation link accepted. Please proceed to confirm link sent to the other email"

enum { REDEEM_OUTCOME, REDEEM_USER, REDEEM_CLAIMS, REDEEM_HAS_FLOW };

struct attempt {
    const char *type, *token, *token_hash, *email, *phone;
};

static const tn_field attempt_fields[] = {
    {.name = "type", .offset = offsetof(struct attempt, type)},
    {.name = "token", .offset = offsetof(struct attempt, token)},
    {.name = "token_hash", .offset = offsetof(struct attempt, token_hash)},
    {.name = "email", .offset = offsetof(struct attempt, email)},
    {.name = "phone", .offset = offsetof(struct attempt, phone)},
    {.name = NULL},
};

static const tn_auth_outcome outcomes[] = {
    TN_OUTCOME("otp_expired", 403, "Token has expired or is invalid"),
    TN_OUTCOME("user_banned", 403, "User is banned"),
    TN_OUTCOME("email_exists", 422, "A user with this email address has already been registered"),
    TN_OUTCOME("phone_exists", 422, "A user with this phone number has already been registered"),
    TN_OUTCOME("flow_state_not_found", 404, "invalid flow state, no valid flow state found"),
    {.word = NULL},
};

/* Of a link. */
static const tn_error *
refuse_link(const tn_ctx *c, const char *word)
{
    if (strcmp(word, "otp_expired") == 0)
        return tn_error_new(c->arena, 403, "otp_expired", NULL,
                            "Email link is invalid or has expired");
    return tn_auth_refuse_by(c, outcomes, word);
}

/* Types of either side: of `email` and of `phone`. */
static bool
is_type(const char *type, bool by_phone)
{
    static const char *const by_mail[] = {"signup",   "invite",       "magiclink",
                                          "recovery", "email_change", "email"};

    if (strcmp(type, "sms") == 0 || strcmp(type, "phone_change") == 0)
        return by_phone;
    for (size_t i = 0; i < TN_COUNT(by_mail); i++)
        if (strcmp(by_mail[i], type) == 0)
            return !by_phone;
    return false;
}

/* --- POST ------------------------------------------------------------------------------------- */

static const tn_error *
check_attempt(const tn_ctx *c, const struct attempt *in)
{
    const bool has_email = tn_text_is_given(in->email), has_phone = tn_text_is_given(in->phone);

    if (!tn_text_is_given(in->type))
        return tn_auth_refuse_input(c, "Verify requires a verification type");
    if (tn_text_is_given(in->token) == tn_text_is_given(in->token_hash))
        return tn_auth_refuse_input(c, "Verify requires either a token or a token hash");
    if (!is_type(in->type, false) && !is_type(in->type, true))
        return tn_auth_refuse_input(c, "Invalid verification type");
    if (tn_text_is_given(in->token_hash))
        return has_email || has_phone
                   ? tn_auth_refuse_input(c, "Only the token_hash and type should be provided")
                   : NULL;
    if (has_email == has_phone || !is_type(in->type, has_phone))
        return tn_auth_refuse_input(
            c, "Only an email address or phone number should be provided on verify");
    return NULL;
}

static const tn_error *
redeem(tn_ctx *c, const tn_uuid *tenant, const char *type, const char *hash, const char *address,
       const tn_auth_opening *opening, const char *code_hash, bool wants_code, const tn_rows **rows)
{
    const tn_letter notice = {0};

    return tn_auth_query(c, tenant, TN_READ_WRITE, &tn_sql_auth_redeem_token,
                         TN_PARAMS(type, hash, address, opening->id.text, opening->token_hash,
                                   opening->user_agent, opening->address, opening->lifetime_s,
                                   code_hash, wants_code ? "true" : "false",
                                   c->config->auth.secure_email_change ? "true" : "false",
                                   tn_letter_seal(c->config, c->arena, tenant, &notice)),
                         rows);
}

/* POST /auth/v1/verify */
const tn_error *
tn_auth_verify(tn_ctx *c)
{
    const tn_auth_opening opening = tn_auth_open(c);
    struct attempt in = {0};
    const char *hash, *address = NULL, *outcome;
    const tn_rows *rows;
    json_object *body;
    tn_uuid tenant;

    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, attempt_fields, &in));
    TN_TRY(check_attempt(c, &in));
    if (tn_text_is_given(in.phone))
        TN_TRY(tn_phone_normalise(c->arena, in.phone, &address));
    else if (tn_text_is_given(in.email))
        TN_TRY(tn_email_normalise(c->arena, in.email, &address));
    TN_TRY(tn_auth_tenant(c, &tenant));
    hash = address != NULL ? tn_one_time_hash_of_code(c, &tenant, address, in.token)
                           : tn_one_time_hash_of_token(c->arena, in.token_hash);

    TN_TRY(redeem(c, &tenant, in.type, hash, address, &opening, NULL, false, &rows));
    outcome = tn_rows_text(rows, 0, REDEEM_OUTCOME);
    if (strcmp(outcome, "half") == 0)
        return tn_respond_json(c, 200, "{\"msg\":\"" HALF_MESSAGE "\",\"code\":\"200\"}");
    if (strcmp(outcome, "session") != 0)
        return tn_auth_refuse_by(c, outcomes, outcome);
    return tn_auth_respond_session(c, tn_rows_text(rows, 0, REDEEM_CLAIMS),
                                   tn_rows_text(rows, 0, REDEEM_USER), opening.token, NULL);
}

/* --- GET -------------------------------------------------------------------------------------- */

/* A browser that fetches a page before anybody wants it, and whoever only looks whether there is
 * something, must not use the link up. */
static bool
only_looks(const tn_request *request)
{
    static const char *const headers[] = {"sec-purpose", "purpose", "x-purpose", "x-moz"};
    const char *value;

    for (size_t i = 0; i < TN_COUNT(headers); i++) {
        value = tn_request_header(request, headers[i]);
        if (value != NULL &&
            (strstr(value, "prefetch") != NULL || strstr(value, "preview") != NULL))
            return true;
    }
    return strcmp(request->method, "HEAD") == 0;
}

struct link {
    const char *type, *token, *to;
    bool has_challenge;
};

static const tn_error *
follow(tn_ctx *c, const struct link *link)
{
    const tn_flow_code code = tn_flow_code_new(c->arena);
    const tn_auth_opening opening = tn_auth_open(c);
    const char *hash = tn_one_time_hash_of_token(c->arena, link->token);
    const tn_rows *rows;
    const char *outcome;
    tn_uuid tenant;

    if (!is_type(link->type, false))
        return tn_auth_refuse_input(c, "Unsupported verification type");
    TN_TRY(tn_flow_link_tenant(c, hash, &tenant));
    if (tenant.text[0] == '\0')
        return refuse_link(c, "otp_expired");
    TN_TRY(redeem(c, &tenant, link->type, hash, NULL, &opening, code.hash, link->has_challenge,
                  &rows));
    outcome = tn_rows_text(rows, 0, REDEEM_OUTCOME);
    if (strcmp(outcome, "code") == 0)
        return tn_flow_land_code(c, 303, link->to, code.code);
    if (strcmp(outcome, "half") == 0)
        return tn_flow_land_message(c, 303, link->to, HALF_MESSAGE,
                                    tn_rows_bool(rows, 0, REDEEM_HAS_FLOW));
    if (strcmp(outcome, "session") == 0)
        return tn_flow_land_session(c, 303, link->to, tn_rows_text(rows, 0, REDEEM_CLAIMS),
                                    opening.token, &(tn_flow_extras){.type = link->type});
    return refuse_link(c, outcome);
}

/* GET /auth/v1/verify?token=&type=&redirect_to= */
const tn_error *
tn_auth_verify_link(tn_ctx *c)
{
    struct link link = {.type = tn_request_query(c->request, "type"),
                        .token = tn_request_query(c->request, "token")};
    const tn_error *error;

    if (!tn_text_is_given(link.token))
        link.token = tn_request_query(c->request, "token_hash");
    if (!tn_text_is_given(link.type))
        return tn_auth_refuse_input(c, "Verify requires a verification type");
    if (!tn_text_is_given(link.token))
        return tn_auth_refuse_input(c, "Verify requires a token or a token hash");
    if (only_looks(c->request))
        return tn_respond_empty(c, 204);
    link.to = tn_auth_request_redirect(c);
    link.has_challenge = tn_text_starts(link.token, "pkce_");
    error = follow(c, &link);
    return error == NULL ? NULL : tn_flow_land_error(c, 303, link.to, error, link.has_challenge);
}
