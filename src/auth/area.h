/* auth/area.h: what the files of the auth area share; nobody else includes it
 *
 * Threads: the state is constant after start() but for its counter.
 */
#ifndef TN_AUTH_AREA_H
#define TN_AUTH_AREA_H

#include <stdatomic.h>

#include "auth/refresh_token.h"
#include "hook/hook.h"
#include "identity/ctx.h"

struct tn_oauth;

typedef struct tn_auth {
    uint8_t refresh_key[32];      /* makes refresh tokens */
    uint8_t confirmation_key[32]; /* hashes what is sent by mail */
    uint8_t factor_key[32];       /* seals the secrets of authenticator apps */
    uint8_t recovery_key[32];     /* hashes recovery codes */
    const char *issuer;
    struct tn_oauth *oauth; /* oauth/provider.h */
    tn_arena *arena;        /* of issuer */
    atomic_int asking;      /* threads that wait for a hook or a captcha's provider */
} tn_auth;

static inline tn_auth *
tn_auth_of(const tn_ctx *c)
{
    return c->state;
}

/* --- who, where and what (caller.c)
 * ------------------------------------------------------------------ */

/* The tenant of a public endpoint: the key's, the token's, or data.default_tenant. 401
 * `no_authorization` when the request shows nothing and there is no default. */
const tn_error *tn_auth_tenant(tn_ctx *c, tn_uuid *tenant) TN_MUST_CHECK;

/* The same for what a browser goes to by itself, which sends no headers of ours: `apikey` may be in
 * the query. */
const tn_error *tn_auth_public_tenant(tn_ctx *c, tn_uuid *tenant) TN_MUST_CHECK;

/* The bearer must be a person's token: 401 `no_authorization`, 403 `bad_jwt`, 400 for another
 * audience. Whether person and session still live is the query's business: tn_auth_check_person().
 */
const tn_error *tn_auth_require_person(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_auth_check_person(tn_ctx *c, const tn_rows *rows) TN_MUST_CHECK;
/* Both, with a query that asks for nothing else: where the handler's own must not run before. */
const tn_error *tn_auth_find_person(tn_ctx *c) TN_MUST_CHECK;

/* The body, which these endpoints need: 400 `bad_json` when there is none. */
const tn_error *tn_auth_body(tn_ctx *c, json_object **body) TN_MUST_CHECK;

/* The bearer or key must be the tenant's secret key or a token whose role is service_role: 401
 * `no_authorization`, 403 `not_admin`. Gives the tenant. */
const tn_error *tn_auth_require_admin(tn_ctx *c, tn_uuid *tenant) TN_MUST_CHECK;

/* One statement as tenon_worker in this tenant. */
const tn_error *tn_auth_query(tn_ctx *c, const tn_uuid *tenant, tn_access access,
                              const tn_statement *statement, const char *const *parameters,
                              size_t count, const tn_rows **rows) TN_MUST_CHECK;

/* --- outcomes (outcome.c) --------------------------------------------------------------------- */

/* A word that SQL answers with, and the error that it stands for. Tables of them end with .word ==
 * NULL. */
typedef struct tn_auth_outcome {
    const char *word;
    int status;
    const char *message;
    const char *code; /* NULL: the word */
    int retry_after_s;
} tn_auth_outcome;

#define TN_OUTCOME(word, status, message) \
    {                                     \
        word, status, message, NULL, 0    \
    }

/* 400 `validation_failed` with this message. */
const tn_error *tn_auth_refuse_input(const tn_ctx *c,
                                     const char *message) TN_NEVER_NULL TN_MUST_CHECK;

/* 500 for a word that is not in the table: SQL and C are of different minds. */
const tn_error *tn_auth_refuse_by(const tn_ctx *c, const tn_auth_outcome *table,
                                  const char *word) TN_NEVER_NULL TN_MUST_CHECK;

/* --- sessions (session.c) --------------------------------------------------------------------- */

/* A session that is about to be opened: parameters of SQL, as texts. */
typedef struct tn_auth_opening {
    tn_uuid id;
    const char *token; /* the first refresh token */
    const char *token_hash;
    const char *user_agent, *address, *lifetime_s;
} tn_auth_opening;

tn_auth_opening tn_auth_open(const tn_ctx *c);

/* An access token for claims that SQL gave, to which iss, aud, iat and exp are added. */
typedef struct tn_auth_signed {
    const char *token;
    int64_t lifetime_s, expires_at; /* unix seconds */
} tn_auth_signed;
const tn_error *tn_auth_sign_session(tn_ctx *c, const char *claims,
                                     tn_auth_signed *session) TN_MUST_CHECK;

/* Answers with a session: signs the claims, to which iss, aud, iat and exp are added. `members` are
 * further ones of the body, or NULL. */
const tn_error *tn_auth_respond_session(tn_ctx *c, const char *claims, const char *user,
                                        const char *refresh_token,
                                        const char *members) TN_MUST_CHECK;

/* --- where people are sent (redirect.c) ------------------------------------------------------- */

/* auth.site_url, or server.public_url. */
const char *tn_auth_site_url(const tn_config *config) TN_NEVER_NULL;

/* `wanted` when it may be redirected to, else the site's URL; NULL and ""
 * as well. */
const char *tn_auth_redirect(const tn_config *config, tn_arena *arena,
                             const char *wanted) TN_NEVER_NULL;

/* What a request asks for: redirect_to of the query, else the header redirect_to, else Referer; and
 * then tn_auth_redirect(). */
const char *tn_auth_request_redirect(const tn_ctx *c) TN_NEVER_NULL;

/* --- passwords (password.c, password_rule.c) -------------------------------------------------- */

/* The rules for a new password: 400 `validation_failed` too long, 422 `weak_password`. */
const tn_error *tn_password_check(const tn_config *config, tn_arena *arena,
                                  const char *password) TN_MUST_CHECK;

/* What is wrong with a password by these rules, for people and as members of a JSON array. false:
 * nothing. How long it may be is not asked here. */
typedef struct tn_password_weakness {
    const char *message, *reasons; /* "\"length\",\"pwned\"" */
} tn_password_weakness;
bool tn_password_is_weak(const tn_config *config, tn_arena *arena, const char *password,
                         tn_password_weakness *weakness) TN_MUST_CHECK;

/* Hashing, bounded over all processes: 503 `overloaded` with Retry-After when too many wait. */
const tn_error *tn_password_hash(tn_ctx *c, const char *password, const char **phc) TN_MUST_CHECK;

/* Is it the password of this hash, of whichever kind (password_hash.h)? NULL takes as long as a
 * wrong one. When it is and the hash is of another kind or cost than ours, `better` gets a new one,
 * else NULL. */
const tn_error *tn_password_verify(tn_ctx *c, const char *password, const char *phc, bool *is_right,
                                   const char **better) TN_MUST_CHECK;

/* Without gate: for the operator's command. */
const char *tn_password_hash_now(const tn_config *config, tn_arena *arena, const char *password);

/* May this text be stored as somebody's hash: bcrypt, argon2i or argon2id (m at most 1 GiB, t 20, p
 * 16), or Firebase's scrypt (password_hash.h)? */
bool tn_password_is_importable(const char *text) TN_MUST_CHECK;

/* --- the app's hooks (hooks.c). Each is NULL at once when the hook is not set ----------------- */

/* Somebody outside is about to be waited for. So that a slow one does not stop everybody else, only
 * half of a process's threads may: 503 `overloaded` with Retry-After. Who has entered leaves. */
const tn_error *tn_auth_enter_wait(tn_ctx *c) TN_MUST_CHECK;
void tn_auth_leave_wait(const tn_ctx *c);

/* tn_hook_run() within these bounds. */
const tn_error *tn_auth_run_hook(tn_ctx *c, tn_hook hook, const tn_uuid *tenant,
                                 const char *payload, json_object **reply) TN_MUST_CHECK;

/* custom_access_token: the claims as the app wants them. 500 when it changes who they are of. */
const tn_error *tn_auth_customise_claims(tn_ctx *c, const char **claims) TN_MUST_CHECK;

/* before_user_created: whether this account may be made. `user` is a JSON object, such as
 * tn_auth_user_to_be() makes. To be asked before anybody knows whether the address is taken. */
const tn_error *tn_auth_before_user(tn_ctx *c, const tn_uuid *tenant,
                                    const char *user) TN_MUST_CHECK;
/* `provider`: "email", "phone", "github" …; NULL: anonymous. Everything may be NULL. */
const char *tn_auth_user_to_be(tn_ctx *c, const char *email, const char *phone,
                               const char *provider, json_object *user_metadata) TN_NEVER_NULL;

/* after_user_created is told by a trigger (0014_operators.sql), which needs this setting in every
 * transaction that may make an account; NULL when the hook is not set. */
const char *tn_auth_settings_of_transaction(const tn_config *config) TN_MUST_CHECK;

/* password_verification_attempt, after the check: 400 `invalid_credentials` with the app's words.
 * `user_id` NULL: nobody has this address. */
const tn_error *tn_auth_ask_password_hook(tn_ctx *c, const tn_uuid *tenant, const char *user_id,
                                          const char *address, bool is_right) TN_MUST_CHECK;

/* --- captcha and limits (captcha.c, message_limit.c) ------------------------------------------ */

/* 400 `captcha_failed`; 500 when the verifier is away. A secret key needs none. */
const tn_error *tn_auth_check_captcha(tn_ctx *c, json_object *body) TN_MUST_CHECK;

/* A message that somebody is about to cause, known address or not: 429 `over_email_send_rate_limit`
 * or `over_sms_send_rate_limit`. `channel` is "email" or "sms". Mails are not counted while
 * auth.autoconfirm is on. */
const tn_error *tn_auth_take_message(tn_ctx *c, const tn_uuid *tenant,
                                     const char *channel) TN_MUST_CHECK;

/* An anonymous account, per address of the network: 429 `over_request_rate_limit`. */
const tn_error *tn_auth_take_anonymous(tn_ctx *c) TN_MUST_CHECK;

/* A password that is about to be tried for an account, and one that has been: 429
 * `over_request_rate_limit`. Wrong ones are counted. Beyond the limit right ones get the same
 * answer, so that guesses that come at once tell no more than those that come one by one. `account`
 * is an address, whether somebody has it or not. */
const tn_error *tn_auth_look_for_password(tn_ctx *c, const tn_uuid *tenant,
                                          const char *account) TN_MUST_CHECK;
const tn_error *tn_auth_count_password(tn_ctx *c, const tn_uuid *tenant, const char *account,
                                       bool is_right) TN_MUST_CHECK;

/* --- addresses (address.c) -------------------------------------------------------------------- */

/* In lower case; 400 `validation_failed` when it is none. */
const tn_error *tn_email_normalise(tn_arena *arena, const char *text,
                                   const char **email) TN_MUST_CHECK;

/* Digits without plus sign and blanks (E.164); 400 `validation_failed` when it is no number. */
const tn_error *tn_phone_normalise(tn_arena *arena, const char *text,
                                   const char **phone) TN_MUST_CHECK;

/* --- handlers --------------------------------------------------------------------------------- */

const tn_error *tn_auth_sign_up(tn_ctx *c);
const tn_error *tn_auth_otp(tn_ctx *c);
const tn_error *tn_auth_magiclink(tn_ctx *c);
const tn_error *tn_auth_recover(tn_ctx *c);
const tn_error *tn_auth_resend(tn_ctx *c);
const tn_error *tn_auth_verify(tn_ctx *c);
const tn_error *tn_auth_verify_link(tn_ctx *c);
const tn_error *tn_auth_token(tn_ctx *c);
const tn_error *tn_auth_logout(tn_ctx *c);
const tn_error *tn_auth_user_get(tn_ctx *c);
const tn_error *tn_auth_health(tn_ctx *c);
const tn_error *tn_auth_settings(tn_ctx *c);
const tn_error *tn_auth_jwks(tn_ctx *c);

/* Does the client want errors in the form of 2024-01-01? */
bool tn_auth_wants_new_form(const tn_request *request);

/* What triggers and constraints of the app's own say, as an error whose code is the SQLSTATE; NULL
 * for every other problem. */
const tn_error *tn_auth_apps_error(tn_arena *arena, const tn_db_problem *problem) TN_MUST_CHECK;

/* For tn_db_work.translate: what triggers and constraints of the app's own say is an error whose
 * code is the SQLSTATE, and in the older form it is shown as it is. */
const tn_error *tn_auth_database_error(tn_arena *arena,
                                       const tn_db_problem *problem) TN_NEVER_NULL TN_MUST_CHECK;

void tn_auth_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                          tn_response *response);

#endif
