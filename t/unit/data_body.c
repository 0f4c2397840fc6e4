/* t/unit/data_body.c: data/body.c: bodies as JSON text and keys */
#include <string.h>

#include "data/body.h"
#include "t/unit/unit.h"

#define UNEVEN "All object keys must match"
#define BAD "Empty or invalid json"
#define LINES "All lines must have same number of fields"

typedef struct body_case {
    const char *text;
    const char *keys; /* joined with |, or the message */
    const char *json; /* NULL: the text itself */
    size_t rows;
} body_case;

/* What body.c makes of a text; `source` says the rest. */
static void
check_cases(const body_case *cases, size_t count, const tn_body_source *like)
{
    for (size_t i = 0; i < count; i++) {
        tn_arena *arena = tn_arena_new();
        PQExpBuffer keys = tn_arena_buffer(arena);
        tn_body_source source = *like;
        tn_data_body body;
        const tn_error *error;

        TN_CASE("%s %s", like->content_type == NULL ? "" : like->content_type, cases[i].text);
        source.text = cases[i].text;
        source.length = strlen(cases[i].text);
        error = tn_data_body_read(arena, &source, &body);
        if (error != NULL) {
            TN_CHECK_TEXT(error->message, cases[i].keys);
            TN_CHECK(error->status == 400);
        } else {
            for (size_t k = 0; k < body.payload.key_count; k++)
                appendPQExpBuffer(keys, "%s%s", k == 0 ? "" : "|", body.payload.keys[k]);
            TN_CHECK_TEXT(tn_buffer_text(keys), cases[i].keys);
            TN_CHECK_TEXT(body.payload.json, cases[i].json == NULL ? cases[i].text : cases[i].json);
            TN_CHECK(body.payload.length == strlen(body.payload.json));
            TN_CHECK(body.payload.row_count == cases[i].rows);
            TN_CHECK(body.payload.is_empty_object ==
                     (body.payload.key_count == 0 && body.payload.row_count > 0));
        }
        tn_arena_free(arena);
    }
}

static void
json(void **state)
{
    static const body_case cases[] = {
        {"{}", "", NULL, 1},
        {"[]", "", NULL, 0},
        {" [ ] ", "", NULL, 0},
        {"[{}]", "", NULL, 1},
        {"[{},{}]", "", NULL, 2},
        {"{\"id\":1,\"w\":\"x\"}", "id|w", NULL, 1},
        {"\n{ \"b\" : [1, {\"x\": null}] , \"a\":{\"y\":[]} }\t", "b|a", NULL, 1},
        {"{\"id\":1,\"id\":2,\"a\":3,\"id\":4}", "id|a", NULL, 1},
        {"[{\"id\":1,\"w\":\"x\"},{\"w\":\"y\",\"id\":2}]", "id|w", NULL, 2},
        {"[{\"id\":1,\"w\":\"x\"},{\"id\":2,\"w\":\"y\",\"w\":\"z\"}]", "id|w", NULL, 2},
        {"[{\"c\":1,\"a\":2,\"b\":3,\"a\":4},{\"b\":1,\"c\":2,\"a\":3}]", "c|a|b", NULL, 2},
        {"[{\"id\":1},{\"\\u0069d\":2},{\"i\\u0064\":3}]", "id", NULL, 3},
        {"{\"\\u00e4\\ud83c\\udf31\\n\\/\":1}", "ä🌱\n/", NULL, 1},
        {"{\"\":1}", "", NULL, 1},
        {"null", "", "[]", 0},
        {"5", "", "[]", 0},
        {"\"x\"", "", "[]", 0},
        {" true ", "", "[]", 0},
        {"-0.5e-10", "", "[]", 0},
        {"{\"a\":12345678901234567890.1234567890123456789,\"b\":1e400}", "a|b", NULL, 1},
        {"{\"a\":\"\\u0000\"}", "a", NULL, 1}, /* PostgreSQL's business */
        {"[{},{\"id\":1}]", UNEVEN, NULL, 0},
        {"[{\"id\":1},{}]", UNEVEN, NULL, 0},
        {"[{\"id\":1,\"w\":1},{\"w\":1}]", UNEVEN, NULL, 0},
        {"[{\"id\":1},{\"id\":1,\"w\":2}]", UNEVEN, NULL, 0},
        {"[{\"id\":1},{\"di\":1}]", UNEVEN, NULL, 0},
        {"[{\"id\":1,\"w\":1},{\"id\":1,\"id\":2}]", UNEVEN, NULL, 0},
        {"[1]", UNEVEN, NULL, 0},
        {"[{\"id\":1},1]", UNEVEN, NULL, 0},
        {"[1,{\"id\":1}]", UNEVEN, NULL, 0},
        {"[[{\"id\":1}]]", UNEVEN, NULL, 0},
        {"[null]", UNEVEN, NULL, 0},
        {"", BAD, NULL, 0},
        {" ", BAD, NULL, 0},
        {"{\"id\":1} x", BAD, NULL, 0},
        {"{\"id\":1}{}", BAD, NULL, 0},
        {"{\"id\":01}", BAD, NULL, 0},
        {"{\"id\":1.}", BAD, NULL, 0},
        {"{\"id\":.5}", BAD, NULL, 0},
        {"{\"id\":1e}", BAD, NULL, 0},
        {"{\"id\":+1}", BAD, NULL, 0},
        {"{\"id\":-}", BAD, NULL, 0},
        {"{\"id\":1,}", BAD, NULL, 0},
        {"[{\"id\":1},]", BAD, NULL, 0},
        {"[1,2", BAD, NULL, 0},
        {"{\"id\"}", BAD, NULL, 0},
        {"{\"id\":}", BAD, NULL, 0},
        {"{id:1}", BAD, NULL, 0},
        {"{'id':1}", BAD, NULL, 0},
        {"{\"id\":NaN}", BAD, NULL, 0},
        {"{\"id\":tru}", BAD, NULL, 0},
        {"{\"id\":\"x", BAD, NULL, 0},
        {"{\"id\":\"a\nb\"}", BAD, NULL, 0},
        {"{\"id\":\"\\x\"}", BAD, NULL, 0},
        {"{\"id\":\"\\u12\"}", BAD, NULL, 0},
        {"{\"id\":\"\\ud800\"}", BAD, NULL, 0},
        {"{\"id\":\"\\udc00\"}", BAD, NULL, 0},
        {"{\"id\":\"\\ud800\\u0041\"}", BAD, NULL, 0},
        {"{\"id\":\"\xFF\"}", BAD, NULL, 0},
        {"{\"\\u0000\":1}", BAD, NULL, 0},
        {"[1, x]", BAD, NULL, 0}, /* bad counts for more than uneven */
        {"[[[[1]]]]", UNEVEN, NULL, 0},
        {"{\"a\":[[[1]]]}", "a", NULL, 1},
        {"{\"a\":[[[[]]]]}", "the JSON text nests deeper than 4", NULL, 0},
        {"[{\"a\":{\"b\":{\"c\":{}}}}]", "the JSON text nests deeper than 4", NULL, 0},
        {"[[[[[", "the JSON text nests deeper than 4", NULL, 0},
    };
    const tn_body_source source = {.depth = 4};
    const tn_body_source array = {.depth = 4, .content_type = "application/vnd.pgrst.array+json"};
    const tn_body_source typed = {.depth = 4, .content_type = "application/json; charset=utf-8"};

    (void)state;
    check_cases(cases, TN_COUNT(cases), &source);
    check_cases(cases, TN_COUNT(cases), &array);
    check_cases(cases, TN_COUNT(cases), &typed);
}

static void
csv(void **state)
{
    static const body_case cases[] = {
        {"a,b\n1,2\n", "a|b", "[{\"a\":\"1\",\"b\":\"2\"}]", 1},
        {"a,b\n1,2", "a|b", "[{\"a\":\"1\",\"b\":\"2\"}]", 1},
        {"a,b\r\n1,2\r\n3,4\r\n", "a|b", "[{\"a\":\"1\",\"b\":\"2\"},{\"a\":\"3\",\"b\":\"4\"}]",
         2},
        {"a,b\r1,2\r", "a|b", "[{\"a\":\"1\",\"b\":\"2\"}]", 1},
        {"a,b\n\n1,2\n\n\n3,4\n\n", "a|b", "[{\"a\":\"1\",\"b\":\"2\"},{\"a\":\"3\",\"b\":\"4\"}]",
         2},
        {"\xEF\xBB\xBF"
         "a\n1\n",
         "a", "[{\"a\":\"1\"}]", 1},
        {"a,b\n", "", "[]", 0},
        {"a\n\"\"\n", "", "[]", 0},
        {"a,b\nNULL,\"NULL\"\n", "a|b", "[{\"a\":null,\"b\":null}]", 1},
        {"a,b\nnull,NULL \n", "a|b", "[{\"a\":\"null\",\"b\":\"NULL \"}]", 1},
        {"a,b\n,\"\"\n", "a|b", "[{\"a\":\"\",\"b\":\"\"}]", 1},
        {"a,b\n\"x\"\"y\",\"l1\nl2,\"\n", "a|b", "[{\"a\":\"x\\\"y\",\"b\":\"l1\\nl2,\"}]", 1},
        {"\"a\"\"q\", b \n1,2\n", "a\"q| b ", "[{\"a\\\"q\":\"1\",\" b \":\"2\"}]", 1},
        {"a,a\n1,2\n", "a", "[{\"a\":\"1\",\"a\":\"2\"}]", 1},
        {"a,b\n1,2,3\n", "a|b", "[{\"a\":\"1\",\"b\":\"2\"}]", 1},
        {"a,b\n1\n", "a", "[{\"a\":\"1\"}]", 1},
        {"a,b\n1\n2\n", "a", "[{\"a\":\"1\"},{\"a\":\"2\"}]", 2},
        {"a,b\n1,2\n3\n", LINES, NULL, 0},
        {"a,b\n1\n2,3\n", LINES, NULL, 0},
        {"a,b\n1,\"\\\"\n", "a|b", "[{\"a\":\"1\",\"b\":\"\\\\\"}]", 1},
        {"\n1\n", "", "[{\"\":\"1\"}]", 1},
        {"", "parse error (not enough input) at \"\"", NULL, 0},
        {"a,b", "parse error (not enough input) at \"\"", NULL, 0},
        {"a,b\n\"x\"y,2\n", "parse error (text behind a quote) at \"y,2\n\"", NULL, 0},
        {"a,b\nx\"y,2\n", "parse error (a quote within a field that is not quoted) at \"\"y,2\n\"",
         NULL, 0},
        {"a,b\n\"x,2\n", "parse error (a quoted field has no end) at \"x,2\n\"", NULL, 0},
        {"a\n\xFF\n", "parse error (invalid UTF-8)", NULL, 0},
    };
    const tn_body_source source = {.depth = 4, .content_type = "text/csv"};
    const tn_body_source call = {
        .depth = 4, .content_type = "text/csv;charset=utf-8", .is_call = true, .has_columns = true};

    (void)state;
    check_cases(cases, TN_COUNT(cases), &source);
    check_cases(cases, TN_COUNT(cases), &call);
}

static void
forms(void **state)
{
    static const body_case cases[] = {
        {"a=1&b=2", "a|b", "{\"a\":\"1\",\"b\":\"2\"}", 1},
        {"a=1&a=2", "a", "{\"a\":\"1\",\"a\":\"2\"}", 1},
        {"a&b=", "a|b", "{\"a\":\"\",\"b\":\"\"}", 1},
        {"", "", "{}", 1},
        {"a=%C3%A4+x%2B&%22=1", "a|\"", "{\"a\":\"ä x+\",\"\\\"\":\"1\"}", 1},
        {"a=1;b=NULL", "a|b", "{\"a\":\"1\",\"b\":\"NULL\"}", 1},
        {"a=%zz%", "a", "{\"a\":\"%zz%\"}", 1},
        {"a=%ff", "the form has invalid UTF-8 or NUL", NULL, 0},
        {"%00=1", "the form has invalid UTF-8 or NUL", NULL, 0},
    };
    const tn_body_source source = {.content_type = "application/x-www-form-urlencoded"};

    (void)state;
    check_cases(cases, TN_COUNT(cases), &source);
}

static void
other_types(void **state)
{
    static const struct {
        const char *type;
        bool is_call, is_raw;
        const char *message;
    } cases[] = {
        {"text/plain", false, false, "Content-Type not acceptable: text/plain"},
        {"text/plain", true, true, NULL},
        {"text/plain; charset=utf-8", true, true, NULL},
        {"text/xml", true, true, NULL},
        {"application/octet-stream", true, true, NULL},
        {"text/html", true, false, "Content-Type not acceptable: text/html"},
        {"multipart/form-data; boundary=x", false, false,
         "Content-Type not acceptable: multipart/form-data"},
        {"application/vnd.pgrst.object+json", false, false,
         "Content-Type not acceptable: application/vnd.pgrst.object+json"},
        {"", false, false, "Content-Type not acceptable: */*"},
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_body_source source = {.content_type = cases[i].type,
                                       .is_call = cases[i].is_call,
                                       .text = "hello",
                                       .length = 5};
        tn_data_body body;
        const tn_error *error = tn_data_body_read(arena, &source, &body);

        TN_CASE("%s", cases[i].type);
        TN_CHECK_TEXT(error == NULL ? NULL : error->message, cases[i].message);
        TN_CHECK_TEXT(error == NULL ? NULL : error->code, error == NULL ? NULL : "PGRST102");
        TN_CHECK(body.is_raw == cases[i].is_raw);
        TN_CHECK_TEXT(body.raw, cases[i].is_raw ? "hello" : NULL);
        tn_arena_free(arena);
    }
}

static void
calls_and_columns(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_body_source source = {.is_call = true, .text = "", .depth = 10};
    tn_data_body body;

    (void)state;
    assert_null(tn_data_body_read(arena, &source, &body)); /* no arguments */
    assert_string_equal(body.payload.json, "{}");
    assert_true(body.payload.is_empty_object);
    source.has_columns = true;
    assert_null(tn_data_body_read(arena, &source, &body)); /* PostgreSQL says 22P02 */
    assert_true(body.payload.is_unread);
    assert_string_equal(body.payload.json, "");
    source.text = "{\"a\":";
    source.length = 5;
    assert_null(tn_data_body_read(arena, &source, &body));
    assert_string_equal(body.payload.json, "{\"a\":");
    source.text = "{}\0{}";
    assert_string_equal(tn_data_body_read(arena, &source, &body)->code, "PGRST102");
    source.content_type = "text/plain";
    assert_string_equal(tn_data_body_read(arena, &source, &body)->code, "22021");
    source.content_type = "application/octet-stream";
    assert_null(tn_data_body_read(arena, &source, &body));
    assert_int_equal(body.raw_length, 5);
    tn_arena_free(arena);
}

/* Names are short and lines are many: what CSV becomes is bounded. Keys are many: they are compared
 * in order, and found when they come in another one. */
static void
large_bodies(void **state)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer text = tn_arena_buffer(arena);
    tn_body_source source = {.content_type = "text/csv", .depth = 10};
    tn_data_body body;

    (void)state;
    for (int i = 0; i < 100000; i++)
        appendPQExpBufferChar(text, 'x');
    for (int i = 0; i < 100000; i++)
        appendPQExpBufferStr(text, "\n1");
    source.text = tn_buffer_text(text);
    source.length = text->len;
    assert_int_equal(tn_data_body_read(arena, &source, &body)->status, 413);

    resetPQExpBuffer(text);
    appendPQExpBufferStr(text, "[{\"0\":0");
    for (int i = 1; i < 5000; i++)
        appendPQExpBuffer(text, ",\"%d\":%d", i, i);
    appendPQExpBufferStr(text, "},{\"4999\":0");
    for (int i = 4998; i >= 0; i--)
        appendPQExpBuffer(text, ",\"%d\":%d", i, i);
    appendPQExpBufferStr(text, "}]");
    source.content_type = NULL;
    source.text = tn_buffer_text(text);
    source.length = text->len;
    assert_null(tn_data_body_read(arena, &source, &body));
    assert_int_equal(body.payload.key_count, 5000);
    assert_string_equal(body.payload.keys[4999], "4999");
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json),
        cmocka_unit_test(csv),
        cmocka_unit_test(forms),
        cmocka_unit_test(other_types),
        cmocka_unit_test(calls_and_columns),
        cmocka_unit_test(large_bodies),
    };

    return tn_unit_run("data_body", tests, TN_COUNT(tests));
}
