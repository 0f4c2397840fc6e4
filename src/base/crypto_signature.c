/* base/crypto_signature.c: OpenSSL's EVP again, for keys that others have made */
#include "base/crypto_signature.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/error.h"

#define PEM_MAX 65536
#define HALF 32

/* A key that is encrypted has no passphrase here, and nobody at a terminal is asked for one. */
static int
give_no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static EVP_PKEY *
read_p256(const char *pem)
{
    const size_t length = strnlen(pem, PEM_MAX);
    BIO *bio = BIO_new_mem_buf(pem, (int)length);
    EVP_PKEY *key =
        bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, give_no_passphrase, NULL);
    char group[32] = "";

    (void)BIO_free(bio);
    if (key != NULL && EVP_PKEY_is_a(key, "EC") == 1 &&
        EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                       NULL) == 1 &&
        strcmp(group, "prime256v1") == 0)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

/* DER to r and s. */
static bool
unpack_signature(const uint8_t *der, size_t length, uint8_t signature[64])
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)length);
    const bool is_done = pair != NULL &&
                         BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, HALF) == HALF &&
                         BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + HALF, HALF) == HALF;

    ECDSA_SIG_free(pair);
    return is_done;
}

bool
tn_sign_es256(const char *pem, const void *bytes, size_t length, uint8_t signature[64])
{
    EVP_PKEY *key = read_p256(pem);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t der[128];
    size_t der_length = sizeof(der);
    const bool is_done =
        key != NULL && context != NULL &&
        EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
        EVP_DigestSign(context, der, &der_length, bytes, length) == 1 &&
        unpack_signature(der, der_length, signature);

    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return is_done;
}

bool
tn_verify_ed25519(const uint8_t key[32], const void *bytes, size_t length,
                  const uint8_t signature[64])
{
    EVP_PKEY *public_half = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, key, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool is_good =
        public_half != NULL && context != NULL &&
        EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, public_half, NULL) == 1 &&
        EVP_DigestVerify(context, signature, 64, bytes, length) == 1;

    EVP_MD_CTX_free(context);
    EVP_PKEY_free(public_half);
    return is_good;
}

size_t
tn_sha2(int bits, const void *bytes, size_t length, uint8_t digest[TN_DIGEST_MAX])
{
    const EVP_MD *algorithm = bits == 256   ? EVP_sha256()
                              : bits == 384 ? EVP_sha384()
                                            : EVP_sha512();
    unsigned int written = 0;

    if (EVP_Digest(bytes, length, digest, &written, algorithm, NULL) != 1)
        tn_die("OpenSSL failed: a digest");
    return written;
}
