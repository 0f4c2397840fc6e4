/* data/plan_select.c: the tree of nodes: what is selected of each relation, and what hangs at it */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "data/plan_private.h"

/* Where the tree grows. */
struct branch {
    tn_planner *planner;
    tn_plan_node *node;
    tn_plan_node *owner; /* the node, or the one that a spread node's columns go to */
    size_t depth;        /* of the children */
    tn_plan_column *columns;
    tn_plan_node **children;
};

static const tn_error *grow(tn_planner *planner, tn_plan_node *node, tn_plan_node *owner,
                            const tn_select *select, size_t depth);

static const tn_error *
refuse_many(tn_planner *planner, const char *what, int most)
{
    return tn_error_new(planner->arena, 400, "too_many_items", NULL,
                        "the request selects more than %d %s", most, what);
}

/* --- columns ---------------------------------------------------------------------------------- */

/* The columns that `*` may mean: of the relation, or of the rows that a function makes. */
static const tn_attribute *
known_columns(const struct branch *branch, size_t *count)
{
    const tn_function *function = branch->planner->plan->function;

    if (branch->node->relation != NULL) {
        *count = branch->node->relation->attribute_count;
        return branch->node->relation->attributes;
    }
    *count = function == NULL ? 0 : function->column_count;
    return *count == 0 ? NULL : function->columns;
}

static void
add_star(struct branch *branch)
{
    size_t count;
    const tn_attribute *attributes = known_columns(branch, &count);

    assert(count == 0 || branch->columns != NULL);
    branch->node->is_whole = branch->node->is_whole || count == 0;
    for (size_t i = 0; i < count; i++)
        if (!attributes[i].is_hidden)
            branch->columns[branch->node->column_count++] =
                (tn_plan_column){.field = {.name = attributes[i].name, .attribute = &attributes[i]},
                                 .member = attributes[i].name};
}

/* meta->owner->>name is "name", meta->gates->0 is "gates", tags->1 is "tags". */
static const char *
name_member(const tn_select_item *item)
{
    static const char *const names[] = {
        [TN_AGGREGATE_NONE] = NULL,     [TN_AGGREGATE_SUM] = "sum", [TN_AGGREGATE_AVG] = "avg",
        [TN_AGGREGATE_COUNT] = "count", [TN_AGGREGATE_MAX] = "max", [TN_AGGREGATE_MIN] = "min",
    };

    if (item->alias != NULL)
        return item->alias;
    if (item->aggregate != TN_AGGREGATE_NONE)
        return names[item->aggregate];
    for (size_t i = item->field.step_count; i > 0; i--)
        if (!item->field.steps[i - 1].is_index)
            return item->field.steps[i - 1].key;
    return item->field.name;
}

/* PostgreSQL takes the name of a function that a whole row can be given to for a column, which is
 * what makes computed fields. Of its own aggregates these would put any number of rows into one, so
 * that neither data.max_rows nor data.aggregates would hold. `count` stays: Supabase documents it.
 */
const tn_error *
tn_plan_check_collector(const tn_planner *planner, const tn_plan_node *node,
                        const tn_plan_field *field)
{
    static const char *const names[] = {"array_agg", "json_agg", "json_agg_strict", "jsonb_agg",
                                        "jsonb_agg_strict"};
    tn_arena *arena = planner->arena;

    if (field->name == NULL || field->attribute != NULL)
        return NULL;
    for (size_t i = 0; i < TN_COUNT(names); i++)
        if (strcmp(names[i], field->name) == 0)
            return tn_plan_refuse(
                arena, (tn_error){.status = 400,
                                  .code = "42703",
                                  .message = tn_arena_printf(arena, "column %s.%s does not exist",
                                                             node->alias, field->name)});
    return NULL;
}

/* As in PostgREST a cast may name any type. These give the name of whatever has a number, in
 * schemas that are not exposed too. */
static const tn_error *
check_cast(const struct branch *branch, const char *cast)
{
    static const char *const types[] = {
        "regclass",    "regcollation", "regconfig",    "regdictionary", "regnamespace", "regoper",
        "regoperator", "regproc",      "regprocedure", "regrole",       "regtype"};
    const char *word = cast == NULL || branch->planner->request->names_objects ? "" : cast;

    for (size_t length; *(word += strspn(word, " ")) != '\0'; word += length) {
        length = strcspn(word, " ");
        for (size_t i = 0; i < TN_COUNT(types); i++)
            if (strlen(types[i]) == length && strncasecmp(word, types[i], length) == 0)
                return tn_plan_refuse(
                    branch->planner->arena,
                    (tn_error){.status = 403,
                               .code = "42501",
                               .message =
                                   tn_arena_printf(branch->planner->arena,
                                                   "permission denied for type %s", types[i]),
                               .details = "It names tables, roles and functions of any schema."});
    }
    return NULL;
}

static const tn_error *
add_field(struct branch *branch, const tn_select_item *item)
{
    tn_planner *planner = branch->planner;
    tn_plan_column *column = &branch->columns[branch->node->column_count++];

    if (item->aggregate != TN_AGGREGATE_NONE) {
        if (!planner->request->allows_aggregates)
            return tn_plan_refuse(
                planner->arena, (tn_error){.status = 400,
                                           .code = "PGRST123",
                                           .message = "Use of aggregate functions is not allowed"});
        branch->owner->is_aggregated = true;
    }
    assert(item->field.name != NULL || item->aggregate == TN_AGGREGATE_COUNT);
    assert(branch->columns != NULL);
    TN_TRY(check_cast(branch, item->cast));
    TN_TRY(check_cast(branch, item->aggregate_cast));
    *column = (tn_plan_column){.cast = item->cast,
                               .aggregate = item->aggregate,
                               .aggregate_cast = item->aggregate_cast,
                               .member = name_member(item)};
    tn_plan_field_find(planner, branch->node, &item->field, &column->field);
    return tn_plan_check_collector(planner, branch->node, &column->field);
}

/* --- embeds ----------------------------------------------------------------------------------- */

/* What a function without a relation's rows is called where relationships are looked for. */
static const char *
origin_name(const struct branch *branch)
{
    const tn_function *function = branch->planner->plan->function;

    if (branch->node->relation != NULL)
        return branch->node->relation->name;
    assert(function != NULL);
    return function->returns == TN_RETURNS_COMPOSITE ? function->return_name : function->name;
}

static const tn_error *
refuse_origin(const struct branch *branch, const tn_select_item *item)
{
    const tn_unrelated unrelated = {.schema = branch->planner->request->schema,
                                    .from = origin_name(branch),
                                    .target = item->target,
                                    .hint = item->hint};

    return tn_plan_refuse_unrelated(branch->planner->arena, branch->planner->snapshot, &unrelated);
}

static const tn_error *
refuse_spread(const struct branch *branch, const tn_select_item *item)
{
    tn_arena *arena = branch->planner->arena;

    return tn_plan_refuse(
        arena,
        (tn_error){.status = 400,
                   .code = "PGRST119",
                   .message = tn_arena_printf(arena, "A spread operation on '%s' is not possible",
                                              item->target),
                   .details = tn_arena_printf(
                       arena, "'%s' and '%s' do not form a many-to-one or one-to-one relationship",
                       origin_name(branch), item->target)});
}

/* Two embeds of one name want an alias. PostgREST finds that out in PostgreSQL, whose errors these
 * are. */
static const tn_error *
check_member(const struct branch *branch, const tn_plan_node *child)
{
    tn_arena *arena = branch->planner->arena;

    for (size_t i = 0; i < branch->node->child_count; i++) {
        const tn_plan_node *other = branch->children[i];

        if (strcmp(other->member, child->member) != 0)
            continue;
        if (!child->is_to_one && !other->is_to_one)
            return tn_plan_refuse(
                arena, (tn_error){.status = 400,
                                  .code = "42803",
                                  .message = "aggregate functions are not allowed in FROM clause "
                                             "of their own query level"});
        return tn_plan_refuse(arena,
                              (tn_error){.status = 400,
                                         .code = "42712",
                                         .message = tn_arena_printf(
                                             arena, "table name \"%s\" specified more than once",
                                             tn_plan_joined_name(arena, branch->node, child))});
    }
    return NULL;
}

static const tn_error *
/* NOLINTNEXTLINE(misc-no-recursion): ends with TN_PLAN_NODES_MAX */
add_child(struct branch *branch, const tn_select_item *item)
{
    const tn_relationship *via;
    tn_plan_node *child;

    if (branch->node->relation == NULL)
        return refuse_origin(branch, item);
    TN_TRY(tn_plan_relate(branch->planner->arena, branch->planner->snapshot, branch->node->relation,
                          item, &via));
    if (item->kind == TN_SELECT_SPREAD && !via->is_to_one && branch->planner->spread_error == NULL)
        branch->planner->spread_error = refuse_spread(branch, item);
    child = tn_plan_node_new(branch->planner, via->to->name, branch->depth);
    if (child == NULL)
        return refuse_many(branch->planner, "embedded resources", TN_PLAN_NODES_MAX);
    child->relation = via->to;
    child->via = via;
    child->target = item->target;
    child->member = item->alias != NULL ? item->alias : item->target;
    child->is_inner = item->join == TN_JOIN_INNER;
    child->is_to_one = via->is_to_one;
    child->is_spread = item->kind == TN_SELECT_SPREAD;
    child->is_hidden = item->children.count == 0;
    if (via->junction != NULL)
        child->junction_alias = tn_plan_alias(branch->planner, via->junction->name, branch->depth);
    TN_TRY(check_member(branch, child));
    child->joined_alias =
        tn_plan_alias(branch->planner,
                      tn_arena_printf(branch->planner->arena, "%s_%s", branch->node->relation->name,
                                      child->member),
                      branch->depth);
    assert(branch->children != NULL);
    branch->children[branch->node->child_count++] = child;
    return grow(branch->planner, child, child->is_spread ? branch->owner : child, &item->children,
                branch->depth + 1);
}

/* --- the whole -------------------------------------------------------------------------------- */

static const tn_error *
make_room(struct branch *branch, const tn_select *select)
{
    size_t columns = 0, children = 0, stars;

    (void)known_columns(branch, &stars);
    for (size_t i = 0; i < select->count; i++) {
        const tn_select_kind kind = select->items[i].kind;

        if (kind == TN_SELECT_EMBED || kind == TN_SELECT_SPREAD)
            children++;
        else
            columns += kind == TN_SELECT_STAR ? stars : 1;
        if (columns > TN_PLAN_COLUMNS_MAX)
            return refuse_many(branch->planner, "columns", TN_PLAN_COLUMNS_MAX);
        if (children > TN_PLAN_NODES_MAX)
            return refuse_many(branch->planner, "embedded resources", TN_PLAN_NODES_MAX);
    }
    branch->columns = tn_arena_alloc(branch->planner->arena, columns, sizeof(*branch->columns));
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what it is of */
    branch->children = tn_arena_alloc(branch->planner->arena, children, sizeof(*branch->children));
    return NULL;
}

/* Recursion ends with the nodes: there are TN_PLAN_NODES_MAX at most. */
static const tn_error *
/* NOLINTNEXTLINE(misc-no-recursion): ends with TN_PLAN_NODES_MAX */
grow(tn_planner *planner, tn_plan_node *node, tn_plan_node *owner, const tn_select *select,
     size_t depth)
{
    struct branch branch = {.planner = planner, .node = node, .owner = owner, .depth = depth};

    TN_TRY(make_room(&branch, select));
    node->columns = branch.columns;
    node->children = branch.children;
    for (size_t i = 0; i < select->count; i++) {
        const tn_select_item *item = &select->items[i];

        if (item->kind == TN_SELECT_STAR)
            add_star(&branch);
        else if (item->kind == TN_SELECT_FIELD)
            TN_TRY(add_field(&branch, item));
        else
            TN_TRY(add_child(&branch, item));
    }
    return NULL;
}

const tn_error *
tn_plan_select(tn_planner *planner, tn_plan_node *root)
{
    static const tn_select_item star = {.kind = TN_SELECT_STAR};
    static const tn_select everything = {.items = &star, .count = 1};
    const tn_select *select = &planner->request->query->select;

    return grow(planner, root, root, select->count == 0 ? &everything : select, 1);
}
