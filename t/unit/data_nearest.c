/* t/unit/data_nearest.c: data/nearest.c: the hints that PostgREST 12.0.2 gives for the same names
 */
#include "t/unit/unit.h"

#include <string.h>

#include "data/nearest.h"

static const char *const functions[] = {"add",        "anyj",   "bed_total", "find_gardens",
                                        "one_garden", "named3", "noargs",    "over",
                                        "over2",      "pairs",  "vsum"};
static const char *const signatures[] = {"(alpha, beta, gamma)", "(alpha, delta)"};
static const char *const none[] = {"()"};
static const char *const pair[] = {"(a, b)"};

static const struct {
    const char *text;
    const char *const *candidates;
    size_t count;
    bool is_other;
    const char *nearest;
} cases[] = {
    {"ad", functions, TN_COUNT(functions), false, "add"},
    {"addd", functions, TN_COUNT(functions), false, "add"},
    {"xadd", functions, TN_COUNT(functions), false, "add"},
    {"over3", functions, TN_COUNT(functions), false, "over"},
    {"gardens", functions, TN_COUNT(functions), false, "find_gardens"},
    {"zzz", functions, TN_COUNT(functions), false, NULL},
    {"", functions, TN_COUNT(functions), false, NULL},
    {"PAIRS", functions, TN_COUNT(functions), false, "pairs"},
    {"pairs", functions, TN_COUNT(functions), true, NULL},
    {"(alpha, bet)", signatures, 2, false, "(alpha, delta)"},
    {"(alpha, delta, gamma)", signatures, 2, false, "(alpha, beta, gamma)"},
    {"(alph, delta)", signatures, 2, false, "(alpha, delta)"},
    {"()", signatures, 2, false, NULL},
    {"()", none, 1, false, "()"},
    {"(x)", none, 1, false, NULL},
    {"(a)", pair, 1, false, "(a, b)"},
    {"(a, b, c)", pair, 1, false, "(a, b)"},
    {"add", functions, 0, false, NULL},
};

static void
neighbours(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();

        TN_CASE("%zu %s", i, cases[i].text);
        TN_CHECK_TEXT(tn_nearest(arena, cases[i].text, cases[i].candidates, cases[i].count,
                                 cases[i].is_other),
                      cases[i].nearest);
        tn_arena_free(arena);
    }
}

/* Names as long as they can be, and longer. */
static void
lengths(void **state)
{
    for (size_t length = 250; length < 260; length++) {
        tn_arena *arena = tn_arena_new();
        char *text = tn_arena_alloc(arena, length + 2, 1);
        const char *candidate = tn_arena_bytes(arena, memset(text, 'a', length), length);

        (void)state;
        text[length - 1] = 'b';
        TN_CASE("%zu bytes", length);
        TN_CHECK_TEXT(tn_nearest(arena, text, &candidate, 1, false),
                      length <= 256 ? candidate : NULL);
        TN_CHECK_TEXT(tn_nearest(arena, "aaa", &candidate, 1, false), NULL);
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(neighbours), cmocka_unit_test(lengths)};

    return tn_unit_run("data_nearest", tests, TN_COUNT(tests));
}
