/* t/fuzz/multipart.c: the same parts however the bytes are read, all of them within the body, and
 * an end always */
#include "storage/multipart.h"

#include <string.h>

#include "base/buffer.h"
#include "base/text.h"
#include "t/fuzz/fuzz.h"

#define PARTS_MAX 200

struct body {
    const char *bytes;
    size_t length, piece;
};

static const tn_error *
read_piece(void *context, int64_t offset, void *bytes, size_t size, size_t *got)
{
    const struct body *body = context;

    assert(offset >= 0);
    *got = (size_t)offset < body->length ? body->length - (size_t)offset : 0;
    if (*got > size)
        *got = size;
    if (*got > body->piece)
        *got = body->piece;
    if (*got > 0)
        memcpy(bytes, body->bytes + offset, *got);
    return NULL;
}

/* Parts as text; an error as its message. */
static void
tell(tn_arena *arena, struct body *body, PQExpBuffer told)
{
    const tn_error *error;
    tn_multipart *m = NULL;
    tn_part part;
    bool found = true;

    error = tn_multipart_new(arena, "multipart/form-data; boundary=xx", read_piece, body, &m);
    for (int i = 0; error == NULL && found && i < PARTS_MAX; i++) {
        error = tn_multipart_next(m, &part, &found);
        if (error != NULL || !found)
            break;
        assert(part.name != NULL && part.offset >= 0 && part.length >= 0);
        assert((size_t)part.offset <= body->length);
        assert((size_t)part.length <= body->length - (size_t)part.offset);
        assert(memmem(body->bytes + part.offset, (size_t)part.length, "\r\n--xx\r\n", 8) == NULL);
        assert(tn_text_is_utf8(part.name, strlen(part.name)));
        appendPQExpBuffer(told, "%s|%s|%s|%lld+%lld\n", part.name,
                          part.filename != NULL ? part.filename : "-",
                          part.content_type != NULL ? part.content_type : "-",
                          (long long)part.offset, (long long)part.length);
    }
    appendPQExpBufferStr(told, error != NULL ? error->message : "end");
}

/* The first byte chooses the pieces. */
int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer one = tn_arena_buffer(arena), two = tn_arena_buffer(arena);
    struct body body = {.bytes = (const char *)bytes + 1, .piece = SIZE_MAX};

    if (length > 0) {
        body.length = length - 1;
        tell(arena, &body, one);
        body.piece = bytes[0] % 13 + 1;
        tell(arena, &body, two);
        assert(one->len == two->len && memcmp(one->data, two->data, one->len) == 0);
    }
    tn_arena_free(arena);
    return 0;
}
