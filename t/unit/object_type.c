/* t/unit/object_type.c: objects/content_type.c: whose word counts; store.c: what libmagic sees */
#include <string.h>

#include "objects/content_type.h"
#include "objects/store.h"
#include "t/unit/unit.h"

static const struct {
    const char *said, *found, *decided;
} decisions[] = {
    /* they agree, or the content says little */
    {"image/png", "image/png", "image/png"},
    {"image/jpg", "image/jpeg", "image/jpg"},
    {"text/plain;charset=UTF-8", "text/plain", "text/plain;charset=UTF-8"},
    {"text/css", "text/plain", "text/css"},
    {"text/markdown", "text/x-c", "text/markdown"},
    {"application/json", "text/plain", "application/json"},
    {"application/json", "application/json", "application/json"},
    {"application/javascript", "text/plain", "application/javascript"},
    {"text/html", "text/plain", "text/html"},
    {"text/html", "text/html", "text/html"},
    {"application/xhtml+xml", "text/xml", "application/xhtml+xml"},
    {"image/svg+xml", "image/svg+xml", "image/svg+xml"},
    {"image/svg+xml", "text/xml", "image/svg+xml"},
    {"image/svg+xml", "text/plain", "image/svg+xml"},
    {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "application/zip",
     "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"application/x-mine", "application/octet-stream", "application/x-mine"},
    {"image/x-mine", "application/octet-stream", "image/x-mine"},
    {"video/mp4", "audio/mp4", "video/mp4"},
    {"audio/ogg", "application/ogg", "audio/ogg"},
    {"video/webm", "video/webm", "video/webm"},
    {"image/png", "application/x-empty", "image/png"},
    {"application/pdf", "application/pdf", "application/pdf"},
    {"application/msword", "application/CDFV2", "application/msword"},
    {"application/postscript", "application/pdf", "application/postscript"},
    /* libmagic guesses */
    {"application/x-thing", "image/x-tga", "application/x-thing"},
    {"image/x-thing", "text/x-c", "image/x-thing"},
    {"image/png", "audio/mpeg", "image/png"},
    /* said to be nothing that a browser would run */
    {"application/octet-stream", "text/html", "application/octet-stream"},
    {"application/octet-stream", "image/png", "application/octet-stream"},
    {"text/plain", "text/html", "text/plain"},
    {"text/plain", "image/svg+xml", "text/plain"},
    /* the content is surely something else */
    {"image/png", "text/html", "text/html"},
    {"image/png", "image/svg+xml", "image/svg+xml"},
    {"image/png", "text/x-php", "text/x-php"},
    {"image/svg+xml", "text/html", "image/svg+xml"}, /* XML either way, and kept as active */
    {"image/png", "application/pdf", "application/pdf"},
    {"image/png", "application/x-dosexec", "application/x-dosexec"},
    {"image/png", "video/mp4", "video/mp4"},
    {"application/pdf", "text/html", "text/html"},
    {"application/pdf", "image/png", "image/png"},
    {"text/html", "image/png", "image/png"},
    {"text/html", "application/pdf", "application/pdf"},
    {"text/plain;charset=UTF-8", "image/png", "image/png"},
    {"video/mp4", "image/gif", "image/gif"},
    /* nothing was said */
    {NULL, "image/png", "image/png"},
    {"", "image/png", "image/png"},
    {NULL, "application/octet-stream", "application/octet-stream"},
    {NULL, "application/x-empty", "application/octet-stream"},
    {NULL, "inode/x-empty", "application/octet-stream"},
};

static void
whose_word(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(decisions); i++) {
        TN_CASE("said %s, found %s", decisions[i].said != NULL ? decisions[i].said : "nothing",
                decisions[i].found);
        TN_CHECK_TEXT(tn_type_decide(arena, decisions[i].said, decisions[i].found),
                      decisions[i].decided);
    }
    tn_arena_free(arena);
}

static const struct {
    const char *type;
    bool active, dangerous;
} manners[] = {
    {"text/html", true, true},
    {"Text/HTML; charset=utf-8", true, true},
    {" text/html", true, true},
    {"application/xhtml+xml", true, true},
    {"image/svg+xml", true, false},
    {"text/xml", true, false},
    {"application/rss+xml;charset=utf-8", true, false},
    {"text/javascript", true, false},
    {"application/javascript", true, false},
    {"message/rfc822", true, true},
    {"multipart/related", true, true},
    {"text/xsl", true, true},
    {"image/png", false, false},
    {"application/pdf", false, false},
    {"text/plain", false, false},
    {"text/css", false, false},
    {"application/json", false, false},
    {"application/octet-stream", false, false},
    {"", true, true}, /* no media type: who knows what a browser makes of it */
    {";", true, true},
};

static void
what_may_run(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(manners); i++) {
        TN_CASE("%s", manners[i].type);
        TN_CHECK(tn_type_is_active(arena, manners[i].type) == manners[i].active);
        TN_CHECK(tn_type_is_dangerous(arena, manners[i].type) == manners[i].dangerous);
    }
    tn_arena_free(arena);
}

#define BYTES(text) (text), sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t length;
    const char *type;
} contents[] = {
    {BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0"), "image/png"},
    {BYTES("\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"), "image/jpeg"},
    {BYTES("GIF89a\1\0\1\0\0\0\0"), "image/gif"},
    {BYTES("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), "application/pdf"},
    {BYTES("<!DOCTYPE html><html><body>hello</body></html>"), "text/html"},
    {BYTES("<html><script>alert(1)</script></html>"), "text/html"},
    {BYTES("<svg xmlns=\"http://www.w3.org/2000/svg\"><path d=\"M0 0\"/></svg>"), "image/svg+xml"},
    {BYTES("hello, world\n"), "text/plain"},
    {BYTES("\x01\x02\x03\x04"), "application/octet-stream"},
};

static void
content(void **state)
{
    static const tn_config config = {.storage = {.dir = "/nowhere"}};
    tn_store *store = tn_store_new(&config);
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(contents); i++) {
        TN_CASE("%s", contents[i].type);
        TN_CHECK_TEXT(tn_store_sniff(store, arena, contents[i].bytes, contents[i].length),
                      contents[i].type);
    }
    assert_string_equal(tn_type_decide(arena, NULL, tn_store_sniff(store, arena, "", 0)),
                        "application/octet-stream");
    tn_arena_free(arena);
    tn_store_free(store);
}

static void
one_type(void **state)
{
    static const char *const valid[] = {
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/plain; charset=\"utf-8\"",
        "image/svg+xml",
        "application/vnd.ms-excel.sheet.1",
        "text/plain;",
        "multipart/x; a=b;c=d",
        "text/x; a=\"\\\";\"",
    };
    static const char *const not_valid[] = {
        "",
        "text",
        "text/",
        "/plain",
        "text/plain;a",
        "text/plain a",
        "text/plain;a=\"",
        "text/plain;a=b,image/svg+xml",
        "text/plain;,text/html",
        "text/plain;a=\",\"",
        "text/plain, text/html",
    };
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(valid); i++) {
        TN_CASE("%s", valid[i]);
        assert_true(tn_type_is_valid(valid[i]));
    }
    for (size_t i = 0; i < TN_COUNT(not_valid); i++) {
        TN_CASE("%s", not_valid[i]);
        assert_false(tn_type_is_valid(not_valid[i]));
        assert_true(tn_type_is_active(arena, not_valid[i]));
        assert_true(tn_type_is_dangerous(arena, not_valid[i]));
    }
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whose_word),
        cmocka_unit_test(what_may_run),
        cmocka_unit_test(one_type),
        cmocka_unit_test(content),
    };

    return tn_unit_run("object_type", tests, TN_COUNT(tests));
}
