/* db/session.c: a connection of its own, for commands that run one statement after the other */
#include <stdlib.h>
#include <string.h>

#include "db/connection_private.h"
#include "db/database.h"
#include "db/error_private.h"
#include "db/rows_private.h"

struct tn_session {
    PGconn *conn;
};

tn_session *
tn_session_open(const char *url, tn_arena *arena, const char **problem)
{
    return tn_session_open_at(url, NULL, arena, problem);
}

tn_session *
tn_session_open_at(const char *url, const char *database, tn_arena *arena, const char **problem)
{
    char words[512];
    PGconn *conn = tn_connect_at(url, database, "tenon/command", words, sizeof words);
    tn_session *session;

    if (PQstatus(conn) != CONNECTION_OK) {
        *problem = tn_arena_text(arena, words);
        PQfinish(conn);
        return NULL;
    }
    session = calloc(1, sizeof *session);
    if (session == NULL)
        tn_die("no memory for a session");
    session->conn = conn;
    return session;
}

void
tn_session_close(tn_session *session)
{
    if (session == NULL)
        return;
    PQfinish(session->conn);
    free(session);
}

/* What a failed result means; the result belongs to the arena from here on. */
static const tn_error *
read_failure(const tn_session *session, tn_arena *arena, PGresult *result)
{
    tn_db_problem problem;

    tn_rows_keep(arena, result);
    problem = tn_db_problem_read(result);
    if (problem.sqlstate == NULL) { /* libpq's own words: the connection broke */
        problem.sqlstate = "08006";
        problem.message = tn_arena_text(arena, PQerrorMessage(session->conn));
    }
    if (problem.hint == NULL) /* PostgreSQL cannot know what protecting a table does */
        problem.hint = strcmp(problem.sqlstate, "42830") == 0
                           ? "What is unique in a protected table is so within a tenant: foreign "
                             "key (tenant_id, …) references … (tenant_id, …)."
                       : strcmp(problem.sqlstate, "42P10") == 0
                           ? "What is unique in a protected table is so within a tenant: on "
                             "conflict (tenant_id, …)."
                           : NULL;
    return tn_db_error_plain(arena, &problem);
}

const tn_error *
tn_session_run(tn_session *session, tn_arena *arena, const char *sql, const char *const *parameters,
               size_t count, const tn_rows **rows)
{
    PGresult *result;

    if (count == 0)
        result = PQexec(session->conn, sql);
    else
        result = PQexecParams(session->conn, sql, (int)count, NULL, parameters, NULL, NULL, 0);

    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY: {
        const tn_rows *kept = tn_rows_new(arena, result);

        if (rows != NULL)
            *rows = kept;
        return NULL;
    }
    default:
        break;
    }
    if (result == NULL)
        tn_die("no memory for the result of a query");
    return read_failure(session, arena, result);
}

/* PostgreSQL counts characters from 1, a text has bytes from 0. */
static size_t
byte_of(const char *text, long character)
{
    size_t offset = 0;

    while (text[offset] != '\0' && character > 1)
        if (((unsigned char)text[++offset] & 0xc0) != 0x80)
            character--;
    return offset;
}

static void
read_place(const PGresult *result, const char *sql, tn_script_failure *failure)
{
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);

    if (position == NULL)
        return;
    failure->has_offset = true;
    failure->offset = byte_of(sql, strtol(position, NULL, 10));
}

const tn_error *
tn_session_run_script(tn_session *session, tn_arena *arena, const char *sql,
                      tn_script_failure *failure)
{
    const tn_error *error = NULL;
    PGresult *result;

    *failure = (tn_script_failure){0};
    if (!PQsendQuery(session->conn, sql))
        return tn_error_new(arena, 503, "database_unavailable", NULL, "%s",
                            PQerrorMessage(session->conn));
    while ((result = PQgetResult(session->conn)) != NULL) {
        switch (PQresultStatus(result)) {
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
        case PGRES_EMPTY_QUERY:
            failure->statement++;
            PQclear(result);
            break;
        case PGRES_COPY_IN: /* there is nobody to send it: PostgreSQL answers with an error */
            (void)PQputCopyEnd(session->conn, "a migration has no data to copy in");
            PQclear(result);
            break;
        case PGRES_COPY_OUT: {
            char *line = NULL;

            while (PQgetCopyData(session->conn, &line, 0) > 0)
                PQfreemem(line);
            PQclear(result);
            break;
        }
        default:
            if (error == NULL) {
                read_place(result, sql, failure);
                error = read_failure(session, arena, result);
            } else {
                PQclear(result);
            }
        }
    }
    return error;
}

const tn_error *
tn_session_set_password(tn_session *session, tn_arena *arena, const char *role,
                        const char *password)
{
    PQExpBuffer sql = tn_arena_buffer(arena);
    char *verifier = PQencryptPasswordConn(session->conn, password, role, NULL);
    char *name = PQescapeIdentifier(session->conn, role, strlen(role));
    char *literal =
        verifier == NULL ? NULL : PQescapeLiteral(session->conn, verifier, strlen(verifier));

    if (name != NULL && literal != NULL)
        appendPQExpBuffer(sql, "alter role %s password %s", name, literal);
    PQfreemem(verifier);
    PQfreemem(name);
    PQfreemem(literal);
    if (sql->len == 0)
        return tn_error_new(arena, 500, "password_not_set", NULL, "%s",
                            PQerrorMessage(session->conn));
    return tn_session_run(session, arena, tn_buffer_text(sql), NULL, 0, NULL);
}

int
tn_session_server_version(const tn_session *session)
{
    return PQserverVersion(session->conn);
}

bool
tn_session_in_transaction(const tn_session *session)
{
    const PGTransactionStatusType status = PQtransactionStatus(session->conn);

    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

const char *
tn_url_part(tn_arena *arena, const char *url, const char *part)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    const char *value = NULL;

    for (const PQconninfoOption *option = options; option != NULL && option->keyword != NULL;
         option++)
        if (strcmp(option->keyword, part) == 0)
            value = tn_arena_text(arena, option->val);
    PQconninfoFree(options);
    return value;
}
