/* db/catalog_walls.c: which relations are not exposed, and why
 *
 * Behind data.require_rls a relation is open when row security keeps its tenants apart: a table by
 * its policy, a view by what it rests on and by whose rights it reads.
 */

#include "db/catalog_private.h"

/* Why the rows of a table are not kept apart, or NULL. */
static const char *
find_gap(const tn_tables *tables, const tn_table *table, bool as_owner)
{
    const tn_relation *relation = table->relation;

    if (relation->kind == 'm' || relation->kind == 'f')
        return tn_arena_printf(tables->scratch, "%s is a %s, which has no row security",
                               table->quoted,
                               relation->kind == 'm' ? "materialized view" : "foreign table");
    if (!relation->has_row_security)
        return tn_arena_printf(tables->scratch, "%s has no row security", table->quoted);
    if (!relation->is_protected)
        return tn_arena_printf(tables->scratch, "%s has no policy that keeps its tenants apart",
                               table->quoted);
    if (!table->is_forced && (as_owner || table->owner_may_call))
        return tn_arena_printf(tables->scratch, "row security of %s does not hold for its owner %s",
                               table->quoted, table->owner);
    return NULL;
}

static const char *find_view_gap(const tn_tables *tables, tn_table *view, bool as_owner, int depth);

/* What a view rests on: the first thing in it that has no walls. */
static const char *
find_gap_below(const tn_tables *tables, const tn_table *view, bool as_owner, int depth)
{
    const char *gap = NULL;

    if (depth >= TN_VIEWS_DEEP)
        return tn_arena_printf(tables->scratch, "%s has too many views below it", view->quoted);
    for (size_t i = 0; i < view->rests_on_count && gap == NULL; i++) {
        tn_table *below = tn_tables_find(tables, view->rests_on[i]);

        if (below != NULL) /* else: a catalog of the system */
            gap = below->relation->kind == 'v' ? find_view_gap(tables, below, as_owner, depth + 1)
                                               : find_gap(tables, below, as_owner);
    }
    return gap;
}

/* A view: by whose rights it reads, and whether what it rests on has walls. That its
 * query compares the tenant is no wall: nobody can tell from the catalog that it always does. Views
 * may share what they rest on, so answers are kept. */
static const char *
find_view_gap(const tn_tables *tables, tn_table *view, bool as_owner, int depth)
{
    const bool by_owner = as_owner || !view->relation->is_security_invoker;

    if (view->is_gap_known[by_owner])
        return view->gap[by_owner];
    if (!view->relation->is_security_invoker && view->owner_is_unbound && view->rests_on_count > 0)
        view->gap[by_owner] = tn_arena_printf(
            tables->scratch,
            "%s reads with the rights of its owner %s, whom row security does not bind",
            view->quoted, view->owner);
    else
        view->gap[by_owner] = find_gap_below(tables, view, by_owner, depth);
    view->is_gap_known[by_owner] = true;
    return view->gap[by_owner];
}

static const char *
find_opening(const tn_tables *tables, const tn_table *table)
{
    const tn_relation *relation = table->relation;
    const char *or_all = "or set data.require_rls = off for all of them";

    switch (relation->kind) {
    case 'v':
        return tn_arena_printf(
            tables->arena,
            "alter view %s set (security_invoker = true), and protect the tables "
            "that it reads; %s",
            table->quoted, or_all);
    case 'm':
    case 'f':
        return tn_arena_printf(
            tables->arena,
            "keep its rows in a table with tenon.protect(), or let a function pick those of the "
            "tenant; %s",
            or_all);
    default:
        return tn_arena_printf(tables->arena, "select tenon.protect('%s'); %s", table->quoted,
                               or_all);
    }
}

void
tn_tables_close(const tn_tables *tables)
{
    for (size_t i = 0; i < tables->count; i++) {
        tn_table *table = &tables->list[i];
        const char *gap;

        if (!table->is_exposed)
            continue;
        gap = table->relation->kind == 'v' ? find_view_gap(tables, table, false, 0)
                                           : find_gap(tables, table, false);
        if (gap == NULL)
            continue;
        table->relation->closed_because = tn_arena_text(tables->arena, gap);
        table->relation->closed_hint = find_opening(tables, table);
    }
}
