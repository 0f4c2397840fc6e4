/* t/fuzz/field.c: whatever the body, fields come out whole and within their bounds, or a 400 */
#include <string.h>

#include "base/text.h"
#include "identity/ctx.h"
#include "t/fuzz/fuzz.h"

struct thing {
    const char *title;
    int flag;
    int64_t count;
    tn_uuid id;
    json_object *data;
    bool has_title;
};

static const tn_field fields[] = {
    {.name = "title",
     .offset = offsetof(struct thing, title),
     .max = 5,
     .present = offsetof(struct thing, has_title) + 1},
    {.name = "flag", .offset = offsetof(struct thing, flag), .type = TN_FIELD_BOOL},
    {.name = "count", .offset = offsetof(struct thing, count), .max = 10, .type = TN_FIELD_INT},
    {.name = "id", .offset = offsetof(struct thing, id), .type = TN_FIELD_UUID},
    {.name = "data", .offset = offsetof(struct thing, data), .type = TN_FIELD_JSON},
    {.name = NULL},
};

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    tn_request request = {.body = tn_arena_bytes(arena, bytes, length), .body_length = length};
    tn_ctx c = {.arena = arena, .request = &request};
    struct thing in = {0};
    const tn_error *error = tn_body_fields(&c, fields, &in);

    if (error != NULL) {
        assert(error->status == 400 && error->message != NULL);
    } else {
        assert(in.title == NULL || (in.has_title && strlen(in.title) <= 20 &&
                                    tn_text_is_utf8(in.title, strlen(in.title))));
        assert(in.flag >= -1 && in.flag <= 1);
        assert(in.count >= 0 && in.count <= 10);
        assert(in.id.text[0] == '\0' || strlen(in.id.text) == 36);
    }
    tn_arena_free(arena);
    return 0;
}
