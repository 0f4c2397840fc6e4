/* data/openapi_rows.c: relations in the description: paths, filters and definitions of rows */
#include <string.h>

#include "base/text.h"
#include "data/openapi.h"

/* --- paths ------------------------------------------------------------------------------------ */

static void
put_reference(PQExpBuffer out, const char *name)
{
    tn_openapi_reference(out, "parameters", name);
}

static void
put_filters(const tn_openapi *document, const tn_openapi_relation *shown)
{
    const tn_relation *relation = shown->relation;

    for (size_t i = 0; i < relation->attribute_count; i++)
        if (shown->shows[i])
            put_reference(document->out,
                          tn_arena_printf(document->r->c->arena, "rowFilter.%s.%s", relation->name,
                                          relation->attributes[i].name));
}

static void
put_body(const tn_openapi *document, const tn_openapi_relation *shown)
{
    put_reference(document->out,
                  tn_arena_printf(document->r->c->arena, "body.%s", shown->relation->name));
}

/* "get":{"tags":["stock"],…,"parameters":[ */
static void
begin_operation(const tn_openapi *document, const tn_openapi_relation *shown, const char *method)
{
    PQExpBuffer out = document->out;
    const char *comment = shown->relation->comment;
    const char *end = comment != NULL ? strchr(comment, '\n') : NULL;

    tn_openapi_json(out, method, "{");
    tn_openapi_json(out, "tags", "[");
    tn_buffer_json_string(out, shown->relation->name);
    appendPQExpBufferChar(out, ']');
    if (comment != NULL)
        tn_openapi_text(
            out, "summary",
            end == NULL ? comment
                        : tn_arena_bytes(document->r->c->arena, comment, (size_t)(end - comment)));
    if (end != NULL)
        tn_openapi_text(out, "description", end + 1 + strspn(end + 1, "\n"));
    tn_openapi_json(out, "parameters", "[");
}

static void
put_get(const tn_openapi *document, const tn_openapi_relation *shown)
{
    static const char *const shared[] = {"select", "order", "range",      "rangeUnit",
                                         "offset", "limit", "preferCount"};
    PQExpBuffer out = document->out;

    begin_operation(document, shown, "get");
    put_filters(document, shown);
    for (size_t i = 0; i < TN_COUNT(shared); i++)
        put_reference(out, shared[i]);
    appendPQExpBufferStr(out, "],\"responses\":{\"200\":{\"description\":\"OK\",\"schema\":{"
                              "\"type\":\"array\",\"items\":");
    tn_openapi_reference(out, "definitions", shown->relation->name);
    appendPQExpBufferStr(out, "}},\"206\":{\"description\":\"Partial Content\"}}}");
}

static void
put_post(const tn_openapi *document, const tn_openapi_relation *shown)
{
    begin_operation(document, shown, "post");
    put_body(document, shown);
    put_reference(document->out, "select");
    put_reference(document->out, "on_conflict");
    put_reference(document->out, "preferPost");
    appendPQExpBufferStr(document->out, "],\"responses\":{\"201\":{\"description\":\"Created\"}}}");
}

static void
put_change(const tn_openapi *document, const tn_openapi_relation *shown, const char *method)
{
    begin_operation(document, shown, method);
    put_filters(document, shown);
    if (strcmp(method, "patch") == 0)
        put_body(document, shown);
    put_reference(document->out, "preferReturn");
    appendPQExpBufferStr(document->out,
                         "],\"responses\":{\"204\":{\"description\":\"No Content\"}}}");
}

void
tn_openapi_relation_paths(const tn_openapi *document)
{
    for (size_t i = 0; i < document->count; i++) {
        const tn_openapi_relation *shown = &document->relations[i];

        tn_openapi_path(document->out, "/", shown->relation->name);
        appendPQExpBufferChar(document->out, '{');
        if (shown->reads)
            put_get(document, shown);
        if (shown->inserts)
            put_post(document, shown);
        if (shown->deletes)
            put_change(document, shown, "delete");
        if (shown->updates)
            put_change(document, shown, "patch");
        appendPQExpBufferChar(document->out, '}');
    }
}

/* --- parameters ------------------------------------------------------------------------------- */

static void
put_filter_parameter(const tn_openapi *document, const tn_relation *relation,
                     const tn_attribute *attribute)
{
    PQExpBuffer out = document->out;

    tn_openapi_json(
        out,
        tn_arena_printf(document->r->c->arena, "rowFilter.%s.%s", relation->name, attribute->name),
        "{");
    tn_openapi_text(out, "name", attribute->name);
    if (attribute->comment != NULL)
        tn_openapi_text(out, "description", attribute->comment);
    tn_openapi_json(out, "required", "false");
    tn_openapi_text(out, "format", attribute->base_type);
    tn_openapi_text(out, "in", "query");
    tn_openapi_text(out, "type", "string");
    appendPQExpBufferChar(out, '}');
}

void
tn_openapi_relation_parameters(const tn_openapi *document)
{
    PQExpBuffer out = document->out;

    for (size_t i = 0; i < document->count; i++) {
        const tn_openapi_relation *shown = &document->relations[i];
        const tn_relation *relation = shown->relation;

        tn_openapi_json(out, tn_arena_printf(document->r->c->arena, "body.%s", relation->name),
                        "{");
        tn_openapi_text(out, "name", relation->name);
        tn_openapi_text(out, "description", relation->name);
        tn_openapi_json(out, "required", "false");
        tn_openapi_text(out, "in", "body");
        tn_openapi_key(out, "schema");
        tn_openapi_reference(out, "definitions", relation->name);
        appendPQExpBufferChar(out, '}');
        for (size_t k = 0; k < relation->attribute_count; k++)
            if (shown->shows[k])
                put_filter_parameter(document, relation, &relation->attributes[k]);
    }
}

/* --- definitions ------------------------------------------------------------------------------ */

static bool
is_key(const tn_relation *relation, const char *column)
{
    for (size_t i = 0; i < relation->key_count; i++)
        if (strcmp(relation->key[i], column) == 0)
            return true;
    return false;
}

/* The key by which this column alone refers to another relation. */
static const tn_relationship *
find_reference(const tn_relation *relation, const char *column)
{
    for (size_t i = 0; i < relation->relationship_count; i++) {
        const tn_relationship *to = relation->relationships[i];
        const bool is_child = to->cardinality == TN_MANY_TO_ONE ||
                              (to->cardinality == TN_ONE_TO_ONE && !to->is_parent);

        if (is_child && to->column_count == 1 && strcmp(to->from_columns[0], column) == 0)
            return to;
    }
    return NULL;
}

/* The comment, and what tools look for: <pk/> and <fk table='…' column='…'/>. */
static void
put_description(const tn_openapi *document, const tn_relation *relation,
                const tn_attribute *attribute)
{
    const bool is_primary = is_key(relation, attribute->name);
    const tn_relationship *reference = find_reference(relation, attribute->name);
    PQExpBuffer text = tn_arena_buffer(document->r->c->arena);

    if (attribute->comment != NULL)
        appendPQExpBufferStr(text, attribute->comment);
    if (is_primary || reference != NULL)
        appendPQExpBuffer(text, "%sNote:", text->len > 0 ? "\n\n" : "");
    if (is_primary)
        appendPQExpBufferStr(text, "\nThis is a Primary Key.<pk/>");
    if (reference != NULL)
        appendPQExpBuffer(text, "\nThis is a Foreign Key to `%s.%s`.<fk table='%s' column='%s'/>",
                          reference->to->name, reference->to_columns[0], reference->to->name,
                          reference->to_columns[0]);
    if (text->len > 0)
        tn_openapi_text(document->out, "description", tn_buffer_text(text));
}

/* `'x'::text` without its quotes and cast. */
static const char *
bare_default(tn_arena *arena, const char *sql)
{
    const char *cast = strstr(sql, "::");
    size_t length = cast != NULL ? (size_t)(cast - sql) : strlen(sql);

    for (const char *next = cast; next != NULL; next = strstr(next + 2, "::"))
        length = (size_t)(next - sql);
    if (length >= 2 && sql[0] == '\'' && sql[length - 1] == '\'')
        return tn_arena_bytes(arena, sql + 1, length - 2);
    return tn_arena_bytes(arena, sql, length);
}

/* Only what is a value of the type: others would make the document invalid. */
static void
put_default(const tn_openapi *document, const tn_attribute *attribute)
{
    PQExpBuffer out = document->out;
    const char *text = attribute->default_sql;
    int64_t number;

    if (text == NULL || attribute->is_generated || attribute->is_array || attribute->is_json)
        return;
    text = bare_default(document->r->c->arena, text);
    if (strcmp(attribute->base_type, "boolean") == 0) {
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
            tn_openapi_json(out, "default", text);
    } else if (strcmp(attribute->base_type, "integer") == 0 ||
               strcmp(attribute->base_type, "bigint") == 0 ||
               strcmp(attribute->base_type, "smallint") == 0) {
        if (tn_text_int(text, INT64_MIN, INT64_MAX, &number))
            tn_openapi_json(out, "default",
                            tn_arena_printf(document->r->c->arena, "%lld", (long long)number));
    } else if (strcmp(attribute->base_type, "numeric") != 0 &&
               strcmp(attribute->base_type, "real") != 0 &&
               strcmp(attribute->base_type, "double precision") != 0) {
        tn_openapi_text(out, "default", text);
    }
}

static void
put_property(const tn_openapi *document, const tn_relation *relation, const tn_attribute *attribute)
{
    PQExpBuffer out = document->out;

    tn_openapi_json(out, attribute->name, "{");
    put_default(document, attribute);
    put_description(document, relation, attribute);
    if (attribute->label_count > 0 && !attribute->is_array) {
        tn_openapi_json(out, "enum", "[");
        for (size_t i = 0; i < attribute->label_count; i++) {
            appendPQExpBufferStr(out, i > 0 ? "," : "");
            tn_buffer_json_string(out, attribute->labels[i]);
        }
        appendPQExpBufferChar(out, ']');
    }
    if (attribute->max_length > 0 && !attribute->is_array)
        tn_openapi_json(out, "maxLength",
                        tn_arena_printf(document->r->c->arena, "%d", attribute->max_length));
    tn_openapi_type(document, attribute);
    appendPQExpBufferChar(out, '}');
}

/* Columns that always have a value, as PostgREST understands `required`. An empty list would not
 * be valid. */
static void
put_required(PQExpBuffer out, const tn_openapi_relation *shown)
{
    const tn_relation *relation = shown->relation;
    bool has_some = false;

    for (size_t i = 0; i < relation->attribute_count; i++) {
        if (!shown->shows[i] || !relation->attributes[i].is_not_null)
            continue;
        if (!has_some)
            tn_openapi_json(out, "required", "[");
        appendPQExpBufferStr(out, has_some ? "," : "");
        tn_buffer_json_string(out, relation->attributes[i].name);
        has_some = true;
    }
    if (has_some)
        appendPQExpBufferChar(out, ']');
}

void
tn_openapi_definitions(const tn_openapi *document)
{
    PQExpBuffer out = document->out;

    for (size_t i = 0; i < document->count; i++) {
        const tn_openapi_relation *shown = &document->relations[i];
        const tn_relation *relation = shown->relation;

        tn_openapi_json(out, relation->name, "{");
        if (relation->comment != NULL)
            tn_openapi_text(out, "description", relation->comment);
        put_required(out, shown);
        tn_openapi_json(out, "properties", "{");
        for (size_t k = 0; k < relation->attribute_count; k++)
            if (shown->shows[k])
                put_property(document, relation, &relation->attributes[k]);
        appendPQExpBufferStr(out, "},\"type\":\"object\"}");
    }
}
