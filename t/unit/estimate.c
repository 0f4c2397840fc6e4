/* t/unit/estimate.c: ai/estimate.c: the rule of thumb; t/sql/chat.sql has the same table for SQL */
#include "ai/estimate.h"

#include <string.h>

#include "t/unit/unit.h"

static const struct {
    const char *text;
    int64_t tokens;
} cases[] = {
    {"", 0},  {"a", 1},      {"four", 1}, {"fives", 2},
    {"é", 2}, {"日本語", 4}, {"🎉", 3},    {"hello мир", 5},
};

static void
texts_are_about_so_many_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_ai_count count = {0}, in_bytes = {0};

        TN_CASE("%s", cases[i].text);
        tn_ai_count_add(&count, cases[i].text, strlen(cases[i].text));
        TN_CHECK(tn_ai_count_tokens(&count) == cases[i].tokens);
        for (size_t j = 0; j < strlen(cases[i].text); j++)
            tn_ai_count_add(&in_bytes, cases[i].text + j, 1);
        TN_CHECK(tn_ai_count_tokens(&in_bytes) == cases[i].tokens);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_are_about_so_many_tokens)};

    return tn_unit_run("estimate", tests, TN_COUNT(tests));
}
