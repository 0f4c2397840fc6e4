/* t/fuzz/data_body.c: a body that is taken is JSON to json-c too, with the keys that were found
 *
 * The first byte chooses the media type. json-c takes no \u0000, which is left to PostgreSQL.
 */
#include "data/body.h"

#include <string.h>

#include "base/json.h"
#include "t/fuzz/fuzz.h"

#define DEPTH 6

static void
check_keys(const tn_payload *payload, json_object *object)
{
    assert(json_object_is_type(object, json_type_object));
    assert((size_t)json_object_object_length(object) == payload->key_count);
    for (size_t i = 0; i < payload->key_count; i++)
        assert(json_object_object_get_ex(object, payload->keys[i], NULL));
}

static void
check_payload(tn_arena *arena, const tn_payload *payload)
{
    json_object *value = NULL;
    const tn_error *error = tn_json_parse(arena, payload->json, payload->length, DEPTH + 1, &value);

    assert(payload->json[payload->length] == '\0');
    if (error != NULL) {
        assert(strstr(payload->json, "\\u0000") != NULL);
        return;
    }
    assert(json_object_is_type(value, payload->is_array ? json_type_array : json_type_object));
    if (!payload->is_array) {
        check_keys(payload, value);
        return;
    }
    assert(json_object_array_length(value) == payload->row_count);
    for (size_t i = 0; i < payload->row_count; i++)
        check_keys(payload, json_object_array_get_idx(value, i));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const char *const types[] = {NULL, "text/csv", "application/x-www-form-urlencoded"};
    tn_arena *arena = tn_arena_new();
    tn_body_source source = {.depth = DEPTH};
    tn_data_body body;

    if (length > 0) {
        source.content_type = types[bytes[0] % TN_COUNT(types)];
        source.text = tn_arena_bytes(arena, bytes + 1, length - 1);
        source.length = length - 1;
        if (tn_data_body_read(arena, &source, &body) == NULL)
            check_payload(arena, &body.payload);
    }
    tn_arena_free(arena);
    return 0;
}
