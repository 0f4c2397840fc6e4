/* data/sql_pre_request.c: `select "api"."check_request"()` */
#include "data/sql_pre_request.h"

#include "data/sql_private.h"

void
tn_data_sql_pre_request(tn_arena *arena, const char *schema, const char *name, tn_data_sql *sql)
{
    tn_sql_writer writer;

    tn_sql_begin(&writer, arena, NULL);
    tn_sql_add(&writer, "select ");
    tn_sql_names(&writer, schema, name);
    tn_sql_add(&writer, "()");
    tn_sql_end(&writer, sql);
}
