/* t/unit/data_header.c: data/header.c: header fields that SQL gives, and their places in answers */
#include <string.h>

#include "data/header.h"
#include "t/unit/unit.h"

#define REFUSED "(refused)"

/* "A: 1\nB: 2" */
static const char *
join(tn_arena *arena, const char *const *headers)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    for (; *headers != NULL; headers += 2)
        appendPQExpBuffer(text, "%s%s: %s", text->len > 0 ? "\n" : "", headers[0], headers[1]);
    return tn_buffer_text(text);
}

/* --- response.headers ------------------------------------------------------------------------- */

static const struct {
    const char *text, *headers;
} lists[] = {
    {"[]", ""},
    {" [ ] ", ""},
    {"[{\"X-A\":\"1\"}]", "X-A: 1"},
    {"[{\"X-A\": \"1\"}, {\"Cache-Control\": \"no-store, max-age=0\"}]",
     "X-A: 1\nCache-Control: no-store, max-age=0"},
    {"[{\"Set-Cookie\":\"a=1\"},{\"Set-Cookie\":\"b=2\"}]", "Set-Cookie: a=1\nSet-Cookie: b=2"},
    {"[{\"Content-Type\":\"text/html\"}]", "Content-Type: text/html"},
    {"[{\"x\":\"\"}]", "x: "},
    {"[{\"!#$%&'*+-.^_`|~09azAZ\":\"\\u00e4 \\t~\"}]", "!#$%&'*+-.^_`|~09azAZ: \303\244 \t~"},
    /* no list of objects of one member */
    {"", REFUSED},
    {"null", REFUSED},
    {"{}", REFUSED},
    {"{\"X-A\":\"1\"}", REFUSED},
    {"\"X-A: 1\"", REFUSED},
    {"[{}]", REFUSED},
    {"[null]", REFUSED},
    {"[[\"X-A\",\"1\"]]", REFUSED},
    {"[{\"X-A\":\"1\",\"X-B\":\"2\"}]", REFUSED},
    {"[{\"X-A\":\"1\"}", REFUSED},
    {"[{\"X-A\":\"1\"}] x", REFUSED},
    {"[{\"X-A\":\"1\"},]", REFUSED},
    {"[{'X-A':'1'}]", REFUSED},
    /* values that are no text */
    {"[{\"X-A\":1}]", REFUSED},
    {"[{\"X-A\":true}]", REFUSED},
    {"[{\"X-A\":null}]", REFUSED},
    {"[{\"X-A\":[\"1\"]}]", REFUSED},
    {"[{\"X-A\":{\"b\":\"1\"}}]", REFUSED},
    /* names */
    {"[{\"\":\"1\"}]", REFUSED},
    {"[{\"X A\":\"1\"}]", REFUSED},
    {"[{\"X-A:\":\"1\"}]", REFUSED},
    {"[{\"X-\\u00e4\":\"1\"}]", REFUSED},
    {"[{\"X-A\\r\\nX-B\":\"1\"}]", REFUSED},
    {"[{\"(X)\":\"1\"}]", REFUSED},
    /* more than one field in a value */
    {"[{\"X-A\":\"1\\r\\nX-B: 2\"}]", REFUSED},
    {"[{\"X-A\":\"1\\n\"}]", REFUSED},
    {"[{\"X-A\":\"1\\r\"}]", REFUSED},
    {"[{\"X-A\":\"1\\u0000\"}]", REFUSED},
    {"[{\"X-A\":\"\\u0001\"}]", REFUSED},
    {"[{\"X-A\":\"\\u007f\"}]", REFUSED},
    {"[{\"X-A\":\"\\u001b[2J\"}]", REFUSED},
    {"[{\"X-A\":\"\377\"}]", REFUSED},
    /* what would be for the server and not for the client */
    {"[{\"Status\":\"200\"}]", REFUSED},
    {"[{\"sTATUS\":\"200\"}]", REFUSED},
    {"[{\"Content-Length\":\"1\"}]", REFUSED},
    {"[{\"Transfer-Encoding\":\"chunked\"}]", REFUSED},
    {"[{\"Connection\":\"close\"}]", REFUSED},
    {"[{\"Keep-Alive\":\"1\"}]", REFUSED},
    {"[{\"Upgrade\":\"h2c\"}]", REFUSED},
    {"[{\"Trailer\":\"X\"}]", REFUSED},
    {"[{\"TE\":\"x\"}]", REFUSED},
    {"[{\"X-Request-Id\":\"mine\"}]", REFUSED},
    {"[{\"X-Accel-Redirect\":\"/etc/passwd\"}]", REFUSED},
    {"[{\"x-accel-buffering\":\"no\"}]", REFUSED},
    {"[{\"X-Accelerate\":\"fine\"}]", "X-Accelerate: fine"},
};

static void
of_a_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(lists); i++) {
        tn_arena *arena = tn_arena_new();
        const char *const *headers = NULL;
        const bool is_list = tn_headers_of_list(arena, lists[i].text, &headers);

        TN_CASE("%s", lists[i].text);
        TN_CHECK_TEXT(is_list ? join(arena, headers) : REFUSED, lists[i].headers);
        tn_arena_free(arena);
    }
}

/* A list of `count` fields, each with a value of `length` bytes. */
static bool
is_taken(size_t count, size_t name_length, size_t value_length)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer text = tn_arena_buffer(arena);
    const char *const *headers;
    bool taken;

    for (size_t i = 0; i < count; i++) {
        appendPQExpBufferStr(text, i == 0 ? "[{\"" : ",{\"");
        for (size_t n = 0; n < name_length; n++)
            appendPQExpBufferChar(text, (char)('a' + i % 26));
        appendPQExpBufferStr(text, "\":\"");
        for (size_t n = 0; n < value_length; n++)
            appendPQExpBufferChar(text, 'v');
        appendPQExpBufferStr(text, "\"}");
    }
    appendPQExpBufferChar(text, ']');
    taken = tn_headers_of_list(arena, tn_buffer_text(text), &headers);
    tn_arena_free(arena);
    return taken;
}

static void
bounds(void **state)
{
    (void)state;
    assert_true(is_taken(32, 3, 3));
    assert_false(is_taken(33, 3, 3));
    assert_true(is_taken(1, 128, 1));
    assert_false(is_taken(1, 129, 1));
    assert_true(is_taken(1, 1, 4096));
    assert_false(is_taken(1, 1, 4097));
    assert_true(is_taken(2, 96, 4000));
    assert_false(is_taken(3, 96, 4000));
}

/* --- the members of an object ----------------------------------------------------------------- */

static const struct {
    const char *text, *headers;
} objects[] = {
    {"{}", ""},
    {"{\"X-Powered-By\":\"Nerds\"}", "X-Powered-By: Nerds"},
    {"{\"A\":\"1\",\"B\":\"2\"}", "A: 1\nB: 2"},
    {"{\"A\":\"1\",\"B\":2}", REFUSED},
    {"{\"X-Accel-Redirect\":\"/\"}", REFUSED},
    {"[]", REFUSED},
    {"null", REFUSED},
    {"\"A\"", REFUSED},
};

static void
of_an_object(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(objects); i++) {
        tn_arena *arena = tn_arena_new();
        const char *const *headers = NULL;
        json_object *object = NULL;
        bool is_object;

        TN_CASE("%s", objects[i].text);
        TN_CHECK(tn_json_parse(arena, objects[i].text, strlen(objects[i].text), TN_JSON_DEPTH,
                               &object) == NULL);
        is_object = tn_headers_of_object(arena, object, &headers);
        TN_CHECK_TEXT(is_object ? join(arena, headers) : REFUSED, objects[i].headers);
        tn_arena_free(arena);
    }
}

/* --- in an answer ----------------------------------------------------------------------------- */

static const char *
print(tn_arena *arena, const tn_response *response)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    appendPQExpBufferStr(text, response->content_type);
    for (size_t i = 0; i < response->header_count; i++)
        appendPQExpBuffer(text, "\n%s: %s", response->headers[i].name, response->headers[i].value);
    return tn_buffer_text(text);
}

static const struct {
    const char *list, *answer;
} places[] = {
    {"[]", "application/json\nContent-Range: 0-1/*\nETag: \"7\""},
    {"[{\"X-A\":\"1\"}]", "application/json\nContent-Range: 0-1/*\nETag: \"7\"\nX-A: 1"},
    {"[{\"content-range\":\"0-0/1\"}]", "application/json\nETag: \"7\"\ncontent-range: 0-0/1"},
    {"[{\"Content-TYPE\":\"text/html\"}]", "text/html\nContent-Range: 0-1/*\nETag: \"7\""},
    {"[{\"Content-Type\":\"text/html\"},{\"Content-Type\":\"text/xml\"}]",
     "text/xml\nContent-Range: 0-1/*\nETag: \"7\""},
    {"[{\"Set-Cookie\":\"a=1\"},{\"Set-Cookie\":\"b=2\"}]", /* RFC 6265 section 3: two fields */
     "application/json\nContent-Range: 0-1/*\nETag: \"7\"\nSet-Cookie: a=1\nSet-Cookie: b=2"},
    {"[{\"ETag\":\"\\\"a\\\"\"},{\"etag\":\"\\\"b\\\"\"}]",
     "application/json\nContent-Range: 0-1/*\nETag: \"a\"\netag: \"b\""},
};

static void
take_the_place_of_ours(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(places); i++) {
        tn_arena *arena = tn_arena_new();
        tn_response response = {.content_type = "application/json"};
        const char *const *headers;

        TN_CASE("%s", places[i].list);
        tn_response_header(&response, "Content-Range", "0-1/*");
        tn_response_header(&response, "ETag", "\"7\"");
        TN_CHECK(tn_headers_of_list(arena, places[i].list, &headers));
        tn_headers_replace(&response, headers);
        TN_CHECK_TEXT(print(arena, &response), places[i].answer);
        tn_arena_free(arena);
    }
}

/* --- parts of addresses ----------------------------------------------------------------------- */

static const struct {
    const char *text, *encoded;
} parts[] = {
    {"", ""},           {"abc-._~XYZ019", "abc-._~XYZ019"}, {"a b&c=d,e", "a%20b%26c%3Dd%2Ce"},
    {"100%", "100%25"}, {"\303\244\r\n", "%C3%A4%0D%0A"},   {"\177\"/?#", "%7F%22%2F%3F%23"},
};

static void
encoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(parts); i++) {
        tn_arena *arena = tn_arena_new();
        PQExpBuffer text = tn_arena_buffer(arena);

        TN_CASE("%s", parts[i].text);
        tn_header_append_encoded(text, parts[i].text);
        TN_CHECK_TEXT(tn_buffer_text(text), parts[i].encoded);
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_list),    cmocka_unit_test(bounds),
        cmocka_unit_test(of_an_object), cmocka_unit_test(take_the_place_of_ours),
        cmocka_unit_test(encoded),
    };

    return tn_unit_run("data_header", tests, TN_COUNT(tests));
}
