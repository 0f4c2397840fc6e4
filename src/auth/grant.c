/* auth/grant.c: POST /auth/v1/token: what a session is given for */
#include <string.h>

#include "auth/area.h"
#include "auth/queries.h"
#include "base/text.h"

enum { GRANT_OUTCOME, GRANT_USER, GRANT_CLAIMS, GRANT_COUNTER };
enum { PASSWORD_USER, PASSWORD_HASH };

struct outcome {
    const char *word, *message; /* auth-api.md sections 6.1, 6.2, 23 */
};

/* Everything but a session is a 400. */
static const tn_error *
refuse_outcome(const tn_ctx *c, const struct outcome *outcomes, const char *word)
{
    while (outcomes->word != NULL && strcmp(outcomes->word, word) != 0)
        outcomes++;
    if (outcomes->word == NULL)
        return tn_error_internal(c->arena, "auth.grant.outcome_unknown", "%s", word);
    return tn_error_new(c->arena, 400, outcomes->word, NULL, "%s", outcomes->message);
}

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

static const struct outcome password_outcomes[] = {
    {"invalid_credentials", "Invalid login credentials"},
    {"user_banned", "User is banned"},
    {"email_not_confirmed", "Email not confirmed"},
    {"phone_not_confirmed", "Phone not confirmed"},
    {.word = NULL},
};

static const tn_error *
check_credentials(const tn_ctx *c, const struct credentials *in, const char **address)
{
    const bool has_email = in->email != NULL && *in->email != '\0';
    const bool has_phone = in->phone != NULL && *in->phone != '\0';

    if (has_email && has_phone)
        return tn_error_new(c->arena, 400, "validation_failed", NULL,
                            "Only an email address or phone number should be provided on login.");
    if (!has_email && !has_phone)
        return tn_error_new(c->arena, 400, "validation_failed", NULL, "missing email or phone");
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
    const char *hash, *better, *outcome;
    const tn_rows *person, *grant;
    bool is_right;
    tn_uuid tenant;

    TN_TRY(tn_object_known_fields(c, body, credential_fields, &in));
    TN_TRY(check_credentials(c, &in));
    TN_TRY(tn_auth_tenant(c, &tenant));
    TN_TRY(tn_auth_check_captcha(c, body));
    if (in.password == NULL)
        in.password = "";
    in.email = tn_text_lower(c->arena, in.email);
    TN_TRY(tn_auth_look_for_password(c, &tenant, in.email));

    /* the connection is given back before the hashing and borrowed again after it */
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_ONLY, &tn_sql_auth_password_find, TN_PARAMS(in.email),
                         &person));
    hash = tn_rows_count(person) > 0 ? tn_rows_text(person, 0, PASSWORD_HASH) : NULL;
    TN_TRY(tn_password_verify(c, in.password, hash, &is_right, &better));
    if (!is_right)
        tn_auth_count_wrong_password(c, &tenant, in.email);
    TN_TRY(tn_auth_ask_password_hook(
        c, &tenant, tn_rows_count(person) > 0 ? tn_rows_text(person, 0, PASSWORD_USER) : NULL,
        in.email, is_right));
    if (!is_right)
        return refuse_outcome(c, password_outcomes, "invalid_credentials");
    /* again: of guesses that came at the same time only as many may be right as come one by one */
    TN_TRY(tn_auth_look_for_password(c, &tenant, in.email));

    TN_TRY(tn_auth_query(c, &tenant, TN_READ_WRITE, &tn_sql_auth_sign_in,
                         TN_PARAMS(tn_rows_text(person, 0, PASSWORD_USER), hash, better,
                                   opening.id.text, opening.token_hash, opening.user_agent,
                                   opening.address, opening.lifetime_s),
                         &grant));
    outcome = tn_rows_text(grant, 0, GRANT_OUTCOME);
    if (strcmp(outcome, "session") != 0)
        return refuse_outcome(c, password_outcomes, outcome);
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

static const struct outcome refresh_outcomes[] = {
    {"refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"},
    {"refresh_token_already_used", "Invalid Refresh Token: Already Used"},
    {"session_expired", "Invalid Refresh Token: Session Expired"},
    {"user_banned", "Invalid Refresh Token: User Banned"},
    {.word = NULL},
};

static const tn_error *
read_refresh_token(const tn_ctx *c, const char *text, tn_refresh_token *token)
{
    if (text == NULL || *text == '\0')
        return tn_error_new(c->arena, 400, "validation_failed", NULL, "refresh_token required");
    switch (tn_refresh_token_read(tn_auth_of(c)->refresh_key, text, token)) {
    case TN_REFRESH_MALFORMED:
        return tn_error_new(c->arena, 400, "validation_failed", NULL, "Refresh token is not valid");
    case TN_REFRESH_FOREIGN:
        return refuse_outcome(c, refresh_outcomes, "refresh_token_not_found");
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
        TN_PARAMS(presented.session_id.text,
                  tn_arena_printf(c->arena, "%lld", (long long)presented.counter),
                  tn_refresh_token_hash(c->arena, in.token),
                  tn_refresh_token_hash(c->arena, tn_refresh_token_make(c->arena, key, &next)),
                  tn_arena_printf(c->arena, "%lld", (long long)c->config->auth.reuse_interval_s),
                  opening.user_agent, opening.address),
        &grant));
    outcome = tn_rows_text(grant, 0, GRANT_OUTCOME);
    if (strcmp(outcome, "session") != 0)
        return refuse_outcome(c, refresh_outcomes, outcome);
    next.counter = tn_rows_int(grant, 0, GRANT_COUNTER, next.counter);
    return tn_auth_respond_session(c, tn_rows_text(grant, 0, GRANT_CLAIMS),
                                   tn_rows_text(grant, 0, GRANT_USER),
                                   tn_refresh_token_make(c->arena, key, &next), NULL);
}

/* --- grants that are not offered here --------------------------------------------------------- */

static const tn_error *
grant_by_code(tn_ctx *c, json_object *body)
{
    if (*tn_json_text(body, "auth_code", "") == '\0' ||
        *tn_json_text(body, "code_verifier", "") == '\0')
        return tn_error_new(c->arena, 400, "validation_failed", NULL,
                            "invalid request: both auth code and code verifier should be "
                            "non-empty");
    return tn_error_new(c->arena, 404, "flow_state_not_found", NULL,
                        "invalid flow state, no valid flow state found");
}

static const tn_error *
grant_by_id_token(tn_ctx *c, json_object *body)
{
    (void)body;
    return tn_error_new(c->arena, 400, "provider_disabled", NULL,
                        "Sign-in with tokens of other providers is not enabled");
}

static const tn_error *
grant_by_wallet(tn_ctx *c, json_object *body)
{
    (void)body;
    return tn_error_new(c->arena, 422, "web3_provider_disabled", NULL, "Web3 provider is disabled");
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
        {"pkce", grant_by_code},         {"id_token", grant_by_id_token},
        {"web3", grant_by_wallet},
    };
    const char *type = tn_request_query(c->request, "grant_type");
    json_object *body;

    for (size_t i = 0; i < TN_COUNT(grants); i++)
        if (type != NULL && strcmp(grants[i].type, type) == 0) {
            TN_TRY(tn_auth_body(c, &body));
            return grants[i].grant(c, body);
        }
    return tn_error_new(c->arena, 400, "invalid_credentials", NULL, "unsupported_grant_type");
}
