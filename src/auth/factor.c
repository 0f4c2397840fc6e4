/* auth/factor.c: second factors: what is the same for all types of them */
#include "auth/factor.h"

#include <string.h>

#include "auth/queries.h"
#include "base/crypto.h"
#include "hook/hook.h"
#include "mail/mail.h"

#define NAME_MAX_BYTES 255

enum { ENROLLED_ACCOUNT = TN_FACTOR_FIRST };
enum {
    FOUND_TYPE = TN_FACTOR_FIRST,
    FOUND_STATUS,
    FOUND_PHONE,
    FOUND_ACCOUNT,
    FOUND_LABEL,
    FOUND_CREDENTIALS
};
enum { CHALLENGE_EXPIRES_AT = TN_FACTOR_FIRST };
enum {
    ATTEMPT_TYPE = TN_FACTOR_FIRST,
    ATTEMPT_SECRET,
    ATTEMPT_CODE,
    ATTEMPT_DATA,
    ATTEMPT_COUNTER,
    ATTEMPT_KEY,
    ATTEMPT_ALGORITHM
};
enum { SESSION_USER = TN_FACTOR_FIRST, SESSION_CLAIMS };

/* --- outcomes --------------------------------------------------------------------------------- */

static const tn_auth_outcome outcomes[] = {
    TN_OUTCOME("user_not_found", 403, "User from sub claim in JWT does not exist"),
    TN_OUTCOME("user_banned", 403, "User is banned"),
    TN_OUTCOME("session_not_found", 403, "Session from session_id claim in JWT does not exist"),
    TN_OUTCOME("no_authorization", 403, "Anonymous user not allowed to perform these actions"),
    TN_OUTCOME("mfa_factor_not_found", 404, "Factor not found"),
    TN_OUTCOME("mfa_factor_name_conflict", 422, "A factor with this friendly name exists already"),
    TN_OUTCOME("too_many_enrolled_mfa_factors", 422,
               "Maximum number of factors reached, unenroll one to continue"),
    TN_OUTCOME("mfa_verified_factor_exists", 422,
               "A verified factor of this kind exists already, unenroll it to continue"),
    TN_OUTCOME("insufficient_aal", 403, "AAL2 session is required"),
    {"insufficient_aal_for_factor", 422, "AAL2 required to unenroll verified factor",
     .code = "insufficient_aal"},
    {"mfa_challenge_not_found", 422, "MFA factor with the provided challenge ID not found",
     .code = "mfa_factor_not_found"},
    TN_OUTCOME("mfa_ip_address_mismatch", 422,
               "The challenge was used already, or asked for from another address"),
    TN_OUTCOME("mfa_challenge_expired", 422, "MFA challenge has expired, create a new challenge"),
    TN_OUTCOME("mfa_verification_failed", 422,
               "Invalid TOTP code entered, or one that was used before"),
    TN_OUTCOME("mfa_recovery_codes_sole_factor", 422,
               "Recovery codes cannot be the only verified factor"),
    TN_OUTCOME("webauthn_credential_exists", 422, "This credential is already registered"),
    TN_OUTCOME("webauthn_challenge_not_found", 400, "Challenge not found or already used"),
    TN_OUTCOME("webauthn_challenge_expired", 400, "Challenge has expired"),
    TN_OUTCOME("webauthn_verification_failed", 400, "Credential verification failed"),
    TN_OUTCOME("too_many_passkeys", 422, "Maximum number of passkeys reached"),
    {"passkey_not_found", 404, "Passkey not found", .code = "validation_failed"},
    TN_OUTCOME("email_not_confirmed", 403, "Email not confirmed"),
    TN_OUTCOME("phone_not_confirmed", 403, "Phone not confirmed"),
    TN_OUTCOME("conflict", 409, "The session was refreshed meanwhile, try again"),
    {.word = NULL},
};

/* The rows of those statements that may say so tell the seconds as well. */
static const tn_error *
refuse_haste(const tn_ctx *c, const char *code, const char *message, const tn_rows *rows)
{
    const int64_t seconds = tn_rows_int(rows, 0, TN_FACTOR_SECONDS, 60);
    tn_error *error =
        tn_error_new(c->arena, 429, code, NULL, "%s %lld seconds.", message, (long long)seconds);

    error->retry_after_s = (int)seconds;
    return error;
}

const tn_error *
tn_factor_outcome(const tn_ctx *c, const tn_rows *rows, const char *expected)
{
    const char *word = tn_rows_text(rows, 0, TN_FACTOR_OUTCOME);

    if (strcmp(word, expected) == 0)
        return NULL;
    if (strcmp(word, "over_sms_send_rate_limit") == 0)
        return refuse_haste(c, "over_sms_send_rate_limit",
                            "For security purposes, you can only request this after", rows);
    if (strcmp(word, "mfa_recovery_codes_locked") == 0)
        return refuse_haste(c, "mfa_recovery_codes_locked",
                            "Too many wrong recovery codes, try again after", rows);
    if (strcmp(word, "blocked") == 0)
        return refuse_haste(c, "over_request_rate_limit", "Too many wrong codes, try again after",
                            rows);
    return tn_auth_refuse_by(c, outcomes, word);
}

const tn_error *
tn_factor_wrong(const tn_ctx *c, const char *message)
{
    return tn_error_new(c->arena, 422, "mfa_verification_failed", NULL, "%s", message);
}

/* --- types ------------------------------------------------------------------------------------ */

static const struct type {
    const char *name;
    size_t is_on; /* offset in tn_config */
    const char *enroll_off, *verify_off;
    const tn_error *(*enroll)(tn_ctx *c, tn_factor_call *call, const tn_enrolment *in);
    const tn_error *(*challenge)(tn_ctx *c, tn_factor_call *call);
    const tn_error *(*verify)(tn_ctx *c, tn_factor_call *call);
} types[] = {
    {"totp", offsetof(tn_config, auth.mfa_totp), "mfa_totp_enroll_not_enabled",
     "mfa_totp_verify_not_enabled", tn_totp_enroll, tn_totp_challenge, tn_totp_verify},
    {"phone", offsetof(tn_config, auth.mfa_phone), "mfa_phone_enroll_not_enabled",
     "mfa_phone_verify_not_enabled", tn_phone_factor_enroll, tn_phone_factor_challenge,
     tn_phone_factor_verify},
    {"webauthn", offsetof(tn_config, auth.mfa_webauthn), "mfa_webauthn_enroll_not_enabled",
     "mfa_webauthn_verify_not_enabled", tn_key_factor_enroll, tn_key_factor_challenge,
     tn_key_factor_verify},
};

static const struct type *
find_type(const char *name)
{
    for (size_t i = 0; i < TN_COUNT(types); i++)
        if (name != NULL && strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

static bool
is_on(const tn_config *config, const struct type *type)
{
    return *(const bool *)((const char *)config + type->is_on);
}

static const tn_error *
check_verify_on(const tn_ctx *c, const struct type *type)
{
    if (is_on(c->config, type))
        return NULL;
    return tn_error_new(c->arena, 422, type->verify_off, NULL,
                        "MFA verification is disabled for %s", type->name);
}

/* --- what each request begins and ends with --------------------------------------------------- */

const tn_error *
tn_factor_begin(tn_ctx *c, tn_factor_call *call)
{
    const tn_principal *who = c->who;

    TN_TRY(tn_auth_require_person(c));
    *call = (tn_factor_call){
        .person = who->user_id.text,
        .session = tn_principal_session(who),
        .tenant = &who->tenant_id,
        .address = tn_request_client_address(c->request),
    };
    return NULL;
}

/* The factor of the path: what is no UUID is no factor. */
static const tn_error *
begin_with_factor(tn_ctx *c, tn_factor_call *call)
{
    TN_TRY(tn_factor_begin(c, call));
    if (!tn_uuid_parse(tn_path_text(c, "id"), &call->factor))
        return tn_error_new(c->arena, 404, "validation_failed", NULL, "factor_id must be an UUID");
    return tn_body_object(c, &call->body);
}

const char *
tn_factor_notice(const tn_ctx *c, const tn_factor_call *call, const char *type)
{
    const tn_letter letter = {
        .data = type == NULL ? NULL : tn_arena_printf(c->arena, "{\"factor_type\":\"%s\"}", type)};

    return tn_letter_seal(c->config, c->arena, call->tenant, &letter);
}

const char *
tn_factor_hash(const tn_ctx *c, const tn_factor_call *call, const char *code)
{
    const char *text =
        tn_arena_printf(c->arena, "%s\n%s\n%s", call->tenant->text, call->person, code);
    char *hex = tn_arena_alloc(c->arena, TN_SHA256_HEX, 1);
    uint8_t digest[TN_SHA256_SIZE];

    tn_hmac_sha256(tn_auth_of(c)->recovery_key, sizeof(tn_auth_of(c)->recovery_key), text,
                   strlen(text), digest);
    tn_hex(digest, sizeof(digest), hex);
    return hex;
}

const tn_error *
tn_factor_ask_hook(tn_ctx *c, const tn_factor_call *call, const char *type, bool is_right)
{
    const char *decision, *message;
    json_object *reply = NULL;
    const tn_rows *rows;

    if (!tn_hook_is_set(c->config, TN_HOOK_MFA_VERIFICATION_ATTEMPT))
        return NULL;
    TN_TRY(tn_auth_run_hook(
        c, TN_HOOK_MFA_VERIFICATION_ATTEMPT, call->tenant,
        tn_arena_printf(c->arena,
                        "{\"user_id\":\"%s\",\"factor_id\":\"%s\",\"factor_type\":\"%s\","
                        "\"valid\":%s}",
                        call->person, call->factor.text, type, is_right ? "true" : "false"),
        &reply));
    decision = tn_json_text(reply, "decision", "continue");
    if (strcmp(decision, "reject") != 0)
        return NULL;
    TN_TRY(tn_auth_query(c, call->tenant, TN_READ_WRITE, &tn_sql_auth_factor_reject,
                         TN_PARAMS(call->person, call->address), &rows));
    message = tn_json_text(reply, "message", "");
    return tn_error_new(c->arena, 403, "mfa_verification_rejected", NULL, "%s",
                        *message != '\0' ? message
                                         : "Further MFA verification attempts will be rejected.");
}

void
tn_factor_prepare_refresh(tn_ctx *c, tn_factor_call *call, int64_t counter)
{
    /* one between, for a refresh that happens meanwhile */
    tn_refresh_token next = {.counter = counter + 2};

    if (call->session != NULL && !tn_uuid_parse(call->session, &next.session_id))
        tn_die("a session whose id is no UUID: %s", call->session);
    call->refresh_token = tn_refresh_token_make(c->arena, tn_auth_of(c)->refresh_key, &next);
    call->refresh_hash = tn_refresh_token_hash(c->arena, call->refresh_token);
    call->refresh_counter = tn_arena_number(c->arena, next.counter);
}

const tn_error *
tn_factor_respond_session(tn_ctx *c, const tn_factor_call *call, const tn_rows *rows)
{
    TN_TRY(tn_factor_outcome(c, rows, "session"));
    return tn_auth_respond_session(c, tn_rows_text(rows, 0, SESSION_CLAIMS),
                                   tn_rows_text(rows, 0, SESSION_USER), call->refresh_token, NULL);
}

/* --- enrolment -------------------------------------------------------------------------------- */

static const tn_field enrolment_fields[] = {
    {.name = "factor_type", .offset = offsetof(tn_enrolment, type)},
    {.name = "friendly_name", .offset = offsetof(tn_enrolment, name), .max = NAME_MAX_BYTES},
    {.name = "issuer", .offset = offsetof(tn_enrolment, issuer), .max = NAME_MAX_BYTES},
    {.name = "phone", .offset = offsetof(tn_enrolment, phone), .max = NAME_MAX_BYTES},
    {.name = NULL},
};

const tn_error *
tn_factor_post_enrolment(tn_ctx *c, const tn_factor_call *call, const tn_enrolment *in,
                         const char *secret, const char **account)
{
    const tn_rows *rows;

    TN_TRY(tn_auth_query(c, call->tenant, TN_READ_WRITE, &tn_sql_auth_factor_enroll,
                         TN_PARAMS(call->person, call->session, call->factor.text, in->type,
                                   in->name, secret, in->phone,
                                   tn_arena_number(c->arena, c->config->auth.mfa_max_factors),
                                   call->address),
                         &rows));
    TN_TRY(tn_factor_outcome(c, rows, "enrolled"));
    *account = tn_rows_text(rows, 0, ENROLLED_ACCOUNT);
    return NULL;
}

/* POST /auth/v1/factors */
const tn_error *
tn_factor_enroll(tn_ctx *c)
{
    tn_enrolment in = {.type = "", .name = "", .issuer = "", .phone = NULL};
    const struct type *type;
    tn_factor_call call;

    TN_TRY(tn_factor_begin(c, &call));
    TN_TRY(tn_auth_body(c, &call.body));
    TN_TRY(tn_object_known_fields(c, call.body, enrolment_fields, &in));
    type = find_type(in.type);
    if (type == NULL)
        return tn_auth_refuse_input(c, "factor_type needs to be totp, phone, or webauthn");
    if (!is_on(c->config, type))
        return tn_error_new(c->arena, 422, type->enroll_off, NULL, "MFA enroll is disabled for %s",
                            type->name);
    call.factor = tn_uuid_new();
    return type->enroll(c, &call, &in);
}

/* --- challenge -------------------------------------------------------------------------------- */

const tn_error *
tn_factor_post_challenge(tn_ctx *c, const tn_factor_call *call, const char *code_hash,
                         const char *letter, const char *data, int64_t *expires_at)
{
    const tn_rows *rows;

    TN_TRY(tn_auth_query(c, call->tenant, TN_READ_WRITE, &tn_sql_auth_factor_challenge,
                         TN_PARAMS(call->person, call->session, call->factor.text,
                                   call->challenge.text, call->address, code_hash, letter, data),
                         &rows));
    TN_TRY(tn_factor_outcome(c, rows, "challenged"));
    *expires_at = tn_rows_int(rows, 0, CHALLENGE_EXPIRES_AT, 0);
    return NULL;
}

/* POST /auth/v1/factors/{id}/challenge */
const tn_error *
tn_factor_challenge(tn_ctx *c)
{
    const struct type *type;
    tn_factor_call call;
    const tn_rows *rows;

    TN_TRY(begin_with_factor(c, &call));
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_ONLY, &tn_sql_auth_factor_find,
                         TN_PARAMS(call.person, call.session, call.factor.text), &rows));
    TN_TRY(tn_factor_outcome(c, rows, "found"));
    type = find_type(tn_rows_text(rows, 0, FOUND_TYPE));
    if (type == NULL)
        return tn_error_internal(c->arena, "auth.factor.type_unknown", "%s", call.factor.text);
    TN_TRY(check_verify_on(c, type));
    call.challenge = tn_uuid_new();
    call.is_verified = strcmp(tn_rows_text(rows, 0, FOUND_STATUS), "verified") == 0;
    call.phone = tn_rows_text(rows, 0, FOUND_PHONE);
    call.account = tn_rows_text(rows, 0, FOUND_ACCOUNT);
    call.label = tn_rows_text(rows, 0, FOUND_LABEL);
    call.credentials = tn_rows_text(rows, 0, FOUND_CREDENTIALS);
    return type->challenge(c, &call);
}

/* --- verification ----------------------------------------------------------------------------- */

static const tn_error *
read_attempt(tn_ctx *c, const tn_rows *rows, tn_factor_call *call)
{
    const char *data = tn_rows_text(rows, 0, ATTEMPT_DATA);

    call->secret = tn_rows_text(rows, 0, ATTEMPT_SECRET);
    call->code_hash = tn_rows_text(rows, 0, ATTEMPT_CODE);
    call->public_key = tn_rows_text(rows, 0, ATTEMPT_KEY);
    call->algorithm = (int)tn_rows_int(rows, 0, ATTEMPT_ALGORITHM, 0);
    tn_factor_prepare_refresh(c, call, tn_rows_int(rows, 0, ATTEMPT_COUNTER, 0));
    if (data != NULL)
        TN_TRY(tn_json_parse(c->arena, data, strlen(data), TN_JSON_DEPTH, &call->data));
    return NULL;
}

/* POST /auth/v1/factors/{id}/verify */
const tn_error *
tn_factor_verify(tn_ctx *c)
{
    const struct type *type;
    tn_factor_call call;
    const tn_rows *rows;

    /* parse */
    TN_TRY(begin_with_factor(c, &call));
    if (tn_json_get(call.body, "webauthn") == NULL && *tn_json_text(call.body, "code", "") == '\0')
        return tn_auth_refuse_input(c, "Code needs to be non-empty");
    if (!tn_uuid_parse(tn_json_text(call.body, "challenge_id", ""), &call.challenge))
        return tn_auth_refuse_input(c, "challenge_id must be an UUID");

    /* the attempt counts before anybody knows what it is worth */
    TN_TRY(tn_auth_query(
        c, call.tenant, TN_READ_WRITE, &tn_sql_auth_factor_attempt,
        TN_PARAMS(call.person, call.session, call.factor.text, call.challenge.text, call.address),
        &rows));
    TN_TRY(tn_factor_outcome(c, rows, "attempt"));
    type = find_type(tn_rows_text(rows, 0, ATTEMPT_TYPE));
    if (type == NULL)
        return tn_error_internal(c->arena, "auth.factor.type_unknown", "%s", call.factor.text);
    TN_TRY(check_verify_on(c, type));
    TN_TRY(read_attempt(c, rows, &call));
    return type->verify(c, &call);
}

/* DELETE /auth/v1/factors/{id} */
const tn_error *
tn_factor_unenroll(tn_ctx *c)
{
    tn_factor_call call;
    const tn_rows *rows;

    TN_TRY(begin_with_factor(c, &call));
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_ONLY, &tn_sql_auth_factor_find,
                         TN_PARAMS(call.person, call.session, call.factor.text), &rows));
    TN_TRY(tn_factor_outcome(c, rows, "found"));
    TN_TRY(tn_auth_query(c, call.tenant, TN_READ_WRITE, &tn_sql_auth_factor_unenroll,
                         TN_PARAMS(call.person, call.session, call.factor.text, call.address,
                                   tn_factor_notice(c, &call, tn_rows_text(rows, 0, FOUND_TYPE))),
                         &rows));
    TN_TRY(tn_factor_outcome(c, rows, "dropped"));
    return tn_respond_json(c, 200, tn_arena_printf(c->arena, "{\"id\":\"%s\"}", call.factor.text));
}
