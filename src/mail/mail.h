/* mail/mail.h: messages to people: mails and, through a hook, text messages
 *
 * Who causes a message only puts it into tenon.outbox, in its own transaction, by
 * tenon.post_message(channel, kind, recipient, user, sealed, lifetime_s). The jobs process renders
 * it with the template of its tenant and language, and sends it: by the send_email or send_sms hook
 * where one is set, else by SMTP (RFC 5321, with STARTTLS and AUTH), else into a maildir. What
 * fails is tried again with growing pauses until its lifetime is over, so delivery is at least
 * once.
 *
 * Kinds, and the `type` that their links say:
 *
 *     confirmation → signup        recovery → recovery           reauthentication: a code, no link
 *     magiclink → magiclink        email_change → email_change   team_invitation → its own page
 *     invite → invite              password_changed, email_changed …: notices without a code
 *
 * Threads: any.
 */
#ifndef TN_MAIL_MAIL_H
#define TN_MAIL_MAIL_H

#include "base/arena.h"
#include "base/config.h"
#include "base/error.h"
#include "base/uuid.h"
#include "identity/process.h"
#include "identity/service.h"

/* What is not in the outbox row in clear: everything in it may be NULL. */
typedef struct tn_letter {
    const char *code;        /* {{ .Token }}: the digits */
    const char *token;       /* {{ .TokenHash }}: what the link carries, with `pkce_` in front where
                                that is so */
    const char *redirect_to; /* {{ .RedirectTo }}: has passed tn_auth_redirect() */
    const char *new_email;   /* {{ .NewEmail }} */
    const char *data;        /* a JSON object: further variables of this kind, {{ .Data.x }} */
} tn_letter;

/* Seals a letter for a parameter of type bytea ("\x…"), in the arena. Bound to the tenant: another
 * tenant's outbox cannot open it. */
const char *tn_letter_seal(const tn_config *config, tn_arena *arena, const tn_uuid *tenant,
                           const tn_letter *letter) TN_NEVER_NULL TN_MUST_CHECK;

/* Opens what tn_letter_seal() has made, given as PostgreSQL prints bytea. false: it is not ours. */
bool tn_letter_open(const tn_config *config, tn_arena *arena, const tn_uuid *tenant,
                    const char *sealed, tn_letter *letter) TN_MUST_CHECK;

/* The sender of the outbox: mail.senders threads in the jobs process, woken by NOTIFY `outbox`. */
extern const tn_service tn_mail_service;

#endif
