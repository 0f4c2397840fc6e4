/* db/database.h: the pool of connections of one process, and transactions on it
 *
 * The usual request is one call of tn_db_run(): BEGIN, the context, the queries and COMMIT travel
 * in one libpq pipeline, so it costs one round trip. A connection is borrowed for that long only,
 * and nobody holds one while waiting for anything but PostgreSQL. Three relatives of it:
 *
 *     tn_db_transact()   the same with everything that can be chosen about a transaction
 *     tn_db_begin()      when a query depends on the answer to the one before: several round trips
 *     tn_db_stream()     when the answer may be larger than the memory
 *
 * While the server is away nobody waits for it: one thread at a time tries to connect, with growing
 * pauses up to half a second, and all others are answered 503 at once.
 *
 * Threads: any, after tn_db_new().
 *
 * Errors: db/error.c turns SQLSTATE into tn_error:
 *
 *     no connection in time, or the server is away   503 database_unavailable, Retry-After
 *     57014   504 statement_timeout                  55P03   503 lock_timeout
 *     40001, 40P01   503 transaction_conflict        25006   405 read_only_transaction
 *     23505   409 unique_violation                   23503   409 foreign_key_violation
 *     23502   400 not_null_violation                 23514   400 check_violation
 *     22xxx   400, by their PostgreSQL names         42501   403 insufficient_privilege
 *     everything else   500 internal_error
 *
 * PostgreSQL's own texts quote values and SQL, so they do not reach the client. What SQL of ours or
 * of the app's raises on purpose does:
 *
 *     raise exception using errcode = 'PT409', message = 'a run is in progress',
 *         constraint = 'run_in_progress', datatype = '"run_id":"018f…"', column = '5';
 *
 * PTnnn is the HTTP status (400 to 599), CONSTRAINT the code (without it: the SQLSTATE), DETAIL and
 * HINT what they say, DATATYPE further members of the body, COLUMN the seconds for Retry-After. A
 * plain `raise exception` (P0001) is 400 raise_exception with its message.
 */
#ifndef TN_DB_DATABASE_H
#define TN_DB_DATABASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "db/error.h"
#include "db/statement.h"

typedef struct tn_db tn_db;
typedef struct tn_rows tn_rows; /* the result of one query, owned by an arena */

typedef struct tn_db_options {
    const char *url;
    const char *pool;   /* "api": connections are called tenon/api; NULL: tenon */
    size_t connections; /* at most */
    int64_t wait_ms;    /* for a free connection */
    int64_t statement_timeout_ms, lock_timeout_ms; /* 0: none */
    size_t statements_max; /* dynamic statements prepared per connection; 0: they never are */
    void (*on_borrow)(void *, int in_use); /* for the scoreboard; may be NULL. Called with the
                                              pool's lock held: it may store the number, no more */
    void *on_borrow_context;
} tn_db_options;

/* A pool; connections are opened when first needed, so this cannot fail. */
tn_db *tn_db_new(const tn_db_options *options) TN_NEVER_NULL TN_MUST_CHECK;
void tn_db_free(tn_db *db);

/* Figures for the scoreboard. */
typedef struct tn_db_figures {
    int64_t open, in_use, waiting;
    /* since the start */
    int64_t transactions, failures; /* committed; ended otherwise */
    int64_t retries;                /* of serialisation failures, deadlocks and lost connections */
    int64_t waits_given_up;         /* no connection in time */
    int64_t connects, connect_failures;
} tn_db_figures;
void tn_db_figures_read(tn_db *db, tn_db_figures *figures);

/* Who the transaction acts as, and under which settings. All are set with set_config(..., true), so
 * nothing outlives the transaction.
 *
 * Those of the first group that are NULL are set to the empty string. `role` may be any text, also
 * one out of a token: a role that is not there is PostgreSQL's 22023, one that may not be taken is
 * 42501. NULL stays tenon_authenticator.
 *
 * The second group leaves alone what is NULL or 0, and costs nothing then. `settings` come first
 * and before the role, so that nothing in them can stand in for anything else here. */
typedef struct tn_db_context {
    const char *role, *tenant_id, *claims, *headers, *method, *path, *key_id, *scopes, *request_id;

    const char *cookies;          /* request.cookies; set to '' when only others here are given */
    const char *search_path;      /* as SET takes it: names quoted, with commas */
    const char *time_zone;        /* PostgreSQL refuses one that it does not know with 22023 */
    const char *settings;         /* further ones, a JSON object: {"work_mem": "8MB", …} */
    int64_t statement_timeout_ms; /* instead of the pool's, as is the next; 0: the pool's */
    int64_t lock_timeout_ms;
} tn_db_context;

typedef enum tn_access {
    TN_READ_ONLY,
    TN_READ_WRITE,
    TN_READ_WRITE_ASYNC /* synchronous_commit off: a crash may lose it, never tear it */
} tn_access;

typedef enum tn_isolation {
    TN_READ_COMMITTED, /* or what default_transaction_isolation says */
    TN_REPEATABLE_READ,
    TN_SERIALIZABLE
} tn_isolation;

typedef struct tn_query {
    const tn_statement *statement;
    const char *const *parameters; /* texts, NULL for SQL null */
    size_t parameter_count;        /* equals statement->parameters */
    const int *lengths, *formats;  /* both NULL: all text; format 1: binary of that length */
} tn_query;

#define TN_PARAMS(...)                    \
    ((const char *const[]){__VA_ARGS__}), \
        (sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define TN_NO_PARAMS NULL, 0

/* Runs the queries in one transaction and one round trip; results[i] belongs to queries[i]. When
 * one fails nothing has happened, unless the connection broke while COMMIT was on its way: then the
 * answer is 503 with code `commit_unknown`. A serialisation failure or deadlock is retried twice.
 */
const tn_error *tn_db_run(tn_db *db, tn_arena *arena, const tn_db_context *context,
                          tn_access access, const tn_query *queries, size_t count,
                          const tn_rows **results) TN_MUST_CHECK;

/* What can be chosen about a transaction. */
typedef struct tn_db_work {
    const tn_db_context *context;
    tn_access access;
    tn_isolation isolation;
    const tn_query *queries;
    size_t count;            /* TN_QUERIES_MAX at most */
    const tn_rows **results; /* results[i] belongs to queries[i]; NULL where it has not been run */
    /* Everything is done and checked, deferred constraints too, and then rolled back. */
    bool rolls_back;
    /* PostgreSQL's words → an error for this client, wherever it came from: the context, a query,
     * or COMMIT. NULL: tn_db_error(). Not asked when the connection broke. The texts of the problem
     * live as long as the arena. */
    const tn_error *(*translate)(tn_arena *arena, const tn_db_problem *problem);
} tn_db_work;

#define TN_QUERIES_MAX 32

/* As tn_db_run(), with more to choose; as many round trips: one. */
const tn_error *tn_db_transact(tn_db *db, tn_arena *arena, const tn_db_work *work) TN_MUST_CHECK;

/* One row of a stream: the text of its first column (NULL for SQL null), which is gone when the
 * function returns. false: enough, the query is cancelled. */
typedef bool tn_db_row(void *context, const char *text, size_t length);

/* As tn_db_transact(), but the rows of the last query go one by one to `on_row` and are not kept,
 * so any number of them fits into constant memory. When on_row is called for the first time the
 * results of the earlier queries are there; when there is no row, they are there when this returns.
 * An error may come after some rows; before the first one, what failed is retried as usual. That
 * on_row wants no more is no error.
 *
 * The connection is held while on_row works, so a slow client holds it: let few do this at once.
 * `work` only reads: access is TN_READ_ONLY, count at least 1. */
const tn_error *tn_db_stream(tn_db *db, tn_arena *arena, const tn_db_work *work, tn_db_row *on_row,
                             void *context) TN_MUST_CHECK;

/* A transaction of several round trips. tn_db_begin() takes context, access, isolation, rolls_back
 * and translate of `work`, which must live as long as the transaction, and sends nothing: the first
 * run takes a connection and carries BEGIN and the context with it. After an error in any of these
 * calls the transaction has been rolled back; further runs and the commit give the same error
 * again. Conflicts are not retried (what the caller has made of earlier answers would be wrong); a
 * connection that has died since its last use is, at the first run.
 *
 * The connection is held until the transaction ends, so between the calls nobody waits for anything
 * else, a second connection of this pool included; after 10 s without a word PostgreSQL ends it.
 * What has not ended is rolled back when the arena is freed or reset. */
typedef struct tn_transaction tn_transaction;
const tn_error *tn_db_begin(tn_db *db, tn_arena *arena, const tn_db_work *work,
                            tn_transaction **transaction) TN_MUST_CHECK;
/* Runs queries in one round trip, as tn_db_run() does. */
const tn_error *tn_transaction_run(tn_transaction *transaction, const tn_query *queries,
                                   size_t count, const tn_rows **results) TN_MUST_CHECK;
/* The same, and before queries[i] the transaction takes on contexts[i] with all that is in it,
 * another role too, unless that is NULL or the one that it has. A query's result is NULL when it
 * has not been run, or has failed. The contexts live as long as the transaction. */
const tn_error *tn_transaction_run_as(tn_transaction *transaction,
                                      const tn_db_context *const *contexts, const tn_query *queries,
                                      size_t count, const tn_rows **results) TN_MUST_CHECK;
const tn_error *tn_transaction_run_last_as(tn_transaction *transaction,
                                           const tn_db_context *const *contexts,
                                           const tn_query *queries, size_t count,
                                           const tn_rows **results) TN_MUST_CHECK;
/* As tn_transaction_run(), and commits in the same round trip (with rolls_back: checks, and rolls
 * back). */
const tn_error *tn_transaction_run_last(tn_transaction *transaction, const tn_query *queries,
                                        size_t count, const tn_rows **results) TN_MUST_CHECK;
/* The same without queries. Of a transaction that has run nothing, nothing is sent. */
const tn_error *tn_transaction_commit(tn_transaction *transaction) TN_MUST_CHECK;
void
tn_transaction_roll_back(tn_transaction *transaction); /* one that has ended: nothing happens */

/* Results. Rows and columns count from 0; a NULL value is NULL. Texts live as long as the arena. */
size_t tn_rows_count(const tn_rows *rows);
const char *tn_rows_text(const tn_rows *rows, size_t row, int column);
size_t tn_rows_length(const tn_rows *rows, size_t row, int column); /* bytes */
int64_t tn_rows_int(const tn_rows *rows, size_t row, int column, int64_t fallback);
bool tn_rows_bool(const tn_rows *rows, size_t row, int column);
int64_t tn_rows_affected(const tn_rows *rows); /* by INSERT, UPDATE, DELETE */

/* A connection of its own for commands that need many statements and no pipeline (migrate, init,
 * doctor). NULL on failure: `problem` gets libpq's words without the password. */
typedef struct tn_session tn_session;
tn_session *tn_session_open(const char *url, tn_arena *arena, const char **problem) TN_MUST_CHECK;
/* The same in another database of that server. */
tn_session *tn_session_open_at(const char *url, const char *database, tn_arena *arena,
                               const char **problem) TN_MUST_CHECK;
void tn_session_close(tn_session *session);
/* Runs SQL text: several statements when there are no parameters. NULL rows result is allowed. Its
 * errors have the same status and code, but PostgreSQL's own words: who has a session is the
 * operator. */
const tn_error *tn_session_run(tn_session *session, tn_arena *arena, const char *sql,
                               const char *const *parameters, size_t count,
                               const tn_rows **rows) TN_MUST_CHECK;
/* The same for a file of SQL: what came back is let go, and a failure says where it was. */
typedef struct tn_script_failure {
    size_t statement; /* so many had been done */
    bool has_offset;  /* of the place that PostgreSQL means */
    size_t offset;    /* bytes */
} tn_script_failure;
const tn_error *tn_session_run_script(tn_session *session, tn_arena *arena, const char *sql,
                                      tn_script_failure *failure) TN_MUST_CHECK;
int tn_session_server_version(const tn_session *session); /* 150018 */
/* Gives a role a password; only its SCRAM verifier goes to the server, and so into no log of it. */
const tn_error *tn_session_set_password(tn_session *session, tn_arena *arena, const char *role,
                                        const char *password) TN_MUST_CHECK;
bool tn_session_in_transaction(const tn_session *session); /* a failed one too */

/* What a URL says: "dbname", "user", "password", "host" …; NULL when it does not, or is no URL. */
const char *tn_url_part(tn_arena *arena, const char *url, const char *part) TN_MUST_CHECK;

#endif
