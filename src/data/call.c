/* data/call.c: the function that is meant, and what it is called with */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "data/nearest.h"
#include "data/plan_private.h"

#define LISTED_MAX 100 /* names of arguments that an error lists */

/* A function with one unnamed parameter of these types takes a body of that media type as it is. */
static const struct {
    const char *media, *type, *title;
} raw_types[] = {
    {"application/json", "json", "json/jsonb"},
    {"application/json", "jsonb", "json/jsonb"},
    {"text/plain", "text", "text"},
    {"text/xml", "xml", "xml"},
    {"application/octet-stream", "bytea", "bytea"},
};

/* --- what fits -------------------------------------------------------------------------------- */

static bool
has_name(const tn_call_shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->name_count; i++)
        if (strcmp(shape->names[i], name) == 0)
            return true;
    return false;
}

static const tn_parameter *
find_parameter(const tn_function *function, const char *name)
{
    for (size_t i = 0; i < function->parameter_count; i++)
        if (strcmp(function->parameters[i].name, name) == 0)
            return &function->parameters[i];
    return NULL;
}

/* All that is required is given, and all that is given is known. Parameters without a name cannot
 * be given by it. */
static bool
fits_names(const tn_function *function, const tn_call_shape *shape)
{
    if (shape->name_count > function->parameter_count)
        return false;
    for (size_t i = 0; i < function->parameter_count; i++) {
        const tn_parameter *parameter = &function->parameters[i];

        if (parameter->is_required &&
            (parameter->name[0] == '\0' || !has_name(shape, parameter->name)))
            return false;
    }
    for (size_t i = 0; i < shape->name_count; i++)
        if (shape->names[i][0] == '\0' || find_parameter(function, shape->names[i]) == NULL)
            return false;
    return true;
}

static bool
is_json_type(const tn_parameter *parameter)
{
    return strcmp(parameter->type, "json") == 0 || strcmp(parameter->type, "jsonb") == 0;
}

static bool
fits_body(const tn_function *function, const tn_call_shape *shape)
{
    if (!shape->may_be_raw || function->parameter_count != 1 ||
        function->parameters[0].name[0] != '\0' || shape->raw_type == NULL)
        return false;
    for (size_t i = 0; i < TN_COUNT(raw_types); i++)
        if (strcmp(raw_types[i].media, shape->raw_type) == 0 &&
            strcmp(raw_types[i].type, function->parameters[0].type) == 0)
            return true;
    return false;
}

static bool
fits(const tn_function *function, const tn_call_shape *shape, bool as_raw)
{
    if (shape->is_single_object)
        return as_raw && function->parameter_count == 1 && is_json_type(function->parameters);
    if (as_raw)
        return fits_body(function, shape);
    return !shape->is_raw && fits_names(function, shape);
}

/* --- none fits -------------------------------------------------------------------------------- */

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "a, b, c": the names of the arguments, sorted. */
static const char *
list_names(tn_arena *arena, const tn_call_shape *shape)
{
    const char **names = tn_arena_alloc(arena, shape->name_count, sizeof(const char *));
    PQExpBuffer text = tn_arena_buffer(arena);

    for (size_t i = 0; i < shape->name_count; i++)
        names[i] = shape->names[i];
    if (shape->name_count > 1)
        qsort(names, shape->name_count, sizeof(*names), compare_names);
    for (size_t i = 0; i < shape->name_count && i < LISTED_MAX; i++)
        appendPQExpBuffer(text, "%s%s", i > 0 ? ", " : "",
                          tn_text_excerpt(arena, names[i], TN_QUOTED_MAX));
    if (shape->name_count > LISTED_MAX)
        appendPQExpBufferStr(text, ", …");
    return tn_buffer_text(text);
}

static const char *
list_parameters(tn_arena *arena, const tn_function *function)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    appendPQExpBufferChar(text, '(');
    for (size_t i = 0; i < function->parameter_count; i++)
        appendPQExpBuffer(text, "%s%s", i > 0 ? ", " : "", function->parameters[i].name);
    appendPQExpBufferChar(text, ')');
    return tn_buffer_text(text);
}

/* The signature, of those that the name has, that is most like what was asked for. */
static const char *
suggest_signature(tn_arena *arena, const tn_call_shape *shape, const tn_function *functions,
                  size_t count)
{
    const char **signatures = tn_arena_alloc(arena, count, sizeof(const char *));
    const char *nearest;

    for (size_t i = 0; i < count; i++)
        signatures[i] = list_parameters(arena, &functions[i]);
    nearest = tn_nearest(arena, tn_arena_printf(arena, "(%s)", list_names(arena, shape)),
                         signatures, count, false);
    return nearest == NULL ? NULL : tn_arena_printf(arena, "%s%s", shape->name, nearest);
}

static const char *
suggest_name(tn_arena *arena, const tn_snapshot *snapshot, const tn_call_shape *shape)
{
    size_t count, used = 0;
    const tn_function *const *functions = tn_snapshot_all_functions(snapshot, &count);
    const char **names = tn_arena_alloc(arena, count, sizeof(const char *));

    for (size_t i = 0; i < count; i++)
        if (strcmp(functions[i]->schema, shape->schema) == 0 &&
            (used == 0 || strcmp(names[used - 1], functions[i]->name) != 0))
            names[used++] = functions[i]->name;
    return tn_nearest(arena, shape->name, names, used, false);
}

static const char *
raw_title(const tn_call_shape *shape)
{
    for (size_t i = 0; shape->raw_type != NULL && i < TN_COUNT(raw_types); i++)
        if (strcmp(raw_types[i].media, shape->raw_type) == 0)
            return raw_types[i].title;
    return NULL;
}

/* " with parameters a, b or with a single unnamed json/jsonb parameter" */
static const char *
describe_shape(tn_arena *arena, const tn_call_shape *shape)
{
    const char *title = shape->may_be_raw ? raw_title(shape) : NULL;
    PQExpBuffer text = tn_arena_buffer(arena);

    if (shape->is_single_object)
        return " with a single json/jsonb parameter";
    if (shape->is_raw)
        return tn_arena_printf(arena, " with a single unnamed %s parameter",
                               title == NULL ? "text" : title);
    if (shape->name_count == 0)
        appendPQExpBufferStr(text, " without parameters");
    else
        appendPQExpBuffer(text, " with parameter%s %s", shape->name_count > 1 ? "s" : "",
                          list_names(arena, shape));
    if (title != NULL)
        appendPQExpBuffer(text, " or with a single unnamed %s parameter", title);
    return tn_buffer_text(text);
}

static const char *
name_call(tn_arena *arena, const tn_call_shape *shape)
{
    if (shape->is_raw || shape->is_single_object)
        return tn_arena_printf(arena, "%s.%s", shape->schema, shape->name);
    if (shape->name_count == 0)
        return tn_arena_printf(arena, "%s.%s without parameters", shape->schema, shape->name);
    return tn_arena_printf(arena, "%s.%s(%s)", shape->schema, shape->name,
                           list_names(arena, shape));
}

static const tn_error *
refuse_none(tn_arena *arena, const tn_snapshot *snapshot, const tn_call_shape *shape)
{
    size_t count;
    const tn_function *functions =
        tn_snapshot_functions(snapshot, shape->schema, shape->name, &count);
    const char *suggested = count > 0 ? suggest_signature(arena, shape, functions, count)
                                      : suggest_name(arena, snapshot, shape);

    return tn_plan_refuse(
        arena,
        (tn_error){
            .status = 404,
            .code = "PGRST202",
            .message = tn_arena_printf(arena, "Could not find the function %s in the schema cache",
                                       name_call(arena, shape)),
            .details = tn_arena_printf(arena,
                                       "Searched for the function %s.%s%s, but no matches were "
                                       "found in the schema cache.",
                                       shape->schema, shape->name, describe_shape(arena, shape)),
            .hint = suggested == NULL
                        ? NULL
                        : tn_arena_printf(arena, "Perhaps you meant to call the function %s.%s",
                                          shape->schema, suggested)});
}

/* --- several fit ------------------------------------------------------------------------------ */

static const tn_error *
refuse_several(tn_arena *arena, const tn_function *const *found, size_t count)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    appendPQExpBufferStr(text, "Could not choose the best candidate function between: ");
    for (size_t i = 0; i < count; i++) {
        appendPQExpBuffer(text, "%s%s.%s(", i > 0 ? ", " : "", found[i]->schema, found[i]->name);
        for (size_t j = 0; j < found[i]->parameter_count; j++)
            appendPQExpBuffer(text, "%s%s => %s", j > 0 ? ", " : "", found[i]->parameters[j].name,
                              found[i]->parameters[j].type);
        appendPQExpBufferChar(text, ')');
    }
    return tn_plan_refuse(
        arena, (tn_error){.status = 300,
                          .code = "PGRST203",
                          .message = tn_buffer_text(text),
                          .hint = "Try renaming the parameters or the function itself in the "
                                  "database so function overloading can be resolved"});
}

const tn_error *
tn_plan_choose(tn_arena *arena, const tn_snapshot *snapshot, const tn_call_shape *shape,
               const tn_function **function, bool *is_raw)
{
    size_t count, fitting = 0;
    const tn_function *functions =
        tn_snapshot_functions(snapshot, shape->schema, shape->name, &count);
    const tn_function **found = tn_arena_alloc(arena, count, sizeof(const tn_function *));

    /* By name first: the whole body is the argument only where no overload fits by names. */
    *is_raw = false;
    for (size_t i = 0; i < count; i++)
        if (fits(&functions[i], shape, false))
            found[fitting++] = &functions[i];
    *is_raw = fitting == 0;
    for (size_t i = 0; i < count && *is_raw; i++)
        if (fits(&functions[i], shape, true))
            found[fitting++] = &functions[i];
    if (fitting == 0)
        return refuse_none(arena, snapshot, shape);
    if (fitting > 1)
        return refuse_several(arena, found, fitting);
    *function = found[0];
    return NULL;
}

/* --- arguments -------------------------------------------------------------------------------- */

/* Sorts the names and drops those that are there already. */
static size_t
keep_distinct(const char **names, size_t count)
{
    size_t kept = 0;

    if (count > 1)
        qsort(names, count, sizeof(*names), compare_names);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(names[i], names[kept - 1]) != 0)
            names[kept++] = names[i];
    return kept;
}

static void
shape_query(const tn_planner *planner, tn_call_shape *shape)
{
    const tn_data_query *query = planner->request->query;
    const char **names =
        tn_arena_alloc(planner->arena, query->argument_count, sizeof(const char *));

    for (size_t i = 0; i < query->argument_count; i++)
        names[i] = query->arguments[i].name;
    shape->names = names;
    shape->name_count = keep_distinct(names, query->argument_count);
}

static void
shape_columns(const tn_planner *planner, tn_call_shape *shape)
{
    const tn_data_query *query = planner->request->query;
    const char **names = tn_arena_alloc(planner->arena, query->column_count, sizeof(const char *));

    for (size_t i = 0; i < query->column_count; i++)
        names[i] = query->columns[i];
    shape->names = names;
    shape->name_count = keep_distinct(names, query->column_count);
}

/* The names that the body gives, or those of them that columns= picks. */
static void
shape_body(const tn_planner *planner, tn_call_shape *shape)
{
    const tn_data_body *body = planner->request->body;

    shape->is_single_object = planner->request->prefer->single_object;
    shape->may_be_raw = true;
    shape->raw_type = "application/json";
    if (body == NULL)
        return;
    shape->is_raw = body->is_raw;
    if (body->is_raw)
        shape->raw_type = body->raw_type;
    else if (body->media != NULL)
        shape->raw_type = body->media;
    if (body->is_raw || shape->is_single_object)
        return;
    if (planner->request->query->has_columns && !body->is_csv) {
        shape_columns(planner, shape);
    } else {
        shape->names = body->payload.keys;
        shape->name_count = body->payload.key_count;
    }
}

/* nums=1&nums=2 is an array for a variadic parameter; for others the last one counts. */
static void
collect_argument(const tn_planner *planner, const tn_parameter *parameter,
                 tn_plan_argument *argument)
{
    const tn_data_query *query = planner->request->query;
    const char **values = NULL;

    *argument = (tn_plan_argument){.parameter = parameter};
    if (parameter->is_variadic)
        values = tn_arena_alloc(planner->arena, query->argument_count, sizeof(const char *));
    for (size_t i = 0; i < query->argument_count; i++) {
        if (strcmp(query->arguments[i].name, parameter->name) != 0)
            continue;
        if (values != NULL)
            values[argument->value_count++] = query->arguments[i].value;
        else
            argument->value = query->arguments[i].value;
    }
    argument->values = values;
}

/* In the order of the parameters, so that equal calls are one statement. */
static void
collect_arguments(tn_planner *planner, const tn_call_shape *shape)
{
    tn_data_plan *plan = planner->plan;
    const tn_function *function = plan->function;
    tn_plan_argument *arguments =
        tn_arena_alloc(planner->arena, function->parameter_count, sizeof(*arguments));

    for (size_t i = 0; i < function->parameter_count; i++)
        if (has_name(shape, function->parameters[i].name))
            collect_argument(planner, &function->parameters[i], &arguments[plan->argument_count++]);
    plan->call_form = TN_CALL_NAMED_TEXT;
    plan->arguments = arguments;
}

static void
collect_parameters(tn_planner *planner, const tn_call_shape *shape)
{
    static const tn_payload nothing = {
        .json = "{}", .length = 2, .is_empty_object = true, .row_count = 1};
    const tn_data_body *body = planner->request->body;
    tn_data_plan *plan = planner->plan;
    const tn_function *function = plan->function;
    const tn_parameter **parameters =
        tn_arena_alloc(planner->arena, function->parameter_count, sizeof(const tn_parameter *));

    for (size_t i = 0; i < function->parameter_count; i++)
        if (has_name(shape, function->parameters[i].name))
            parameters[plan->parameter_count++] = &function->parameters[i];
    plan->call_form = TN_CALL_NAMED_JSON;
    plan->parameters = parameters;
    plan->payload = body == NULL ? &nothing : &body->payload;
}

static void
take_body(tn_data_plan *plan, const tn_data_body *body)
{
    const bool is_raw = body != NULL && body->is_raw;

    plan->call_form = TN_CALL_SINGLE_RAW;
    plan->raw = is_raw ? body->raw : body != NULL ? body->payload.json : "{}";
    plan->raw_length = is_raw ? body->raw_length : body != NULL ? body->payload.length : 2;
}

/* --- the whole -------------------------------------------------------------------------------- */

static tn_plan_node *
plant_result(tn_planner *planner)
{
    const tn_function *function = planner->plan->function;
    const tn_relation *relation = tn_snapshot_returned(planner->snapshot, function);
    const char *name = function->name;
    tn_plan_node *root;

    if (relation != NULL)
        name = relation->name;
    else if (function->returns == TN_RETURNS_COMPOSITE && function->return_name != NULL)
        name = function->return_name;
    root = tn_plan_node_new(planner, name, 0);
    assert(root != NULL);
    root->relation = relation;
    return root;
}

static const tn_error *
plan_max_affected(tn_planner *planner)
{
    const tn_prefer *prefer = planner->request->prefer;
    tn_data_plan *plan = planner->plan;

    plan->has_max_affected = prefer->has_max_affected && prefer->handling == TN_HANDLING_STRICT;
    plan->max_affected = plan->has_max_affected ? prefer->max_affected : 0;
    if (plan->has_max_affected && !plan->function->returns_set)
        return tn_plan_refuse(
            planner->arena,
            (tn_error){.status = 400,
                       .code = "PGRST128",
                       .message = "Function must return SETOF or TABLE when max-affected "
                                  "preference is used with handling=strict"});
    return NULL;
}

const tn_error *
tn_plan_call(tn_planner *planner)
{
    const tn_plan_request *request = planner->request;
    tn_data_plan *plan = planner->plan;
    tn_call_shape shape = {.schema = request->schema, .name = request->name};
    const bool is_post = strcmp(request->method, "POST") == 0;
    bool is_raw;

    if (is_post)
        shape_body(planner, &shape);
    else
        shape_query(planner, &shape);
    TN_TRY(tn_plan_choose(planner->arena, planner->snapshot, &shape, &plan->function, &is_raw));
    if (is_raw)
        take_body(plan, request->body);
    else if (is_post)
        collect_parameters(planner, &shape);
    else
        collect_arguments(planner, &shape);
    plan->root = plant_result(planner);
    return plan_max_affected(planner);
}
