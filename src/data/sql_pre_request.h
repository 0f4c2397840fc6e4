/* data/sql_pre_request.h: the call of the function that each transaction begins with
 *
 * Threads: any.
 */
#ifndef TN_DATA_SQL_PRE_REQUEST_H
#define TN_DATA_SQL_PRE_REQUEST_H

#include "data/sql.h"

/* The names come from the configuration (data.pre_request) and are quoted. */
void tn_data_sql_pre_request(tn_arena *arena, const char *schema, const char *name,
                             tn_data_sql *sql);

#endif
