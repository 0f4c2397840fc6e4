/* identity/limit.h: token buckets in shared memory, per class and per address or person
 *
 * A rate is `count/seconds:burst`: so many requests per so many seconds on average, and so many at
 * once after a rest. What people do before they are known counts per address (IPv6: per /64);
 * everything else counts per subject where there is one, else per
 * address.
 *
 * Threads and processes: any; there is no lock that a dying process could leave behind. The table
 * has a fixed size; when a set is full the bucket that was used longest ago is taken over (so an
 * attacker with many addresses cannot make it grow, and at worst a quiet caller gets a fresh
 * bucket).
 */
#ifndef TN_IDENTITY_LIMIT_H
#define TN_IDENTITY_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/error.h"
#include "http/route.h"

typedef struct tn_limits tn_limits;

size_t tn_limits_size(void); /* bytes of shared memory to provide, zeroed */
tn_limits *tn_limits_init(void *memory);

/* Takes one token for this caller. 429 `over_request_rate_limit` with Retry-After when it is empty.
 * `address` is the client's. `subject` is a user's id, or the key's where the key is one caller's
 * own (secret, agent); "" for a publishable key, which all visitors of an app share. */
const tn_error *tn_limits_take(tn_limits *limits, const tn_config *config, tn_arena *arena,
                               tn_limit_class class, const char *address,
                               const char *subject) TN_MUST_CHECK;

/* The same for a thing that is no caller: an account of a tenant (its address), a tenant (thing
 * ""). No address is exempt. tn_limits_look_for() takes nothing and says what taking would. */
const tn_error *tn_limits_take_for(tn_limits *limits, const tn_config *config, tn_arena *arena,
                                   tn_limit_class class, const char *tenant_id,
                                   const char *thing) TN_MUST_CHECK;
const tn_error *tn_limits_look_for(tn_limits *limits, const tn_config *config, tn_arena *arena,
                                   tn_limit_class class, const char *tenant_id,
                                   const char *thing) TN_MUST_CHECK;

/* An agent's own rate, which holds whatever the settings say: so many requests a minute, all at
 * once after a rest. */
const tn_error *tn_limits_take_agent(tn_limits *limits, tn_arena *arena, const char *agent_id,
                                     int64_t rate_per_minute) TN_MUST_CHECK;

/* The name of its setting: "signup"; "" for TN_LIMIT_NONE. */
const char *tn_limits_name(tn_limit_class class);

/* Checks the texts of [limits]; NULL or what is wrong. */
const char *tn_limits_check(const tn_config *config, tn_arena *arena);

#endif
