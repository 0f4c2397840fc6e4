/* objects/cipher.h: the bytes of one object encrypted, in chunks
 *
 * AES-256-GCM over chunks of 64 KiB (the STREAM construction of Hoang, Reyhanitabar, Rogaway and
 * Vizár, 2015), under a random key that is used for one content only:
 *
 *     file  = chunk 0 | chunk 1 | … | chunk n-1
 *     chunk = ciphertext (65,536 bytes; the last one 1 to 65,536, or 0 when there is no content)
 *             | tag (16)
 *     nonce = number of the chunk, 12 bytes, big-endian
 *     data  = "tenon chunk 1" | 1 when it is the last chunk, else 0 (one byte)
 *
 * So a chunk that has been changed, moved within the file, taken from another file, or left out at
 * either end does not open, and any range can be read without what is before it. Nothing is given
 * out before the tag of its chunk has been checked. Where a range lies, and which chunk is the
 * last, follows from the size of the content, which the row knows.
 *
 * Threads: any. Memory: two chunks. Errors: 500 when a chunk does not open (logged as
 * `storage.object.tampered`), those of the backend, 507 `storage_full`.
 */
#ifndef TN_OBJECTS_CIPHER_H
#define TN_OBJECTS_CIPHER_H

#include <stdint.h>

#include "base/error.h"
#include "objects/backend.h"

#define TN_CIPHER_CHUNK 65536

/* Of one content. Made, sealed and opened by objects/vault.h. */
typedef struct tn_data_key {
    uint8_t bytes[32];
} tn_data_key;

/* Bytes on disk of a content of `size` bytes. */
int64_t tn_cipher_file_size(int64_t size) TN_MUST_CHECK;

/* Takes what has been encrypted. */
typedef const tn_error *tn_cipher_put(void *context, const void *bytes, size_t length);

/* Encrypts `size` bytes of the file `from`, from its beginning on. 500 when it has not that many,
 * and what `put` says. */
const tn_error *tn_cipher_encrypt(tn_arena *arena, const tn_data_key *key, int from, int64_t size,
                                  tn_cipher_put *put, void *context) TN_MUST_CHECK;

/* What is read: `size` is the content's. */
typedef struct tn_cipher_source {
    const tn_data_key *key;
    int64_t size;
    int64_t offset, length; /* of the content; length -1: to the end */
} tn_cipher_source;

/* The range, decrypted, from a backend to `sink` piece by piece; a NULL `sink` checks only. That
 * the sink wants no more is no error. */
const tn_error *tn_cipher_get(tn_backend *backend, tn_arena *arena, const tn_blob *blob,
                              const tn_cipher_source *source, tn_blob_sink *sink,
                              void *context) TN_MUST_CHECK;

/* The same from a file of ours. */
const tn_error *tn_cipher_get_file(tn_arena *arena, int fd, const tn_cipher_source *source,
                                   tn_blob_sink *sink, void *context) TN_MUST_CHECK;

#endif
