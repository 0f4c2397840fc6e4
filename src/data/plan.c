/* data/plan.c: from a request to its plan, a step per part of the request */
#include "data/plan.h"

#include <assert.h>
#include <string.h>

#include "data/plan_private.h"

#define ALIAS_MAX 63 /* bytes of an identifier: NAMEDATALEN - 1 */

const tn_error *
tn_plan_refuse(tn_arena *arena, tn_error problem)
{
    tn_error *error = tn_arena_alloc(arena, 1, sizeof(*error));

    assert(problem.status >= 300 && problem.code != NULL && problem.message != NULL);
    *error = problem;
    return error;
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* The first bytes of a name, at most so many, and no half character. */
static int
clipped_length(const char *name, size_t room)
{
    size_t length = strlen(name);

    if (length > room)
        for (length = room; length > 0 && ((unsigned char)name[length] & 0xC0) == 0x80;)
            length--;
    return (int)length;
}

static bool
is_taken(const tn_planner *planner, const char *alias)
{
    for (size_t i = 0; i < planner->alias_count; i++)
        if (strcmp(planner->aliases[i], alias) == 0)
            return true;
    return false;
}

/* gardens, beds_1, beds_1_2: PostgREST's names as long as they are free, because errors of
 * PostgreSQL show them. They only depend on the request, so that equal requests are one prepared
 * statement. */
const char *
tn_plan_alias(tn_planner *planner, const char *name, size_t depth)
{
    const char *alias = name;

    assert(planner->alias_count < TN_COUNT(planner->aliases));
    if (depth > 0)
        alias = tn_arena_printf(planner->arena, "%.*s_%zu", clipped_length(name, ALIAS_MAX - 12),
                                name, depth);
    for (size_t i = 2; is_taken(planner, alias); i++)
        alias = tn_arena_printf(planner->arena, "%.*s_%zu_%zu",
                                clipped_length(name, ALIAS_MAX - 12), name, depth, i);
    planner->aliases[planner->alias_count++] = alias;
    return alias;
}

tn_plan_node *
tn_plan_node_new(tn_planner *planner, const char *name, size_t depth)
{
    tn_plan_place *place;

    if (planner->node_count == TN_PLAN_NODES_MAX)
        return NULL;
    planner->node_count++;
    place = tn_arena_alloc(planner->arena, 1, sizeof(*place));
    place->node.alias = tn_plan_alias(planner, name, depth);
    place->depth = depth;
    return &place->node;
}

const char *
tn_plan_joined_name(tn_arena *arena, const tn_plan_node *parent, const tn_plan_node *child)
{
    return tn_arena_printf(arena, "%s_%s_%zu",
                           parent->relation != NULL ? parent->relation->name : parent->alias,
                           child->member, ((const tn_plan_place *)child)->depth);
}

static const tn_attribute *
find_result_column(const tn_function *function, const char *name)
{
    for (size_t i = 0; function != NULL && i < function->column_count; i++)
        if (strcmp(function->columns[i].name, name) == 0)
            return &function->columns[i];
    return NULL;
}

void
tn_plan_field_find(const tn_planner *planner, const tn_plan_node *node, const tn_data_field *field,
                   tn_plan_field *found)
{
    *found = (tn_plan_field){
        .name = field->name, .steps = field->steps, .step_count = field->step_count};
    if (field->name == NULL)
        return;
    if (node->relation != NULL)
        found->attribute = tn_relation_attribute(node->relation, field->name);
    else if (node->via == NULL)
        found->attribute = find_result_column(planner->plan->function, field->name);
}

/* --- relations -------------------------------------------------------------------------------- */

const tn_error *
tn_plan_relation(tn_arena *arena, const tn_snapshot *snapshot, const char *schema, const char *name,
                 const tn_relation **relation)
{
    const tn_relation *found = tn_snapshot_relation(snapshot, schema, name);
    const char *details = NULL, *hint = NULL;

    if (found != NULL && found->closed_because == NULL) {
        *relation = found;
        return NULL;
    }
    if (found != NULL) {
        details = found->closed_because;
        hint = found->closed_hint;
    } else {
        const char *similar = tn_snapshot_similar_relation(snapshot, schema, name);

        if (similar != NULL)
            hint = tn_arena_printf(arena, "Perhaps you meant the table '%s.%s'", schema, similar);
    }
    return tn_plan_refuse(
        arena,
        (tn_error){.status = 404,
                   .code = "PGRST205",
                   .message = tn_arena_printf(
                       arena, "Could not find the table '%s.%s' in the schema cache", schema, name),
                   .details = details,
                   .hint = hint});
}

/* --- the answer ------------------------------------------------------------------------------- */

static tn_plan_kind
kind_of(const tn_plan_request *request)
{
    static const struct {
        const char *method;
        tn_plan_kind kind;
    } kinds[] = {
        {"GET", TN_PLAN_READ},     {"HEAD", TN_PLAN_READ}, {"POST", TN_PLAN_INSERT},
        {"PATCH", TN_PLAN_UPDATE}, {"PUT", TN_PLAN_PUT},   {"DELETE", TN_PLAN_DELETE},
    };
    size_t at = 0;

    if (request->is_call)
        return TN_PLAN_CALL;
    while (strcmp(request->method, kinds[at].method) != 0) {
        at++;
        assert(at < TN_COUNT(kinds)); /* no route has another */
    }
    return kinds[at].kind;
}

static bool
is_singular(tn_media media)
{
    return media == TN_MEDIA_OBJECT || media == TN_MEDIA_OBJECT_STRIPPED;
}

static bool
tests_column(const tn_plan_node *node, const char *column)
{
    for (size_t i = 0; i < node->condition_count; i++) {
        const tn_plan_logic *condition = &node->conditions[i];

        if (condition->kind == TN_PLAN_FILTER && tn_filter_is_plain_eq(condition->filter) &&
            strcmp(condition->field.name, column) == 0)
            return true;
    }
    return false;
}

static bool
tests_whole_key(const tn_plan_node *node)
{
    for (size_t i = 0; i < node->relation->key_count; i++)
        if (!tests_column(node, node->relation->key[i]))
            return false;
    return node->relation->key_count > 0;
}

/* Whether all that is shown stands in the row itself: what is embedded or computed changes without
 * it. */
static bool
shows_only_row(const tn_plan_node *root)
{
    for (size_t i = 0; i < root->child_count; i++)
        if (!root->children[i]->is_hidden)
            return false;
    for (size_t i = 0; i < root->column_count; i++)
        if (root->columns[i].field.attribute == NULL)
            return false;
    return !root->is_whole;
}

/* A row's version is its xmin: that of one row of a table, which reading needs SELECT on all of it.
 */
static bool
can_tell_version(const tn_planner *planner, const tn_plan_node *root)
{
    const tn_privileges *privileges;

    if (planner->plan->kind != TN_PLAN_READ || !root->relation->has_xmin || root->is_aggregated ||
        !shows_only_row(root))
        return false;
    privileges = tn_relation_privileges(root->relation, planner->request->role);
    return privileges != NULL && privileges->select &&
           (planner->plan->is_single || tests_whole_key(root));
}

static bool
is_write(tn_plan_kind kind)
{
    return kind != TN_PLAN_READ && kind != TN_PLAN_CALL;
}

/* An estimate comes from statistics of the whole table: it would tell a tenant how often a value
 * occurs among the rows of others. Behind walls rows are counted instead. */
static tn_prefer_count
choose_count(const tn_planner *planner)
{
    const tn_prefer_count count = planner->request->prefer->count;
    const bool is_estimate = count == TN_COUNT_PLANNED || count == TN_COUNT_ESTIMATED;

    if (is_estimate && planner->plan->kind == TN_PLAN_READ && !planner->request->tells_estimates)
        return TN_COUNT_EXACT;
    return count;
}

static void
describe_answer(tn_planner *planner)
{
    const tn_plan_request *request = planner->request;
    tn_data_plan *plan = planner->plan;
    const bool is_head = strcmp(request->method, "HEAD") == 0;

    plan->media = request->media;
    plan->max_rows = request->max_rows;
    plan->answer_max = request->answer_max;
    plan->aggregate_max_rows = request->aggregate_max_rows;
    plan->count = choose_count(planner);
    plan->is_single = is_singular(request->media.media);
    plan->has_body = !is_head;
    if (is_write(plan->kind)) {
        plan->returning = request->prefer->returning;
        plan->has_body = plan->returning == TN_RETURN_REPRESENTATION;
        if (plan->count != TN_COUNT_EXACT)
            plan->count = TN_COUNT_NONE;
    } else if (plan->kind == TN_PLAN_CALL) {
        plan->is_single = plan->is_single && plan->function->returns_set;
        plan->has_body = !is_head && plan->function->returns != TN_RETURNS_VOID;
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static const tn_error *
plant_root(tn_planner *planner)
{
    const tn_plan_request *request = planner->request;
    const tn_relation *relation;

    if (planner->plan->kind == TN_PLAN_CALL)
        return tn_plan_call(planner);
    TN_TRY(tn_plan_relation(planner->arena, planner->snapshot, request->schema, request->name,
                            &relation));
    planner->plan->root = tn_plan_node_new(planner, relation->name, 0);
    planner->plan->root->relation = relation;
    return NULL;
}

static bool
is_known(const tn_plan_column *column)
{
    return column->field.name == NULL || column->field.attribute != NULL;
}

/* PostgREST calls the rows of a function "pgrst_call" where it selects from them, and by the name
 * of what they are where it filters and orders them, which only errors show. */
static void
name_call(const tn_planner *planner)
{
    tn_plan_node *root = planner->plan->root;

    if (planner->plan->kind != TN_PLAN_CALL ||
        planner->plan->function->returns != TN_RETURNS_COMPOSITE)
        return;
    for (size_t i = 0; i < root->column_count; i++)
        if (!is_known(&root->columns[i]))
            root->alias = "pgrst_call";
}

const tn_error *
/* NOLINTNEXTLINE(readability-function-cognitive-complexity): a flat list of steps */
tn_data_plan_make(tn_arena *arena, const tn_snapshot *snapshot, const tn_plan_request *request,
                  tn_data_plan *plan)
{
    tn_planner planner = {.arena = arena, .snapshot = snapshot, .request = request, .plan = plan};

    *plan =
        (tn_data_plan){.kind = kind_of(request), .snapshot = snapshot, .schema = request->schema};
    TN_TRY(tn_plan_range(&planner));
    TN_TRY(plant_root(&planner));
    assert(plan->root != NULL);
    describe_answer(&planner);
    TN_TRY(tn_plan_paths(&planner));
    TN_TRY(tn_plan_select(&planner, plan->root));
    tn_plan_windows(&planner, plan->root);
    TN_TRY(tn_plan_conditions(&planner, plan->root));
    TN_TRY(tn_plan_orders(&planner, plan->root));
    if (planner.spread_error != NULL)
        return planner.spread_error;
    name_call(&planner);
    if (is_write(plan->kind))
        TN_TRY(tn_plan_write(&planner));
    else if (plan->kind == TN_PLAN_READ)
        plan->has_etag = can_tell_version(&planner, plan->root);
    return NULL;
}
