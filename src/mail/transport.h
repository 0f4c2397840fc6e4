/* mail/transport.h: a mail on its way: to a mail server, or into a maildir
 *
 * Threads: a transport belongs to one thread at a time; it keeps its connection to the mail server
 * for the next mail.
 */
#ifndef TN_MAIL_TRANSPORT_H
#define TN_MAIL_TRANSPORT_H

#include <stdatomic.h>

#include "base/config.h"
#include "mail/mime.h"

typedef struct tn_envelope {
    const char *from, *to; /* have passed tn_mime_is_address() */
    const char *bytes;     /* the mail, its lines ended by CR LF */
    size_t length;
} tn_envelope;

/* How it went. */
typedef struct tn_sending {
    bool is_accepted;
    bool is_refused;     /* by the recipient's side, for good: trying again is of no use */
    int status;          /* the mail server's last reply code, 0: none */
    const char *stage;   /* "connect", "greeting", "tls", "login", "sender", "recipient", "mail" */
    const char *problem; /* in words, for the log: without addresses */
    const char *reply;   /* the mail server's own words: for the operator only, they may hold the
                            address; or NULL */
} tn_sending;

typedef struct tn_transport tn_transport;

/* `cancelled` ends a transfer that is going on, within a second; may be NULL. */
tn_transport *tn_transport_new(const tn_config *config,
                               const atomic_bool *cancelled) TN_NEVER_NULL TN_MUST_CHECK;
void tn_transport_free(tn_transport *transport);
void tn_transport_send(tn_transport *transport, tn_arena *arena, const tn_envelope *envelope,
                       tn_sending *sending);

/* The two ways. */
typedef struct tn_smtp tn_smtp;
tn_smtp *tn_smtp_new(const tn_config *config,
                     const atomic_bool *cancelled) TN_NEVER_NULL TN_MUST_CHECK;
void tn_smtp_free(tn_smtp *smtp);
void tn_smtp_send(tn_smtp *smtp, tn_arena *arena, const tn_envelope *envelope, tn_sending *sending);

void tn_maildir_deliver(const char *folder, tn_arena *arena, const tn_envelope *envelope,
                        tn_sending *sending);

#endif
