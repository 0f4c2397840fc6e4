/* t/unit/crypto.c: base/crypto.c against the vectors of the standards */
#include "base/crypto.h"

#include <string.h>

#include "t/unit/unit.h"

static void
hashes_match_their_vectors(void **state)
{
    uint8_t digest[TN_SHA256_SIZE];
    char hex[TN_SHA256_HEX];

    (void)state;
    tn_sha256("abc", 3, digest); /* FIPS 180-4 */
    tn_hex(digest, sizeof(digest), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    tn_sha256("", 0, digest);
    tn_hex(digest, sizeof(digest), hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    tn_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, digest); /* RFC 4231, case 2 */
    tn_hex(digest, sizeof(digest), hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    tn_hmac_sha256(NULL, 0, NULL, 0, digest);
    tn_hex(digest, sizeof(digest), hex);
    assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void
derived_keys_differ_by_purpose(void **state)
{
    uint8_t a[32], again[32], b[32];

    (void)state;
    tn_derive_key("secret", 6, "sealing", a);
    tn_derive_key("secret", 6, "sealing", again);
    tn_derive_key("secret", 6, "signing", b);
    assert_memory_equal(a, again, sizeof(a));
    assert_memory_not_equal(a, b, sizeof(a));
}

static const struct {
    const char *bytes, *text;
} base64_cases[] = {
    /* RFC 4648 section 10, without padding */
    {"", ""},
    {"f", "Zg"},
    {"fo", "Zm8"},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg"},
    {"fooba", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy"},
    {"\xff\xff\xfe\xfb", "___--w"},
};

static const char *const not_base64[] = {
    "Z",     "Zg==", "Zm9v\n", "Zm9 ", "+/+/", "Zh", /* spare bits */
    "Zm9vY", "Zm9",                                  /* spare bits again */
    "Zm8=",  "Zm.v",
};

static void
base64url_goes_both_ways(void **state)
{
    tn_arena *arena = tn_arena_new();
    uint8_t bytes[16];
    size_t length;

    (void)state;
    for (size_t i = 0; i < TN_COUNT(base64_cases); i++) {
        const size_t size = strlen(base64_cases[i].bytes);
        const char *text = base64_cases[i].text;

        TN_CASE("%s", text);
        TN_CHECK_TEXT(tn_base64url(arena, base64_cases[i].bytes, size), text);
        TN_CHECK(tn_base64url_decode(text, strlen(text), bytes, sizeof(bytes), &length));
        TN_CHECK(length == size && memcmp(bytes, base64_cases[i].bytes, size) == 0);
        TN_CHECK(tn_base64url_decode(text, strlen(text), bytes, size, &length));
        TN_CHECK(size == 0 || !tn_base64url_decode(text, strlen(text), bytes, size - 1, &length));
    }
    for (size_t i = 0; i < TN_COUNT(not_base64); i++) {
        TN_CASE("refused: %s", not_base64[i]);
        TN_CHECK(!tn_base64url_decode(not_base64[i], strlen(not_base64[i]), bytes, sizeof(bytes),
                                      &length));
    }
    assert_false(tn_base64url_decode("Zm\0v", 4, bytes, sizeof(bytes), &length));
    tn_arena_free(arena);
}

static void
hexadecimal_is_exact(void **state)
{
    uint8_t bytes[3];

    (void)state;
    assert_true(tn_hex_decode("00fFa1", bytes, 3));
    assert_memory_equal(bytes, "\x00\xff\xa1", 3);
    assert_false(tn_hex_decode("00ff", bytes, 3));
    assert_false(tn_hex_decode("00ffa1b2", bytes, 3));
    assert_false(tn_hex_decode("00ffg1", bytes, 3));
    assert_true(tn_hex_decode("", bytes, 0));
}

static void
a_box_opens_with_its_key_and_purpose_only(void **state)
{
    tn_arena *arena = tn_arena_new();
    const uint8_t key[32] = {1}, other[32] = {2};
    size_t sealed_length, length;
    uint8_t *sealed = tn_seal(arena, key, "jwk", "private", 7, &sealed_length), *twice;
    void *bytes;

    (void)state;
    assert_int_equal(sealed_length, 12 + 7 + 16);
    assert_true(tn_open(arena, key, "jwk", sealed, sealed_length, &bytes, &length));
    assert_int_equal(length, 7);
    assert_string_equal(bytes, "private"); /* a NUL stands behind it */
    assert_false(tn_open(arena, other, "jwk", sealed, sealed_length, &bytes, &length));
    assert_false(tn_open(arena, key, "jwt", sealed, sealed_length, &bytes, &length));
    assert_false(tn_open(arena, key, "jwk", sealed, sealed_length - 1, &bytes, &length));
    assert_false(tn_open(arena, key, "jwk", sealed, 27, &bytes, &length));
    for (size_t i = 0; i < sealed_length; i++) {
        sealed[i] ^= 0x40;
        assert_false(tn_open(arena, key, "jwk", sealed, sealed_length, &bytes, &length));
        sealed[i] ^= 0x40;
    }
    twice = tn_seal(arena, key, "jwk", "private", 7, &sealed_length);
    assert_memory_not_equal(sealed, twice, sealed_length); /* a new nonce each time */
    sealed = tn_seal(arena, key, "", "", 0, &sealed_length);
    assert_true(tn_open(arena, key, "", sealed, sealed_length, &bytes, &length));
    assert_int_equal(length, 0);
    tn_arena_free(arena);
}

/* RFC 4648 section 10, and what is no base64. */
static void
base64_goes_both_ways(void **state)
{
    static const struct {
        const char *bytes, *text;
    } pairs[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"\xfb\xff", "+/8="}};
    static const char *const wrong[] = {"Zg=", "Z", "Zh==", "Zm9v=", "Zg== ", "-_8=", "Zg==Zg=="};
    tn_arena *arena = tn_arena_new();
    char bytes[8];
    size_t length;

    (void)state;
    for (size_t i = 0; i < TN_COUNT(pairs); i++) {
        const char *text = pairs[i].text;

        TN_CASE("%s", text);
        TN_CHECK_TEXT(tn_base64(arena, pairs[i].bytes, strlen(pairs[i].bytes)), text);
        TN_CHECK(tn_base64_decode(arena, text, strlen(text), bytes, sizeof(bytes), &length));
        TN_CHECK(length == strlen(pairs[i].bytes) && memcmp(bytes, pairs[i].bytes, length) == 0);
        TN_CHECK(tn_base64_decode(arena, text, strcspn(text, "="), bytes, sizeof(bytes), &length));
    }
    for (size_t i = 0; i < TN_COUNT(wrong); i++) {
        TN_CASE("%s", wrong[i]);
        TN_CHECK(
            !tn_base64_decode(arena, wrong[i], strlen(wrong[i]), bytes, sizeof(bytes), &length));
    }
    assert_false(tn_base64_decode(arena, "Zm9vYmE=", 8, bytes, 4, &length));
    tn_arena_free(arena);
}

/* FIPS 180, RFC 7914 section 12, NIST SP 800-38A F.5.5 with the counter from zero on. */
static void
what_others_have_chosen(void **state)
{
    static const uint8_t zero[32];
    tn_arena *arena = tn_arena_new();
    uint8_t bytes[32];
    char hex[65];

    (void)state;
    tn_sha1("abc", 3, bytes);
    tn_hex(bytes, 20, hex);
    assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_true(tn_scrypt(&(tn_scrypt_cost){4, 1, 1}, "", "", 0, bytes));
    tn_hex(bytes, 32, hex);
    assert_string_equal(hex, "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442");
    assert_true(tn_scrypt(&(tn_scrypt_cost){10, 8, 16}, "password", "NaCl", 4, bytes));
    tn_hex(bytes, 32, hex);
    assert_string_equal(hex, "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162");
    assert_false(tn_scrypt(&(tn_scrypt_cost){16, 1, 1}, "", "", 0, bytes));
    tn_hex(tn_aes256_ctr(arena, zero, zero, 16), 16, hex);
    assert_string_equal(hex, "dc95c078a2408989ad48a21492842087");
    tn_arena_free(arena);
}

static void
comparison_and_randomness(void **state)
{
    uint8_t a[32] = {0}, b[32] = {0};

    (void)state;
    assert_true(tn_same_bytes(a, b, sizeof(a)));
    tn_random(a, sizeof(a));
    assert_false(tn_same_bytes(a, b, sizeof(a)));
    tn_random(b, 0);
    assert_int_equal(b[0], 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_match_their_vectors),
        cmocka_unit_test(derived_keys_differ_by_purpose),
        cmocka_unit_test(base64url_goes_both_ways),
        cmocka_unit_test(base64_goes_both_ways),
        cmocka_unit_test(what_others_have_chosen),
        cmocka_unit_test(hexadecimal_is_exact),
        cmocka_unit_test(a_box_opens_with_its_key_and_purpose_only),
        cmocka_unit_test(comparison_and_randomness),
    };

    return tn_unit_run("crypto", tests, TN_COUNT(tests));
}
