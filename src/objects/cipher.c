/* objects/cipher.c: contents sealed and opened chunk by chunk */
#include "objects/cipher.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto_chunk.h"
#include "base/log.h"

#define SEALED_CHUNK (TN_CIPHER_CHUNK + TN_CHUNK_TAG)
#define MARK "tenon chunk 1" /* its NUL is where the mark of the last chunk goes */

static int64_t
count_chunks(int64_t size)
{
    return size == 0 ? 1 : (size + TN_CIPHER_CHUNK - 1) / TN_CIPHER_CHUNK;
}

int64_t
tn_cipher_file_size(int64_t size)
{
    return size + count_chunks(size) * TN_CHUNK_TAG;
}

static void
name_chunk(int64_t number, bool is_last, uint8_t nonce[TN_CHUNK_NONCE], char mark[sizeof(MARK)])
{
    memset(nonce, 0, TN_CHUNK_NONCE);
    for (size_t i = 0; i < 8; i++)
        nonce[TN_CHUNK_NONCE - 1 - i] = (uint8_t)((uint64_t)number >> (8 * i));
    memcpy(mark, MARK, sizeof(MARK));
    mark[sizeof(MARK) - 1] = is_last ? 1 : 0;
}

/* --- sealing ---------------------------------------------------------------------------------- */

static const tn_error *
read_piece(tn_arena *arena, int fd, int64_t offset, uint8_t *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t got = pread(fd, bytes + done, size - done, (off_t)offset + (off_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return tn_error_internal(arena, "storage.file.read_failed", "%s",
                                     got < 0 ? strerror(errno) : "the file is too short");
        done += (size_t)got;
    }
    return NULL;
}

const tn_error *
tn_cipher_encrypt(tn_arena *arena, const tn_data_key *key, int from, int64_t size,
                  tn_cipher_put *put, void *context)
{
    tn_chunk_cipher *cipher = tn_chunk_cipher_new(arena, key->bytes, true);
    uint8_t *plain = tn_arena_alloc(arena, TN_CIPHER_CHUNK, 1);
    uint8_t *sealed = tn_arena_alloc(arena, SEALED_CHUNK, 1);
    const int64_t count = count_chunks(size);
    const tn_error *error = NULL;

    for (int64_t i = 0; error == NULL && i < count; i++) {
        const bool is_last = i == count - 1;
        const size_t length =
            is_last ? (size_t)(size - i * TN_CIPHER_CHUNK) : (size_t)TN_CIPHER_CHUNK;
        uint8_t nonce[TN_CHUNK_NONCE];
        char mark[sizeof(MARK)];

        name_chunk(i, is_last, nonce, mark);
        error = read_piece(arena, from, i * TN_CIPHER_CHUNK, plain, length);
        if (error != NULL)
            break;
        tn_chunk_seal(cipher, nonce, mark, sizeof(mark), plain, length, sealed);
        error = put(context, sealed, length + TN_CHUNK_TAG);
    }
    tn_wipe(plain, TN_CIPHER_CHUNK);
    return error;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* Takes the bytes of the file as they come, in pieces of any size, from the beginning of a chunk
 * on. */
struct opening {
    tn_chunk_cipher *cipher;
    int64_t count, size;  /* chunks and bytes of the whole content */
    int64_t next;         /* chunk that is being collected */
    int64_t first, after; /* the part of the content that is wanted */
    uint8_t *sealed, *plain;
    size_t held; /* bytes in `sealed` */
    tn_blob_sink *sink;
    void *context;
    bool is_enough, is_tampered;
};

static size_t
length_of_next(const struct opening *opening)
{
    return opening->next < opening->count - 1
               ? SEALED_CHUNK
               : (size_t)(opening->size - opening->next * TN_CIPHER_CHUNK) + TN_CHUNK_TAG;
}

/* Gives out the part of the chunk that is wanted. */
static bool
give_out(struct opening *opening, size_t length)
{
    const int64_t start = opening->next * TN_CIPHER_CHUNK;
    const int64_t from = opening->first > start ? opening->first - start : 0;
    const int64_t to =
        opening->after - start < (int64_t)length ? opening->after - start : (int64_t)length;

    if (opening->sink == NULL || from >= to)
        return true;
    return opening->sink(opening->context, (const char *)opening->plain + from,
                         (size_t)(to - from));
}

static bool
open_chunk(struct opening *opening)
{
    uint8_t nonce[TN_CHUNK_NONCE];
    char mark[sizeof(MARK)];
    const size_t length = opening->held;

    name_chunk(opening->next, opening->next == opening->count - 1, nonce, mark);
    if (!tn_chunk_open(opening->cipher, nonce, mark, sizeof(mark), opening->sealed, length,
                       opening->plain)) {
        opening->is_tampered = true;
        return false;
    }
    if (!give_out(opening, length - TN_CHUNK_TAG)) {
        opening->is_enough = true;
        return false;
    }
    opening->next++;
    opening->held = 0;
    return true;
}

static bool
take_sealed(void *context, const char *bytes, size_t length)
{
    struct opening *opening = context;

    while (length > 0) {
        size_t missing, part;

        if (opening->next == opening->count) { /* there is more than there can be */
            opening->is_tampered = true;
            return false;
        }
        missing = length_of_next(opening) - opening->held;
        part = length < missing ? length : missing;
        memcpy(opening->sealed + opening->held, bytes, part);
        opening->held += part;
        bytes += part;
        length -= part;
        if (part == missing && !open_chunk(opening))
            return false;
    }
    return true;
}

/* What is to be read of the file: from *offset on, up to and without *after. */
static void
begin(struct opening *opening, tn_arena *arena, const tn_cipher_source *source, int64_t *offset,
      int64_t *after)
{
    const int64_t end = source->length < 0 || source->length > source->size - source->offset
                            ? source->size
                            : source->offset + source->length;
    const int64_t count = count_chunks(source->size);
    int64_t last; /* chunk that is needed */

    assert(source->offset >= 0 && source->offset <= source->size);
    *opening = (struct opening){
        .cipher = tn_chunk_cipher_new(arena, source->key->bytes, false),
        .count = count,
        .size = source->size,
        .next = source->offset / TN_CIPHER_CHUNK,
        .first = source->offset,
        .after = end,
        .sealed = tn_arena_alloc(arena, SEALED_CHUNK, 1),
        .plain = tn_arena_alloc(arena, TN_CIPHER_CHUNK, 1),
    };
    if (opening->next > count - 1) /* nothing, at the end of an exact multiple */
        opening->next = count - 1;
    last = end == 0 ? 0 : (end - 1) / TN_CIPHER_CHUNK;
    if (last < opening->next)
        last = opening->next;
    *offset = opening->next * SEALED_CHUNK;
    *after = last == count - 1 ? tn_cipher_file_size(source->size) : (last + 1) * SEALED_CHUNK;
}

/* `expected`: the chunk after the last one that was asked for. */
static const tn_error *
end(struct opening *opening, tn_arena *arena, int64_t expected, const char *name)
{
    tn_wipe(opening->plain, TN_CIPHER_CHUNK);
    if (opening->is_enough)
        return NULL;
    if (!opening->is_tampered && opening->next >= expected)
        return NULL;
    return tn_error_internal(arena, "storage.object.tampered", "%s: chunk %lld of %lld %s", name,
                             (long long)opening->next, (long long)opening->count,
                             opening->is_tampered ? "is not what was stored" : "is missing");
}

/* Then everything that is left is read, so that what has been appended is found. */
static bool
ends_there(const tn_cipher_source *source, int64_t after)
{
    return after == tn_cipher_file_size(source->size);
}

static int64_t
chunk_after(const struct opening *opening, int64_t after)
{
    return after == tn_cipher_file_size(opening->size) ? opening->count : after / SEALED_CHUNK;
}

const tn_error *
tn_cipher_get(tn_backend *backend, tn_arena *arena, const tn_blob *blob,
              const tn_cipher_source *source, tn_blob_sink *sink, void *context)
{
    struct opening opening;
    int64_t offset, after;

    begin(&opening, arena, source, &offset, &after);
    opening.sink = sink;
    opening.context = context;
    TN_TRY(tn_backend_get(backend, arena, blob, offset,
                          ends_there(source, after) ? -1 : after - offset, take_sealed, &opening));
    return end(&opening, arena, chunk_after(&opening, after), blob->version.text);
}

const tn_error *
tn_cipher_get_file(tn_arena *arena, int fd, const tn_cipher_source *source, tn_blob_sink *sink,
                   void *context)
{
    struct opening opening;
    int64_t offset, after;
    char *piece = tn_arena_alloc(arena, SEALED_CHUNK, 1);
    bool goes_on = true;

    begin(&opening, arena, source, &offset, &after);
    opening.sink = sink;
    opening.context = context;
    while (goes_on && (offset < after || ends_there(source, after))) {
        const int64_t left = ends_there(source, after) ? SEALED_CHUNK : after - offset;
        const ssize_t got =
            pread(fd, piece, left < SEALED_CHUNK ? (size_t)left : SEALED_CHUNK, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tn_error_internal(arena, "storage.file.read_failed", "%s", strerror(errno));
        goes_on = got > 0 && take_sealed(&opening, piece, (size_t)got);
        offset += got;
    }
    return end(&opening, arena, chunk_after(&opening, after), "a file");
}
