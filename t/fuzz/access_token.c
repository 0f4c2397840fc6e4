/* t/fuzz/access_token.c: no bytes get in that nobody signed, and reading claims is bounded
 *
 * The first byte chooses: the rest as a whole token, as the header of a token that is otherwise
 * right, or as claims behind a signature that has been verified already.
 */
#include <string.h>

#include "base/crypto.h"
#include "identity/claims_private.h"
#include "t/fuzz/fuzz.h"
#include "t/unit/fake_db.h"

#define SECRET_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static const tn_config config = {
    .server = {.secret = SECRET_HEX, .public_url = "https://app.example"},
    .auth = {.jwt_secret = "a secret of at least thirty-two bytes",
             .audience = "authenticated",
             .issuer = "",
             .cache_ttl_s = 60},
};
static const char *key_texts[1][8];
static const tn_rows key_rows = {.count = 1, .texts = (const char *const (*)[8])key_texts};
static tn_tokens *tokens;
static const char *good; /* a token of ours */

static const tn_error *
give_keys(tn_arena *arena, const tn_db_context *context, const tn_query *query,
          const tn_rows **rows)
{
    (void)arena;
    (void)context;
    (void)query;
    *rows = &key_rows;
    return NULL;
}

static void
begin(void)
{
    static tn_arena *arena; /* lives as long as the process */
    const char *kid, *public_jwk;
    const void *sealed;
    size_t length;
    char *hex;

    arena = tn_arena_new();
    tn_signing_key_new(arena, SECRET_HEX, &kid, &public_jwk, &sealed, &length);
    hex = tn_arena_alloc(arena, 2 * length + 1, 1);
    tn_hex(sealed, length, hex);
    key_texts[0][0] = kid;
    key_texts[0][1] = "active";
    key_texts[0][2] = public_jwk;
    key_texts[0][3] = hex;
    fake_db = give_keys;
    tokens = tn_tokens_new(&config, NULL);
    tn_tokens_enable_cache(tokens, true);
    assert(tn_tokens_sign(tokens, arena,
                          "{\"iss\":\"https://app.example/auth/"
                          "v1\",\"aud\":\"authenticated\",\"exp\":9999999999}",
                          &good) == NULL);
}

static void
try_token(tn_arena *arena, const char *text)
{
    tn_claims claims;
    const tn_error *error = tn_tokens_verify(tokens, arena, text, &claims);

    assert(error != NULL ? error->status == 403 : strcmp(text, good) == 0);
}

static void
try_header(tn_arena *arena, const char *text)
{
    const char *header = tn_base64url(arena, text, strlen(text));

    try_token(arena, tn_arena_printf(arena, "%s%s", header, strchr(good, '.')));
}

static void
try_claims(tn_arena *arena, const uint8_t *bytes, size_t length)
{
    tn_claims claims = {.by_secret = true}, again;
    const char *text = tn_arena_bytes(arena, bytes, length), *packed;
    size_t packed_length;

    if (tn_claims_read(arena, text, length, "x", "y", &claims) != NULL)
        return;
    assert(claims.role != NULL && claims.expires_at > 0);
    packed = tn_claims_pack(arena, &claims, &packed_length);
    tn_claims_unpack(packed, &again);
    assert(strcmp(claims.json, again.json) == 0 && strcmp(claims.role, again.role) == 0);
    assert(strcmp(claims.user_id.text, again.user_id.text) == 0);
    assert((claims.email == NULL) == (again.email == NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();

    if (tokens == NULL)
        begin();
    if (length > 0 && bytes[0] % 3 == 0)
        try_token(arena, tn_arena_bytes(arena, bytes + 1, length - 1));
    else if (length > 0 && bytes[0] % 3 == 1)
        try_header(arena, tn_arena_bytes(arena, bytes + 1, length - 1));
    else if (length > 0)
        try_claims(arena, bytes + 1, length - 1);
    tn_arena_free(arena);
    return 0;
}
