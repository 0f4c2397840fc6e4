/* server/worker.h: one worker process, from the fork to its end
 *
 * Threads: called by the freshly forked child, on its only thread. Signals: SIGTERM stops (what
 * runs is finished within server.drain_timeout_s), SIGQUIT drains (what runs is finished, however
 * long), SIGUSR1 reopens the log.
 */
#ifndef TN_SERVER_WORKER_H
#define TN_SERVER_WORKER_H

#include "base/attributes.h"
#include "server/pools.h"
#include "server/server.h"
#include "server/shared.h"

typedef struct tn_worker {
    const tn_application *application;
    const tn_config *config;
    tn_pool_id pool;
    int listener;
    tn_shared *shared;
    tn_slot *slot;
    int helper; /* socket of the helper; -1: there is none */
} tn_worker;

/* To the user of server.user, when this process may; else it goes on as it is. */
void tn_worker_drop_privileges(const char *user);

void tn_worker_run(const tn_worker *worker) TN_NORETURN;

#endif
