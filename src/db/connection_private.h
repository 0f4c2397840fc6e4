/* db/connection_private.h: one connection to PostgreSQL
 *
 * Opened within a bounded time, waited on with poll() (descriptors pass 1024, which select() cannot
 * take), and remembering which statements it has prepared.
 *
 * Threads: a connection belongs to one thread at a time.
 */
#ifndef TN_DB_CONNECTION_PRIVATE_H
#define TN_DB_CONNECTION_PRIVATE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/prepared_private.h"

/* A connection, or one whose PQstatus() is bad: then `problem` has libpq's words on one line,
 * without the password. Each host of the URL is given a few seconds. Never NULL. PQfinish() when
 * done. */
PGconn *tn_connect(const char *url, const char *application, char *problem,
                   size_t problem_size) TN_NEVER_NULL TN_MUST_CHECK;
/* The same in another database of that server; NULL: the URL's. */
PGconn *tn_connect_at(const char *url, const char *database, const char *application, char *problem,
                      size_t problem_size) TN_NEVER_NULL TN_MUST_CHECK;

/* Waits until the socket is ready for `events` (of poll()); false at the deadline. */
bool tn_connection_wait(const PGconn *conn, short events, int64_t deadline_ms) TN_MUST_CHECK;

typedef struct tn_connection {
    PGconn *conn; /* always in pipeline mode, never blocking */
    tn_prepared *prepared;
    int64_t idle_since_ms;
    bool is_used;    /* a transaction has run on it before */
    bool is_bloated; /* libpq's buffers have grown; they never shrink */
} tn_connection;

/* As tn_connect(); NULL on failure. */
tn_connection *tn_connection_open(const char *url, const char *application, char *problem,
                                  size_t problem_size) TN_MUST_CHECK;
void tn_connection_close(tn_connection *connection); /* takes NULL */

/* Whether an idle connection has nothing to say. Something to read means that the server has closed
 * it, or is about to. */
bool tn_connection_is_quiet(const tn_connection *connection) TN_MUST_CHECK;

#endif
