/* identity/jws.c: one key is chosen, strictly, and cjose verifies with that key alone
 *
 * As in token.c: the header is read by us first, and the claims are those whose signature was
 * verified. cjose knows no EdDSA; that is base/crypto_signature.h.
 */
#include "identity/jws.h"

#include <cjose/cjose.h>
#include <string.h>

#include "base/crypto.h"
#include "base/crypto_signature.h"

#define HEADER_DEPTH 4
#define KEYS_MAX 100
#define RSA_BYTES_MIN 256
#define RSA_BYTES_MAX 1024
#define ED25519_SIZE 32

/* What a key of an algorithm is like. */
static const struct algorithm {
    const char *name, *type, *curve;
    int hash_bits;
    size_t signature; /* bytes; 0: as many as the modulus has */
} algorithms[] = {
    {"RS256", "RSA", NULL, 256, 0},       {"RS384", "RSA", NULL, 384, 0},
    {"RS512", "RSA", NULL, 512, 0},       {"PS256", "RSA", NULL, 256, 0},
    {"ES256", "EC", "P-256", 256, 64},    {"ES384", "EC", "P-384", 384, 96},
    {"EdDSA", "OKP", "Ed25519", 512, 64},
};

struct token {
    const char *text;
    size_t signed_length; /* of header and claims with the dot between them */
    const char *claims;
    size_t claims_length;
    uint8_t signature[RSA_BYTES_MAX];
    size_t signature_length;
    json_object *header;
};

static tn_jws_outcome
fail(tn_jws *jws, tn_jws_outcome outcome, const char *problem)
{
    jws->problem = problem;
    return outcome;
}

/* A part in base64url that is a JSON object, or NULL. */
static json_object *
parse_part(tn_arena *arena, const char *part, size_t length, int depth)
{
    char *text = tn_arena_alloc(arena, length + 1, 1);
    json_object *object = NULL;
    size_t text_length;

    if (!tn_base64url_decode(part, length, text, length, &text_length) ||
        tn_json_parse(arena, text, text_length, depth, &object) != NULL ||
        !json_object_is_type(object, json_type_object))
        return NULL;
    return object;
}

/* header.claims.signature */
static bool
split(tn_arena *arena, const char *text, struct token *token)
{
    const char *first = strchr(text, '.');
    const char *second = first == NULL ? NULL : strchr(first + 1, '.');

    if (second == NULL || strchr(second + 1, '.') != NULL)
        return false;
    token->text = text;
    token->signed_length = (size_t)(second - text);
    token->claims = first + 1;
    token->claims_length = (size_t)(second - first - 1);
    token->header = parse_part(arena, text, (size_t)(first - text), HEADER_DEPTH);
    return token->header != NULL &&
           tn_base64url_decode(second + 1, strlen(second + 1), token->signature,
                               sizeof(token->signature), &token->signature_length);
}

static const struct algorithm *
find_algorithm(const char *name)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
        if (strcmp(algorithms[i].name, name) == 0)
            return &algorithms[i];
    return NULL;
}

/* A text member that is absent or this. */
static bool
is_or_absent(json_object *object, const char *member, const char *wanted)
{
    json_object *value;

    if (!json_object_object_get_ex(object, member, &value))
        return true;
    return json_object_is_type(value, json_type_string) &&
           strcmp(json_object_get_string(value), wanted) == 0;
}

static bool
may_verify(json_object *key)
{
    json_object *operations;

    if (!is_or_absent(key, "use", "sig"))
        return false;
    if (!json_object_object_get_ex(key, "key_ops", &operations))
        return true;
    if (!json_object_is_type(operations, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(operations); i++) {
        json_object *operation = json_object_array_get_idx(operations, i);

        if (json_object_is_type(operation, json_type_string) &&
            strcmp(json_object_get_string(operation), "verify") == 0)
            return true;
    }
    return false;
}

static bool
fits(json_object *key, const struct algorithm *algorithm, const char *kid)
{
    if (!json_object_is_type(key, json_type_object) ||
        strcmp(tn_json_text(key, "kty", ""), algorithm->type) != 0 || !may_verify(key) ||
        !is_or_absent(key, "alg", algorithm->name))
        return false;
    if (algorithm->curve != NULL && strcmp(tn_json_text(key, "crv", ""), algorithm->curve) != 0)
        return false;
    return kid == NULL || strcmp(tn_json_text(key, "kid", ""), kid) == 0;
}

/* The one key; NULL when there is none, or more than one. */
static json_object *
choose_key(json_object *key_set, const struct algorithm *algorithm, const char *kid)
{
    json_object *keys = tn_json_get(key_set, "keys"), *chosen = NULL;

    if (!json_object_is_type(keys, json_type_array) || json_object_array_length(keys) > KEYS_MAX)
        return NULL;
    for (size_t i = 0; i < json_object_array_length(keys); i++) {
        json_object *key = json_object_array_get_idx(keys, i);

        if (!fits(key, algorithm, kid))
            continue;
        if (chosen != NULL)
            return NULL;
        chosen = key;
    }
    return chosen;
}

/* --- signatures ------------------------------------------------------------------------------- */

static bool
verify_by_ed25519(json_object *key, const struct token *token)
{
    const char *x = tn_json_text(key, "x", "");
    uint8_t bytes[ED25519_SIZE];
    size_t length;

    return tn_base64url_decode(x, strlen(x), bytes, sizeof(bytes), &length) &&
           length == sizeof(bytes) &&
           tn_verify_ed25519(bytes, token->text, token->signed_length, token->signature);
}

/* Nothing but the members that make a public key goes to cjose. */
static const char *
public_half(tn_arena *arena, json_object *key, const struct algorithm *algorithm)
{
    static const char *const of_rsa[] = {"kty", "n", "e", NULL};
    static const char *const of_curve[] = {"kty", "crv", "x", "y", NULL};
    PQExpBuffer text = tn_arena_buffer(arena);

    for (const char *const *member = algorithm->curve == NULL ? of_rsa : of_curve; *member != NULL;
         member++) {
        appendPQExpBufferStr(text, text->len == 0 ? "{" : ",");
        tn_buffer_json_string(text, *member);
        appendPQExpBufferChar(text, ':');
        tn_buffer_json_string(text, tn_json_text(key, *member, ""));
    }
    appendPQExpBufferChar(text, '}');
    return tn_buffer_text(text);
}

/* Bytes of the modulus; a leading zero is none of them. */
static size_t
modulus_size(tn_arena *arena, json_object *key)
{
    const char *n = tn_json_text(key, "n", "");
    uint8_t *bytes = tn_arena_alloc(arena, strlen(n) + 1, 1);
    size_t length, zeros = 0;

    if (!tn_base64url_decode(n, strlen(n), bytes, strlen(n), &length))
        return 0;
    while (zeros < length && bytes[zeros] == 0)
        zeros++;
    return length - zeros;
}

static bool
verify_by_cjose(tn_arena *arena, json_object *key, const struct algorithm *algorithm,
                const struct token *token)
{
    const char *text = public_half(arena, key, algorithm);
    cjose_err problem;
    cjose_jwk_t *jwk = cjose_jwk_import(text, strlen(text), &problem);
    cjose_jws_t *jws =
        jwk == NULL ? NULL : cjose_jws_import(token->text, strlen(token->text), &problem);
    const bool is_good = jws != NULL && cjose_jws_verify(jws, jwk, &problem);

    if (jws != NULL)
        cjose_jws_release(jws);
    if (jwk != NULL)
        (void)cjose_jwk_release(jwk);
    return is_good;
}

static bool
verify_signature(tn_arena *arena, json_object *key, const struct algorithm *algorithm,
                 const struct token *token)
{
    size_t expected = algorithm->signature;

    if (strcmp(algorithm->type, "RSA") == 0) {
        expected = modulus_size(arena, key);
        if (expected < RSA_BYTES_MIN || expected > RSA_BYTES_MAX)
            return false;
    }
    if (token->signature_length != expected)
        return false;
    return strcmp(algorithm->type, "OKP") == 0 ? verify_by_ed25519(key, token)
                                               : verify_by_cjose(arena, key, algorithm, token);
}

tn_jws_outcome
tn_jws_verify(tn_arena *arena, const char *token_text, json_object *key_set, tn_jws *jws)
{
    struct token token = {0};
    const struct algorithm *algorithm;
    json_object *key;
    const char *kid;

    *jws = (tn_jws){0};
    if (strnlen(token_text, TN_JWS_MAX + 1) > TN_JWS_MAX)
        return fail(jws, TN_JWS_BROKEN, "it is too long");
    if (!split(arena, token_text, &token))
        return fail(jws, TN_JWS_BROKEN, "it is no JWS in its compact form");
    if (json_object_object_get_ex(token.header, "crit", NULL)) /* RFC 7515 section 4.1.11 */
        return fail(jws, TN_JWS_BROKEN, "it has critical extensions, and none is known here");
    kid = tn_json_text(token.header, "kid", NULL);
    if (kid == NULL && json_object_object_get_ex(token.header, "kid", NULL))
        return fail(jws, TN_JWS_BROKEN, "its kid is no text");
    algorithm = find_algorithm(tn_json_text(token.header, "alg", ""));
    if (algorithm == NULL)
        return fail(jws, TN_JWS_BROKEN, "its algorithm is not one of those taken here");
    key = choose_key(key_set, algorithm, kid);
    if (key == NULL)
        return fail(jws, TN_JWS_UNKNOWN_KEY, "the provider has no key that fits");
    if (!verify_signature(arena, key, algorithm, &token))
        return fail(jws, TN_JWS_BROKEN, "its signature is invalid");
    jws->claims = parse_part(arena, token.claims, token.claims_length, TN_JSON_DEPTH);
    if (jws->claims == NULL)
        return fail(jws, TN_JWS_BROKEN, "its claims are no JSON object");
    jws->hash_bits = algorithm->hash_bits;
    return TN_JWS_GOOD;
}
