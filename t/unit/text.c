/* t/unit/text.c: base/text.c: UTF-8, numbers, percent-escapes */
#include "base/text.h"

#include <string.h>

#include "t/unit/unit.h"

static const struct {
    const char *name, *text;
    bool is_valid;
} utf8_cases[] = {
    {"empty", "", true},
    {"ASCII", "abc\x7f", true},
    {"U+0080", "\xC2\x80", true},
    {"U+07FF", "\xDF\xBF", true},
    {"U+0800", "\xE0\xA0\x80", true},
    {"U+D7FF", "\xED\x9F\xBF", true},
    {"U+E000", "\xEE\x80\x80", true},
    {"U+FFFF", "\xEF\xBF\xBF", true},
    {"U+10000", "\xF0\x90\x80\x80", true},
    {"U+10FFFF", "\xF4\x8F\xBF\xBF", true},
    {"continuation alone", "\x80", false},
    {"overlong U+002F", "\xC0\xAF", false},
    {"overlong U+007F", "\xC1\xBF", false},
    {"overlong U+07FF", "\xE0\x9F\xBF", false},
    {"overlong U+FFFF", "\xF0\x8F\xBF\xBF", false},
    {"surrogate U+D800", "\xED\xA0\x80", false},
    {"surrogate U+DFFF", "\xED\xBF\xBF", false},
    {"U+110000", "\xF4\x90\x80\x80", false},
    {"five bytes", "\xF8\x88\x80\x80\x80", false},
    {"cut after one", "ab\xE2", false},
    {"cut after two", "ab\xE2\x82", false},
    {"cut after three", "\xF0\x9F\x98", false},
    {"second is no continuation", "\xC3\x28", false},
    {"third is no continuation", "\xE2\x82\x28", false},
    {"0xFF", "\xFF", false},
};

static void
utf8_is_strict(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(utf8_cases); i++) {
        TN_CASE("%s", utf8_cases[i].name);
        TN_CHECK(tn_text_is_utf8(utf8_cases[i].text, strlen(utf8_cases[i].text)) ==
                 utf8_cases[i].is_valid);
    }
    assert_true(tn_text_is_utf8("a\0b", 3)); /* NUL is a character; others refuse it */
    assert_int_equal(tn_text_utf8_size("\xE2\x82\xAC", 3), 3);
    assert_int_equal(tn_text_utf8_size("", 0), 0);
}

static const struct {
    const char *text;
    int64_t min, max;
    bool is_valid;
    int64_t value;
} int_cases[] = {
    {"0", 0, 10, true, 0},
    {"10", 0, 10, true, 10},
    {"11", 0, 10, false, 0},
    {"-1", -1, 10, true, -1},
    {"-1", 0, 10, false, 0},
    {"9223372036854775807", INT64_MIN, INT64_MAX, true, INT64_MAX},
    {"9223372036854775808", INT64_MIN, INT64_MAX, false, 0},
    {"-9223372036854775808", INT64_MIN, INT64_MAX, true, INT64_MIN},
    {"-9223372036854775809", INT64_MIN, INT64_MAX, false, 0},
    {"99999999999999999999999", INT64_MIN, INT64_MAX, false, 0},
    {"", 0, 10, false, 0},
    {"-", -10, 10, false, 0},
    {"+1", 0, 10, false, 0},
    {" 1", 0, 10, false, 0},
    {"1 ", 0, 10, false, 0},
    {"01", 0, 10, false, 0},
    {"-0", -10, 10, false, 0},
    {"1e1", 0, 100, false, 0},
    {"0x1", 0, 100, false, 0},
    {"1.0", 0, 100, false, 0},
};

static void
numbers_are_plain_and_in_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(int_cases); i++) {
        int64_t value = 77;

        TN_CASE("%s in [%lld, %lld]", int_cases[i].text, (long long)int_cases[i].min,
                (long long)int_cases[i].max);
        TN_CHECK(tn_text_int(int_cases[i].text, int_cases[i].min, int_cases[i].max, &value) ==
                 int_cases[i].is_valid);
        TN_CHECK(value == (int_cases[i].is_valid ? int_cases[i].value : 77));
    }
}

static const struct {
    const char *name, *text;
    bool plus_is_space;
    const char *decoded;
} url_cases[] = {
    {"empty", "", true, ""},
    {"plain", "abc", true, "abc"},
    {"plus in a query", "a+b", true, "a b"},
    {"plus in a path", "a+b", false, "a+b"},
    {"escapes in both cases", "%41%2f%2F", false, "A//"},
    {"escaped plus", "%2B", true, "+"},
    {"escaped percent is not decoded again", "%2541", true, "%41"},
    {"UTF-8", "%E2%82%AC", true, "€"},
    {"cut after %", "a%", false, NULL},
    {"cut after a digit", "a%4", false, NULL},
    {"no digits", "%zz", false, NULL},
    {"half a digit", "%4z", false, NULL},
    {"sign", "%+1", false, NULL},
    {"in a query, cut after %", "a%", true, "a%"},
    {"in a query, cut after a digit", "a%4", true, "a%4"},
    {"in a query, no digits", "%zz%41", true, "%zzA"},
    {"in a query, a sign", "%+1", true, "% 1"},
    {"NUL", "a%00b", true, NULL},
    {"not UTF-8", "%ff", true, NULL},
    {"overlong", "%C0%AF", true, NULL},
};

static void
urls_are_decoded_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(url_cases); i++) {
        tn_arena *arena = tn_arena_new();

        TN_CASE("%s", url_cases[i].name);
        TN_CHECK_TEXT(tn_text_url_decode(arena, url_cases[i].text, strlen(url_cases[i].text),
                                         url_cases[i].plus_is_space),
                      url_cases[i].decoded);
        tn_arena_free(arena);
    }
}

static void
letter_case_is_ascii(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    assert_true(tn_text_same_case("Content-Type", "content-TYPE"));
    assert_false(tn_text_same_case("a", "ab"));
    assert_false(tn_text_same_case("ab", "a"));
    assert_false(tn_text_same_case("@", "`")); /* 32 apart as letters are */
    assert_string_equal(tn_text_lower(arena, "ABÇz[@"), "abÇz[@");
    assert_true(tn_text_starts("tns_x", "tns_"));
    assert_false(tn_text_starts("tn", "tns_"));
    tn_arena_free(arena);
}

static void
lists_are_split_at_commas(void **state)
{
    static const struct {
        const char *text, *items[4];
    } cases[] = {
        {"", {NULL}},
        {" , ,", {NULL}},
        {"public", {"public"}},
        {"public,ai", {"public", "ai"}},
        {" a b ,\tc\n", {"a b", "c"}},
        {"a,,b,", {"a", "b"}},
    };
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        size_t count, wanted = 0;
        const char *const *items = tn_text_split(arena, cases[i].text, &count);

        TN_CASE("\"%s\"", cases[i].text);
        for (; cases[i].items[wanted] != NULL; wanted++)
            TN_CHECK_TEXT(wanted < count ? items[wanted] : NULL, cases[i].items[wanted]);
        TN_CHECK(count == wanted);
    }
    tn_arena_free(arena);
}

static void
excerpts_end_with_a_whole_character(void **state)
{
    static const struct {
        const char *text, *excerpt;
    } cases[] = {
        {"", ""},
        {"abcd", "abcd"},
        {"abcde", "abcd\xE2\x80\xA6"},
        {"abc\xC3\xA9", "abc\xE2\x80\xA6"},
        {"\xF0\x90\x80\x80x", "\xF0\x90\x80\x80\xE2\x80\xA6"},
    };
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++)
        TN_CHECK_TEXT(tn_text_excerpt(arena, cases[i].text, 4), cases[i].excerpt);
    tn_arena_free(arena);
}

static void
distances_are_bounded(void **state)
{
    static const struct {
        const char *a, *b;
        size_t limit, distance;
    } cases[] = {
        {"", "", 3, 0},           {"kitten", "sitting", 9, 3}, {"kitten", "sitting", 2, 2},
        {"", "abc", 9, 3},        {"abc", "", 2, 2},           {"people", "poeple", 4, 2},
        {"stock", "stock", 1, 0},
    };
    char longest[300];

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        TN_CASE("%s and %s", cases[i].a, cases[i].b);
        TN_CHECK(tn_text_distance(cases[i].a, cases[i].b, cases[i].limit) == cases[i].distance);
    }
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    TN_CHECK(tn_text_distance(longest, longest, 400) == 400);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(numbers_are_plain_and_in_range),
        cmocka_unit_test(urls_are_decoded_once),
        cmocka_unit_test(letter_case_is_ascii),
        cmocka_unit_test(lists_are_split_at_commas),
        cmocka_unit_test(excerpts_end_with_a_whole_character),
        cmocka_unit_test(distances_are_bounded),
    };

    return tn_unit_run("text", tests, TN_COUNT(tests));
}
