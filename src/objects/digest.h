/* objects/digest.h: checksums of content, several in one pass
 *
 * MD5 is the ETag (S3, Supabase Storage) and Content-MD5 (RFC 1864), SHA-256 what fsck and migrate
 * compare, the others are what clients of S3 send as x-amz-checksum-*: CRC32 (IEEE 802.3), CRC32C
 * (RFC 3720 appendix B.4), CRC64NVME, SHA-1. None but SHA-256 is relied on against anybody.
 *
 * Threads: a digest belongs to one thread.
 */
#ifndef TN_OBJECTS_DIGEST_H
#define TN_OBJECTS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attributes.h"

enum {
    TN_DIGEST_MD5 = 1 << 0,
    TN_DIGEST_SHA256 = 1 << 1,
    TN_DIGEST_SHA1 = 1 << 2,
    TN_DIGEST_CRC32 = 1 << 3,
    TN_DIGEST_CRC32C = 1 << 4,
    TN_DIGEST_CRC64NVME = 1 << 5,
};

typedef struct tn_digests { /* CRCs big-endian, as S3 encodes them */
    uint8_t md5[16], sha256[32], sha1[20], crc32[4], crc32c[4], crc64nvme[8];
} tn_digests;

typedef struct tn_digest tn_digest;
/* Freed with the arena. */
tn_digest *tn_digest_new(tn_arena *arena, unsigned wanted) TN_NEVER_NULL TN_MUST_CHECK;
void tn_digest_add(tn_digest *digest, const void *bytes, size_t length);
/* Once, at the end; what was not wanted is zero. */
void tn_digest_end(tn_digest *digest, tn_digests *digests);

#endif
