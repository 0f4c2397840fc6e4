/* jobs/jobs.c: the table of jobs, and what every process does for its own sake */
#include "jobs/jobs.h"

#include "base/clock.h"
#include "base/log.h"
#include "jobs/queries.h"

struct job {
    const char *name;
    const tn_statement *statement; /* gives one number: how many rows it touched */
    int64_t interval_ms;
};

static const struct job jobs[] = {
    {"runs.fail_silent", &tn_sql_runs_fail_silent, 5000},
    {"runs.sweep", &tn_sql_runs_sweep, 60000},
};

static const tn_error *
run_query(const tn_process *process, tn_arena *arena, const tn_statement *statement,
          const char *const *parameters, size_t count, const tn_rows **rows)
{
    const tn_db_context as_worker = {.role = "tenon_worker"};
    const tn_query query = {
        .statement = statement, .parameters = parameters, .parameter_count = count};

    return tn_db_run(process->db, arena, &as_worker, TN_READ_WRITE, &query, 1, rows);
}

const tn_error *
tn_jobs_heartbeat(const tn_process *process, tn_arena *arena)
{
    const tn_rows *rows;
    char host[256] = "", pid[16];

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    return run_query(process, arena, &tn_sql_worker_heartbeat,
                     TN_PARAMS(process->worker_id.text, host, pid, process->pool), &rows);
}

const tn_error *
tn_jobs_farewell(const tn_process *process, tn_arena *arena)
{
    const tn_rows *rows;

    return run_query(process, arena, &tn_sql_worker_farewell, TN_PARAMS(process->worker_id.text),
                     &rows);
}

const tn_error *
tn_jobs_fail_worker(const tn_process *process, tn_arena *arena, const char *worker_id)
{
    const tn_rows *rows;

    TN_TRY(run_query(process, arena, &tn_sql_runs_fail_worker, TN_PARAMS(worker_id), &rows));
    if (tn_rows_int(rows, 0, 0, 0) > 0)
        tn_log(TN_LOG_WARN, "jobs.runs.failed", TN_STR("worker_id", worker_id),
               TN_INT("runs", tn_rows_int(rows, 0, 0, 0)));
    return run_query(process, arena, &tn_sql_worker_farewell, TN_PARAMS(worker_id), &rows);
}

void
tn_jobs_run(const tn_process *process, tn_arena *arena)
{
    static int64_t due_ms[TN_COUNT(jobs)]; /* of this process; its main thread only */

    for (size_t i = 0; i < TN_COUNT(jobs); i++) {
        const tn_rows *rows;

        if (tn_clock_ms() < due_ms[i])
            continue;
        if (run_query(process, arena, jobs[i].statement, TN_NO_PARAMS, &rows) != NULL)
            return; /* the database is away, and has said so in the log: all again at the next tick */
        due_ms[i] = tn_clock_ms() + jobs[i].interval_ms;
        if (tn_rows_int(rows, 0, 0, 0) > 0)
            tn_log(TN_LOG_INFO, "jobs.done", TN_STR("job", jobs[i].name),
                   TN_INT("rows", tn_rows_int(rows, 0, 0, 0)));
    }
}
