/* db/outcome.c: what became of a transaction, and what follows from it */
#include "db/outcome_private.h"

#include <assert.h>
#include <time.h>

#include "base/crypto.h"
#include "base/log.h"

#define RETRIES_MAX 2

static bool
is_state(const tn_pipeline *p, const char *sqlstate)
{
    return p->problem.sqlstate != NULL && strcmp(p->problem.sqlstate, sqlstate) == 0;
}

/* The connection broke. When the server said why (FATAL) before it came to COMMIT, then it did not
 * commit: answers come in order. Where COMMIT was not sent there is nothing to lose, and neither
 * has a transaction that only reads, or that was to be rolled back. */
static tn_outcome
judge_break(const tn_pipeline *p, const tn_db_work *work)
{
    const bool has_commit = p->count > 0 && p->steps[p->count - 1].kind == TN_STEP_END;
    const bool before_commit =
        p->has_problem && p->problem.sqlstate != NULL && p->problem_at + 1 < p->count;

    if (p->is_ended)
        return TN_COMMITTED; /* all answers but the Sync have arrived */
    return !has_commit || before_commit || work->access == TN_READ_ONLY || work->rolls_back
               ? TN_LOST
               : TN_UNKNOWN;
}

/* What changed under a prepared statement has changed the columns that it gives (a migration). */
static bool
has_changed_columns(const tn_pipeline *p)
{
    return is_state(p, "0A000") && p->problem.function != NULL &&
           strcmp(p->problem.function, "RevalidateCachedQuery") == 0;
}

/* Prepared statements that have changed, or that are not there (a pooler between us and the server,
 * somebody's DISCARD). 42P05 is the pooler's other face: there already. Where a function of the app
 * has said so it is the function's own affair. */
static bool
is_stale(const tn_pipeline *p)
{
    return p->problem.context == NULL &&
           (is_state(p, "26000") || is_state(p, "42P05") || has_changed_columns(p));
}

/* By a function of the app: then it says nothing about the server. */
static bool
is_raised(const tn_pipeline *p)
{
    return p->problem.function != NULL && strcmp(p->problem.function, "exec_stmt_raise") == 0;
}

tn_outcome
tn_outcome_of_run(tn_pipeline *p, const tn_db_work *work, bool is_filled)
{
    const bool is_whole = is_filled && tn_pipeline_run(p);

    if (!is_filled) /* no Sync, so no COMMIT has run; libpq fails here for want of memory, mostly */
        return TN_LOST;
    if (p->stream != NULL && p->stream->is_stopped)
        return TN_STOPPED;
    if (!is_whole)
        return judge_break(p, work);
    if (p->is_ended)
        return TN_COMMITTED;
    if (!p->has_problem)
        return TN_OPEN;
    if (is_stale(p))
        return TN_STALE;
    if (is_state(p, "25006") && work->access != TN_READ_ONLY && !is_raised(p))
        return TN_LOST; /* this server has become a standby: the next connection finds the primary
                         */
    return is_state(p, "40001") || is_state(p, "40P01") ? TN_CONFLICT : TN_FAILED;
}

static const tn_error *
translate(tn_arena *arena, const tn_db_work *work, const tn_db_problem *problem)
{
    return work->translate == NULL ? tn_db_error(arena, problem) : work->translate(arena, problem);
}

/* PostgreSQL has no role of this name and takes the word for RESET ROLE, which would leave the
 * transaction to the workers' login. So we say what it says of other roles that are not there. */
const tn_error *
tn_db_work_check(tn_arena *arena, const tn_db_work *work)
{
    static const tn_db_problem none = {
        .sqlstate = "22023", .message = "role \"none\" does not exist", .statement = "context"};

    if (work->context->role == NULL || strcmp(work->context->role, "none") != 0)
        return NULL;
    return translate(arena, work, &none);
}

static const tn_error *
commit_unknown(tn_arena *arena)
{
    tn_error *error = tn_error_new(arena, 503, "commit_unknown",
                                   "Look whether it has happened before you send it again.",
                                   "the connection to the database broke at the very end, so this "
                                   "may or may not have happened");

    error->retry_after_s = 1;
    return error;
}

const tn_error *
tn_outcome_error(const tn_pipeline *p, const tn_db_work *work, tn_outcome outcome)
{
    /* what a statement is about has changed since the transaction began: a conflict, to the client
     */
    const tn_db_problem changed = {.sqlstate = "40001",
                                   .message = "could not go on: a table was changed meanwhile",
                                   .statement = p->problem.statement};

    switch (outcome) {
    case TN_COMMITTED:
    case TN_OPEN:
    case TN_STOPPED:
        return NULL;
    case TN_FAILED:
    case TN_CONFLICT:
        return translate(p->arena, work, &p->problem);
    case TN_STALE:
        return translate(p->arena, work, &changed);
    case TN_LOST:
        return tn_pool_unavailable(p->arena);
    case TN_UNKNOWN:
        return commit_unknown(p->arena);
    }
    return NULL;
}

void
tn_outcome_give_back(tn_pipeline *p, tn_outcome outcome)
{
    bool is_reusable = outcome == TN_COMMITTED && p->is_synced;

    if (outcome == TN_FAILED || outcome == TN_CONFLICT || (outcome == TN_STOPPED && p->is_synced))
        is_reusable = tn_pipeline_roll_back(p->db, p->connection);
    p->connection->is_used = true;
    if (!is_reusable && outcome != TN_STALE && outcome != TN_STOPPED)
        tn_log(TN_LOG_WARN, "db.connection.lost", TN_STR("pool", tn_pool_options(p->db)->pool),
               TN_STR("sqlstate", p->problem.sqlstate),
               TN_BOOL("commit_unknown", outcome == TN_UNKNOWN));
    tn_pool_give(p->db, p->connection, is_reusable ? TN_GIVE_REUSABLE : TN_GIVE_BROKEN);
    tn_pool_count(p->db, outcome == TN_COMMITTED || outcome == TN_STOPPED ? TN_COUNT_TRANSACTION
                                                                          : TN_COUNT_FAILURE);
}

/* Those who were in each other's way shall not meet again. */
static void
pause_at_random(int tried)
{
    struct timespec pause = {0, 1000000};
    uint8_t random;

    tn_random(&random, sizeof random);
    pause.tv_nsec *= (1L + random % 16) * (tried + 1L);
    (void)nanosleep(&pause, NULL);
}

bool
tn_outcome_wants_nameless(const tn_pipeline *p, tn_outcome outcome)
{
    return outcome == TN_STALE && has_changed_columns(p);
}

bool
tn_outcome_is_of_connection(const tn_pipeline *p, tn_outcome outcome, int tried, bool was_used)
{
    if (outcome == TN_LOST) /* one that has died since its last transaction says nothing about the
                               server */
        return tried == 0 && was_used;
    if (outcome != TN_STALE)
        return false;
    if (!has_changed_columns(p) && (tried > 0 || is_state(p, "42P05")) &&
        !atomic_exchange(tn_pool_is_nameless(p->db), true))
        tn_log(TN_LOG_WARN, "db.statements.nameless", TN_STR("sqlstate", p->problem.sqlstate));
    return tried < RETRIES_MAX;
}

bool
tn_outcome_shall_retry(const tn_pipeline *p, tn_outcome outcome, int tried, bool was_used)
{
    if (p->stream != NULL && p->stream->has_rows)
        return false;
    if (outcome != TN_CONFLICT)
        return tn_outcome_is_of_connection(p, outcome, tried, was_used);
    if (tried < RETRIES_MAX)
        pause_at_random(tried);
    return tried < RETRIES_MAX;
}
