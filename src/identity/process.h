/* identity/process.h: what one worker process has, given to everything that runs in it
 *
 * Filled by server/ before the threads start and constant from then on; the parts have their own
 * locks.
 */
#ifndef TN_IDENTITY_PROCESS_H
#define TN_IDENTITY_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/config.h"
#include "base/uuid.h"
#include "db/database.h"

struct tn_catalog;
struct tn_keys;
struct tn_tokens;
struct tn_limits;
struct tn_metrics;
struct tn_gate;
struct tn_store;

typedef struct tn_process tn_process;
struct tn_process {
    const tn_config *config; /* the snapshot of this generation */
    tn_db *db;
    struct tn_catalog *catalog; /* db/catalog.h */
    struct tn_keys *keys;       /* identity/key.h */
    struct tn_tokens *tokens;   /* identity/token.h */
    struct tn_limits *limits;   /* identity/limit.h, in shared memory */
    struct tn_gate *hash_gate;  /* identity/gate.h, in shared memory: parallel password hashing */
    struct tn_metrics *metrics; /* base/metrics.h, in shared memory */
    struct tn_store *store;     /* objects/store.h: files */
    tn_uuid worker_id;          /* row of tenon.workers */
    const char *pool;           /* "api", "stream", "jobs" */
    /* What a handler calls around waiting in a queue, so that others are served meanwhile: see
     * server/loop.h. Both may be NULL: it holds its thread then. */
    bool (*step_aside)(void);
    void (*step_back)(void);
    int helper_socket; /* of the program that runs beside the workers (server/helper.h); -1:
                          there is none */
    const atomic_bool *draining; /* true once this process shall finish what it has */
};

#endif
