/* t/unit/data_range.c: data/range.c: pages asked for, and what is told of them */
#include <string.h>

#include "data/request.h"
#include "t/unit/unit.h"

#define END INT64_MAX

static const struct {
    const char *header;
    bool is_range;
    int64_t first, last;
} ranges[] = {
    {NULL, false, 0, 0},
    {"", false, 0, 0},
    {"0-9", true, 0, 9},
    {"2-", true, 2, END},
    {"0-0", true, 0, 0},
    {"3-1", true, 3, 1}, /* refused later: 416 */
    {"007-008", false, 0, 0},
    {"9223372036854775806-9223372036854775806", true, INT64_MAX - 1, INT64_MAX - 1},
    {"0-9223372036854775807", false, 0, 0},
    {"9223372036854775807-", false, 0, 0},
    {"99999999999999999999999-", false, 0, 0},
    {"000000000000000000000000000001-2", false, 0, 0},
    {"0-99999999999999999999999", false, 0, 0},
    {"-2", false, 0, 0},
    {"-", false, 0, 0},
    {"5", false, 0, 0},
    {"items=0-9", false, 0, 0},
    {"bytes=0-9", false, 0, 0},
    {"0-9,20-29", false, 0, 0},
    {"0 - 9", false, 0, 0},
    {" 0-9", false, 0, 0},
    {"0-9 ", false, 0, 0},
    {"0--1", false, 0, 0},
    {"+0-9", false, 0, 0},
    {"0x1-9", false, 0, 0},
    {"1.5-2", false, 0, 0},
    {"a-b", false, 0, 0},
};

static void
headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(ranges); i++) {
        int64_t first = -7, last = -7;
        const bool is_range = tn_range_parse(ranges[i].header, &first, &last);

        TN_CASE("%s", ranges[i].header == NULL ? "(none)" : ranges[i].header);
        TN_CHECK(is_range == ranges[i].is_range);
        if (is_range)
            TN_CHECK(first == ranges[i].first && last == ranges[i].last);
    }
}

#define UNKNOWN -1

static const struct {
    int64_t first, count, total;
    const char *range;
    int status;
} pages[] = {
    {0, 2, UNKNOWN, "0-1/*", 200},
    {0, 0, UNKNOWN, "*/*", 200},
    {100, 0, UNKNOWN, "*/*", 200},
    {7, 1, UNKNOWN, "7-7/*", 200},
    {2, 2, 5, "2-3/5", 206},
    {0, 5, 5, "0-4/5", 200},
    {5, 0, 5, "*/5", 206}, /* just behind the last: an empty page */
    {6, 0, 5, "*/5", 416},
    {7, 0, 5, "*/5", 416},
    {0, 0, 5, "*/5", 206},
    {0, 0, 0, "*/0", 200},
    {1, 0, 0, "*/0", 416},
    {0, 1000, 1200, "0-999/1200", 206},
    {0, 3, 2, "0-2/2", 200}, /* an estimate that is too low */
    {0, 1, 0, "*/0", 200},
    {INT64_MAX - 1, 1, UNKNOWN, "9223372036854775806-9223372036854775806/*", 200},
};

static void
answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(pages); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_page page = {.first = pages[i].first,
                              .count = pages[i].count,
                              .has_total = pages[i].total != UNKNOWN,
                              .total = pages[i].total};

        TN_CASE("%s", pages[i].range);
        TN_CHECK_TEXT(tn_page_content_range(arena, &page), pages[i].range);
        TN_CHECK(tn_page_status(&page) == pages[i].status);
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(headers), cmocka_unit_test(answers)};

    return tn_unit_run("data_range", tests, TN_COUNT(tests));
}
