/* db/pipeline.c: sending the statements of a transaction, and reading the answers
 *
 * Everything goes out with one Sync at its end, so the server either runs it through or skips to
 * the end at the first error. Statements are prepared inside the same pipeline, the first time a
 * connection meets them, and under the role that will run them: the right to look into a schema is
 * checked as a statement is prepared, and a plan with row security belongs to a role, so one
 * statement shared by two roles would be planned anew with every change. The same goes for the
 * search path.
 */
#include "db/pipeline_private.h"

#include <assert.h>
#include <poll.h>

#include "base/clock.h"
#include "db/error_private.h"
#include "db/queries.h"
#include "db/rows_private.h"

#define IDLE_LIMIT_MS \
    10000 /* a transaction of ours never waits for us, unless this process hangs */
#define ANSWER_MARGIN_MS \
    5000 /* past the statement timeout: then the server or the way to it is gone */
#define LARGE_SIZE ((size_t)4 << 20) /* a parameter, or a value of an answer */
#define DYNAMIC_SIZE_MAX 32768 /* bytes of SQL; what is longer costs more to keep than to parse */

/* --- sending ---------------------------------------------------------------------------------- */

static void
add_step(tn_pipeline *p, const tn_step *step)
{
    assert(p->count < TN_COUNT(p->steps));
    p->steps[p->count++] = *step;
}

/* Whether the statement will be prepared once what has been sent so far has been done: earlier
 * steps of this very pipeline may prepare it, or forget it. */
static bool
is_prepared(const tn_pipeline *p, const tn_statement *statement, const char *name)
{
    for (size_t i = p->count; i-- > 0;)
        if (p->steps[i].name != NULL && strcmp(p->steps[i].name, name) == 0)
            return p->steps[i].kind == TN_STEP_PREPARE;
    return statement->is_dynamic ? tn_prepared_use_dynamic(p->connection->prepared, name)
                                 : tn_prepared_has(p->connection->prepared, name);
}

/* Makes room for one more dynamic statement: PostgreSQL forgets the one not used for longest. The
 * oldest come first in the set, so those that this pipeline forgets already are its first. */
static bool
send_forgetting(tn_pipeline *p, bool *has_room)
{
    const size_t most = tn_pool_options(p->db)->statements_max;
    size_t count = tn_prepared_count_dynamic(p->connection->prepared), forgotten = 0;
    const char *oldest;

    for (size_t i = 0; i < p->count; i++) {
        forgotten += p->steps[i].kind == TN_STEP_FORGET;
        count += p->steps[i].kind == TN_STEP_PREPARE && p->steps[i].statement->is_dynamic;
    }
    *has_room = count - forgotten < most;
    if (*has_room)
        return true;
    oldest = tn_prepared_oldest_dynamic(p->connection->prepared, forgotten);
    if (oldest == NULL) /* all of them are of this pipeline */
        return true;
    *has_room = true;
    add_step(p, &(tn_step){.kind = TN_STEP_FORGET,
                           .statement = &tn_sql_forget,
                           .name = tn_arena_text(p->arena, oldest)});
    return PQsendQueryParams(p->connection->conn,
                             tn_arena_printf(p->arena, "%s \"%s\"", tn_sql_forget.sql, oldest), 0,
                             NULL, NULL, NULL, NULL, 0) == 1;
}

/* Whether the statement is to have a name, and which. false: the connection is broken. */
static bool
choose_name(tn_pipeline *p, const tn_statement *statement, const char *role,
            char name[TN_PREPARED_NAME_SIZE], bool *has_name)
{
    const size_t statements_max = tn_pool_options(p->db)->statements_max;
    bool is_sent = true;

    *has_name =
        !p->is_nameless && !atomic_load(tn_pool_is_nameless(p->db)) &&
        (statement->is_dynamic ? statements_max > 0 && strlen(statement->sql) <= DYNAMIC_SIZE_MAX
                               : statement->name != NULL);
    if (!*has_name)
        return true;
    tn_prepared_name(statement, role, p->context == NULL ? NULL : p->context->search_path, name);
    if (is_prepared(p, statement, name))
        return true;
    if (statement->is_dynamic)
        is_sent = send_forgetting(p, has_name);
    if (!is_sent || !*has_name)
        return is_sent;
    add_step(p, &(tn_step){.kind = TN_STEP_PREPARE,
                           .statement = statement,
                           .name = tn_arena_text(p->arena, name)});
    return PQsendPrepare(p->connection->conn, name, statement->sql, 0, NULL) == 1;
}

/* Notes what makes libpq's buffers grow beyond what a connection should keep. */
static void
weigh(const tn_pipeline *p, size_t bytes)
{
    p->connection->is_bloated |= bytes > LARGE_SIZE;
}

static void
weigh_parameters(const tn_pipeline *p, const tn_query *query)
{
    for (size_t i = 0; i < query->parameter_count; i++)
        if (query->parameters[i] != NULL && query->formats != NULL && query->formats[i] == 1)
            weigh(p, (size_t)query->lengths[i]);
        else if (query->parameters[i] != NULL)
            weigh(p, strnlen(query->parameters[i], LARGE_SIZE + 1));
}

/* Sends one statement, preparing it first if need be. false: the connection is broken. */
static bool
send_statement(tn_pipeline *p, const char *role, const tn_query *query, tn_step step)
{
    PGconn *conn = p->connection->conn;
    const tn_statement *statement = query->statement;
    char name[TN_PREPARED_NAME_SIZE];
    bool has_name;

    assert(query->parameter_count == (size_t)statement->parameters);
    step.statement = statement;
    if (!choose_name(p, statement, role, name, &has_name))
        return false;
    add_step(p, &step);
    weigh_parameters(p, query);
    if (has_name)
        return PQsendQueryPrepared(conn, name, statement->parameters, query->parameters,
                                   query->lengths, query->formats, 0) == 1;
    return PQsendQueryParams(conn, statement->sql, statement->parameters, NULL, query->parameters,
                             query->lengths, query->formats, 0) == 1;
}

static bool
send_plain(tn_pipeline *p, const tn_statement *statement, tn_step step)
{
    return send_statement(p, "", &(tn_query){.statement = statement}, step);
}

static bool
send_frame(tn_pipeline *p, const tn_statement *statement)
{
    return send_plain(p, statement, (tn_step){.kind = TN_STEP_FRAME});
}

static const char *
or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

/* A role that is called none cannot be: see tn_db_work_check(). */
static const char *
role_of(const tn_pipeline *p)
{
    return p->context == NULL || p->context->role == NULL ? "none" : p->context->role;
}

static int64_t
statement_timeout_ms(const tn_pipeline *p)
{
    const int64_t wanted_ms = p->context == NULL ? 0 : p->context->statement_timeout_ms;

    return wanted_ms > 0 ? wanted_ms : tn_pool_options(p->db)->statement_timeout_ms;
}

static bool
send_context(tn_pipeline *p)
{
    const tn_db_context *context = p->context;
    const tn_statement *statement =
        context->settings != NULL || context->time_zone != NULL    ? &tn_sql_context_all
        : context->cookies != NULL || context->search_path != NULL ? &tn_sql_context_more
                                                                   : &tn_sql_context;
    const int64_t timeout_ms = statement_timeout_ms(p);
    char statement_timeout[24], lock_timeout[24];
    const char *parameters[] = {
        role_of(p),
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
        or_empty(context->cookies),
        context->search_path,
        context->time_zone,
        context->settings,
    };
    const tn_query query = {statement, parameters, (size_t)statement->parameters, NULL, NULL};

    static_assert(IDLE_LIMIT_MS == 10000, "the text above");
    assert((size_t)statement->parameters <= TN_COUNT(parameters));
    if (timeout_ms == 0)
        p->longest_timeout_ms = INT64_MAX;
    else if (timeout_ms > p->longest_timeout_ms)
        p->longest_timeout_ms = timeout_ms;
    (void)snprintf(statement_timeout, sizeof statement_timeout, "%lld", (long long)timeout_ms);
    (void)snprintf(lock_timeout, sizeof lock_timeout, "%lld",
                   (long long)(context->lock_timeout_ms > 0
                                   ? context->lock_timeout_ms
                                   : tn_pool_options(p->db)->lock_timeout_ms));
    return send_statement(p, "", &query, (tn_step){.kind = TN_STEP_FRAME});
}

bool
tn_pipeline_begin(tn_pipeline *p, const tn_db_work *work)
{
    const tn_statement *isolation =
        work->isolation == TN_SERIALIZABLE      ? &tn_sql_isolation_serializable
        : work->isolation == TN_REPEATABLE_READ ? &tn_sql_isolation_repeatable_read
                                                : NULL;

    p->context = work->context;
    if (!send_frame(p, work->access == TN_READ_ONLY ? &tn_sql_begin_read_only
                                                    : &tn_sql_begin_read_write))
        return false;
    if (isolation != NULL && !send_frame(p, isolation))
        return false;
    if (work->access == TN_READ_WRITE_ASYNC && !send_frame(p, &tn_sql_commit_later))
        return false;
    return send_context(p);
}

bool
tn_pipeline_queries(tn_pipeline *p, const tn_query *queries, size_t count)
{
    assert(count <= TN_QUERIES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (p->contexts != NULL && p->contexts[i] != NULL && p->contexts[i] != p->context) {
            p->context = p->contexts[i];
            if (!send_context(p))
                return false;
        }
        if (!send_statement(p, role_of(p), &queries[i],
                            (tn_step){.kind = TN_STEP_QUERY, .query = i}))
            return false;
    }
    if (p->stream != NULL)
        p->stream_at = p->count - 1;
    return true;
}

bool
tn_pipeline_end(tn_pipeline *p, bool rolls_back)
{
    if (rolls_back && !send_frame(p, &tn_sql_constraints_now))
        return false;
    return send_plain(p, rolls_back ? &tn_sql_rollback : &tn_sql_commit,
                      (tn_step){.kind = TN_STEP_END});
}

/* --- receiving -------------------------------------------------------------------------------- */

/* How long the server may say nothing. It keeps its own limit per statement; this one is for a
 * server or a network that has stopped. */
static int64_t
answer_deadline_ms(const tn_pipeline *p)
{
    const int64_t last_ms = statement_timeout_ms(p);
    const int64_t timeout_ms = last_ms > p->longest_timeout_ms ? last_ms : p->longest_timeout_ms;

    return last_ms == 0 || timeout_ms == INT64_MAX ? INT64_MAX / 2
                                                   : tn_clock_ms() + timeout_ms + ANSWER_MARGIN_MS;
}

/* Sends what is left to send and reads until the next result is there whole. false: broken, or too
 * late. */
static bool
await_result(const tn_pipeline *p)
{
    PGconn *conn = p->connection->conn;

    for (;;) {
        const int unsent = PQflush(conn);

        if (!PQisBusy(conn))
            return true;
        if (unsent < 0 || !tn_connection_wait(conn, unsent > 0 ? POLLIN | POLLOUT : POLLIN,
                                              answer_deadline_ms(p)))
            return false;
        if (PQconsumeInput(conn) != 1)
            return true; /* broken: PQgetResult() has the server's last words, and does not wait */
    }
}

static void
note_problem(tn_pipeline *p, PGresult *result)
{
    if (p->has_problem) {
        PQclear(result);
        return;
    }
    p->has_problem = true;
    p->problem_at = p->at;
    if (result != NULL) {
        tn_rows_keep(p->arena, result);
        p->problem = tn_db_problem_read(result);
    }
    if (p->at < p->count)
        p->problem.statement = p->steps[p->at].statement->name;
}

/* Asks the server to stop the query that is running. It waits until the server has passed that on,
 * so it cannot hit what this connection runs later. libpq takes tcp_user_timeout and the keepalives
 * for this as well (connection.c), and Linux counts the former while connecting too (measured), so
 * a network that is gone holds this thread for 15 s and not for TCP's minutes. */
static bool
cancel(const tn_pipeline *p)
{
    PGcancel *request = PQgetCancel(p->connection->conn);
    char words[256];
    const bool is_asked = request != NULL && PQcancel(request, words, sizeof words) == 1;

    PQfreeCancel(request);
    return is_asked;
}

/* Hands on rows of a stream. false: it shall end, and the server could not be told. */
static bool
hand_on(tn_pipeline *p, const PGresult *result)
{
    tn_stream *stream = p->stream;

    for (int row = 0; row < PQntuples(result) && !stream->is_stopped; row++) {
        const bool is_null = PQgetisnull(result, row, 0);

        stream->has_rows = true;
        stream->is_stopped =
            !stream->on_row(stream->context, is_null ? NULL : PQgetvalue(result, row, 0),
                            (size_t)PQgetlength(result, row, 0));
        if (stream->is_stopped && !cancel(p))
            return false;
    }
    return true;
}

/* A row comes whole into libpq's buffer. */
static void
weigh_rows(const tn_pipeline *p, const PGresult *result)
{
    for (int row = 0; row < PQntuples(result); row++)
        for (int column = 0; column < PQnfields(result); column++)
            weigh(p, (size_t)PQgetlength(result, row, column));
}

/* What has gone well: the set of prepared statements follows, and the caller gets their rows. */
static bool
take_success(tn_pipeline *p, const tn_step *step, PGresult *result)
{
    bool goes_on = true;

    switch (step->kind) {
    case TN_STEP_QUERY:
        weigh_rows(p, result);
        if (p->stream == NULL || p->at != p->stream_at) {
            p->results[step->query] = tn_rows_new(p->arena, result);
            return true;
        }
        goes_on = hand_on(p, result);
        break;
    case TN_STEP_PREPARE:
        if (step->statement->is_dynamic)
            tn_prepared_add_dynamic(p->connection->prepared, step->name);
        else
            tn_prepared_add(p->connection->prepared, step->name);
        break;
    case TN_STEP_FORGET:
        tn_prepared_remove_dynamic(p->connection->prepared, step->name);
        break;
    case TN_STEP_END:
        p->is_ended = true;
        break;
    case TN_STEP_FRAME:
        break;
    }
    PQclear(result);
    return goes_on;
}

/* false: an answer that ends the conversation. */
static bool
take_result(tn_pipeline *p, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        p->is_synced = true;
        PQclear(result);
        return true;
    case PGRES_PIPELINE_ABORTED: /* skipped after an error */
        PQclear(result);
        return true;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
        assert(p->at < p->count);
        return take_success(p, &p->steps[p->at], result);
    case PGRES_FATAL_ERROR:
        note_problem(p, result);
        return true;
    default: /* COPY, which no statement of ours may be, and an empty one */
        note_problem(p, result);
        return false;
    }
}

/* Reads answers up to the Sync. false: the connection is broken. */
static bool
receive(tn_pipeline *p)
{
    PGconn *conn = p->connection->conn;

    while (!p->is_synced) {
        PGresult *result;

        if (!await_result(p))
            return false;
        result = PQgetResult(conn);
        if (result == NULL &&
            p->at++ >= p->count) /* more answers than questions: libpq has given up */
            return false;
        if (result == NULL && p->stream != NULL && p->at == p->stream_at)
            (void)PQsetSingleRowMode(conn); /* refused when it will be skipped */
        if (result != NULL && !take_result(p, result))
            return false;
        if (PQstatus(conn) != CONNECTION_OK)
            return false;
    }
    return true;
}

bool
tn_pipeline_run(tn_pipeline *p)
{
    return PQpipelineSync(p->connection->conn) == 1 && receive(p);
}

bool
tn_pipeline_roll_back(tn_db *db, tn_connection *connection)
{
    tn_arena *arena = tn_arena_new(); /* the request's may be about to end */
    tn_pipeline p = {.db = db, .arena = arena, .connection = connection};
    bool is_idle = PQtransactionStatus(connection->conn) == PQTRANS_IDLE; /* BEGIN itself failed */

    if (!is_idle)
        is_idle = send_frame(&p, &tn_sql_rollback) && tn_pipeline_run(&p) && !p.has_problem &&
                  PQtransactionStatus(connection->conn) == PQTRANS_IDLE;
    tn_arena_free(arena);
    return is_idle;
}
