/* cmd/types.c: `tenon types`: what the data API shows, as types of the client's language
 *
 * TypeScript in the form that supabase-js takes: createClient<Database>(…). Everything is in the
 * catalog's order, so the same schema gives the same text and a diff shows what has changed.
 */
#include <string.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "db/catalog.h"

/* The client allows maxAffected() from 13 on, which is here. */
#define POSTGREST_VERSION "13.0"

struct printer {
    PQExpBuffer out;
    const tn_snapshot *snapshot;
    const char *schema; /* that is being printed */
};

/* --- words ------------------------------------------------------------------------------------ */

static bool
is_plain(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$";

    return strspn(name, letters) > 0 &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$0123456789")] ==
               '\0';
}

/* The name of a member; one that is no identifier in quotes. */
static void
put_name(const struct printer *p, const char *name)
{
    if (is_plain(name))
        appendPQExpBufferStr(p->out, name);
    else
        tn_buffer_json_string(p->out, name);
}

static void
put_path(const struct printer *p, const char *schema, const char *group, const char *name)
{
    appendPQExpBufferStr(p->out, "Database[");
    tn_buffer_json_string(p->out, schema);
    appendPQExpBuffer(p->out, "][\"%s\"][", group);
    tn_buffer_json_string(p->out, name);
    appendPQExpBufferChar(p->out, ']');
}

static void
put_texts(const struct printer *p, const char *const *texts, size_t count)
{
    appendPQExpBufferChar(p->out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            appendPQExpBufferStr(p->out, ", ");
        tn_buffer_json_string(p->out, texts[i]);
    }
    appendPQExpBufferChar(p->out, ']');
}

/* Opens and closes a group of members; an empty one has no members at all. */
static void
put_group(const struct printer *p, const char *name, size_t count)
{
    appendPQExpBuffer(p->out, count == 0 ? "    %s: { [_ in never]: never }\n" : "    %s: {\n",
                      name);
}

static void
put_group_end(const struct printer *p, size_t count)
{
    if (count > 0)
        appendPQExpBufferStr(p->out, "    }\n");
}

/* --- types ------------------------------------------------------------------------------------ */

static bool
is_shown(const tn_relation *relation)
{
    return relation->closed_because == NULL && !relation->is_partition;
}

static bool
is_table(const tn_relation *relation)
{
    return strchr("rpf", relation->kind) != NULL;
}

static bool
has_type(const struct printer *p, const tn_attribute *as)
{
    size_t count;
    const tn_type *types = tn_snapshot_types(p->snapshot, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(types[i].as->type_schema, as->type_schema) == 0 &&
            strcmp(types[i].as->type_name, as->type_name) == 0)
            return true;
    return false;
}

/* As PostgreSQL's to_json() writes a value of the type: what is no number or boolean is a string.
 */
static const char *
scalar_type(const tn_attribute *as)
{
    static const struct {
        const char *name, *type;
    } known[] = {{"bool", "boolean"},
                 {"int2", "number"},
                 {"int4", "number"},
                 {"int8", "number"},
                 {"float4", "number"},
                 {"float8", "number"},
                 {"numeric", "number"},
                 {"json", "Json"},
                 {"jsonb", "Json"},
                 {"void", "undefined"},
                 {"record", "Record<string, unknown>"}};

    for (size_t i = 0; i < TN_COUNT(known); i++)
        if (strcmp(as->type_name, known[i].name) == 0 && strcmp(as->type_schema, "pg_catalog") == 0)
            return known[i].type;
    return as->type_kind == 'p' || strcmp(as->type_name, "hstore") == 0 ? "unknown" : "string";
}

static void
put_element(const struct printer *p, const tn_attribute *as)
{
    const tn_relation *relation =
        as->type_kind == 'c' ? tn_snapshot_relation(p->snapshot, as->type_schema, as->type_name)
                             : NULL;

    if (relation != NULL && is_shown(relation)) {
        put_path(p, relation->schema, is_table(relation) ? "Tables" : "Views", relation->name);
        appendPQExpBufferStr(p->out, "[\"Row\"]");
    } else if (as->type_kind == 'e' && has_type(p, as)) {
        put_path(p, as->type_schema, "Enums", as->type_name);
    } else if (as->type_kind == 'c' && has_type(p, as)) {
        put_path(p, as->type_schema, "CompositeTypes", as->type_name);
    } else if (as->type_kind == 'c') {
        appendPQExpBufferStr(p->out, "unknown");
    } else {
        appendPQExpBufferStr(p->out, scalar_type(as));
    }
}

static void
put_type(const struct printer *p, const tn_attribute *as, bool is_nullable)
{
    put_element(p, as);
    if (as->is_array)
        appendPQExpBufferStr(p->out, "[]");
    if (is_nullable)
        appendPQExpBufferStr(p->out, " | null");
}

/* --- tables and views ------------------------------------------------------------------------- */

/* Functions of one row that give a value: selected by name like a column. */
static bool
is_field_of(const tn_function *function, const tn_relation *relation)
{
    return function->takes == relation && !function->returns_set &&
           function->returns == TN_RETURNS_SCALAR;
}

static void
put_row(const struct printer *p, const tn_relation *relation)
{
    size_t count;
    const tn_function *const *functions = tn_snapshot_all_functions(p->snapshot, &count);

    appendPQExpBufferStr(p->out, "        Row: {\n");
    for (size_t i = 0; i < relation->attribute_count; i++) {
        const tn_attribute *attribute = &relation->attributes[i];

        if (attribute->is_hidden)
            continue;
        appendPQExpBufferStr(p->out, "          ");
        put_name(p, attribute->name);
        appendPQExpBufferStr(p->out, ": ");
        put_type(p, attribute, !attribute->is_not_null);
        appendPQExpBufferChar(p->out, '\n');
    }
    for (size_t i = 0; i < count; i++)
        if (is_field_of(functions[i], relation)) {
            appendPQExpBufferStr(p->out, "          ");
            put_name(p, functions[i]->name);
            appendPQExpBufferStr(p->out, ": ");
            put_type(p, functions[i]->result, true);
            appendPQExpBufferChar(p->out, '\n');
        }
    appendPQExpBufferStr(p->out, "        }\n");
}

/* What may be written: all that is not computed. In an insert only what has no default is needed.
 */
static void
put_written(const struct printer *p, const tn_relation *relation, const char *name, bool is_insert)
{
    appendPQExpBuffer(p->out, "        %s: {\n", name);
    for (size_t i = 0; i < relation->attribute_count; i++) {
        const tn_attribute *attribute = &relation->attributes[i];
        const bool is_needed = is_insert && is_table(relation) && attribute->is_not_null &&
                               !attribute->has_default && !attribute->is_generated;

        if (attribute->is_hidden)
            continue;
        appendPQExpBufferStr(p->out, "          ");
        put_name(p, attribute->name);
        appendPQExpBufferStr(p->out, is_needed ? ": " : "?: ");
        if (attribute->is_generated || attribute->is_identity_always)
            appendPQExpBufferStr(p->out, "never");
        else
            put_type(p, attribute, !attribute->is_not_null);
        appendPQExpBufferChar(p->out, '\n');
    }
    appendPQExpBufferStr(p->out, "        }\n");
}

/* Keys that lead from here to relations of the same schema; the client finds the way back itself.
 */
static void
put_relationships(const struct printer *p, const tn_relation *relation)
{
    size_t count = 0;

    appendPQExpBufferStr(p->out, "        Relationships: [");
    for (size_t i = 0; i < relation->relationship_count; i++) {
        const tn_relationship *r = relation->relationships[i];
        const bool is_one = r->cardinality == TN_ONE_TO_ONE;

        if ((r->cardinality != TN_MANY_TO_ONE && (!is_one || r->is_parent)) || !is_shown(r->to) ||
            strcmp(r->to->schema, relation->schema) != 0)
            continue;
        appendPQExpBufferStr(p->out, "\n          {\n            foreignKeyName: ");
        tn_buffer_json_string(p->out, r->constraint);
        appendPQExpBufferStr(p->out, "\n            columns: ");
        put_texts(p, r->from_columns, r->column_count);
        appendPQExpBuffer(p->out, "\n            isOneToOne: %s\n            referencedRelation: ",
                          is_one ? "true" : "false");
        tn_buffer_json_string(p->out, r->to->name);
        appendPQExpBufferStr(p->out, "\n            referencedColumns: ");
        put_texts(p, r->to_columns, r->column_count);
        appendPQExpBufferStr(p->out, "\n          },");
        count++;
    }
    appendPQExpBufferStr(p->out, count == 0 ? "]\n" : "\n        ]\n");
}

static void
put_computed(const struct printer *p, const tn_relation *relation)
{
    size_t count, found = 0;
    const tn_function *const *functions = tn_snapshot_all_functions(p->snapshot, &count);

    for (size_t i = 0; i < count; i++)
        if (is_field_of(functions[i], relation)) {
            appendPQExpBufferStr(p->out, found++ == 0 ? "        ComputedFields: " : " | ");
            tn_buffer_json_string(p->out, functions[i]->name);
        }
    appendPQExpBufferStr(p->out, found == 0 ? "" : "\n");
}

static void
put_relation(const struct printer *p, const tn_relation *relation)
{
    appendPQExpBufferStr(p->out, "      ");
    put_name(p, relation->name);
    appendPQExpBufferStr(p->out, ": {\n");
    put_row(p, relation);
    if (is_table(relation) || relation->can_insert)
        put_written(p, relation, "Insert", true);
    if (is_table(relation) || relation->can_insert || relation->can_update)
        put_written(p, relation, "Update", false);
    put_relationships(p, relation);
    put_computed(p, relation);
    appendPQExpBufferStr(p->out, "      }\n");
}

static bool
is_listed(const struct printer *p, const tn_relation *relation, bool tables)
{
    return strcmp(relation->schema, p->schema) == 0 && is_shown(relation) &&
           is_table(relation) == tables;
}

static void
put_relations(const struct printer *p, const char *name, bool tables)
{
    size_t count, listed = 0;
    const tn_relation *const *relations = tn_snapshot_relations(p->snapshot, &count);

    for (size_t i = 0; i < count; i++)
        listed += is_listed(p, relations[i], tables);
    put_group(p, name, listed);
    for (size_t i = 0; i < count; i++)
        if (is_listed(p, relations[i], tables))
            put_relation(p, relations[i]);
    put_group_end(p, listed);
}

/* --- functions -------------------------------------------------------------------------------- */

/* Parameters have names, or there is one without: a row, or the whole body of the request. */
static bool
is_callable(const tn_function *function)
{
    for (size_t i = 0; i < function->parameter_count; i++)
        if (function->parameters[i].name[0] == '\0')
            return function->parameter_count == 1 &&
                   (function->takes == NULL || is_shown(function->takes));
    return true;
}

static void
put_arguments(const struct printer *p, const tn_function *function)
{
    if (function->parameter_count == 0) {
        appendPQExpBufferStr(p->out, "Args: never");
        return;
    }
    appendPQExpBufferStr(p->out, "Args: { ");
    for (size_t i = 0; i < function->parameter_count; i++) {
        const tn_parameter *parameter = &function->parameters[i];

        if (i > 0)
            appendPQExpBufferStr(p->out, "; ");
        put_name(p, parameter->name);
        appendPQExpBufferStr(p->out, parameter->is_required ? ": " : "?: ");
        put_type(p, parameter->as, false);
    }
    appendPQExpBufferStr(p->out, " }");
}

static void
put_result(const struct printer *p, const tn_function *function)
{
    if (function->column_count > 0) {
        appendPQExpBufferStr(p->out, "{ ");
        for (size_t i = 0; i < function->column_count; i++) {
            if (i > 0)
                appendPQExpBufferStr(p->out, "; ");
            put_name(p, function->columns[i].name);
            appendPQExpBufferStr(p->out, ": ");
            put_type(p, &function->columns[i], false);
        }
        appendPQExpBufferStr(p->out, " }");
    } else {
        put_type(p, function->result, false);
    }
    if (function->returns_set &&
        (tn_snapshot_returned(p->snapshot, function) == NULL || !function->is_single_row))
        appendPQExpBufferStr(p->out, "[]");
}

/* From which rows to which: so that the client types filters, embeds and computed relationships. */
static void
put_rows_option(const struct printer *p, const tn_function *function)
{
    const tn_relation *to = tn_snapshot_returned(p->snapshot, function);

    if (to == NULL || !is_shown(to) || strcmp(to->schema, p->schema) != 0)
        return;
    appendPQExpBufferStr(p->out, "; SetofOptions: { from: ");
    tn_buffer_json_string(p->out, function->takes == NULL ? "*" : function->takes->name);
    appendPQExpBufferStr(p->out, "; to: ");
    tn_buffer_json_string(p->out, to->name);
    appendPQExpBuffer(p->out, "; isOneToOne: %s; isSetofReturn: %s }",
                      function->is_single_row ? "true" : "false",
                      function->returns_set ? "true" : "false");
}

static bool
is_function_listed(const struct printer *p, const tn_function *function)
{
    return strcmp(function->schema, p->schema) == 0 && is_callable(function);
}

static void
put_functions(const struct printer *p)
{
    size_t count, listed = 0;
    const tn_function *const *functions = tn_snapshot_all_functions(p->snapshot, &count);
    const char *name = NULL;

    for (size_t i = 0; i < count; i++)
        listed += is_function_listed(p, functions[i]);
    put_group(p, "Functions", listed);
    for (size_t i = 0; i < count; i++) {
        const tn_function *function = functions[i];

        if (!is_function_listed(p, function))
            continue;
        if (name == NULL || strcmp(name, function->name) != 0) { /* overloads: a union */
            appendPQExpBufferStr(p->out, name == NULL ? "      " : "\n      ");
            put_name(p, function->name);
            appendPQExpBufferChar(p->out, ':');
        }
        name = function->name;
        appendPQExpBufferStr(p->out, "\n        | { ");
        put_arguments(p, function);
        appendPQExpBufferStr(p->out, "; Returns: ");
        put_result(p, function);
        put_rows_option(p, function);
        appendPQExpBufferStr(p->out, " }");
    }
    appendPQExpBufferStr(p->out, listed == 0 ? "" : "\n");
    put_group_end(p, listed);
}

/* --- enums and composite types ---------------------------------------------------------------- */

static bool
is_type_listed(const struct printer *p, const tn_type *type, char kind)
{
    return strcmp(type->as->type_schema, p->schema) == 0 && type->as->type_kind == kind;
}

static size_t
count_types(const struct printer *p, char kind)
{
    size_t count, listed = 0;
    const tn_type *types = tn_snapshot_types(p->snapshot, &count);

    for (size_t i = 0; i < count; i++)
        listed += is_type_listed(p, &types[i], kind);
    return listed;
}

static void
put_enums(const struct printer *p)
{
    const size_t listed = count_types(p, 'e');
    size_t count;
    const tn_type *types = tn_snapshot_types(p->snapshot, &count);

    put_group(p, "Enums", listed);
    for (size_t i = 0; i < count; i++) {
        if (!is_type_listed(p, &types[i], 'e'))
            continue;
        appendPQExpBufferStr(p->out, "      ");
        put_name(p, types[i].as->type_name);
        appendPQExpBufferStr(p->out, types[i].as->label_count == 0 ? ": never" : ": ");
        for (size_t k = 0; k < types[i].as->label_count; k++) {
            appendPQExpBufferStr(p->out, k == 0 ? "" : " | ");
            tn_buffer_json_string(p->out, types[i].as->labels[k]);
        }
        appendPQExpBufferChar(p->out, '\n');
    }
    put_group_end(p, listed);
}

static void
put_composites(const struct printer *p)
{
    const size_t listed = count_types(p, 'c');
    size_t count;
    const tn_type *types = tn_snapshot_types(p->snapshot, &count);

    put_group(p, "CompositeTypes", listed);
    for (size_t i = 0; i < count; i++) {
        if (!is_type_listed(p, &types[i], 'c'))
            continue;
        appendPQExpBufferStr(p->out, "      ");
        put_name(p, types[i].as->type_name);
        appendPQExpBufferStr(p->out, ": {\n");
        for (size_t k = 0; k < types[i].field_count; k++) {
            appendPQExpBufferStr(p->out, "        ");
            put_name(p, types[i].fields[k].name);
            appendPQExpBufferStr(p->out, ": ");
            put_type(p, &types[i].fields[k], true);
            appendPQExpBufferChar(p->out, '\n');
        }
        appendPQExpBufferStr(p->out, "      }\n");
    }
    put_group_end(p, listed);
}

/* --- the file --------------------------------------------------------------------------------- */

static const char head[] =
    "// Made by `tenon types --lang ts`. Make it anew when the schema has changed.\n"
    "\n"
    "export type Json = string | number | boolean | null | { [member: string]: Json | undefined } "
    "| "
    "Json[]\n"
    "\n"
    "export type Database = {\n"
    "  // which features of the client may be used\n"
    "  __InternalSupabase: { PostgrestVersion: \"" POSTGREST_VERSION "\" }\n";

/* %1: the default schema, in quotes */
static const char tail[] =
    "\n"
    "type Schemas = Omit<Database, \"__InternalSupabase\">\n"
    "type Named = { schema: keyof Schemas }\n"
    "type Default = Schemas[%s]\n"
    "type Readable<Schema extends { Tables: unknown; Views: unknown }> = Schema[\"Tables\"] & "
    "Schema[\"Views\"]\n"
    "type Part<Group, Name, Member extends string> = Name extends keyof Group\n"
    "  ? Group[Name] extends Record<Member, infer Found> ? Found : never\n"
    "  : never\n"
    "\n"
    "// Tables<\"name\"> in the default schema, or Tables<{ schema: \"other\" }, \"name\">; the "
    "rest "
    "alike.\n"
    "export type Tables<\n"
    "  At extends keyof Readable<Default> | Named,\n"
    "  Name extends At extends Named ? keyof Readable<Schemas[At[\"schema\"]]> : never = never,\n"
    "> = At extends Named ? Part<Readable<Schemas[At[\"schema\"]]>, Name, \"Row\"> : "
    "Part<Readable<Default>, At, \"Row\">\n"
    "\n"
    "export type TablesInsert<\n"
    "  At extends keyof Default[\"Tables\"] | Named,\n"
    "  Name extends At extends Named ? keyof Schemas[At[\"schema\"]][\"Tables\"] : never = never,\n"
    "> = At extends Named ? Part<Schemas[At[\"schema\"]][\"Tables\"], Name, \"Insert\"> : "
    "Part<Default[\"Tables\"], At, \"Insert\">\n"
    "\n"
    "export type TablesUpdate<\n"
    "  At extends keyof Default[\"Tables\"] | Named,\n"
    "  Name extends At extends Named ? keyof Schemas[At[\"schema\"]][\"Tables\"] : never = never,\n"
    "> = At extends Named ? Part<Schemas[At[\"schema\"]][\"Tables\"], Name, \"Update\"> : "
    "Part<Default[\"Tables\"], At, \"Update\">\n"
    "\n"
    "export type Enums<\n"
    "  At extends keyof Default[\"Enums\"] | Named,\n"
    "  Name extends At extends Named ? keyof Schemas[At[\"schema\"]][\"Enums\"] : never = never,\n"
    "> = At extends Named\n"
    "  ? Name extends keyof Schemas[At[\"schema\"]][\"Enums\"] ? "
    "Schemas[At[\"schema\"]][\"Enums\"][Name] : never\n"
    "  : At extends keyof Default[\"Enums\"] ? Default[\"Enums\"][At] : never\n"
    "\n"
    "export type CompositeTypes<\n"
    "  At extends keyof Default[\"CompositeTypes\"] | Named,\n"
    "  Name extends At extends Named ? keyof Schemas[At[\"schema\"]][\"CompositeTypes\"] : never = "
    "never,\n"
    "> = At extends Named\n"
    "  ? Name extends keyof Schemas[At[\"schema\"]][\"CompositeTypes\"] ? "
    "Schemas[At[\"schema\"]][\"CompositeTypes\"][Name] : never\n"
    "  : At extends keyof Default[\"CompositeTypes\"] ? Default[\"CompositeTypes\"][At] : never\n"
    "\n"
    "// The labels of enums as values.\n"
    "export const Constants = {\n";

static void
put_schema(const struct printer *p)
{
    appendPQExpBufferStr(p->out, "  ");
    put_name(p, p->schema);
    appendPQExpBufferStr(p->out, ": {\n");
    put_relations(p, "Tables", true);
    put_relations(p, "Views", false);
    put_functions(p);
    put_enums(p);
    put_composites(p);
    appendPQExpBufferStr(p->out, "  }\n");
}

static void
put_constants(const struct printer *p)
{
    size_t count;
    const tn_type *types = tn_snapshot_types(p->snapshot, &count);

    appendPQExpBufferStr(p->out, "  ");
    put_name(p, p->schema);
    appendPQExpBufferStr(p->out, ": {\n    Enums: {\n");
    for (size_t i = 0; i < count; i++)
        if (is_type_listed(p, &types[i], 'e')) {
            appendPQExpBufferStr(p->out, "      ");
            put_name(p, types[i].as->type_name);
            appendPQExpBufferStr(p->out, ": ");
            put_texts(p, types[i].as->labels, types[i].as->label_count);
            appendPQExpBufferStr(p->out, ",\n");
        }
    appendPQExpBufferStr(p->out, "    },\n  },\n");
}

static const char *
print_typescript(tn_arena *arena, const tn_snapshot *snapshot, const tn_catalog_options *options)
{
    struct printer p = {.out = tn_arena_buffer(arena), .snapshot = snapshot};
    PQExpBuffer first = tn_arena_buffer(arena);

    tn_buffer_json_string(first, options->schemas[0]);
    appendPQExpBufferStr(p.out, head);
    for (size_t i = 0; i < options->schema_count; i++) {
        p.schema = options->schemas[i];
        put_schema(&p);
    }
    appendPQExpBufferStr(p.out, "}\n");
    appendPQExpBuffer(p.out, tail, tn_buffer_text(first));
    for (size_t i = 0; i < options->schema_count; i++) {
        p.schema = options->schemas[i];
        put_constants(&p);
    }
    appendPQExpBufferStr(p.out, "} as const\n");
    return tn_buffer_text(p.out);
}

static tn_exit
run_types(tn_command_line *line)
{
    const char *language = tn_command_option(line, "lang");
    const char *schemas = tn_command_option(line, "schema");
    tn_catalog_options options = {.schemas = NULL};
    const tn_snapshot *snapshot;
    const tn_config *config;
    tn_session *session;
    const tn_error *error;
    PQExpBuffer json;
    const char *text;

    if (language != NULL && strcmp(language, "ts") != 0)
        return tn_command_fail(line, TN_EXIT_USAGE, "language_unknown", "Say --lang ts.",
                               "there are no types for %s", language);
    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    options.require_rls = config->data.require_rls;
    options.schemas = tn_text_split(line->arena, schemas == NULL ? config->data.schemas : schemas,
                                    &options.schema_count);
    if (options.schema_count == 0)
        return tn_command_fail(line, TN_EXIT_USAGE, "schema_missing", NULL, "no schema is named");
    error = tn_snapshot_read(session, line->arena, &options, &snapshot);
    if (error != NULL)
        return tn_command_error(line, error);
    text = print_typescript(line->arena, snapshot, &options);
    json = tn_arena_buffer(line->arena);
    appendPQExpBufferStr(json, "{\"ts\":");
    tn_buffer_json_string(json, text);
    appendPQExpBufferChar(json, '}');
    tn_command_print(line, tn_buffer_text(json), "%s", text);
    return TN_EXIT_OK;
}

static const tn_option types_options[] = {
    {"lang", "LANGUAGE", "ts: TypeScript for supabase-js, which is the default"},
    {"schema", "NAMES", "schemas, separated by commas (else data.schemas)"},
    {.name = NULL},
};

const tn_command tn_types_commands[] = {
    {"types", NULL, 0, 0, "Print the types of tables, views and functions for a client",
     "What the data API shows, in the form that supabase-js takes:\n"
     "\n"
     "    tenon types --lang ts >src/database.ts\n"
     "    const client = createClient<Database>(url, key)\n"
     "\n"
     "tenant_id is left out, since the database fills it in, and so is what is not exposed.\n",
     types_options, run_types},
    {.name = NULL},
};
