/* t/unit/refresh_token.c: auth/refresh_token.c: what the server made and nobody else can */
#include "auth/refresh_token.h"

#include <string.h>

#include "t/unit/unit.h"

static const uint8_t key[32] = {1, 2, 3}, other_key[32] = {3, 2, 1};

static void
what_is_made_is_read(void **state)
{
    static const int64_t counters[] = {0, 1, 255, 256, 1LL << 40, INT64_MAX};
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(counters); i++) {
        const tn_refresh_token token = {.session_id = tn_uuid_new(), .counter = counters[i]};
        const char *text = tn_refresh_token_make(arena, key, &token);
        tn_refresh_token read;

        assert_string_equal(tn_refresh_token_make(arena, key, &token), text);
        assert_int_equal(tn_refresh_token_read(key, text, &read), TN_REFRESH_OURS);
        assert_string_equal(read.session_id.text, token.session_id.text);
        assert_true(read.counter == token.counter);
        assert_int_equal(tn_refresh_token_read(other_key, text, &read), TN_REFRESH_FOREIGN);
        assert_int_equal(strlen(tn_refresh_token_hash(arena, text)), 64);
    }
    tn_arena_free(arena);
}

static void
no_character_may_change(void **state)
{
    tn_arena *arena = tn_arena_new();
    const tn_refresh_token token = {.session_id = tn_uuid_new(), .counter = 5};
    char *text = tn_arena_text(arena, tn_refresh_token_make(arena, key, &token));
    tn_refresh_token read;

    (void)state;
    for (size_t i = 0; text[i] != '\0'; i++) {
        const char before = text[i];

        for (const char *p = "AQgwz059-_"; *p != '\0'; p++) {
            text[i] = *p;
            assert_true((tn_refresh_token_read(key, text, &read) == TN_REFRESH_OURS) ==
                        (*p == before));
        }
        text[i] = before;
    }
    tn_arena_free(arena);
}

static const struct {
    const char *text;
    tn_refresh_form form;
} cases[] = {
    {"", TN_REFRESH_MALFORMED},
    {"abc", TN_REFRESH_MALFORMED},
    {"abcdefghij2", TN_REFRESH_MALFORMED},
    {"abcdefghij23", TN_REFRESH_FOREIGN},
    {"ABCDEFGHIJ23", TN_REFRESH_MALFORMED},
    {"abcdefghij2-", TN_REFRESH_MALFORMED},
    {"abcdefghij23456=", TN_REFRESH_MALFORMED},
    {"abcdefghij234567", TN_REFRESH_FOREIGN},
    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", TN_REFRESH_FOREIGN},
    {"abcdefgh ij23456", TN_REFRESH_MALFORMED},
};

static void
forms(void **state)
{
    static char huge[20000];
    tn_refresh_token token;

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        TN_CASE("%s", cases[i].text);
        TN_CHECK(tn_refresh_token_read(key, cases[i].text, &token) == cases[i].form);
    }
    memset(huge, 'a', sizeof(huge) - 1);
    assert_int_equal(tn_refresh_token_read(key, huge, &token), TN_REFRESH_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_is_read),
        cmocka_unit_test(no_character_may_change),
        cmocka_unit_test(forms),
    };

    return tn_unit_run("refresh_token", tests, TN_COUNT(tests));
}
