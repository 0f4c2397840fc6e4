/* db/catalog_read.c: rows of `catalog_read` → relations, functions, roles
 *
 * A row is a kind and a JSON object, which is let go as soon as it has been read: what a thousand
 * tables need at once is the result itself and the snapshot.
 */
#include "db/catalog_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "db/view_private.h"

#define JSON_DEPTH 8

enum { KIND, JSON, TREE }; /* columns of the result */

struct type {
    uint32_t oid, relation; /* of a row type: its relation */
    const tn_attribute *as; /* what an attribute of this type has of it */
    const char *default_sql;
    int modifier; /* of a domain */
    uint32_t base;
    bool is_not_null;
};

struct grants { /* of relations or of functions */
    int64_t number;
    const tn_privileges *privileges;
    const char *const *roles;
    size_t count;
};

struct composite {
    uint32_t oid;
    const tn_attribute *attributes;
    size_t count;
};

struct reading {
    tn_arena *arena, *scratch; /* what stays; what goes when all is read */
    tn_arena *row;             /* what goes with the row */
    const tn_rows *rows;
    const tn_catalog_options *options;
    struct type *types;
    size_t type_count;
    struct grants *grants, *execute;
    size_t grants_count, execute_count;
    struct composite *composites;
    size_t composite_count;
    tn_tables tables;
    tn_function *functions; /* exposed ones first */
    struct call {           /* beside each function */
        uint32_t argument, returns;
    } * calls;
    size_t function_count;
    const tn_error *error;
};

/* --- rows ------------------------------------------------------------------------------------- */

static size_t
count_rows(const tn_rows *rows, const char *kind)
{
    size_t count = 0;

    for (size_t i = 0; i < tn_rows_count(rows); i++)
        count += strcmp(tn_rows_text(rows, i, KIND), kind) == 0;
    return count;
}

/* Calls read() with the object of each row of that kind and where it is to go; gives the place of
 * `count` items of `size` bytes. */
static void *
read_rows(struct reading *r, const char *kind, size_t size, size_t *count,
          void (*read)(struct reading *, json_object *, size_t row, void *item))
{
    const size_t rows = count_rows(r->rows, kind);
    char *items = tn_arena_alloc(r->scratch, rows + 1, size);

    *count = 0;
    for (size_t i = 0; i < tn_rows_count(r->rows) && r->error == NULL; i++) {
        json_object *object = NULL;

        if (strcmp(tn_rows_text(r->rows, i, KIND), kind) != 0)
            continue;
        r->error = tn_json_parse(r->row, tn_rows_text(r->rows, i, JSON),
                                 tn_rows_length(r->rows, i, JSON), JSON_DEPTH, &object);
        if (r->error == NULL)
            read(r, object, i, items + *count * size);
        else
            r->error = tn_error_internal(r->scratch, "catalog.row_unread", "%s: %s", kind,
                                         r->error->message);
        *count += 1;
        tn_arena_reset(r->row);
    }
    return items;
}

static uint32_t
read_oid(json_object *object, const char *member)
{
    return (uint32_t)tn_json_int(object, member, 0);
}

static char
read_char(json_object *object, const char *member)
{
    return tn_json_text(object, member, "")[0];
}

static const char *
keep(const struct reading *r, json_object *object, const char *member)
{
    return tn_arena_text(r->arena, tn_json_text(object, member, NULL));
}

static size_t
list_length(json_object *list)
{
    return list == NULL ? 0 : json_object_array_length(list);
}

static const char *
list_text(json_object *list, size_t i)
{
    json_object *item = json_object_array_get_idx(list, i);

    return item == NULL ? NULL : json_object_get_string(item);
}

static int64_t
list_int(json_object *list, size_t i)
{
    return json_object_get_int64(json_object_array_get_idx(list, i));
}

static bool
list_bool(json_object *list, size_t i)
{
    return json_object_get_boolean(json_object_array_get_idx(list, i)) != 0;
}

static const char *const *
keep_texts(const struct reading *r, json_object *list)
{
    const size_t count = list_length(list);
    const char **texts = count == 0 ? NULL : tn_arena_alloc(r->arena, count, sizeof *texts);

    for (size_t i = 0; i < count; i++)
        texts[i] = tn_arena_text(r->arena, list_text(list, i));
    return texts;
}

static const int16_t *
read_numbers(const struct reading *r, json_object *list, size_t *count)
{
    int16_t *numbers = tn_arena_alloc(r->scratch, list_length(list) + 1, sizeof *numbers);

    *count = list_length(list);
    for (size_t i = 0; i < *count; i++)
        numbers[i] = (int16_t)list_int(list, i);
    return numbers;
}

/* --- types ------------------------------------------------------------------------------------ */

static void
read_type(struct reading *r, json_object *object, size_t row, void *item)
{
    struct type *type = item;
    tn_attribute *as = tn_arena_alloc(r->arena, 1, sizeof *as);
    json_object *labels = tn_json_get(object, "labels");

    (void)row;
    type->oid = read_oid(object, "oid");
    type->base = read_oid(object, "base_oid");
    type->relation = read_oid(object, "relation");
    type->modifier = (int)tn_json_int(object, "modifier", -1);
    type->default_sql = keep(r, object, "default");
    type->is_not_null = tn_json_bool(object, "not_null", false);
    type->as = as;
    *as = (tn_attribute){
        .type = keep(r, object, "text"),
        .base_type = keep(r, object, "base"),
        .type_schema = keep(r, object, "schema"),
        .type_name = keep(r, object, "name"),
        .labels = keep_texts(r, labels),
        .label_count = list_length(labels),
        .type_kind = read_char(object, "kind"),
        .is_array = tn_json_bool(object, "array", false),
        .is_domain = tn_json_bool(object, "domain", false),
        .to_json = keep(r, object, "to_json"),
        .from_json = keep(r, object, "from_json"),
        .from_text = keep(r, object, "from_text"),
    };
    as->is_json = strcmp(as->base_type, "json") == 0 || strcmp(as->base_type, "jsonb") == 0;
}

static int
compare_types(const void *a, const void *b)
{
    const struct type *one = a, *other = b;

    return one->oid < other->oid ? -1 : one->oid > other->oid;
}

static const struct type *
find_type(const struct reading *r, uint32_t oid)
{
    static const tn_attribute text = {.type = "text",
                                      .base_type = "text",
                                      .type_schema = "pg_catalog",
                                      .type_name = "text",
                                      .type_kind = 'b'};
    static const struct type unknown = {.as = &text};
    const struct type wanted = {.oid = oid};
    const struct type *found =
        bsearch(&wanted, r->types, r->type_count, sizeof wanted, compare_types);

    return found == NULL ? &unknown : found;
}

/* --- columns ---------------------------------------------------------------------------------- */

/* Of varchar(n) and char(n), whose modifiers count four bytes more, and of bit strings. */
static int32_t
max_length(const struct type *type, int modifier)
{
    const char *base = type->as->base_type;
    const bool is_bits = strcmp(base, "bit") == 0 || strcmp(base, "bit varying") == 0;
    const bool is_text = strcmp(base, "character varying") == 0 || strcmp(base, "character") == 0;

    if (modifier < 0)
        modifier = type->modifier;
    if (is_bits && modifier > 0)
        return modifier;
    return is_text && modifier > 4 ? modifier - 4 : 0;
}

enum { /* what the query's list of columns says of each */
       COLUMN_NUMBER,
       COLUMN_NAME,
       COLUMN_TYPE,
       COLUMN_TEXT, /* of the type */
       COLUMN_MODIFIER,
       COLUMN_NOT_NULL,
       COLUMN_IDENTITY,  /* "a"lways, by "d"efault, or "" */
       COLUMN_GENERATED, /* "s"tored, or "" */
       COLUMN_DEFAULT,
       COLUMN_COMMENT
};

static void
read_attribute(const struct reading *r, json_object *column, tn_attribute *attribute)
{
    const struct type *type = find_type(r, (uint32_t)list_int(column, COLUMN_TYPE));
    const char identity = list_text(column, COLUMN_IDENTITY)[0];
    const char *text = list_text(column, COLUMN_TEXT);

    *attribute = *type->as;
    attribute->name = tn_arena_text(r->arena, list_text(column, COLUMN_NAME));
    attribute->type = strcmp(text, type->as->base_type) == 0 ? type->as->base_type
                                                             : tn_arena_text(r->arena, text);
    attribute->number = (int16_t)list_int(column, COLUMN_NUMBER);
    attribute->comment = tn_arena_text(r->arena, list_text(column, COLUMN_COMMENT));
    attribute->is_generated = list_text(column, COLUMN_GENERATED)[0] != '\0';
    attribute->is_identity = identity != '\0';
    attribute->is_identity_always = identity == 'a';
    attribute->is_not_null = list_bool(column, COLUMN_NOT_NULL) || type->is_not_null;
    attribute->max_length = max_length(type, (int)list_int(column, COLUMN_MODIFIER));
    attribute->default_sql = tn_arena_text(r->arena, list_text(column, COLUMN_DEFAULT));
    if (attribute->default_sql == NULL && !attribute->is_generated)
        attribute->default_sql = type->default_sql;
    attribute->has_default = attribute->default_sql != NULL;
}

static const tn_attribute *
read_attributes(const struct reading *r, json_object *list, size_t *count)
{
    tn_attribute *attributes = tn_arena_alloc(r->arena, list_length(list) + 1, sizeof *attributes);

    *count = list_length(list);
    for (size_t i = 0; i < *count; i++)
        read_attribute(r, json_object_array_get_idx(list, i), &attributes[i]);
    return attributes;
}

static void
read_composite(struct reading *r, json_object *object, size_t row, void *item)
{
    struct composite *composite = item;

    (void)row;
    composite->oid = read_oid(object, "oid");
    composite->attributes = read_attributes(r, tn_json_get(object, "columns"), &composite->count);
}

static const struct composite *
find_composite(const struct reading *r, uint32_t oid)
{
    for (size_t i = 0; i < r->composite_count; i++)
        if (r->composites[i].oid == oid)
            return &r->composites[i];
    return NULL;
}

/* --- privileges ------------------------------------------------------------------------------- */

static void
read_grants(struct reading *r, json_object *object, size_t row, void *item)
{
    struct grants *grants = item;
    json_object *roles = tn_json_get(object, "roles");
    tn_privileges *list = tn_arena_alloc(r->arena, list_length(roles) + 1, sizeof *list);

    (void)row;
    grants->number = tn_json_int(object, "number", 0);
    grants->privileges = list;
    grants->count = list_length(roles);
    for (size_t i = 0; i < grants->count; i++) {
        json_object *role = json_object_array_get_idx(roles, i);

        list[i] = (tn_privileges){
            .role = tn_arena_text(r->arena, list_text(role, 0)),
            .select = list_bool(role, 1),
            .insert = list_bool(role, 2),
            .update = list_bool(role, 3),
            .delete_ = list_bool(role, 4),
            .select_some = list_bool(role, 5),
            .insert_some = list_bool(role, 6),
            .update_some = list_bool(role, 7),
        };
    }
}

static void
read_execute(struct reading *r, json_object *object, size_t row, void *item)
{
    struct grants *grants = item;
    json_object *roles = tn_json_get(object, "roles");

    (void)row;
    grants->number = tn_json_int(object, "number", 0);
    grants->roles = keep_texts(r, roles);
    grants->count = list_length(roles);
}

static const struct grants *
find_grants(const struct grants *grants, size_t count, int64_t number)
{
    static const struct grants none;

    for (size_t i = 0; i < count; i++)
        if (grants[i].number == number)
            return &grants[i];
    return &none;
}

/* --- relations -------------------------------------------------------------------------------- */

static int
compare_attributes(const void *a, const void *b)
{
    const tn_attribute *const *one = a, *const *other = b;

    return strcmp((*one)->name, (*other)->name);
}

static const tn_attribute *const *
sort_attributes(const struct reading *r, const tn_relation *relation)
{
    const tn_attribute **sorted =
        tn_arena_alloc(r->arena, relation->attribute_count + 1, sizeof(tn_attribute *));

    for (size_t i = 0; i < relation->attribute_count; i++)
        sorted[i] = &relation->attributes[i];
    qsort(sorted, relation->attribute_count, sizeof(tn_attribute *), compare_attributes);
    return sorted;
}

static void
read_indexes(const struct reading *r, json_object *list, tn_table *table)
{
    tn_index *indexes = tn_arena_alloc(r->scratch, list_length(list) + 1, sizeof *indexes);

    table->indexes = indexes;
    table->index_count = list_length(list);
    for (size_t i = 0; i < table->index_count; i++) {
        json_object *object = json_object_array_get_idx(list, i);

        indexes[i].columns = read_numbers(r, tn_json_get(object, "columns"), &indexes[i].count);
        indexes[i].is_primary = tn_json_bool(object, "primary", false);
        indexes[i].is_constraint = tn_json_bool(object, "constraint", false);
        indexes[i].is_immediate = tn_json_bool(object, "immediate", false);
    }
}

static void
read_rests_on(const struct reading *r, json_object *list, tn_table *table)
{
    uint32_t *oids = tn_arena_alloc(r->scratch, list_length(list) + 1, sizeof *oids);

    table->rests_on = oids;
    table->rests_on_count = list_length(list);
    for (size_t i = 0; i < table->rests_on_count; i++)
        oids[i] = (uint32_t)list_int(list, i);
}

static void
read_relation(struct reading *r, json_object *object, size_t row, void *item)
{
    enum { CAN_UPDATE = 4, CAN_INSERT = 8, CAN_DELETE = 16 }; /* pg_relation_is_updatable() */
    tn_table *table = item;
    tn_relation *relation = tn_arena_alloc(r->arena, 1, sizeof *relation);
    const int64_t updatable = tn_json_int(object, "updatable", 0);
    const struct grants *grants =
        find_grants(r->grants, r->grants_count, tn_json_int(object, "grants", -1));

    (void)row;
    *relation = (tn_relation){
        .oid = read_oid(object, "oid"),
        .schema = keep(r, object, "schema"),
        .name = keep(r, object, "name"),
        .comment = keep(r, object, "comment"),
        .kind = read_char(object, "kind"),
        .is_partition = tn_json_bool(object, "partition", false),
        .is_protected = tn_json_bool(object, "walled", false),
        .has_row_security = tn_json_bool(object, "secured", false),
        .is_security_invoker = tn_json_bool(object, "invoker", false),
        .can_insert = (updatable & CAN_INSERT) != 0,
        .can_update = (updatable & CAN_UPDATE) != 0,
        .can_delete = (updatable & CAN_DELETE) != 0,
        .privileges = grants->privileges,
        .privilege_count = grants->count,
    };
    relation->has_xmin = relation->kind == 'r';
    relation->attributes =
        read_attributes(r, tn_json_get(object, "columns"), &relation->attribute_count);
    relation->by_name = sort_attributes(r, relation);
    table->relation = relation;
    table->row_type = read_oid(object, "row_type");
    table->is_exposed = tn_json_bool(object, "exposed", false);
    table->is_forced = tn_json_bool(object, "forced", false);
    table->owner = tn_arena_text(r->scratch, tn_json_text(object, "owner", ""));
    table->quoted = tn_arena_text(r->scratch, tn_json_text(object, "quoted", ""));
    table->owner_is_unbound = tn_json_bool(object, "owner_unbound", false);
    table->owner_may_call = tn_json_bool(object, "owner_calls", false);
    read_indexes(r, tn_json_get(object, "keys"), table);
    read_rests_on(r, tn_json_get(object, "rests_on"), table);
}

static int
compare_tables(const void *a, const void *b)
{
    const tn_table *one = a, *other = b;

    return one->relation->oid < other->relation->oid ? -1
                                                     : one->relation->oid > other->relation->oid;
}

tn_table *
tn_tables_find(const tn_tables *tables, uint32_t oid)
{
    tn_relation relation = {.oid = oid};
    const tn_table wanted = {.relation = &relation};

    return bsearch(&wanted, tables->list, tables->count, sizeof wanted, compare_tables);
}

static void
read_view(struct reading *r, json_object *object, size_t row, void *item)
{
    tn_table *table = tn_tables_find(&r->tables, read_oid(object, "oid"));
    tn_origin *origins;

    (void)item;
    if (table == NULL)
        return;
    origins = tn_arena_alloc(r->scratch, table->relation->attribute_count + 1, sizeof *origins);
    table->origin_count =
        tn_view_origins(tn_rows_text(r->rows, row, TREE), tn_rows_length(r->rows, row, TREE),
                        origins, table->relation->attribute_count);
    table->origins = origins;
}

static void
read_key(struct reading *r, json_object *object, size_t row, void *item)
{
    tn_key *key = item;
    size_t count;

    (void)row;
    key->name = keep(r, object, "name");
    key->from = tn_tables_find(&r->tables, read_oid(object, "from"));
    key->to = tn_tables_find(&r->tables, read_oid(object, "to"));
    key->from_columns = read_numbers(r, tn_json_get(object, "from_columns"), &key->count);
    key->to_columns = read_numbers(r, tn_json_get(object, "to_columns"), &count);
    assert(key->from != NULL && key->to != NULL && count == key->count);
}

/* --- functions -------------------------------------------------------------------------------- */

/* The value of `name=value` in the function's settings, or NULL. */
static const char *
read_setting(const struct reading *r, json_object *settings, const char *name)
{
    const size_t length = strlen(name);

    for (size_t i = 0; i < list_length(settings); i++) {
        const char *text = list_text(settings, i);

        if (strncmp(text, name, length) == 0 && text[length] == '=')
            return tn_arena_text(r->arena, text + length + 1);
    }
    return NULL;
}

enum { ARGUMENT_NAME, ARGUMENT_TYPE, ARGUMENT_TEXT, ARGUMENT_MODE };

static bool
is_input(json_object *argument)
{
    return strchr("biv", list_text(argument, ARGUMENT_MODE)[0]) != NULL;
}

static bool
is_output(json_object *argument)
{
    return strchr("bot", list_text(argument, ARGUMENT_MODE)[0]) != NULL;
}

static uint32_t
argument_type(json_object *argument)
{
    return (uint32_t)list_int(argument, ARGUMENT_TYPE);
}

static void
read_parameters(const struct reading *r, json_object *arguments, size_t defaults,
                tn_function *function)
{
    tn_parameter *parameters =
        tn_arena_alloc(r->arena, list_length(arguments) + 1, sizeof *parameters);
    size_t count = 0;

    for (size_t i = 0; i < list_length(arguments); i++) {
        json_object *argument = json_object_array_get_idx(arguments, i);
        const struct type *type = find_type(r, argument_type(argument));

        if (!is_input(argument))
            continue;
        parameters[count++] = (tn_parameter){
            .name = tn_arena_text(r->arena, list_text(argument, ARGUMENT_NAME)),
            .type = tn_arena_text(r->arena, list_text(argument, ARGUMENT_TEXT)),
            .as = type->as,
            .is_required = true,
            .is_variadic = list_text(argument, ARGUMENT_MODE)[0] == 'v',
            .is_array = type->as->is_array,
            .is_json = type->as->is_json,
        };
    }
    for (size_t i = 0; i < defaults && i < count; i++) /* defaults are the last ones' */
        parameters[count - 1 - i].is_required = false;
    function->parameters = parameters;
    function->parameter_count = count;
}

/* OUT parameters and TABLE columns as the row's columns; PostgreSQL calls the nameless columnN. */
static void
read_outputs(const struct reading *r, json_object *arguments, tn_function *function)
{
    tn_attribute *columns = tn_arena_alloc(r->arena, list_length(arguments) + 1, sizeof *columns);
    size_t count = 0;

    for (size_t i = 0; i < list_length(arguments); i++) {
        json_object *argument = json_object_array_get_idx(arguments, i);
        const char *name = list_text(argument, ARGUMENT_NAME);
        tn_attribute *column = &columns[count];

        if (!is_output(argument))
            continue;
        *column = find_type(r, argument_type(argument))->as[0];
        column->name = *name != '\0' ? tn_arena_text(r->arena, name)
                                     : tn_arena_printf(r->arena, "column%zu", count + 1);
        column->type = tn_arena_text(r->arena, list_text(argument, ARGUMENT_TEXT));
        column->number = (int16_t)++count;
    }
    function->columns = columns;
    function->column_count = count;
}

static void
read_result(const struct reading *r, json_object *object, tn_function *function)
{
    const struct type *type = find_type(r, read_oid(object, "returns"));
    const tn_table *table = tn_tables_find(&r->tables, type->relation);
    const struct composite *composite;

    function->return_type = keep(r, object, "text");
    function->result = type->as;
    function->return_schema = type->as->type_schema;
    function->return_name = type->as->type_name;
    function->returns_set = tn_json_bool(object, "set", false);
    function->is_single_row = !function->returns_set || tn_json_int(object, "rows", 0) == 1;
    read_outputs(r, tn_json_get(object, "arguments"), function);
    if (function->column_count > 0 || type->as->type_kind == 'c')
        function->returns = type->as->is_array ? TN_RETURNS_SCALAR : TN_RETURNS_COMPOSITE;
    else if (strcmp(type->as->base_type, "void") == 0)
        function->returns = TN_RETURNS_VOID;
    else
        function->returns = TN_RETURNS_SCALAR;
    if (function->returns != TN_RETURNS_COMPOSITE || function->column_count > 0)
        return;
    if (table != NULL && !table->is_exposed) {
        function->columns = table->relation->attributes;
        function->column_count = table->relation->attribute_count;
    }
    composite = find_composite(r, type->relation);
    if (composite != NULL) {
        function->columns = composite->attributes;
        function->column_count = composite->count;
    }
}

struct loaded {
    tn_function function;
    struct call call;
};

static void
read_function(struct reading *r, json_object *object, size_t row, void *item)
{
    struct loaded *loaded = item;
    tn_function *function = &loaded->function;
    json_object *arguments = tn_json_get(object, "arguments");
    json_object *settings = tn_json_get(object, "config");
    const struct grants *execute =
        find_grants(r->execute, r->execute_count, tn_json_int(object, "execute", -1));

    (void)row;
    *function = (tn_function){
        .schema = keep(r, object, "schema"),
        .name = keep(r, object, "name"),
        .comment = keep(r, object, "comment"),
        .volatility = read_char(object, "volatility"),
        .isolation = read_setting(r, settings, "default_transaction_isolation"),
        .statement_timeout = read_setting(r, settings, "statement_timeout"),
        .is_security_definer = tn_json_bool(object, "definer", false),
        .is_exposed = tn_json_bool(object, "exposed", false),
        .roles = execute->roles,
        .role_count = execute->count,
    };
    read_parameters(r, arguments, (size_t)tn_json_int(object, "defaults", 0), function);
    read_result(r, object, function);
    loaded->call.returns = find_type(r, read_oid(object, "returns"))->relation;
    if (function->parameter_count == 1 && list_length(arguments) > 0)
        loaded->call.argument =
            find_type(r, argument_type(json_object_array_get_idx(arguments, 0)))->relation;
}

static int
compare_functions(const void *a, const void *b)
{
    const tn_function *one = a, *other = b;
    const int by_exposed = other->is_exposed - one->is_exposed;
    const int by_schema = strcmp(one->schema, other->schema);
    const int by_name = strcmp(one->name, other->name);

    if (by_exposed != 0)
        return by_exposed;
    if (by_schema != 0)
        return by_schema;
    if (by_name != 0)
        return by_name;
    for (size_t i = 0; i < one->parameter_count && i < other->parameter_count; i++) {
        const int by_type = strcmp(one->parameters[i].type, other->parameters[i].type);

        if (by_type != 0)
            return by_type;
    }
    return one->parameter_count < other->parameter_count
               ? -1
               : one->parameter_count > other->parameter_count;
}

static void
read_functions(struct reading *r)
{
    size_t count;
    struct loaded *loaded = read_rows(r, "function", sizeof *loaded, &count, read_function);

    qsort(loaded, count, sizeof *loaded, compare_functions); /* a function is its first member */
    r->functions = tn_arena_alloc(r->arena, count + 1, sizeof *r->functions);
    r->calls = tn_arena_alloc(r->scratch, count + 1, sizeof *r->calls);
    for (size_t i = 0; i < count; i++) {
        r->functions[i] = loaded[i].function;
        r->calls[i] = loaded[i].call;
    }
    r->function_count = count;
}

/* Functions of one argument, a row of an exposed relation. */
static void
find_row_functions(struct reading *r)
{
    for (size_t i = 0; i < r->function_count; i++) {
        const tn_table *table = tn_tables_find(&r->tables, r->calls[i].argument);

        if (table != NULL && table->is_exposed)
            r->functions[i].takes = table->relation;
    }
}

/* Functions of one argument that lead from rows of one relation to rows of another. */
static void
find_computed(struct reading *r)
{
    for (size_t i = 0; i < r->tables.count; i++) {
        tn_relation *relation = r->tables.list[i].relation;
        const tn_function **computed = NULL;

        for (size_t k = 0; k < r->function_count; k++) {
            const tn_table *to = r->calls[k].argument != relation->oid
                                     ? NULL
                                     : tn_tables_find(&r->tables, r->calls[k].returns);

            if (to == NULL || !to->is_exposed)
                continue;
            if (computed == NULL)
                computed = tn_arena_alloc(r->arena, r->function_count, sizeof *computed);
            computed[relation->computed_count++] = &r->functions[k];
        }
        relation->computed = computed;
    }
}

/* --- roles ------------------------------------------------------------------------------------ */

static void
read_role(struct reading *r, json_object *object, size_t row, void *item)
{
    static const char isolation[] = "default_transaction_isolation";
    tn_role_settings *role = item;
    json_object *settings = tn_json_get(object, "settings");

    (void)row;
    role->role = keep(r, object, "name");
    if (settings == NULL)
        return;
    role->isolation = keep(r, settings, isolation);
    json_object_object_del(settings, isolation);
    if (json_object_object_length(settings) > 0)
        role->settings = tn_arena_text(r->arena, tn_json_print(r->row, settings));
}

/* --- all of it -------------------------------------------------------------------------------- */

static int
compare_relations(const void *a, const void *b)
{
    const tn_relation *const *one = a, *const *other = b;
    const int by_schema = strcmp((*one)->schema, (*other)->schema);

    return by_schema != 0 ? by_schema : strcmp((*one)->name, (*other)->name);
}

static void
keep_relations(const struct reading *r, tn_snapshot *snapshot)
{
    const tn_relation **relations =
        tn_arena_alloc(r->arena, r->tables.count + 1, sizeof *relations);

    for (size_t i = 0; i < r->tables.count; i++)
        if (r->tables.list[i].is_exposed)
            relations[snapshot->relation_count++] = r->tables.list[i].relation;
    qsort(relations, snapshot->relation_count, sizeof *relations, compare_relations);
    snapshot->relations = relations;
}

static void
keep_functions(const struct reading *r, tn_snapshot *snapshot)
{
    const tn_function **all = tn_arena_alloc(r->arena, r->function_count + 1, sizeof *all);

    for (size_t i = 0; i < r->function_count && r->functions[i].is_exposed; i++)
        all[snapshot->function_count++] = &r->functions[i];
    snapshot->functions = r->functions;
    snapshot->all_functions = all;
}

static int
compare_kept_types(const void *a, const void *b)
{
    const tn_type *one = a, *other = b;
    const int by_schema = strcmp(one->as->type_schema, other->as->type_schema);

    return by_schema != 0 ? by_schema : strcmp(one->as->type_name, other->as->type_name);
}

static bool
is_exposed(const struct reading *r, const char *schema)
{
    for (size_t i = 0; i < r->options->schema_count; i++)
        if (strcmp(r->options->schemas[i], schema) == 0)
            return true;
    return false;
}

static void
keep_types(const struct reading *r, tn_snapshot *snapshot)
{
    tn_type *types = tn_arena_alloc(r->arena, r->type_count + 1, sizeof *types);

    for (size_t i = 0; i < r->type_count; i++) {
        const struct type *type = &r->types[i];
        const struct composite *composite = find_composite(r, type->relation);

        if (type->as->is_domain || type->as->is_array || !is_exposed(r, type->as->type_schema) ||
            (type->as->type_kind != 'e' && composite == NULL))
            continue;
        types[snapshot->type_count++] =
            composite == NULL ? (tn_type){.as = type->as}
                              : (tn_type){type->as, composite->attributes, composite->count};
    }
    qsort(types, snapshot->type_count, sizeof *types, compare_kept_types);
    snapshot->types = types;
}

static void
keep_roles(const struct reading *r, const tn_role_settings *roles, size_t count,
           tn_snapshot *snapshot)
{
    tn_role_settings *kept = tn_arena_alloc(r->arena, count + 1, sizeof *kept);

    memcpy(kept, roles, count * sizeof *kept);
    snapshot->roles = kept;
    snapshot->role_count = count;
}

static void
keep_zones(const struct reading *r, const tn_rows *rows, tn_snapshot *snapshot)
{
    const char **zones = tn_arena_alloc(r->arena, tn_rows_count(rows) + 1, sizeof *zones);

    for (size_t i = 0; i < tn_rows_count(rows); i++)
        zones[i] = tn_arena_text(r->arena, tn_rows_text(rows, i, 0));
    snapshot->zones = zones;
    snapshot->zone_count = tn_rows_count(rows);
}

/* In this order, because each refers to what has been read before. */
static void
read_all(struct reading *r, const tn_rows *zones, tn_snapshot *snapshot)
{
    const tn_role_settings *roles;
    size_t count;

    r->types = read_rows(r, "type", sizeof *r->types, &r->type_count, read_type);
    qsort(r->types, r->type_count, sizeof *r->types, compare_types);
    r->grants = read_rows(r, "grants", sizeof *r->grants, &r->grants_count, read_grants);
    r->execute = read_rows(r, "execute", sizeof *r->execute, &r->execute_count, read_execute);
    r->composites =
        read_rows(r, "composite", sizeof *r->composites, &r->composite_count, read_composite);
    r->tables.list = read_rows(r, "relation", sizeof(tn_table), &r->tables.count, read_relation);
    if (r->error != NULL)
        return;
    qsort(r->tables.list, r->tables.count, sizeof(tn_table), compare_tables);
    read_rows(r, "view", 1, &count, read_view);
    r->tables.keys = read_rows(r, "key", sizeof(tn_key), &r->tables.key_count, read_key);
    read_functions(r);
    roles = read_rows(r, "role", sizeof *roles, &count, read_role);
    if (r->error != NULL)
        return;
    find_row_functions(r);
    find_computed(r);
    keep_types(r, snapshot);
    keep_relations(r, snapshot);
    keep_functions(r, snapshot);
    keep_roles(r, roles, count, snapshot);
    if (zones != NULL)
        keep_zones(r, zones, snapshot);
}

const tn_error *
tn_snapshot_make(tn_arena *arena, const tn_rows *rows, const tn_rows *zones,
                 const tn_catalog_options *options, tn_snapshot **snapshot)
{
    struct reading r = {.arena = arena,
                        .scratch = tn_arena_new(),
                        .row = tn_arena_new(),
                        .rows = rows,
                        .options = options};
    const tn_error *error;

    *snapshot = tn_arena_alloc(arena, 1, sizeof **snapshot);
    r.tables.arena = arena;
    r.tables.scratch = r.scratch;
    read_all(&r, zones, *snapshot);
    if (r.error == NULL) {
        tn_tables_relate(&r.tables);
        if (options->require_rls)
            tn_tables_close(&r.tables);
    }
    error = r.error == NULL ? NULL
                            : tn_error_new(arena, 500, r.error->code, NULL, "%s", r.error->message);
    tn_arena_free(r.row);
    tn_arena_free(r.scratch);
    return error;
}
