/* server/shared.h: the memory that the master and all workers see, like Apache's scoreboard
 *
 * A file in server.run_dir, mapped by everyone. The master makes it before it forks; `tenon status`
 * maps it to read. A slot belongs to one worker from the fork until the master has reaped it and,
 * when it died with work in hand, until the jobs process has taken care of its runs.
 *
 * Threads and processes: any; fields are atomic, texts are written before `state` leaves
 * TN_SLOT_FREE.
 */
#ifndef TN_SERVER_SHARED_H
#define TN_SERVER_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"
#include "base/uuid.h"
#include "identity/gate.h"
#include "identity/limit.h"

#define TN_SLOTS 256

typedef enum tn_slot_state {
    TN_SLOT_FREE,
    TN_SLOT_STARTING,
    TN_SLOT_READY,
    TN_SLOT_DRAINING,
    TN_SLOT_DEAD /* ended unasked: its runs are to be failed */
} tn_slot_state;

typedef struct tn_slot {
    _Atomic int state; /* tn_slot_state */
    _Atomic int pid;
    _Atomic int generation;
    char pool[16];
    tn_uuid worker_id;
    _Atomic int64_t started_at;         /* unix seconds */
    _Atomic int threads, busy, clients; /* clients: kept FastCGI connections */
    _Atomic int db_open, db_in_use, db_waiting;
    _Atomic uint64_t requests;
} tn_slot;

typedef struct tn_shared {
    char magic[8]; /* "tenon\0\0" and a version */
    _Atomic int master_pid;
    _Atomic int generation;
    _Atomic int reloads_refused; /* the configuration was wrong, or its workers did not come up */
    _Atomic int64_t started_at;
    tn_metrics metrics;
    tn_slot slots[TN_SLOTS];
    /* behind it: tn_limits, tn_gate */
} tn_shared;

/* Makes the file anew and maps it; `hash_places` passwords may be hashed at once. NULL with errno
 * set on failure. */
tn_shared *tn_shared_create(const char *path, int hash_places);

/* Maps an existing file to read; NULL when there is none or it is another version's. */
const tn_shared *tn_shared_open(const char *path);

tn_limits *tn_shared_limits(tn_shared *shared);
tn_gate *tn_shared_gate(tn_shared *shared);

/* Takes a free slot for a new worker; NULL when all are taken. Only the master calls it. */
tn_slot *tn_shared_take_slot(tn_shared *shared, const char *pool, int generation);
tn_slot *tn_shared_slot_of(tn_shared *shared, int pid); /* NULL when it is nobody's */

#endif
