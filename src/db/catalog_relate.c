/* db/catalog_relate.c: how relations hang together
 *
 * A foreign key stands between two tables. Whatever shows all its columns of one side can stand in
 * for that side: the table itself, and views over it. Each pair of such stand-ins makes a
 * relationship there and one back.
 *
 * Tables of a tenant have tenant_id in their foreign keys, hidden on both sides. It says nothing
 * about which rows belong together, so it is left out of the columns, and of the primary keys and
 * unique constraints that these are compared with.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "db/catalog_private.h"
#include "db/view_private.h"

#define SHOWINGS_MAX 16    /* ways in which one view shows the columns of one key */
#define KEY_COLUMNS_MAX 32 /* PostgreSQL's own limit */

static const char tenant_column[] = "tenant_id";

/* A column of a view, and the column of a table that it is. */
struct showing {
    const tn_table *table, *view;
    int16_t table_column, view_column;
};

/* A relation that shows all columns of one side of a key. */
struct stand_in {
    const tn_table *table;
    const char *const *columns;
};

struct stand_ins {
    struct stand_in *list;
    size_t count, size;
};

struct relating {
    const tn_tables *tables;
    struct showing *showings; /* by table, view, column */
    size_t showing_count;
    tn_relationship **found;
    size_t found_count, found_size;
};

/* --- columns ---------------------------------------------------------------------------------- */

const tn_attribute *
tn_attribute_numbered(const tn_relation *relation, int16_t number)
{
    size_t low = 0, high = relation->attribute_count;

    while (low < high) {
        const size_t middle = (low + high) / 2;

        if (relation->attributes[middle].number == number)
            return &relation->attributes[middle];
        if (relation->attributes[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool
is_hidden(const tn_table *table, int16_t number)
{
    const tn_attribute *attribute = tn_attribute_numbered(table->relation, number);

    return attribute != NULL && attribute->is_hidden;
}

static bool
has_hidden(const tn_relation *relation)
{
    const tn_attribute *attribute = tn_relation_attribute(relation, tenant_column);

    return attribute != NULL && attribute->is_hidden;
}

static bool
is_view(const tn_table *table)
{
    return table->relation->kind == 'v' || table->relation->kind == 'm';
}

static void
hide_tenant_column(const tn_table *table)
{
    /* the snapshot is still being made, and its relations are ours */
    const tn_attribute *attribute = tn_relation_attribute(table->relation, tenant_column);

    if (attribute != NULL)
        ((tn_attribute *)(uintptr_t)attribute)->is_hidden = true;
}

/* --- views ------------------------------------------------------------------------------------ */

static const tn_origin *
find_origin(const tn_table *view, int16_t column)
{
    for (size_t i = 0; i < view->origin_count; i++)
        if (view->origins[i].column == column)
            return &view->origins[i];
    return NULL;
}

/* Follows a view's column down to a table's; false when it ends at an expression or a system
 * catalog. */
static bool
find_base(const tn_tables *tables, const tn_table **table, int16_t *column)
{
    for (int depth = 0; depth < TN_VIEWS_DEEP; depth++) {
        const tn_origin *origin;

        if (!is_view(*table))
            return tn_attribute_numbered((*table)->relation, *column) != NULL;
        origin = find_origin(*table, *column);
        if (origin == NULL || (*table = tn_tables_find(tables, origin->table)) == NULL)
            return false;
        *column = origin->table_column;
    }
    return false;
}

static int
compare_showings(const void *a, const void *b)
{
    const struct showing *one = a, *other = b;

    if (one->table != other->table)
        return one->table < other->table ? -1 : 1;
    if (one->view != other->view)
        return one->view < other->view ? -1 : 1;
    return one->view_column - other->view_column;
}

/* All columns of views that are columns of tables; such a tenant_id is hidden as the table's. */
static void
find_showings(struct relating *r)
{
    size_t size = 0;

    for (size_t i = 0; i < r->tables->count; i++)
        size += r->tables->list[i].origin_count;
    r->showings = tn_arena_alloc(r->tables->scratch, size + 1, sizeof *r->showings);
    for (size_t i = 0; i < r->tables->count; i++) {
        const tn_table *view = &r->tables->list[i];

        for (size_t k = 0; k < view->origin_count; k++) {
            const tn_table *table = view;
            int16_t column = view->origins[k].column;
            const tn_attribute *attribute = tn_attribute_numbered(view->relation, column);

            if (attribute == NULL || !find_base(r->tables, &table, &column))
                continue;
            r->showings[r->showing_count++] =
                (struct showing){table, view, column, attribute->number};
            if (is_hidden(table, column) && strcmp(attribute->name, tenant_column) == 0)
                hide_tenant_column(view);
        }
    }
    qsort(r->showings, r->showing_count, sizeof *r->showings, compare_showings);
}

/* The first of the table's showings; they end where the table changes. */
static size_t
find_table_showings(const struct relating *r, const tn_table *table)
{
    size_t low = 0, high = r->showing_count;

    while (low < high) {
        const size_t middle = (low + high) / 2;

        if (r->showings[middle].table < table)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* --- who stands in ---------------------------------------------------------------------------- */

static void
add_stand_in(struct relating *r, struct stand_ins *all, const tn_table *table,
             const int16_t *columns, size_t count)
{
    const char **names = tn_arena_alloc(r->tables->arena, count, sizeof *names);

    for (size_t i = 0; i < count; i++)
        names[i] = tn_attribute_numbered(table->relation, columns[i])->name;
    if (all->count == all->size) {
        struct stand_in *list = tn_arena_alloc(r->tables->scratch, 2 * all->size + 4, sizeof *list);

        if (all->count > 0)
            memcpy(list, all->list, all->count * sizeof *list);
        all->list = list;
        all->size = 2 * all->size + 4;
    }
    all->list[all->count++] = (struct stand_in){table, names};
}

/* The showings [from, to) of one view: each way to find all of `columns` among them. A view that
 * joins a table with itself shows its key twice, and both are relationships. */
static void
add_view(struct relating *r, struct stand_ins *all, const struct showing *showings, size_t length,
         const int16_t *columns, size_t count)
{
    int16_t chosen[KEY_COLUMNS_MAX];
    size_t at[KEY_COLUMNS_MAX];
    size_t depth = 0, ways = 0;

    at[0] = 0;
    while (ways < SHOWINGS_MAX) {
        while (at[depth] < length && showings[at[depth]].table_column != columns[depth])
            at[depth]++;
        if (at[depth] == length) { /* no other for this column: another for the one before */
            if (depth == 0)
                return;
            at[--depth]++;
            continue;
        }
        chosen[depth] = showings[at[depth]].view_column;
        if (depth + 1 < count) {
            at[++depth] = 0;
            continue;
        }
        add_stand_in(r, all, showings[0].view, chosen, count);
        ways++;
        at[depth]++;
    }
}

static struct stand_ins
find_stand_ins(struct relating *r, const tn_table *table, const int16_t *columns, size_t count)
{
    struct stand_ins all = {.count = 0};
    size_t from = find_table_showings(r, table);

    assert(count > 0 && count <= KEY_COLUMNS_MAX);
    if (table->is_exposed)
        add_stand_in(r, &all, table, columns, count);
    while (from < r->showing_count && r->showings[from].table == table) {
        const struct showing *first = &r->showings[from];
        size_t length = 0;

        while (from < r->showing_count && r->showings[from].table == table &&
               r->showings[from].view == first->view) {
            from++;
            length++;
        }
        if (first->view->is_exposed)
            add_view(r, &all, first, length, columns, count);
    }
    return all;
}

/* --- unique keys ------------------------------------------------------------------------------ */

/* The columns of an index without the hidden tenant_id, unless that is all it has. */
static size_t
list_own_columns(const tn_table *table, const tn_index *index, int16_t *columns, bool *has_tenant)
{
    size_t count = 0;

    *has_tenant = false;
    for (size_t i = 0; i < index->count && i < KEY_COLUMNS_MAX; i++) {
        if (index->count > 1 && is_hidden(table, index->columns[i]))
            *has_tenant = true;
        else
            columns[count++] = index->columns[i];
    }
    return count;
}

static const char *const *
name_columns(const tn_tables *tables, const tn_relation *relation, const int16_t *columns,
             size_t count)
{
    const char **names = tn_arena_alloc(tables->arena, count + 1, sizeof *names);

    for (size_t i = 0; i < count; i++)
        names[i] = tn_attribute_numbered(relation, columns[i])->name;
    return names;
}

static void
set_key(tn_relation *relation, const tn_unique *unique)
{
    if (!unique->is_primary || relation->key_count > 0)
        return;
    relation->key = unique->columns;
    relation->key_count = unique->count;
}

static void
name_table_keys(const tn_tables *tables, const tn_table *table)
{
    tn_relation *relation = table->relation;
    tn_unique *uniques = tn_arena_alloc(tables->arena, table->index_count + 1, sizeof *uniques);

    relation->uniques = uniques;
    for (size_t i = 0; i < table->index_count; i++) {
        const tn_index *index = &table->indexes[i];
        tn_unique *unique = &uniques[relation->unique_count];
        int16_t columns[KEY_COLUMNS_MAX];

        *unique = (tn_unique){.is_primary = index->is_primary,
                              .is_constraint = index->is_constraint,
                              .is_immediate = index->is_immediate};
        unique->count = list_own_columns(table, index, columns, &unique->has_tenant);
        unique->columns = name_columns(tables, relation, columns, unique->count);
        relation->has_tenant_key = relation->has_tenant_key || unique->has_tenant;
        relation->unique_count++;
        set_key(relation, unique);
    }
}

/* The view's column that is this one of the table's; 0: none. */
static int16_t
find_shown(const tn_tables *tables, const tn_table *view, const tn_table *base, int16_t column)
{
    for (size_t i = 0; i < view->origin_count; i++) {
        const tn_table *table = view;
        int16_t found = view->origins[i].column;

        if (find_base(tables, &table, &found) && table == base && found == column)
            return view->origins[i].column;
    }
    return 0;
}

static bool
show_unique(const tn_tables *tables, const tn_table *view, const tn_table *base,
            const tn_index *index, tn_unique *unique)
{
    int16_t columns[KEY_COLUMNS_MAX];

    *unique = (tn_unique){.is_primary = index->is_primary,
                          .is_constraint = index->is_constraint,
                          .is_immediate = index->is_immediate};
    unique->count = list_own_columns(base, index, columns, &unique->has_tenant);
    for (size_t i = 0; i < unique->count; i++) {
        columns[i] = find_shown(tables, view, base, columns[i]);
        if (columns[i] == 0)
            return false;
    }
    if (unique->has_tenant && !has_hidden(view->relation))
        unique->is_immediate = false; /* so that ON CONFLICT does not try to name it */
    unique->columns = name_columns(tables, view->relation, columns, unique->count);
    return true;
}

/* A view's keys are those of its bases that it shows whole; the primary key is the first base's. */
static void
name_view_keys(const tn_tables *tables, const tn_table *view)
{
    tn_relation *relation = view->relation;
    const tn_table **bases =
        tn_arena_alloc(tables->scratch, view->origin_count + 1, sizeof(tn_table *));
    size_t base_count = 0, size = 0;
    tn_unique *uniques;

    for (size_t i = 0; i < view->origin_count; i++) {
        const tn_table *table = view;
        int16_t column = view->origins[i].column;
        bool is_known = !find_base(tables, &table, &column);

        for (size_t k = 0; k < base_count && !is_known; k++)
            is_known = bases[k] == table;
        if (is_known)
            continue;
        bases[base_count++] = table;
        size += table->index_count;
    }
    relation->uniques = uniques = tn_arena_alloc(tables->arena, size + 1, sizeof *uniques);
    for (size_t i = 0; i < base_count; i++)
        for (size_t k = 0; k < bases[i]->index_count; k++) {
            tn_unique *unique = &uniques[relation->unique_count];

            if (!show_unique(tables, view, bases[i], &bases[i]->indexes[k], unique))
                continue;
            relation->unique_count++;
            relation->has_tenant_key = relation->has_tenant_key || unique->has_tenant;
            set_key(relation, unique);
        }
}

/* --- relationships ---------------------------------------------------------------------------- */

static tn_relationship *
add_relationship(struct relating *r, const tn_relationship *relationship)
{
    tn_relationship *kept = tn_arena_alloc(r->tables->arena, 1, sizeof *kept);

    *kept = *relationship;
    kept->is_self = kept->from == kept->to;
    kept->is_to_one = kept->cardinality == TN_MANY_TO_ONE || kept->cardinality == TN_ONE_TO_ONE;
    if (r->found_count == r->found_size) {
        tn_relationship **found =
            tn_arena_alloc(r->tables->scratch, 2 * r->found_size + 64, sizeof *found);

        if (r->found_count > 0)
            memcpy(found, r->found, r->found_count * sizeof *found);
        r->found = found;
        r->found_size = 2 * r->found_size + 64;
    }
    r->found[r->found_count++] = kept;
    return kept;
}

static bool
is_among(int16_t column, const int16_t *columns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (columns[i] == column)
            return true;
    return false;
}

/* Whether the columns are exactly those of a primary key or unique constraint. */
static bool
is_unique(const tn_table *table, const int16_t *columns, size_t count)
{
    for (size_t i = 0; i < table->index_count; i++) {
        const tn_index *index = &table->indexes[i];
        int16_t own[KEY_COLUMNS_MAX];
        bool has_tenant;
        size_t same = 0;

        if (!index->is_primary && !index->is_constraint)
            continue;
        if (list_own_columns(table, index, own, &has_tenant) != count)
            continue;
        while (same < count && is_among(own[same], columns, count))
            same++;
        if (same == count)
            return true;
    }
    return false;
}

static void
relate_pair(struct relating *r, const struct stand_in *from, const struct stand_in *to,
            const tn_relationship *pattern)
{
    const bool is_one = pattern->cardinality == TN_ONE_TO_ONE;
    tn_relationship there = *pattern, back = *pattern;

    there.from = back.to = from->table->relation;
    there.to = back.from = to->table->relation;
    there.from_columns = back.to_columns = from->columns;
    there.to_columns = back.from_columns = to->columns;
    there.is_tenant_bound = back.is_tenant_bound =
        pattern->is_tenant_bound && has_hidden(there.from) && has_hidden(there.to);
    back.cardinality = is_one ? TN_ONE_TO_ONE : TN_ONE_TO_MANY;
    back.is_parent = is_one;
    add_relationship(r, &there);
    add_relationship(r, &back);
}

static void
relate_key(struct relating *r, const tn_key *key)
{
    int16_t from_columns[KEY_COLUMNS_MAX], to_columns[KEY_COLUMNS_MAX];
    tn_relationship pattern = {.constraint = key->name};
    struct stand_ins from, to;

    for (size_t i = 0; i < key->count && i < KEY_COLUMNS_MAX; i++) {
        if (key->count > 1 && is_hidden(key->from, key->from_columns[i]) &&
            is_hidden(key->to, key->to_columns[i])) {
            pattern.is_tenant_bound = true;
            continue;
        }
        from_columns[pattern.column_count] = key->from_columns[i];
        to_columns[pattern.column_count++] = key->to_columns[i];
    }
    pattern.cardinality =
        is_unique(key->from, from_columns, pattern.column_count) ? TN_ONE_TO_ONE : TN_MANY_TO_ONE;
    from = find_stand_ins(r, key->from, from_columns, pattern.column_count);
    to = find_stand_ins(r, key->to, to_columns, pattern.column_count);
    for (size_t i = 0; i < from.count; i++)
        for (size_t k = 0; k < to.count; k++)
            relate_pair(r, &from.list[i], &to.list[k], &pattern);
}

/* --- junctions -------------------------------------------------------------------------------- */

static bool
is_in_key(const tn_relationship *relationship)
{
    const tn_relation *relation = relationship->from;
    size_t found = 0;

    for (size_t i = 0; i < relationship->column_count; i++)
        for (size_t k = 0; k < relation->key_count; k++)
            if (strcmp(relationship->from_columns[i], relation->key[k]) == 0) {
                found++;
                break;
            }
    return found == relationship->column_count;
}

static void
relate_through(struct relating *r, const tn_relationship *near, const tn_relationship *far)
{
    add_relationship(r, &(tn_relationship){
                            .cardinality = TN_MANY_TO_MANY,
                            .from = near->to,
                            .to = far->to,
                            .constraint = near->constraint,
                            .to_constraint = far->constraint,
                            .is_tenant_bound = near->is_tenant_bound && far->is_tenant_bound,
                            .junction = near->from,
                            .junction_from = near->from_columns,
                            .from_key = near->to_columns,
                            .junction_from_count = near->column_count,
                            .junction_to = far->from_columns,
                            .to_key = far->to_columns,
                            .junction_to_count = far->column_count,
                        });
}

static int
compare_origins(const void *a, const void *b)
{
    const tn_relationship *const *one = a, *const *other = b;

    if ((*one)->from != (*other)->from)
        return (*one)->from < (*other)->from ? -1 : 1;
    return 0;
}

/* Two keys of one relation whose columns are part of its primary key make it a junction. */
static void
relate_junctions(struct relating *r)
{
    tn_relationship **keys = tn_arena_alloc(r->tables->scratch, r->found_count + 1, sizeof *keys);
    size_t count = 0;

    for (size_t i = 0; i < r->found_count; i++)
        if (r->found[i]->cardinality == TN_MANY_TO_ONE && is_in_key(r->found[i]))
            keys[count++] = r->found[i];
    qsort(keys, count, sizeof *keys, compare_origins);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = i; k > 0 && keys[k - 1]->from == keys[i]->from; k--)
            if (strcmp(keys[k - 1]->constraint, keys[i]->constraint) != 0) {
                relate_through(r, keys[k - 1], keys[i]);
                relate_through(r, keys[i], keys[k - 1]);
            }
    }
}

/* --- all of it -------------------------------------------------------------------------------- */

static int
compare_texts(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return (a != NULL) - (b != NULL);
    return strcmp(a, b);
}

/* By where they come from, then so that every snapshot has them in the same order. */
static int
compare_relationships(const void *a, const void *b)
{
    const tn_relationship *one = *(tn_relationship *const *)a;
    const tn_relationship *other = *(tn_relationship *const *)b;
    int order;

    if (one->from != other->from)
        return one->from < other->from ? -1 : 1;
    if ((order = strcmp(one->to->schema, other->to->schema)) != 0 ||
        (order = strcmp(one->to->name, other->to->name)) != 0 ||
        (order = (int)one->cardinality - (int)other->cardinality) != 0 ||
        (order = strcmp(one->constraint, other->constraint)) != 0 ||
        (order = compare_texts(one->to_constraint, other->to_constraint)) != 0)
        return order;
    if (one->junction != NULL && (order = strcmp(one->junction->name, other->junction->name)) != 0)
        return order;
    for (size_t i = 0; i < one->column_count; i++)
        if ((order = strcmp(one->from_columns[i], other->from_columns[i])) != 0 ||
            (order = strcmp(one->to_columns[i], other->to_columns[i])) != 0)
            return order;
    return 0;
}

/* Each relation gets its part of one list. */
static void
give_out(const struct relating *r)
{
    const tn_relationship **all =
        tn_arena_alloc(r->tables->arena, r->found_count + 1, sizeof(tn_relationship *));
    size_t from = 0;

    if (r->found_count > 1) /* `found` is NULL where there is nothing to sort */
        qsort(r->found, r->found_count, sizeof *r->found, compare_relationships);
    for (size_t i = 0; i < r->found_count; i++)
        all[i] = r->found[i];
    while (from < r->found_count) {
        tn_relation *relation = (tn_relation *)(uintptr_t)all[from]->from;
        const size_t first = from;

        while (from < r->found_count && all[from]->from == relation)
            from++;
        relation->relationships = &all[first];
        relation->relationship_count = from - first;
    }
}

void
tn_tables_relate(const tn_tables *tables)
{
    struct relating r = {.tables = tables};

    for (size_t i = 0; i < tables->count; i++)
        if (tables->list[i].relation->is_protected)
            hide_tenant_column(&tables->list[i]);
    find_showings(&r);
    for (size_t i = 0; i < tables->count; i++)
        if (is_view(&tables->list[i]))
            name_view_keys(tables, &tables->list[i]);
        else
            name_table_keys(tables, &tables->list[i]);
    for (size_t i = 0; i < tables->key_count; i++)
        relate_key(&r, &tables->keys[i]);
    relate_junctions(&r);
    give_out(&r);
}
