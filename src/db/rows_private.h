/* db/rows_private.h: making tn_rows out of libpq's results
 *
 * Threads: rows belong to their arena's thread.
 */
#ifndef TN_DB_ROWS_PRIVATE_H
#define TN_DB_ROWS_PRIVATE_H

#include <libpq-fe.h>

#include "db/database.h"

/* Gives the result to the arena. Not NULL. */
const tn_rows *tn_rows_new(tn_arena *arena, PGresult *result) TN_NEVER_NULL TN_MUST_CHECK;

/* The same for a result that is only read, an error's. */
void tn_rows_keep(tn_arena *arena, PGresult *result);

#endif
