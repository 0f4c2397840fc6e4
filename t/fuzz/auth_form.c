/* t/fuzz/auth_form.c: what was read of a form and is written as one again is read as the same */
#include <string.h>

#include "auth/form.h"
#include "t/fuzz/fuzz.h"

static json_object *
read_form(tn_arena *arena, const char *text, size_t length)
{
    const tn_request request = {.body = text, .body_length = length};
    tn_ctx c = {.arena = arena, .request = &request};
    json_object *object;

    return tn_auth_form_read(&c, &object) == NULL ? object : NULL;
}

static void
write_member(PQExpBuffer text, const char *name, const char *value)
{
    appendPQExpBufferStr(text, text->len > 0 ? "&" : "");
    for (const char *at = name; *at != '\0'; at++)
        appendPQExpBuffer(text, "%%%02X", (unsigned char)*at);
    appendPQExpBufferChar(text, '=');
    for (const char *at = value; *at != '\0'; at++)
        appendPQExpBuffer(text, "%%%02x", (unsigned char)*at);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length);
    json_object *form = read_form(arena, text, length), *again;
    PQExpBuffer written = tn_arena_buffer(arena);

    if (form != NULL) {
        json_object_object_foreach(form, name, value)
        {
            assert(*name != '\0');
            if (json_object_is_type(value, json_type_string))
                write_member(written, name, json_object_get_string(value));
            for (size_t i = 0;
                 json_object_is_type(value, json_type_array) && i < json_object_array_length(value);
                 i++)
                write_member(written, name,
                             json_object_get_string(json_object_array_get_idx(value, i)));
        }
        again = read_form(arena, tn_buffer_text(written), written->len);
        assert(again != NULL && json_object_equal(form, again));
    }
    tn_arena_free(arena);
    return 0;
}
