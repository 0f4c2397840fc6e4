/* t/unit/object_names.c: objects/bucket.c: names, and types that a bucket takes; backend.c: names
 * of bytes */
#include <string.h>

#include "objects/backend.h"
#include "objects/bucket.h"
#include "t/unit/unit.h"

#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
#define HUNDRED FIFTY FIFTY
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED

static const struct {
    const char *name;
    bool bucket, object;
} names[] = {
    {"", false, false},
    {"a", true, true},
    {"avatars", true, true},
    {"A-z_0!.*'() &$=@;:+,?", true, true},
    {" a", false, true},
    {"a ", false, true},
    {"a/b", false, true},
    {"/a", false, true},
    {"a//b", false, true},
    {"a/", false, true},
    {".", true, false},
    {"..", true, false},
    {"...", true, true},
    {".a", true, true},
    {"a/./b", false, false},
    {"a/../b", false, false},
    {"../a", false, false},
    {"a/..", false, false},
    {"a/.", false, false},
    {"/.", false, false},
    {"a/..b", false, true},
    {"a%2fb", false, false},
    {"a#b", false, false},
    {"a\\b", false, false},
    {"a\"b", false, false},
    {"a<b", false, false},
    {"a\tb", false, false},
    {"a\nb", false, false},
    {"a\x7f", false, false},
    {"\xc3\xa4", false, false},
    {HUNDRED, true, true},
    {HUNDRED "a", false, true},
    {THOUSAND TEN TEN "abcd", false, true},
    {THOUSAND TEN TEN "abcde", false, false},
};

static void
characters(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(names); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_error *error = tn_object_name_check(arena, names[i].name);

        TN_CASE("%.200s", names[i].name);
        TN_CHECK(tn_bucket_name_is_valid(names[i].name) == names[i].bucket);
        TN_CHECK(tn_object_name_is_valid(names[i].name) == names[i].object);
        TN_CHECK((error == NULL) == names[i].object);
        TN_CHECK(error == NULL || (error->status == 400 && strcmp(error->code, "InvalidKey") == 0));
        tn_arena_free(arena);
    }
}

static const struct {
    const char *allowed, *type;
    bool is_allowed;
} types[] = {
    {"image/png", "image/png", true},
    {"image/png", "IMAGE/PNG", true},
    {"IMAGE/PNG", "image/png", true},
    {"image/png", "image/png; charset=x", true},
    {"image/png;charset=x", "image/png", true},
    {"text/plain", "text/plain;charset=UTF-8", true},
    {"image/png", "image/pngx", false},
    {"image/png", "image/pn", false},
    {"image/png", "image", false},
    {"image/png", "", false},
    {"image/*", "image/png", true},
    {"image/*", "Image/Svg+Xml", true},
    {"image/*", "images/png", false},
    {"image/*", "text/image/png", false},
    {"*", "anything/at-all", true},
    {"*/*", "anything/at-all", true},
    {"application/vnd.*", "application/vnd.ms-excel", true},
};

static void
allowed_types(void **state)
{
    const tn_bucket any = {.allowed_types = NULL};

    (void)state;
    assert_true(tn_bucket_allows_type(&any, "a/b"));
    for (size_t i = 0; i < TN_COUNT(types); i++) {
        const char *const list[] = {"x/y", types[i].allowed};
        const tn_bucket bucket = {.allowed_types = list, .allowed_type_count = 2};

        TN_CASE("%s for %s", types[i].type, types[i].allowed);
        TN_CHECK(tn_bucket_allows_type(&bucket, types[i].type) == types[i].is_allowed);
    }
}

#define TENANT "01a1ffad-20a4-710a-9eba-dab7a1236e54"
#define VERSION "84590caa-b23c-434b-ba01-4bd1a5f99c2b"

static const struct {
    const char *path;
    bool is_one;
} paths[] = {
    {TENANT "/9c/2b/" VERSION, true},
    {TENANT "/9c/2c/" VERSION, false},
    {TENANT "/2b/9c/" VERSION, false},
    {TENANT "/" VERSION, false},
    {TENANT "/9c/2b/" VERSION ".new", false},
    {TENANT "/9c/2b/84590caa-b23c-434b-ba01-4BD1A5F99C2B", false},
    {"../../etc/passwd", false},
    {TENANT "/9c/2b/../../../../../../../../../etc/passwd", false},
    {"", false},
};

static void
paths_of_bytes(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_blob blob;

    (void)state;
    assert_true(tn_uuid_parse(TENANT, &blob.tenant_id) && tn_uuid_parse(VERSION, &blob.version));
    assert_string_equal(tn_blob_path(arena, &blob), TENANT "/9c/2b/" VERSION);
    for (size_t i = 0; i < TN_COUNT(paths); i++) {
        TN_CASE("%s", paths[i].path);
        TN_CHECK(tn_blob_parse(paths[i].path, &blob) == paths[i].is_one);
        if (paths[i].is_one)
            TN_CHECK_TEXT(tn_blob_path(arena, &blob), paths[i].path);
    }
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters),
        cmocka_unit_test(allowed_types),
        cmocka_unit_test(paths_of_bytes),
    };

    return tn_unit_run("object_names", tests, TN_COUNT(tests));
}
