/* jobs/jobs.h: work that nobody asked for: signs of life, lost runs, and what is kept for a while
 * only
 *
 * Every process tells tenon.workers that it lives; the jobs process looks after the rest. Jobs see
 * all tenants only through functions that belong to tenon_platform (tenon.fail_lost_runs and its
 * like).
 *
 * Threads: the main thread of a worker. Errors: of the database; what failed is due again at once.
 */
#ifndef TN_JOBS_JOBS_H
#define TN_JOBS_JOBS_H

#include "base/error.h"
#include "identity/process.h"

/* "This worker lives", every few seconds; and "it has ended", so that nobody waits for its silence.
 */
const tn_error *tn_jobs_heartbeat(const tn_process *process, tn_arena *arena) TN_MUST_CHECK;
const tn_error *tn_jobs_farewell(const tn_process *process, tn_arena *arena) TN_MUST_CHECK;

/* Fails the runs of a worker that the master has seen die, with the text they had so far. */
const tn_error *tn_jobs_fail_worker(const tn_process *process, tn_arena *arena,
                                    const char *worker_id) TN_MUST_CHECK;

/* Runs the jobs that are due: called a few times a second by the jobs process. */
void tn_jobs_run(const tn_process *process, tn_arena *arena);

#endif
