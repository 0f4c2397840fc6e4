/* t/unit/one_time.c: auth/one_time.c: codes and links that are sent once */
#include "auth/one_time.h"

#include <string.h>

#include "auth/area.h"
#include "t/unit/unit.h"

static const tn_uuid one = {"018f0000-0000-7000-8000-000000000001"},
                     other = {"018f0000-0000-7000-8000-000000000002"};
static tn_config config;
static tn_auth auth;
static tn_ctx c;

static int
set_up(void **state)
{
    (void)state;
    config = (tn_config){.auth = {.otp_length = 6}};
    memset(auth.confirmation_key, 7, sizeof(auth.confirmation_key));
    c = (tn_ctx){.arena = tn_arena_new(), .config = &config, .state = &auth};
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    tn_arena_free(c.arena);
    return 0;
}

static void
test_what_comes_back_is_found(void **state)
{
    const tn_one_time made = tn_one_time_new(&c, &one, "ada@example.com");

    (void)state;
    assert_int_equal(strlen(made.token), 64);
    assert_int_equal(strlen(made.hash), 64);
    assert_string_equal(tn_one_time_hash_of_code(&c, &one, "ada@example.com", made.code),
                        made.hash);
    assert_string_equal(tn_one_time_hash_of_token(c.arena, made.token), made.hash);
    assert_string_equal(
        tn_one_time_hash_of_token(c.arena, tn_arena_printf(c.arena, "pkce_%s", made.token)),
        made.hash);
    /* what is stored opens nothing */
    assert_string_not_equal(tn_one_time_hash_of_token(c.arena, made.hash), made.hash);
}

static void
test_bound_to_tenant_address_and_key(void **state)
{
    const char *hash = tn_one_time_hash_of_code(&c, &one, "ada@example.com", "123456");

    (void)state;
    assert_string_not_equal(tn_one_time_hash_of_code(&c, &other, "ada@example.com", "123456"),
                            hash);
    assert_string_not_equal(tn_one_time_hash_of_code(&c, &one, "bob@example.com", "123456"), hash);
    assert_string_not_equal(tn_one_time_hash_of_code(&c, &one, "ada@example.com", "123457"), hash);
    auth.confirmation_key[0] ^= 1;
    assert_string_not_equal(tn_one_time_hash_of_code(&c, &one, "ada@example.com", "123456"), hash);
}

/* Each digit at each place comes up about as often: 6,000 codes, 600 of each, and a deviation of
 * ten standard ones (23) does not happen. */
static void
test_codes_are_even(void **state)
{
    int seen[10][10] = {{0}};

    (void)state;
    for (config.auth.otp_length = 6; config.auth.otp_length <= 10; config.auth.otp_length++)
        for (int i = 0; i < 1200; i++) {
            const char *code = tn_one_time_new(&c, &one, "ada@example.com").code;

            assert_int_equal(strlen(code), config.auth.otp_length);
            assert_int_equal(strspn(code, "0123456789"), config.auth.otp_length);
            for (size_t at = 0; at < 6; at++)
                seen[at][code[at] - '0']++;
            if (i % 100 == 99)
                tn_arena_reset(c.arena);
        }
    for (int at = 0; at < 6; at++)
        for (int digit = 0; digit < 10; digit++)
            assert_in_range(seen[at][digit], 370, 830);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_comes_back_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bound_to_tenant_address_and_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_codes_are_even, set_up, tear_down),
    };

    return tn_unit_run("one_time", tests, TN_COUNT(tests));
}
