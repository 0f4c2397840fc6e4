/* t/fuzz/refresh_token.c: what is read as ours is exactly what we would make */
#include "auth/refresh_token.h"

#include <string.h>

#include "t/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const uint8_t key[32] = {1};
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length);
    tn_refresh_token token;

    if (tn_refresh_token_read(key, text, &token) == TN_REFRESH_OURS)
        assert(strcmp(tn_refresh_token_make(arena, key, &token), text) == 0);
    tn_arena_free(arena);
    return 0;
}
