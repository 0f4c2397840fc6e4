/* identity/token.c: verifying and signing, with cjose
 *
 * The header is read by us first, strictly, to choose the key; cjose then verifies with that key
 * alone, and the claims are those that cjose verified. So there is no second opinion about what a
 * token says.
 */
#include "identity/token.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/lock.h"
#include "identity/cache.h"
#include "identity/claims_private.h"
#include "identity/signing_key_private.h"

#define CACHE_SLOTS 2048
#define KEYS_TTL_MS 600000 /* notifications are what keeps keys true; this is for a lost one */
#define KEYS_TTL_UNNOTIFIED_MS 5000
#define HS256_LENGTH 43     /* of a signature in base64url: 32 bytes, and … */
#define ES256_LENGTH 86     /* … 64; cjose would leave out of account what is behind them */
#define UNKNOWN_KID_MS 2000 /* how often an unknown kid may cause another look */

struct tn_tokens {
    const tn_config *config;
    tn_db *db;
    const char *issuer;
    tn_arena *arena;     /* of issuer */
    cjose_jwk_t *secret; /* auth.jwt_secret, or NULL */
    tn_cache *cache;
    tn_lock lock;
    tn_signing_keys *keys; /* guarded by lock; NULL: never read */
    int64_t keys_read_ms;  /* guarded by lock */
    uint64_t reloads;      /* guarded by lock: how often tn_tokens_reload() was called */
    uint64_t keys_reloads; /* guarded by lock: `reloads` when the keys were read */
};

/* --- life ------------------------------------------------------------------------------------- */

const char *
tn_tokens_issuer(const tn_config *config, tn_arena *arena)
{
    if (config->auth.issuer != NULL && *config->auth.issuer != '\0')
        return config->auth.issuer;
    return tn_arena_printf(arena, "%s/auth/v1", config->server.public_url);
}

static cjose_jwk_t *
import_secret(const char *secret)
{
    cjose_err problem;
    cjose_jwk_t *jwk = cjose_jwk_create_oct_spec((const uint8_t *)secret, strlen(secret), &problem);

    if (jwk == NULL)
        tn_die("auth.jwt_secret cannot be used as a key");
    return jwk;
}

tn_tokens *
tn_tokens_new(const tn_config *config, tn_db *db)
{
    tn_tokens *tokens = calloc(1, sizeof(*tokens));
    const char *secret = config->auth.jwt_secret;

    if (tokens == NULL)
        tn_die("out of memory");
    tokens->config = config;
    tokens->db = db;
    tokens->arena = tn_arena_new();
    tokens->issuer = tn_tokens_issuer(config, tokens->arena);
    tokens->cache = tn_cache_new(CACHE_SLOTS, config->auth.cache_ttl_s);
    if (secret != NULL && *secret != '\0') /* at least 32 bytes: config.c, RFC 7518 section 3.2 */
        tokens->secret = import_secret(secret);
    tn_lock_init(&tokens->lock);
    return tokens;
}

void
tn_tokens_free(tn_tokens *tokens)
{
    if (tokens == NULL)
        return;
    tn_signing_keys_free(tokens->keys);
    (void)cjose_jwk_release(tokens->secret);
    tn_cache_free(tokens->cache);
    tn_lock_release(&tokens->lock);
    tn_arena_free(tokens->arena);
    free(tokens);
}

void
tn_tokens_enable_cache(tn_tokens *tokens, bool enabled)
{
    tn_cache_enable(tokens->cache, enabled);
}

void
tn_tokens_reload(tn_tokens *tokens)
{
    tn_lock_take(&tokens->lock);
    tokens->reloads++;
    tn_lock_give(&tokens->lock);
    tn_cache_clear(tokens->cache); /* a retired key's tokens are over */
}

/* --- the set of keys -------------------------------------------------------------------------- */

static void
drop_reference(tn_tokens *tokens, tn_signing_keys *keys)
{
    bool is_last;

    tn_lock_take(&tokens->lock);
    is_last = --keys->references == 0;
    tn_lock_give(&tokens->lock);
    if (is_last)
        tn_signing_keys_free(keys);
}

struct reference {
    tn_tokens *tokens;
    tn_signing_keys *keys;
};

static void
drop_deferred(void *context)
{
    const struct reference *reference = context;

    drop_reference(reference->tokens, reference->keys);
}

/* The current set, and whether it may still be used; `reloads` is for put_keys(). NULL: none yet.
 */
static tn_signing_keys *
current_keys(tn_tokens *tokens, int64_t max_age_ms, bool *is_fresh, uint64_t *reloads)
{
    tn_signing_keys *keys;

    tn_lock_take(&tokens->lock);
    keys = tokens->keys;
    if (keys != NULL)
        keys->references++;
    *reloads = tokens->reloads;
    *is_fresh = keys != NULL && tokens->keys_reloads == tokens->reloads &&
                tn_clock_ms() - tokens->keys_read_ms <= max_age_ms;
    tn_lock_give(&tokens->lock);
    return keys;
}

/* Puts a set that was read in the place of the old one; the caller gets a reference as well. */
static void
put_keys(tn_tokens *tokens, tn_signing_keys *keys, uint64_t reloads)
{
    tn_signing_keys *before;

    tn_lock_take(&tokens->lock);
    before = tokens->keys;
    keys->references = 2;
    tokens->keys = keys;
    tokens->keys_read_ms = tn_clock_ms();
    tokens->keys_reloads = reloads;
    tn_lock_give(&tokens->lock);
    if (before != NULL)
        drop_reference(tokens, before);
}

/* A set of keys that is held until the arena is freed, at most max_age_ms old. While the database
 * is away the last one serves on: without a database nobody gets further than this anyway. */
static const tn_error *
take_keys(tn_tokens *tokens, tn_arena *arena, int64_t max_age_ms, const tn_signing_keys **held)
{
    struct reference *reference = tn_arena_alloc(arena, 1, sizeof(*reference));
    const tn_error *error;
    tn_signing_keys *fresh;
    uint64_t reloads;
    bool is_fresh;

    reference->tokens = tokens;
    reference->keys = current_keys(tokens, max_age_ms, &is_fresh, &reloads);
    if (!is_fresh) {
        error = tn_signing_keys_load(tokens->db, arena, tokens->config->server.secret, &fresh);
        if (error != NULL && reference->keys == NULL)
            return error;
        if (error == NULL) {
            put_keys(tokens, fresh, reloads);
            if (reference->keys != NULL)
                drop_reference(tokens, reference->keys);
            reference->keys = fresh;
        }
    }
    tn_arena_defer(arena, drop_deferred, reference);
    *held = reference->keys;
    return NULL;
}

static int64_t
keys_ttl_ms(const tn_tokens *tokens)
{
    return tn_cache_is_enabled(tokens->cache) ? KEYS_TTL_MS : KEYS_TTL_UNNOTIFIED_MS;
}

/* The key of that kid, or NULL. A kid that is not known may be so new that its notification is
 * still on its way, so that costs another look, but not one for every forged token. */
static const tn_error *
find_key(tn_tokens *tokens, tn_arena *arena, const char *kid, cjose_jwk_t **jwk)
{
    const tn_signing_keys *keys;

    TN_TRY(take_keys(tokens, arena, keys_ttl_ms(tokens), &keys));
    *jwk = tn_signing_keys_find(keys, kid);
    if (*jwk == NULL) {
        TN_TRY(take_keys(tokens, arena, UNKNOWN_KID_MS, &keys));
        *jwk = tn_signing_keys_find(keys, kid);
    }
    return NULL;
}

/* --- the parts of a token --------------------------------------------------------------------- */

static const tn_error *
bad_token(tn_arena *arena, const char *why)
{
    return tn_error_new(arena, 403, "bad_jwt", NULL,
                        "invalid JWT: unable to parse or verify signature, %s", why);
}

struct parts {
    const char *header;
    size_t header_length;
    const char *claims;
    size_t claims_length;
    const char *signature;
    size_t signature_length;
};

/* header.claims.signature, each base64url in its one canonical form (RFC 7515 section 3.1) */
static bool
split_token(tn_arena *arena, const char *token, struct parts *parts)
{
    const size_t length = strlen(token);
    const char *first = strchr(token, '.');
    const char *second = first != NULL ? strchr(first + 1, '.') : NULL;
    void *scratch = tn_arena_alloc(arena, length + 1, 1);
    size_t decoded;

    if (second == NULL || strchr(second + 1, '.') != NULL)
        return false;
    *parts = (struct parts){.header = token,
                            .header_length = (size_t)(first - token),
                            .claims = first + 1,
                            .claims_length = (size_t)(second - first - 1),
                            .signature = second + 1,
                            .signature_length = strlen(second + 1)};
    return parts->header_length > 0 && parts->claims_length > 0 && parts->signature_length > 0 &&
           tn_base64url_decode(parts->header, parts->header_length, scratch, length, &decoded) &&
           tn_base64url_decode(parts->claims, parts->claims_length, scratch, length, &decoded) &&
           tn_base64url_decode(parts->signature, parts->signature_length, scratch, length,
                               &decoded);
}

/* The JSON object behind a part; NULL when there is none. */
static json_object *
parse_part(tn_arena *arena, const char *part, size_t part_length, int depth)
{
    char *text = tn_arena_alloc(arena, part_length + 1, 1);
    json_object *object = NULL;
    size_t length;

    if (!tn_base64url_decode(part, part_length, text, part_length, &length) ||
        tn_json_parse(arena, text, length, depth, &object) != NULL ||
        !json_object_is_type(object, json_type_object))
        return NULL;
    return object;
}

/* The one key with which this token may be verified. */
static const tn_error *
choose_key(tn_tokens *tokens, tn_arena *arena, json_object *header, cjose_jwk_t **jwk,
           bool *by_secret)
{
    const char *algorithm = tn_json_text(header, "alg", "");
    const char *kid = tn_json_text(header, "kid", NULL);
    cjose_jwk_t *signing_key = NULL;

    if (json_object_object_get_ex(header, "crit", NULL)) /* RFC 7515 section 4.1.11 */
        return bad_token(arena, "it has critical extensions, and none is known here");
    if (kid == NULL && json_object_object_get_ex(header, "kid", NULL))
        return bad_token(arena, "its kid is no text");
    *by_secret = strcmp(algorithm, "HS256") == 0;
    if (!*by_secret && strcmp(algorithm, "ES256") != 0)
        return bad_token(arena, "signing method is not one of ES256, HS256");
    if (!*by_secret && kid == NULL)
        return bad_token(arena, "it does not name its key");
    if (kid != NULL)
        TN_TRY(find_key(tokens, arena, kid, &signing_key));
    if (*by_secret && signing_key != NULL)
        return bad_token(arena, "signing method HS256 is not the one of its key");
    *jwk = *by_secret ? tokens->secret : signing_key;
    if (*jwk == NULL)
        return bad_token(arena, *by_secret ? "signing method HS256 is not in use here"
                                           : "its key is unknown");
    return NULL;
}

/* The claims, if the signature is by this key and no other. */
static bool
verify_signature(tn_arena *arena, const char *token, const cjose_jwk_t *jwk, const char **claims,
                 size_t *claims_length)
{
    cjose_err problem;
    cjose_jws_t *jws = cjose_jws_import(token, strlen(token), &problem);
    uint8_t *text;
    bool is_good = jws != NULL && cjose_jws_verify(jws, jwk, &problem) &&
                   cjose_jws_get_plaintext(jws, &text, claims_length, &problem);

    if (is_good)
        *claims = tn_arena_bytes(arena, text, *claims_length);
    if (jws != NULL)
        cjose_jws_release(jws);
    return is_good;
}

/* --- verifying -------------------------------------------------------------------------------- */

static const tn_error *
verify_anew(tn_tokens *tokens, tn_arena *arena, const char *token, tn_claims *claims)
{
    struct parts parts;
    json_object *header;
    const char *text = NULL, *problem;
    cjose_jwk_t *jwk = NULL;
    size_t length = 0;

    *claims = (tn_claims){.fault = TN_TOKEN_BROKEN};
    if (!split_token(arena, token, &parts))
        return bad_token(arena, "token is malformed");
    header = parse_part(arena, parts.header, parts.header_length, 4);
    if (header == NULL)
        return bad_token(arena, "token is malformed: its header is no JSON object");
    TN_TRY(choose_key(tokens, arena, header, &jwk, &claims->by_secret));
    if (parts.signature_length != (claims->by_secret ? HS256_LENGTH : ES256_LENGTH) ||
        !verify_signature(arena, token, jwk, &text, &length))
        return bad_token(arena, "signature is invalid");
    problem =
        tn_claims_read(arena, text, length, tokens->issuer, tokens->config->auth.audience, claims);
    return problem != NULL ? bad_token(arena, problem) : NULL;
}

/* The claims of a token that is good but for its end, which may be up to TN_TOKEN_LEEWAY_S ago. */
static const tn_error *
verify(tn_tokens *tokens, tn_arena *arena, const char *token, tn_claims *claims)
{
    const uint64_t ticket = tn_cache_ticket(tokens->cache);
    uint8_t digest[TN_SHA256_SIZE];
    size_t kept_length;
    const char *kept;

    tn_sha256(token, strlen(token), digest);
    kept = tn_cache_get(tokens->cache, arena, digest, &kept_length);
    if (kept != NULL) {
        tn_claims_unpack(kept, claims);
        return NULL;
    }
    TN_TRY(verify_anew(tokens, arena, token, claims));
    kept = tn_claims_pack(arena, claims, &kept_length);
    tn_cache_put(tokens->cache, ticket, digest, kept, kept_length);
    return NULL;
}

const tn_error *
tn_tokens_verify_within(tn_tokens *tokens, tn_arena *arena, const char *token, int64_t leeway_s,
                        tn_claims *claims)
{
    *claims = (tn_claims){.fault = TN_TOKEN_BROKEN};
    if (strnlen(token, TN_TOKEN_MAX + 1) > TN_TOKEN_MAX)
        return bad_token(arena, "token is malformed: it is too long");
    TN_TRY(verify(tokens, arena, token, claims));
    if (claims->expires_at != INT64_MAX && claims->expires_at + leeway_s <= tn_clock_unix()) {
        claims->fault = TN_TOKEN_EXPIRED;
        return bad_token(arena, "token has invalid claims: token is expired");
    }
    return NULL;
}

const tn_error *
tn_tokens_verify(tn_tokens *tokens, tn_arena *arena, const char *token, tn_claims *claims)
{
    return tn_tokens_verify_within(tokens, arena, token, 0, claims);
}

/* --- signing ---------------------------------------------------------------------------------- */

static const char *
sign_with(tn_arena *arena, const cjose_jwk_t *jwk, const char *algorithm, const char *kid,
          const char *claims_json)
{
    cjose_err problem;
    cjose_header_t *header = cjose_header_new(&problem);
    cjose_jws_t *jws = NULL;
    const char *text, *token = NULL;

    if (header != NULL && cjose_header_set(header, CJOSE_HDR_ALG, algorithm, &problem) &&
        cjose_header_set(header, "typ", "JWT", &problem) &&
        (kid == NULL || cjose_header_set(header, CJOSE_HDR_KID, kid, &problem)))
        jws = cjose_jws_sign(jwk, header, (const uint8_t *)claims_json, strlen(claims_json),
                             &problem);
    if (jws != NULL && cjose_jws_export(jws, &text, &problem))
        token = tn_arena_text(arena, text);
    if (jws != NULL)
        cjose_jws_release(jws);
    if (header != NULL)
        cjose_header_release(header);
    return token;
}

const tn_error *
tn_tokens_sign(tn_tokens *tokens, tn_arena *arena, const char *claims_json, const char **token)
{
    const tn_signing_keys *keys;

    TN_TRY(take_keys(tokens, arena, keys_ttl_ms(tokens), &keys));
    if (keys->active == NULL)
        return tn_error_internal(arena, "token.signing_key.missing",
                                 "there is no active signing key that server.secret opens");
    *token = sign_with(arena, keys->active, CJOSE_HDR_ALG_ES256, keys->active_kid, claims_json);
    if (*token == NULL)
        return tn_error_internal(arena, "token.sign.failed", "cjose could not sign");
    return NULL;
}

const tn_error *
tn_tokens_jwks(tn_tokens *tokens, tn_arena *arena, const char **json)
{
    const tn_signing_keys *keys;

    TN_TRY(take_keys(tokens, arena, keys_ttl_ms(tokens), &keys));
    *json = tn_arena_text(arena, keys->jwks);
    return NULL;
}

const char *
tn_token_hs256(tn_arena *arena, const char *secret, const char *claims_json)
{
    cjose_jwk_t *jwk = import_secret(secret);
    const char *token = sign_with(arena, jwk, CJOSE_HDR_ALG_HS256, NULL, claims_json);

    (void)cjose_jwk_release(jwk);
    if (token == NULL)
        tn_die("cjose could not sign");
    return token;
}
