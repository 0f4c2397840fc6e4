/* identity/cache.h: what has been verified lately, by SHA-256, in a table of fixed size
 *
 * The key is the digest of a key or token, never its text, so a core dump shows no credential. A
 * full set drops what was used longest ago. Values are copied in and out.
 *
 * A value may be overtaken: looked up in the database, dropped by a notification, and put only
 * then. So a ticket is drawn before the look-up, and put() does nothing when something was dropped
 * since.
 *
 * Threads: any; the table is split into shards with a lock each. Errors: none.
 */
#ifndef TN_IDENTITY_CACHE_H
#define TN_IDENTITY_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/crypto.h"

typedef struct tn_cache tn_cache;

/* `slots` is rounded up to whole sets; a value lives for ttl_s, 0: nothing is kept. Disabled at
 * first. */
tn_cache *tn_cache_new(size_t slots, int64_t ttl_s) TN_NEVER_NULL TN_MUST_CHECK;
void tn_cache_free(tn_cache *cache);

/* A copy of the value in the arena, or NULL. */
const char *tn_cache_get(tn_cache *cache, tn_arena *arena, const uint8_t digest[TN_SHA256_SIZE],
                         size_t *length);

uint64_t tn_cache_ticket(const tn_cache *cache);
void tn_cache_put(tn_cache *cache, uint64_t ticket, const uint8_t digest[TN_SHA256_SIZE],
                  const char *value, size_t length);

void tn_cache_drop(tn_cache *cache, const uint8_t digest[TN_SHA256_SIZE]);
void tn_cache_clear(tn_cache *cache);

/* While disabled nothing is found or kept; disabling clears. */
void tn_cache_enable(tn_cache *cache, bool enabled);
bool tn_cache_is_enabled(const tn_cache *cache);

#endif
