/* data/sql.c: the door of the SQL stage */
#include "data/sql.h"

#include "data/sql_private.h"

static void
add_answer(tn_sql_writer *writer)
{
    switch (writer->plan->kind) {
    case TN_PLAN_READ:
        tn_sql_answer_read(writer);
        return;
    case TN_PLAN_CALL:
        tn_sql_answer_call(writer);
        return;
    case TN_PLAN_INSERT:
    case TN_PLAN_UPDATE:
    case TN_PLAN_PUT:
    case TN_PLAN_DELETE:
        tn_sql_answer_write(writer);
        return;
    }
}

void
tn_data_sql_answer(tn_arena *arena, const tn_data_plan *plan, tn_data_sql *sql)
{
    tn_sql_writer writer;

    tn_sql_begin(&writer, arena, plan);
    add_answer(&writer);
    tn_sql_end(&writer, sql);
}

/* Rows of a call are read like those of a relation. */
static void
begin_read(tn_sql_writer *writer, tn_arena *arena, const tn_data_plan *plan)
{
    tn_sql_begin(writer, arena, plan);
    writer->source = plan->kind == TN_PLAN_CALL ? TN_SQL_CALL : TN_SQL_RELATION;
}

/* The line of one row. */
static void
add_line(tn_sql_writer *writer, bool is_scalar)
{
    const char *row = is_scalar ? "\"tenon.rows\".\"pgrst_scalar\"" : "\"tenon.rows\".*";

    if (writer->plan->media.media == TN_MEDIA_CSV) {
        tn_sql_csv_line(writer, row, is_scalar);
        return;
    }
    tn_sql_add(writer, is_scalar ? "coalesce(to_json(" : "row_to_json(");
    tn_sql_add(writer, row);
    tn_sql_add(writer, is_scalar ? ")::text, 'null')" : ")::text");
}

void
tn_data_sql_lines(tn_arena *arena, const tn_data_plan *plan, tn_data_sql *sql, const char **header)
{
    const tn_sql_select select = {.node = plan->root};
    const bool is_scalar =
        plan->kind == TN_PLAN_CALL && plan->function->returns == TN_RETURNS_SCALAR;
    tn_sql_writer writer;

    begin_read(&writer, arena, plan);
    tn_sql_add(&writer, "select ");
    if (plan->kind == TN_PLAN_CALL)
        tn_sql_add(&writer, "coalesce(current_setting('response.headers', true), '') || chr(30)"
                            " || coalesce(current_setting('response.status', true), '') || chr(30)"
                            " || ");
    add_line(&writer, is_scalar);
    tn_sql_add(&writer, " from ");
    if (plan->kind == TN_PLAN_CALL) {
        tn_sql_call_rows(&writer);
    } else {
        tn_sql_add(&writer, "(");
        tn_sql_rows(&writer, &select);
        tn_sql_add(&writer, ") as \"tenon.rows\"");
    }
    tn_sql_end(&writer, sql);
    *header = is_scalar ? TN_SQL_SCALAR : tn_sql_csv_header(arena, plan->root);
}

void
tn_data_sql_settings(tn_arena *arena, tn_data_sql *sql)
{
    tn_sql_writer writer;

    tn_sql_begin(&writer, arena, NULL);
    tn_sql_add(&writer, "select null::bigint, null::bigint, null::text"
                        ", nullif(current_setting('response.headers', true), '')"
                        ", nullif(current_setting('response.status', true), '')");
    tn_sql_end(&writer, sql);
}

void
tn_data_sql_count(tn_arena *arena, const tn_data_plan *plan, tn_data_sql *sql)
{
    tn_sql_writer writer;

    begin_read(&writer, arena, plan);
    tn_sql_matches(&writer, "count(*)");
    tn_sql_end(&writer, sql);
}

void
tn_data_sql_estimate(tn_arena *arena, const tn_data_plan *plan, tn_data_sql *sql)
{
    tn_sql_writer writer;

    begin_read(&writer, arena, plan);
    tn_sql_add(&writer, "explain (format json) ");
    tn_sql_matches(&writer, "1");
    tn_sql_end(&writer, sql);
}

void
tn_data_sql_explain(tn_arena *arena, const tn_data_plan *plan, tn_data_sql *sql)
{
    const tn_plan_options *options = &plan->media.plan;
    tn_sql_writer writer;

    tn_sql_begin(&writer, arena, plan);
    tn_sql_add(&writer, "explain (");
    tn_sql_add(&writer, options->analyze ? "analyze, " : "");
    tn_sql_add(&writer, options->verbose ? "verbose, " : "");
    tn_sql_add(&writer, options->settings ? "settings, " : "");
    tn_sql_add(&writer, options->buffers ? "buffers, " : "");
    tn_sql_add(&writer, options->wal ? "wal, " : "");
    tn_sql_add(&writer, options->is_json ? "format json) " : "format text) ");
    add_answer(&writer);
    tn_sql_end(&writer, sql);
}
