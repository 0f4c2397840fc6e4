/* data/plan_filter.c: conditions, order and limits, each at the node that its path names */
#include <assert.h>
#include <string.h>

#include "data/plan_private.h"

/* --- paths ------------------------------------------------------------------------------------ */

static const tn_error *
refuse_name(tn_arena *arena, const char *name)
{
    return tn_plan_refuse(
        arena,
        (tn_error){
            .status = 400,
            .code = "PGRST108",
            .message =
                tn_arena_printf(arena, "'%s' is not an embedded resource in this request", name),
            .hint = tn_arena_printf(
                arena, "Verify that '%s' is included in the 'select' query parameter.", name)});
}

/* The first child of that target or alias. */
static tn_plan_node *
find_child(const tn_plan_node *node, const char *name)
{
    for (size_t i = 0; i < node->child_count; i++)
        if (strcmp(node->children[i]->target, name) == 0 ||
            strcmp(node->children[i]->member, name) == 0)
            return node->children[i];
    return NULL;
}

/* Null tests and orders go by the name in the answer only. */
static tn_plan_node *
find_member(const tn_plan_node *node, const char *name)
{
    for (size_t i = 0; i < node->child_count; i++)
        if (strcmp(node->children[i]->member, name) == 0)
            return node->children[i];
    return NULL;
}

/* The node that a path leads to, which tn_plan_paths() has seen to be there. */
static tn_plan_node *
walk(tn_plan_node *root, const tn_embed_path *path)
{
    tn_plan_node *node = root;

    for (size_t i = 0; i < path->count; i++) {
        node = find_child(node, path->names[i]);
        assert(node != NULL);
    }
    return node;
}

/* The first embed of that target or alias. */
static const tn_select_item *
find_embed(const tn_select *select, const char *name)
{
    for (size_t i = 0; i < select->count; i++) {
        const tn_select_item *item = &select->items[i];

        if (item->kind != TN_SELECT_EMBED && item->kind != TN_SELECT_SPREAD)
            continue;
        if (strcmp(item->target, name) == 0 ||
            (item->alias != NULL && strcmp(item->alias, name) == 0))
            return item;
    }
    return NULL;
}

static const tn_error *
check_path(const tn_planner *planner, const tn_embed_path *path)
{
    const tn_select *select = &planner->request->query->select;

    for (size_t i = 0; i < path->count; i++) {
        const tn_select_item *item = find_embed(select, path->names[i]);

        if (item == NULL)
            return refuse_name(planner->arena, path->names[i]);
        select = &item->children;
    }
    return NULL;
}

static const tn_error *
check_conditions(const tn_planner *planner, bool of_trees)
{
    const tn_data_query *query = planner->request->query;

    for (size_t i = query->condition_count; i > 0; i--)
        if ((query->conditions[i - 1].logic.kind != TN_LOGIC_FILTER) == of_trees)
            TN_TRY(check_path(planner, &query->conditions[i - 1].path));
    return NULL;
}

static bool
is_read(const tn_planner *planner)
{
    return planner->plan->kind == TN_PLAN_READ || planner->plan->kind == TN_PLAN_CALL;
}

/* In PostgREST's order, the last of each kind first. Orders and limits have no effect on writes. */
const tn_error *
tn_plan_paths(const tn_planner *planner)
{
    const tn_data_query *query = planner->request->query;

    TN_TRY(check_conditions(planner, false));
    for (size_t i = query->ordering_count; i > 0 && is_read(planner); i--)
        TN_TRY(check_path(planner, &query->orderings[i - 1].path));
    for (size_t i = query->window_count; i > 0 && is_read(planner); i--)
        TN_TRY(check_path(planner, &query->windows[i - 1].path));
    return check_conditions(planner, true);
}

/* --- conditions ------------------------------------------------------------------------------- */

bool
tn_filter_is_plain_eq(const tn_filter *filter)
{
    return filter->op == TN_OP_EQ && !filter->is_negated && filter->field.step_count == 0 &&
           filter->quantifier == TN_QUANTIFIER_NONE;
}

/* The embed whose absence `beds=is.null` asks for, or NULL when it is a column. What an update or a
 * delete filters has no embeds yet. */
static const tn_plan_node *
tested_embed(const tn_planner *planner, const tn_plan_node *node, const tn_filter *filter)
{
    const bool is_target = node == planner->plan->root && planner->plan->kind != TN_PLAN_READ &&
                           planner->plan->kind != TN_PLAN_CALL;

    if (filter->op != TN_OP_IS || filter->field.step_count > 0 || is_target ||
        (filter->is != TN_IS_NULL && filter->is != TN_IS_NOT_NULL))
        return NULL;
    return find_member(node, filter->field.name);
}

static void
plan_filter(const tn_planner *planner, const tn_plan_node *node, const tn_filter *filter,
            tn_plan_logic *planned)
{
    const tn_plan_node *embed = tested_embed(planner, node, filter);

    *planned = (tn_plan_logic){
        .kind = TN_PLAN_FILTER, .is_negated = filter->is_negated, .filter = filter, .embed = embed};
    tn_plan_field_find(planner, node, &filter->field, &planned->field);
    if (embed != NULL) {
        planned->kind = TN_PLAN_EMBED_IS_NULL;
        planned->is_negated = filter->is_negated != (filter->is == TN_IS_NOT_NULL);
    }
}

static const tn_error *
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree, whose depth is bounded */
plan_logic(const tn_planner *planner, const tn_plan_node *node, const tn_logic *logic, size_t depth,
           tn_plan_logic *planned)
{
    tn_plan_logic *terms;

    if (logic->kind == TN_LOGIC_FILTER) {
        plan_filter(planner, node, &logic->filter, planned);
        return NULL;
    }
    if (depth > TN_PLAN_LOGIC_MAX)
        return tn_error_new(planner->arena, 400, "logic_too_deep", NULL,
                            "conditions stand more than %d deep within each other",
                            TN_PLAN_LOGIC_MAX);
    terms = tn_arena_alloc(planner->arena, logic->term_count, sizeof(*terms));
    for (size_t i = 0; i < logic->term_count; i++)
        TN_TRY(plan_logic(planner, node, &logic->terms[i], depth + 1, &terms[i]));
    *planned = (tn_plan_logic){.kind = logic->kind == TN_LOGIC_AND ? TN_PLAN_AND : TN_PLAN_OR,
                               .is_negated = logic->is_negated,
                               .terms = terms,
                               .term_count = logic->term_count};
    return NULL;
}

/* The place of the next condition of a node, whose array has room for all of them. */
static tn_plan_logic *
next_condition(const tn_planner *planner, tn_plan_node *node)
{
    tn_plan_place *place = (tn_plan_place *)node;

    if (place->conditions == NULL) {
        place->conditions =
            tn_arena_alloc(planner->arena, node->condition_count, sizeof(*place->conditions));
        node->conditions = place->conditions;
        node->condition_count = 0;
    }
    return &place->conditions[node->condition_count++];
}

static const tn_error *
hang_conditions(const tn_planner *planner, tn_plan_node *const *nodes, bool of_trees)
{
    const tn_data_query *query = planner->request->query;

    for (size_t i = 0; i < query->condition_count; i++) {
        const tn_logic *logic = &query->conditions[i].logic;

        if (nodes[i] != NULL && (logic->kind != TN_LOGIC_FILTER) == of_trees)
            TN_TRY(plan_logic(planner, nodes[i], logic, 0, next_condition(planner, nodes[i])));
    }
    return NULL;
}

/* Trees come first: of several faults PostgreSQL tells the first, as it does PostgREST. */
const tn_error *
tn_plan_conditions(tn_planner *planner, tn_plan_node *root)
{
    const tn_data_query *query = planner->request->query;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what it is of */
    tn_plan_node **nodes = tn_arena_alloc(planner->arena, query->condition_count, sizeof(*nodes));

    /* Twice: to find their nodes and how many each has, and to hang them up. */
    for (size_t i = 0; i < query->condition_count; i++) {
        nodes[i] = walk(root, &query->conditions[i].path);
        if (nodes[i] == root && planner->plan->kind == TN_PLAN_INSERT)
            nodes[i] = NULL; /* no rows to choose from */
        else
            nodes[i]->condition_count++;
    }
    TN_TRY(hang_conditions(planner, nodes, true));
    return hang_conditions(planner, nodes, false);
}

/* --- order ------------------------------------------------------------------------------------ */

static const tn_error *
refuse_related_order(const tn_planner *planner, const tn_plan_node *node, const char *name)
{
    tn_arena *arena = planner->arena;
    const char *origin = node->relation != NULL ? node->relation->name : node->alias;

    return tn_plan_refuse(
        arena,
        (tn_error){.status = 400,
                   .code = "PGRST118",
                   .message =
                       tn_arena_printf(arena, "A related order on '%s' is not possible", name),
                   .details = tn_arena_printf(
                       arena, "'%s' and '%s' do not form a many-to-one or one-to-one relationship",
                       origin, name)});
}

static const tn_error *
plan_related_order(const tn_planner *planner, const tn_plan_node *node, const tn_order_term *term,
                   tn_plan_order *planned)
{
    const tn_plan_node *embed = find_member(node, term->embed);
    tn_arena *arena = planner->arena;

    if (embed == NULL)
        return refuse_name(arena, term->embed);
    if (!embed->is_to_one)
        return refuse_related_order(planner, node, term->embed);
    planned->embed = embed;
    tn_plan_field_find(planner, embed, &term->field, &planned->field);
    TN_TRY(tn_plan_check_collector(planner, embed, &planned->field));
    if (!embed->is_hidden)
        planned->field.attribute = NULL; /* a member, whatever column it comes from */
    return NULL;
}

static const tn_error *
plan_ordering(const tn_planner *planner, tn_plan_node *node, const tn_ordering *ordering)
{
    tn_plan_order *terms = tn_arena_alloc(planner->arena, ordering->count, sizeof(*terms));

    for (size_t i = 0; i < ordering->count; i++) {
        const tn_order_term *term = &ordering->terms[i];

        terms[i] = (tn_plan_order){.direction = term->direction, .nulls = term->nulls};
        if (term->embed != NULL) {
            TN_TRY(plan_related_order(planner, node, term, &terms[i]));
        } else {
            tn_plan_field_find(planner, node, &term->field, &terms[i].field);
            TN_TRY(tn_plan_check_collector(planner, node, &terms[i].field));
        }
    }
    node->order = terms;
    node->order_count = ordering->count;
    return NULL;
}

/* What a write returns comes in the order in which it was written. */
const tn_error *
tn_plan_orders(tn_planner *planner, tn_plan_node *root)
{
    const tn_data_query *query = planner->request->query;

    for (size_t i = 0; i < query->ordering_count && is_read(planner); i++)
        TN_TRY(plan_ordering(planner, walk(root, &query->orderings[i].path), &query->orderings[i]));
    return NULL;
}

/* --- limits ----------------------------------------------------------------------------------- */

static const tn_error *
refuse_range(tn_arena *arena, const char *details)
{
    return tn_plan_refuse(arena, (tn_error){.status = 416,
                                            .code = "PGRST103",
                                            .message = "Requested range not satisfiable",
                                            .details = details});
}

static int64_t
add_saturating(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return a < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

static const tn_window *
find_root_window(const tn_data_query *query)
{
    for (size_t i = 0; i < query->window_count; i++)
        if (query->windows[i].path.count == 0)
            return &query->windows[i];
    return NULL;
}

/* A page that ends before the first row is one of no rows, as PostgREST has it: that of limit=0.
 * Any other page without rows is refused. */
const tn_error *
tn_plan_range(tn_planner *planner)
{
    const tn_plan_request *request = planner->request;
    const tn_window *window = find_root_window(request->query);
    const bool has_limit = window != NULL && window->has_limit;
    int64_t first = window != NULL && window->has_offset ? window->offset : 0;
    int64_t end = has_limit ? add_saturating(first, window->limit) : INT64_MAX;

    planner->has_limit = has_limit;
    if (has_limit && end == 0)
        return NULL;
    if (request->has_range && request->range_last < request->range_first)
        return refuse_range(planner->arena, "The lower boundary must be lower than or equal to the "
                                            "upper boundary in the Range header.");
    first = first < 0 ? 0 : first;
    if (request->has_range) {
        const int64_t range_end = add_saturating(request->range_last, 1);

        first = request->range_first > first ? request->range_first : first;
        end = range_end < end ? range_end : end;
    }
    planner->offset = first;
    planner->has_limit = end < INT64_MAX;
    planner->limit = planner->has_limit ? end - first : 0;
    if (planner->has_limit && end <= first)
        return refuse_range(planner->arena, "Limit should be greater than or equal to zero.");
    return NULL;
}

static void
cap(tn_plan_node *node, int64_t max_rows)
{
    if (max_rows > 0 && (!node->has_limit || node->limit > max_rows)) {
        node->has_limit = true;
        node->limit = max_rows;
    }
}

/* To-one embeds are capped too: computed relationships may have more rows than they say. */
static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree, whose depth is bounded */
cap_children(const tn_plan_node *node, int64_t max_rows)
{
    for (size_t i = 0; i < node->child_count; i++) {
        cap(node->children[i], max_rows);
        cap_children(node->children[i], max_rows);
    }
}

static void
take_windows(const tn_planner *planner, tn_plan_node *root)
{
    const tn_data_query *query = planner->request->query;

    for (size_t i = 0; i < query->window_count; i++) {
        const tn_window *window = &query->windows[i];
        tn_plan_node *node = walk(root, &window->path);

        node->has_limit = window->has_limit;
        node->limit = window->has_limit ? window->limit : 0;
        node->offset = window->has_offset ? window->offset : 0;
    }
    root->has_limit = planner->has_limit;
    root->limit = planner->limit;
    root->offset = planner->offset;
    planner->plan->is_limited_by_client =
        root->has_limit || root->offset > 0 || planner->request->has_range;
    cap(root, planner->plan->max_rows);
}

/* A write returns all that it has written. */
void
tn_plan_windows(const tn_planner *planner, tn_plan_node *root)
{
    if (is_read(planner))
        take_windows(planner, root);
    cap_children(root, planner->plan->max_rows);
}
