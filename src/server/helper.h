/* server/helper.h: a program of ours that the master keeps running beside the pools
 *
 * Workers reach it by one socket that is made before they are forked and outlives it: what they
 * send while it is being replaced waits there. It has the workers' user, an empty environment and
 * no descriptor but standard error and its end of the socket, whose number is its argument.
 *
 * Threads: the master's only.
 */
#ifndef TN_SERVER_HELPER_H
#define TN_SERVER_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"

typedef struct tn_helper {
    const char *path; /* NULL: this installation has no such program */
    int ours, theirs; /* ends of the socket; -1: none */
    pid_t pid;        /* 0: it does not run */
    int64_t started_ms, respawn_at_ms;
    int young_deaths; /* in a row */
} tn_helper;

/* Looks for the program `name` beside this one and then in libexec, and makes the socket. */
void tn_helper_open(tn_helper *helper, tn_arena *arena, const char *name);

/* Starts it when it does not run, with pauses that grow while it dies young. Called at each tick.
 */
void tn_helper_keep(tn_helper *helper, const char *user);
/* When it must be started again; 0: it runs, or never will. */
int64_t tn_helper_due_ms(const tn_helper *helper);

/* Whether it was the helper that has ended. */
bool tn_helper_reap(tn_helper *helper, pid_t pid, int status);

void tn_helper_stop(tn_helper *helper);

#endif
