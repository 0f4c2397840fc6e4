/* t/unit/object_digest.c: objects/digest.c: known answers, however the bytes come */
#include <string.h>

#include "base/crypto.h"
#include "objects/digest.h"
#include "t/unit/unit.h"

#define ALL                                                                                   \
    (TN_DIGEST_MD5 | TN_DIGEST_SHA256 | TN_DIGEST_SHA1 | TN_DIGEST_CRC32 | TN_DIGEST_CRC32C | \
     TN_DIGEST_CRC64NVME)

/* RFC 1321, FIPS 180-4, and the check values of the CRC catalogue (over "123456789"). */
static const struct {
    const char *text;
    const char *md5, *sha256, *sha1, *crc32, *crc32c, *crc64nvme;
} rows[] = {
    {"", "d41d8cd98f00b204e9800998ecf8427e",
     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
     "da39a3ee5e6b4b0d3255bfef95601890afd80709", "00000000", "00000000", "0000000000000000"},
    {"123456789", "25f9e794323b453885f5181f1b624d0b",
     "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
     "f7c3bc1d808e04732adf679965ccc34ca7ae3441", "cbf43926", "e3069283", "ae8b14860a799888"},
};

static const char *
hex(tn_arena *arena, const uint8_t *bytes, size_t length)
{
    char *text = tn_arena_alloc(arena, 2 * length + 1, 1);

    tn_hex(bytes, length, text);
    return text;
}

static void
known_answers(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(rows); i++) {
        tn_digest *digest = tn_digest_new(arena, ALL);
        tn_digests got;

        tn_digest_add(digest, rows[i].text, strlen(rows[i].text));
        tn_digest_end(digest, &got);
        TN_CASE("%s", rows[i].text);
        TN_CHECK_TEXT(hex(arena, got.md5, sizeof(got.md5)), rows[i].md5);
        TN_CHECK_TEXT(hex(arena, got.sha256, sizeof(got.sha256)), rows[i].sha256);
        TN_CHECK_TEXT(hex(arena, got.sha1, sizeof(got.sha1)), rows[i].sha1);
        TN_CHECK_TEXT(hex(arena, got.crc32, sizeof(got.crc32)), rows[i].crc32);
        TN_CHECK_TEXT(hex(arena, got.crc32c, sizeof(got.crc32c)), rows[i].crc32c);
        TN_CHECK_TEXT(hex(arena, got.crc64nvme, sizeof(got.crc64nvme)), rows[i].crc64nvme);
    }
    tn_arena_free(arena);
}

/* One bit after the other, as the polynomials are defined: what the tables must agree with. */
static uint64_t
slow_crc(uint64_t polynomial, uint64_t all, const uint8_t *bytes, size_t length)
{
    uint64_t crc = all;

    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial : 0);
    }
    return crc ^ all;
}

static uint64_t
big_endian(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

static void
any_split_gives_the_same(void **state)
{
    uint8_t bytes[4099];
    tn_arena *arena = tn_arena_new();
    tn_digests whole, split;
    tn_digest *digest;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 3));
    digest = tn_digest_new(arena, ALL);
    tn_digest_add(digest, bytes, sizeof(bytes));
    tn_digest_end(digest, &whole);
    for (size_t size = 1; size < 40; size++) {
        digest = tn_digest_new(arena, ALL);
        for (size_t at = 0; at < sizeof(bytes); at += size)
            tn_digest_add(digest, bytes + at,
                          sizeof(bytes) - at < size ? sizeof(bytes) - at : size);
        tn_digest_end(digest, &split);
        assert_memory_equal(&whole, &split, sizeof(whole));
    }
    assert_int_equal(big_endian(whole.crc32, 4),
                     slow_crc(0xedb88320u, UINT32_MAX, bytes, sizeof(bytes)));
    assert_int_equal(big_endian(whole.crc32c, 4),
                     slow_crc(0x82f63b78u, UINT32_MAX, bytes, sizeof(bytes)));
    assert_true(big_endian(whole.crc64nvme, 8) ==
                slow_crc(0x9a6c9329ac4bc9b5u, UINT64_MAX, bytes, sizeof(bytes)));
    tn_arena_free(arena);
}

static void
only_what_is_wanted(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_digest *digest = tn_digest_new(arena, TN_DIGEST_CRC32);
    const tn_digests zero = {0};
    tn_digests got;

    (void)state;
    tn_digest_add(digest, "123456789", 9);
    tn_digest_end(digest, &got);
    assert_int_equal(big_endian(got.crc32, 4), 0xcbf43926u);
    memset(got.crc32, 0, sizeof(got.crc32));
    assert_memory_equal(&got, &zero, sizeof(zero));
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(any_split_gives_the_same),
        cmocka_unit_test(only_what_is_wanted),
    };

    return tn_unit_run("object_digest", tests, TN_COUNT(tests));
}
