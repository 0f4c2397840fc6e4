/* t/fuzz/cipher.c: what has been encrypted comes back, in any range; and a file that was changed
 * anywhere gives only what is in front
 *
 * Of the input: three bytes for the size of the content, six for a range, three for the place of a
 * change, the rest is the content's beginning. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "objects/cipher.h"
#include "t/fuzz/fuzz.h"

#define SIZE_MOST (3 * TN_CIPHER_CHUNK)

struct taken {
    const uint8_t *expected;
    size_t length;
};

static bool
compare(void *context, const char *bytes, size_t length)
{
    struct taken *taken = context;

    assert(memcmp(taken->expected + taken->length, bytes, length) == 0);
    taken->length += length;
    return true;
}

static const tn_error *
append(void *context, const void *bytes, size_t length)
{
    const int *fd = context;

    assert(write(*fd, bytes, length) == (ssize_t)length);
    return NULL;
}

static uint32_t
number(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static bool is_quiet;
    const tn_data_key key = {{1, 2, 3}};
    tn_arena *arena;
    int plain, sealed;
    uint8_t *content, byte;
    tn_cipher_source source = {.key = &key, .length = -1};
    struct taken taken = {0};
    int64_t place;

    if (length < 12)
        return 0;
    arena = tn_arena_new();
    if (!is_quiet)
        is_quiet = tn_log_open("/dev/null", TN_LOG_ERROR);
    source.size = number(bytes) % (SIZE_MOST + 1);
    content = tn_arena_alloc(arena, SIZE_MOST, 1);
    memcpy(content, bytes + 12, length - 12 < SIZE_MOST ? length - 12 : SIZE_MOST);
    plain = memfd_create("plain", 0);
    sealed = memfd_create("sealed", 0);
    assert(write(plain, content, (size_t)source.size) == source.size);
    assert(tn_cipher_encrypt(arena, &key, plain, source.size, append, &sealed) == NULL);

    source.offset = number(bytes + 3) % (source.size + 1);
    source.length = number(bytes + 6) % (SIZE_MOST + 1);
    taken.expected = content + source.offset;
    assert(tn_cipher_get_file(arena, sealed, &source, compare, &taken) == NULL);
    assert((int64_t)taken.length == (source.length < source.size - source.offset
                                         ? source.length
                                         : source.size - source.offset));

    place = number(bytes + 9) % tn_cipher_file_size(source.size);
    assert(pread(sealed, &byte, 1, place) == 1);
    byte ^= 0x40;
    assert(pwrite(sealed, &byte, 1, place) == 1);
    source.offset = 0;
    source.length = -1;
    taken = (struct taken){.expected = content};
    assert(tn_cipher_get_file(arena, sealed, &source, compare, &taken) != NULL);
    assert((int64_t)taken.length == place / (TN_CIPHER_CHUNK + 16) * TN_CIPHER_CHUNK);
    (void)close(plain);
    (void)close(sealed);
    tn_arena_free(arena);
    return 0;
}
