/* t/unit/buffer.c: base/buffer.c: JSON strings */
#include "base/buffer.h"

#include <string.h>

#include "base/arena.h"
#include "t/unit/unit.h"

#define LOST "\xEF\xBF\xBD" /* U+FFFD */

static const struct {
    const char *name, *text, *json;
} cases[] = {
    {"nothing", NULL, "null"},
    {"empty", "", "\"\""},
    {"plain", "hello", "\"hello\""},
    {"quote and backslash", "a\"b\\c", "\"a\\\"b\\\\c\""},
    {"slash stays", "</script>", "\"</script>\""},
    {"blanks", "a\nb\rc\td", "\"a\\nb\\rc\\td\""},
    {"controls", "\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
    {"two, three and four bytes", "é€😀", "\"é€😀\""},
    {"a lone continuation", "a\x80z", "\"a" LOST "z\""},
    {"cut off", "a\xE2\x82", "\"a" LOST LOST "\""},
    {"overlong slash", "\xC0\xAF", "\"" LOST LOST "\""},
    {"surrogate", "\xED\xA0\x80", "\"" LOST LOST LOST "\""},
};

static void
strings_are_valid_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        PQExpBuffer buffer = tn_arena_buffer(arena);

        TN_CASE("%s", cases[i].name);
        tn_buffer_json_string(buffer, cases[i].text);
        TN_CHECK_TEXT(tn_buffer_text(buffer), cases[i].json);
        tn_arena_free(arena);
    }
}

static void
bytes_may_hold_nul(void **state)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer buffer = tn_arena_buffer(arena);

    (void)state;
    tn_buffer_json_bytes(buffer, "a\0b", 3);
    assert_string_equal(tn_buffer_text(buffer), "\"a\\u0000b\"");
    tn_arena_free(arena);
}

static void
names_and_arrays_are_quoted_for_sql(void **state)
{
    static const char *const values[] = {"plain", "", "a,b", "nu\"ll\\", "NULL"};
    tn_arena *arena = tn_arena_new();
    PQExpBuffer buffer = tn_arena_buffer(arena);

    (void)state;
    tn_buffer_identifier(buffer, "pl\"ain\"");
    tn_buffer_array(buffer, values, 0);
    tn_buffer_array(buffer, values, TN_COUNT(values));
    assert_string_equal(tn_buffer_text(buffer), "\"pl\"\"ain\"\"\""
                                                "{}"
                                                "{\"plain\",\"\",\"a,b\","
                                                "\"nu\\\"ll\\\\\",\"NULL\"}");
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_valid_json),
        cmocka_unit_test(bytes_may_hold_nul),
        cmocka_unit_test(names_and_arrays_are_quoted_for_sql),
    };

    return tn_unit_run("buffer", tests, TN_COUNT(tests));
}
