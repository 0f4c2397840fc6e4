/* data/sql_write.c: insert, upsert, put, update and delete
 *
 *     with "tenon.source" as (insert … returning …) select <answer> from (…) as "tenon.rows"
 *
 * What comes back from the table is what the answer shows and nothing else: `returning 1` where it
 * shows nothing, because a role that may only write may not read a column. Embeds see the state
 * before the statement, as everything does that PostgreSQL runs beside it.
 *
 * The body goes to PostgreSQL as it came and becomes rows there, with the types of the columns.
 */
#include <string.h>

#include "data/sql_private.h"

bool
tn_sql_payload_is_array(const tn_payload *payload)
{
    return payload->is_unread ? payload->json[strspn(payload->json, " \t\r\n")] == '['
                              : payload->is_array;
}

static void
add_payload(tn_sql_writer *writer)
{
    tn_sql_value(writer, writer->plan->payload->json, "json");
}

/* --- columns ---------------------------------------------------------------------------------- */

static void
add_column_names(tn_sql_writer *writer)
{
    for (size_t i = 0; i < writer->plan->column_count; i++) {
        tn_sql_add(writer, i == 0 ? "" : ", ");
        tn_sql_name(writer, writer->plan->columns[i]->name);
    }
}

/* as "tenon.body"("id" bigint, …) */
static void
add_body_columns(tn_sql_writer *writer)
{
    tn_sql_add(writer, " as \"tenon.body\"(");
    for (size_t i = 0; i < writer->plan->column_count; i++) {
        tn_sql_add(writer, i == 0 ? "" : ", ");
        tn_sql_name(writer, writer->plan->columns[i]->name);
        tn_sql_add(writer, " ");
        tn_sql_add(writer, writer->plan->columns[i]->from_json != NULL
                               ? "json"
                               : writer->plan->columns[i]->type);
    }
    tn_sql_add(writer, ")");
}

/* Only in a body that was not read can a key be missing: else the columns are its keys. */
static bool
takes_defaults(const tn_data_plan *plan)
{
    if (!plan->missing_default || !plan->payload->is_unread)
        return false;
    for (size_t i = 0; i < plan->column_count; i++)
        if (plan->columns[i]->has_default)
            return true;
    return false;
}

/* The rows of the body behind `from`; where defaults are wanted each with the element it came from.
 */
static void
add_body_rows(tn_sql_writer *writer, bool is_set)
{
    const bool is_array = tn_sql_payload_is_array(writer->plan->payload);

    if (is_set && is_array && !takes_defaults(writer->plan)) {
        tn_sql_add(writer, "json_to_recordset(");
        add_payload(writer);
    } else if (is_array) {
        tn_sql_add(writer, is_set ? "json_array_elements(" : "(select * from json_array_elements(");
        add_payload(writer);
        tn_sql_add(writer, is_set ? ")" : ") limit 1)");
        tn_sql_add(writer, " as \"tenon.element\"(\"tenon.value\") cross join lateral "
                           "json_to_record(\"tenon.element\".\"tenon.value\"");
    } else if (takes_defaults(writer->plan)) {
        tn_sql_add(writer, "(select ");
        add_payload(writer);
        tn_sql_add(writer, ") as \"tenon.element\"(\"tenon.value\") cross join lateral "
                           "json_to_record(\"tenon.element\".\"tenon.value\"");
    } else {
        tn_sql_add(writer, "json_to_record(");
        add_payload(writer);
    }
    tn_sql_add(writer, ")");
    add_body_columns(writer);
}

/* An identity column has no expression of its own: the next value of its sequence. */
static void
add_default(tn_sql_writer *writer, const tn_attribute *column)
{
    const tn_relation *relation = writer->plan->root->relation;
    tn_sql_writer name = {.text = tn_arena_buffer(writer->arena)};

    if (column->default_sql != NULL) {
        tn_sql_add(writer, column->default_sql);
        return;
    }
    tn_sql_names(&name, relation->schema, relation->name);
    tn_sql_add(writer, "nextval(pg_get_serial_sequence(");
    tn_sql_value(writer, tn_buffer_text(name.text), "text");
    tn_sql_add(writer, ", ");
    tn_sql_value(writer, column->name, "text");
    tn_sql_add(writer, ")::regclass)");
}

/* A value of the body, or the column's default where its key is missing. A key whose value is null
 * is there: `->` gives a JSON null then. */
static void
add_body_value(tn_sql_writer *writer, const tn_attribute *column)
{
    const bool may_miss = column->has_default && takes_defaults(writer->plan);

    if (may_miss) {
        tn_sql_add(writer, "case when \"tenon.element\".\"tenon.value\"->");
        tn_sql_key(writer, column->name, false);
        tn_sql_add(writer, " is null then cast(");
        add_default(writer, column);
        tn_sql_add(writer, " as ");
        tn_sql_add(writer, column->type);
        tn_sql_add(writer, ") else ");
    }
    if (column->from_json != NULL) {
        tn_sql_add(writer, column->from_json);
        tn_sql_add(writer, "(");
    }
    tn_sql_names(writer, "tenon.body", column->name);
    tn_sql_add(writer, column->from_json != NULL ? ")" : "");
    tn_sql_add(writer, may_miss ? " end" : "");
}

/* --- returning -------------------------------------------------------------------------------- */

static bool
has_representation(const tn_data_plan *plan)
{
    return plan->returning == TN_RETURN_REPRESENTATION;
}

static bool
has_location(const tn_data_plan *plan)
{
    return plan->returning == TN_RETURN_HEADERS_ONLY && plan->kind == TN_PLAN_INSERT &&
           plan->root->relation->key_count > 0;
}

static void
add_returned_key(tn_sql_writer *writer)
{
    const tn_plan_node *root = writer->plan->root;

    for (size_t i = 0; i < root->relation->key_count; i++) {
        tn_sql_names(writer, root->alias, root->relation->key[i]);
        tn_sql_add(writer, "::text as ");
        tn_sql_name(writer, root->relation->key[i]);
        tn_sql_add(writer, ", ");
    }
}

static void
add_returning(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;

    tn_sql_add(writer, " returning ");
    if (has_representation(plan))
        tn_sql_source_columns(writer, plan->root);
    else if (has_location(plan))
        add_returned_key(writer);
    if (plan->has_etag) {
        tn_sql_names(writer, plan->root->alias, "xmin");
        tn_sql_add(writer, has_representation(plan) ? ", " : "::text as \"tenon.version\", ");
    }
    tn_sql_add(writer, "1 as \"tenon.one\"");
}

/* --- insert ----------------------------------------------------------------------------------- */

/* Each row that is updated instead of inserted is counted in a setting of the transaction: nothing
 * in RETURNING could tell without the right to read a column. The count begins when the first row
 * of the body is read. */
#define COUNT_FROM_ZERO "(select set_config('tenon.updated', '0', true)) is not null"
#define COUNT_ONE                                                                        \
    "set_config('tenon.updated', (current_setting('tenon.updated')::bigint + 1)::text, " \
    "true) is not null"

static bool
is_merge(const tn_data_plan *plan)
{
    return plan->conflict_count > 0 && plan->column_count > 0 &&
           (plan->kind == TN_PLAN_PUT || plan->resolution == TN_RESOLUTION_MERGE);
}

static bool
wants_version(const tn_data_plan *plan)
{
    return plan->if_match != NULL && strcmp(plan->if_match, "*") != 0;
}

static void
add_version_test(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;

    tn_sql_names(writer, plan->root->alias, "xmin");
    tn_sql_add(writer, "::text = any (string_to_array(");
    tn_sql_value(writer, plan->if_match, "text");
    tn_sql_add(writer, ", ','))");
}

/* PUT finds a row where the client wants none, or another version of it. The row is locked by then,
 * so that of several writers only the first sees the version that all of them know. */
static void
add_conflict_checks(tn_sql_writer *writer)
{
    static const tn_sql_failure exists = {
        412, "precondition_failed", "there is a row, and If-None-Match wants none", NULL, NULL};

    if (writer->plan->must_be_new) {
        tn_sql_fail(writer, &exists);
        tn_sql_add(writer, " is null and ");
    } else if (wants_version(writer->plan)) {
        tn_sql_add(writer, "case when ");
        add_version_test(writer);
        tn_sql_add(writer, " then true else ");
        tn_sql_fail(writer, &tn_sql_changed);
        tn_sql_add(writer, " is null end and ");
    }
}

static void
add_conflict(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;

    if (plan->conflict_count == 0 ||
        (plan->kind != TN_PLAN_PUT && plan->resolution == TN_RESOLUTION_NONE))
        return;
    tn_sql_add(writer, " on conflict (");
    for (size_t i = 0; i < plan->conflict_count; i++) {
        tn_sql_add(writer, i == 0 ? "" : ", ");
        tn_sql_name(writer, plan->conflict[i]);
    }
    if (!is_merge(plan)) {
        tn_sql_add(writer, ") do nothing");
        return;
    }
    tn_sql_add(writer, ") do update set ");
    for (size_t i = 0; i < plan->column_count; i++) {
        tn_sql_add(writer, i == 0 ? "" : ", ");
        tn_sql_name(writer, plan->columns[i]->name);
        tn_sql_add(writer, " = ");
        tn_sql_names(writer, "excluded", plan->columns[i]->name);
    }
    tn_sql_add(writer, " where ");
    add_conflict_checks(writer);
    tn_sql_add(writer, COUNT_ONE);
}

/* PUT: the key of the body is that of the URL. A key that the body leaves out is another one. */
static void
add_put_conditions(tn_sql_writer *writer, bool *has_where)
{
    const tn_plan_node *root = writer->plan->root;

    for (size_t i = 0; i < root->relation->key_count; i++)
        if (!tn_plan_writes(writer->plan, root->relation->key[i])) {
            tn_sql_and(writer, has_where);
            tn_sql_add(writer, "false");
            return;
        }
    tn_sql_conditions(writer, root, "tenon.body", has_where);
}

static void
add_insert_rows(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;
    bool has_where = false;

    tn_sql_add(writer, " (");
    add_column_names(writer);
    tn_sql_add(writer, ") select ");
    for (size_t i = 0; i < plan->column_count; i++) {
        tn_sql_add(writer, i == 0 ? "" : ", ");
        add_body_value(writer, plan->columns[i]);
    }
    tn_sql_add(writer, " from ");
    add_body_rows(writer, plan->kind != TN_PLAN_PUT);
    if (plan->kind == TN_PLAN_PUT)
        add_put_conditions(writer, &has_where);
    if (is_merge(plan)) {
        tn_sql_and(writer, &has_where);
        tn_sql_add(writer, COUNT_FROM_ZERO);
    }
}

/* {} or [{}, …]: a select of nothing gives a row of defaults for each. */
static void
add_insert_defaults(tn_sql_writer *writer)
{
    if (tn_sql_payload_is_array(writer->plan->payload)) {
        tn_sql_add(writer, " select from json_array_elements(");
        add_payload(writer);
        tn_sql_add(writer, ")");
    } else {
        tn_sql_add(writer, " default values");
    }
}

static void
add_insert(tn_sql_writer *writer)
{
    const tn_plan_node *root = writer->plan->root;

    tn_sql_add(writer, "insert into ");
    tn_sql_relation(writer, root->relation, root->alias);
    if (writer->plan->column_count == 0)
        add_insert_defaults(writer);
    else
        add_insert_rows(writer);
    add_conflict(writer);
}

/* --- update, delete --------------------------------------------------------------------------- */

static void
add_version(tn_sql_writer *writer, bool *has_where)
{
    const tn_data_plan *plan = writer->plan;

    if (!wants_version(plan))
        return;
    tn_sql_and(writer, has_where);
    add_version_test(writer);
}

static void
add_update(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;
    bool has_where = false;

    tn_sql_add(writer, "update ");
    tn_sql_relation(writer, plan->root->relation, plan->root->alias);
    tn_sql_add(writer, " set ");
    for (size_t i = 0; i < plan->column_count; i++) {
        tn_sql_add(writer, i == 0 ? "" : ", ");
        tn_sql_name(writer, plan->columns[i]->name);
        tn_sql_add(writer, " = ");
        add_body_value(writer, plan->columns[i]);
    }
    tn_sql_add(writer, " from ");
    add_body_rows(writer, false);
    tn_sql_conditions(writer, plan->root, plan->root->alias, &has_where);
    add_version(writer, &has_where);
}

static void
add_delete(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;
    bool has_where = false;

    tn_sql_add(writer, "delete from ");
    tn_sql_relation(writer, plan->root->relation, plan->root->alias);
    tn_sql_conditions(writer, plan->root, plan->root->alias, &has_where);
    add_version(writer, &has_where);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* A body of no rows, or an update of no columns: nothing is touched, and the checks still hold. */
static bool
does_nothing(const tn_data_plan *plan)
{
    if (plan->kind == TN_PLAN_DELETE || plan->column_count > 0)
        return false;
    return plan->kind == TN_PLAN_UPDATE || plan->payload == NULL || !plan->payload->is_empty_object;
}

static void
add_rows_of_source(tn_sql_writer *writer)
{
    const tn_sql_select select = {.node = writer->plan->root,
                                  .has_version =
                                      writer->plan->has_etag && !does_nothing(writer->plan)};

    if (!has_representation(writer->plan)) {
        tn_sql_add(writer, " from \"tenon.source\" as \"tenon.rows\"");
        return;
    }
    tn_sql_add(writer, " from (");
    tn_sql_rows(writer, &select);
    tn_sql_add(writer, ") as \"tenon.rows\"");
}

static tn_sql_answer
answer_of(const tn_data_plan *plan)
{
    const bool does_anything = !does_nothing(plan);
    const bool is_insert = plan->kind == TN_PLAN_INSERT || plan->kind == TN_PLAN_PUT;

    return (tn_sql_answer){
        .has_body = plan->has_body && has_representation(plan),
        .has_version = plan->has_etag && does_anything,
        .has_location = has_location(plan) && does_anything,
        .is_checked = plan->is_single,
        .has_source = does_anything,
        .counts_inserted = is_insert,
        .counts_updated = is_insert && is_merge(plan),
    };
}

/* What was written; what nothing is written of must be there all the same to be shown. */
static void
add_written(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;

    if (does_nothing(plan)) {
        tn_sql_add(writer, "select ");
        tn_sql_source_columns(writer, plan->root);
        tn_sql_add(writer, "1 as \"tenon.one\" from ");
        tn_sql_relation(writer, plan->root->relation, plan->root->alias);
        tn_sql_add(writer, " where false");
        return;
    }
    if (plan->kind == TN_PLAN_UPDATE)
        add_update(writer);
    else if (plan->kind == TN_PLAN_DELETE)
        add_delete(writer);
    else
        add_insert(writer);
    add_returning(writer);
}

void
tn_sql_answer_write(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;
    const tn_sql_answer answer = answer_of(plan);

    if (does_nothing(plan) && !has_representation(plan)) {
        tn_sql_answer_columns(writer, &answer);
        tn_sql_add(writer, " from (select where false) as \"tenon.rows\"");
        return;
    }
    writer->source = TN_SQL_RELATION;
    tn_sql_add(writer, "with \"tenon.source\" as (");
    add_written(writer);
    tn_sql_add(writer, ") ");
    writer->source = TN_SQL_COMMON;
    tn_sql_answer_columns(writer, &answer);
    add_rows_of_source(writer);
}
