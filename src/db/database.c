/* db/database.c: a transaction in one round trip
 *
 * BEGIN, the context, the queries and COMMIT are sent as one pipeline with one Sync at its end, so
 * the server either runs it through or skips to the end at the first error. Statements are prepared
 * inside the same pipeline, the first time a connection meets them, and under the role that will
 * run them: the right to look into a schema is checked as a statement is prepared, and a plan with
 * row security belongs to a role, so one statement shared by two roles would be planned anew with
 * every change.
 */
#include "db/database.h"

#include <assert.h>
#include <poll.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "db/error_private.h"
#include "db/pool_private.h"
#include "db/queries.h"
#include "db/rows_private.h"

#define QUERIES_MAX 32
#define RETRIES_MAX 2
#define IDLE_LIMIT_MS \
    10000 /* a transaction of ours never waits for us, unless this process hangs */
#define ANSWER_MARGIN_MS \
    5000 /* past the statement timeout: then the server or the way to it is gone */
#define NAME_SIZE 128

/* What was sent, in order; answers come in the same order. */
struct step {
    enum { STEP_BEGIN, STEP_SETTING, STEP_QUERY, STEP_COMMIT } kind;
    const char *prepares; /* name of the statement that this step only prepares, or NULL */
    const tn_statement *statement;
    size_t query; /* of STEP_QUERY */
};

/* One attempt at a transaction. */
struct attempt {
    tn_db *db;
    tn_arena *arena;
    tn_connection *connection;
    tn_access access;
    const tn_rows **results;
    struct step steps[2 * (QUERIES_MAX + 4)];
    size_t count, at; /* sent, answered */
    bool is_synced, is_committed;
    bool has_problem;
    tn_db_problem problem; /* the first error; its sqlstate is NULL when the connection broke */
    size_t problem_at;
};

/* --- sending -------------------------------------------------------------------------------------
 */

static void
add_step(struct attempt *a, const struct step *step)
{
    assert(a->count < TN_COUNT(a->steps));
    a->steps[a->count++] = *step;
}

/* Whether this connection has prepared the statement, or is about to earlier in this very pipeline.
 */
static bool
is_prepared(const struct attempt *a, const char *name)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->steps[i].prepares != NULL && strcmp(a->steps[i].prepares, name) == 0)
            return true;
    return tn_connection_has_prepared(a->connection, name);
}

/* Sends one statement under a name, preparing it first if need be. false: the connection is broken.
 */
static bool
send_statement(struct attempt *a, const char *role, const tn_query *query, struct step step)
{
    PGconn *conn = a->connection->conn;
    const tn_statement *statement = query->statement;
    char name[NAME_SIZE];
    int length;

    assert(query->parameter_count == (size_t)statement->parameters);
    step.statement = statement;
    if (statement->name == NULL || atomic_load(tn_pool_is_nameless(a->db))) {
        add_step(a, &step);
        return PQsendQueryParams(conn, statement->sql, statement->parameters, NULL,
                                 query->parameters, query->lengths, query->formats, 0) == 1;
    }
    length = snprintf(name, sizeof name, "%s/%s", role, statement->name);
    assert(length > 0 && (size_t)length < sizeof name);
    if (!is_prepared(a, name)) {
        struct step preparation = step;

        preparation.prepares = tn_arena_text(a->arena, name);
        add_step(a, &preparation);
        if (PQsendPrepare(conn, name, statement->sql, 0, NULL) != 1)
            return false;
    }
    add_step(a, &step);
    return PQsendQueryPrepared(conn, name, statement->parameters, query->parameters, query->lengths,
                               query->formats, 0) == 1;
}

static bool
send_plain(struct attempt *a, const tn_statement *statement, struct step step)
{
    return send_statement(a, "", &(tn_query){.statement = statement}, step);
}

static const char *
or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

static bool
send_context(struct attempt *a, const tn_db_context *context)
{
    const tn_db_options *options = tn_pool_options(a->db);
    char statement_timeout[24], lock_timeout[24];
    const char *parameters[] = {
        context->role == NULL ? "none" : context->role,
        or_empty(context->tenant_id),
        or_empty(context->claims),
        or_empty(context->headers),
        or_empty(context->method),
        or_empty(context->path),
        or_empty(context->key_id),
        or_empty(context->scopes),
        or_empty(context->request_id),
        statement_timeout,
        lock_timeout,
        "10000", /* IDLE_LIMIT_MS */
    };
    const tn_query query = {&tn_sql_context, parameters, TN_COUNT(parameters), NULL, NULL};

    static_assert(IDLE_LIMIT_MS == 10000, "the text above");
    snprintf(statement_timeout, sizeof statement_timeout, "%lld",
             (long long)options->statement_timeout_ms);
    snprintf(lock_timeout, sizeof lock_timeout, "%lld", (long long)options->lock_timeout_ms);
    return send_statement(a, "", &query, (struct step){.kind = STEP_SETTING});
}

static bool
send_transaction(struct attempt *a, const tn_db_context *context, const tn_query *queries,
                 size_t count)
{
    const tn_statement *begin =
        a->access == TN_READ_ONLY ? &tn_sql_begin_read_only : &tn_sql_begin_read_write;
    const char *role = context->role == NULL ? "none" : context->role;

    if (!send_plain(a, begin, (struct step){.kind = STEP_BEGIN}))
        return false;
    if (a->access == TN_READ_WRITE_ASYNC &&
        !send_plain(a, &tn_sql_commit_later, (struct step){.kind = STEP_SETTING}))
        return false;
    if (!send_context(a, context))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!send_statement(a, role, &queries[i], (struct step){.kind = STEP_QUERY, .query = i}))
            return false;
    return send_plain(a, &tn_sql_commit, (struct step){.kind = STEP_COMMIT}) &&
           PQpipelineSync(a->connection->conn) == 1;
}

/* --- receiving -----------------------------------------------------------------------------------
 */

/* How long the server may say nothing. It keeps its own limit per statement; this one is for a
 * server or a network that has stopped. */
static int64_t
answer_deadline_ms(const struct attempt *a)
{
    const int64_t timeout_ms = tn_pool_options(a->db)->statement_timeout_ms;

    return timeout_ms == 0 ? INT64_MAX / 2 : tn_clock_ms() + timeout_ms + ANSWER_MARGIN_MS;
}

/* Sends what is left to send and reads until the next result is there whole. false: broken, or too
 * late. */
static bool
await_result(const struct attempt *a)
{
    PGconn *conn = a->connection->conn;

    for (;;) {
        const int unsent = PQflush(conn);

        if (!PQisBusy(conn))
            return true;
        if (unsent < 0 || !tn_connection_wait(conn, unsent > 0 ? POLLIN | POLLOUT : POLLIN,
                                              answer_deadline_ms(a)))
            return false;
        if (PQconsumeInput(conn) != 1)
            return true; /* broken: PQgetResult() has the server's last words, and does not wait */
    }
}

static void
note_problem(struct attempt *a, PGresult *result)
{
    if (a->has_problem) {
        PQclear(result);
        return;
    }
    a->has_problem = true;
    a->problem_at = a->at;
    if (result != NULL) {
        tn_rows_keep(a->arena, result);
        a->problem = tn_db_problem_read(result);
    }
    if (a->at < a->count)
        a->problem.statement = a->steps[a->at].statement->name;
}

/* false: an answer that ends the conversation. */
static bool
take_result(struct attempt *a, PGresult *result)
{
    const struct step *step = a->at < a->count ? &a->steps[a->at] : NULL;

    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        a->is_synced = true;
        PQclear(result);
        return true;
    case PGRES_PIPELINE_ABORTED: /* skipped after an error */
        PQclear(result);
        return true;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        assert(step != NULL);
        if (step->prepares != NULL)
            tn_connection_add_prepared(a->connection, step->prepares);
        else if (step->kind == STEP_COMMIT)
            a->is_committed = true;
        if (step->kind == STEP_QUERY && step->prepares == NULL)
            a->results[step->query] = tn_rows_new(a->arena, result);
        else
            PQclear(result);
        return true;
    case PGRES_FATAL_ERROR:
        note_problem(a, result);
        return true;
    default: /* COPY, which no statement of ours may be */
        note_problem(a, result);
        return false;
    }
}

/* Reads answers up to the Sync. false: the connection is broken. */
static bool
receive(struct attempt *a)
{
    PGconn *conn = a->connection->conn;

    while (!a->is_synced) {
        PGresult *result;

        if (!await_result(a))
            return false;
        result = PQgetResult(conn);
        if (result == NULL &&
            a->at++ >= a->count) /* more answers than questions: libpq has given up */
            return false;
        if (result != NULL && !take_result(a, result))
            return false;
        if (PQstatus(conn) != CONNECTION_OK)
            return false;
    }
    return true;
}

/* Ends a failed transaction, so that the connection can be given to the next. */
static bool
roll_back(struct attempt *failed)
{
    struct attempt a = {.db = failed->db, .arena = failed->arena, .connection = failed->connection};

    if (PQtransactionStatus(a.connection->conn) == PQTRANS_IDLE)
        return true; /* BEGIN itself failed */
    return send_plain(&a, &tn_sql_rollback, (struct step){.kind = STEP_SETTING}) &&
           PQpipelineSync(a.connection->conn) == 1 && receive(&a) && !a.has_problem &&
           PQtransactionStatus(a.connection->conn) == PQTRANS_IDLE;
}

/* --- what became of it ---------------------------------------------------------------------------
 */

enum outcome {
    COMMITTED,
    FAILED,   /* rolled back, with an error for the caller */
    CONFLICT, /* rolled back; it may well go through a second time */
    STALE,    /* rolled back; the connection's statements are not what we thought */
    LOST,     /* the connection broke, and it is certain that nothing was committed */
    UNKNOWN   /* the connection broke while COMMIT was on its way */
};

static bool
is_state(const struct attempt *a, const char *sqlstate)
{
    return a->problem.sqlstate != NULL && strcmp(a->problem.sqlstate, sqlstate) == 0;
}

/* The connection broke. When the server said why (FATAL) before it came to COMMIT, then it did not
 * commit: answers come in order. A transaction that only reads has nothing to lose. */
static enum outcome
judge_break(const struct attempt *a)
{
    const bool before_commit =
        a->has_problem && a->problem.sqlstate != NULL && a->problem_at + 1 < a->count;

    if (a->is_committed)
        return COMMITTED; /* all answers but the Sync have arrived */
    return before_commit || a->access == TN_READ_ONLY ? LOST : UNKNOWN;
}

/* Prepared statements that are not there (a pooler between us and the server, somebody's DISCARD)
 * or whose result has changed its columns (a migration). 42P05 is the pooler's other face: there
 * already. */
static bool
is_stale(const struct attempt *a)
{
    return is_state(a, "26000") || is_state(a, "42P05") ||
           (is_state(a, "0A000") && a->problem.function != NULL &&
            strcmp(a->problem.function, "RevalidateCachedQuery") == 0);
}

static enum outcome
run_once(struct attempt *a, const tn_db_context *context, const tn_query *queries, size_t count)
{
    const bool is_sent = send_transaction(a, context, queries, count);
    const bool is_whole = is_sent && receive(a);

    if (!is_sent) /* no Sync, so no COMMIT has run; libpq fails here for want of memory, mostly */
        return LOST;
    if (!is_whole)
        return judge_break(a);
    if (a->is_committed)
        return COMMITTED;
    assert(a->has_problem);
    if (is_stale(a))
        return STALE;
    if (is_state(a, "25006") && a->access != TN_READ_ONLY)
        return LOST; /* this server has become a standby: the next connection finds the primary */
    return is_state(a, "40001") || is_state(a, "40P01") ? CONFLICT : FAILED;
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

static const tn_error *
error_of(const struct attempt *a, enum outcome outcome)
{
    switch (outcome) {
    case COMMITTED:
        return NULL;
    case FAILED:
    case CONFLICT:
    case STALE:
        return tn_db_error(a->arena, &a->problem);
    case LOST:
        return tn_pool_unavailable(a->arena);
    case UNKNOWN:
        return commit_unknown(a->arena);
    }
    return NULL;
}

/* Gives the connection back in the state that the outcome left it in. */
static void
give_back(struct attempt *a, enum outcome outcome)
{
    bool is_reusable = outcome == COMMITTED && a->is_synced;

    if (outcome == FAILED || outcome == CONFLICT)
        is_reusable = roll_back(a);
    a->connection->is_used = true;
    if (!is_reusable && outcome != STALE)
        tn_log(TN_LOG_WARN, "db.connection.lost", TN_STR("pool", tn_pool_options(a->db)->pool),
               TN_STR("sqlstate", a->problem.sqlstate),
               TN_BOOL("commit_unknown", outcome == UNKNOWN));
    tn_pool_give(a->db, a->connection, is_reusable ? TN_GIVE_REUSABLE : TN_GIVE_BROKEN);
    tn_pool_count(a->db, outcome == COMMITTED ? TN_COUNT_TRANSACTION : TN_COUNT_FAILURE);
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

/* Whether to try again, after a short pause where others need a moment. No connection is held. */
static bool
shall_retry(const struct attempt *a, enum outcome outcome, int tried, bool was_used)
{
    switch (outcome) {
    case CONFLICT:
        if (tried < RETRIES_MAX)
            pause_at_random(tried);
        return tried < RETRIES_MAX;
    case STALE:
        if (tried > 0 || is_state(a, "42P05")) {
            if (!atomic_exchange(tn_pool_is_nameless(a->db), true))
                tn_log(TN_LOG_WARN, "db.statements.nameless",
                       TN_STR("sqlstate", a->problem.sqlstate));
        }
        return tried < RETRIES_MAX;
    case LOST: /* a connection that has died since its last transaction says nothing about the
                  server */
        return tried == 0 && was_used;
    case COMMITTED:
    case FAILED:
    case UNKNOWN:
        break;
    }
    return false;
}

const tn_error *
tn_db_run(tn_db *db, tn_arena *arena, const tn_db_context *context, tn_access access,
          const tn_query *queries, size_t count, const tn_rows **results)
{
    assert(count <= QUERIES_MAX);
    for (int tried = 0;; tried++) {
        struct attempt a = {.db = db, .arena = arena, .access = access, .results = results};
        enum outcome outcome;
        bool was_used;

        for (size_t i = 0; i < count; i++)
            results[i] = NULL;
        TN_TRY(tn_pool_take(db, arena, &a.connection));
        was_used = a.connection->is_used;
        outcome = run_once(&a, context, queries, count);
        give_back(&a, outcome);
        if (!shall_retry(&a, outcome, tried, was_used))
            return error_of(&a, outcome);
        tn_pool_count(db, TN_COUNT_RETRY);
    }
}
