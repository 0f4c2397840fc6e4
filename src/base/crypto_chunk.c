/* base/crypto_chunk.c: one OpenSSL context per key, a new nonce for each piece */
#include "base/crypto_chunk.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/error.h"

struct tn_chunk_cipher {
    EVP_CIPHER_CTX *context;
    bool seals;
};

static void
release(void *what)
{
    EVP_CIPHER_CTX_free(what); /* which wipes the key */
}

tn_chunk_cipher *
tn_chunk_cipher_new(tn_arena *arena, const uint8_t key[32], bool seals)
{
    tn_chunk_cipher *cipher = tn_arena_alloc(arena, 1, sizeof(*cipher));

    cipher->seals = seals;
    cipher->context = EVP_CIPHER_CTX_new();
    if (cipher->context == NULL ||
        EVP_CipherInit_ex(cipher->context, EVP_aes_256_gcm(), NULL, key, NULL, seals ? 1 : 0) != 1)
        tn_die("OpenSSL failed: AES-256-GCM");
    tn_arena_defer(arena, release, cipher->context);
    return cipher;
}

static bool
pass(tn_chunk_cipher *cipher, const uint8_t *nonce, const void *data, size_t data_length)
{
    int written;

    assert(data_length <= INT_MAX);
    return EVP_CipherInit_ex(cipher->context, NULL, NULL, NULL, nonce, cipher->seals ? 1 : 0) ==
               1 &&
           (data_length == 0 ||
            EVP_CipherUpdate(cipher->context, NULL, &written, data, (int)data_length) == 1);
}

/* A call without bytes would mean: the end. */
static bool
convert(tn_chunk_cipher *cipher, const void *from, size_t length, void *to)
{
    int written;

    assert(length <= INT_MAX - EVP_MAX_BLOCK_LENGTH);
    return length == 0 || EVP_CipherUpdate(cipher->context, to, &written, from, (int)length) == 1;
}

/* NOLINTNEXTLINE(readability-function-size): what an AEAD takes (RFC 5116) */
void
tn_chunk_seal(tn_chunk_cipher *cipher, const uint8_t nonce[TN_CHUNK_NONCE], const void *data,
              size_t data_length, const void *bytes, size_t length, void *sealed)
{
    uint8_t *tag = (uint8_t *)sealed + length;
    uint8_t rest[EVP_MAX_BLOCK_LENGTH];
    int written;

    assert(cipher->seals);
    if (!pass(cipher, nonce, data, data_length) || !convert(cipher, bytes, length, sealed) ||
        EVP_CipherFinal_ex(cipher->context, rest, &written) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher->context, EVP_CTRL_AEAD_GET_TAG, TN_CHUNK_TAG, tag) != 1)
        tn_die("OpenSSL failed: sealing a chunk");
}

/* NOLINTNEXTLINE(readability-function-size): what an AEAD takes (RFC 5116) */
bool
tn_chunk_open(tn_chunk_cipher *cipher, const uint8_t nonce[TN_CHUNK_NONCE], const void *data,
              size_t data_length, const void *sealed, size_t length, void *bytes)
{
    uint8_t tag[TN_CHUNK_TAG], rest[EVP_MAX_BLOCK_LENGTH];
    size_t text_length;
    int written;

    assert(!cipher->seals);
    if (length < TN_CHUNK_TAG)
        return false;
    text_length = length - TN_CHUNK_TAG;
    for (size_t i = 0; i < TN_CHUNK_TAG; i++)
        tag[i] = ((const uint8_t *)sealed)[text_length + i];
    if (pass(cipher, nonce, data, data_length) && convert(cipher, sealed, text_length, bytes) &&
        EVP_CIPHER_CTX_ctrl(cipher->context, EVP_CTRL_AEAD_SET_TAG, TN_CHUNK_TAG, tag) == 1 &&
        EVP_CipherFinal_ex(cipher->context, rest, &written) == 1)
        return true;
    tn_wipe(bytes, text_length); /* unauthenticated, so nobody may see it */
    return false;
}

void
tn_wipe(void *bytes, size_t length)
{
    OPENSSL_cleanse(bytes, length);
}
