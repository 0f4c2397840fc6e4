/* server/notify.h: what a NOTIFY changes in this process
 *
 * Payloads on channel `tenon`:
 *   key:<sha256 hex>   that API key was revoked or changed     keys:reload   all of them
 *   signing_keys       a signing key was added or retired      tenant:<id>   suspended or changed
 *   catalog            tables, functions, grants or roles have changed; on channel `pgrst` also the
 *                      empty payload, `reload schema` and `reload config`
 * Everything is offered to the areas, and in the jobs process to the services (`outbox`: a message
 * waits). While the listening connection is away nothing is
 * cached, so a revocation holds from the next request on even then.
 *
 * Threads: the callbacks run on the listening thread.
 */
#ifndef TN_SERVER_NOTIFY_H
#define TN_SERVER_NOTIFY_H

#include "db/listen.h"
#include "server/dispatch.h"

/* Starts listening for this process. `dispatch` must outlive it. */
tn_listen *tn_notify_start(const tn_dispatch *dispatch, const char *url);

/* Switches the caches on or off as the connection stands; called from the worker's tick too, since
 * on_reset() may run before tn_notify_start() has returned. */
void tn_notify_follow(const tn_dispatch *dispatch, const tn_listen *listen);

#endif
