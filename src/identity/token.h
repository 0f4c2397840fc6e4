/* identity/token.h: access tokens: JWT (RFC 7519) signed as JWS (RFC 7515) with ES256, and HS256
 * for tokens that people bring
 *
 * Keys live in tenon.signing_keys, private halves sealed under server.secret; a process loads them
 * when it first needs them and again on NOTIFY tenon 'signing_keys'. Verified tokens are cached by
 * SHA-256 until they expire or auth.cache_ttl_s has passed. Algorithms are pinned to the key (RFC
 * 8725 section 3.1): an ES256 `kid` is verified with that key only, HS256 only with auth.jwt_secret
 * and never under the kid of one of ours, `none` never.
 *
 * Threads: any. Freed after the arenas it was used with: they hold the keys they verified by.
 */
#ifndef TN_IDENTITY_TOKEN_H
#define TN_IDENTITY_TOKEN_H

#include "base/config.h"
#include "base/error.h"
#include "base/json.h"
#include "base/uuid.h"
#include "db/database.h"

#define TN_TOKEN_MAX 8192 /* bytes of a token; it travels in a header */

typedef struct tn_tokens tn_tokens;

/* Leeway of `exp` for areas that want one; nbf and iat always have it. */
#define TN_TOKEN_LEEWAY_S 30

/* What is wrong with a token, for dialects that tell. */
typedef enum tn_token_fault {
    TN_TOKEN_SOUND,
    TN_TOKEN_BROKEN, /* form, signature, algorithm, or claims of the wrong type */
    TN_TOKEN_EXPIRED,
    TN_TOKEN_EARLY,       /* nbf */
    TN_TOKEN_FROM_FUTURE, /* iat */
    TN_TOKEN_NOT_FOR_US   /* aud or iss */
} tn_token_fault;

typedef struct tn_claims {
    tn_token_fault fault; /* why tn_tokens_verify() refused it */
    tn_uuid user_id;      /* sub; empty when it is none */
    tn_uuid tenant_id;    /* claim tenant_id; empty when absent */
    tn_uuid session_id;
    const char
        *role; /* "authenticated", "anon", "service_role" …; "anon" when the token has none */
    const char *email, *aal; /* NULL when absent */
    const char *json;        /* the whole payload, with `role` in it */
    int64_t expires_at;      /* unix seconds; INT64_MAX: never */
    bool subject_malformed;  /* a `sub` that is no UUID */
    bool by_secret;          /* HS256 with auth.jwt_secret */
    bool audience_foreign;   /* it has an `aud`, and auth.audience is not in it; HS256 only */
} tn_claims;

tn_tokens *tn_tokens_new(const tn_config *config, tn_db *db);
void tn_tokens_free(tn_tokens *tokens);

/* Verifies signature, exp, nbf, iss (ours, when ES256) and aud. 403 `bad_jwt` whose message starts
 * with "invalid JWT". 503 when the signing keys could not be read yet. */
const tn_error *tn_tokens_verify(tn_tokens *tokens, tn_arena *arena, const char *token,
                                 tn_claims *claims) TN_MUST_CHECK;
/* The same, but `exp` may be up to leeway_s ago, TN_TOKEN_LEEWAY_S at most. */
const tn_error *tn_tokens_verify_within(tn_tokens *tokens, tn_arena *arena, const char *token,
                                        int64_t leeway_s, tn_claims *claims) TN_MUST_CHECK;

/* Signs claims (a JSON object) with the active ES256 key. */
const tn_error *tn_tokens_sign(tn_tokens *tokens, tn_arena *arena, const char *claims_json,
                               const char **token) TN_MUST_CHECK;

/* {"keys":[…]} of every key that is not retired (RFC 7517). */
const tn_error *tn_tokens_jwks(tn_tokens *tokens, tn_arena *arena, const char **json) TN_MUST_CHECK;

/* The `iss` of our tokens: auth.issuer, or what follows from server.public_url. */
const char *tn_tokens_issuer(const tn_config *config, tn_arena *arena);

void tn_tokens_reload(tn_tokens *tokens); /* keys changed: read again before the next use */
void tn_tokens_enable_cache(tn_tokens *tokens, bool enabled);

/* A new ES256 key: kid (its RFC 7638 thumbprint), public JWK as JSON, private JWK sealed under
 * `secret` (server.secret). For `tenon init` and rotation. */
void tn_signing_key_new(tn_arena *arena, const char *secret_hex, const char **kid,
                        const char **public_jwk, const void **sealed, size_t *sealed_length);

/* An older API key or test token: HS256 over claims with auth.jwt_secret. */
const char *tn_token_hs256(tn_arena *arena, const char *secret, const char *claims_json);

#endif
