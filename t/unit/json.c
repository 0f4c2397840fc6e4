/* t/unit/json.c: base/json.c: what is JSON and what is not */
#include "base/json.h"

#include <string.h>

#include "base/text.h"
#include "t/unit/unit.h"

#define DEPTH 3

static const struct {
    const char *name, *text;
    const char *printed; /* NULL: refused */
} cases[] = {
    {"object", " {\"a\" : [1, 2.50, true, null, \"x\"]} \n", "{\"a\":[1,2.50,true,null,\"x\"]}"},
    {"empty object", "{}", "{}"},
    {"number", "42", "42"},
    {"negative", "-7", "-7"},
    {"text", "\"é\"", "\"é\""},
    {"true", "true", "true"},
    {"null", "null", "null"},
    {"slash is not escaped", "\"a/b\"", "\"a/b\""},
    {"the last of two members", "{\"a\":1,\"a\":2}", "{\"a\":2}"},
    {"the largest integer", "9223372036854775807", "9223372036854775807"},
    {"escapes", "\"\\u00e9\\ud83d\\ude00\\n\"", "\"é😀\\n\""},
    {"a backslash and u0000", "\"\\\\u0000\"", "\"\\\\u0000\""},
    {"as deep as allowed", "[[[1]]]", "[[[1]]]"},
    {"too deep", "[[[[1]]]]", NULL},
    {"too deep and empty", "[[[[]]]]", NULL},
    {"nothing", "", NULL},
    {"blanks only", "  ", NULL},
    {"two values", "1 2", NULL},
    {"something behind", "{} x", NULL},
    {"cut off", "{\"a\":", NULL},
    {"cut in a text", "\"abc", NULL},
    {"comma at the end", "[1,]", NULL},
    {"member without a value", "{\"a\"}", NULL},
    {"single quotes", "{'a':1}", NULL},
    {"name without quotes", "{a:1}", NULL},
    {"comment", "/* */ 1", NULL},
    {"comment behind", "1 // one", NULL},
    {"NaN", "NaN", NULL},
    {"Infinity", "Infinity", NULL},
    {"capitals", "TRUE", NULL},
    {"zero below", "-0", "0"},
    {"exponent", "1E+2", "1E+2"},
    {"fraction and exponent", "[-0.5e-3]", "[-0.5e-3]"},
    {"plus sign", "+1", NULL},
    {"minus alone", "-", NULL},
    {"point in front", ".5", NULL},
    {"sign without digits", "1e+", NULL},
    {"number and letter", "1a", NULL},
    {"half a word", "[tru]", NULL},
    {"two words", "[true false]", NULL},
    {"leading zero", "01", NULL},
    {"point without digits", "1.", NULL},
    {"exponent without digits", "1e", NULL},
    {"not UTF-8", "\"\xff\"", NULL},
    {"overlong UTF-8", "\"\xC0\xAF\"", NULL},
    {"surrogate in UTF-8", "\"\xED\xA0\x80\"", NULL},
    {"a line break in a text", "\"a\nb\"", NULL},
    {"escaped NUL", "\"a\\u0000b\"", NULL},
    {"escaped NUL in a name", "{\"a\\u0000\":1}", NULL},
    {"unknown escape", "\"\\x41\"", NULL},
    {"byte order mark", "\xEF\xBB\xBF{}", NULL},
};

static void
only_rfc_8259_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        json_object *value;
        const tn_error *error =
            tn_json_parse(arena, cases[i].text, strlen(cases[i].text), DEPTH, &value);

        TN_CASE("%s", cases[i].name);
        if (cases[i].printed != NULL) {
            TN_CHECK(error == NULL);
            TN_CHECK_TEXT(tn_json_print(arena, value), cases[i].printed);
        } else {
            TN_CHECK(error != NULL);
            TN_CHECK(error->status == 400);
            TN_CHECK_TEXT(error->code, "bad_json");
            TN_CHECK(value == NULL);
            TN_CHECK(tn_text_is_utf8(error->message, strlen(error->message)));
        }
        tn_arena_free(arena);
    }
}

static void
nul_bytes_and_depth_are_refused(void **state)
{
    tn_arena *arena = tn_arena_new();
    char deep[2 * 100000 + 1];
    json_object *value;

    (void)state;
    assert_non_null(tn_json_parse(arena, "1\0", 2, DEPTH, &value));
    assert_non_null(tn_json_parse(arena, "{\"a\":\"\0\"}", 10, DEPTH, &value));
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    assert_non_null(tn_json_parse(arena, deep, 200000, TN_JSON_DEPTH, &value));
    assert_null(tn_json_parse(arena, "12x", 2, DEPTH, &value)); /* not a byte further */
    assert_int_equal(json_object_get_int64(value), 12);
    tn_arena_free(arena);
}

static void
the_message_names_the_byte(void **state)
{
    tn_arena *arena = tn_arena_new();
    json_object *value;
    const tn_error *error = tn_json_parse(arena, "{\"a\":1,}", 8, DEPTH, &value);

    (void)state;
    assert_non_null(error);
    assert_non_null(strstr(error->message, "at byte 7"));
    tn_arena_free(arena);
}

static void
members_have_fallbacks(void **state)
{
    static const char text[] = "{\"t\":\"x\",\"n\":5,\"b\":true,\"z\":null,\"o\":{\"i\":1}}";
    tn_arena *arena = tn_arena_new();
    json_object *object;

    (void)state;
    assert_null(tn_json_parse(arena, text, strlen(text), DEPTH, &object));
    assert_string_equal(tn_json_text(object, "t", "no"), "x");
    assert_string_equal(tn_json_text(object, "n", "no"), "no");
    assert_string_equal(tn_json_text(object, "z", "no"), "no");
    assert_null(tn_json_text(object, "missing", NULL));
    assert_int_equal(tn_json_int(object, "n", 9), 5);
    assert_int_equal(tn_json_int(object, "t", 9), 9);
    assert_true(tn_json_bool(object, "b", false));
    assert_true(tn_json_bool(object, "n", true));
    assert_int_equal(tn_json_int(tn_json_get(object, "o"), "i", 9), 1);
    assert_null(tn_json_get(object, "z"));
    assert_null(tn_json_get(tn_json_get(object, "n"), "x")); /* of what is no object */
    assert_null(tn_json_get(NULL, "x"));
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_rfc_8259_is_taken),
        cmocka_unit_test(nul_bytes_and_depth_are_refused),
        cmocka_unit_test(the_message_names_the_byte),
        cmocka_unit_test(members_have_fallbacks),
    };

    return tn_unit_run("json", tests, TN_COUNT(tests));
}
