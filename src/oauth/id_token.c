/* oauth/id_token.c: is an id token what it says (OpenID Connect Core section 3.1.3.7)? */
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/crypto_signature.h"
#include "base/text.h"
#include "identity/jws.h"
#include "oauth/oauth_private.h"

#define LEEWAY_S 30
#define SUBJECT_MAX 255 /* OpenID Connect Core section 2 */

/* --- signature -------------------------------------------------------------------------------- */

static const tn_error *
verify_signature(const tn_oauth_provider *provider, tn_arena *arena, const char *token, tn_jws *jws)
{
    json_object *keys;
    tn_jws_outcome outcome;

    if (provider->jwks_url[0] == '\0')
        return tn_oauth_refuse(provider, arena, "the provider has no keys", "Bad ID token");
    for (int attempt = 0; attempt < 2; attempt++) {
        TN_TRY(tn_oauth_document_get(provider, arena, TN_OAUTH_KEYS, provider->jwks_url,
                                     attempt > 0, &keys));
        outcome = tn_jws_verify(arena, token, keys, jws);
        if (outcome == TN_JWS_GOOD)
            return NULL;
        if (outcome == TN_JWS_BROKEN)
            break;
    }
    return tn_oauth_refuse(provider, arena, jws->problem, "Bad ID token");
}

/* --- claims ----------------------------------------------------------------------------------- */

/* Microsoft, for people of all tenants: {tenantid} stands for the claim `tid`, a UUID. */
static bool
is_issuer(const tn_oauth_provider *provider, tn_arena *arena, json_object *claims)
{
    const char *issuer = tn_json_text(claims, "iss", "");
    const char *hole = strstr(provider->issuer, "{tenantid}");
    const char *tenant = tn_json_text(claims, "tid", "");

    if (provider->kind == TN_OAUTH_GOOGLE && strcmp(issuer, "accounts.google.com") == 0 &&
        strcmp(provider->issuer, "https://accounts.google.com") == 0)
        return true; /* as Google documents */
    if (hole == NULL)
        return strcmp(issuer, provider->issuer) == 0;
    if (strlen(tenant) != 36 || strspn(tenant, "0123456789abcdef-") != 36)
        return false;
    return strcmp(issuer, tn_arena_printf(arena, "%.*s%s%s", (int)(hole - provider->issuer),
                                          provider->issuer, tenant, hole + strlen("{tenantid}"))) ==
           0;
}

/* A client id of ours. */
static bool
is_ours(const tn_oauth_provider *provider, tn_arena *arena, const char *client, bool is_brought)
{
    const char *const *others;
    size_t count;

    if (strcmp(client, provider->config->client_id) == 0)
        return true;
    others = tn_text_split(arena, provider->config->audiences, &count);
    for (size_t i = 0; is_brought && i < count; i++)
        if (strcmp(others[i], client) == 0)
            return true;
    return false;
}

/* One of ours among the audiences; and who asked for the token (azp) was one of ours, which with
 * several audiences it must say. */
static const char *
check_audience(const tn_oauth_provider *provider, tn_arena *arena, json_object *claims,
               bool is_brought)
{
    json_object *audience = tn_json_get(claims, "aud");
    const char *asker = tn_json_text(claims, "azp", NULL);
    const size_t count =
        json_object_is_type(audience, json_type_array) ? json_object_array_length(audience) : 1;
    bool is_found = false;

    if (asker == NULL && json_object_object_get_ex(claims, "azp", NULL))
        return "its azp is no text";
    for (size_t i = 0; i < count; i++) {
        json_object *one = json_object_is_type(audience, json_type_array)
                               ? json_object_array_get_idx(audience, i)
                               : audience;

        if (!json_object_is_type(one, json_type_string))
            return "its audience is no text";
        is_found = is_found || is_ours(provider, arena, json_object_get_string(one), is_brought);
    }
    if (!is_found)
        return "it is for another audience";
    if (asker == NULL)
        return count > 1 ? "it is for several audiences, and does not name who asked for it" : NULL;
    return is_ours(provider, arena, asker, is_brought) ? NULL : "another client asked for it";
}

/* A number of seconds; -1 when it is absent or something else. */
static int64_t
take_time(json_object *claims, const char *member)
{
    json_object *value = tn_json_get(claims, member);
    double number;

    if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
        return -1;
    number = json_object_get_double(value);
    return number >= 0 && number < 1e15 ? (int64_t)number : -1;
}

static const char *
check_times(json_object *claims)
{
    const int64_t now = tn_clock_unix();
    const int64_t ends = take_time(claims, "exp"), issued = take_time(claims, "iat");
    const int64_t begins = take_time(claims, "nbf");

    if (ends < 0 || issued < 0)
        return "it does not say when it was issued, and until when it holds";
    if (ends + LEEWAY_S <= now)
        return "it has expired";
    if (issued > now + LEEWAY_S || begins > now + LEEWAY_S)
        return "it is of the future";
    return NULL;
}

/* OpenID Connect Core section 3.1.3.6: the left half of the hash of the access token. */
static const char *
check_access_token(tn_arena *arena, json_object *claims, const char *access_token, int hash_bits)
{
    const char *wanted = tn_json_text(claims, "at_hash", NULL);
    uint8_t digest[TN_DIGEST_MAX];
    size_t length;

    if (access_token == NULL || !json_object_object_get_ex(claims, "at_hash", NULL))
        return NULL;
    length = tn_sha2(hash_bits, access_token, strlen(access_token), digest);
    if (wanted == NULL || strcmp(wanted, tn_base64url(arena, digest, length / 2)) != 0)
        return "it belongs to another access token";
    return NULL;
}

static const char *
check_nonce(json_object *claims, const char *expected)
{
    const char *nonce = tn_json_text(claims, "nonce", NULL);

    if (expected == NULL)
        return NULL;
    if (nonce == NULL || strlen(nonce) != strlen(expected) ||
        !tn_same_bytes(nonce, expected, strlen(expected)))
        return "its nonce is not the one that was sent";
    return NULL;
}

static const char *
check_subject(json_object *claims)
{
    json_object *subject = tn_json_get(claims, "sub");
    const char *text = tn_json_text(claims, "sub", "");

    if (*text == '\0' || strlen(text) > SUBJECT_MAX ||
        strlen(text) != (size_t)json_object_get_string_len(subject))
        return "it does not say whose it is";
    return NULL;
}

const tn_error *
tn_oauth_id_token_check(const tn_oauth_provider *provider, tn_arena *arena, const char *token,
                        const tn_oauth_expectation *expectation, json_object **claims)
{
    const char *problem;
    tn_jws jws;

    TN_TRY(verify_signature(provider, arena, token, &jws));
    problem = is_issuer(provider, arena, jws.claims) ? NULL : "it is another issuer's";
    if (problem == NULL)
        problem = check_audience(provider, arena, jws.claims, expectation->is_brought);
    if (problem == NULL)
        problem = check_times(jws.claims);
    if (problem == NULL)
        problem = check_subject(jws.claims);
    if (problem == NULL)
        problem = check_nonce(jws.claims, expectation->nonce);
    if (problem == NULL)
        problem = check_access_token(arena, jws.claims, expectation->access_token, jws.hash_bits);
    if (problem != NULL)
        return tn_oauth_refuse(provider, arena, problem,
                               tn_arena_printf(arena, "Bad ID token: %s", problem));
    *claims = jws.claims;
    return NULL;
}
