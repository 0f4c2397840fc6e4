/* data/sql_call.c: calls of functions
 *
 * The function stands in `from` and is called once; arguments have their names, values are
 * parameters, and those of a JSON body are taken out of it with the types of the function's
 * parameters. When its rows are counted besides being shown they are kept in "tenon.source" first.
 */
#include <string.h>

#include "data/sql_private.h"

/* --- arguments -------------------------------------------------------------------------------- */

static void
add_argument_name(tn_sql_writer *writer, const tn_parameter *parameter)
{
    tn_sql_add(writer, parameter->is_variadic ? "variadic " : "");
    if (parameter->name[0] == '\0')
        return;
    tn_sql_name(writer, parameter->name);
    tn_sql_add(writer, " => ");
}

/* Declared lengths of arguments are not kept; these types without one have a length of 1. */
static const char *
argument_type(const tn_parameter *parameter)
{
    static const char *const types[][2] = {
        {"character", "pg_catalog.bpchar"},
        {"character[]", "pg_catalog.bpchar[]"},
        {"bit", "pg_catalog.bit"},
        {"bit[]", "pg_catalog.bit[]"},
    };

    for (size_t i = 0; i < TN_COUNT(types); i++)
        if (strcmp(parameter->type, types[i][0]) == 0)
            return types[i][1];
    return parameter->type;
}

static void
add_text_arguments(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;

    for (size_t i = 0; i < plan->argument_count; i++) {
        const tn_plan_argument *argument = &plan->arguments[i];

        tn_sql_add(writer, i == 0 ? "" : ", ");
        add_argument_name(writer, argument->parameter);
        if (argument->parameter->is_variadic)
            tn_sql_array(writer, argument->values, argument->value_count,
                         argument_type(argument->parameter));
        else
            tn_sql_value(writer, argument->value, argument_type(argument->parameter));
    }
}

static void
add_json_arguments(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;

    for (size_t i = 0; i < plan->parameter_count; i++) {
        tn_sql_add(writer, i == 0 ? "" : ", ");
        add_argument_name(writer, plan->parameters[i]);
        tn_sql_names(writer, "tenon.arguments", plan->parameters[i]->name);
    }
}

static void
add_raw_argument(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;
    const tn_parameter *parameter = &plan->function->parameters[0];

    if (strcmp(parameter->type, "bytea") == 0)
        tn_sql_bytes(writer, plan->raw, plan->raw_length, parameter->type);
    else
        tn_sql_value(writer, plan->raw, parameter->type);
}

/* json_to_record(body) as "tenon.arguments"("a" integer, …) cross join lateral */
static void
add_json_source(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;

    tn_sql_add(writer, "json_to_record(");
    tn_sql_value(writer, plan->payload->json, "json");
    tn_sql_add(writer, tn_sql_payload_is_array(plan->payload) ? "->0) as \"tenon.arguments\"("
                                                              : ") as \"tenon.arguments\"(");
    for (size_t i = 0; i < plan->parameter_count; i++) {
        tn_sql_add(writer, i == 0 ? "" : ", ");
        tn_sql_name(writer, plan->parameters[i]->name);
        tn_sql_add(writer, " ");
        tn_sql_add(writer, argument_type(plan->parameters[i]));
    }
    tn_sql_add(writer, ") cross join lateral ");
}

void
tn_sql_call_item(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;
    const bool is_json = plan->call_form == TN_CALL_NAMED_JSON && plan->parameter_count > 0;

    if (is_json)
        add_json_source(writer);
    tn_sql_names(writer, plan->function->schema, plan->function->name);
    tn_sql_add(writer, "(");
    if (plan->call_form == TN_CALL_SINGLE_RAW)
        add_raw_argument(writer);
    else if (plan->call_form == TN_CALL_NAMED_TEXT)
        add_text_arguments(writer);
    else if (is_json)
        add_json_arguments(writer);
    tn_sql_add(writer, ") as ");
    tn_sql_name(writer, plan->root->alias);
    if (plan->function->returns == TN_RETURNS_SCALAR)
        tn_sql_add(writer, "(\"pgrst_scalar\")");
}

/* --- results ---------------------------------------------------------------------------------- */

/* select what of the rows is kept to be counted */
static void
add_kept(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;

    tn_sql_add(writer, "with \"tenon.source\" as materialized (select ");
    if (plan->function->returns == TN_RETURNS_SCALAR) {
        tn_sql_names(writer, plan->root->alias, "pgrst_scalar");
        tn_sql_add(writer, ", ");
    } else {
        tn_sql_source_columns(writer, plan->root);
    }
    tn_sql_add(writer, "1 as \"tenon.one\" from ");
    tn_sql_call_item(writer);
    tn_sql_add(writer, ") ");
}

/* A single value, or values. Their column has the name that PostgREST gives it, so that filters and
 * order may use it; any other name is for PostgreSQL to refuse, in `select` too. */
static void
add_values(tn_sql_writer *writer)
{
    const tn_plan_node *root = writer->plan->root;
    bool has_where = false;

    tn_sql_add(writer, "select ");
    tn_sql_names(writer, root->alias, "pgrst_scalar");
    for (size_t i = 0; i < root->column_count; i++)
        if (root->columns[i].field.name != NULL) {
            tn_sql_add(writer, ", ");
            tn_sql_field(writer, root->alias, &root->columns[i].field);
            tn_sql_add(writer, " as \"tenon.column\"");
        }
    tn_sql_add(writer, " from ");
    if (writer->source == TN_SQL_COMMON) {
        tn_sql_add(writer, "\"tenon.source\" as ");
        tn_sql_name(writer, root->alias);
    } else {
        tn_sql_call_item(writer);
    }
    tn_sql_conditions(writer, root, root->alias, &has_where);
    tn_sql_order(writer, root);
    if (root->has_limit)
        tn_sql_limit(writer, root->limit);
    if (root->offset > 0) {
        tn_sql_add(writer, " offset ");
        tn_sql_number(writer, root->offset);
    }
}

void
tn_sql_call_rows(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;
    const tn_sql_select select = {.node = plan->root};

    if (plan->function->returns == TN_RETURNS_VOID) {
        tn_sql_call_item(writer);
        return;
    }
    tn_sql_add(writer, "(");
    if (plan->function->returns == TN_RETURNS_SCALAR)
        add_values(writer);
    else
        tn_sql_rows(writer, &select);
    tn_sql_add(writer, ") as \"tenon.rows\"");
}

/* A limit or an offset that even a single row does not pass. */
static bool
leaves_out_one(const tn_plan_node *root)
{
    return root->offset > 0 || (root->has_limit && root->limit == 0);
}

void
tn_sql_answer_call(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;
    const tn_function *function = plan->function;
    const tn_sql_answer answer = {
        .has_body = plan->has_body && function->returns != TN_RETURNS_VOID,
        .is_one = !function->returns_set,
        .is_scalar = function->returns == TN_RETURNS_SCALAR,
        .is_checked = plan->is_single && function->returns_set,
    };

    writer->source = TN_SQL_CALL;
    if (plan->count == TN_COUNT_EXACT && function->returns != TN_RETURNS_VOID &&
        (function->returns_set || leaves_out_one(plan->root))) {
        add_kept(writer);
        writer->source = TN_SQL_COMMON;
    }
    tn_sql_answer_columns(writer, &answer);
    tn_sql_add(writer, " from ");
    tn_sql_call_rows(writer);
}
