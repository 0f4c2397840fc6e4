/* t/fuzz/json.c: what is taken as JSON prints as JSON of the same value, and is bounded */
#include "base/json.h"

#include <string.h>

#include "base/text.h"
#include "t/fuzz/fuzz.h"

#define DEPTH 8

static int
depth_of(json_object *value)
{
    int deepest = 0;

    if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            const int depth = depth_of(json_object_array_get_idx(value, i));

            deepest = depth > deepest ? depth : deepest;
        }
        return deepest + 1;
    }
    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, name, member)
        {
            const int depth = depth_of(member);

            assert(tn_text_is_utf8(name, strlen(name)));
            deepest = depth > deepest ? depth : deepest;
        }
        return deepest + 1;
    }
    if (json_object_is_type(value, json_type_string)) {
        const char *text = json_object_get_string(value);

        assert(strlen(text) == (size_t)json_object_get_string_len(value));
    }
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    json_object *value, *again;
    const tn_error *error = tn_json_parse(arena, (const char *)bytes, length, DEPTH, &value);

    if (error != NULL) {
        assert(value == NULL && error->status == 400);
    } else {
        const char *printed = tn_json_print(arena, value);

        assert(memchr(bytes, '\0', length) == NULL);
        assert(depth_of(value) <= DEPTH);
        assert(tn_json_parse(arena, printed, strlen(printed), DEPTH, &again) == NULL);
        assert(strcmp(tn_json_print(arena, again), printed) == 0);
    }
    tn_arena_free(arena);
    return 0;
}
