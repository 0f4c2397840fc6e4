/* t/unit/field.c: identity/field.c: members of a JSON object, held to their table */
#include <string.h>

#include "identity/ctx.h"
#include "t/unit/unit.h"

struct thing {
    const char *title;
    int flag;
    int64_t count;
    tn_uuid id;
    json_object *data;
    bool has_title, has_data;
};

static const tn_field fields[] = {
    {.name = "title",
     .offset = offsetof(struct thing, title),
     .max = 5,
     .present = offsetof(struct thing, has_title) + 1},
    {.name = "flag", .offset = offsetof(struct thing, flag), .type = TN_FIELD_BOOL},
    {.name = "count", .offset = offsetof(struct thing, count), .max = 10, .type = TN_FIELD_INT},
    {.name = "id", .offset = offsetof(struct thing, id), .type = TN_FIELD_UUID},
    {.name = "data",
     .offset = offsetof(struct thing, data),
     .type = TN_FIELD_JSON,
     .present = offsetof(struct thing, has_data) + 1},
    {.name = NULL},
};

#define ID "018F0000-0000-7000-8000-00000000000A"

static const struct {
    const char *body, *code; /* NULL: good */
    const char *names;       /* what the message must name */
} cases[] = {
    {"", NULL, NULL},
    {"{}", NULL, NULL},
    {"{\"title\":\"\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\"}", NULL,
     NULL}, /* characters, not bytes */
    {"{\"title\":\"abcdef\"}", "validation_failed", "title"},
    {"{\"title\":5}", "validation_failed", "title"},
    {"{\"title\":[\"a\"]}", "validation_failed", "title"},
    {"{\"title\":null,\"flag\":null,\"count\":null,\"id\":null,\"data\":null}", NULL, NULL},
    {"{\"flag\":true}", NULL, NULL},
    {"{\"flag\":1}", "validation_failed", "flag"},
    {"{\"flag\":\"true\"}", "validation_failed", "flag"},
    {"{\"count\":10}", NULL, NULL},
    {"{\"count\":11}", "validation_failed", "count"},
    {"{\"count\":-1}", "validation_failed", "count"},
    {"{\"count\":1.0}", "validation_failed", "count"},
    {"{\"count\":1e1}", "validation_failed", "count"},
    {"{\"count\":99999999999999999999999}", "validation_failed", "count"},
    {"{\"count\":\"1\"}", "validation_failed", "count"},
    {"{\"id\":\"" ID "\"}", NULL, NULL},
    {"{\"id\":\"x\"}", "validation_failed", "id"},
    {"{\"id\":5}", "validation_failed", "id"},
    {"{\"data\":{\"a\":[1]}}", NULL, NULL},
    {"{\"titel\":\"x\"}", "unknown_field", "titel"},
    {"{\"Title\":\"x\"}", "unknown_field", "Title"},
    {"{\"\":1}", "unknown_field", NULL},
    {"[]", "validation_failed", "object"},
    {"null", "validation_failed", "object"},
    {"\"x\"", "validation_failed", "object"},
    {"{\"title\":\"x\"", "bad_json", NULL},
    {"{\"title\":\"x\"} x", "bad_json", NULL},
    {"{\"title\":\"\\u0000\"}", "bad_json", NULL},
    {"{\"title\":\"\xFF\"}", "bad_json", NULL},
};

static void
bodies(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_request request = {.body = cases[i].body, .body_length = strlen(cases[i].body)};
        tn_ctx c = {.arena = arena, .request = &request};
        struct thing in = {0};
        const tn_error *error = tn_body_fields(&c, fields, &in);

        TN_CASE("%s", cases[i].body);
        TN_CHECK_TEXT(error == NULL ? NULL : error->code, cases[i].code);
        TN_CHECK(error == NULL || error->status == 400);
        TN_CHECK(cases[i].names == NULL || strstr(error->message, cases[i].names) != NULL);
    }
    tn_arena_free(arena);
}

static void
values_arrive(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_request request = {.body = "{\"title\":null,\"count\":7,\"id\":\"" ID "\",\"data\":[1]}"};
    tn_ctx c = {.arena = arena, .request = &request};
    struct thing in = {.title = "before"};
    json_object *object;

    (void)state;
    request.body_length = strlen(request.body);
    assert_null(tn_body_fields(&c, fields, &in));
    assert_string_equal(in.title, "before"); /* null is absent … */
    assert_true(in.has_title);               /* … but whoever asks is told */
    assert_int_equal(in.flag, -1);
    assert_int_equal(in.count, 7);
    assert_string_equal(in.id.text, "018f0000-0000-7000-8000-00000000000a");
    assert_true(json_object_is_type(in.data, json_type_array));

    request.body = "{\"flag\":false,\"unknown\":1}";
    request.body_length = strlen(request.body);
    in = (struct thing){0};
    assert_null(tn_body_object(&c, &object));
    assert_null(tn_object_known_fields(&c, object, fields, &in));
    assert_int_equal(in.flag, 0);
    assert_false(in.has_title || in.has_data);
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bodies), cmocka_unit_test(values_arrive)};

    return tn_unit_run("field", tests, TN_COUNT(tests));
}
