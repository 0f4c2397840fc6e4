/* db/connection.c: opening connections, and waiting on them */
#include "db/connection_private.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "base/clock.h"
#include "base/error.h"

/* In front of the URL, so that the URL may say otherwise: a host that does not answer is given up
 * after 3 s, a peer that has vanished is noticed within about half a minute of silence, and within
 * 15 s when something is on its way to it. */
static const char *const defaults[][2] = {
    {"connect_timeout", "3"},  {"keepalives_idle", "15"},     {"keepalives_interval", "5"},
    {"keepalives_count", "3"}, {"tcp_user_timeout", "15000"},
};

static void
copy_problem(const char *words, char *problem, size_t size)
{
    size_t length = strnlen(words, size - 1);

    while (length > 0 && words[length - 1] == '\n')
        length--;
    for (size_t i = 0; i < length; i++)
        problem[i] = words[i] == '\n' || words[i] == '\t' ? ' ' : words[i];
    problem[length] = '\0';
}

static void
ignore_notice(void *context TN_UNUSED, const char *message TN_UNUSED)
{
    /* libpq's own way is to print it on standard error */
}

PGconn *
tn_connect(const char *url, const char *application, char *problem, size_t problem_size)
{
    return tn_connect_at(url, NULL, application, problem, problem_size);
}

PGconn *
tn_connect_at(const char *url, const char *database, const char *application, char *problem,
              size_t problem_size)
{
    const char *keywords[TN_COUNT(defaults) + 5], *values[TN_COUNT(defaults) + 5];
    PQconninfoOption *parsed = PQconninfoParse(url, NULL);
    size_t count = 0;
    PGconn *conn;

    for (; count < TN_COUNT(defaults); count++) {
        keywords[count] = defaults[count][0];
        values[count] = defaults[count][1];
    }
    keywords[count] = "fallback_application_name", values[count++] = application;
    keywords[count] = "dbname", values[count++] = url; /* the whole of it: expanded in place */
    if (database != NULL)
        keywords[count] = "dbname", values[count++] = database;
    keywords[count] = "client_encoding", values[count++] = "UTF8";
    keywords[count] = values[count] = NULL;
    conn = PQconnectdbParams(keywords, values, 1);
    if (conn == NULL)
        tn_die("no memory for a connection");
    /* of a URL that it cannot read, libpq quotes the whole, password and all */
    copy_problem(PQstatus(conn) == CONNECTION_OK ? ""
                 : parsed == NULL                ? "the URL of the database is not understood"
                                                 : PQerrorMessage(conn),
                 problem, problem_size);
    PQconninfoFree(parsed);
    PQsetNoticeProcessor(conn, ignore_notice, NULL);
    return conn;
}

bool
tn_connection_wait(const PGconn *conn, short events, int64_t deadline_ms)
{
    struct pollfd socket = {.fd = PQsocket(conn), .events = events};

    for (;;) {
        const int64_t left_ms = deadline_ms - tn_clock_ms();
        const int ready = poll(&socket, 1,
                               left_ms <= 0         ? 0
                               : left_ms <= INT_MAX ? (int)left_ms
                                                    : INT_MAX);

        if (ready > 0)
            return true;
        if (ready == 0 && left_ms <= 0)
            return false;
        if (ready < 0 && errno != EINTR)
            return true; /* let libpq find out what is wrong with the socket */
    }
}

tn_connection *
tn_connection_open(const char *url, const char *application, char *problem, size_t problem_size)
{
    PGconn *conn = tn_connect(url, application, problem, problem_size);
    tn_connection *connection;

    if (PQstatus(conn) != CONNECTION_OK || PQsetnonblocking(conn, 1) != 0 ||
        PQenterPipelineMode(conn) != 1) {
        PQfinish(conn);
        return NULL;
    }
    connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        tn_die("no memory for a connection");
    connection->conn = conn;
    connection->prepared = tn_prepared_new();
    return connection;
}

void
tn_connection_close(tn_connection *connection)
{
    if (connection == NULL)
        return;
    PQfinish(connection->conn);
    tn_prepared_free(connection->prepared);
    free(connection);
}

bool
tn_connection_is_quiet(const tn_connection *connection)
{
    struct pollfd socket = {.fd = PQsocket(connection->conn), .events = POLLIN | POLLRDHUP};

    return PQstatus(connection->conn) == CONNECTION_OK && poll(&socket, 1, 0) == 0;
}
