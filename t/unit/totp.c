/* t/unit/totp.c: auth/totp.c: RFC 6238, and what authenticator apps read */
#include "auth/totp.h"

#include <string.h>

#include "t/unit/unit.h"

static const uint8_t secret[TN_TOTP_SECRET_SIZE] = "12345678901234567890";
static const uint8_t key[32] = {1}, other_key[32] = {2};

/* The last six of the eight digits in appendix B. */
static void
passwords_of_the_rfc(void **state)
{
    static const struct {
        int64_t time;
        const char *code;
    } rows[] = {
        {59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
        {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"},
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(rows); i++) {
        const int64_t step = rows[i].time / 30;

        TN_CASE("at %lld", (long long)rows[i].time);
        TN_CHECK(tn_totp_step(secret, rows[i].code, rows[i].time) == step);
        TN_CHECK(tn_totp_step(secret, rows[i].code, (step + 1) * 30 + 29) == step);
        TN_CHECK(tn_totp_step(secret, rows[i].code, (step - 1) * 30) == step);
        TN_CHECK(tn_totp_step(secret, rows[i].code, (step + 2) * 30) == -1);
        if (step > 1)
            TN_CHECK(tn_totp_step(secret, rows[i].code, (step - 1) * 30 - 1) == -1);
    }
    assert_int_equal(tn_totp_step(secret, "", 59), -1);
    assert_int_equal(tn_totp_step(secret, "28708", 59), -1);
    assert_int_equal(tn_totp_step(secret, "2870820", 59), -1);
    assert_int_equal(tn_totp_step(secret, "94287082", 59), -1);
}

static void
what_an_app_is_told(void **state)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_totp_secret_text(arena, secret), *uri, *picture;
    char longer[2048];

    (void)state;
    assert_string_equal(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    uri = tn_totp_uri(arena, "a b&c", "\xc3\xbc@example.com", text);
    assert_string_equal(uri, "otpauth://totp/a%20b%26c:%C3%BC%40example.com?algorithm=SHA1&digits=6"
                             "&issuer=a%20b%26c&period=30&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    picture = tn_totp_qr(arena, uri);
    assert_non_null(picture);
    assert_null(strpbrk(picture, "\"#")); /* it goes into a data: URL as it is */
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_null(tn_totp_qr(arena, longer));
    tn_arena_free(arena);
}

static void
a_sealed_secret_is_one_owners(void **state)
{
    tn_arena *arena = tn_arena_new();
    const char *sealed = tn_totp_seal(arena, key, "tenant factor", secret);
    uint8_t opened[TN_TOTP_SECRET_SIZE];

    (void)state;
    assert_true(tn_totp_open(arena, key, "tenant factor", sealed, opened));
    assert_memory_equal(opened, secret, sizeof(opened));
    assert_false(tn_totp_open(arena, key, "tenant other", sealed, opened));
    assert_false(tn_totp_open(arena, other_key, "tenant factor", sealed, opened));
    assert_false(tn_totp_open(arena, key, "tenant factor", "", opened));
    assert_false(tn_totp_open(arena, key, "tenant factor", "?", opened));
    assert_string_not_equal(sealed, tn_totp_seal(arena, key, "tenant factor", secret));
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_of_the_rfc),
        cmocka_unit_test(what_an_app_is_told),
        cmocka_unit_test(a_sealed_secret_is_one_owners),
    };

    tn_totp_start();
    return tn_unit_run("totp", tests, TN_COUNT(tests));
}
