/* t/unit/data_version.c: data/version.c: ETag, If-Match and If-None-Match */
#include <string.h>

#include "data/version.h"
#include "t/unit/unit.h"

#define REFUSED "(refused)"

static const struct {
    const char *header;
    const char *versions; /* NULL: none are asked for */
} matches[] = {
    {NULL, NULL},
    {"*", "*"},
    {" * ", "*"},
    {"\"77\"", "77"},
    {"W/\"77\"", "77"}, /* nginx weakens what it compresses */
    {"\"77\",\"78\"", "77,78"},
    {"\"77\" , W/\"78\",\t\"79\" ", "77,78,79"},
    {",, \"77\",,", "77"}, /* empty items: RFC 9110 section 5.6.1 */
    /* tags, but of no row */
    {"\"*\"", ""},
    {"\"\"", ""},
    {"\"x\"", ""},
    {"\"-1\"", ""},
    {"\"7,8\"", ""},
    {"\"{77}\", \"77'\"", ""},
    {"\"x\", \"77\"", "77"},
    {"\"\303\244\"", ""},
    {"\"12345678901\"", ""}, /* longer than any */
    {"\"00077\"", "00077"},
    /* no tags */
    {"", REFUSED},
    {",", REFUSED},
    {"77", REFUSED},
    {"'77'", REFUSED},
    {"\"77", REFUSED},
    {"77\"", REFUSED},
    {"\"", REFUSED},
    {"\"77\"\"78\"", REFUSED},
    {"\"77\" \"78\"", REFUSED},
    {"\"77\"; q=1", REFUSED},
    {"w/\"77\"", REFUSED},
    {"W/", REFUSED},
    {"W/77", REFUSED},
    {"W/ \"77\"", REFUSED},
    {"*, \"77\"", REFUSED},
    {"\"77\", *", REFUSED},
    {"**", REFUSED},
};

static void
if_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(matches); i++) {
        tn_arena *arena = tn_arena_new();
        const char *versions = "untouched";
        const tn_error *error = tn_versions_wanted(arena, matches[i].header, &versions);

        TN_CASE("%s", matches[i].header == NULL ? "(none)" : matches[i].header);
        if (error != NULL) {
            TN_CHECK(error->status == 400);
            TN_CHECK_TEXT(error->code, "if_match_malformed");
            versions = REFUSED;
        }
        TN_CHECK_TEXT(versions, matches[i].versions);
        tn_arena_free(arena);
    }
}

static const struct {
    const char *header;
    bool is_known; /* version 77 */
} known[] = {
    {NULL, false},
    {"", false},
    {"*", true},
    {" *", true},
    {"\"77\"", true},
    {"W/\"77\"", true},
    {"\"76\", W/\"77\"", true},
    {"\"76\",\"78\"", false},
    {"\"777\"", false},
    {"\"7\"", false},
    {"\"\"", false},
    {"\"*\"", false},
    {"77", false},
    {"\"a, \"77\"", false}, /* "a, " is a tag, and 77 behind it none */
    {"\"77\" and more", false},
    {"garbage, \"77\"", false},
    {"\"77", false},
};

static void
if_none_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(known); i++) {
        TN_CASE("%s", known[i].header == NULL ? "(none)" : known[i].header);
        TN_CHECK(tn_version_is_known(known[i].header, "77") == known[i].is_known);
    }
}

static void
a_tag_is_understood_in_both(void **state)
{
    tn_arena *arena = tn_arena_new();
    const char *tag = tn_version_tag(arena, "4294967295"), *versions;

    (void)state;
    assert_string_equal(tag, "\"4294967295\"");
    assert_true(tn_version_is_known(tag, "4294967295"));
    assert_null(tn_versions_wanted(arena, tag, &versions));
    assert_string_equal(versions, "4294967295");
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(if_match), cmocka_unit_test(if_none_match),
                                       cmocka_unit_test(a_tag_is_understood_in_both)};

    return tn_unit_run("data_version", tests, TN_COUNT(tests));
}
