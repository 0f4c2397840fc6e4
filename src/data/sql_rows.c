/* data/sql_rows.c: the rows of a node, with what is embedded in them
 *
 * An embed is an expression among its parent's columns wherever it can be: PostgreSQL then computes
 * it for the rows that are left after order and limit only. What the parent's own rows depend on is
 * joined: spread embeds, embeds to one that are inner, and those that the parent is ordered by.
 * Inner embeds to many are an exists(), which PostgreSQL can turn into a semi-join.
 */
#include <assert.h>
#include <string.h>

#include "data/sql_private.h"

#define TENANT "tenant_id"

static bool
orders_by(const tn_plan_node *parent, const tn_plan_node *child)
{
    for (size_t i = 0; i < parent->order_count; i++)
        if (parent->order[i].embed == child)
            return true;
    return false;
}

bool
tn_sql_is_joined(const tn_plan_node *parent, const tn_plan_node *child)
{
    return child->is_spread || (child->is_to_one && (child->is_inner || orders_by(parent, child)));
}

static bool
is_root_of(const tn_sql_writer *writer, const tn_plan_node *node, tn_sql_source source)
{
    return node == writer->plan->root && writer->source == source;
}

/* What a write gives back: it has been filtered, and there is no window on it. */
static bool
is_written(const tn_sql_writer *writer, const tn_plan_node *node)
{
    return is_root_of(writer, node, TN_SQL_COMMON) && writer->plan->kind != TN_PLAN_CALL;
}

/* Whether an aggregate's rows are read through a select with a limit. */
static bool
is_bounded(const tn_sql_writer *writer, const tn_plan_node *node)
{
    assert(node != NULL);
    return node->is_aggregated && !node->is_spread && writer->plan->aggregate_max_rows > 0 &&
           !is_root_of(writer, node, TN_SQL_COMMON);
}

/* --- from ------------------------------------------------------------------------------------- */

void
tn_sql_relation(tn_sql_writer *writer, const tn_relation *relation, const char *alias)
{
    tn_sql_names(writer, relation->schema, relation->name);
    if (strcmp(relation->name, alias) != 0) {
        tn_sql_add(writer, " as ");
        tn_sql_name(writer, alias);
    }
}

/* first.column = second.column */
static void
add_pair(tn_sql_writer *writer, const char *const names[2], const char *const columns[2])
{
    tn_sql_names(writer, names[0], columns[0]);
    tn_sql_add(writer, " = ");
    tn_sql_names(writer, names[1], columns[1]);
}

static void
add_junction(tn_sql_writer *writer, const tn_plan_node *node)
{
    const tn_relationship *via = node->via;
    const char *const names[2] = {node->junction_alias, node->alias};
    bool has_where = true;

    tn_sql_add(writer, " join ");
    tn_sql_relation(writer, via->junction, node->junction_alias);
    tn_sql_add(writer, " on true");
    for (size_t i = 0; i < via->junction_to_count; i++) {
        tn_sql_and(writer, &has_where);
        add_pair(writer, names, (const char *const[2]){via->junction_to[i], via->to_key[i]});
    }
    if (via->is_tenant_bound) {
        tn_sql_and(writer, &has_where);
        add_pair(writer, names, (const char *const[2]){TENANT, TENANT});
    }
}

/* A computed relationship: its function of the parent's row. */
static void
add_computed(tn_sql_writer *writer, const tn_plan_node *node, const tn_plan_node *parent)
{
    const bool is_common = is_bounded(writer, parent) || is_root_of(writer, parent, TN_SQL_COMMON);

    tn_sql_names(writer, node->via->function->schema, node->via->function->name);
    tn_sql_add(writer, "(");
    tn_sql_name(writer, parent->alias);
    tn_sql_add(writer, is_common ? ".\"tenon.row\"" : ".*");
    tn_sql_add(writer, ") as ");
    tn_sql_name(writer, node->alias);
}

static void
add_from(tn_sql_writer *writer, const tn_sql_select *select)
{
    const tn_plan_node *node = select->node;

    tn_sql_add(writer, " from ");
    if (is_root_of(writer, node, TN_SQL_CALL)) {
        tn_sql_call_item(writer);
    } else if (is_root_of(writer, node, TN_SQL_COMMON)) {
        tn_sql_add(writer, "\"tenon.source\" as ");
        tn_sql_name(writer, node->alias);
    } else if (node->via != NULL && node->via->cardinality == TN_COMPUTED) {
        add_computed(writer, node, select->parent);
    } else {
        tn_sql_relation(writer, node->relation, node->alias);
        if (node->via != NULL && node->via->cardinality == TN_MANY_TO_MANY)
            add_junction(writer, node);
    }
}

/* The child's rows are those of this row of the parent. */
static void
add_relationship(tn_sql_writer *writer, const tn_sql_select *select, bool *has_where)
{
    const tn_relationship *via = select->node->via;
    const bool is_many = via->cardinality == TN_MANY_TO_MANY;
    const char *const names[2] = {is_many ? select->node->junction_alias : select->node->alias,
                                  select->parent->alias};
    const size_t count = is_many ? via->junction_from_count : via->column_count;

    if (via->cardinality == TN_COMPUTED)
        return;
    for (size_t i = 0; i < count; i++) {
        tn_sql_and(writer, has_where);
        add_pair(writer, names,
                 (const char *const[2]){is_many ? via->junction_from[i] : via->to_columns[i],
                                        is_many ? via->from_key[i] : via->from_columns[i]});
    }
    if (via->is_tenant_bound) {
        tn_sql_and(writer, has_where);
        add_pair(writer, names, (const char *const[2]){TENANT, TENANT});
    }
}

/* --- conditions ------------------------------------------------------------------------------- */

/* Everything that a row must fulfil. `with_joins`: inner embeds that are joined count as well. */
static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_where(tn_sql_writer *writer, const tn_sql_select *select, bool with_joins)
{
    const tn_plan_node *node = select->node;
    bool has_where = false;

    if (select->parent != NULL)
        add_relationship(writer, select, &has_where);
    if (!is_written(writer, node))
        tn_sql_conditions(writer, node, node->alias, &has_where);
    for (size_t i = 0; i < node->child_count; i++) {
        const tn_plan_node *child = node->children[i];

        if (!child->is_inner || (!with_joins && tn_sql_is_joined(node, child)))
            continue;
        tn_sql_and(writer, &has_where);
        tn_sql_exists(writer, node, child);
    }
}

/* An aggregate over no rows is a row, unless something is grouped by. */
static bool
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
has_groups(const tn_plan_node *node)
{
    for (size_t i = 0; i < node->column_count; i++)
        if (node->columns[i].aggregate == TN_AGGREGATE_NONE)
            return true;
    for (size_t i = 0; i < node->child_count; i++) {
        const tn_plan_node *child = node->children[i];

        if (child->is_spread ? has_groups(child) : !child->is_hidden)
            return true;
    }
    return false;
}

void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
tn_sql_exists(tn_sql_writer *writer, const tn_plan_node *parent, const tn_plan_node *child)
{
    const tn_sql_select select = {.node = child, .parent = parent};

    if (child->has_limit && child->limit == 0) {
        tn_sql_add(writer, "false");
        return;
    }
    if (child->is_aggregated && !child->is_spread && !has_groups(child)) {
        tn_sql_add(writer, "true");
        return;
    }
    tn_sql_add(writer, "exists (select");
    add_from(writer, &select);
    add_where(writer, &select, true);
    if (child->offset != 0) {
        tn_sql_add(writer, " offset ");
        tn_sql_number(writer, child->offset);
    }
    tn_sql_add(writer, ")");
}

void
tn_sql_matches(tn_sql_writer *writer, const char *what)
{
    const tn_sql_select select = {.node = writer->plan->root};

    tn_sql_add(writer, "select ");
    tn_sql_add(writer, what);
    add_from(writer, &select);
    add_where(writer, &select, true);
}

/* --- what is selected ------------------------------------------------------------------------- */

/* The members of a node as they are listed: which of them the rows are grouped by is known by their
 * numbers. */
struct list {
    size_t count;
    PQExpBuffer groups; /* " group by 1, 3"; NULL: nothing is aggregated */
    bool has_group;
};

static void
add_group_start(struct list *list)
{
    appendPQExpBufferStr(list->groups, list->has_group ? ", " : " group by ");
    list->has_group = true;
}

static void
add_member_start(tn_sql_writer *writer, struct list *list, bool is_grouped)
{
    tn_sql_add(writer, list->count++ == 0 ? " " : ", ");
    if (list->groups == NULL || !is_grouped)
        return;
    add_group_start(list);
    appendPQExpBuffer(list->groups, "%zu", list->count);
}

static void
add_member_name(tn_sql_writer *writer, const char *member)
{
    tn_sql_add(writer, " as ");
    tn_sql_name(writer, member);
}

static void
add_cast_start(tn_sql_writer *writer, const char *cast)
{
    tn_sql_add(writer, cast == NULL ? "" : "cast(");
}

static void
add_cast_end(tn_sql_writer *writer, const char *cast)
{
    if (cast == NULL)
        return;
    tn_sql_add(writer, " as ");
    tn_sql_cast_type(writer, cast);
    tn_sql_add(writer, ")");
}

/* What an aggregate is of, or the column itself; count() of no column is of every row. */
static void
add_plain(tn_sql_writer *writer, const char *alias, const tn_plan_column *column)
{
    if (column->field.name == NULL) {
        tn_sql_add(writer, "1");
        return;
    }
    add_cast_start(writer, column->cast);
    tn_sql_shown_field(writer, alias, &column->field);
    add_cast_end(writer, column->cast);
}

static const char *const aggregates[] = {
    [TN_AGGREGATE_NONE] = "(",       [TN_AGGREGATE_SUM] = "sum(", [TN_AGGREGATE_AVG] = "avg(",
    [TN_AGGREGATE_COUNT] = "count(", [TN_AGGREGATE_MAX] = "max(", [TN_AGGREGATE_MIN] = "min(",
};

static void
add_column(tn_sql_writer *writer, const char *alias, const tn_plan_column *column)
{
    const bool is_aggregate = column->aggregate != TN_AGGREGATE_NONE;

    if (is_aggregate) {
        add_cast_start(writer, column->aggregate_cast);
        tn_sql_add(writer, aggregates[column->aggregate]);
    }
    add_plain(writer, alias, column);
    if (is_aggregate) {
        tn_sql_add(writer, ")");
        add_cast_end(writer, column->aggregate_cast);
    }
}

/* A member of a spread embed, which has been joined under its alias. Its aggregates are done here,
 * where the rows are grouped. */
static void
add_spread_column(tn_sql_writer *writer, const char *alias, const tn_plan_column *column)
{
    const bool is_aggregate = column->aggregate != TN_AGGREGATE_NONE;

    if (is_aggregate) {
        add_cast_start(writer, column->aggregate_cast);
        tn_sql_add(writer, aggregates[column->aggregate]);
    }
    tn_sql_names(writer, alias, column->member);
    if (is_aggregate) {
        tn_sql_add(writer, ")");
        add_cast_end(writer, column->aggregate_cast);
    }
}

static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_embed(tn_sql_writer *writer, const tn_plan_node *node, const tn_plan_node *child)
{
    const tn_sql_select select = {.node = child, .parent = node};

    if (tn_sql_is_joined(node, child)) {
        tn_sql_add(writer, "row_to_json(");
        tn_sql_name(writer, child->joined_alias);
        tn_sql_add(writer, ".*)");
        return;
    }
    tn_sql_add(writer, child->is_to_one ? "(select row_to_json(\"tenon.rows\".*) from ("
                                        : "coalesce((select json_agg(\"tenon.rows\".*) from (");
    tn_sql_rows(writer, &select);
    tn_sql_add(writer, child->is_to_one ? ") as \"tenon.rows\")" : ") as \"tenon.rows\"), '[]')");
}

/* Rows can be grouped by jsonb, not by json, and in a line of CSV it has no line ends. */
static void
add_embed_cast(tn_sql_writer *writer, const struct list *list)
{
    if (list->groups != NULL || writer->plan->media.media == TN_MEDIA_CSV)
        tn_sql_add(writer, "::jsonb");
}

/* The members of a spread child, and of those spread within it, by the name of the join.
 * `is_plain`: for the select of a spread node, whose aggregates are its parent's business. */
static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_spread(tn_sql_writer *writer, const tn_plan_node *child, const char *alias, struct list *list)
{
    for (size_t i = 0; i < child->column_count; i++) {
        const tn_plan_column *column = &child->columns[i];

        add_member_start(writer, list, column->aggregate == TN_AGGREGATE_NONE);
        if (list->groups == NULL)
            tn_sql_names(writer, alias, column->member);
        else
            add_spread_column(writer, alias, column);
        add_member_name(writer, column->member);
    }
    for (size_t i = 0; i < child->child_count; i++) {
        const tn_plan_node *inner = child->children[i];

        if (inner->is_spread) {
            add_spread(writer, inner, alias, list);
        } else if (!inner->is_hidden) {
            add_member_start(writer, list, true);
            tn_sql_names(writer, alias, inner->member);
            add_embed_cast(writer, list);
            add_member_name(writer, inner->member);
        }
    }
}

static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_children(tn_sql_writer *writer, const tn_plan_node *node, struct list *list)
{
    for (size_t i = 0; i < node->child_count; i++) {
        const tn_plan_node *child = node->children[i];

        if (child->is_spread) {
            add_spread(writer, child, child->joined_alias, list);
        } else if (!child->is_hidden) {
            add_member_start(writer, list, true);
            add_embed(writer, node, child);
            add_embed_cast(writer, list);
            add_member_name(writer, child->member);
        }
    }
}

/* As in PostgREST rows are grouped by a column without the cast that its value is shown with, so
 * that `order` may name it; one with another name is what it is in the answer. */
static bool
is_grouped_bare(const struct list *list, const tn_plan_column *column)
{
    return list->groups != NULL && column->aggregate == TN_AGGREGATE_NONE &&
           column->field.step_count == 0 && strcmp(column->member, column->field.name) == 0;
}

static void
add_bare_group(tn_sql_writer *writer, const char *alias, const tn_plan_column *column,
               struct list *list)
{
    tn_sql_writer groups = *writer;

    add_group_start(list);
    groups.text = list->groups;
    tn_sql_names(&groups, alias, column->field.name);
}

/* The list itself. A hidden embed has all columns, for its parent's order. */
static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_list(tn_sql_writer *writer, const tn_plan_node *node, struct list *list)
{
    if (node->is_hidden || node->is_whole) {
        add_member_start(writer, list, false);
        tn_sql_name(writer, node->alias);
        tn_sql_add(writer, ".*");
    }
    for (size_t i = 0; i < node->column_count; i++) {
        const tn_plan_column *column = &node->columns[i];

        const bool is_bare = is_grouped_bare(list, column);

        add_member_start(writer, list, column->aggregate == TN_AGGREGATE_NONE && !is_bare);
        if (is_bare)
            add_bare_group(writer, node->alias, column, list);
        if (node->is_spread)
            add_plain(writer, node->alias, column);
        else
            add_column(writer, node->alias, column);
        add_member_name(writer, column->member);
    }
    add_children(writer, node, list);
}

/* Conditions on what is neither shown nor asked for choose nothing, and must make sense all the
 * same: no row is read. */
static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_joins(tn_sql_writer *writer, const tn_plan_node *node)
{
    for (size_t i = 0; i < node->child_count; i++) {
        const tn_plan_node *child = node->children[i];
        const tn_sql_select select = {.node = child, .parent = node};

        if (tn_sql_is_joined(node, child)) {
            tn_sql_add(writer, child->is_inner ? " join lateral (" : " left join lateral (");
            tn_sql_rows(writer, &select);
        } else if (child->is_hidden && !child->is_inner && child->condition_count > 0) {
            tn_sql_add(writer, " left join lateral (select");
            add_from(writer, &select);
            add_where(writer, &select, false);
            tn_sql_limit(writer, 0);
        } else {
            continue;
        }
        tn_sql_add(writer, ") as ");
        tn_sql_name(writer, child->joined_alias);
        tn_sql_add(writer, " on true");
    }
}

static void
add_window(tn_sql_writer *writer, const tn_sql_select *select)
{
    if (is_written(writer, select->node))
        return;
    if (select->node->has_limit) {
        tn_sql_limit(writer, select->node->limit);
    }
    if (select->node->offset != 0) {
        tn_sql_add(writer, " offset ");
        tn_sql_number(writer, select->node->offset);
    }
}

/* The relation's rows, no more than an aggregate may read, in place of the relation. */
static void
add_bounded(tn_sql_writer *writer, const tn_sql_select *select)
{
    const int64_t ceiling = writer->plan->aggregate_max_rows;
    const tn_plan_node *node = select->node;

    tn_sql_add(writer, " from (select ");
    tn_sql_source_columns(writer, node);
    tn_sql_add(writer, "row_number() over () as \"tenon.number\"");
    add_from(writer, select);
    add_where(writer, select, false);
    tn_sql_limit(writer, ceiling + 1);
    tn_sql_add(writer, ") as ");
    tn_sql_name(writer, node->alias);
}

/* Refuses the first row too many. */
static void
add_ceiling(tn_sql_writer *writer, const tn_plan_node *node)
{
    static const tn_sql_failure too_large = {
        400, "aggregate_too_large", "the aggregate reads more rows than it may", NULL, NULL};

    tn_sql_add(writer, " where case when ");
    tn_sql_names(writer, node->alias, "tenon.number");
    tn_sql_add(writer, " > ");
    tn_sql_number(writer, writer->plan->aggregate_max_rows);
    tn_sql_add(writer, " then ");
    tn_sql_fail(writer, &too_large);
    tn_sql_add(writer, " is null else true end");
}

static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_source(tn_sql_writer *writer, const tn_sql_select *select)
{
    if (is_bounded(writer, select->node)) {
        add_bounded(writer, select);
        add_joins(writer, select->node);
        add_ceiling(writer, select->node);
        return;
    }
    add_from(writer, select);
    add_joins(writer, select->node);
    add_where(writer, select, false);
}

/* The version stands beside the row, not in it. */
static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_versioned(tn_sql_writer *writer, const tn_sql_select *select)
{
    struct list list = {0};

    tn_sql_add(writer, "select \"tenon.row\", ");
    tn_sql_names(writer, select->node->alias, "xmin");
    tn_sql_add(writer, "::text as \"tenon.version\"");
    add_from(writer, select);
    add_joins(writer, select->node);
    tn_sql_add(writer, " cross join lateral (select");
    add_list(writer, select->node, &list);
    tn_sql_add(writer, ") as \"tenon.row\"");
    add_where(writer, select, false);
}

void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
tn_sql_rows(tn_sql_writer *writer, const tn_sql_select *select)
{
    const tn_plan_node *node = select->node;
    const bool is_grouped = node->is_aggregated && !node->is_spread;
    struct list list = {.groups = is_grouped ? tn_arena_buffer(writer->arena) : NULL};

    if (select->has_version) {
        add_versioned(writer, select);
    } else {
        tn_sql_add(writer, "select");
        add_list(writer, node, &list);
        add_source(writer, select);
        if (is_grouped)
            tn_sql_add(writer, tn_buffer_text(list.groups));
    }
    tn_sql_order(writer, node);
    add_window(writer, select);
}

/* --- names that are asked for ----------------------------------------------------------------- */

struct names {
    const char **names;
    size_t count, capacity;
};

static void
add_wanted(tn_sql_writer *writer, struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->names[i], name) == 0)
            return;
    if (names->count == names->capacity) {
        const size_t capacity = names->capacity == 0 ? 16 : 2 * names->capacity;
        const char **grown = tn_arena_alloc(writer->arena, capacity, sizeof *grown);

        if (names->count > 0)
            memcpy(grown, names->names, names->count * sizeof *grown);
        names->names = grown;
        names->capacity = capacity;
    }
    names->names[names->count++] = name;
}

/* What a child's relationship joins with. */
static void
add_wanted_keys(tn_sql_writer *writer, struct names *names, const tn_relationship *via)
{
    for (size_t i = 0; i < via->column_count; i++)
        add_wanted(writer, names, via->from_columns[i]);
    for (size_t i = 0; i < via->junction_from_count; i++)
        add_wanted(writer, names, via->from_key[i]);
    if (via->is_tenant_bound)
        add_wanted(writer, names, TENANT);
}

static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_wanted_logic(tn_sql_writer *writer, struct names *names, const tn_plan_logic *logic)
{
    if (logic->kind == TN_PLAN_FILTER)
        add_wanted(writer, names, logic->field.name);
    for (size_t i = 0; i < logic->term_count; i++)
        add_wanted_logic(writer, names, &logic->terms[i]);
}

/* `order=count` is how many rows are in a group, unless it is a column: there is none before they
 * are grouped. */
static bool
is_count_of_rows(const tn_plan_node *node, const tn_plan_field *field)
{
    return node->is_aggregated && field->attribute == NULL && strcmp(field->name, "count") == 0;
}

void
tn_sql_source_columns(tn_sql_writer *writer, const tn_plan_node *node)
{
    struct names names = {0};
    bool wants_row = false;

    for (size_t i = 0; i < node->column_count; i++)
        if (node->columns[i].field.name != NULL)
            add_wanted(writer, &names, node->columns[i].field.name);
    for (size_t i = 0; i < node->order_count; i++)
        if (node->order[i].embed == NULL && !is_count_of_rows(node, &node->order[i].field))
            add_wanted(writer, &names, node->order[i].field.name);
    for (size_t i = 0; i < node->child_count; i++) {
        add_wanted_keys(writer, &names, node->children[i]->via);
        wants_row = wants_row || node->children[i]->via->cardinality == TN_COMPUTED;
    }
    if (writer->plan->kind == TN_PLAN_CALL)
        for (size_t i = 0; i < node->condition_count; i++)
            add_wanted_logic(writer, &names, &node->conditions[i]);
    for (size_t i = 0; i < names.count; i++) {
        tn_sql_names(writer, node->alias, names.names[i]);
        add_member_name(writer, names.names[i]);
        tn_sql_add(writer, ", ");
    }
    if (wants_row) {
        tn_sql_name(writer, node->alias);
        tn_sql_add(writer, " as \"tenon.row\", ");
    }
    if (node->is_whole) {
        tn_sql_name(writer, node->alias);
        tn_sql_add(writer, ".*, ");
    }
}
