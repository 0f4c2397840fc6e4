/* auth/routes.c: what /auth/v1 answers, and what it keeps in a process */
#include <stdlib.h>

#include "auth/area.h"
#include "auth/auth.h"
#include "base/crypto.h"
#include "identity/token.h"

#define BODY_MAX 1048576

/* Everybody may call everything; whoever must be a person is told so by the handler, in the
 * dialect's own words (tn_auth_require_person()). */
static const tn_route routes[] = {
    {"POST", "/auth/v1/signup", tn_auth_sign_up, .limit = TN_LIMIT_SIGNUP, .roles = TN_ANYBODY,
     .body_max = BODY_MAX,
     .summary = "Create an account with an e-mail address, or an anonymous one"},
    {"POST", "/auth/v1/token", tn_auth_token, .limit = TN_LIMIT_TOKEN, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Open a session by password, or refresh one"},
    {"POST", "/auth/v1/logout", tn_auth_logout, .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "End this session, all of them, or all others"},
    {"GET", "/auth/v1/user", tn_auth_user_get, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "The person whose token this is"},
    {"GET", "/auth/v1/health", tn_auth_health, .limit = TN_LIMIT_NONE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Whether this server runs, and its version"},
    {"GET", "/auth/v1/settings", tn_auth_settings, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Which ways to sign in are on"},
    {"GET", "/auth/v1/.well-known/jwks.json", tn_auth_jwks, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "The public keys that verify access tokens"},
    {.method = NULL},
};

static void *
start(const tn_process *process)
{
    uint8_t secret[32];
    tn_auth *auth = calloc(1, sizeof(*auth));

    if (auth == NULL || !tn_hex_decode(process->config->server.secret, secret, sizeof(secret)))
        tn_die("server.secret is not 64 hexadecimal digits");
    tn_derive_key(secret, sizeof(secret), "tenon refresh tokens", auth->refresh_key);
    tn_derive_key(secret, sizeof(secret), "tenon confirmations", auth->confirmation_key);
    auth->arena = tn_arena_new();
    auth->issuer = tn_tokens_issuer(process->config, auth->arena);
    return auth;
}

static void
stop(void *state)
{
    tn_auth *auth = state;

    tn_arena_free(auth->arena);
    free(auth);
}

const tn_area tn_auth_area = {
    .name = "auth",
    .prefix = "/auth/v1",
    .routes = routes,
    .cache_control = "no-store", /* accounts and tokens (RFC 6749 section 5.1) */
    .render_error = tn_auth_render_error,
    .start = start,
    .stop = stop,
};
