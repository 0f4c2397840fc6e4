/* t/unit/cipher.c: objects/cipher.c: sizes, ranges, and every way of tampering with a file */
#include "objects/cipher.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crypto.h"
#include "t/unit/unit.h"

#define CHUNK TN_CIPHER_CHUNK
#define SEALED (CHUNK + 16)

/* A backend that is one file and gives it out in pieces of that many bytes. */
static struct {
    int fd;
    size_t piece;
} store;

const tn_error *
tn_backend_get(tn_backend *backend, tn_arena *arena, const tn_blob *blob, int64_t offset,
               int64_t length, tn_blob_sink *sink, void *context)
{
    int64_t end = lseek(store.fd, 0, SEEK_END);

    (void)backend;
    (void)blob;
    if (length >= 0 && offset + length < end)
        end = offset + length;
    while (offset < end) {
        char *bytes = tn_arena_alloc(arena, store.piece, 1);
        const size_t wanted =
            (size_t)(end - offset) < store.piece ? (size_t)(end - offset) : store.piece;
        const ssize_t got = pread(store.fd, bytes, wanted, (off_t)offset);

        assert_int_equal(got, wanted);
        if (!sink(context, bytes, wanted))
            return NULL;
        offset += got;
    }
    return NULL;
}

static const tn_data_key key = {{0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31}};
static const tn_data_key other_key = {{1}};

static int
memory_file(void)
{
    const int fd = memfd_create("cipher", MFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* Content whose bytes tell where they are. */
static uint8_t *
content(tn_arena *arena, size_t size)
{
    uint8_t *bytes = tn_arena_alloc(arena, size + 1, 1);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    return bytes;
}

static const tn_error *
append(void *context, const void *bytes, size_t length)
{
    const int *fd = context;

    assert_int_equal(write(*fd, bytes, length), length);
    return NULL;
}

static int
encrypted(tn_arena *arena, const tn_data_key *with, size_t size)
{
    const int plain = memory_file();
    int sealed = memory_file();

    assert_int_equal(pwrite(plain, content(arena, size), size, 0), size);
    assert_null(tn_cipher_encrypt(arena, with, plain, (int64_t)size, append, &sealed));
    assert_int_equal(lseek(sealed, 0, SEEK_END), tn_cipher_file_size((int64_t)size));
    (void)close(plain);
    return sealed;
}

struct taken {
    PQExpBuffer bytes;
    size_t most; /* stops when there are so many */
};

static bool
take(void *context, const char *bytes, size_t length)
{
    struct taken *taken = context;

    appendBinaryPQExpBuffer(taken->bytes, bytes, length);
    return taken->bytes->len < taken->most;
}

/* Whether it opens, from a backend and from a file alike; what came out is in `taken`. */
static bool
opens(tn_arena *arena, int fd, const tn_cipher_source *source, struct taken *taken)
{
    static const tn_blob blob = {.version = {"0198c0de-0000-4000-8000-000000000000"}};
    struct taken again = {.bytes = tn_arena_buffer(arena), .most = taken->most};
    const tn_error *error, *file_error;

    taken->bytes = tn_arena_buffer(arena);
    store.fd = fd;
    error = tn_cipher_get(NULL, arena, &blob, source, take, taken);
    file_error = tn_cipher_get_file(arena, fd, source, take, &again);
    assert_int_equal(error == NULL, file_error == NULL);
    assert_int_equal(taken->bytes->len, again.bytes->len);
    assert_memory_equal(taken->bytes->data, again.bytes->data, again.bytes->len);
    return error == NULL;
}

static const char *
hex(tn_arena *arena, int fd)
{
    const size_t size = (size_t)lseek(fd, 0, SEEK_END);
    uint8_t *bytes = tn_arena_alloc(arena, size + 1, 1);
    char *text = tn_arena_alloc(arena, 2 * size + 1, 1);

    assert_int_equal(pread(fd, bytes, size, 0), size);
    tn_hex(bytes, size, text);
    return text;
}

/* What another implementation of the same words makes (node:crypto). */
static void
files_are_as_described(void **state)
{
    tn_arena *arena = tn_arena_new();
    const int empty = encrypted(arena, &key, 0), large = encrypted(arena, &key, 2 * CHUNK + 5);
    const int plain = memory_file();
    int sealed = memory_file();

    (void)state;
    assert_string_equal(hex(arena, empty), "6edd5865b5fbb0239a7ca35cfcad489b");
    assert_int_equal(pwrite(plain, "hello", 5, 0), 5);
    assert_null(tn_cipher_encrypt(arena, &key, plain, 5, append, &sealed));
    assert_string_equal(hex(arena, sealed), "66d9d9b2da3305e7bf6caa8a9c82c82c7026f90b97");
    assert_int_equal(lseek(large, 0, SEEK_END), 2 * SEALED + 5 + 16);
    {
        const size_t size = (size_t)lseek(large, 0, SEEK_END);
        uint8_t *bytes = tn_arena_alloc(arena, size, 1), digest[TN_SHA256_SIZE];
        char text[TN_SHA256_HEX];

        assert_int_equal(pread(large, bytes, size, 0), size);
        tn_sha256(bytes, size, digest);
        tn_hex(digest, sizeof(digest), text);
        assert_string_equal(text,
                            "19653e54fb41536561dd8db9cc142f7e5cc8eb63af625c1cccc2623b38b3c61a");
    }
    (void)close(empty);
    (void)close(large);
    (void)close(plain);
    (void)close(sealed);
    tn_arena_free(arena);
}

static const size_t sizes[] = {0,         1,         15,        CHUNK - 1,     CHUNK,
                               CHUNK + 1, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK + 1, 5 * CHUNK - 7};
static const size_t pieces[] = {1 << 20, SEALED, 4096, 1000, 17};

static void
check_range(int fd, size_t size, size_t first, int64_t length)
{
    tn_arena *arena = tn_arena_new();
    const uint8_t *bytes = content(arena, size);
    const tn_cipher_source source = {
        .key = &key, .size = (int64_t)size, .offset = (int64_t)first, .length = length};
    const size_t expected =
        length < 0 || (size_t)length > size - first ? size - first : (size_t)length;
    struct taken taken = {.most = SIZE_MAX};

    TN_CASE("%zu bytes: %lld from %zu on", size, (long long)length, first);
    TN_CHECK(opens(arena, fd, &source, &taken));
    TN_CHECK(taken.bytes->len == expected);
    TN_CHECK(memcmp(taken.bytes->data, bytes + first, expected) == 0);
    tn_arena_free(arena);
}

static void
any_range_comes_back(void **state)
{
    static const size_t places[] = {0,         1,         CHUNK - 1,     CHUNK,    CHUNK + 1,
                                    2 * CHUNK, 3 * CHUNK, 5 * CHUNK - 8, SIZE_MAX, SIZE_MAX - 1};
    static const int64_t lengths[] = {-1, 0, 1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(sizes); i++) {
        tn_arena *arena = tn_arena_new();
        const int fd = encrypted(arena, &key, sizes[i]);

        store.piece = pieces[i % TN_COUNT(pieces)];
        for (size_t j = 0; j < TN_COUNT(places); j++)
            for (size_t k = 0; k < TN_COUNT(lengths); k++) {
                const size_t first =
                    places[j] > SIZE_MAX / 2 ? sizes[i] + (places[j] - SIZE_MAX) : places[j];

                if (first <= sizes[i])
                    check_range(fd, sizes[i], first, lengths[k]);
            }
        (void)close(fd);
        tn_arena_free(arena);
    }
}

static void
random_ranges_come_back(void **state)
{
    tn_arena *arena = tn_arena_new();
    const size_t size = 4 * CHUNK + 1234;
    const int fd = encrypted(arena, &key, size);

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        uint32_t chance[3];

        tn_random(chance, sizeof(chance));
        store.piece = 1 + chance[2] % (2 * SEALED);
        check_range(fd, size, chance[0] % (size + 1), (int64_t)(chance[1] % (size + 1)));
    }
    (void)close(fd);
    tn_arena_free(arena);
}

static void
who_has_enough_stops(void **state)
{
    tn_arena *arena = tn_arena_new();
    const int fd = encrypted(arena, &key, 4 * CHUNK);
    const tn_cipher_source source = {.key = &key, .size = 4 * CHUNK, .length = -1};
    struct taken taken = {.most = CHUNK + 1};

    (void)state;
    store.piece = 4096;
    assert_true(opens(arena, fd, &source, &taken));
    assert_int_equal(taken.bytes->len, 2 * CHUNK);
    assert_null(tn_cipher_get_file(arena, fd, &source, NULL, NULL));
    (void)close(fd);
    tn_arena_free(arena);
}

/* --- tampering -------------------------------------------------------------------------------- */

static void
copy_part(int from, int64_t at, int to, int64_t there, size_t length)
{
    tn_arena *arena = tn_arena_new();
    uint8_t *bytes = tn_arena_alloc(arena, length + 1, 1);

    assert_int_equal(pread(from, bytes, length, (off_t)at), length);
    assert_int_equal(pwrite(to, bytes, length, (off_t)there), length);
    tn_arena_free(arena);
}

#define SIZE (3 * CHUNK + 100) /* of what is tampered with */

static void
flip_a_bit_of_the_first(int fd, int other)
{
    uint8_t byte;

    (void)other;
    assert_int_equal(pread(fd, &byte, 1, 5), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, 5), 1);
}

static void
flip_a_bit_of_a_tag(int fd, int other)
{
    uint8_t byte;

    (void)other;
    assert_int_equal(pread(fd, &byte, 1, 2 * SEALED - 1), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 2 * SEALED - 1), 1);
}

static void
swap_two_chunks(int fd, int other)
{
    copy_part(fd, 0, other, 0, SEALED);
    copy_part(fd, SEALED, fd, 0, SEALED);
    copy_part(other, 0, fd, SEALED, SEALED);
}

static void
repeat_a_chunk(int fd, int other)
{
    (void)other;
    copy_part(fd, 0, fd, SEALED, SEALED);
}

static void
take_a_chunk_from_another_file(int fd, int other)
{
    copy_part(other, SEALED, fd, SEALED, SEALED);
}

static void
cut_the_last_chunk_off(int fd, int other)
{
    (void)other;
    assert_int_equal(ftruncate(fd, 3 * SEALED), 0);
}

static void
cut_a_byte_off(int fd, int other)
{
    (void)other;
    assert_int_equal(ftruncate(fd, tn_cipher_file_size(SIZE) - 1), 0);
}

static void
leave_out_the_first_chunk(int fd, int other)
{
    (void)other;
    copy_part(fd, SEALED, fd, 0, 2 * SEALED + 116);
    assert_int_equal(ftruncate(fd, 2 * SEALED + 116), 0);
}

static void
append_a_byte(int fd, int other)
{
    (void)other;
    assert_int_equal(pwrite(fd, "", 1, (off_t)tn_cipher_file_size(SIZE)), 1);
}

static void
empty_the_file(int fd, int other)
{
    (void)other;
    assert_int_equal(ftruncate(fd, 0), 0);
}

static const struct {
    const char *name;
    void (*tamper)(int fd, int other);
    size_t intact; /* bytes in front that may come out before it is found */
} tampering[] = {
    {"a bit of the first chunk", flip_a_bit_of_the_first, 0},
    {"a bit of a tag", flip_a_bit_of_a_tag, CHUNK},
    {"two chunks in each other's place", swap_two_chunks, 0},
    {"a chunk twice", repeat_a_chunk, CHUNK},
    {"a chunk of another file", take_a_chunk_from_another_file, CHUNK},
    {"without its last chunk", cut_the_last_chunk_off, 3 * CHUNK},
    {"a byte short", cut_a_byte_off, 3 * CHUNK},
    {"without its first chunk", leave_out_the_first_chunk, 0},
    {"a byte more", append_a_byte, SIZE},
    {"nothing left", empty_the_file, 0},
};

static void
tampering_is_found(void **state)
{
    const tn_cipher_source whole = {.key = &key, .size = SIZE, .length = -1};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(tampering); i++)
        for (size_t j = 0; j < TN_COUNT(pieces); j++) {
            tn_arena *arena = tn_arena_new();
            const int fd = encrypted(arena, &key, SIZE), other = encrypted(arena, &other_key, SIZE);
            struct taken taken = {.most = SIZE_MAX};

            store.piece = pieces[j];
            TN_CASE("%s, in pieces of %zu", tampering[i].name, pieces[j]);
            tampering[i].tamper(fd, other);
            TN_CHECK(!opens(arena, fd, &whole, &taken));
            TN_CHECK(taken.bytes->len == tampering[i].intact);
            TN_CHECK(memcmp(taken.bytes->data, content(arena, SIZE), taken.bytes->len) == 0);
            TN_CHECK(tn_cipher_get_file(arena, fd, &whole, NULL, NULL) != NULL);
            (void)close(fd);
            (void)close(other);
            tn_arena_free(arena);
        }
}

/* The row says how large the content is: one that says otherwise than the file opens nothing of it
 * that is at the wrong end. */
static void
a_wrong_size_is_found(void **state)
{
    static const int64_t wrong[] = {0, 1, CHUNK, 2 * CHUNK, 3 * CHUNK, SIZE - 1, SIZE + 1};

    (void)state;
    store.piece = 4096;
    for (size_t i = 0; i < TN_COUNT(wrong); i++) {
        tn_arena *arena = tn_arena_new();
        const int fd = encrypted(arena, &key, SIZE);
        const tn_cipher_source source = {.key = &key, .size = wrong[i], .length = -1};
        struct taken taken = {.most = SIZE_MAX};

        TN_CASE("%lld", (long long)wrong[i]);
        TN_CHECK(!opens(arena, fd, &source, &taken));
        (void)close(fd);
        tn_arena_free(arena);
    }
}

static void
another_key_opens_nothing(void **state)
{
    tn_arena *arena = tn_arena_new();
    const int fd = encrypted(arena, &other_key, 10);
    const tn_cipher_source source = {.key = &key, .size = 10, .length = -1};
    struct taken taken = {.most = SIZE_MAX};

    (void)state;
    store.piece = 4096;
    assert_false(opens(arena, fd, &source, &taken));
    assert_int_equal(taken.bytes->len, 0);
    (void)close(fd);
    tn_arena_free(arena);
}

static void
a_short_source_is_no_content(void **state)
{
    tn_arena *arena = tn_arena_new();
    const int plain = memory_file();
    int sealed = memory_file();

    (void)state;
    assert_int_equal(pwrite(plain, "hello", 5, 0), 5);
    assert_non_null(tn_cipher_encrypt(arena, &key, plain, 6, append, &sealed));
    (void)close(plain);
    (void)close(sealed);
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_as_described),    cmocka_unit_test(any_range_comes_back),
        cmocka_unit_test(random_ranges_come_back),   cmocka_unit_test(who_has_enough_stops),
        cmocka_unit_test(tampering_is_found),        cmocka_unit_test(a_wrong_size_is_found),
        cmocka_unit_test(another_key_opens_nothing), cmocka_unit_test(a_short_source_is_no_content),
    };

    return tn_unit_run("cipher", tests, TN_COUNT(tests));
}
