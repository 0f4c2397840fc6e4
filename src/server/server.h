/* server/server.h: the door: the master that watches, and the workers that serve
 *
 * Threads: tn_serve() is called from main() before anything else runs.
 */
#ifndef TN_SERVER_SERVER_H
#define TN_SERVER_SERVER_H

#include "http/route.h"
#include "identity/process.h"
#include "identity/service.h"

/* What runs here, handed over by areas.c: the server includes none of it. */
typedef struct tn_application {
    const tn_area *const *areas;       /* NULL-terminated, the fallback last */
    const tn_service *const *services; /* of the jobs process; NULL-terminated */
    /* What each process has for files (tn_process.store); it is made before the areas are started.
     */
    struct tn_store *(*store_new)(const tn_config *config);
    void (*store_free)(struct tn_store *store);
    const char *helper; /* program that runs beside the workers; NULL: none */
    /* In every process: tells the database that this worker lives (tenon.workers). */
    const tn_error *(*heartbeat)(const tn_process *process, tn_arena *arena);
    const tn_error *(*farewell)(const tn_process *process, tn_arena *arena);
    /* In the jobs process: fails the runs of a worker that died; runs what is due. */
    const tn_error *(*fail_worker)(const tn_process *process, tn_arena *arena,
                                   const char *worker_id);
    void (*run_jobs)(const tn_process *process, tn_arena *arena);
} tn_application;

/* `tenon serve`: returns the exit code of the master when it has stopped. */
int tn_serve(const tn_application *application, const char *config_path);

#endif
