/* t/unit/flow.c: auth/flow.c: challenges, codes, and what flows keep */
#include <string.h>

#include "auth/flow.h"
#include "t/unit/unit.h"

#define RIGHT "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ.-_~012"
#define SECRET "5ec2e70000000000000000000000000000000000000000000000000000000000"

static void
challenges(void **state)
{
    static char too_long[130], longest[129];
    const struct {
        const char *challenge, *method;
        bool is_right;
        const char *kept; /* the method, NULL: the implicit flow */
    } cases[] = {
        {NULL, NULL, true, NULL},
        {"", NULL, true, NULL},
        {NULL, "", true, NULL},
        {RIGHT, "s256", true, "s256"},
        {RIGHT, "S256", true, "s256"},
        {RIGHT, "Plain", true, "plain"},
        {longest, "s256", true, "s256"},
        {RIGHT, NULL, false, NULL},
        {RIGHT, "", false, NULL},
        {NULL, "s256", false, NULL},
        {"", "s256", false, NULL},
        {RIGHT, "s512", false, NULL},
        {"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP", "s256", false, NULL}, /* 42 */
        {too_long, "s256", false, NULL},
        {RIGHT "+", "s256", false, NULL},
        {RIGHT "=", "s256", false, NULL},
        {RIGHT " ", "s256", false, NULL},
        {RIGHT "\xC3\xA4", "s256", false, NULL},
    };
    tn_arena *arena = tn_arena_new();
    const tn_ctx c = {.arena = arena};

    (void)state;
    memset(longest, 'a', 128);
    memset(too_long, 'a', 129);
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_challenge out;
        const tn_error *error = tn_flow_challenge(&c, cases[i].challenge, cases[i].method, &out);

        TN_CASE("%s %s", cases[i].challenge, cases[i].method);
        TN_CHECK((error == NULL) == cases[i].is_right);
        TN_CHECK(error == NULL ||
                 (error->status == 400 && strcmp(error->code, "validation_failed") == 0));
        TN_CHECK_TEXT(out.method, cases[i].kept);
        TN_CHECK_TEXT(out.challenge, cases[i].kept != NULL ? cases[i].challenge : NULL);
    }
    tn_arena_free(arena);
}

/* RFC 9562 section 5.4, and never the same twice. */
static void
codes(void **state)
{
    tn_arena *arena = tn_arena_new();
    const tn_flow_code first = tn_flow_code_new(arena), second = tn_flow_code_new(arena);
    tn_uuid uuid;

    (void)state;
    assert_true(tn_uuid_parse(first.code, &uuid));
    assert_int_equal(first.code[14], '4');
    assert_non_null(strchr("89ab", first.code[19]));
    assert_string_not_equal(first.code, second.code);
    assert_string_equal(first.hash, tn_flow_code_hash(arena, first.code));
    assert_string_equal(tn_flow_code_hash(arena, "abc"),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    tn_arena_free(arena);
}

static void
secrets(void **state)
{
    const tn_config config = {.server = {.secret = SECRET}};
    const tn_uuid here = {"00000000-0000-7000-8000-00000000000a"};
    const tn_uuid there = {"00000000-0000-7000-8000-00000000000b"};
    tn_arena *arena = tn_arena_new();
    const tn_ctx c = {.arena = arena, .config = &config};
    const char *sealed = tn_flow_seal(&c, &here, "gho_token");
    char *broken = tn_arena_text(arena, sealed);

    (void)state;
    assert_null(tn_flow_seal(&c, &here, NULL));
    assert_null(strstr(sealed, "gho_"));
    assert_string_equal(tn_flow_open(&c, &here, sealed), "gho_token");
    assert_string_equal(tn_flow_open(&c, &here, tn_flow_seal(&c, &here, "")), "");
    assert_null(tn_flow_open(&c, &there, sealed));
    assert_null(tn_flow_open(&c, &here, NULL));
    assert_null(tn_flow_open(&c, &here, ""));
    assert_null(tn_flow_open(&c, &here, "\\x"));
    assert_null(tn_flow_open(&c, &here, "\\xzz"));
    broken[strlen(broken) - 1] = broken[strlen(broken) - 1] == '0' ? '1' : '0';
    assert_null(tn_flow_open(&c, &here, broken));
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(challenges),
        cmocka_unit_test(codes),
        cmocka_unit_test(secrets),
    };

    return tn_unit_run("flow", tests, TN_COUNT(tests));
}
