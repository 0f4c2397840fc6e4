/* objects/digest.c: OpenSSL's digests, and the CRCs of S3 by tables, eight bytes at a time */
#include "objects/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"

enum { CRC32, CRC32C, CRC64, CRC_KINDS };

/* Reflected polynomials: IEEE 802.3, Castagnoli (RFC 3720), NVM Express's. */
static const uint64_t polynomials[CRC_KINDS] = {0xedb88320u, 0x82f63b78u, 0x9a6c9329ac4bc9b5u};
static const unsigned crc_flags[CRC_KINDS] = {TN_DIGEST_CRC32, TN_DIGEST_CRC32C,
                                              TN_DIGEST_CRC64NVME};

/* tables[kind][n][byte]: what the byte does to a checksum when n bytes come behind it. */
static uint64_t tables[CRC_KINDS][8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

struct tn_digest {
    unsigned wanted;
    EVP_MD_CTX *md5, *sha256, *sha1; /* NULL: not wanted */
    uint64_t crcs[CRC_KINDS];
};

static void
make_tables(void)
{
    for (size_t kind = 0; kind < CRC_KINDS; kind++) {
        for (size_t byte = 0; byte < 256; byte++) {
            uint64_t crc = byte;

            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomials[kind] : 0);
            tables[kind][0][byte] = crc;
        }
        for (size_t n = 1; n < 8; n++)
            for (size_t byte = 0; byte < 256; byte++) {
                const uint64_t crc = tables[kind][n - 1][byte];

                tables[kind][n][byte] = (crc >> 8) ^ tables[kind][0][crc & 0xff];
            }
    }
}

static void
free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static EVP_MD_CTX *
begin(tn_arena *arena, const EVP_MD *kind)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context == NULL || EVP_DigestInit_ex(context, kind, NULL) != 1)
        tn_die("OpenSSL: a digest cannot be begun");
    tn_arena_defer(arena, free_context, context);
    return context;
}

tn_digest *
tn_digest_new(tn_arena *arena, unsigned wanted)
{
    tn_digest *digest = tn_arena_alloc(arena, 1, sizeof(*digest));

    (void)pthread_once(&tables_once, make_tables);
    digest->wanted = wanted;
    if ((wanted & TN_DIGEST_MD5) != 0)
        digest->md5 = begin(arena, EVP_md5());
    if ((wanted & TN_DIGEST_SHA256) != 0)
        digest->sha256 = begin(arena, EVP_sha256());
    if ((wanted & TN_DIGEST_SHA1) != 0)
        digest->sha1 = begin(arena, EVP_sha1());
    for (size_t i = 0; i < CRC_KINDS; i++)
        digest->crcs[i] = UINT64_MAX;
    digest->crcs[CRC32] = digest->crcs[CRC32C] = UINT32_MAX;
    return digest;
}

static uint64_t
crc_add(const uint64_t table[8][256], uint64_t crc, const uint8_t *bytes, size_t length)
{
    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t x = 0;

        for (int i = 7; i >= 0; i--)
            x = x << 8 | bytes[i];
        x ^= crc;
        crc = table[7][x & 0xff] ^ table[6][(x >> 8) & 0xff] ^ table[5][(x >> 16) & 0xff] ^
              table[4][(x >> 24) & 0xff] ^ table[3][(x >> 32) & 0xff] ^ table[2][(x >> 40) & 0xff] ^
              table[1][(x >> 48) & 0xff] ^ table[0][x >> 56];
    }
    for (; length > 0; bytes++, length--)
        crc = (crc >> 8) ^ table[0][(crc ^ *bytes) & 0xff];
    return crc;
}

static void
update(EVP_MD_CTX *context, const void *bytes, size_t length)
{
    if (context != NULL && EVP_DigestUpdate(context, bytes, length) != 1)
        tn_die("OpenSSL: a digest cannot go on");
}

void
tn_digest_add(tn_digest *digest, const void *bytes, size_t length)
{
    update(digest->md5, bytes, length);
    update(digest->sha256, bytes, length);
    update(digest->sha1, bytes, length);
    for (size_t i = 0; i < CRC_KINDS; i++)
        if ((digest->wanted & crc_flags[i]) != 0)
            digest->crcs[i] = crc_add(tables[i], digest->crcs[i], bytes, length);
}

static void
finish(EVP_MD_CTX *context, uint8_t *bytes)
{
    if (context != NULL && EVP_DigestFinal_ex(context, bytes, NULL) != 1)
        tn_die("OpenSSL: a digest cannot be ended");
}

static void
finish_crc(const tn_digest *digest, size_t kind, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size && (digest->wanted & crc_flags[kind]) != 0; i++)
        bytes[i] = (uint8_t)(~digest->crcs[kind] >> (8 * (size - 1 - i)));
}

void
tn_digest_end(tn_digest *digest, tn_digests *digests)
{
    *digests = (tn_digests){0};
    finish(digest->md5, digests->md5);
    finish(digest->sha256, digests->sha256);
    finish(digest->sha1, digests->sha1);
    finish_crc(digest, CRC32, digests->crc32, sizeof(digests->crc32));
    finish_crc(digest, CRC32C, digests->crc32c, sizeof(digests->crc32c));
    finish_crc(digest, CRC64, digests->crc64nvme, sizeof(digests->crc64nvme));
}
