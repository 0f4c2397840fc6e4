/* t/unit/object_condition.c: objects/condition.c: If-Match and its relatives, and dates */
#include <string.h>

#include "objects/condition.h"
#include "t/unit/unit.h"

#define ETAG "\"abc\""
#define AT INT64_C(1795290911)
#define DATE "Sat, 21 Nov 2026 19:55:11 GMT"
#define BEFORE "Sat, 21 Nov 2026 19:55:10 GMT"
#define AFTER "Sat, 21 Nov 2026 19:55:12 GMT"

#define GO TN_VERDICT_GO_ON
#define SAME TN_VERDICT_NOT_MODIFIED
#define FAILED TN_VERDICT_FAILED

static const struct {
    tn_conditions conditions;
    tn_verdict verdict;
} rows[] = {
    {{0}, GO},
    {{.if_match = "*"}, GO},
    {{.if_match = ETAG}, GO},
    {{.if_match = "\"x\", " ETAG}, GO},
    {{.if_match = "\"x\"," ETAG ",\"y\""}, GO},
    {{.if_match = "W/" ETAG}, FAILED}, /* strong comparison */
    {{.if_match = "\"x\""}, FAILED},
    {{.if_match = "\"ab\""}, FAILED},
    {{.if_match = "\"abcd\""}, FAILED},
    {{.if_match = "abc"}, GO}, /* of clients that forget the quotes */
    {{.if_match = ""}, FAILED},
    {{.if_match = "\"a,\", " ETAG}, GO}, /* a comma in quotes */
    {{.if_match = "\"unclosed"}, FAILED},
    {{.if_none_match = "*"}, SAME},
    {{.if_none_match = ETAG}, SAME},
    {{.if_none_match = "W/" ETAG}, SAME}, /* weak comparison */
    {{.if_none_match = "\"x\", W/" ETAG}, SAME},
    {{.if_none_match = "\"x\""}, GO},
    {{.if_none_match = ""}, GO},
    {{.if_modified_since = DATE}, SAME},
    {{.if_modified_since = AFTER}, SAME},
    {{.if_modified_since = BEFORE}, GO},
    {{.if_modified_since = "yesterday"}, GO},
    {{.if_none_match = "\"x\"", .if_modified_since = DATE}, GO}, /* the tag alone counts */
    {{.if_none_match = ETAG, .if_modified_since = BEFORE}, SAME},
    {{.if_unmodified_since = DATE}, GO},
    {{.if_unmodified_since = AFTER}, GO},
    {{.if_unmodified_since = BEFORE}, FAILED},
    {{.if_unmodified_since = "yesterday"}, GO},
    {{.if_match = ETAG, .if_unmodified_since = BEFORE}, GO}, /* the tag alone counts */
    {{.if_match = "\"x\"", .if_none_match = ETAG}, FAILED},  /* in this order */
    {{.if_match = ETAG, .if_none_match = ETAG}, SAME},
};

static const char *
shown(const char *text)
{
    return text != NULL ? text : "-";
}

static void
verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(rows); i++) {
        const tn_conditions *c = &rows[i].conditions;

        TN_CASE("%s %s %s %s", shown(c->if_match), shown(c->if_none_match),
                shown(c->if_modified_since), shown(c->if_unmodified_since));
        TN_CHECK(tn_conditions_judge(c, ETAG, AT) == rows[i].verdict);
    }
}

static void
if_range(void **state)
{
    (void)state;
    assert_true(tn_if_range_holds(NULL, ETAG, AT));
    assert_true(tn_if_range_holds(ETAG, ETAG, AT));
    assert_false(tn_if_range_holds("W/" ETAG, ETAG, AT));
    assert_false(tn_if_range_holds("\"x\"", ETAG, AT));
    assert_true(tn_if_range_holds(DATE, ETAG, AT));
    assert_false(tn_if_range_holds(BEFORE, ETAG, AT));
    assert_false(tn_if_range_holds(AFTER, ETAG, AT)); /* exactly, or not at all */
    assert_false(tn_if_range_holds("", ETAG, AT));
}

static void
dates(void **state)
{
    char text[TN_HTTP_DATE_SIZE];

    (void)state;
    tn_http_date(AT, text);
    assert_string_equal(text, DATE);
    assert_int_equal(tn_http_date_read(DATE), AT);
    assert_int_equal(tn_http_date_read("Saturday, 21-Nov-26 19:55:11 GMT"), AT);
    assert_int_equal(tn_http_date_read("Sat Nov 21 19:55:11 2026"), AT);
    assert_int_equal(tn_http_date_read(""), -1);
    assert_int_equal(tn_http_date_read(DATE "x"), -1);
    assert_int_equal(tn_http_date_read("2026-11-21T19:55:11Z"), -1);
    tn_http_date(0, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(if_range),
        cmocka_unit_test(dates),
    };

    return tn_unit_run("object_condition", tests, TN_COUNT(tests));
}
