/* db/statement.h: a named query out of some room's queries.sql, or one made at run time
 *
 * queries.awk turns each `-- name: x` section into `static const tn_statement tn_sql_x`. A
 * statement is prepared the first time a connection runs it, under its name and the role that runs
 * it.
 *
 * SQL made at run time is a dynamic statement: `{.name = "data_read", .sql = text, .parameters = 2,
 * .is_dynamic = true}`. It is prepared under a hash of role, search path and text; a connection
 * keeps so many of them (database.statements_max) and gives up the one not used for longest. A very
 * long one is never prepared. The name is for the log only.
 */
#ifndef TN_DB_STATEMENT_H
#define TN_DB_STATEMENT_H

#include <stdbool.h>

typedef struct tn_statement {
    const char *name; /* "conversation_update", unique in the program; NULL: never prepared */
    const char *sql;
    int parameters;  /* highest $n */
    bool is_dynamic; /* then the name may be anything, NULL too */
} tn_statement;

#endif
