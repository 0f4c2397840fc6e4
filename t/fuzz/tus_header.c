/* t/fuzz/tus_header.c: Upload-Metadata, Upload-Length and Upload-Checksum: what is understood is
 * text without surprises, and is understood again when it is said anew
 *
 * All of them read the same bytes.
 */
#include <string.h>

#include "base/crypto.h"
#include "base/text.h"
#include "storage/tus_header.h"
#include "t/fuzz/fuzz.h"

static void
add(PQExpBuffer field, tn_arena *arena, const char *name, const char *value)
{
    if (value != NULL)
        appendPQExpBuffer(field, "%s%s %s", field->len > 0 ? "," : "", name,
                          tn_base64(arena, value, strlen(value)));
}

static void
assert_same(const char *a, const char *b)
{
    assert((a == NULL) == (b == NULL));
    assert(a == NULL || strcmp(a, b) == 0);
    assert(a == NULL || (*a != '\0' && tn_text_is_utf8(a, strlen(a))));
}

static void
check_metadata(tn_arena *arena, const char *field)
{
    PQExpBuffer told = tn_arena_buffer(arena);
    tn_tus_metadata once, again;

    if (tn_tus_metadata_read(arena, field, &once) != NULL)
        return;
    assert(once.bucket != NULL && once.name != NULL);
    add(told, arena, "bucketName", once.bucket);
    add(told, arena, "objectName", once.name);
    add(told, arena, "contentType", once.content_type);
    if (once.cache_control != NULL) {
        assert(strncmp(once.cache_control, "max-age=", 8) == 0);
        add(told, arena, "cacheControl", once.cache_control + 8);
    }
    add(told, arena, "metadata", once.user_metadata);
    assert(tn_tus_metadata_read(arena, tn_buffer_text(told), &again) == NULL);
    assert_same(once.bucket, again.bucket);
    assert_same(once.name, again.name);
    assert_same(once.content_type, again.content_type);
    assert_same(once.cache_control, again.cache_control);
    assert_same(once.user_metadata, again.user_metadata);
}

static void
check_length(tn_arena *arena, const char *field)
{
    int64_t length, again;

    if (tn_tus_length_read(arena, field, NULL, &length) == NULL) {
        assert(length >= 0 && strspn(field, "0123456789") == strlen(field));
        assert(tn_tus_number_read(arena, "x", tn_arena_printf(arena, "%lld", (long long)length),
                                  &again) == NULL);
        assert(length == again);
    }
    if (tn_tus_length_read(arena, NULL, field, &length) == NULL)
        assert(length == -1 && strcmp(field, "1") == 0);
    assert(tn_tus_length_read(arena, field, field, &length) != NULL);
    assert(tn_tus_length_read(arena, NULL, NULL, &length) != NULL);
}

static void
check_checksum(tn_arena *arena, const char *field)
{
    tn_tus_checksum once, again;
    const char *told;

    if (tn_tus_checksum_read(arena, field, &once) != NULL)
        return;
    assert(once.which != 0 && once.size > 0 && once.size <= sizeof(once.value));
    told = tn_arena_printf(arena, "%.*s %s", (int)strcspn(field, " "), field,
                           tn_base64(arena, once.value, once.size));
    assert(tn_tus_checksum_read(arena, told, &again) == NULL);
    assert(again.which == once.which && memcmp(again.value, once.value, once.size) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *field = tn_arena_bytes(arena, bytes, length);

    check_metadata(arena, field);
    check_length(arena, field);
    check_checksum(arena, field);
    tn_arena_free(arena);
    return 0;
}
