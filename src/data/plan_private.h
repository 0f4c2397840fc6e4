/* data/plan_private.h: what the files of the second stage share
 *
 * plan.c begins with the root, plan_select.c grows the tree of nodes from it (relate.c finds how
 * they hang together), plan_filter.c hangs filters, order and limits on them, plan_write.c and
 * call.c decide what is written or called.
 *
 * Threads: any; a planner lives for one call of tn_data_plan_make().
 */
#ifndef TN_DATA_PLAN_PRIVATE_H
#define TN_DATA_PLAN_PRIVATE_H

#include "data/plan.h"

/* Bounds that hold whatever the parser has let through: PostgreSQL's own for columns, and as many
 * joins as a statement can sensibly have. */
#define TN_QUOTED_MAX 200 /* bytes of a name in a message: names of a body have any size */
#define TN_PLAN_COLUMNS_MAX 1600
#define TN_PLAN_NODES_MAX 256
#define TN_PLAN_LOGIC_MAX 1000 /* and/or within each other */

typedef struct tn_planner {
    tn_arena *arena;
    const tn_snapshot *snapshot;
    const tn_plan_request *request;
    tn_data_plan *plan;
    const char *aliases[3 * TN_PLAN_NODES_MAX]; /* that are taken: of nodes, joins and junctions */
    size_t alias_count;
    size_t node_count;
    const tn_error *spread_error; /* of the first spread that is not to one; told at the end */
    bool has_limit;               /* of the root: see tn_plan_range() */
    int64_t limit, offset;
} tn_planner;

/* A node and what is only needed while it grows. */
typedef struct tn_plan_place {
    tn_plan_node node; /* first: a node is the place it stands at */
    size_t depth;      /* 0: the root */
    tn_plan_logic *conditions;
} tn_plan_place;

/* An error with these members, in the arena. Texts are not copied. */
const tn_error *tn_plan_refuse(tn_arena *arena, tn_error problem) TN_NEVER_NULL TN_MUST_CHECK;

/* A node that hangs nowhere yet; its alias is `name`, with `depth` behind it where that is not 0,
 * made short enough and unique. NULL when there are too many already. */
tn_plan_node *tn_plan_node_new(tn_planner *planner, const char *name, size_t depth) TN_MUST_CHECK;
const char *tn_plan_alias(tn_planner *planner, const char *name, size_t depth) TN_NEVER_NULL;

/* beds_gardens_1: what PostgREST calls the rows of an embed, which errors show. */
const char *tn_plan_joined_name(tn_arena *arena, const tn_plan_node *parent,
                                const tn_plan_node *child) TN_NEVER_NULL;

/* The column, its attribute looked up among those of the node. */
void tn_plan_field_find(const tn_planner *planner, const tn_plan_node *node,
                        const tn_data_field *field, tn_plan_field *found);

/* plan_select.c: 400 for what would be a column by that name and collects any number of rows. */
const tn_error *tn_plan_check_collector(const tn_planner *planner, const tn_plan_node *node,
                                        const tn_plan_field *field) TN_MUST_CHECK;

/* plan_select.c: columns and children of a node, and of these in turn. */
const tn_error *tn_plan_select(tn_planner *planner, tn_plan_node *root) TN_MUST_CHECK;

/* relate.c: 400 PGRST200: nothing of that name hangs at `from`. */
typedef struct tn_unrelated {
    const char *schema, *from;
    const tn_relation *relation; /* `from`, or NULL: rows of a function that are no relation's */
    const char *target, *hint;   /* hint NULL: none */
} tn_unrelated;
const tn_error *tn_plan_refuse_unrelated(tn_arena *arena, const tn_snapshot *snapshot,
                                         const tn_unrelated *unrelated) TN_NEVER_NULL TN_MUST_CHECK;

/* plan_filter.c: the page that limit and offset and the Range header let through: 416 PGRST103. */
const tn_error *tn_plan_range(tn_planner *planner) TN_MUST_CHECK;
/* Whether everything that conditions, orders and limits are about is selected: 400 PGRST108. */
const tn_error *tn_plan_paths(const tn_planner *planner) TN_MUST_CHECK;
/* Conditions, order and limits of the whole tree. */
const tn_error *tn_plan_conditions(tn_planner *planner, tn_plan_node *root) TN_MUST_CHECK;
const tn_error *tn_plan_orders(tn_planner *planner, tn_plan_node *root) TN_MUST_CHECK;
void tn_plan_windows(const tn_planner *planner, tn_plan_node *root);

/* `eq` of a whole column, by itself. */
bool tn_filter_is_plain_eq(const tn_filter *filter);

/* plan_write.c: what an insert, update, put or delete of the plan's root does. */
const tn_error *tn_plan_write(tn_planner *planner) TN_MUST_CHECK;

/* call.c: the function and its arguments. */
const tn_error *tn_plan_call(tn_planner *planner) TN_MUST_CHECK;

#endif
