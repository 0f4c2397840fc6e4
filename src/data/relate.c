/* data/relate.c: the one relationship that an embed means */
#include <assert.h>
#include <string.h>

#include "data/nearest.h"
#include "data/plan_private.h"

/* What `from` is asked for. */
struct search {
    tn_arena *arena;
    const tn_snapshot *snapshot;
    const tn_relation *from;
    const char *target, *hint; /* hint NULL: none */
};

static bool
is_same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Relations of the same schema only: names of a request never have one. */
static bool
is_reachable(const struct search *search, const tn_relation *relation)
{
    return relation->closed_because == NULL && is_same(relation->schema, search->from->schema);
}

/* --- detected relationships ------------------------------------------------------------------- */

static bool
has_from_column(const tn_relationship *via, const char *name)
{
    return via->column_count == 1 && is_same(via->from_columns[0], name);
}

static bool
has_to_column(const tn_relationship *via, const char *name)
{
    return via->column_count == 1 && is_same(via->to_columns[0], name);
}

static bool
has_constraint(const tn_relationship *via, const char *name)
{
    return via->cardinality != TN_MANY_TO_MANY && is_same(via->constraint, name);
}

static bool
is_view(const tn_relation *relation)
{
    return relation->kind == 'v' || relation->kind == 'm';
}

static bool
fits_hint(const tn_relationship *via, const char *hint)
{
    assert((via->cardinality == TN_MANY_TO_MANY) == (via->junction != NULL));
    if (via->junction != NULL)
        return is_same(via->junction->name, hint);
    return has_constraint(via, hint) || has_from_column(via, hint) || has_to_column(via, hint);
}

/* One key gives two ways from a table to itself. The table's name means the rows that refer to this
 * one, the name of the column the row that this one refers to. */
static bool
fits_self(const struct search *search, const tn_relationship *via)
{
    if (search->hint != NULL)
        return is_same(via->to->name, search->target) && via->cardinality == TN_ONE_TO_MANY &&
               has_to_column(via, search->hint);
    if (is_same(via->to->name, search->target))
        return via->cardinality == TN_ONE_TO_MANY;
    return via->cardinality == TN_MANY_TO_ONE && has_from_column(via, search->target);
}

static bool
fits(const struct search *search, const tn_relationship *via)
{
    if (!is_reachable(search, via->to) ||
        (via->junction != NULL && via->junction->closed_because != NULL))
        return false;
    if (via->is_self)
        return fits_self(search, via);
    if (search->hint != NULL)
        return is_same(via->to->name, search->target) && fits_hint(via, search->hint);
    if (is_same(via->to->name, search->target))
        return true;
    return !is_view(via->to) &&
           (has_constraint(via, search->target) || has_from_column(via, search->target));
}

/* --- computed relationships ------------------------------------------------------------------- */

/* A function of a row that gives rows, of the row's own schema: it stands in front of a detected
 * relationship to a relation of its name. */
static const tn_relationship *
find_computed(const struct search *search)
{
    for (size_t i = 0; i < search->from->computed_count; i++) {
        const tn_function *function = search->from->computed[i];
        const bool is_meant = is_same(function->name, search->target) &&
                              is_same(function->schema, search->from->schema);
        const tn_relation *to = is_meant ? tn_snapshot_returned(search->snapshot, function) : NULL;
        tn_relationship *via;

        if (to == NULL || to->closed_because != NULL)
            continue;
        via = tn_arena_alloc(search->arena, 1, sizeof(*via));
        *via = (tn_relationship){.cardinality = TN_COMPUTED,
                                 .from = search->from,
                                 .to = to,
                                 .is_self = to == search->from,
                                 .is_to_one = function->is_single_row,
                                 .function = function};
        return via;
    }
    return NULL;
}

/* --- nothing found ---------------------------------------------------------------------------- */

static bool
is_related(const tn_relation *relation)
{
    return relation->relationship_count > 0 || relation->computed_count > 0;
}

/* Of what hangs at the relation, the name most like the one asked for; the name itself is none. */
static const char *
suggest_target(tn_arena *arena, const tn_unrelated *unrelated)
{
    const tn_relation *relation = unrelated->relation;
    const char **names = tn_arena_alloc(arena, relation->relationship_count, sizeof(const char *));
    const char *nearest;
    size_t count = 0;

    for (size_t i = 0; i < relation->relationship_count; i++) {
        const tn_relation *to = relation->relationships[i]->to;

        if (to->closed_because == NULL && is_same(to->schema, unrelated->schema))
            names[count++] = to->name;
    }
    nearest = tn_nearest(arena, unrelated->target, names, count, true);
    return nearest == NULL ? NULL
                           : tn_arena_printf(arena, "Perhaps you meant '%s' instead of '%s'.",
                                             nearest, unrelated->target);
}

/* Of the relations that something hangs at, the name most like this one. */
static const char *
suggest_origin(tn_arena *arena, const tn_snapshot *snapshot, const tn_unrelated *unrelated)
{
    size_t count, used = 0;
    const tn_relation *const *relations = tn_snapshot_relations(snapshot, &count);
    const char **names = tn_arena_alloc(arena, count, sizeof(const char *));
    const char *nearest;

    for (size_t i = 0; i < count; i++)
        if (is_related(relations[i]) && relations[i]->closed_because == NULL &&
            is_same(relations[i]->schema, unrelated->schema))
            names[used++] = relations[i]->name;
    nearest = tn_nearest(arena, unrelated->from, names, used, false);
    return nearest == NULL ? NULL
                           : tn_arena_printf(arena, "Perhaps you meant '%s' instead of '%s'.",
                                             nearest, unrelated->from);
}

const tn_error *
tn_plan_refuse_unrelated(tn_arena *arena, const tn_snapshot *snapshot,
                         const tn_unrelated *unrelated)
{
    const char *hinted = unrelated->hint == NULL
                             ? ""
                             : tn_arena_printf(arena, " using the hint '%s'", unrelated->hint);
    const bool knows_origin = unrelated->relation != NULL && is_related(unrelated->relation);

    return tn_plan_refuse(
        arena,
        (tn_error){
            .status = 400,
            .code = "PGRST200",
            .message = tn_arena_printf(arena,
                                       "Could not find a relationship between '%s' and '%s' in the "
                                       "schema cache",
                                       unrelated->from, unrelated->target),
            .details =
                tn_arena_printf(arena,
                                "Searched for a foreign key relationship between '%s' and "
                                "'%s'%s in the schema '%s', but no matches were found.",
                                unrelated->from, unrelated->target, hinted, unrelated->schema),
            .hint = knows_origin ? suggest_target(arena, unrelated)
                                 : suggest_origin(arena, snapshot, unrelated)});
}

static const tn_error *
refuse_none(const struct search *search)
{
    const tn_unrelated unrelated = {.schema = search->from->schema,
                                    .from = search->from->name,
                                    .relation = search->from,
                                    .target = search->target,
                                    .hint = search->hint};

    return tn_plan_refuse_unrelated(search->arena, search->snapshot, &unrelated);
}

/* --- several found ---------------------------------------------------------------------------- */

static void
append_names(PQExpBuffer text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            appendPQExpBufferStr(text, ", ");
        appendPQExpBufferStr(text, names[i]);
    }
}

/* "a_fkey using a(x) and b(y)", "a_b using a_fkey(x) and b_fkey(y)" */
static const char *
describe(tn_arena *arena, const tn_relationship *via)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    if (via->cardinality == TN_MANY_TO_MANY) {
        appendPQExpBuffer(text, "%s using %s(", via->junction->name, via->constraint);
        append_names(text, via->junction_from, via->junction_from_count);
        appendPQExpBuffer(text, ") and %s(", via->to_constraint);
        append_names(text, via->junction_to, via->junction_to_count);
    } else {
        appendPQExpBuffer(text, "%s using %s(", via->constraint, via->from->name);
        append_names(text, via->from_columns, via->column_count);
        appendPQExpBuffer(text, ") and %s(", via->to->name);
        append_names(text, via->to_columns, via->column_count);
    }
    appendPQExpBufferChar(text, ')');
    return tn_buffer_text(text);
}

static void
append_details(tn_arena *arena, PQExpBuffer text, const tn_relationship *via)
{
    static const char *const cardinalities[] = {
        [TN_MANY_TO_ONE] = "many-to-one", [TN_ONE_TO_MANY] = "one-to-many",
        [TN_ONE_TO_ONE] = "one-to-one",   [TN_MANY_TO_MANY] = "many-to-many",
        [TN_COMPUTED] = "computed",
    };

    appendPQExpBuffer(text,
                      "{\"cardinality\":\"%s\",\"embedding\":", cardinalities[via->cardinality]);
    tn_buffer_json_string(text,
                          tn_arena_printf(arena, "%s with %s", via->from->name, via->to->name));
    appendPQExpBufferStr(text, ",\"relationship\":");
    tn_buffer_json_string(text, describe(arena, via));
    appendPQExpBufferChar(text, '}');
}

static const tn_error *
refuse_several(const struct search *search, const tn_relationship *const *found, size_t count)
{
    tn_arena *arena = search->arena;
    PQExpBuffer details = tn_arena_buffer(arena), hint = tn_arena_buffer(arena);

    appendPQExpBufferStr(details, "\"details\":[");
    appendPQExpBuffer(hint, "Try changing '%s' to one of the following: ", search->target);
    for (size_t i = 0; i < count; i++) {
        const tn_relationship *via = found[i];

        appendPQExpBufferStr(details, i > 0 ? "," : "");
        append_details(arena, details, via);
        appendPQExpBuffer(hint, "%s'%s!%s'", i > 0 ? ", " : "", via->to->name,
                          via->junction != NULL ? via->junction->name : via->constraint);
    }
    appendPQExpBufferChar(details, ']');
    appendPQExpBufferStr(hint, ". Find the desired relationship in the 'details' key.");
    return tn_plan_refuse(
        arena, (tn_error){.status = 300,
                          .code = "PGRST201",
                          .message = tn_arena_printf(arena,
                                                     "Could not embed because more than one "
                                                     "relationship was found for '%s' and '%s'",
                                                     search->from->name, search->target),
                          .hint = tn_buffer_text(hint),
                          .members = tn_buffer_text(details)});
}

/* --- the whole -------------------------------------------------------------------------------- */

const tn_error *
tn_plan_relate(tn_arena *arena, const tn_snapshot *snapshot, const tn_relation *from,
               const tn_select_item *embed, const tn_relationship **relationship)
{
    const struct search search = {.arena = arena,
                                  .snapshot = snapshot,
                                  .from = from,
                                  .target = embed->target,
                                  .hint = embed->hint};
    const tn_relationship **found;
    size_t count = 0;

    *relationship = find_computed(&search);
    if (*relationship != NULL)
        return NULL;
    found = tn_arena_alloc(arena, from->relationship_count, sizeof(const tn_relationship *));
    for (size_t i = 0; i < from->relationship_count; i++)
        if (fits(&search, from->relationships[i]))
            found[count++] = from->relationships[i];
    if (count == 0)
        return refuse_none(&search);
    if (count > 1)
        return refuse_several(&search, found, count);
    *relationship = found[0];
    return NULL;
}
