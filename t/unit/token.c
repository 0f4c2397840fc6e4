/* t/unit/token.c: identity/token.c: who gets in, and above all who does not */
#include "identity/token.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "t/unit/fake_db.h"
#include "t/unit/unit.h"

#define SECRET_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER_HEX "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HS_SECRET "a secret of at least thirty-two bytes"
#define TENANT "018f0000-0000-7000-8000-00000000000a"
#define PERSON "018f0000-0000-7000-8000-00000000000b"

static const tn_config config = {
    .server = {.secret = SECRET_HEX, .public_url = "https://app.example"},
    .auth = {.jwt_secret = HS_SECRET, .audience = "authenticated", .issuer = "", .cache_ttl_s = 60},
};

/* --- the database of these tests: one active key, one before it --------------------------------
 */

static struct {
    const char *texts[2][8];
    tn_rows rows;
    bool is_away;
} stored;

static const tn_error *
give_keys(tn_arena *arena, const tn_db_context *context, const tn_query *query,
          const tn_rows **rows)
{
    assert_string_equal(query->statement->name, "signing_keys_list");
    assert_string_equal(context->role, "tenon_worker");
    if (stored.is_away)
        return tn_error_new(arena, 503, "database_unavailable", NULL, "away");
    *rows = &stored.rows;
    return NULL;
}

static void
store_key(tn_arena *arena, size_t row, const char *status, const char *secret_hex)
{
    const char *kid, *public_jwk;
    const void *sealed;
    size_t length;
    char *hex;

    tn_signing_key_new(arena, secret_hex, &kid, &public_jwk, &sealed, &length);
    hex = tn_arena_alloc(arena, 2 * length + 1, 1);
    tn_hex(sealed, length, hex);
    stored.texts[row][0] = kid;
    stored.texts[row][1] = status;
    stored.texts[row][2] = public_jwk;
    stored.texts[row][3] = strcmp(status, "active") == 0 ? hex : NULL;
}

/* The tokens outlive the arena, which holds the keys that were used. */
static struct {
    tn_tokens *tokens;
    tn_config closed; /* without auth.jwt_secret */
} fixture;

static int
set_up(void **state)
{
    tn_arena *arena = tn_arena_new();

    fixture.tokens = tn_tokens_new(&config, NULL);
    fake_db = give_keys;
    stored.is_away = false;
    store_key(arena, 0, "active", SECRET_HEX);
    store_key(arena, 1, "previous", SECRET_HEX);
    stored.rows = (tn_rows){.count = 2, .texts = (const char *const(*)[8])stored.texts};
    *state = arena;
    return 0;
}

static int
tear_down(void **state)
{
    tn_arena_free(*state);
    tn_tokens_free(fixture.tokens);
    return 0;
}

/* --- making tokens ---------------------------------------------------------------------------- */

/* `claims` with ours in front: {"iss":…,"aud":…,"exp":…,<claims>} */
static const char *
our_claims(tn_arena *arena, const char *claims)
{
    return tn_arena_printf(arena,
                           "{\"iss\":\"https://app.example/auth/v1\",\"aud\":\"authenticated\","
                           "\"exp\":%lld,\"sub\":\"" PERSON "\",\"role\":\"authenticated\"%s}",
                           (long long)tn_clock_unix() + 600, claims);
}

static const char *
part(tn_arena *arena, const char *text)
{
    return tn_base64url(arena, text, strlen(text));
}

/* An HMAC token with any header, by any key. */
static const char *
hmac_token(tn_arena *arena, const char *header, const char *claims, const char *key)
{
    const char *text = tn_arena_printf(arena, "%s.%s", part(arena, header), part(arena, claims));
    uint8_t mac[TN_SHA256_SIZE];

    tn_hmac_sha256(key, strlen(key), text, strlen(text), mac);
    return tn_arena_printf(arena, "%s.%s", text, tn_base64url(arena, mac, sizeof(mac)));
}

static const char *
signed_token(tn_tokens *tokens, tn_arena *arena, const char *claims)
{
    const char *token;

    assert_null(tn_tokens_sign(tokens, arena, claims, &token));
    return token;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void
what_is_signed_verifies(void **state)
{
    tn_arena *arena = *state;
    tn_tokens *tokens = fixture.tokens;
    const char *text =
        our_claims(arena, ",\"tenant_id\":\"" TENANT "\",\"email\":\"a@b.c\",\"aal\":\"aal1\"");
    const char *token = signed_token(tokens, arena, text);
    tn_claims claims;

    tn_tokens_enable_cache(tokens, true);
    for (int i = 0; i < 2; i++) { /* the second time from the cache */
        assert_null(tn_tokens_verify(tokens, arena, token, &claims));
        assert_string_equal(claims.user_id.text, PERSON);
        assert_string_equal(claims.tenant_id.text, TENANT);
        assert_string_equal(claims.session_id.text, "");
        assert_string_equal(claims.role, "authenticated");
        assert_string_equal(claims.email, "a@b.c");
        assert_string_equal(claims.aal, "aal1");
        assert_string_equal(claims.json, text);
        assert_false(claims.by_secret || claims.subject_malformed || claims.audience_foreign);
    }
}

struct forgery {
    const char *name, *token;
};

static void
check_refused(tn_tokens *tokens, tn_arena *arena, const struct forgery *forgery)
{
    const tn_error *error;
    tn_claims claims;

    TN_CASE("%s", forgery->name);
    for (int i = 0; i < 2; i++) { /* nor does the cache learn it */
        error = tn_tokens_verify(tokens, arena, forgery->token, &claims);
        TN_CHECK(error != NULL && error->status == 403 && strcmp(error->code, "bad_jwt") == 0);
        TN_CHECK(strncmp(error->message, "invalid JWT", 11) == 0);
    }
}

/* `token` with one of its three parts replaced. */
static const char *
replace_part(tn_arena *arena, const char *token, int which, const char *with)
{
    char *copy = tn_arena_text(arena, token);
    char *first = strchr(copy, '.'), *second = strchr(first + 1, '.');
    const char *parts[3] = {copy, first + 1, second + 1};

    *first = *second = '\0';
    parts[which] = with;
    return tn_arena_printf(arena, "%s.%s.%s", parts[0], parts[1], parts[2]);
}

static void
forgeries_are_refused(void **state)
{
    tn_arena *arena = *state;
    tn_tokens *tokens = fixture.tokens;
    const char *claims = our_claims(arena, "");
    const char *good = signed_token(tokens, arena, claims);
    const char *kid = stored.texts[0][0], *jwk = stored.texts[0][2];
    const char *with_kid = tn_arena_printf(arena, "{\"alg\":\"HS256\",\"kid\":\"%s\"}", kid);
    const char *es_with_kid = tn_arena_printf(arena, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
    const char *ours = part(arena, claims);
    const char *huge = memset(tn_arena_alloc(arena, TN_TOKEN_MAX + 100, 1), 'a', TN_TOKEN_MAX + 99);
    const struct forgery forgeries[] = {
        {"nothing", ""},
        {"one dot", "a.b"},
        {"empty parts", ".."},
        {"an empty signature", replace_part(arena, good, 2, "")},
        {"four parts", tn_arena_printf(arena, "%s.x", good)},
        {"padding", tn_arena_printf(arena, "%s=", good)},
        {"a blank behind", tn_arena_printf(arena, "%s ", good)},
        {"one byte more of signature", tn_arena_printf(arena, "%sA", good)},
        {"not base64url", replace_part(arena, good, 1, "%%%%")},
        {"the alphabet of plain base64", replace_part(arena, good, 2, "++//")},
        {"other claims", replace_part(arena, good, 1, part(arena, our_claims(arena, ",\"x\":1")))},
        {"a signature of zeroes",
         replace_part(
             arena, good, 2,
             part(arena, "0000000000000000000000000000000000000000000000000000000000000000"))},
        {"alg none, no signature",
         tn_arena_printf(arena, "%s.%s.", part(arena, "{\"alg\":\"none\"}"), ours)},
        {"alg none, old signature",
         replace_part(arena, good, 0, part(arena, "{\"alg\":\"none\"}"))},
        {"alg nOnE", replace_part(arena, good, 0, part(arena, "{\"alg\":\"nOnE\"}"))},
        {"no alg", replace_part(arena, good, 0, part(arena, "{\"typ\":\"JWT\"}"))},
        {"alg that is a number", replace_part(arena, good, 0, part(arena, "{\"alg\":1}"))},
        {"a header that is a list", replace_part(arena, good, 0, part(arena, "[]"))},
        {"two algorithms", hmac_token(arena, "{\"alg\":\"none\",\"alg\":\"HS256\"}", claims,
                                      "wrong key of thirty-two bytes or more")},
        {"HMAC with the public key", hmac_token(arena, "{\"alg\":\"HS256\"}", claims, jwk)},
        {"HMAC with the public key under its kid", hmac_token(arena, with_kid, claims, jwk)},
        {"HMAC with the secret under the kid of ours",
         hmac_token(arena, with_kid, claims, HS_SECRET)},
        {"HMAC with no key", hmac_token(arena, "{\"alg\":\"HS256\"}", claims, "")},
        {"HMAC that says ES256", hmac_token(arena, es_with_kid, claims, HS_SECRET)},
        {"HS384", hmac_token(arena, "{\"alg\":\"HS384\"}", claims, HS_SECRET)},
        {"RS256", replace_part(arena, good, 0, part(arena, "{\"alg\":\"RS256\"}"))},
        {"ES256 without kid", replace_part(arena, good, 0, part(arena, "{\"alg\":\"ES256\"}"))},
        {"the kid of the other key",
         replace_part(arena, good, 0,
                      part(arena, tn_arena_printf(arena, "{\"alg\":\"ES256\",\"kid\":\"%s\"}",
                                                  stored.texts[1][0])))},
        {"a kid that is a path",
         replace_part(arena, good, 0,
                      part(arena, "{\"alg\":\"ES256\",\"kid\":\"../../dev/null\"}"))},
        {"a kid that is SQL",
         replace_part(arena, good, 0, part(arena, "{\"alg\":\"ES256\",\"kid\":\"x' or 1=1 --\"}"))},
        {"a kid that is a list",
         hmac_token(arena, "{\"alg\":\"HS256\",\"kid\":[]}", claims, HS_SECRET)},
        {"a key it brings itself",
         hmac_token(arena, tn_arena_printf(arena, "{\"alg\":\"ES256\",\"jwk\":%s}", jwk), claims,
                    HS_SECRET)},
        {"crit", hmac_token(arena, "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", claims,
                            HS_SECRET)},
        {"too long", huge},
        {"too long, in parts", tn_arena_printf(arena, "a.%s.c", huge)},
    };

    tn_tokens_enable_cache(tokens, true);
    for (size_t i = 0; i < TN_COUNT(forgeries); i++)
        check_refused(tokens, arena, &forgeries[i]);
}

static const struct {
    const char *name;
    int64_t exp, nbf, iat; /* relative to now; 0: absent */
    const char *more;      /* further claims */
    bool is_good;
} brought[] = {
    {"all there", 60, -60, -60, "", true},
    {"no exp", 0, 0, 0, "", true},
    {"expired a second ago", -1, 0, 0, "", false},
    {"nbf within leeway", 60, 20, 0, "", true},
    {"not valid yet", 60, 60, 0, "", false},
    {"iat within leeway", 60, 0, 20, "", true},
    {"issued in the future", 60, 0, 600, "", false},
    {"exp as text", 0, 0, 0, ",\"exp\":\"9999999999\"", false},
    {"exp null", 0, 0, 0, ",\"exp\":null", false},
    {"exp negative", 0, 0, 0, ",\"exp\":-5", false},
    {"exp beyond all time", 0, 0, 0, ",\"exp\":1e300", false},
    {"exp with a fraction", 0, 0, 0, ",\"exp\":9999999999.5", true},
    {"a tenant that is no UUID", 60, 0, 0, ",\"tenant_id\":\"a\"", false},
    {"a tenant that is a number", 60, 0, 0, ",\"tenant_id\":5", false},
    {"a session that is no UUID", 60, 0, 0, ",\"session_id\":\"'\"", false},
    {"a role that is a list", 60, 0, 0, ",\"role\":[\"anon\"]", false},
    {"NUL in it", 60, 0, 0, ",\"x\":\"\\u0000\"", false},
    {"nesting without end", 60, 0, 0, ",\"x\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]", false},
    {"another issuer and audience", 60, 0, 0, ",\"iss\":\"x\",\"aud\":\"y\"", true},
};

static void
brought_tokens_are_checked(void **state)
{
    tn_arena *arena = *state;
    tn_tokens *tokens = fixture.tokens;
    const int64_t now = tn_clock_unix();
    tn_claims claims;

    for (size_t i = 0; i < TN_COUNT(brought); i++) {
        PQExpBuffer text = tn_arena_buffer(arena);

        TN_CASE("%s", brought[i].name);
        appendPQExpBufferStr(text, "{\"sub\":\"" PERSON "\"");
        if (brought[i].exp != 0)
            appendPQExpBuffer(text, ",\"exp\":%lld", (long long)(now + brought[i].exp));
        if (brought[i].nbf != 0)
            appendPQExpBuffer(text, ",\"nbf\":%lld", (long long)(now + brought[i].nbf));
        if (brought[i].iat != 0)
            appendPQExpBuffer(text, ",\"iat\":%lld", (long long)(now + brought[i].iat));
        appendPQExpBuffer(text, "%s}", brought[i].more);
        TN_CHECK(
            (tn_tokens_verify(tokens, arena, tn_token_hs256(arena, HS_SECRET, tn_buffer_text(text)),
                              &claims) == NULL) == brought[i].is_good);
        TN_CHECK(!brought[i].is_good || claims.by_secret);
    }
}

static void
our_tokens_must_be_for_us(void **state)
{
    static const char *const bad[] = {
        "{\"iss\":\"https://app.example/auth/v1\",\"aud\":\"authenticated\"}", /* no exp */
        "{\"iss\":\"https://else.example/auth/v1\",\"aud\":\"authenticated\",\"exp\":9999999999}",
        "{\"iss\":\"https://app.example/auth/v1\",\"aud\":\"else\",\"exp\":9999999999}",
        "{\"iss\":\"https://app.example/auth/v1\",\"aud\":[\"else\",5],\"exp\":9999999999}",
        "{\"iss\":\"https://app.example/auth/v1\",\"exp\":9999999999}",
        "{\"aud\":\"authenticated\",\"exp\":9999999999}",
    };
    tn_arena *arena = *state;
    tn_tokens *tokens = fixture.tokens;
    tn_claims claims;

    for (size_t i = 0; i < TN_COUNT(bad); i++)
        check_refused(tokens, arena,
                      &(struct forgery){bad[i], signed_token(tokens, arena, bad[i])});
    assert_null(
        tn_tokens_verify(tokens, arena,
                         signed_token(tokens, arena,
                                      "{\"iss\":\"https://app.example/auth/"
                                      "v1\",\"aud\":[\"x\",\"authenticated\"],\"exp\":9999999999}"),
                         &claims));
}

static void
subjects_and_roles(void **state)
{
    tn_arena *arena = *state;
    tn_tokens *tokens = fixture.tokens;
    tn_claims claims;

    assert_null(tn_tokens_verify(
        tokens, arena,
        tn_token_hs256(arena, HS_SECRET, "{\"sub\":\"1234\",\"role\":\"authenticated\"}"),
        &claims));
    assert_true(claims.subject_malformed);
    assert_string_equal(claims.user_id.text, "");
    assert_null(tn_tokens_verify(
        tokens, arena, tn_token_hs256(arena, HS_SECRET, "{\"sub\":\"\",\"aud\":\"else\"}"),
        &claims));
    assert_false(claims.subject_malformed);
    assert_true(claims.audience_foreign);
    assert_string_equal(claims.role, "anon"); /* and auth.role() sees the same */
    assert_non_null(strstr(claims.json, "\"role\":\"anon\""));
}

static void
without_a_secret_hs256_is_nothing(void **state)
{
    tn_tokens *tokens;

    fixture.closed = config;
    fixture.closed.auth.jwt_secret = "";
    tn_tokens_free(fixture.tokens);
    tokens = fixture.tokens = tn_tokens_new(&fixture.closed, NULL);
    check_refused(tokens, *state,
                  &(struct forgery){"with the former secret",
                                    tn_token_hs256(*state, HS_SECRET, "{\"role\":\"anon\"}")});
    check_refused(tokens, *state,
                  &(struct forgery){"with an empty one", hmac_token(*state, "{\"alg\":\"HS256\"}",
                                                                    "{\"role\":\"anon\"}", "")});
}

static void
rotation(void **state)
{
    tn_arena *arena = *state;
    tn_tokens *tokens = fixture.tokens;
    const char *old = signed_token(tokens, arena, our_claims(arena, "")), *json, *fresh;
    const char *old_kid = stored.texts[0][0];
    tn_claims claims;

    tn_tokens_enable_cache(tokens, true);
    assert_null(tn_tokens_verify(tokens, arena, old, &claims));
    memcpy(stored.texts[1], stored.texts[0], sizeof(stored.texts[0])); /* active becomes previous */
    stored.texts[1][3] = NULL;
    store_key(arena, 0, "active", SECRET_HEX);
    tn_tokens_reload(tokens);
    fresh = signed_token(tokens, arena, our_claims(arena, ""));
    assert_null(tn_tokens_verify(tokens, arena, old, &claims));
    assert_null(tn_tokens_verify(tokens, arena, fresh, &claims));
    assert_null(tn_tokens_jwks(tokens, arena, &json));
    assert_non_null(strstr(json, old_kid));
    assert_non_null(strstr(json, stored.texts[0][0]));
    assert_null(strstr(json, "\"d\""));

    stored.rows.count = 1; /* the previous one is retired */
    tn_tokens_reload(tokens);
    check_refused(tokens, arena, &(struct forgery){"of a retired key", old});
    assert_null(tn_tokens_verify(tokens, arena, fresh, &claims));

    stored.is_away = true; /* the last keys serve on */
    tn_tokens_reload(tokens);
    assert_null(tn_tokens_verify(tokens, arena, fresh, &claims));
}

static void
without_database_or_secret(void **state)
{
    tn_arena *arena = *state;
    tn_tokens *tokens = fixture.tokens;
    const tn_error *error;
    const char *token;

    stored.is_away = true;
    error = tn_tokens_sign(tokens, arena, "{}", &token);
    assert_true(error != NULL && error->status == 503);
    stored.is_away = false;
    store_key(arena, 0, "active", OTHER_HEX); /* sealed by a server with another secret */
    error = tn_tokens_sign(tokens, arena, "{}", &token);
    assert_true(error != NULL && error->status == 500);
}

/* RFC 7518 section 6.2.1.2: coordinates have their full 32 bytes, also when they begin with zeroes.
 */
static void
keys_have_full_coordinates(void **state)
{
    tn_arena *arena = *state;

    for (int i = 0; i < 600; i++) {
        const char *kid, *public_jwk, *x, *y;
        const void *sealed;
        size_t length;

        tn_signing_key_new(arena, SECRET_HEX, &kid, &public_jwk, &sealed, &length);
        x = strstr(public_jwk, "\"x\":\"") + 5;
        y = strstr(public_jwk, "\"y\":\"") + 5;
        assert_int_equal(strcspn(x, "\""), 43);
        assert_int_equal(strcspn(y, "\""), 43);
        assert_int_equal(strlen(kid), 43);
        assert_null(memmem(sealed, length, "\"d\"", 3));
    }
}

static void *
verify_often(void *context)
{
    tn_tokens *tokens = context;
    tn_arena *arena = tn_arena_new();
    void *bad = NULL;

    for (int i = 0; i < 300 && bad == NULL; i++) {
        const char *token;
        tn_claims claims;

        if (tn_tokens_sign(tokens, arena, our_claims(arena, ""), &token) != NULL)
            bad = context;
        for (int j = 0; j < 3 && bad == NULL; j++)
            if (tn_tokens_verify(tokens, arena, token, &claims) != NULL)
                bad = context;
        if (i % 20 == 0) {
            tn_tokens_reload(tokens);
            tn_tokens_enable_cache(tokens, i % 40 == 0);
        }
        tn_arena_reset(arena);
    }
    tn_arena_free(arena);
    return bad;
}

static void
serves_threads(void **state)
{
    tn_tokens *tokens = fixture.tokens;
    pthread_t threads[4];
    void *bad;

    (void)state;
    tn_tokens_enable_cache(tokens, true);
    for (size_t i = 0; i < TN_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, tokens), 0);
    for (size_t i = 0; i < TN_COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_signed_verifies),
        TEST(forgeries_are_refused),
        TEST(brought_tokens_are_checked),
        TEST(our_tokens_must_be_for_us),
        TEST(subjects_and_roles),
        TEST(without_a_secret_hs256_is_nothing),
        TEST(rotation),
        TEST(without_database_or_secret),
        TEST(keys_have_full_coordinates),
        TEST(serves_threads),
    };

    return tn_unit_run("token", tests, TN_COUNT(tests));
}
