/* data/openapi_call.c: functions in the description
 *
 * A path has all functions of its name: the parameters of each, required where all require them.
 */
#include <string.h>

#include "base/text.h"
#include "data/openapi.h"

/* One name: functions[0 … count). Those that are not the caller's are left out. */
struct overloads {
    const tn_openapi *document;
    const tn_function **functions;
    size_t count;
};

static bool
is_raw_type(const char *type)
{
    static const char *const types[] = {"json", "jsonb", "text", "xml", "bytea"};

    for (size_t i = 0; i < TN_COUNT(types); i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

/* A parameter without a name can only be the whole body. */
static bool
takes_body(const tn_function *function)
{
    return function->parameter_count == 1 && function->parameters[0].name[0] == '\0';
}

static bool
is_callable(const tn_function *function)
{
    if (takes_body(function))
        return is_raw_type(function->parameters[0].type);
    for (size_t i = 0; i < function->parameter_count; i++)
        if (function->parameters[i].name[0] == '\0')
            return false;
    return true;
}

static bool
is_shown(const tn_data_request *r, const tn_function *function)
{
    return function->is_exposed && strcmp(function->schema, r->schema) == 0 &&
           is_callable(function) &&
           (r->c->config->data.openapi == TN_OPENAPI_IGNORE_PRIVILEGES ||
            tn_function_allows(function, r->role));
}

/* --- parameters ------------------------------------------------------------------------------- */

static const tn_parameter *
find_parameter(const tn_function *function, const char *name)
{
    for (size_t i = 0; i < function->parameter_count; i++)
        if (strcmp(function->parameters[i].name, name) == 0)
            return &function->parameters[i];
    return NULL;
}

static bool
is_required(const struct overloads *all, const char *name)
{
    for (size_t i = 0; i < all->count; i++) {
        const tn_parameter *parameter = find_parameter(all->functions[i], name);

        if (parameter == NULL || !parameter->is_required)
            return false;
    }
    return true;
}

/* Whether a function before this one has a parameter of that name. */
static bool
has_been(const struct overloads *all, size_t function, const char *name)
{
    for (size_t i = 0; i < function; i++)
        if (find_parameter(all->functions[i], name) != NULL)
            return true;
    return false;
}

/* A variadic parameter may be there several times. */
static void
put_values(const struct overloads *all, const tn_parameter *parameter)
{
    PQExpBuffer out = all->document->out;
    const char *element = tn_openapi_element(all->document->r->c->arena, parameter->as);
    const char *type = tn_openapi_type_name(element);

    tn_openapi_text(out, "type", "array");
    tn_openapi_text(out, "collectionFormat", "multi");
    tn_openapi_json(out, "items", "{");
    tn_openapi_text(out, "format", element);
    tn_openapi_text(out, "type", type != NULL ? type : "string");
    appendPQExpBufferChar(out, '}');
}

static void
put_query_parameter(const struct overloads *all, const tn_parameter *parameter)
{
    PQExpBuffer out = all->document->out;

    tn_openapi_json(out, NULL, "{");
    tn_openapi_text(out, "name", parameter->name);
    tn_openapi_text(out, "in", "query");
    tn_openapi_json(out, "required", is_required(all, parameter->name) ? "true" : "false");
    if (parameter->is_variadic) {
        put_values(all, parameter);
    } else if (parameter->is_array || parameter->is_json) { /* as text */
        tn_openapi_text(out, "format", parameter->as->base_type);
        tn_openapi_text(out, "type", "string");
    } else {
        tn_openapi_type(all->document, parameter->as);
    }
    appendPQExpBufferChar(out, '}');
}

/* Calls put() for each parameter of the name, each once. */
static void
put_parameters(const struct overloads *all,
               void (*put)(const struct overloads *, const tn_parameter *))
{
    for (size_t i = 0; i < all->count; i++)
        for (size_t k = 0; k < all->functions[i]->parameter_count; k++) {
            const tn_parameter *parameter = &all->functions[i]->parameters[k];

            if (parameter->name[0] != '\0' && !has_been(all, i, parameter->name))
                put(all, parameter);
        }
}

static void
put_body_property(const struct overloads *all, const tn_parameter *parameter)
{
    PQExpBuffer out = all->document->out;

    tn_openapi_json(out, parameter->name, "{");
    tn_openapi_type(all->document, parameter->as);
    appendPQExpBufferChar(out, '}');
}

static void
put_required_name(const struct overloads *all, const tn_parameter *parameter)
{
    PQExpBuffer out = all->document->out;

    if (!is_required(all, parameter->name))
        return;
    if (out->data[out->len - 1] != '[')
        appendPQExpBufferChar(out, ',');
    tn_buffer_json_string(out, parameter->name);
}

static bool
requires_some(const struct overloads *all)
{
    for (size_t i = 0; i < all->functions[0]->parameter_count; i++)
        if (all->functions[0]->parameters[i].name[0] != '\0' &&
            is_required(all, all->functions[0]->parameters[i].name))
            return true;
    return false;
}

/* The body: an object of the arguments, or whatever the one parameter without a name takes. */
static void
put_arguments(const struct overloads *all)
{
    PQExpBuffer out = all->document->out;
    const tn_function *first = all->functions[0];

    tn_openapi_json(out, NULL, "{\"in\":\"body\",\"name\":\"args\",\"required\":true,\"schema\":{");
    if (first->comment != NULL)
        tn_openapi_text(out, "description", first->comment);
    if (all->count == 1 && takes_body(first)) {
        tn_openapi_type(all->document, first->parameters[0].as);
    } else {
        if (requires_some(all)) {
            tn_openapi_json(out, "required", "[");
            put_parameters(all, put_required_name);
            appendPQExpBufferChar(out, ']');
        }
        tn_openapi_json(out, "properties", "{");
        put_parameters(all, put_body_property);
        appendPQExpBufferChar(out, '}');
        tn_openapi_text(out, "type", "object");
    }
    appendPQExpBufferStr(out, "}}");
}

/* --- paths ------------------------------------------------------------------------------------ */

static void
begin_operation(const tn_openapi *document, const tn_function *function, const char *method)
{
    tn_arena *arena = document->r->c->arena;
    PQExpBuffer out = document->out;
    const char *comment = function->comment;
    const char *end = comment != NULL ? strchr(comment, '\n') : NULL;

    tn_openapi_json(out, method, "{");
    tn_openapi_json(out, "tags", "[");
    tn_buffer_json_string(out, tn_arena_printf(arena, "(rpc) %s", function->name));
    appendPQExpBufferChar(out, ']');
    if (comment != NULL)
        tn_openapi_text(out, "summary",
                        end == NULL ? comment
                                    : tn_arena_bytes(arena, comment, (size_t)(end - comment)));
    if (end != NULL)
        tn_openapi_text(out, "description", end + 1 + strspn(end + 1, "\n"));
    tn_openapi_json(out, "produces",
                    "[\"application/json\",\"application/vnd.pgrst.object+json;nulls=stripped\","
                    "\"application/vnd.pgrst.object+json\"]");
    tn_openapi_json(out, "parameters", "[");
}

/* By GET only what reads, and only arguments that have a name. */
static bool
may_be_read(const struct overloads *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->functions[i]->volatility != 'v' && !takes_body(all->functions[i]))
            return true;
    return false;
}

static void
put_path(const struct overloads *all)
{
    static const char ok[] = "],\"responses\":{\"200\":{\"description\":\"OK\"}}}";
    const tn_openapi *document = all->document;
    PQExpBuffer out = document->out;

    tn_openapi_path(out, "/rpc/", all->functions[0]->name);
    appendPQExpBufferChar(out, '{');
    if (may_be_read(all)) {
        begin_operation(document, all->functions[0], "get");
        put_parameters(all, put_query_parameter);
        appendPQExpBufferStr(out, ok);
    }
    begin_operation(document, all->functions[0], "post");
    put_arguments(all);
    tn_openapi_reference(out, "parameters", "preferParams");
    appendPQExpBufferStr(out, ok);
    appendPQExpBufferChar(out, '}');
}

void
tn_openapi_function_paths(const tn_openapi *document)
{
    size_t count;
    const tn_function *const *functions = tn_snapshot_all_functions(document->r->snapshot, &count);
    struct overloads all = {
        .document = document,
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what it is of */
        .functions = tn_arena_alloc(document->r->c->arena, count, sizeof(*all.functions))};

    for (size_t i = 0; i < count; i++) {
        if (is_shown(document->r, functions[i]))
            all.functions[all.count++] = functions[i];
        if (all.count > 0 &&
            (i + 1 == count || strcmp(functions[i + 1]->name, functions[i]->name) != 0 ||
             strcmp(functions[i + 1]->schema, functions[i]->schema) != 0)) {
            put_path(&all);
            all.count = 0;
        }
    }
}
