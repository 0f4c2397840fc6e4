/* identity/limit.h: token buckets in shared memory, per class and per address, key or user
 *
 * Threads and processes: any. The table has a fixed size; when it is full the bucket that was used
 * longest ago is taken over (so an attacker with many addresses cannot make it grow, and at worst a
 * quiet caller gets a fresh bucket).
 */
#ifndef TN_IDENTITY_LIMIT_H
#define TN_IDENTITY_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/error.h"
#include "http/route.h"

typedef struct tn_limits tn_limits;

size_t tn_limits_size(void);                   /* bytes of shared memory to provide, zeroed */
tn_limits *tn_limits_init(void *memory);

/* Takes one token for this caller. 429 `over_request_rate_limit` with Retry-After when it is empty.
 * `address` is the client's; `subject` a key or user id, or "". */
const tn_error *tn_limits_take(tn_limits *limits, const tn_config *config, tn_arena *arena,
                               tn_limit_class class, const char *address, const char *subject) TN_MUST_CHECK;

/* Checks the texts of [limits]; NULL or what is wrong. */
const char *tn_limits_check(const tn_config *config, tn_arena *arena);

#endif
