/* t/fuzz/text.c: UTF-8, JSON strings and URL escapes undo each other */
#include "base/text.h"

#include <string.h>

#include "base/buffer.h"
#include "base/json.h"
#include "t/fuzz/fuzz.h"

/* Escaping every byte and decoding again gives the same bytes, or nothing when they are no text. */
static void
check_url(tn_arena *arena, const char *bytes, size_t length)
{
    PQExpBuffer escaped = tn_arena_buffer(arena);
    const bool is_text = tn_text_is_utf8(bytes, length) && memchr(bytes, '\0', length) == NULL;
    const char *decoded = tn_text_url_decode(arena, bytes, length, true);

    assert(decoded == NULL || tn_text_is_utf8(decoded, strlen(decoded)));
    assert(decoded == NULL || strlen(decoded) <= length);
    for (size_t i = 0; i < length; i++)
        appendPQExpBuffer(escaped, "%%%02X", (unsigned int)(uint8_t)bytes[i]);
    decoded = tn_text_url_decode(arena, tn_buffer_text(escaped), escaped->len, false);
    assert((decoded != NULL) == is_text);
    assert(decoded == NULL || (strlen(decoded) == length && memcmp(decoded, bytes, length) == 0));
}

/* Any bytes become a JSON string; those of a text become the same text. */
static void
check_json_string(tn_arena *arena, const char *bytes, size_t length)
{
    PQExpBuffer quoted = tn_arena_buffer(arena);
    json_object *value;

    tn_buffer_json_bytes(quoted, bytes, length);
    if (memchr(bytes, '\0', length) != NULL)
        return; /* becomes \u0000, which we do not take */
    assert(tn_json_parse(arena, tn_buffer_text(quoted), quoted->len, 1, &value) == NULL);
    if (tn_text_is_utf8(bytes, length))
        assert(strlen(json_object_get_string(value)) == length &&
               memcmp(json_object_get_string(value), bytes, length) == 0);
}

static void
check_number(tn_arena *arena, const char *text)
{
    int64_t value;

    if (tn_text_int(text, INT64_MIN, INT64_MAX, &value))
        assert(strcmp(tn_arena_printf(arena, "%lld", (long long)value), text) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length);

    check_url(arena, text, length);
    check_json_string(arena, text, length);
    check_number(arena, text);
    assert(tn_text_same_case(text, tn_text_lower(arena, text)));
    tn_arena_free(arena);
    return 0;
}
