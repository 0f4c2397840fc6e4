/* data/scope.c: which functions an agent calls, and what it reaches where there are no walls
 *
 * What an agent reads and writes in a protected table is row security's to say. A function may do
 * anything, so its name must be among the scopes however it is called: by /rpc, as a computed field
 * in select, filters and order, or as a computed relationship. So must the name of a view, which
 * may read with the rights of its owner, and of whatever else has no policy that asks for scopes:
 * agents have the grants of people.
 */
#include <string.h>

#include "data/request.h"

static const tn_error *
require(const tn_data_request *r, const char *name, const char *action, const char *details)
{
    const char *scope = tn_arena_printf(r->c->arena, "data:%s:%s", name, action);

    if (tn_principal_has_scope(r->c->who, scope))
        return NULL;
    return tn_error_new(r->c->arena, 403, "scope_missing",
                        "Give the agent's key the scope, or use another key.",
                        "the key lacks the scope %s%s", scope, details);
}

static const tn_error *
check(const tn_data_request *r, const char *function, const char *details)
{
    return require(r, function, "call", details);
}

const tn_error *
tn_data_check_scope(const tn_data_request *r)
{
    return check(r, r->name, "");
}

/* PostgreSQL takes a name that is no column for a function of the row. Whose columns only
 * PostgreSQL knows, their names cannot be told apart; system columns and count are no app's. */
static bool
is_function(const tn_data_plan *plan, const tn_plan_node *node, const char *name)
{
    static const char *const others[] = {"ctid", "xmin",     "xmax",  "cmin",
                                         "cmax", "tableoid", "count", "pgrst_scalar"};

    if (node->relation == NULL && (plan->function == NULL || plan->function->column_count == 0))
        return false;
    for (size_t i = 0; i < TN_COUNT(others); i++)
        if (strcmp(name, others[i]) == 0)
            return false;
    return true;
}

static const tn_error *
check_field(const tn_data_request *r, const tn_data_plan *plan, const tn_plan_node *node,
            const tn_plan_field *field)
{
    if (field->name == NULL || field->attribute != NULL || !is_function(plan, node, field->name))
        return NULL;
    return check(r, field->name, ": it is no column, and could only be a function");
}

static const tn_error *
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
check_logic(const tn_data_request *r, const tn_data_plan *plan, const tn_plan_node *node,
            const tn_plan_logic *logic)
{
    if (logic->kind == TN_PLAN_FILTER)
        return check_field(r, plan, node, &logic->field);
    for (size_t i = 0; i < logic->term_count; i++) /* as deep as data.max_logic_depth */
        TN_TRY(check_logic(r, plan, node, &logic->terms[i]));
    return NULL;
}

/* The rows of a node, where row security does not ask for scopes itself. What a call gives are the
 * function's rows. Who says which rows to change learns from their number what is in them: that is
 * reading, as it is to row security. */
static const tn_error *
check_relation(const tn_data_request *r, const tn_data_plan *plan, const tn_plan_node *node)
{
    const tn_relation *relation = node->relation;
    const bool is_root = node == plan->root;

    if (relation == NULL || (is_root && plan->function != NULL) ||
        (relation->is_protected && relation->has_row_security))
        return NULL;
    if (is_root && plan->kind != TN_PLAN_READ)
        TN_TRY(require(r, relation->name, "write", ""));
    if (!is_root || plan->kind == TN_PLAN_READ || plan->has_body || node->condition_count > 0)
        TN_TRY(require(r, relation->name, "read", ""));
    return NULL;
}

static const tn_error *
/* NOLINTNEXTLINE(misc-no-recursion,readability-function-cognitive-complexity): flat, bounded */
check_node(const tn_data_request *r, const tn_data_plan *plan, const tn_plan_node *node)
{
    TN_TRY(check_relation(r, plan, node));
    if (node->via != NULL && node->via->function != NULL)
        TN_TRY(check(r, node->via->function->name, ""));
    for (size_t i = 0; i < node->column_count; i++)
        TN_TRY(check_field(r, plan, node, &node->columns[i].field));
    for (size_t i = 0; i < node->condition_count; i++)
        TN_TRY(check_logic(r, plan, node, &node->conditions[i]));
    for (size_t i = 0; i < node->order_count; i++) {
        const tn_plan_order *order = &node->order[i];

        if (order->embed == NULL || order->embed->is_hidden) /* else a member of its object */
            TN_TRY(check_field(r, plan, order->embed != NULL ? order->embed : node, &order->field));
    }
    for (size_t i = 0; i < node->child_count; i++) /* as deep as data.max_embed_depth */
        TN_TRY(check_node(r, plan, node->children[i]));
    return NULL;
}

const tn_error *
tn_data_check_functions(const tn_data_request *r, const tn_data_plan *plan)
{
    return r->c->who->role == TN_ROLE_AGENT ? check_node(r, plan, plan->root) : NULL;
}
