/* base/crypto_signature.h: the signatures that cjose does not make, from OpenSSL
 *
 * Threads: any. Errors: what depends on input returns false.
 */
#ifndef TN_BASE_CRYPTO_SIGNATURE_H
#define TN_BASE_CRYPTO_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define TN_DIGEST_MAX 64

/* ES256 (RFC 7518 section 3.4) by a private key in PEM, PKCS #8 or SEC 1: r and s, 32 bytes each.
 * False when that is no key of P-256. */
bool tn_sign_es256(const char *pem, const void *bytes, size_t length,
                   uint8_t signature[64]) TN_MUST_CHECK;

/* Ed25519 (RFC 8037). */
bool tn_verify_ed25519(const uint8_t key[32], const void *bytes, size_t length,
                       const uint8_t signature[64]) TN_MUST_CHECK;

/* SHA-2 of 256, 384 or 512 bits; gives the number of bytes. */
size_t tn_sha2(int bits, const void *bytes, size_t length, uint8_t digest[TN_DIGEST_MAX]);

#endif
