/* db/error_private.h: reading what PostgreSQL said
 *
 * Threads: any.
 */
#ifndef TN_DB_ERROR_PRIVATE_H
#define TN_DB_ERROR_PRIVATE_H

#include <libpq-fe.h>

#include "db/error.h"

/* Reads the fields out of a failed result; the texts live as long as it does. */
tn_db_problem tn_db_problem_read(const PGresult *result);

/* For the operator: same status and code, PostgreSQL's words. */
const tn_error *tn_db_error_plain(tn_arena *arena,
                                  const tn_db_problem *problem) TN_NEVER_NULL TN_MUST_CHECK;

#endif
