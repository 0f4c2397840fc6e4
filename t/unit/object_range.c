/* t/unit/object_range.c: objects/range.c: which bytes "bytes=…" means */
#include <string.h>

#include "objects/send.h"
#include "t/unit/unit.h"

static const struct {
    const char *header;
    int64_t size;
    tn_range_kind kind;
    int64_t first, last;
} rows[] = {
    {NULL, 10, TN_RANGE_NONE, 0, 0},
    {"", 10, TN_RANGE_NONE, 0, 0},
    {"items=0-1", 10, TN_RANGE_NONE, 0, 0},
    {"bytes 0-1", 10, TN_RANGE_NONE, 0, 0},
    {"bytes=0-0", 10, TN_RANGE_ONE, 0, 0},
    {"Bytes=0-0", 10, TN_RANGE_ONE, 0, 0},
    {"bytes=2-4", 10, TN_RANGE_ONE, 2, 4},
    {"bytes= 2-4 ", 10, TN_RANGE_ONE, 2, 4},
    {"bytes=2-", 10, TN_RANGE_ONE, 2, 9},
    {"bytes=9-", 10, TN_RANGE_ONE, 9, 9},
    {"bytes=0-9", 10, TN_RANGE_ONE, 0, 9},
    {"bytes=0-10", 10, TN_RANGE_ONE, 0, 9},
    {"bytes=0-99999999999999999999999999", 10, TN_RANGE_ONE, 0, 9},
    {"bytes=-1", 10, TN_RANGE_ONE, 9, 9},
    {"bytes=-10", 10, TN_RANGE_ONE, 0, 9},
    {"bytes=-11", 10, TN_RANGE_ONE, 0, 9},
    {"bytes=-99999999999999999999999999", 10, TN_RANGE_ONE, 0, 9},
    {"bytes=007-008", 10, TN_RANGE_ONE, 7, 8},
    {"bytes=10-", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=10-11", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=99999999999999999999999999-", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=4-2", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=-0", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=-", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=5", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=a-b", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=0x1-2", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=+1-2", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=1--2", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=0-1,3-4", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=0-1, 3-4", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=0 -1", 10, TN_RANGE_BAD, 0, 0},
    {"bytes=0-0", 0, TN_RANGE_BAD, 0, 0},
    {"bytes=0-", 0, TN_RANGE_BAD, 0, 0},
    {"bytes=-1", 0, TN_RANGE_BAD, 0, 0},
    {"bytes=5368709119-", INT64_C(5368709120), TN_RANGE_ONE, INT64_C(5368709119),
     INT64_C(5368709119)},
    {"bytes=9223372036854775806-9223372036854775807", INT64_MAX, TN_RANGE_ONE, INT64_MAX - 1,
     INT64_MAX - 1},
};

static void
headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(rows); i++) {
        tn_range range = {.first = -7, .last = -7};
        const tn_range_kind kind = tn_range_read(rows[i].header, rows[i].size, &range);

        TN_CASE("%s of %lld", rows[i].header != NULL ? rows[i].header : "(none)",
                (long long)rows[i].size);
        TN_CHECK(kind == rows[i].kind);
        if (kind == TN_RANGE_ONE)
            TN_CHECK(range.first == rows[i].first && range.last == rows[i].last);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(headers)};

    return tn_unit_run("object_range", tests, TN_COUNT(tests));
}
