/* t/unit/data_accept.c: data/accept.c: which types, in which order, and their names in answers */
#include <string.h>

#include "data/accept.h"
#include "t/unit/unit.h"

#define PLAN "application/vnd.pgrst.plan"

static const struct {
    const char *header;
    const char *types; /* as Content-Types, best first, joined with | */
} cases[] = {
    {NULL, "application/json; charset=utf-8"},
    {"", "application/json; charset=utf-8"},
    {" , ", "application/json; charset=utf-8"},
    {";q=1,", "application/json; charset=utf-8"},
    {"*/*", "application/json; charset=utf-8"},
    {"application/json", "application/json; charset=utf-8"},
    {"application/json;charset=utf-8", "application/json; charset=utf-8"},
    {"application/vnd.pgrst.array+json", "application/json; charset=utf-8"},
    {"application/vnd.pgrst.object+json", "application/vnd.pgrst.object+json; charset=utf-8"},
    {"application/vnd.pgrst.object", "application/vnd.pgrst.object+json; charset=utf-8"},
    {"application/vnd.pgrst.object+json;nulls=stripped",
     "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8"},
    {"application/vnd.pgrst.object+json; nulls=stripped ; q=0.9",
     "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8"},
    {"application/vnd.pgrst.array+json;nulls=stripped",
     "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"},
    {"application/vnd.pgrst.array;nulls=stripped",
     "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"},
    {"application/vnd.pgrst.array+json;nulls=strippedx", "application/json; charset=utf-8"},
    {"application/json;nulls=stripped", "application/json; charset=utf-8"},
    {"text/csv", "text/csv; charset=utf-8"},
    {"Text/CSV", "text/csv; charset=utf-8"},
    {"application/x-ndjson", "application/x-ndjson; charset=utf-8"},
    {"application/geo+json", "application/geo+json"},
    {"application/openapi+json", "application/openapi+json; charset=utf-8"},
    {"text/html;level=1", "text/html"},
    {"application/*", "application/*"},
    {"garbage", "garbage"},
    /* order */
    {"application/json, text/csv", "application/json; charset=utf-8|text/csv; charset=utf-8"},
    {"text/csv;q=0.5, application/json", "application/json; charset=utf-8|text/csv; charset=utf-8"},
    {"text/csv; q=0.5, text/html;q=0.4,application/json; q=0.45",
     "text/csv; charset=utf-8|application/json; charset=utf-8|text/html"},
    {"*/*, text/csv", "text/csv; charset=utf-8|application/json; charset=utf-8"},
    {"application/json, text/csv;charset=utf-8",
     "text/csv; charset=utf-8|application/json; charset=utf-8"},
    {"text/csv;q=0,text/html;q=0.001", "text/html|text/csv; charset=utf-8"},
    {"text/csv;q=x", "text/csv; charset=utf-8"},
    /* plans */
    {PLAN, PLAN "+text; for=\"application/json\"; charset=utf-8"},
    {PLAN "+json", PLAN "+json; for=\"application/json\"; charset=utf-8"},
    {PLAN "+text; for=\"application/json\"; options=analyze;",
     PLAN "+text; for=\"application/json\"; options=analyze; charset=utf-8"},
    {PLAN "+json; for=\"application/vnd.pgrst.object\"; options=",
     PLAN "+json; for=\"application/vnd.pgrst.object+json\"; charset=utf-8"},
    {PLAN "+json; options=buffers|wal|verbose|analyze|settings|bogus; for=text/csv",
     PLAN "+json; for=\"text/csv\"; options=analyze|verbose|settings|buffers|wal; charset=utf-8"},
    {PLAN "+text; for=\"application/vnd.pgrst.array+json;nulls=stripped\"; options=verbose",
     PLAN "+text; for=\"application/vnd.pgrst.array+json;nulls=stripped\"; options=verbose; "
          "charset=utf-8"},
    {PLAN "; for=\"text/html\"", PLAN "+text; for=\"text/html\"; charset=utf-8"},
    {PLAN "; for=\"a,b\", text/csv;q=0.1",
     PLAN "+text; for=\"a,b\"; charset=utf-8|text/csv; charset=utf-8"},
    {PLAN "; for=\"unclosed", PLAN "+text; for=\"unclosed\"; charset=utf-8"},
};

static void
headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        PQExpBuffer types = tn_arena_buffer(arena);
        const tn_accepted *list;
        size_t count;

        TN_CASE("%s", cases[i].header == NULL ? "(none)" : cases[i].header);
        tn_accept_parse(arena, cases[i].header, &list, &count);
        TN_CHECK(count > 0);
        for (size_t n = 0; n < count; n++)
            appendPQExpBuffer(types, "%s%s", n == 0 ? "" : "|",
                              tn_accepted_content_type(arena, &list[n]));
        TN_CHECK_TEXT(tn_buffer_text(types), cases[i].types);
        tn_arena_free(arena);
    }
}

static void
members(void **state)
{
    tn_arena *arena = tn_arena_new();
    const tn_accepted *list;
    size_t count;

    (void)state;
    tn_accept_parse(arena, "text/html;level=1, */*;q=0.1, " PLAN "+json;for=\"text/html\";q=0.01",
                    &list, &count);
    assert_int_equal(count, 3);
    assert_int_equal(list[0].media, TN_MEDIA_OTHER);
    assert_string_equal(list[0].name, "text/html");
    assert_false(list[0].is_any);
    assert_int_equal(list[1].media, TN_MEDIA_JSON);
    assert_true(list[1].is_any);
    assert_int_equal(list[2].media, TN_MEDIA_PLAN);
    assert_true(list[2].plan.is_json);
    assert_int_equal(list[2].plan.of, TN_MEDIA_OTHER);
    assert_string_equal(list[2].plan.of_name, "text/html");
    tn_accept_parse(arena, PLAN ";for=\"" PLAN "\"", &list, &count); /* no plan of a plan */
    assert_int_equal(list[0].plan.of, TN_MEDIA_OTHER);
    tn_accept_parse(arena, NULL, &list, &count);
    assert_true(list[0].is_any);
    tn_arena_free(arena);
}

static void
a_header_of_many_types_is_bounded(void **state)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer header = tn_arena_buffer(arena);
    const tn_accepted *list;
    size_t count;

    (void)state;
    for (int i = 0; i < 10000; i++)
        appendPQExpBufferStr(header, "text/csv,");
    tn_accept_parse(arena, tn_buffer_text(header), &list, &count);
    assert_true(count >= 10 && count < 100);
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),
        cmocka_unit_test(members),
        cmocka_unit_test(a_header_of_many_types_is_bounded),
    };

    return tn_unit_run("data_accept", tests, TN_COUNT(tests));
}
