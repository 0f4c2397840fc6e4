/* jobs/jobs.c: the table of jobs, and what every process does for its own sake */
#include "jobs/jobs.h"

#include "base/clock.h"
#include "base/log.h"
#include "hook/hook.h"
#include "identity/principal.h"
#include "jobs/queries.h"

struct job {
    const char *name;
    const tn_statement *statement; /* gives one number: how many rows it touched */
    int64_t interval_ms;
    int64_t contact_ms; /* so long must the database have been there without a break */
};

/* While the database is away nobody can give a sign of life: everybody gets the time to do so
 * before anybody's silence counts. */
static const struct job jobs[] = {
    {"runs.fail_silent", &tn_sql_runs_fail_silent, 5000, 20000},
    {"database.contact", &tn_sql_contact, 2000, 0},
    {"runs.sweep", &tn_sql_runs_sweep, 60000, 0},
    {"sessions.sweep", &tn_sql_sessions_sweep, 600000, 0},
    {"flows.sweep", &tn_sql_flows_sweep, 600000, 0},
    {"challenges.sweep", &tn_sql_challenges_sweep, 600000, 0},
    {"request_answers.sweep", &tn_sql_request_answers_sweep, 60000, 0},
    {"audit.sweep", &tn_sql_audit_sweep, 600000, 0},
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

/* A job's only parameter, where it has one, is how long the audit log is kept. */
static const tn_error *
run_job(const tn_process *process, tn_arena *arena, const tn_statement *statement,
        const tn_rows **rows)
{
    const char *const days =
        tn_arena_printf(arena, "%lld", (long long)process->config->auth.audit_keep_days);

    return run_query(process, arena, statement, &days, (size_t)statement->parameters, rows);
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

/* Once, when the database is there: schemas and functions may come later, a tenant too, so the
 * server runs all the same. */
static bool
have_settings_been_checked(const tn_process *process, tn_arena *arena)
{
    const tn_config *config = process->config;
    const tn_rows *rows;
    tn_uuid tenant;

    if (run_query(process, arena, &tn_sql_settings_missing,
                  TN_PARAMS(config->data.schemas, config->data.pre_request,
                            tn_hook_addresses(config, arena)),
                  &rows) != NULL)
        return false;
    for (size_t i = 0; i < tn_rows_count(rows); i++)
        tn_log(TN_LOG_WARN, "settings.names_nothing", TN_STR("setting", tn_rows_text(rows, i, 0)),
               TN_STR("value", tn_rows_text(rows, i, 1)));
    (void)!tn_principal_default_tenant(process, arena, &tenant); /* logs what is wrong itself */
    return true;
}

void
tn_jobs_run(const tn_process *process, tn_arena *arena)
{
    /* of this process; its main thread only */
    static bool is_checked;
    static int64_t due_ms[TN_COUNT(jobs)];
    static int64_t contact_since_ms; /* 0: none */

    if (!is_checked)
        is_checked = have_settings_been_checked(process, arena);
    for (size_t i = 0; i < TN_COUNT(jobs); i++) {
        const int64_t now = tn_clock_ms();
        const tn_rows *rows;

        if (now < due_ms[i] ||
            (jobs[i].contact_ms > 0 &&
             (contact_since_ms == 0 || now - contact_since_ms < jobs[i].contact_ms)))
            continue;
        if (run_job(process, arena, jobs[i].statement, &rows) != NULL) {
            contact_since_ms = 0;
            return; /* the database is away, and has said so in the log: all again at the next tick
                     */
        }
        if (contact_since_ms == 0)
            contact_since_ms = now;
        due_ms[i] = tn_clock_ms() + jobs[i].interval_ms;
        if (tn_rows_int(rows, 0, 0, 0) > 0) /* it did something */
            tn_log(TN_LOG_INFO, "jobs.done", TN_STR("job", jobs[i].name),
                   TN_INT("rows", tn_rows_int(rows, 0, 0, 0)));
    }
}
