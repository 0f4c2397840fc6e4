/* db/error.h: what PostgreSQL said, and what clients get to know of it
 *
 * For those who render PostgreSQL's own words, as the data API does: tn_db_work.translate.
 *
 * Threads: any.
 */
#ifndef TN_DB_ERROR_H
#define TN_DB_ERROR_H

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

/* For clients: nothing of PostgreSQL's own texts (the table is at the top of db/database.h). What
 * becomes a 5xx is logged as db.query.failed. */
const tn_error *tn_db_error(tn_arena *arena,
                            const tn_db_problem *problem) TN_NEVER_NULL TN_MUST_CHECK;

/* Logs it as db.query.failed: as an error when `status` is 500, else as a warning. */
void tn_db_problem_log(const tn_arena *arena, const tn_db_problem *problem, int status);

#endif
