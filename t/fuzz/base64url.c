/* t/fuzz/base64url.c: each bytes have one text, and each text that is taken is that of its bytes */
#include <string.h>

#include "base/crypto.h"
#include "t/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    uint8_t *decoded = tn_arena_alloc(arena, length + 1, 1);
    const char *text = tn_base64url(arena, bytes, length);
    size_t decoded_length;
    char *hex = tn_arena_alloc(arena, 2 * length + 1, 1);

    assert(tn_base64url_decode(text, strlen(text), decoded, length, &decoded_length));
    assert(decoded_length == length);
    assert(length == 0 || memcmp(decoded, bytes, length) == 0);
    if (tn_base64url_decode((const char *)bytes, length, decoded, length, &decoded_length)) {
        text = tn_base64url(arena, decoded, decoded_length);
        assert(strlen(text) == length && (length == 0 || memcmp(text, bytes, length) == 0));
    }
    tn_hex(bytes, length, hex);
    assert(tn_hex_decode(hex, decoded, length));
    assert(length == 0 || memcmp(decoded, bytes, length) == 0);
    tn_arena_free(arena);
    return 0;
}
