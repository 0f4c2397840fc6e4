/* objects/vault.h: keys of encrypted files
 *
 *     storage.master_key (configuration only)
 *       seals the tenant's key of a generation (storage.tenant_keys)
 *         seals the random key of each content (storage.objects.sealed_key: generation, sealed)
 *           encrypts the bytes (objects/cipher.h)
 *
 * New contents take the newest generation. storage.old_master_keys open what they have sealed and
 * seal nothing. Which buckets are encrypted is their column `encrypted`; the database refuses a row
 * in them whose bytes have no key.
 *
 * Threads: any; nothing is kept in memory. Errors: 503 `encryption_unavailable` when the
 * configuration has no key that opens what must be opened; those of the database.
 */
#ifndef TN_OBJECTS_VAULT_H
#define TN_OBJECTS_VAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "identity/ctx.h"
#include "objects/backend.h"
#include "objects/cipher.h"
#include "objects/incoming.h"

/* --- in a request ----------------------------------------------------------------------------- */

/* Whether files can be encrypted at all: 503 `encryption_unavailable` without storage.master_key.
 */
const tn_error *tn_vault_check(tn_ctx *c) TN_MUST_CHECK;

/* The content of `plain` encrypted into a new staged file, under a new key sealed for the caller's
 * tenant; `sealed_key` is what the row's column takes (bytea as text). `plain` stays as it is. */
const tn_error *tn_vault_encrypt(tn_ctx *c, tn_incoming *plain, tn_incoming **encrypted,
                                 const char **sealed_key) TN_MUST_CHECK;

/* The key of a row of the caller's tenant. */
const tn_error *tn_vault_open(tn_ctx *c, const char *sealed_key, tn_data_key *key) TN_MUST_CHECK;

/* --- the keys themselves ---------------------------------------------------------------------- */

typedef struct tn_tenant_key {
    tn_uuid tenant_id;
    int64_t generation; /* from 1 on */
    uint8_t bytes[32];
} tn_tenant_key;

/* A new random one, not sealed yet. */
void tn_tenant_key_make(const tn_uuid *tenant_id, int64_t generation, tn_tenant_key *key);

/* Sealed under storage.master_key, as the column takes it; NULL without such a key. */
const char *tn_tenant_key_seal(tn_arena *arena, const tn_config *config,
                               const tn_tenant_key *key) TN_MUST_CHECK;

/* `key` says whose and which; its bytes are filled. `is_old` (may be NULL): one of the
 * old master keys has opened it. 503 `encryption_unavailable`. */
const tn_error *tn_tenant_key_open(tn_arena *arena, const tn_config *config, const char *sealed,
                                   tn_tenant_key *key, bool *is_old) TN_MUST_CHECK;

/* What names a master key without telling it: 16 hexadecimal digits; NULL without
 * storage.master_key. */
const char *tn_master_key_name(tn_arena *arena, const tn_config *config) TN_MUST_CHECK;

void tn_data_key_make(tn_data_key *key);
/* As storage.objects.sealed_key takes it, and back. */
const char *tn_data_key_seal(tn_arena *arena, const tn_tenant_key *key,
                             const tn_data_key *data_key) TN_NEVER_NULL TN_MUST_CHECK;
const tn_error *tn_data_key_open(tn_arena *arena, const tn_tenant_key *key, const char *sealed,
                                 tn_data_key *data_key) TN_MUST_CHECK;
/* The generation of the tenant's key that a sealed key needs; 0: it is not one of ours. */
int64_t tn_data_key_generation(const char *sealed) TN_MUST_CHECK;

#endif
