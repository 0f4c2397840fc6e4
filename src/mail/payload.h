/* mail/payload.h: what the send_email and send_sms hooks are told
 *
 * Threads: any.
 */
#ifndef TN_MAIL_PAYLOAD_H
#define TN_MAIL_PAYLOAD_H

#include "mail/compose.h"

/* GoTrue's {user, email_data}. `user` is the person as JSON, NULL for an address that belongs to
 * nobody. `other` is the letter to the new address when `order` is the one to the current address
 * of the same change, so that the hook is asked once for both; else NULL. */
const char *tn_mail_payload(const tn_config *config, tn_arena *arena, const tn_mail_order *order,
                            const char *user, const tn_letter *other) TN_NEVER_NULL TN_MUST_CHECK;

/* GoTrue's {user, sms}; `message` is the text in the words of the tenant. */
const char *tn_sms_payload(tn_arena *arena, const tn_mail_order *order, const char *user,
                           const char *message) TN_NEVER_NULL TN_MUST_CHECK;

#endif
