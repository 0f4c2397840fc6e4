/* auth/grant.c: POST /auth/v1/token: what a session is given for */
#include <string.h>

#include "auth/agent.h"
#include "auth/area.h"
#include "auth/ask.h"
#include "auth/form.h"
#include "auth/queries.h"
#include "auth/visitor.h"
#include "base/crypto.h"
#include "base/text.h"

enum { GRANT_OUTCOME, GRANT_USER, GRANT_CLAIMS, GRANT_COUNTER };
enum { PASSWORD_USER, PASSWORD_HASH };

/* --- password --------------------------------------------------------------------------------- */

struct credentials {
    const char *email, *phone, *password;
};

static const tn_field credential_fields[] = {
    {.name = "email", .offset = offsetof(struct credentials, email)},
    {.name = "phone", .offset = offsetof(struct credentials, phone)},
    {.name = "password", .offset = offsetof(struct credentials, password)},
    {.name = NULL},
};

static const tn_auth_outcome password_outcomes[] = {
    TN_OUTCOME("invalid_credentials", 400, "Invalid login credentials"),
    TN_OUTCOME("user_banned", 400, "User is banned"),
    TN_OUTCOME("email_not_confirmed", 400, "Email not confirmed"),
    TN_OUTCOME("phone_not_confirmed", 400, "Phone not confirmed"),
    {.word = NULL},
};

static const tn_error *
check_credentials(const tn_ctx *c, const struct credentials *in, const char **address)
{
    const bool has_email = in->email != NULL && *in->email != '\0';
    const bool has_phone = in->phone != NULL && *in->phone != '\0';

    if (has_email && has_phone)
        return tn_auth_refuse_input(
            c, "Only an email address or phone number should be provided on login.");
    if (!has_email && !has_phone)
        return tn_auth_refuse_input(c, "missing email or phone");
    TN_TRY(tn_ask_check_provider(c, has_phone, "logins"));
    if (has_phone)
        return tn_phone_normalise(c->arena, in->phone, address);
    *address = tn_text_lower(c->arena, in->email);
    return NULL;
}

/* A session gains a remark when its password would not be accepted any more. */
static const char *
weakness(const tn_ctx *c, const char *password)
{
    tn_password_weakness weakness;
    PQExpBuffer members;

    if (!tn_password_is_weak(c->config, c->arena, password, &weakness))
        return NULL;
    members = tn_arena_buffer(c->arena);
    appendPQExpBufferStr(members, "\"weak_password\":{\"message\":");
    tn_buffer_json_string(members, weakness.message);
    appendPQExpBuffer(members, ",\"reasons\":[%s]}", weakness.reasons);
    return tn_buffer_text(members);
}

static const tn_error *
grant_by_password(tn_ctx *c, json_object *body)
{
    const tn_auth_opening opening = tn_auth_open(c);
    struct credentials in = {0};
    const char *address, *hash, *better, *outcome;
    const tn_rows *person, *grant;
    bool is_right, by_phone;
    tn_uuid tenant;

    TN_TRY(tn_object_known_fields(c, body, credential_fields, &in));
    TN_TRY(check_credentials(c, &in, &address));
    by_phone = tn_text_is_given(in.phone);
    TN_TRY(tn_auth_tenant(c, &tenant));
    TN_TRY(tn_auth_check_captcha(c, body));
    if (in.password == NULL)
        in.password = "";
    TN_TRY(tn_auth_look_for_password(c, &tenant, address));

    /* the connection is given back before the hashing and borrowed again after it */
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_ONLY, &tn_sql_auth_password_find,
                         TN_PARAMS(address, by_phone ? "true" : "false"), &person));
    hash = tn_rows_count(person) > 0 ? tn_rows_text(person, 0, PASSWORD_HASH) : NULL;
    TN_TRY(tn_password_verify(c, in.password, hash, &is_right, &better));
    TN_TRY(tn_auth_count_password(c, &tenant, address, is_right));
    TN_TRY(tn_auth_ask_password_hook(
        c, &tenant, tn_rows_count(person) > 0 ? tn_rows_text(person, 0, PASSWORD_USER) : NULL,
        address, is_right));
    if (!is_right)
        return tn_auth_refuse_by(c, password_outcomes, "invalid_credentials");

    TN_TRY(tn_auth_query(c, &tenant, TN_READ_WRITE, &tn_sql_auth_sign_in,
                         TN_PARAMS(tn_rows_text(person, 0, PASSWORD_USER), hash, better,
                                   by_phone ? "true" : "false", opening.id.text, opening.token_hash,
                                   opening.user_agent, opening.address, opening.lifetime_s),
                         &grant));
    outcome = tn_rows_text(grant, 0, GRANT_OUTCOME);
    if (strcmp(outcome, "session") != 0)
        return tn_auth_refuse_by(c, password_outcomes, outcome);
    return tn_auth_respond_session(c, tn_rows_text(grant, 0, GRANT_CLAIMS),
                                   tn_rows_text(grant, 0, GRANT_USER), opening.token,
                                   weakness(c, in.password));
}

/* --- refresh_token ---------------------------------------------------------------------------- */

struct refresh {
    const char *token;
};

static const tn_field refresh_fields[] = {
    {.name = "refresh_token", .offset = offsetof(struct refresh, token)},
    {.name = NULL},
};

static const tn_auth_outcome refresh_outcomes[] = {
    TN_OUTCOME("refresh_token_not_found", 400, "Invalid Refresh Token: Refresh Token Not Found"),
    TN_OUTCOME("refresh_token_already_used", 400, "Invalid Refresh Token: Already Used"),
    TN_OUTCOME("session_expired", 400, "Invalid Refresh Token: Session Expired"),
    TN_OUTCOME("user_banned", 400, "Invalid Refresh Token: User Banned"),
    {.word = NULL},
};

static const tn_error *
read_refresh_token(const tn_ctx *c, const char *text, tn_refresh_token *token)
{
    if (text == NULL || *text == '\0')
        return tn_auth_refuse_input(c, "refresh_token required");
    switch (tn_refresh_token_read(tn_auth_of(c)->refresh_key, text, token)) {
    case TN_REFRESH_MALFORMED:
        return tn_auth_refuse_input(c, "Refresh token is not valid");
    case TN_REFRESH_FOREIGN:
        return tn_auth_refuse_by(c, refresh_outcomes, "refresh_token_not_found");
    case TN_REFRESH_OURS:
        break;
    }
    return NULL;
}

static const tn_error *
grant_by_refresh_token(tn_ctx *c, json_object *body)
{
    const uint8_t *key = tn_auth_of(c)->refresh_key;
    const tn_auth_opening opening = tn_auth_open(c); /* for where the request comes from */
    tn_refresh_token presented = {0}, next;
    struct refresh in = {0};
    const tn_rows *grant;
    const char *outcome;
    tn_uuid tenant;

    TN_TRY(tn_object_known_fields(c, body, refresh_fields, &in));
    TN_TRY(tn_auth_tenant(c, &tenant));
    TN_TRY(read_refresh_token(c, in.token, &presented));

    next = (tn_refresh_token){presented.session_id, presented.counter + 1};
    TN_TRY(tn_auth_query(
        c, &tenant, TN_READ_WRITE, &tn_sql_auth_refresh,
        TN_PARAMS(presented.session_id.text, tn_arena_number(c->arena, presented.counter),
                  tn_refresh_token_hash(c->arena, in.token),
                  tn_refresh_token_hash(c->arena, tn_refresh_token_make(c->arena, key, &next)),
                  tn_arena_number(c->arena, c->config->auth.reuse_interval_s),
                  tn_arena_number(c->arena, c->config->auth.inactivity_ttl_s),
                  c->config->auth.single_session ? "true" : "false", opening.user_agent,
                  opening.address),
        &grant));
    outcome = tn_rows_text(grant, 0, GRANT_OUTCOME);
    if (strcmp(outcome, "session") != 0)
        return tn_auth_refuse_by(c, refresh_outcomes, outcome);
    next.counter = tn_rows_int(grant, 0, GRANT_COUNTER, next.counter);
    return tn_auth_respond_session(c, tn_rows_text(grant, 0, GRANT_CLAIMS),
                                   tn_rows_text(grant, 0, GRANT_USER),
                                   tn_refresh_token_make(c->arena, key, &next), NULL);
}

/* --- pkce ------------------------------------------------------------------------------------- */

#define CODE_LIFETIME_S "300"

enum { CODE_OUTCOME, CODE_USER, CODE_CLAIMS, CODE_ACCESS, CODE_REFRESH };

struct exchange {
    const char *code, *verifier;
};

static const tn_field exchange_fields[] = {
    {.name = "auth_code", .offset = offsetof(struct exchange, code)},
    {.name = "code_verifier", .offset = offsetof(struct exchange, verifier)},
    {.name = NULL},
};

static const tn_auth_outcome code_outcomes[] = {
    TN_OUTCOME("flow_state_not_found", 404, "invalid flow state, no valid flow state found"),
    TN_OUTCOME("flow_state_expired", 422, "invalid flow state, flow state has expired"),
    TN_OUTCOME("bad_code_verifier", 400,
               "code challenge does not match previously saved code verifier"),
    TN_OUTCOME("user_banned", 400, "User is banned"),
    {.word = NULL},
};

/* What the provider gave, for whoever has come through one. */
static const char *
provider_tokens(const tn_ctx *c, const tn_uuid *tenant, const tn_rows *rows)
{
    static const struct {
        const char *name;
        int column;
    } tokens[] = {{"provider_token", CODE_ACCESS}, {"provider_refresh_token", CODE_REFRESH}};
    PQExpBuffer members = tn_arena_buffer(c->arena);

    for (size_t i = 0; i < TN_COUNT(tokens); i++) {
        const char *text = tn_flow_open(c, tenant, tn_rows_text(rows, 0, tokens[i].column));

        if (!tn_text_is_given(text))
            continue;
        appendPQExpBuffer(members, "%s\"%s\":", members->len == 0 ? "" : ",", tokens[i].name);
        tn_buffer_json_string(members, text);
    }
    return members->len == 0 ? NULL : tn_buffer_text(members);
}

/* RFC 7636 section 4.6: base64url of the verifier's SHA-256. */
static const char *
challenge_of(const tn_ctx *c, const char *verifier)
{
    uint8_t digest[TN_SHA256_SIZE];

    tn_sha256(verifier, strlen(verifier), digest);
    return tn_base64url(c->arena, digest, sizeof(digest));
}

static const tn_error *
grant_by_code(tn_ctx *c, json_object *body)
{
    const tn_auth_opening opening = tn_auth_open(c);
    struct exchange in = {0};
    const tn_rows *rows;
    const char *outcome;
    tn_uuid tenant;

    TN_TRY(tn_object_known_fields(c, body, exchange_fields, &in));
    if (!tn_text_is_given(in.code) || !tn_text_is_given(in.verifier))
        return tn_auth_refuse_input(c,
                                    "invalid request: both auth code and code verifier should be "
                                    "non-empty");
    TN_TRY(tn_auth_tenant(c, &tenant));
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_WRITE, &tn_sql_auth_redeem_code,
                         TN_PARAMS(tn_flow_code_hash(c->arena, in.code), in.verifier,
                                   challenge_of(c, in.verifier), CODE_LIFETIME_S, opening.id.text,
                                   opening.token_hash, opening.user_agent, opening.address,
                                   opening.lifetime_s),
                         &rows));
    outcome = tn_rows_text(rows, 0, CODE_OUTCOME);
    if (strcmp(outcome, "session") != 0)
        return tn_auth_refuse_by(c, code_outcomes, outcome);
    return tn_auth_respond_session(c, tn_rows_text(rows, 0, CODE_CLAIMS),
                                   tn_rows_text(rows, 0, CODE_USER), opening.token,
                                   provider_tokens(c, &tenant, rows));
}

/* --- grants that are not offered here --------------------------------------------------------- */

static const tn_error *
grant_by_wallet(tn_ctx *c, json_object *body)
{
    (void)body;
    return tn_error_new(c->arena, 422, "web3_provider_disabled", NULL, "Web3 provider is disabled");
}

/* What the body says, where that must be known before it is known what must be in it: grant_type
 * may be there as well, and a form is OAuth's way. */
static const tn_error *
read_grant(tn_ctx *c, const char **type, json_object **body)
{
    *type = tn_request_query(c->request, "grant_type");
    *body = NULL;
    if (tn_auth_form_is(c->request))
        TN_TRY(tn_auth_form_read(c, body));
    else if (*type == NULL && tn_body_object(c, body) != NULL)
        *body = NULL;
    if (*type == NULL && *body != NULL)
        *type = tn_json_text(*body, "grant_type", NULL);
    return NULL;
}

/* POST /auth/v1/token?grant_type= */
const tn_error *
tn_auth_token(tn_ctx *c)
{
    static const struct {
        const char *type;
        const tn_error *(*grant)(tn_ctx *c, json_object *body);
    } grants[] = {
        {"password", grant_by_password}, {"refresh_token", grant_by_refresh_token},
        {"pkce", grant_by_code},         {"id_token", tn_auth_grant_by_id_token},
        {"web3", grant_by_wallet},       {TN_GRANT_EXCHANGE, tn_auth_exchange},
    };
    json_object *body;
    const char *type;

    TN_TRY(read_grant(c, &type, &body));
    for (size_t i = 0; i < TN_COUNT(grants); i++)
        if (type != NULL && strcmp(grants[i].type, type) == 0) {
            if (body == NULL)
                TN_TRY(tn_auth_body(c, &body));
            return grants[i].grant(c, body);
        }
    return tn_error_new(c->arena, 400, "invalid_credentials", NULL, "unsupported_grant_type");
}
