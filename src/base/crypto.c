/* base/crypto.c: OpenSSL's EVP
 *
 * Algorithms are fetched once: an implicit fetch at each use takes a lock and costs more than
 * hashing a key does.
 */
#include "base/crypto.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"

#define NONCE_SIZE 12
#define TAG_SIZE 16

static struct {
    pthread_once_t once;
    EVP_MD *sha256;
    EVP_MAC *hmac;
    EVP_KDF *hkdf;
    EVP_CIPHER *gcm;
} algorithms = {.once = PTHREAD_ONCE_INIT};

static void
check(bool done, const char *what)
{
    if (!done)
        tn_die("OpenSSL failed: %s", what);
}

static void
fetch_algorithms(void)
{
    algorithms.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    algorithms.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    algorithms.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    algorithms.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    check(algorithms.sha256 != NULL && algorithms.hmac != NULL && algorithms.hkdf != NULL &&
              algorithms.gcm != NULL,
          "algorithms are missing");
}

static void
need_algorithms(void)
{
    (void)pthread_once(&algorithms.once, fetch_algorithms);
}

void
tn_crypto_thread_end(void)
{
    OPENSSL_thread_stop();
}

void
tn_random(void *bytes, size_t length)
{
    check(length <= INT_MAX && RAND_bytes(bytes, (int)length) == 1, "random bytes");
}

void
tn_sha256(const void *bytes, size_t length, uint8_t digest[TN_SHA256_SIZE])
{
    need_algorithms();
    check(EVP_Digest(bytes, length, digest, NULL, algorithms.sha256, NULL) == 1, "SHA-256");
}

struct tn_sha256_state {
    EVP_MD_CTX *context;
};

static void
free_sha256(void *what)
{
    const tn_sha256_state *state = what;

    EVP_MD_CTX_free(state->context);
}

tn_sha256_state *
tn_sha256_begin(tn_arena *arena)
{
    tn_sha256_state *state = tn_arena_alloc(arena, 1, sizeof(*state));

    need_algorithms();
    state->context = EVP_MD_CTX_new();
    check(state->context != NULL && EVP_DigestInit_ex(state->context, algorithms.sha256, NULL) == 1,
          "SHA-256");
    tn_arena_defer(arena, free_sha256, state);
    return state;
}

void
tn_sha256_add(tn_sha256_state *state, const void *bytes, size_t length)
{
    check(EVP_DigestUpdate(state->context, bytes, length) == 1, "SHA-256");
}

void
tn_sha256_end(tn_sha256_state *state, uint8_t digest[TN_SHA256_SIZE])
{
    check(EVP_DigestFinal_ex(state->context, digest, NULL) == 1 &&
              EVP_DigestInit_ex(state->context, algorithms.sha256, NULL) == 1,
          "SHA-256");
}

const char *
tn_sha256_hex(tn_arena *arena, const char *text)
{
    char *hex = tn_arena_alloc(arena, TN_SHA256_HEX, 1);
    uint8_t digest[TN_SHA256_SIZE];

    tn_sha256(text, strlen(text), digest);
    tn_hex(digest, sizeof(digest), hex);
    return hex;
}

void
tn_sha1(const void *bytes, size_t length, uint8_t digest[TN_SHA1_SIZE])
{
    check(EVP_Digest(bytes, length, digest, NULL, EVP_sha1(), NULL) == 1, "SHA-1");
}

bool
tn_scrypt(const tn_scrypt_cost *cost, const char *password, const void *salt, size_t salt_length,
          uint8_t key[32])
{
    const uint64_t rounds = UINT64_C(1) << cost->log2_rounds;
    const uint64_t bytes = 128 * cost->block * (rounds + cost->lanes) + (UINT64_C(1) << 20);

    return EVP_PBE_scrypt(password, strlen(password), salt, salt_length, rounds, cost->block,
                          cost->lanes, bytes, key, 32) == 1;
}

uint8_t *
tn_aes256_ctr(tn_arena *arena, const uint8_t key[32], const void *bytes, size_t length)
{
    static const uint8_t zero[16];
    uint8_t *sealed = tn_arena_alloc(arena, length + 1, 1);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int written;

    check(context != NULL && length <= INT_MAX &&
              EVP_EncryptInit_ex2(context, EVP_aes_256_ctr(), key, zero, NULL) == 1 &&
              EVP_EncryptUpdate(context, sealed, &written, bytes, (int)length) == 1,
          "AES-CTR");
    EVP_CIPHER_CTX_free(context);
    return sealed;
}

/* OpenSSL's parameters are not const although it only reads them; a copy keeps us honest. */
static OSSL_PARAM
text_param(const char *name, char *text)
{
    return OSSL_PARAM_construct_utf8_string(name, text, 0);
}

void
tn_hmac_sha256(const void *key, size_t key_length, const void *bytes, size_t length,
               uint8_t digest[TN_SHA256_SIZE])
{
    char name[] = "SHA256";
    const OSSL_PARAM params[] = {text_param(OSSL_MAC_PARAM_DIGEST, name), OSSL_PARAM_END};
    static const uint8_t no_key[1];
    EVP_MAC_CTX *context;
    size_t written;

    need_algorithms();
    context = EVP_MAC_CTX_new(algorithms.hmac);
    /* A NULL key would mean: the one set before. */
    check(context != NULL &&
              EVP_MAC_init(context, key_length == 0 ? no_key : key, key_length, params) == 1 &&
              EVP_MAC_update(context, bytes, length) == 1 &&
              EVP_MAC_final(context, digest, &written, TN_SHA256_SIZE) == 1,
          "HMAC-SHA-256");
    EVP_MAC_CTX_free(context);
}

void
tn_derive_key(const void *secret, size_t length, const char *purpose, uint8_t key[32])
{
    tn_arena *arena = tn_arena_new();
    char name[] = "SHA256";
    void *secret_copy = tn_arena_bytes(arena, secret, length);
    void *purpose_copy = tn_arena_text(arena, purpose);
    const OSSL_PARAM params[] = {
        text_param(OSSL_KDF_PARAM_DIGEST, name),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret_copy, length),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, purpose_copy, strlen(purpose)),
        OSSL_PARAM_END,
    };
    EVP_KDF_CTX *context;

    need_algorithms();
    context = EVP_KDF_CTX_new(algorithms.hkdf);
    check(context != NULL && EVP_KDF_derive(context, key, 32, params) == 1, "HKDF");
    EVP_KDF_CTX_free(context);
    OPENSSL_cleanse(secret_copy, length);
    tn_arena_free(arena);
}

void
tn_derive_server_key(const char *secret_hex, const char *purpose, uint8_t key[32])
{
    uint8_t secret[32];

    if (!tn_hex_decode(secret_hex, secret, sizeof(secret)))
        tn_die("server.secret is not 64 hexadecimal digits");
    tn_derive_key(secret, sizeof(secret), purpose, key);
    OPENSSL_cleanse(secret, sizeof(secret));
}

bool
tn_same_bytes(const void *a, const void *b, size_t length)
{
    return CRYPTO_memcmp(a, b, length) == 0;
}

void
tn_hex(const void *bytes, size_t length, char *text)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < length; i++) {
        *text++ = digits[byte[i] >> 4];
        *text++ = digits[byte[i] & 15];
    }
    *text = '\0';
}

const char *
tn_bytea(tn_arena *arena, const void *bytes, size_t length)
{
    char *text = tn_arena_alloc(arena, 2 * length + 3, 1);

    memcpy(text, "\\x", 2);
    tn_hex(bytes, length, text + 2);
    return text;
}

bool
tn_hex_decode(const char *text, void *bytes, size_t length)
{
    uint8_t *byte = bytes;

    if (length > SIZE_MAX / 2 || strlen(text) != 2 * length)
        return false;
    for (size_t i = 0; i < length; i++) {
        const int high = OPENSSL_hexchar2int((unsigned char)text[2 * i]);
        const int low = OPENSSL_hexchar2int((unsigned char)text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        byte[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *
tn_base64url(tn_arena *arena, const void *bytes, size_t length)
{
    char *text = tn_arena_alloc(arena, length / 3 * 4 + 5, 1), *at = text;
    const uint8_t *byte = bytes;
    uint32_t bits = 0;
    unsigned int count = 0; /* bits that wait in `bits` */

    for (size_t i = 0; i < length; i++) {
        bits = (bits << 8 | byte[i]) & 0xFFFF; /* never more than 12 wait */
        for (count += 8; count >= 6; count -= 6)
            *at++ = base64url_digits[bits >> (count - 6) & 63];
    }
    if (count > 0)
        *at++ = base64url_digits[bits << (6 - count) & 63];
    return text;
}

bool
tn_base64url_decode(const char *text, size_t text_length, void *bytes, size_t size, size_t *length)
{
    uint8_t *byte = bytes;
    uint32_t bits = 0;
    unsigned int count = 0;
    size_t used = 0;

    if (text_length % 4 == 1) /* six bits make no byte */
        return false;
    for (size_t i = 0; i < text_length; i++) {
        const char *digit = text[i] == '\0'
                                ? NULL
                                : memchr(base64url_digits, text[i], sizeof(base64url_digits) - 1);

        if (digit == NULL)
            return false;
        bits = (bits << 6 | (uint32_t)(digit - base64url_digits)) & 0xFFFF;
        count += 6;
        if (count < 8)
            continue;
        if (used == size)
            return false;
        count -= 8;
        byte[used++] = (uint8_t)(bits >> count);
    }
    if ((bits & ((1u << count) - 1)) != 0) /* two texts for the same bytes would be two keys */
        return false;
    *length = used;
    return true;
}

char *
tn_base64(tn_arena *arena, const void *bytes, size_t length)
{
    char *text = tn_base64url(arena, bytes, length); /* has room for the padding */
    size_t end = strlen(text);

    for (size_t i = 0; i < end; i++)
        text[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    while (end % 4 != 0)
        text[end++] = '=';
    return text;
}

bool
tn_base64_decode(tn_arena *arena, const char *text, size_t text_length, void *bytes, size_t size,
                 size_t *length)
{
    const size_t padding_max = text_length % 4 == 0 && text_length > 0 ? 2 : 0;
    char *copy;

    for (size_t i = 0; i < padding_max && text[text_length - 1] == '='; i++)
        text_length--;
    copy = tn_arena_bytes(arena, text, text_length);
    for (size_t i = 0; i < text_length; i++) {
        if (copy[i] == '-' || copy[i] == '_')
            return false;
        copy[i] = copy[i] == '+' ? '-' : copy[i] == '/' ? '_' : copy[i];
    }
    return tn_base64url_decode(copy, text_length, bytes, size, length);
}

void *
tn_seal(tn_arena *arena, const uint8_t key[32], const char *purpose, const void *bytes,
        size_t length, size_t *sealed_length)
{
    uint8_t *sealed = tn_arena_alloc(arena, length + NONCE_SIZE + TAG_SIZE, 1);
    uint8_t *text = sealed + NONCE_SIZE;
    EVP_CIPHER_CTX *context;
    int written;

    need_algorithms();
    tn_random(sealed, NONCE_SIZE);
    context = EVP_CIPHER_CTX_new();
    check(context != NULL && length <= INT_MAX - EVP_MAX_BLOCK_LENGTH &&
              EVP_EncryptInit_ex2(context, algorithms.gcm, key, sealed, NULL) == 1 &&
              EVP_EncryptUpdate(context, NULL, &written, (const uint8_t *)purpose,
                                (int)strlen(purpose)) == 1 &&
              EVP_EncryptUpdate(context, text, &written, bytes, (int)length) == 1 &&
              EVP_EncryptFinal_ex(context, text + length, &written) == 1 &&
              EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, text + length) == 1,
          "sealing");
    EVP_CIPHER_CTX_free(context);
    *sealed_length = length + NONCE_SIZE + TAG_SIZE;
    return sealed;
}

bool
tn_open(tn_arena *arena, const uint8_t key[32], const char *purpose, const void *sealed,
        size_t sealed_length, void **bytes, size_t *length)
{
    const uint8_t *nonce = sealed;
    EVP_CIPHER_CTX *context;
    uint8_t tag[TAG_SIZE], *text;
    size_t text_length;
    bool is_whole;
    int written;

    if (sealed_length < NONCE_SIZE + TAG_SIZE || sealed_length > INT_MAX)
        return false;
    need_algorithms();
    text_length = sealed_length - NONCE_SIZE - TAG_SIZE;
    text = tn_arena_alloc(arena, text_length + 1, 1);
    memcpy(tag, nonce + NONCE_SIZE + text_length, TAG_SIZE);
    context = EVP_CIPHER_CTX_new();
    check(context != NULL, "opening");
    is_whole =
        EVP_DecryptInit_ex2(context, algorithms.gcm, key, nonce, NULL) == 1 &&
        EVP_DecryptUpdate(context, NULL, &written, (const uint8_t *)purpose,
                          (int)strlen(purpose)) == 1 &&
        EVP_DecryptUpdate(context, text, &written, nonce + NONCE_SIZE, (int)text_length) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
        EVP_DecryptFinal_ex(context, text + text_length, &written) == 1;
    EVP_CIPHER_CTX_free(context);
    if (!is_whole) {
        OPENSSL_cleanse(text, text_length); /* unauthenticated, so nobody may see it */
        return false;
    }
    *bytes = text;
    *length = text_length;
    return true;
}

const char *
tn_seal_text(tn_arena *arena, const uint8_t key[32], const char *purpose, const char *text)
{
    size_t length;
    const void *sealed = tn_seal(arena, key, purpose, text, strlen(text), &length);

    return tn_bytea(arena, sealed, length);
}

const char *
tn_open_text(tn_arena *arena, const uint8_t key[32], const char *purpose, const char *sealed)
{
    const size_t length = strlen(sealed) < 2 ? 0 : (strlen(sealed) - 2) / 2;
    uint8_t *bytes = tn_arena_alloc(arena, length + 1, 1);
    size_t text_length;
    void *text;

    if (strncmp(sealed, "\\x", 2) != 0 || !tn_hex_decode(sealed + 2, bytes, length) ||
        !tn_open(arena, key, purpose, bytes, length, &text, &text_length))
        return NULL;
    return text; /* tn_open() leaves room for the NUL */
}
