/* identity/service.h: work that goes on beside the requests, in threads of its own
 *
 * A service runs in the jobs process. It is named in areas.c, started before the process serves
 * anything, and told of every NOTIFY, as areas are. It asks process->draining before it begins
 * something new, and has ended when stop() returns.
 *
 * Threads: start() and stop() are called by the main thread, on_notify() by the listening one.
 */
#ifndef TN_IDENTITY_SERVICE_H
#define TN_IDENTITY_SERVICE_H

#include "identity/process.h"

typedef struct tn_service {
    const char *name;
    /* Gives the state of the service in this process. */
    void *(*start)(const tn_process *process);
    void (*stop)(void *state);
    void (*on_notify)(void *state, const char *channel, const char *payload); /* may be NULL */
} tn_service;

#endif
