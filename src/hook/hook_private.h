/* hook/hook_private.h: the two ways to ask
 *
 * Both give the text of the reply, which is NULL or "" when there is none, and the error for the
 * client when there was no reply to speak of.
 *
 * Threads: any.
 */
#ifndef TN_HOOK_HOOK_PRIVATE_H
#define TN_HOOK_HOOK_PRIVATE_H

#include "base/hook_address.h"
#include "hook/hook.h"

#define TN_HOOK_BYTES_MAX 20480 /* of a payload, and of a reply */

/* What is asked, and of whom. */
typedef struct tn_hook_question {
    const char *name; /* of the setting */
    const tn_hook_address *address;
    const tn_uuid *tenant;
    const char *payload;
} tn_hook_question;

/* A function of the database (function.c). */
const tn_error *tn_hook_ask_function(const tn_process *process, tn_arena *arena,
                                     const tn_hook_question *question,
                                     const char **reply) TN_MUST_CHECK;

/* A URL (webhook.c). */
const tn_error *tn_hook_ask_url(const tn_process *process, tn_arena *arena,
                                const tn_hook_question *question, const char **reply) TN_MUST_CHECK;

/* 422 `hook_timeout`, or `hook_timeout_after_retry`. */
const tn_error *tn_hook_timeout(const tn_process *process, tn_arena *arena,
                                bool was_retried) TN_NEVER_NULL TN_MUST_CHECK;

/* 422 `hook_payload_over_size_limit`. */
const tn_error *tn_hook_too_large(tn_arena *arena, const char *what) TN_NEVER_NULL TN_MUST_CHECK;

/* 500 `unexpected_failure`: the app's hook does not work, which the operator finds in the log. */
const tn_error *tn_hook_failed(tn_arena *arena, const tn_hook_question *question,
                               const char *cause) TN_NEVER_NULL TN_MUST_CHECK;

#endif
