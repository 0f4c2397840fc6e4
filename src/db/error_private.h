/* db/error_private.h: what PostgreSQL said → tn_error
 *
 * Threads: any.
 */
#ifndef TN_DB_ERROR_PRIVATE_H
#define TN_DB_ERROR_PRIVATE_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/error.h"

/* The fields of one error message (PostgreSQL, "Error and Notice Message Fields"); any may be NULL.
 */
typedef struct tn_db_problem {
    const char *sqlstate, *message, *detail, *hint;
    const char *schema, *table, *column, *datatype, *constraint;
    const char *context;   /* the stack of functions of PL/pgSQL */
    const char *function;  /* of PostgreSQL's own source */
    bool is_fatal;         /* the server has closed the connection */
    const char *statement; /* name of ours, for the log */
} tn_db_problem;

/* Reads the fields out of a failed result; the texts live as long as it does. */
tn_db_problem tn_db_problem_read(const PGresult *result);

/* For clients: nothing of PostgreSQL's own texts. What becomes a 5xx is logged as db.query.failed.
 */
const tn_error *tn_db_error(tn_arena *arena,
                            const tn_db_problem *problem) TN_NEVER_NULL TN_MUST_CHECK;

/* For the operator: same status and code, PostgreSQL's words. */
const tn_error *tn_db_error_plain(tn_arena *arena,
                                  const tn_db_problem *problem) TN_NEVER_NULL TN_MUST_CHECK;

#endif
