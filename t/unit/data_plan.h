/* t/unit/data_plan.h: a small garden in a scratch database, and plans as text
 *
 * make_plan() parses a request, plans it against the garden's catalog and prints the plan, or the
 * error's status and code. Printed: the kind, then the root node. A node is
 * alias(columns, children) with its conditions, order and limits behind it; a child stands as
 * member<how it hangs>node. A column that PostgreSQL is to resolve has a ? behind its name.
 */
#ifndef TN_T_UNIT_DATA_PLAN_H
#define TN_T_UNIT_DATA_PLAN_H

#include "t/unit/unit.h"

#include <string.h>

#include "data/plan.h"
#include "db/catalog.h"
#include "t/unit/database.h"

static const char garden_sql[] =
    "create schema api; create schema apart; set search_path = api;"
    "create table gardens (id int primary key, name text, area numeric, tags text[], meta jsonb);"
    "create table beds (id int primary key, garden_id int references gardens, code text);"
    "create table species (id int primary key, latin text, parent_id int references species);"
    "create table plantings (bed_id int references beds, species_id int references species,"
    " qty int, state text, primary key (bed_id, species_id));"
    "create table garden_profiles (garden_id int primary key references gardens, stars int);"
    "create table shipments (id int primary key, from_garden int references gardens,"
    " to_garden int references gardens);"
    "create table gardeners (id int primary key, name text);"
    "create table garden_staff (garden_id int references gardens, gardener_id int references"
    " gardeners, primary key (garden_id, gardener_id));"
    "create table garden_visits (garden_id int references gardens, gardener_id int references"
    " gardeners, primary key (garden_id, gardener_id));"
    "create table stock (id int primary key, sku text unique, qty int);"
    "create table grid (x int, y text, v int, primary key (x, y));"
    "create table cells (id int primary key, gx int, gy text, foreign key (gx, gy) references "
    "grid);"
    "create table nokey (a int, b text);"
    "create table apart.far (id int primary key, garden_id int references gardens);"
    "create table notes (tenant_id uuid not null, id int not null, slug text, primary key"
    " (tenant_id, id), unique (tenant_id, slug));"
    "create policy tenon_tenant on notes as restrictive using (true);"
    "create view garden_names as select id, name from gardens;"
    "create table emp (id int primary key, boss_id int unique references emp);"
    "create function flagship(gardens) returns setof species rows 1 language sql stable as"
    " 'select * from api.species';"
    "create function garden_profiles(gardens) returns setof garden_profiles language sql stable as"
    " 'select * from api.garden_profiles';"
    "create function add(a int, b int) returns int language sql immutable as 'select a + b';"
    "create function opt(a int, b int default 2) returns int language sql immutable as 'select a';"
    "create function over(a int) returns int language sql immutable as 'select a';"
    "create function over(a text) returns int language sql immutable as 'select 1';"
    "create function vsum(variadic nums int[]) returns int language sql immutable as 'select 1';"
    "create function anyj(json) returns json language sql immutable as 'select $1';"
    "create function anyt(text) returns text language sql immutable as 'select $1';"
    "create function either(json) returns text language sql immutable as 'select null::text';"
    "create function either(a int) returns text language sql immutable as 'select null::text';"
    "create function noargs() returns void language sql as 'select null::void';"
    "create function single(whole json) returns json language sql immutable as 'select whole';"
    "create function \"odd Name\"(\"my Arg\" int) returns setof text language sql as"
    " 'select null::text';"
    "create function find_gardens(q text) returns setof gardens language sql stable as"
    " 'select * from api.gardens';"
    "create function one_garden(i int) returns gardens language sql stable as"
    " 'select * from api.gardens';"
    "create function pairs(n int) returns table (a int, b text) language sql stable as"
    " 'select 1, null::text';"
    "grant usage on schema api to tenon_unit_reader, tenon_unit_writer;"
    "grant select on all tables in schema api to tenon_unit_reader;"
    "grant select (id) on stock to tenon_unit_writer;";

static tn_arena *garden_arena;
static const tn_snapshot *garden;

/* The first test of each program. */
static inline void
plant_garden(void **state)
{
    static const char *const schemas[] = {"api", "apart"};
    const tn_catalog_options options = {.schemas = schemas, .schema_count = 2};
    const char *problem = "";
    tn_session *session;
    const tn_error *error;

    (void)state;
    scratch_create();
    scratch_run(garden_sql);
    garden_arena = tn_arena_new();
    session = tn_session_open(scratch_url, garden_arena, &problem);
    assert_non_null(session);
    error = tn_snapshot_read(session, garden_arena, &options, &garden);
    if (error != NULL)
        fail_msg("%s: %s", error->code, error->message);
    tn_session_close(session);
}

static inline void
clear_garden(void **state)
{
    (void)state;
    tn_arena_free(garden_arena);
}

/* --- a plan as text --------------------------------------------------------------------------- */

static void print_node(PQExpBuffer out, const tn_plan_node *node);

static inline void
print_field(PQExpBuffer out, const tn_plan_field *field)
{
    appendPQExpBuffer(out, "%s%s", field->name == NULL ? "*" : field->name,
                      field->name != NULL && field->attribute == NULL ? "?" : "");
    for (size_t i = 0; i < field->step_count; i++)
        appendPQExpBuffer(out, "%s%s", field->steps[i].as_text ? "->>" : "->", field->steps[i].key);
}

static inline void
print_column(PQExpBuffer out, const tn_plan_column *column)
{
    static const char *const names[] = {"", "sum", "avg", "count", "max", "min"};

    appendPQExpBuffer(out, "%s%s", names[column->aggregate], column->aggregate != 0 ? "(" : "");
    print_field(out, &column->field);
    if (column->cast != NULL)
        appendPQExpBuffer(out, "::%s", column->cast);
    appendPQExpBufferStr(out, column->aggregate != 0 ? ")" : "");
    if (column->aggregate_cast != NULL)
        appendPQExpBuffer(out, "::%s", column->aggregate_cast);
    if (column->field.name == NULL || strcmp(column->member, column->field.name) != 0)
        appendPQExpBuffer(out, " as %s", column->member);
}

static inline void
print_filter(PQExpBuffer out, const tn_plan_logic *logic)
{
    static const char *const names[] = {
        "eq",     "neq", "gt", "gte",        "lt",  "lte",   "like",  "ilike", "match",
        "imatch", "in",  "is", "isdistinct", "fts", "plfts", "phfts", "wfts",  "cs",
        "cd",     "ov",  "sl", "sr",         "nxr", "nxl",   "adj"};

    print_field(out, &logic->field);
    appendPQExpBuffer(out, " %s %s", names[logic->filter->op],
                      logic->filter->value == NULL ? "-" : logic->filter->value);
}

static inline void
print_logic(PQExpBuffer out, const tn_plan_logic *logic)
{
    appendPQExpBufferStr(out, logic->is_negated ? "not " : "");
    if (logic->kind == TN_PLAN_EMBED_IS_NULL) {
        appendPQExpBuffer(out, "%s is null", logic->embed->alias);
    } else if (logic->kind == TN_PLAN_FILTER) {
        print_filter(out, logic);
    } else {
        appendPQExpBufferChar(out, '(');
        for (size_t i = 0; i < logic->term_count; i++) {
            if (i > 0)
                appendPQExpBufferStr(out, logic->kind == TN_PLAN_AND ? " and " : " or ");
            print_logic(out, &logic->terms[i]);
        }
        appendPQExpBufferChar(out, ')');
    }
}

static inline const char *
how_it_hangs(const tn_relationship *via)
{
    return via->cardinality == TN_COMPUTED       ? via->function->name
           : via->cardinality == TN_MANY_TO_MANY ? via->junction->name
                                                 : via->constraint;
}

static inline void
print_child(PQExpBuffer out, const tn_plan_node *node)
{
    appendPQExpBuffer(out, "%s%s<%s%s%s%s", node->is_spread ? "..." : "", node->member,
                      how_it_hangs(node->via), node->is_to_one ? " one" : "",
                      node->is_inner ? " inner" : "", node->is_hidden ? " hidden" : "");
    if (node->junction_alias != NULL)
        appendPQExpBuffer(out, " by %s", node->junction_alias);
    appendPQExpBufferChar(out, '>');
    print_node(out, node);
}

static inline void
print_order(PQExpBuffer out, const tn_plan_order *order)
{
    static const char *const directions[] = {"", " asc", " desc"}, *const nulls[] = {"", " first",
                                                                                     " last"};

    if (order->embed != NULL)
        appendPQExpBuffer(out, "%s.", order->embed->alias);
    print_field(out, &order->field);
    appendPQExpBuffer(out, "%s%s", directions[order->direction], nulls[order->nulls]);
}

static inline void
print_rest(PQExpBuffer out, const tn_plan_node *node)
{
    for (size_t i = 0; i < node->condition_count; i++) {
        appendPQExpBufferStr(out, i == 0 ? " where " : " and ");
        print_logic(out, &node->conditions[i]);
    }
    for (size_t i = 0; i < node->order_count; i++) {
        appendPQExpBufferStr(out, i == 0 ? " order " : ", ");
        print_order(out, &node->order[i]);
    }
    if (node->has_limit)
        appendPQExpBuffer(out, " limit %lld", (long long)node->limit);
    if (node->offset != 0)
        appendPQExpBuffer(out, " offset %lld", (long long)node->offset);
}

static void
print_node(PQExpBuffer out, const tn_plan_node *node)
{
    const char *between = node->is_whole ? ", " : "";

    appendPQExpBuffer(out, "%s%s(%s", node->alias, node->is_aggregated ? " grouped" : "",
                      node->is_whole ? "*" : "");
    for (size_t i = 0; i < node->column_count; i++, between = ", ") {
        appendPQExpBufferStr(out, between);
        print_column(out, &node->columns[i]);
    }
    for (size_t i = 0; i < node->child_count; i++, between = ", ") {
        appendPQExpBufferStr(out, between);
        print_child(out, node->children[i]);
    }
    appendPQExpBufferChar(out, ')');
    print_rest(out, node);
}

static inline void
print_write(PQExpBuffer out, const tn_data_plan *plan)
{
    appendPQExpBufferStr(out, " write");
    for (size_t i = 0; i < plan->column_count; i++)
        appendPQExpBuffer(out, "%s%s", i == 0 ? " " : ",", plan->columns[i]->name);
    if (plan->resolution != TN_RESOLUTION_NONE)
        appendPQExpBufferStr(out, plan->resolution == TN_RESOLUTION_MERGE ? " merge" : " ignore");
    for (size_t i = 0; i < plan->conflict_count; i++)
        appendPQExpBuffer(out, "%s%s", i == 0 ? " on " : ",", plan->conflict[i]);
    if (plan->if_match != NULL)
        appendPQExpBuffer(out, " if %s", plan->if_match);
    if (plan->must_be_new)
        appendPQExpBufferStr(out, " new");
}

static inline void
print_call(PQExpBuffer out, const tn_data_plan *plan)
{
    appendPQExpBuffer(out, " call %s", plan->function->name);
    for (size_t i = 0; i < plan->argument_count; i++) {
        const tn_plan_argument *argument = &plan->arguments[i];

        appendPQExpBuffer(out, " %s=%s", argument->parameter->name,
                          argument->value == NULL ? "" : argument->value);
        for (size_t j = 0; j < argument->value_count; j++)
            appendPQExpBuffer(out, "[%s]", argument->values[j]);
    }
    for (size_t i = 0; i < plan->parameter_count; i++)
        appendPQExpBuffer(out, " %s", plan->parameters[i]->name);
    if (plan->call_form == TN_CALL_SINGLE_RAW)
        appendPQExpBuffer(out, " raw %.*s", (int)plan->raw_length, plan->raw);
}

static inline const char *
print_plan(tn_arena *arena, const tn_data_plan *plan)
{
    static const char *const kinds[] = {"read", "insert", "update", "put", "delete", "call"};
    PQExpBuffer out = tn_arena_buffer(arena);

    appendPQExpBuffer(out, "%s ", kinds[plan->kind]);
    print_node(out, plan->root);
    if (plan->kind == TN_PLAN_CALL)
        print_call(out, plan);
    else if (plan->kind != TN_PLAN_READ)
        print_write(out, plan);
    if (plan->is_single)
        appendPQExpBufferStr(out, " single");
    if (!plan->has_body)
        appendPQExpBufferStr(out, " silent");
    if (plan->has_etag)
        appendPQExpBufferStr(out, " etag");
    if (plan->has_max_affected)
        appendPQExpBuffer(out, " most %lld", (long long)plan->max_affected);
    return tn_buffer_text(out);
}

/* --- a request -------------------------------------------------------------------------------- */

/* What a row of a table says of a request; everything but `path` may be left out. */
typedef struct garden_request {
    const char *method; /* NULL: GET */
    const char *path;   /* "gardens?select=id", "rpc/add" */
    const char *keys;   /* of the body, separated by commas; NULL: no body */
    const char *raw;    /* a body that is text/plain */
    const char *if_match, *if_none_match, *role;
    tn_prefer prefer;
    tn_media media;
    bool forbids_aggregates, has_range;
    int64_t range_first, range_last, max_rows;
} garden_request;

static inline void
split_keys(tn_arena *arena, const char *keys, tn_payload *payload)
{
    char *text = tn_arena_text(arena, keys), *rest = NULL;
    const char **names = tn_arena_alloc(arena, strlen(keys) + 1, sizeof(const char *));

    for (char *key = strtok_r(text, ",", &rest); key != NULL; key = strtok_r(NULL, ",", &rest))
        names[payload->key_count++] = key;
    payload->keys = names;
    payload->json = "{}";
    payload->length = 2;
    payload->row_count = 1;
    payload->is_empty_object = payload->key_count == 0;
}

static inline const tn_error *
make_request_plan(tn_arena *arena, const garden_request *row, tn_data_plan *plan)
{
    static const tn_data_limits limits = {
        .filters = 100, .logic_depth = 50, .embed_depth = 300, .items = 3000};
    const char *mark = strchr(row->path, '?');
    const bool is_call = strncmp(row->path, "rpc/", 4) == 0;
    const char *name = is_call ? row->path + 4 : row->path;
    const bool is_get = row->method == NULL || strcmp(row->method, "HEAD") == 0;
    tn_data_query *query = tn_arena_alloc(arena, 1, sizeof(*query));
    tn_data_body *body = tn_arena_alloc(arena, 1, sizeof(*body));
    tn_plan_request request = {
        .method = row->method == NULL ? "GET" : row->method,
        .is_call = is_call,
        .schema = "api",
        .name = mark == NULL ? name : tn_arena_bytes(arena, name, (size_t)(mark - name)),
        .query = query,
        .prefer = &row->prefer,
        .media = {.media = row->media},
        .body = row->keys != NULL || row->raw != NULL ? body : NULL,
        .has_range = row->has_range,
        .range_first = row->range_first,
        .range_last = row->range_last,
        .role = row->role == NULL ? "tenon_unit_reader" : row->role,
        .if_match = row->if_match,
        .if_none_match = row->if_none_match,
        .allows_aggregates = !row->forbids_aggregates,
        .max_rows = row->max_rows};

    if (row->keys != NULL)
        split_keys(arena, row->keys, &body->payload);
    if (row->raw != NULL)
        *body = (tn_data_body){.is_raw = true,
                               .raw_type = "text/plain",
                               .raw = row->raw,
                               .raw_length = strlen(row->raw)};
    TN_TRY(tn_data_query_parse(arena, mark == NULL ? "" : mark + 1,
                               is_call && is_get ? TN_DIALECT_CALL : TN_DIALECT_STRICT, &limits,
                               query));
    return tn_data_plan_make(arena, garden, &request, plan);
}

/* The plan as text, or "404 PGRST205: message". */
static inline const char *
make_plan(tn_arena *arena, const garden_request *row)
{
    tn_data_plan plan;
    const tn_error *error = make_request_plan(arena, row, &plan);

    return error == NULL ? print_plan(arena, &plan)
                         : tn_arena_printf(arena, "%d %s", error->status, error->code);
}

#endif
