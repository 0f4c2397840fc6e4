/* identity/signing_key_private.h: the keys that sign access tokens, as one immutable set
 *
 * Threads: a set is shared by reference count; the count is guarded by whoever owns the sets
 * (token.c).
 */
#ifndef TN_IDENTITY_SIGNING_KEY_PRIVATE_H
#define TN_IDENTITY_SIGNING_KEY_PRIVATE_H

#include <cjose/cjose.h>

#include "base/error.h"
#include "db/database.h"

typedef struct tn_signing_key {
    char *kid;
    cjose_jwk_t *public_half;
} tn_signing_key;

typedef struct tn_signing_keys {
    int references; /* guarded by the owner's lock */
    size_t count;
    tn_signing_key *keys;
    char *active_kid; /* NULL: none can sign */
    cjose_jwk_t *active;
    char *jwks; /* {"keys":[…]} */
} tn_signing_keys;

/* Reads the keys; `secret_hex` opens the private half of the active one. */
const tn_error *tn_signing_keys_load(tn_db *db, tn_arena *arena, const char *secret_hex,
                                     tn_signing_keys **keys) TN_MUST_CHECK;
void tn_signing_keys_free(tn_signing_keys *keys);

/* The public half with this kid, or NULL. */
cjose_jwk_t *tn_signing_keys_find(const tn_signing_keys *keys, const char *kid);

#endif
