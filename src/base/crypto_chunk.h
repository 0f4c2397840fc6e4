/* base/crypto_chunk.h: AES-256-GCM for many pieces under one key
 *
 * tn_seal() of base/crypto.h is for small texts under random nonces; this is for long contents in
 * pieces, whose nonces the caller counts. No two pieces under one key may have the same nonce.
 *
 * Threads: one at a time. Errors: as in base/crypto.h.
 */
#ifndef TN_BASE_CRYPTO_CHUNK_H
#define TN_BASE_CRYPTO_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attributes.h"

#define TN_CHUNK_NONCE 12
#define TN_CHUNK_TAG 16

typedef struct tn_chunk_cipher tn_chunk_cipher;

/* For sealing, or for opening, never both. Freed and wiped with the arena. */
tn_chunk_cipher *tn_chunk_cipher_new(tn_arena *arena, const uint8_t key[32],
                                     bool seals) TN_NEVER_NULL TN_MUST_CHECK;

/* `sealed` takes length + TN_CHUNK_TAG bytes. `data` is bound to it and not in it. */
void tn_chunk_seal(tn_chunk_cipher *cipher, const uint8_t nonce[TN_CHUNK_NONCE], const void *data,
                   size_t data_length, const void *bytes, size_t length, void *sealed);

/* `length` is that of the sealed piece, tag included; `bytes` takes TN_CHUNK_TAG fewer. false: it
 * is not what was sealed; `bytes` is wiped then. */
bool tn_chunk_open(tn_chunk_cipher *cipher, const uint8_t nonce[TN_CHUNK_NONCE], const void *data,
                   size_t data_length, const void *sealed, size_t length,
                   void *bytes) TN_MUST_CHECK;

/* Overwrites a secret, and is not optimised away. */
void tn_wipe(void *bytes, size_t length);

#endif
