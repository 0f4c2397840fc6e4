/* storage/s3_checksum.c: the checksums that S3 knows besides the MD5 */
#include "base/text.h"
#include "storage/s3.h"

const tn_s3_checksum tn_s3_checksums[] = {
    {"crc32", "ChecksumCRC32", "CRC32", TN_DIGEST_CRC32, 4, offsetof(tn_digests, crc32)},
    {"crc32c", "ChecksumCRC32C", "CRC32C", TN_DIGEST_CRC32C, 4, offsetof(tn_digests, crc32c)},
    {"crc64nvme", "ChecksumCRC64NVME", "CRC64NVME", TN_DIGEST_CRC64NVME, 8,
     offsetof(tn_digests, crc64nvme)},
    {"sha1", "ChecksumSHA1", "SHA1", TN_DIGEST_SHA1, 20, offsetof(tn_digests, sha1)},
    {"sha256", "ChecksumSHA256", "SHA256", TN_DIGEST_SHA256, 32, offsetof(tn_digests, sha256)},
};
const size_t tn_s3_checksum_count = TN_COUNT(tn_s3_checksums);

const tn_s3_checksum *
tn_s3_checksum_by_label(const char *label)
{
    for (size_t i = 0; i < tn_s3_checksum_count; i++)
        if (tn_text_same_case(tn_s3_checksums[i].label, label))
            return &tn_s3_checksums[i];
    return NULL;
}

const char *
tn_s3_checksum_text(tn_arena *arena, const tn_s3_checksum *checksum, const tn_digests *digests)
{
    return tn_base64(arena, (const char *)digests + checksum->offset, checksum->size);
}

bool
tn_s3_checksum_read(tn_arena *arena, const tn_s3_checksum *checksum, const char *text,
                    tn_digests *digests)
{
    size_t length;

    return tn_base64_decode(arena, text, strlen(text), (char *)digests + checksum->offset,
                            checksum->size, &length) &&
           length == checksum->size;
}
