/* db/database.h: the pool of connections of one process, and transactions on it
 *
 * The usual request is one call of tn_db_run(): BEGIN, the context, the queries and COMMIT travel
 * in one libpq pipeline, so it costs one round trip. A connection is borrowed for that long only,
 * and nobody holds one while waiting for anything but PostgreSQL.
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
#include "db/statement.h"

typedef struct tn_db tn_db;
typedef struct tn_rows tn_rows; /* the result of one query, owned by an arena */

typedef struct tn_db_options {
    const char *url;
    const char *pool;   /* "api": connections are called tenon/api; NULL: tenon */
    size_t connections; /* at most */
    int64_t wait_ms;    /* for a free connection */
    int64_t statement_timeout_ms, lock_timeout_ms; /* 0: none */
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

/* Who the transaction acts as; every text may be NULL (then it is set to the empty string). All are
 * set with set_config(..., true), so nothing outlives the transaction. `role` is one of ours,
 * never a text from a client; NULL stays tenon_authenticator. */
typedef struct tn_db_context {
    const char *role, *tenant_id, *claims, *headers, *method, *path, *key_id, *scopes, *request_id;
} tn_db_context;

typedef enum tn_access {
    TN_READ_ONLY,
    TN_READ_WRITE,
    TN_READ_WRITE_ASYNC /* synchronous_commit off: a crash may lose it, never tear it */
} tn_access;

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
int tn_session_server_version(const tn_session *session); /* 150018 */
/* Gives a role a password; only its SCRAM verifier goes to the server, and so into no log of it. */
const tn_error *tn_session_set_password(tn_session *session, tn_arena *arena, const char *role,
                                        const char *password) TN_MUST_CHECK;
bool tn_session_in_transaction(const tn_session *session); /* a failed one too */

/* What a URL says: "dbname", "user", "password", "host" …; NULL when it does not, or is no URL. */
const char *tn_url_part(tn_arena *arena, const char *url, const char *part) TN_MUST_CHECK;

#endif
