/* base/hook_address.h: where a hook of [hooks] is, and what it is signed with
 *
 *     pg-functions://postgres/<schema>/<name>   a function of this database
 *     https://…                                 a URL; http:// with hooks.allow_private only
 *
 * Threads: any.
 */
#ifndef TN_BASE_HOOK_ADDRESS_H
#define TN_BASE_HOOK_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/config.h"

typedef struct tn_hook_address {
    const char *schema, *name; /* of a function */
    const char *url;           /* of an HTTP hook */
} tn_hook_address;

/* NULL, or what is wrong with it. `text` is not empty. */
const char *tn_hook_address_read(const tn_config *config, tn_arena *arena, const char *text,
                                 tn_hook_address *address) TN_MUST_CHECK;

#define TN_HOOK_SECRET_MAX 64 /* bytes */

typedef struct tn_hook_secret {
    uint8_t bytes[TN_HOOK_SECRET_MAX];
    size_t length;
} tn_hook_secret;

/* The next secret of hooks.secrets; `*list` begins as the setting and moves on. false at the end,
 * or when what is there is no secret: then *list is left where it was, not at a NUL. */
bool tn_hook_secret_next(tn_arena *arena, const char **list, tn_hook_secret *secret) TN_MUST_CHECK;

/* All of [hooks]; NULL or what is wrong. */
const char *tn_hooks_check(const tn_config *config, tn_arena *arena) TN_MUST_CHECK;

#endif
