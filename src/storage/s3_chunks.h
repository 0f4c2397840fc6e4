/* storage/s3_chunks.h: bodies of S3 that come in chunks ("aws-chunked"), and their trailers
 *
 *     10000;chunk-signature=<64 hexadecimal digits>\r\n<65,536 bytes>\r\n … 0;chunk-signature=…\r\n
 *     x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:<64 digits>\r\n\r\n
 *
 * Decoded as it comes, in constant memory. Each chunk's signature includes the one before, the
 * first the request's own, so none can be left out, repeated or moved. Bytes go to the sink before
 * their signature has been seen: what it collects counts only when tn_s3_chunks_end() agrees.
 *
 * Threads: a decoder belongs to one. Errors: 403 `SignatureDoesNotMatch`; 400 `IncompleteBody`,
 * `InvalidRequest` (malformed), `MalformedTrailerError`.
 */
#ifndef TN_STORAGE_S3_CHUNKS_H
#define TN_STORAGE_S3_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/s3_signature.h"

#define TN_S3_TRAILERS_MAX 8

typedef struct tn_s3_chunks tn_s3_chunks;

/* Takes decoded bytes. */
typedef const tn_error *tn_s3_chunk_sink(void *context, const void *bytes, size_t length);

/* For the payload of this signature; `key` is copied, `signature` must live as long. */
tn_s3_chunks *tn_s3_chunks_new(tn_arena *arena, const tn_s3_signature *signature,
                               const uint8_t key[TN_SHA256_SIZE], tn_s3_chunk_sink *sink,
                               void *context) TN_NEVER_NULL TN_MUST_CHECK;

/* The next bytes, in pieces of any size. */
const tn_error *tn_s3_chunks_add(tn_s3_chunks *chunks, const char *bytes,
                                 size_t length) TN_MUST_CHECK;

/* Nothing more comes: whether everything was there. */
const tn_error *tn_s3_chunks_end(const tn_s3_chunks *chunks) TN_MUST_CHECK;

int64_t tn_s3_chunks_decoded(const tn_s3_chunks *chunks);

/* The trailer of this name, in lower case, or NULL. Only after the end. */
const char *tn_s3_chunks_trailer(const tn_s3_chunks *chunks, const char *name);

#endif
