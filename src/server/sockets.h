/* server/sockets.h: the listening sockets of the pools, and the files of server.run_dir
 *
 * Threads: the master's only. Errors: a text ready to print, NULL for success.
 */
#ifndef TN_SERVER_SOCKETS_H
#define TN_SERVER_SOCKETS_H

#include "base/config.h"
#include "server/pools.h"

/* One listening socket per pool, from systemd or made in server.run_dir; a worker's user may
 * connect. */
const char *tn_sockets_open(tn_arena *arena, const tn_config *config, int sockets[TN_POOLS]);

/* Refuses connections from now on, for all processes that share the sockets: nginx answers at once
 * that nobody is there, instead of waiting in a queue that nobody serves any more. Those of systemd
 * are left alone: what comes meanwhile waits in them for the next start. */
void tn_sockets_refuse(const int sockets[TN_POOLS]);

/* Removes the sockets that tn_sockets_open() made (those of systemd stay). */
void tn_sockets_remove(tn_arena *arena, const tn_config *config);

/* Writes the pid file and locks it for as long as the process lives; a second master is refused. */
const char *tn_pid_file_take(tn_arena *arena, const tn_config *config);

/* The pid of the master that holds the pid file's lock; 0 when none runs. */
int tn_pid_file_holder(const char *run_dir);

const char *tn_run_path(tn_arena *arena, const tn_config *config, const char *file) TN_NEVER_NULL;

#endif
