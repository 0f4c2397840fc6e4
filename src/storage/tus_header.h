/* storage/tus_header.h: what the header fields of tus 1.0.0 say
 *
 * Threads: any. Errors: 400 `InvalidRequest` where a field is not what the protocol says.
 */
#ifndef TN_STORAGE_TUS_HEADER_H
#define TN_STORAGE_TUS_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "objects/digest.h"

/* Members of Upload-Metadata, by the names that Supabase's clients give them. */
typedef struct tn_tus_metadata {
    const char *bucket, *name;
    const char *content_type;  /* NULL: not said */
    const char *cache_control; /* "max-age=3600"; NULL: no number of seconds was said */
    const char *user_metadata; /* a JSON object; NULL: none */
} tn_tus_metadata;

/* "bucketName YXZhdGFycw==,objectName YS5wbmc=,…"; bucketName and objectName must be there, unknown
 * members are left alone. NULL is a field that is not there. */
const tn_error *tn_tus_metadata_read(tn_arena *arena, const char *field,
                                     tn_tus_metadata *metadata) TN_MUST_CHECK;

/* A number of bytes: digits, nothing else. */
const tn_error *tn_tus_number_read(tn_arena *arena, const char *name, const char *field,
                                   int64_t *number) TN_MUST_CHECK;

/* Upload-Length or Upload-Defer-Length, one of the two; `length` -1: deferred. */
const tn_error *tn_tus_length_read(tn_arena *arena, const char *length_field,
                                   const char *defer_field, int64_t *length) TN_MUST_CHECK;

/* "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=": one of TN_TUS_CHECKSUMS and its value. */
typedef struct tn_tus_checksum {
    unsigned which; /* TN_DIGEST_…; 0: none was sent */
    size_t size;
    uint8_t value[32];
} tn_tus_checksum;
#define TN_TUS_CHECKSUMS "sha1,sha256,md5,crc32"
const tn_error *tn_tus_checksum_read(tn_arena *arena, const char *field,
                                     tn_tus_checksum *checksum) TN_MUST_CHECK;
bool tn_tus_checksum_fits(const tn_tus_checksum *checksum, const tn_digests *digests) TN_MUST_CHECK;

#endif
