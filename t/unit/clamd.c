/* t/unit/clamd.c: objects/clamd.c: what a reply means */
#include "objects/clamd.h"

#include <string.h>

#include "t/unit/unit.h"

static const struct {
    const char *reply;
    tn_verdict verdict;
    const char *signature;
} cases[] = {
    {"stream: OK", TN_VERDICT_CLEAN, NULL},
    {"stream: Eicar-Signature FOUND", TN_VERDICT_INFECTED, "Eicar-Signature"},
    {"stream: Win.Test EICAR_HDB-1 FOUND", TN_VERDICT_INFECTED, "Win.Test EICAR_HDB-1"},
    {"stream: OK FOUND", TN_VERDICT_INFECTED, "OK"},
    {"stream: \xff FOUND", TN_VERDICT_INFECTED, "unnamed"},
    {"stream:  FOUND", TN_VERDICT_UNKNOWN, NULL},
    {"stream: FOUND", TN_VERDICT_UNKNOWN, NULL},
    {" FOUND", TN_VERDICT_UNKNOWN, NULL},
    {"", TN_VERDICT_UNKNOWN, NULL},
    {"OK", TN_VERDICT_UNKNOWN, NULL},
    {"stream: OK\n", TN_VERDICT_UNKNOWN, NULL},
    {"stream: OK, but", TN_VERDICT_UNKNOWN, NULL},
    {"stream: ok", TN_VERDICT_UNKNOWN, NULL},
    {"INSTREAM size limit exceeded. ERROR", TN_VERDICT_UNKNOWN, NULL},
    {"\xff\xfe", TN_VERDICT_UNKNOWN, NULL},
};

static void
replies_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        tn_clamd_answer answer;

        TN_CASE("%s", cases[i].reply);
        tn_clamd_read(arena, cases[i].reply, &answer);
        TN_CHECK(answer.verdict == cases[i].verdict);
        TN_CHECK_TEXT(answer.signature, cases[i].signature);
        TN_CHECK((answer.problem != NULL) == (cases[i].verdict == TN_VERDICT_UNKNOWN));
        tn_arena_free(arena);
    }
}

/* Nobody listens there: not clean. */
static void
who_cannot_be_asked_has_not_said_clean(void **state)
{
    static const char *const addresses[] = {"unix:/nowhere/clamd.ctl", "nowhere", "127.0.0.1:1",
                                            "127.0.0.1:port", ""};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(addresses); i++) {
        tn_arena *arena = tn_arena_new();
        tn_clamd_answer answer;

        TN_CASE("%s", addresses[i]);
        tn_clamd_ask(arena, addresses[i], 2000, -1, 0, &answer);
        TN_CHECK(answer.verdict == TN_VERDICT_UNKNOWN && answer.problem != NULL);
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read),
        cmocka_unit_test(who_cannot_be_asked_has_not_said_clean),
    };

    return tn_unit_run("clamd", tests, TN_COUNT(tests));
}
