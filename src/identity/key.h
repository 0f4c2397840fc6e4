/* identity/key.h: API keys of tenants, looked up by their SHA-256 and cached in the process
 *
 * tnp_… publishable, tns_… secret, tna_… agent, tnx_… platform: prefix and 43 characters of
 * base64url (32 random bytes). Only the hash is ever stored or compared. Tenants are looked up here
 * as well, since a suspended tenant's keys must stop as a revoked key does.
 *
 * What an agent's key may do follows from the agent and from the person for whom it acts, and holds
 * from the next request on when either changes: so these are looked up each time and never cached.
 * The same goes for tokens that were exchanged for one of an agent.
 *
 * Threads: any. A cached key is dropped by NOTIFY tenon 'key:<hex of hash>', everything by
 * 'keys:reload' and 'tenant:<id>'; while the listening connection is away nothing is cached.
 */
#ifndef TN_IDENTITY_KEY_H
#define TN_IDENTITY_KEY_H

#include "base/error.h"
#include "base/uuid.h"
#include "db/database.h"

typedef struct tn_keys tn_keys;

typedef struct tn_key {
    tn_uuid id, tenant_id, user_id; /* tenant empty: platform; user: agents only */
    const char *role;               /* anon, service_role, agent, tenon_platform */
    const char *scopes;             /* JSON array text or "" */
    int64_t expires_at;             /* unix seconds, 0 never */
    /* agents only */
    tn_uuid agent_id;
    const char *claims;      /* request.jwt.claims: JSON text */
    int64_t rate_per_minute; /* 0: any */
} tn_key;

tn_keys *tn_keys_new(tn_db *db, int64_t ttl_s);
void tn_keys_free(tn_keys *keys);

/* Is this text formed like one of our keys? */
bool tn_key_is_formed(const char *text);

/* Finds the key; 401 `invalid_key` when unknown, revoked or expired, 403 `tenant_suspended`, 403
 * `user_banned` when the person is whose it is, or for whom an agent acts. */
const tn_error *tn_keys_find(tn_keys *keys, tn_arena *arena, const char *text,
                             tn_key *key) TN_MUST_CHECK;

/* The access key for S3 with this id, and its secret as it is stored (sealed for
 * TN_S3_KEY_PURPOSE under server.secret). `key->role` is NULL when there is none; errors as above.
 * That of the tenant itself is cached, those of people and agents never. */
#define TN_S3_KEY_PURPOSE "s3 key"
const tn_error *tn_keys_find_access(tn_keys *keys, tn_arena *arena, const char *access_key_id,
                                    tn_key *key, const char **sealed) TN_MUST_CHECK;

/* The publishable keys of a tenant, sealed for TN_PUBLISHABLE_PURPOSE, with blanks between them;
 * "" when none is known: those made before they were kept. */
#define TN_PUBLISHABLE_PURPOSE "publishable key"
const tn_error *tn_keys_publishable(tn_keys *keys, tn_arena *arena, const tn_uuid *tenant,
                                    const char **sealed) TN_MUST_CHECK;

/* What an exchanged token (its claims as JSON text) allows now: `scopes`, and of `key` agent_id,
 * claims and rate_per_minute. 401 `bad_jwt` when somebody whom it names does not stand behind it
 * any more: the session is over, an agent revoked; 403 `user_banned`. */
const tn_error *tn_keys_find_delegation(tn_keys *keys, tn_arena *arena, const tn_uuid *tenant,
                                        const char *claims, tn_key *key) TN_MUST_CHECK;

/* The id of the tenant with this name or id; empty when there is none. 403 `tenant_suspended`. */
const tn_error *tn_keys_tenant(tn_keys *keys, tn_arena *arena, const char *name,
                               tn_uuid *id) TN_MUST_CHECK;

void tn_keys_enable_cache(tn_keys *keys, bool enabled); /* false also empties it */
void tn_keys_drop(tn_keys *keys, const char *hash_hex); /* NULL: all */

/* A new key text of a kind ("publishable", "secret", "agent", "platform"), in the arena; NULL for
 * an unknown kind. */
const char *tn_key_new(tn_arena *arena, const char *kind);

#endif
