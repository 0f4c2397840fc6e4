/* t/unit/limit.c: identity/limit.c: token buckets, and what counts as whose */
#include "identity/limit.h"

#include <stdlib.h>
#include <string.h>

#include "t/unit/unit.h"

static tn_config config;
static tn_arena *arena;
static tn_limits *limits;

static int
set_up(void **state)
{
    void *memory = calloc(1, tn_limits_size());

    (void)state;
    arena = tn_arena_new();
    limits = tn_limits_init(memory);
    config = (tn_config){.limits = {.enabled = true,
                                    .exempt = "",
                                    .signup = "3/3600:3",
                                    .token = "3/3600:3",
                                    .read = "3/3600:3",
                                    .write = "1/3600:5",
                                    .chat = "1000/1:1"}};
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    tn_arena_free(arena);
    free(limits);
    return 0;
}

/* How many of 10 requests are let in. */
static int
let_in(tn_limit_class class, const char *address, const char *subject)
{
    int count = 0;

    for (int i = 0; i < 10; i++)
        count += tn_limits_take(limits, &config, arena, class, address, subject) == NULL;
    return count;
}

static void
bursts(void **state)
{
    const tn_error *error;

    (void)state;
    assert_int_equal(let_in(TN_LIMIT_READ, "192.0.2.1", ""), 3);
    assert_int_equal(let_in(TN_LIMIT_WRITE, "192.0.2.1", ""),
                     5); /* classes have buckets of their own */
    assert_int_equal(let_in(TN_LIMIT_READ, "192.0.2.2", ""), 3);
    assert_int_equal(let_in(TN_LIMIT_NONE, "192.0.2.1", ""), 10);
    error = tn_limits_take(limits, &config, arena, TN_LIMIT_READ, "192.0.2.1", "");
    assert_int_equal(error->status, 429);
    assert_string_equal(error->code, "over_request_rate_limit");
    assert_in_range(error->retry_after_s, 1100, 1200); /* one token every 20 minutes */
    config.limits.enabled = false;
    assert_int_equal(let_in(TN_LIMIT_READ, "192.0.2.1", ""), 10);
}

static void
refills(void **state)
{
    struct timespec pause = {.tv_nsec = 5000000};
    int count = 0;

    (void)state;
    for (int i = 0; i < 20; i++) { /* one each millisecond */
        count += tn_limits_take(limits, &config, arena, TN_LIMIT_CHAT, "192.0.2.1", "") == NULL;
        (void)nanosleep(&pause, NULL);
    }
    assert_int_equal(count, 20);
}

static void
whose_bucket(void **state)
{
    (void)state;
    assert_int_equal(let_in(TN_LIMIT_READ, "192.0.2.1", "ada"),
                     3); /* a person, wherever they are */
    assert_int_equal(let_in(TN_LIMIT_READ, "192.0.2.9", "ada"), 0);
    assert_int_equal(let_in(TN_LIMIT_READ, "192.0.2.1", "bob"), 3);
    assert_int_equal(let_in(TN_LIMIT_SIGNUP, "192.0.2.1", "ada"), 3); /* here the address counts */
    assert_int_equal(let_in(TN_LIMIT_SIGNUP, "192.0.2.1", "bob"), 0);
    assert_int_equal(let_in(TN_LIMIT_TOKEN, "2001:db8:1:2::1", ""), 3); /* a /64 is one caller */
    assert_int_equal(let_in(TN_LIMIT_TOKEN, "2001:db8:1:2:ffff::9", ""), 0);
    assert_int_equal(let_in(TN_LIMIT_TOKEN, "2001:db8:1:3::1", ""), 3);
    assert_int_equal(let_in(TN_LIMIT_TOKEN, "unix:", ""), 3); /* no address is one, too */
    assert_int_equal(let_in(TN_LIMIT_TOKEN, "", ""), 0);
}

static void
exempt_addresses(void **state)
{
    (void)state;
    config.limits.exempt = "10.0.0.0/9, 192.0.2.7,2001:db8::/33 ,203.0.113.128/25";
    assert_null(tn_limits_check(&config, arena));
    assert_int_equal(let_in(TN_LIMIT_READ, "10.127.3.4", ""), 10);
    assert_int_equal(let_in(TN_LIMIT_READ, "10.128.3.4", ""), 3);
    assert_int_equal(let_in(TN_LIMIT_READ, "192.0.2.7", "ada"), 10);
    assert_int_equal(let_in(TN_LIMIT_READ, "192.0.2.6", ""), 3);
    assert_int_equal(let_in(TN_LIMIT_READ, "2001:db8:7fff::1", ""), 10);
    assert_int_equal(let_in(TN_LIMIT_READ, "2001:db8:8000::1", ""), 3);
    assert_int_equal(let_in(TN_LIMIT_READ, "203.0.113.200", ""), 10);
    assert_int_equal(let_in(TN_LIMIT_READ, "203.0.113.100", ""), 3);
}

static void
settings_are_checked(void **state)
{
    static const char *const bad_rates[] = {"",       "5",      "5/",     "5/3",
                                            "5/3:",   "0/3:1",  "5/0:1",  "5/3:0",
                                            "-5/3:1", "5/3:1x", " 5/3:1", "5/3:99999999999",
                                            "5:3/1"};
    static const char *const bad_lists[] = {"localhost",   "10.0.0.0/33", "10.0.0/8", "::1/129",
                                            "10.0.0.1/-1", "10.0.0.1,x",  "10.0.0.1/"};

    (void)state;
    assert_null(tn_limits_check(&config, arena));
    for (size_t i = 0; i < TN_COUNT(bad_rates); i++) {
        TN_CASE("rate %s", bad_rates[i]);
        config.limits.chat = bad_rates[i];
        TN_CHECK(tn_limits_check(&config, arena) != NULL);
    }
    config.limits.chat = "1/1:1";
    for (size_t i = 0; i < TN_COUNT(bad_lists); i++) {
        TN_CASE("exempt %s", bad_lists[i]);
        config.limits.exempt = bad_lists[i];
        TN_CHECK(tn_limits_check(&config, arena) != NULL);
    }
}

/* A flood of addresses takes over quiet buckets, and one that is in use only among the last. */
static void
the_table_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(let_in(TN_LIMIT_READ, "192.0.2.1", ""), 3);
    for (int i = 0; i < 2000; i++) {
        const char *address = tn_arena_printf(arena, "10.0.%d.%d", i / 250, i % 250);

        assert_null(tn_limits_take(limits, &config, arena, TN_LIMIT_READ, address, ""));
    }
    assert_int_equal(let_in(TN_LIMIT_READ, "192.0.2.1", ""), 0);
    for (int i = 0; i < 50000; i++) {
        const char *address =
            tn_arena_printf(arena, "10.%d.%d.%d", 1 + i / 62500, i / 250 % 250, i % 250);

        assert_null(tn_limits_take(limits, &config, arena, TN_LIMIT_READ, address, ""));
    }
}

/* An agent's rate is its own, and no setting switches it off. */
static void
agents(void **state)
{
    static const char *const ids[] = {"018f0000-0000-7000-8000-00000000000a",
                                      "018f0000-0000-7000-8000-00000000000b"};
    const tn_error *error;

    (void)state;
    config.limits.enabled = false;
    for (size_t i = 0; i < TN_COUNT(ids); i++) {
        assert_null(tn_limits_take_agent(limits, arena, ids[i], 2));
        assert_null(tn_limits_take_agent(limits, arena, ids[i], 2));
        error = tn_limits_take_agent(limits, arena, ids[i], 2);
        assert_non_null(error);
        assert_int_equal(error->status, 429);
        assert_in_range(error->retry_after_s, 1, 30);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(agents),
        TEST(bursts),
        TEST(refills),
        TEST(whose_bucket),
        TEST(exempt_addresses),
        TEST(settings_are_checked),
        TEST(the_table_is_bounded),
    };

    return tn_unit_run("limit", tests, TN_COUNT(tests));
}
