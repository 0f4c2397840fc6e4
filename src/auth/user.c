/* auth/user.c: people: who they are, and how they come to be */
#include <string.h>
#include <strings.h>

#include "auth/area.h"
#include "auth/auth.h"
#include "auth/queries.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/text.h"

#define CHALLENGE_MIN 43 /* RFC 7636 section 4.2 */
#define CHALLENGE_MAX 128

enum { SIGN_UP_OUTCOME, SIGN_UP_USER, SIGN_UP_CLAIMS, SIGN_UP_FAILURE };

/* GET /auth/v1/user */
const tn_error *
tn_auth_user_get(tn_ctx *c)
{
    const tn_principal *who = c->who;
    const char *session = who->session_id.text[0] != '\0' ? who->session_id.text : NULL;
    const char *const parameters[] = {who->user_id.text, session};
    const tn_query query = {
        .statement = &tn_sql_auth_user_get, .parameters = parameters, .parameter_count = 2};
    /* no request.headers and the like: nothing in this query can ask for them */
    const tn_db_context context = {
        .role = "tenon_worker", .tenant_id = who->tenant_id.text, .request_id = c->request->id};
    const tn_rows *rows;

    TN_TRY(tn_auth_require_person(c));
    TN_TRY(tn_db_run(c->process->db, c->arena, &context, TN_READ_ONLY, &query, 1, &rows));
    TN_TRY(tn_auth_check_person(c, rows));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}

/* --- sign-up: input --------------------------------------------------------------------------- */

struct newcomer {
    const char *email, *phone, *password, *challenge, *method;
    json_object *data;
};

static const tn_field newcomer_fields[] = {
    {.name = "email", .offset = offsetof(struct newcomer, email)},
    {.name = "phone", .offset = offsetof(struct newcomer, phone)},
    {.name = "password", .offset = offsetof(struct newcomer, password)},
    {.name = "code_challenge", .offset = offsetof(struct newcomer, challenge)},
    {.name = "code_challenge_method", .offset = offsetof(struct newcomer, method)},
    {.name = "data", .offset = offsetof(struct newcomer, data), .type = TN_FIELD_JSON},
    {.name = NULL},
};

static bool
is_given(const char *text)
{
    return text != NULL && *text != '\0';
}

static const tn_error *
refuse_input(const tn_ctx *c, const char *message)
{
    return tn_error_new(c->arena, 400, "validation_failed", NULL, "%s", message);
}

/* Proof Key for Code Exchange (RFC 7636), which matters only once a link in a mail is followed. */
static const tn_error *
check_challenge(const tn_ctx *c, const struct newcomer *in)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "._~-";
    size_t length;

    if (!is_given(in->challenge) && !is_given(in->method))
        return NULL;
    if (is_given(in->phone))
        return refuse_input(c, "PKCE not supported for phone signups");
    if (!is_given(in->challenge) || !is_given(in->method))
        return refuse_input(c, "PKCE flow requires code_challenge_method and code_challenge");
    if (strcasecmp(in->method, "s256") != 0 && strcasecmp(in->method, "plain") != 0)
        return refuse_input(c, "code_challenge_method is neither s256 nor plain");
    length = strlen(in->challenge);
    if (length < CHALLENGE_MIN || length > CHALLENGE_MAX)
        return refuse_input(c, "code challenge has to be between 43 and 128 characters");
    if (strspn(in->challenge, allowed) != length)
        return refuse_input(c, "code challenge can only contain alphanumeric characters, hyphens, "
                               "periods, underscores and tildes");
    return NULL;
}

/* In the order of auth-api.md section 5; `email` is NULL for somebody anonymous. */
static const tn_error *
check_newcomer(const tn_ctx *c, const struct newcomer *in, const char **email)
{
    *email = NULL;
    if (!c->config->auth.signup)
        return tn_error_new(c->arena, 422, "signup_disabled", NULL,
                            "Signups not allowed for this instance");
    if (in->data != NULL && !json_object_is_type(in->data, json_type_object))
        return refuse_input(c, "data must be an object");
    if (!is_given(in->email) && !is_given(in->phone))
        return c->config->auth.anonymous
                   ? NULL
                   : tn_error_new(c->arena, 422, "anonymous_provider_disabled", NULL,
                                  "Anonymous sign-ins are disabled");
    if (!is_given(in->password))
        return refuse_input(c, "Signup requires a valid password");
    TN_TRY(tn_password_check(c->config, c->arena, in->password));
    if (is_given(in->email) && is_given(in->phone))
        return refuse_input(c,
                            "Only an email address or phone number should be provided on signup.");
    TN_TRY(check_challenge(c, in));
    if (is_given(in->phone))
        return tn_error_new(c->arena, 400, "phone_provider_disabled", NULL,
                            "Phone signups are disabled");
    return tn_email_normalise(c->arena, in->email, email);
}

/* --- sign-up: answer -------------------------------------------------------------------------- */

/* The errors of people's triggers and constraints: in the older form with what they said
 * (auth-api.md section 2.4), in the newer one only that there was one. */
static const tn_error *
respond_database_error(tn_ctx *c, const char *failure)
{
    static const char *const shown[] = {"P0001", "23000", "23001", "23502",
                                        "23503", "23505", "23514", "23P01"};
    json_object *object = NULL;
    const char *code;
    int64_t status = 0;
    bool is_shown;

    TN_TRY(tn_json_parse(c->arena, failure, strlen(failure), TN_JSON_DEPTH, &object));
    code = tn_json_text(object, "code", "");
    tn_log(TN_LOG_WARN, "auth.sign_up.refused_by_database", TN_STR("request_id", c->request->id),
           TN_STR("sqlstate", code), TN_STR("cause", tn_json_text(object, "message", NULL)));
    is_shown = tn_text_starts(code, "PT") && tn_text_int(code + 2, 400, 599, &status);
    for (size_t i = 0; i < TN_COUNT(shown); i++)
        is_shown = is_shown || strcmp(shown[i], code) == 0;
    if (is_shown && !tn_auth_wants_new_form(c->request))
        return tn_respond_json(c, status != 0 ? (int)status : 500, failure);
    return tn_error_new(c->arena, 500, "unexpected_failure", NULL,
                        "Database error saving new user");
}

static const tn_error *
refuse_haste(const tn_ctx *c, const char *failure)
{
    json_object *object = NULL;
    tn_error *error;
    int64_t seconds;

    TN_TRY(tn_json_parse(c->arena, failure, strlen(failure), TN_JSON_DEPTH, &object));
    seconds = tn_json_int(object, "seconds", 60);
    error = tn_error_new(c->arena, 429, "over_email_send_rate_limit", NULL,
                         "For security purposes, you can only request this after %lld seconds.",
                         (long long)seconds);
    error->retry_after_s = (int)seconds;
    return error;
}

static const tn_error *
respond_sign_up(tn_ctx *c, const tn_rows *rows, const tn_auth_opening *opening)
{
    const char *outcome = tn_rows_text(rows, 0, SIGN_UP_OUTCOME);

    if (strcmp(outcome, "session") == 0)
        return tn_auth_respond_session(c, tn_rows_text(rows, 0, SIGN_UP_CLAIMS),
                                       tn_rows_text(rows, 0, SIGN_UP_USER), opening->token, NULL);
    if (strcmp(outcome, "user") == 0 || strcmp(outcome, "fabricated") == 0)
        return tn_respond_json(c, 200, tn_rows_text(rows, 0, SIGN_UP_USER));
    if (strcmp(outcome, "user_already_exists") == 0)
        return tn_error_new(c->arena, 422, "user_already_exists", NULL, "User already registered");
    if (strcmp(outcome, "over_email_send_rate_limit") == 0)
        return refuse_haste(c, tn_rows_text(rows, 0, SIGN_UP_FAILURE));
    return respond_database_error(c, tn_rows_text(rows, 0, SIGN_UP_FAILURE));
}

/* Six random digits, as they will be sent by mail, as keyed hash: without the key they could be
 * guessed from it. */
static const char *
make_confirmation(const tn_ctx *c, const char *email)
{
    char *hex = tn_arena_alloc(c->arena, TN_SHA256_HEX, 1);
    uint8_t digest[TN_SHA256_SIZE];
    const char *text;
    uint32_t random;

    do
        tn_random(&random, sizeof(random));
    while (random >= 4294000000u); /* so that all codes are equally likely */
    text = tn_arena_printf(c->arena, "%s%06u", email, random % 1000000);
    tn_hmac_sha256(tn_auth_of(c)->confirmation_key, sizeof(tn_auth_of(c)->confirmation_key), text,
                   strlen(text), digest);
    tn_hex(digest, sizeof(digest), hex);
    return hex;
}

/* POST /auth/v1/signup */
const tn_error *
tn_auth_sign_up(tn_ctx *c)
{
    const tn_auth_opening opening = tn_auth_open(c);
    struct newcomer in = {0};
    const char *email, *hash = NULL, *data = "{}", *confirmation = NULL;
    const tn_rows *rows;
    json_object *body;
    bool autoconfirm;
    tn_uuid tenant;

    /* parse */
    TN_TRY(tn_auth_body(c, &body));
    TN_TRY(tn_object_known_fields(c, body, newcomer_fields, &in));
    TN_TRY(check_newcomer(c, &in, &email));
    if (in.data != NULL)
        data = tn_json_print(c->arena, in.data);

    /* authorise */
    TN_TRY(tn_auth_tenant(c, &tenant));

    /* hash, with no connection held; also for an address that is taken, which nobody may notice */
    autoconfirm = email == NULL || c->config->auth.autoconfirm;
    if (email != NULL)
        TN_TRY(tn_password_hash(c, in.password, &hash));
    if (!autoconfirm)
        confirmation = make_confirmation(c, email);

    /* SQL: one transaction, one round trip */
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_WRITE, &tn_sql_auth_sign_up,
                         TN_PARAMS(email, hash, data, autoconfirm ? "true" : "false",
                                   opening.id.text, opening.token_hash, opening.user_agent,
                                   opening.address, opening.lifetime_s, confirmation),
                         &rows));
    return respond_sign_up(c, rows, &opening);
}

/* --- the operator's way ----------------------------------------------------------------------- */

const tn_error *
tn_auth_create_user(tn_session *session, tn_arena *arena, const tn_config *config,
                    const char *tenant_id, const char *email, const char *password,
                    const char *metadata, const char **user)
{
    const tn_rows *rows;
    const char *address;

    TN_TRY(tn_email_normalise(arena, email, &address));
    TN_TRY(tn_password_check(config, arena, password));
    TN_TRY(
        tn_session_run(session, arena, tn_sql_auth_user_create.sql,
                       TN_PARAMS(tenant_id, address, tn_password_hash_now(config, arena, password),
                                 metadata != NULL ? metadata : "{}"),
                       &rows));
    *user = tn_rows_text(rows, 0, 0);
    if (*user == NULL)
        return tn_error_new(arena, 422, "email_exists", NULL,
                            "A user with this email address has already been registered");
    return NULL;
}

const tn_error *
tn_auth_set_password(tn_session *session, tn_arena *arena, const tn_config *config,
                     const char *tenant_id, const char *user_id, const char *password)
{
    const tn_rows *rows;

    TN_TRY(tn_password_check(config, arena, password));
    TN_TRY(tn_session_run(
        session, arena, tn_sql_auth_password_set.sql,
        TN_PARAMS(tenant_id, user_id, tn_password_hash_now(config, arena, password)), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_error_new(arena, 404, "user_not_found", NULL, "User not found");
    return NULL;
}
