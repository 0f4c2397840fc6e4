/* mail/post.h: one message of the outbox, and what becomes of it
 *
 * Threads: any, each with a transport of its own.
 */
#ifndef TN_MAIL_POST_H
#define TN_MAIL_POST_H

#include "mail/mail.h"
#include "mail/transport.h"

typedef struct tn_post {
    tn_uuid tenant;
    const char *id, *channel, *kind, *recipient, *user_id, *sealed; /* user_id may be NULL */
    int64_t attempts;                                               /* this one counts */
} tn_post;

typedef enum tn_post_fate {
    TN_POST_SENT,
    TN_POST_LATER,    /* did not work now */
    TN_POST_HOPELESS, /* will never work */
    TN_POST_WAITS,    /* another message speaks for this one too */
    TN_POST_GONE      /* it has been sent along with another meanwhile */
} tn_post_fate;

typedef struct tn_post_outcome {
    tn_post_fate fate;
    const char *stage, *problem; /* for the log: no addresses, no codes */
    int status;                  /* the mail server's, or the hook's error */
    const char *other_id;        /* of a message that has been sent along with it, or NULL */
} tn_post_outcome;

/* Holds no database connection while anything else is waited for. */
void tn_post_send(const tn_process *process, tn_transport *transport, tn_arena *arena,
                  const tn_post *message, tn_post_outcome *outcome);

#endif
