/* db/listen.h: one thread that waits for NOTIFY and tells whoever asked
 *
 * The thread holds a session connection of its own, listens on `tenon` and `pgrst`, and comes back
 * after a lost connection with growing pauses. on_reset() is called after every (re)connection and
 * when the connection is lost: notifications may have been missed, so caches must be emptied, and
 * tn_listen_is_connected() tells whether they may be filled.
 *
 * Threads: callbacks run on the listening thread.
 */
#ifndef TN_DB_LISTEN_H
#define TN_DB_LISTEN_H

#include <stdbool.h>

#include "base/attributes.h"

typedef struct tn_listen tn_listen;

typedef struct tn_listen_options {
    const char *url;
    void (*on_notify)(void *context, const char *channel, const char *payload);
    void (*on_reset)(void *context);
    void *context;
} tn_listen_options;

/* Returns at once; the thread connects by itself. The texts are copied. */
tn_listen *tn_listen_start(const tn_listen_options *options) TN_NEVER_NULL TN_MUST_CHECK;
void tn_listen_stop(tn_listen *listen); /* waits for the thread; takes NULL */
bool tn_listen_is_connected(const tn_listen *listen);

#endif
