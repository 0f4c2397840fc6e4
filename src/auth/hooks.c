/* auth/hooks.c: where the app is asked about its people
 *
 * Nobody may learn from a hook whether an address has an account: before_user_created is asked for
 * addresses that are taken as well, and password_verification_attempt for those that nobody has,
 * under an id that such an address keeps.
 */
#include <string.h>
#include <time.h>

#include "auth/area.h"
#include "auth/queries.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "hook/hook.h"
#include "identity/token.h"

#define CLAIMS_MAX (TN_TOKEN_MAX / 4 * 3 - 256) /* in base64, beside header and signature */

static const char *
now_text(tn_arena *arena)
{
    const time_t now = (time_t)tn_clock_unix();
    char *text = tn_arena_alloc(arena, sizeof("2026-01-01T00:00:00Z"), 1);
    struct tm parts;

    (void)gmtime_r(&now, &parts);
    (void)strftime(text, sizeof("2026-01-01T00:00:00Z"), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

/* --- waiting ---------------------------------------------------------------------------------- */

const tn_error *
tn_auth_enter_wait(tn_ctx *c)
{
    const int64_t threads = c->config->api.threads;
    tn_error *error;

    if (atomic_fetch_add(&tn_auth_of(c)->asking, 1) < (threads + 1) / 2)
        return NULL;
    tn_auth_leave_wait(c);
    error = tn_error_new(c->arena, 503, "overloaded", "Try again in a moment.",
                         "too many requests wait for an answer of the app");
    error->retry_after_s = 1;
    return error;
}

void
tn_auth_leave_wait(const tn_ctx *c)
{
    atomic_fetch_sub(&tn_auth_of(c)->asking, 1);
}

const tn_error *
tn_auth_run_hook(tn_ctx *c, tn_hook hook, const tn_uuid *tenant, const char *payload,
                 json_object **reply)
{
    const tn_error *error;

    TN_TRY(tn_auth_enter_wait(c));
    error = tn_hook_run(c->process, c->arena, hook, tenant, payload, reply);
    tn_auth_leave_wait(c);
    return error;
}

/* --- claims of access tokens ------------------------------------------------------------------ */

/* The newest entry of `amr`; a refresh is none of them. */
static const char *
method_of(const tn_ctx *c, json_object *claims)
{
    const char *grant = tn_request_query(c->request, "grant_type");
    json_object *methods = tn_json_get(claims, "amr");

    if (grant != NULL && strcmp(grant, "refresh_token") == 0)
        return "token_refresh";
    if (!json_object_is_type(methods, json_type_array) || json_object_array_length(methods) == 0)
        return "";
    return tn_json_text(json_object_array_get_idx(methods, 0), "method", "");
}

/* What is wrong with what the hook has made of our claims; NULL: nothing. */
static const char *
judge_claims(json_object *ours, json_object *theirs)
{
    static const char *const kept[] = {"aud",   "exp",  "iat", "sub",        "email",
                                       "phone", "role", "aal", "session_id", "is_anonymous"};
    static const char *const same[] = {"iss", "aud", "sub", "session_id", "tenant_id", "iat"};
    const char *role;

    for (size_t i = 0; i < TN_COUNT(kept); i++)
        if (!json_object_object_get_ex(theirs, kept[i], NULL))
            return kept[i];
    for (size_t i = 0; i < TN_COUNT(same); i++)
        if (!json_object_equal(tn_json_get(ours, same[i]), tn_json_get(theirs, same[i])))
            return same[i];
    if (tn_json_int(theirs, "exp", INT64_MAX) > tn_json_int(ours, "exp", 0) ||
        tn_json_int(theirs, "exp", 0) <= tn_json_int(ours, "iat", 0))
        return "exp";
    role = tn_json_text(theirs, "role", "");
    if (strcmp(role, tn_json_text(ours, "role", "")) != 0 && strcmp(role, "authenticated") != 0 &&
        strcmp(role, "anon") != 0)
        return "role";
    return NULL;
}

const tn_error *
tn_auth_customise_claims(tn_ctx *c, const char **claims)
{
    PQExpBuffer payload = tn_arena_buffer(c->arena);
    json_object *ours, *reply, *theirs;
    const char *problem;
    tn_uuid tenant;

    if (!tn_hook_is_set(c->config, TN_HOOK_CUSTOM_ACCESS_TOKEN))
        return NULL;
    TN_TRY(tn_json_parse(c->arena, *claims, strlen(*claims), TN_JSON_DEPTH, &ours));
    if (!tn_uuid_parse(tn_json_text(ours, "tenant_id", ""), &tenant))
        return tn_error_internal(c->arena, "auth.claims.no_tenant", "%s", "no tenant_id in claims");
    appendPQExpBufferStr(payload, "{\"user_id\":");
    tn_buffer_json_string(payload, tn_json_text(ours, "sub", ""));
    appendPQExpBuffer(payload, ",\"claims\":%s,\"authentication_method\":", *claims);
    tn_buffer_json_string(payload, method_of(c, ours));
    appendPQExpBufferChar(payload, '}');
    TN_TRY(
        tn_auth_run_hook(c, TN_HOOK_CUSTOM_ACCESS_TOKEN, &tenant, tn_buffer_text(payload), &reply));
    theirs = tn_json_get(reply, "claims");
    problem = json_object_is_type(theirs, json_type_object) ? judge_claims(ours, theirs) : "claims";
    if (problem != NULL) {
        tn_log(TN_LOG_ERROR, "hook.claims_refused", TN_STR("request_id", c->request->id),
               TN_STR("claim", problem));
        return tn_error_new(c->arena, 500, "unexpected_failure", NULL,
                            "output claims do not conform to the expected schema: %s", problem);
    }
    *claims = tn_json_print(c->arena, theirs);
    if (strlen(*claims) > CLAIMS_MAX)
        return tn_error_new(c->arena, 500, "unexpected_failure", NULL,
                            "the claims of the access token are larger than %d bytes", CLAIMS_MAX);
    return NULL;
}

/* --- new accounts ----------------------------------------------------------------------------- */

static void
add_text(PQExpBuffer text, const char *name, const char *value)
{
    appendPQExpBuffer(text, "\"%s\":", name);
    tn_buffer_json_string(text, value != NULL ? value : "");
}

const char *
tn_auth_user_to_be(tn_ctx *c, const char *email, const char *phone, const char *provider,
                   json_object *user_metadata)
{
    PQExpBuffer text = tn_arena_buffer(c->arena);

    appendPQExpBufferStr(text, "{\"aud\":");
    tn_buffer_json_string(text, c->config->auth.audience);
    appendPQExpBufferStr(text, ",\"role\":\"authenticated\",");
    add_text(text, "email", email);
    appendPQExpBufferChar(text, ',');
    add_text(text, "phone", phone);
    appendPQExpBufferStr(text, ",\"app_metadata\":{");
    if (provider != NULL) {
        add_text(text, "provider", provider);
        appendPQExpBufferStr(text, ",\"providers\":[");
        tn_buffer_json_string(text, provider);
        appendPQExpBufferChar(text, ']');
    }
    appendPQExpBuffer(text, "},\"user_metadata\":%s,\"is_anonymous\":%s}",
                      user_metadata != NULL ? tn_json_print(c->arena, user_metadata) : "{}",
                      provider == NULL ? "true" : "false");
    return tn_buffer_text(text);
}

const tn_error *
tn_auth_before_user(tn_ctx *c, const tn_uuid *tenant, const char *user)
{
    PQExpBuffer payload = tn_arena_buffer(c->arena);
    json_object *reply;

    if (!tn_hook_is_set(c->config, TN_HOOK_BEFORE_USER_CREATED))
        return NULL;
    appendPQExpBuffer(payload,
                      "{\"metadata\":{\"uuid\":\"%s\",\"time\":\"%s\","
                      "\"name\":\"before-user-created\",",
                      tn_uuid_new().text, now_text(c->arena));
    add_text(payload, "ip_address", tn_request_client_address(c->request));
    appendPQExpBuffer(payload, "},\"user\":%s}", user);
    return tn_auth_run_hook(c, TN_HOOK_BEFORE_USER_CREATED, tenant, tn_buffer_text(payload),
                            &reply);
}

const char *
tn_auth_settings_of_transaction(const tn_config *config)
{
    return tn_hook_is_set(config, TN_HOOK_AFTER_USER_CREATED) ? "{\"tenon.tell_new_users\":\"on\"}"
                                                              : NULL;
}

/* --- attempts --------------------------------------------------------------------------------- */

static bool
is_rejected(json_object *reply)
{
    return strcmp(tn_json_text(reply, "decision", "continue"), "reject") == 0;
}

static const tn_error *
sign_out_if_asked(tn_ctx *c, const tn_uuid *tenant, const char *user_id, json_object *reply)
{
    const tn_rows *rows;

    if (user_id == NULL || !tn_json_bool(reply, "should_logout_user", false))
        return NULL;
    return tn_auth_query(c, tenant, TN_READ_WRITE, &tn_sql_auth_sessions_end, TN_PARAMS(user_id),
                         &rows);
}

/* The id of an account that is not there: always the same for an address, and like any other. */
static const char *
id_of_nobody(const tn_ctx *c, const tn_uuid *tenant, const char *address)
{
    const uint8_t *key = tn_auth_of(c)->confirmation_key;
    const char *text = tn_arena_printf(c->arena, "nobody %s %s", tenant->text, address);
    uint8_t digest[TN_SHA256_SIZE];

    tn_hmac_sha256(key, sizeof(tn_auth_of(c)->confirmation_key), text, strlen(text), digest);
    return tn_arena_text(c->arena, tn_uuid_of_random(digest).text);
}

const tn_error *
tn_auth_ask_password_hook(tn_ctx *c, const tn_uuid *tenant, const char *user_id,
                          const char *address, bool is_right)
{
    const tn_error *error;
    json_object *reply;

    if (!tn_hook_is_set(c->config, TN_HOOK_PASSWORD_VERIFICATION_ATTEMPT))
        return NULL;
    error = tn_auth_run_hook(
        c, TN_HOOK_PASSWORD_VERIFICATION_ATTEMPT, tenant,
        tn_arena_printf(c->arena, "{\"user_id\":\"%s\",\"valid\":%s}",
                        user_id != NULL ? user_id : id_of_nobody(c, tenant, address),
                        is_right ? "true" : "false"),
        &reply);
    /* A hook may trip over an id that is nobody's: a wrong password stays one. */
    if (error != NULL && !is_right && error->status >= 500)
        return NULL;
    TN_TRY(error);
    if (!is_rejected(reply))
        return NULL;
    TN_TRY(sign_out_if_asked(c, tenant, user_id, reply));
    return tn_error_new(
        c->arena, 400, "invalid_credentials", NULL, "%s",
        tn_json_text(reply, "message", "Further password verification attempts will be rejected."));
}
