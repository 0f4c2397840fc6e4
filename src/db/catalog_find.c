/* db/catalog_find.c: questions to a snapshot */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "db/catalog_private.h"

/* --- relations -------------------------------------------------------------------------------- */

static int
compare_names(const char *schema, const char *name, const char *other_schema,
              const char *other_name)
{
    const int by_schema = strcmp(schema, other_schema);

    return by_schema != 0 ? by_schema : strcmp(name, other_name);
}

const tn_relation *
tn_snapshot_relation(const tn_snapshot *snapshot, const char *schema, const char *name)
{
    size_t low = 0, high = snapshot->relation_count;

    while (low < high) {
        const size_t middle = (low + high) / 2;
        const tn_relation *relation = snapshot->relations[middle];
        const int order = compare_names(schema, name, relation->schema, relation->name);

        if (order == 0)
            return relation;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const tn_attribute *
tn_relation_attribute(const tn_relation *relation, const char *name)
{
    size_t low = 0, high = relation->attribute_count;

    while (low < high) {
        const size_t middle = (low + high) / 2;
        const int order = strcmp(name, relation->by_name[middle]->name);

        if (order == 0)
            return relation->by_name[middle];
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const tn_privileges *
tn_relation_privileges(const tn_relation *relation, const char *role)
{
    for (size_t i = 0; i < relation->privilege_count; i++)
        if (strcmp(relation->privileges[i].role, role) == 0)
            return &relation->privileges[i];
    return NULL;
}

const tn_relation *const *
tn_snapshot_relations(const tn_snapshot *snapshot, size_t *count)
{
    *count = snapshot->relation_count;
    return snapshot->relations;
}

static bool
is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Whether the client has named these columns and no others. */
static bool
is_same_set(const tn_unique *unique, bool with_tenant, const char *const *columns, size_t count)
{
    if (unique->count + with_tenant != count)
        return false;
    if (with_tenant && !is_among("tenant_id", columns, count))
        return false;
    for (size_t i = 0; i < unique->count; i++)
        if (!is_among(unique->columns[i], columns, count))
            return false;
    return true;
}

static const char *const *
put_tenant_first(tn_arena *arena, const tn_unique *unique, size_t *count)
{
    const char **columns = tn_arena_alloc(arena, unique->count + 1, sizeof *columns);

    columns[0] = "tenant_id";
    for (size_t i = 0; i < unique->count; i++)
        columns[i + 1] = unique->columns[i];
    *count = unique->count + 1;
    return columns;
}

const char *const *
tn_relation_conflict(const tn_relation *relation, tn_arena *arena, const char *const *columns,
                     size_t count, size_t *conflict_count)
{
    const tn_unique *bound = NULL;

    for (size_t i = 0; i < relation->unique_count; i++) {
        const tn_unique *unique = &relation->uniques[i];

        if (!unique->is_immediate)
            continue;
        if (is_same_set(unique, unique->has_tenant, columns, count)) {
            *conflict_count = count;
            return columns;
        }
        if (bound == NULL && unique->has_tenant && is_same_set(unique, false, columns, count))
            bound = unique;
    }
    return bound == NULL ? NULL : put_tenant_first(arena, bound, conflict_count);
}

/* --- functions -------------------------------------------------------------------------------- */

const tn_function *
tn_snapshot_functions(const tn_snapshot *snapshot, const char *schema, const char *name,
                      size_t *count)
{
    const tn_function *functions = snapshot->functions;
    size_t low = 0, high = snapshot->function_count;

    while (low < high) { /* the first that is not before */
        const size_t middle = (low + high) / 2;

        if (compare_names(functions[middle].schema, functions[middle].name, schema, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (high < snapshot->function_count &&
           compare_names(functions[high].schema, functions[high].name, schema, name) == 0)
        high++;
    *count = high - low;
    return high == low ? NULL : &functions[low];
}

const tn_function *const *
tn_snapshot_all_functions(const tn_snapshot *snapshot, size_t *count)
{
    *count = snapshot->function_count;
    return snapshot->all_functions;
}

bool
tn_function_allows(const tn_function *function, const char *role)
{
    return is_among(role, function->roles, function->role_count);
}

const tn_relation *
tn_snapshot_returned(const tn_snapshot *snapshot, const tn_function *function)
{
    if (function->returns != TN_RETURNS_COMPOSITE || function->column_count > 0)
        return NULL;
    return tn_snapshot_relation(snapshot, function->return_schema, function->return_name);
}

const tn_type *
tn_snapshot_types(const tn_snapshot *snapshot, size_t *count)
{
    *count = snapshot->type_count;
    return snapshot->types;
}

/* --- roles, time zones ------------------------------------------------------------------------ */

const char *
tn_snapshot_role_settings(const tn_snapshot *snapshot, const char *role, const char **isolation)
{
    for (size_t i = 0; i < snapshot->role_count; i++)
        if (strcmp(snapshot->roles[i].role, role) == 0) {
            *isolation = snapshot->roles[i].isolation;
            return snapshot->roles[i].settings;
        }
    *isolation = NULL;
    return NULL;
}

static int
compare_zones(const void *name, const void *zone)
{
    const char *const *one = name, *const *other = zone;

    return strcmp(*one, *other);
}

bool
tn_snapshot_has_time_zone(const tn_snapshot *snapshot, const char *name)
{
    return snapshot->zone_count > 0 && bsearch(&name, snapshot->zones, snapshot->zone_count,
                                               sizeof name, compare_zones) != NULL;
}

/* --- what was meant --------------------------------------------------------------------------- */

struct guess {
    const char *schema, *name;
    const char *best;
    size_t limit; /* the distance of the best, at first of what is too far */
};

static struct guess
begin_guess(const char *schema, const char *name)
{
    const size_t length = strlen(name);

    return (struct guess){schema, name, NULL, length / 3 + 2};
}

static void
consider(struct guess *guess, const char *schema, const char *name)
{
    size_t found;

    if (strcmp(schema, guess->schema) != 0)
        return;
    found = tn_text_distance(guess->name, name, guess->limit);
    if (found < guess->limit) {
        guess->limit = found;
        guess->best = name;
    }
}

const char *
tn_snapshot_similar_relation(const tn_snapshot *snapshot, const char *schema, const char *name)
{
    struct guess guess = begin_guess(schema, name);

    for (size_t i = 0; i < snapshot->relation_count; i++)
        if (snapshot->relations[i]->closed_because == NULL)
            consider(&guess, snapshot->relations[i]->schema, snapshot->relations[i]->name);
    return guess.best;
}
