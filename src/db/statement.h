/* db/statement.h: a named query out of some room's queries.sql
 *
 * queries.awk turns each `-- name: x` section into `static const tn_statement tn_sql_x`. A
 * statement is prepared the first time a connection runs it, under its name and the role that runs
 * it.
 */
#ifndef TN_DB_STATEMENT_H
#define TN_DB_STATEMENT_H

typedef struct tn_statement {
    const char *name; /* "conversation_update", unique in the program; NULL: never prepared */
    const char *sql;
    int parameters; /* highest $n */
} tn_statement;

#endif
