/* hook/hook.h: functions of the app that are asked at certain moments
 *
 * A hook is a setting of [hooks]: a PostgreSQL function, `pg-functions://postgres/<schema>/<name>`,
 * that takes and gives jsonb, called as the role `supabase_auth_admin` in the tenant's context; or
 * an `http(s)://` URL, to which the payload is sent as JSON, signed as Standard Webhooks has it
 * (webhook-id, webhook-timestamp, webhook-signature: v1,<base64 of HMAC-SHA256>) with each secret
 * of hooks.secrets.
 *
 * A reply `{"error": {"http_code": 403, "message": "…"}}` becomes an error for the client with this
 * status and message. Other errors: 422 `hook_timeout`, `hook_timeout_after_retry`,
 * `hook_payload_over_size_limit`, `hook_payload_invalid_content_type`, 500 `unexpected_failure`.
 *
 * Threads: any. The caller holds no database connection meanwhile.
 */
#ifndef TN_HOOK_HOOK_H
#define TN_HOOK_HOOK_H

#include "base/arena.h"
#include "base/config.h"
#include "base/error.h"
#include "base/json.h"
#include "base/uuid.h"
#include "identity/process.h"

typedef enum tn_hook {
    TN_HOOK_CUSTOM_ACCESS_TOKEN,
    TN_HOOK_SEND_EMAIL,
    TN_HOOK_SEND_SMS,
    TN_HOOK_MFA_VERIFICATION_ATTEMPT,
    TN_HOOK_PASSWORD_VERIFICATION_ATTEMPT,
    TN_HOOK_BEFORE_USER_CREATED,
    TN_HOOK_AFTER_USER_CREATED,
    TN_HOOKS
} tn_hook;

bool tn_hook_is_set(const tn_config *config, tn_hook hook);

/* {"hooks.send_sms": "https://…", …}: those that are set. */
const char *tn_hook_addresses(const tn_config *config, tn_arena *arena) TN_NEVER_NULL TN_MUST_CHECK;

/* Asks the app; `payload` is a JSON object as text. The reply is an object, {} when it was empty or
 * null; it lives as long as the arena. */
const tn_error *tn_hook_run(const tn_process *process, tn_arena *arena, tn_hook hook,
                            const tn_uuid *tenant, const char *payload,
                            json_object **reply) TN_MUST_CHECK;

#endif
