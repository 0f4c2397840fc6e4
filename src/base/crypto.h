/* base/crypto.h: hashes, randomness and sealing, all from OpenSSL
 *
 * Threads: any. Errors: OpenSSL failing at these is a broken machine and ends the process;
 * what depends on input (opening a sealed box, decoding) returns false.
 */
#ifndef TN_BASE_CRYPTO_H
#define TN_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attributes.h"

#define TN_SHA256_SIZE 32
#define TN_SHA256_HEX 65 /* with NUL */

void tn_random(void *bytes, size_t length);

/* Frees what OpenSSL keeps for this thread, which otherwise happens some time after its end. */
void tn_crypto_thread_end(void);

void tn_sha256(const void *bytes, size_t length, uint8_t digest[TN_SHA256_SIZE]);
/* The same in pieces: begun once, freed with the arena; its end begins the next one. */
typedef struct tn_sha256_state tn_sha256_state;
tn_sha256_state *tn_sha256_begin(tn_arena *arena) TN_NEVER_NULL TN_MUST_CHECK;
void tn_sha256_add(tn_sha256_state *state, const void *bytes, size_t length);
void tn_sha256_end(tn_sha256_state *state, uint8_t digest[TN_SHA256_SIZE]);
/* Of a text, in hexadecimal. */
const char *tn_sha256_hex(tn_arena *arena, const char *text) TN_NEVER_NULL TN_MUST_CHECK;
void tn_hmac_sha256(const void *key, size_t key_length, const void *bytes, size_t length,
                    uint8_t digest[TN_SHA256_SIZE]);

/* What others have chosen, and only for that: lists of leaked passwords, hashes that people bring.
 */
#define TN_SHA1_SIZE 20
void tn_sha1(const void *bytes, size_t length, uint8_t digest[TN_SHA1_SIZE]);
/* scrypt (RFC 7914). The caller bounds the cost: 128 * 2^log2_rounds * block bytes. false: there is
 * not so much memory, or no such scrypt (section 2: log2_rounds must be less than 16 * block). */
typedef struct tn_scrypt_cost {
    uint32_t log2_rounds, block, lanes;
} tn_scrypt_cost;
bool tn_scrypt(const tn_scrypt_cost *cost, const char *password, const void *salt,
               size_t salt_length, uint8_t key[32]) TN_MUST_CHECK;
/* AES-256 in counter mode from zero on: no more than one text per key. */
uint8_t *tn_aes256_ctr(tn_arena *arena, const uint8_t key[32], const void *bytes,
                       size_t length) TN_NEVER_NULL TN_MUST_CHECK;

/* A key for one purpose out of a master secret (HKDF-SHA256, RFC 5869, `purpose` as info). */
void tn_derive_key(const void *secret, size_t length, const char *purpose, uint8_t key[32]);
/* The same out of server.secret, whose 64 hexadecimal digits the configuration has checked: ends
 * the process when they are something else. */
void tn_derive_server_key(const char *secret_hex, const char *purpose, uint8_t key[32]);

/* Compares in a time that depends on `length` alone. */
bool tn_same_bytes(const void *a, const void *b, size_t length) TN_MUST_CHECK;

/* Lower-case hexadecimal; `text` holds 2 * length + 1. Decoding wants exactly `length` bytes. */
void tn_hex(const void *bytes, size_t length, char *text);
bool tn_hex_decode(const char *text, void *bytes, size_t length) TN_MUST_CHECK;
/* "\x…", as PostgreSQL reads and prints bytea. */
const char *tn_bytea(tn_arena *arena, const void *bytes, size_t length) TN_NEVER_NULL TN_MUST_CHECK;

/* base64url without padding (RFC 4648 section 5). Decoding refuses padding, other characters and
 * non-zero spare bits; it gives at most `size` bytes and tells how many. */
char *tn_base64url(tn_arena *arena, const void *bytes, size_t length) TN_NEVER_NULL TN_MUST_CHECK;
bool tn_base64url_decode(const char *text, size_t text_length, void *bytes, size_t size,
                         size_t *length) TN_MUST_CHECK;

/* base64 with padding (RFC 4648 section 4). Decoding is as strict as base64url's, but takes the
 * text with or without its padding. */
char *tn_base64(tn_arena *arena, const void *bytes, size_t length) TN_NEVER_NULL TN_MUST_CHECK;
bool tn_base64_decode(tn_arena *arena, const char *text, size_t text_length, void *bytes,
                      size_t size, size_t *length) TN_MUST_CHECK;

/* AES-256-GCM: nonce (12) | ciphertext | tag (16), bound to `purpose` as associated data. */
void *tn_seal(tn_arena *arena, const uint8_t key[32], const char *purpose, const void *bytes,
              size_t length, size_t *sealed_length) TN_NEVER_NULL TN_MUST_CHECK;
bool tn_open(tn_arena *arena, const uint8_t key[32], const char *purpose, const void *sealed,
             size_t sealed_length, void **bytes, size_t *length) TN_MUST_CHECK;

/* A text sealed like that for a column of type bytea, and back; NULL: it is not ours. */
const char *tn_seal_text(tn_arena *arena, const uint8_t key[32], const char *purpose,
                         const char *text) TN_NEVER_NULL TN_MUST_CHECK;
const char *tn_open_text(tn_arena *arena, const uint8_t key[32], const char *purpose,
                         const char *sealed) TN_MUST_CHECK;

#endif
