/* db/database.h: the pool of connections of one process, and transactions on it
 *
 * The usual request is one call of tn_db_run(): BEGIN, the context, the queries and COMMIT travel in
 * one libpq pipeline, so it costs one round trip. A connection is borrowed for that long only, and
 * nobody holds one while waiting for anything but PostgreSQL.
 *
 * Threads: any, after tn_db_new(). Errors: db/error.c turns SQLSTATE into tn_error:
 *   no connection within the wait, or the server is away   503 database_unavailable, Retry-After
 *   57014 statement timeout 504 · 55P03 lock timeout 503 · 40001/40P01 after retries 503 conflict
 *   PTnnn raised by SQL of ours or the app's: HTTP status nnn, see tn_db_error()
 *   23505 409 · 23503 409 · 23502/23514/22xxx 400 · 42501 403 · everything else 500
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
    size_t connections;               /* at most */
    int64_t wait_ms;                  /* for a free connection */
    int64_t statement_timeout_ms, lock_timeout_ms;
    void (*on_borrow)(void *, int in_use); /* for the scoreboard; may be NULL */
    void *on_borrow_context;
} tn_db_options;

/* A pool; connections are opened when first needed, so this cannot fail. */
tn_db *tn_db_new(const tn_db_options *options) TN_NEVER_NULL TN_MUST_CHECK;
void tn_db_free(tn_db *db);

/* Who the transaction acts as; every text may be NULL (then it is set to the empty string). All are
 * set with set_config(..., true), so nothing outlives the transaction. `role` is one of ours,
 * never a text from a client; NULL stays tenon_authenticator. */
typedef struct tn_db_context {
    const char *role, *tenant_id, *claims, *headers, *method, *path, *key_id, *scopes, *request_id;
} tn_db_context;

typedef enum tn_access { TN_READ_ONLY, TN_READ_WRITE, TN_READ_WRITE_ASYNC /* synchronous_commit off */ } tn_access;

typedef struct tn_query {
    const tn_statement *statement;
    const char *const *parameters;    /* texts, NULL for SQL null */
    size_t parameter_count;           /* equals statement->parameters */
    const int *lengths, *formats;     /* both NULL: all text; format 1: binary of that length */
} tn_query;

#define TN_PARAMS(...)                                                                            \
    ((const char *const[]){__VA_ARGS__}), (sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define TN_NO_PARAMS NULL, 0

/* Runs the queries in one transaction and one round trip; results[i] belongs to queries[i]. When one
 * fails nothing has happened, unless the connection broke while COMMIT was on its way: then the
 * answer is 503 with code `commit_unknown`. A serialisation failure or deadlock is retried twice. */
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

/* Figures for the scoreboard. */
typedef struct tn_db_figures {
    int64_t open, in_use, waiting;
    int64_t transactions, failures, waits_given_up; /* since the start */
} tn_db_figures;
void tn_db_figures_read(tn_db *db, tn_db_figures *figures);

/* A connection of its own for commands that need many statements and no pipeline (migrate, init,
 * doctor). `problem` gets libpq's words without the password. */
typedef struct tn_session tn_session;
tn_session *tn_session_open(const char *url, tn_arena *arena, const char **problem) TN_MUST_CHECK;
void tn_session_close(tn_session *session);
/* Runs SQL text: several statements when there are no parameters. NULL rows result is allowed. */
const tn_error *tn_session_run(tn_session *session, tn_arena *arena, const char *sql,
                               const char *const *parameters, size_t count, const tn_rows **rows)
    TN_MUST_CHECK;
int tn_session_server_version(const tn_session *session); /* 150018 */

#endif
