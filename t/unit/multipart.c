/* t/unit/multipart.c: storage/multipart.c: parts of a form, wherever the windows end */
#include "storage/multipart.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "t/unit/unit.h"

struct body {
    const char *bytes;
    size_t length;
    size_t reads;
};

static const tn_error *
read_body(void *context, int64_t offset, void *bytes, size_t size, size_t *got)
{
    struct body *body = context;

    body->reads++;
    *got = (size_t)offset < body->length ? body->length - (size_t)offset : 0;
    if (*got > size)
        *got = size;
    if (*got > 0)
        memcpy(bytes, body->bytes + offset, *got);
    return NULL;
}

/* "name|filename|type|content;" of each part; what is wrong, in angle brackets. */
static const char *
parts_of(tn_arena *arena, const char *type, const char *bytes, size_t length)
{
    struct body body = {.bytes = bytes, .length = length};
    PQExpBuffer told = tn_arena_buffer(arena);
    const tn_error *error;
    tn_multipart *m = NULL;
    tn_part part;
    bool found = true;

    error = tn_multipart_new(arena, type, read_body, &body, &m);
    while (error == NULL) {
        error = tn_multipart_next(m, &part, &found);
        if (error != NULL || !found)
            break;
        appendPQExpBuffer(told, "%s|%s|%s|", part.name, part.filename != NULL ? part.filename : "-",
                          part.content_type != NULL ? part.content_type : "-");
        appendBinaryPQExpBuffer(told, bytes + part.offset, (size_t)part.length);
        appendPQExpBufferChar(told, ';');
    }
    if (error != NULL)
        appendPQExpBuffer(told, "<%s>", error->code);
    return tn_buffer_text(told);
}

#define D "Content-Disposition: form-data"
#define TYPE "multipart/form-data; boundary=xx"

static const struct {
    const char *bytes, *parts;
} cases[] = {
    {"--xx\r\n" D "; name=\"a\"\r\n\r\n1\r\n--xx--", "a|-|-|1;"},
    {"--xx\r\n" D "; name=\"a\"\r\n\r\n1\r\n--xx\r\n" D "; name=b\r\n\r\n2\r\n--xx--\r\n",
     "a|-|-|1;b|-|-|2;"},
    {"--xx\r\n" D "; name=\"\"; filename=\"blob\"\r\ncontent-type: image/png\r\n\r\n1\r\n--xx--",
     "|blob|image/png|1;"},
    {"--xx\r\n" D "\r\n\r\n1\r\n--xx--", "|-|-|1;"},
    {"--xx\r\n\r\n1\r\n--xx--", "|-|-|1;"},
    {"--xx\r\n\r\n\r\n--xx--", "|-|-|;"},
    {"--xx\r\n\r\n--xx--", "|-|-|;"},
    {"before\r\n--xx\r\n\r\n1\r\n--xx--behind\r\n--xx\r\n", "|-|-|1;"},
    {"--xx \t\r\n\r\n1\r\n--xx  --\r\n--xx--", "|-|-|1\r\n--xx  --;"},
    {"--xx\r\n\r\n1\r\n--xxx\r\n--x\r\n--xx--", "|-|-|1\r\n--xxx\r\n--x;"},
    {"--xxx\r\n--xx\r\n\r\n1\r\n--xx--", "|-|-|1;"},
    {"--xx\r\n" D "; name=\"a\\\"b\\\\c\"; filename=\"C:\\x\"\r\n\r\n1\r\n--xx--",
     "a\"b\\c|C:\\x|-|1;"},
    {"--xx\r\n" D "; name=\"a%22b%0D%0Ac%20\"\r\n\r\n1\r\n--xx--", "a\"b  c%20|-|-|1;"},
    {"--xx\r\n" D "; xname=\"no\"; NAME=\"yes\"\r\n\r\n1\r\n--xx--", "yes|-|-|1;"},
    {"--xx\r\n" D "; filename*=UTF-8''x; name=a;filename=f\r\n\r\n1\r\n--xx--", "a|f|-|1;"},
    {"--xx\r\n" D "; name=\"no end\r\n\r\n1\r\n--xx--", "no end|-|-|1;"},
    {"--xx\r\nno colon\r\nX-Other: y\r\nContent-Type:\r\n\r\n1\r\n--xx--", "|-|-|1;"},
    {"--xx--", ""},
    {"--xx--\r\n", ""},
    {"", "<InvalidRequest>"},
    {"nothing", "<InvalidRequest>"},
    {"--xx", "<InvalidRequest>"},
    {"--xx\r\n", "<InvalidRequest>"},
    {"--xx\r\nA: b", "<InvalidRequest>"},
    {"--xx\r\nA: b\r\n\r\n", "<InvalidRequest>"},
    {"--xx\r\n\r\n1\r\n--xx", "<InvalidRequest>"},
    {"--xx\r\n\r\n1\r\n--xx-", "<InvalidRequest>"},
    {"--xx\r\n\r\n1\r\n--xx\r\n\r\n2", "|-|-|1;<InvalidRequest>"},
    {"--xx\n\n1\n--xx--\n", "<InvalidRequest>"},
    {"--xx\r\n" D "; name=\"\xff\"\r\n\r\n1\r\n--xx--", "<InvalidRequest>"},
};

static void
parts_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();

        TN_CASE("case %zu", i);
        TN_CHECK_TEXT(parts_of(arena, TYPE, cases[i].bytes, strlen(cases[i].bytes)),
                      cases[i].parts);
        tn_arena_free(arena);
    }
}

static const struct {
    const char *type;
    bool is_form, has_boundary;
} types[] = {
    {"multipart/form-data; boundary=xx", true, true},
    {"Multipart/Form-Data;boundary=\"xx\"", true, true},
    {"multipart/form-data; charset=utf-8; BOUNDARY=xx", true, true},
    {"multipart/form-data", true, false},
    {"multipart/form-data; boundary=", true, false},
    {"multipart/form-data; boundary=\"\"", true, false},
    {"multipart/form-datax; boundary=xx", false, true},
    {"multipart/mixed; boundary=xx", false, true},
    {"application/json", false, false},
};

static void
types_say_the_boundary(void **state)
{
    static const char bytes[] = "--xx\r\n\r\n1\r\n--xx--";

    (void)state;
    TN_CHECK(!tn_multipart_is(NULL));
    for (size_t i = 0; i < TN_COUNT(types); i++) {
        tn_arena *arena = tn_arena_new();

        TN_CASE("%s", types[i].type);
        TN_CHECK(tn_multipart_is(types[i].type) == types[i].is_form);
        TN_CHECK_TEXT(parts_of(arena, types[i].type, bytes, strlen(bytes)),
                      types[i].has_boundary ? "|-|-|1;" : "<InvalidRequest>");
        tn_arena_free(arena);
    }
}

/* Content of many lengths, so that the boundary lies across the end of a window. */
static void
windows_do_not_matter(void **state)
{
    static const char head[] = "--xx\r\n\r\n", tail[] = "\r\n--xx--";

    (void)state;
    for (size_t length = 65000; length < 66000; length++) {
        const size_t size = sizeof(head) - 1 + length + sizeof(tail) - 1;
        char *bytes = calloc(1, size + 1);
        tn_arena *arena = tn_arena_new();
        struct body body = {.bytes = bytes, .length = size};
        tn_multipart *m = NULL;
        tn_part part;
        bool found;

        memcpy(bytes, head, sizeof(head) - 1);
        memset(bytes + sizeof(head) - 1, 'a', length);
        memcpy(bytes + sizeof(head) - 1 + length, tail, sizeof(tail) - 1);
        TN_CASE("%zu bytes", length);
        TN_CHECK(tn_multipart_new(arena, TYPE, read_body, &body, &m) == NULL);
        TN_CHECK(tn_multipart_next(m, &part, &found) == NULL && found);
        TN_CHECK(part.length == (int64_t)length);
        TN_CHECK(tn_multipart_next(m, &part, &found) == NULL && !found);
        tn_arena_free(arena);
        free(bytes);
    }
}

/* A body made of what is nearly a boundary is read once, not once for each. */
static void
lookalikes_cost_nothing(void **state)
{
    enum { COUNT = 200000 };
    static const char one[] = "\r\n--xxy";
    const size_t size = 8 + COUNT * (sizeof(one) - 1) + 8;
    char *bytes = calloc(1, size + 1);
    tn_arena *arena = tn_arena_new();
    struct body body = {.bytes = bytes, .length = size};
    tn_multipart *m = NULL;
    tn_part part;
    bool found;

    (void)state;
    memcpy(bytes, "--xx\r\n\r\n", 8);
    for (size_t i = 0; i < COUNT; i++)
        memcpy(bytes + 8 + i * (sizeof(one) - 1), one, sizeof(one) - 1);
    memcpy(bytes + size - 8, "\r\n--xx--", 8);
    TN_CHECK(tn_multipart_new(arena, TYPE, read_body, &body, &m) == NULL);
    TN_CHECK(tn_multipart_next(m, &part, &found) == NULL && found);
    TN_CHECK(part.length == (int64_t)size - 16);
    TN_CHECK(body.reads < 4 * (size / 65536 + 2));
    tn_arena_free(arena);
    free(bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(types_say_the_boundary),
        cmocka_unit_test(windows_do_not_matter),
        cmocka_unit_test(lookalikes_cost_nothing),
    };

    return tn_unit_run("multipart", tests, TN_COUNT(tests));
}
