/* data/plan_write.c: which columns are written, and what happens to rows that are there already */
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "data/plan_private.h"
#include "data/version.h"

static const tn_error *
refuse_column(tn_arena *arena, const tn_relation *relation, const char *name)
{
    return tn_plan_refuse(
        arena, (tn_error){.status = 400,
                          .code = "PGRST204",
                          .message = tn_arena_printf(
                              arena, "Column '%s' of relation '%s' does not exist",
                              tn_text_excerpt(arena, name, TN_QUOTED_MAX), relation->name)});
}

/* Those of columns=, else the keys of the body; each once. What a line of CSV or a put has is
 * written whole, as PostgREST does it. */
static const tn_error *
plan_columns(tn_planner *planner)
{
    const tn_plan_request *request = planner->request;
    const tn_data_query *query = request->query;
    const tn_relation *relation = planner->plan->root->relation;
    const tn_payload *payload = planner->plan->payload;
    const bool is_named = query->has_columns && !request->body->is_csv &&
                          (planner->plan->kind != TN_PLAN_PUT || payload->is_unread);
    const char *const *names = is_named ? query->columns : payload->keys;
    const size_t count = is_named ? query->column_count : payload->key_count;
    bool *seen = tn_arena_alloc(planner->arena, relation->attribute_count, sizeof(*seen));
    const tn_attribute **columns =
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what it is of */
        tn_arena_alloc(planner->arena, relation->attribute_count, sizeof(*columns));
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        const tn_attribute *attribute = tn_relation_attribute(relation, names[i]);

        if (attribute == NULL)
            return refuse_column(planner->arena, relation, names[i]);
        assert(attribute >= relation->attributes &&
               attribute < relation->attributes + relation->attribute_count);
        if (!seen[attribute - relation->attributes])
            columns[used++] = attribute;
        seen[attribute - relation->attributes] = true;
    }
    planner->plan->columns = columns;
    planner->plan->column_count = used;
    return NULL;
}

/* --- upsert ----------------------------------------------------------------------------------- */

/* The columns that a row conflicts on: named by the client, else the primary key. Where no
 * constraint has them PostgreSQL says so. */
static void
plan_conflict(tn_planner *planner, const char *const *columns, size_t count)
{
    tn_data_plan *plan = planner->plan;

    plan->conflict = tn_relation_conflict(plan->root->relation, planner->arena, columns, count,
                                          &plan->conflict_count);
    if (plan->conflict == NULL) {
        plan->conflict = columns;
        plan->conflict_count = count;
    }
}

static void
plan_resolution(tn_planner *planner)
{
    const tn_data_query *query = planner->request->query;
    const tn_relation *relation = planner->plan->root->relation;
    const tn_prefer_resolution resolution = planner->request->prefer->resolution;

    if (resolution == TN_RESOLUTION_NONE)
        return;
    if (query->on_conflict_count > 0)
        plan_conflict(planner, query->on_conflict, query->on_conflict_count);
    else if (relation->key_count > 0)
        plan_conflict(planner, relation->key, relation->key_count);
    else
        return;
    planner->plan->resolution = resolution;
}

/* --- put -------------------------------------------------------------------------------------- */

static const tn_error *
refuse_put_filters(tn_arena *arena)
{
    return tn_plan_refuse(arena, (tn_error){.status = 405,
                                            .code = "PGRST105",
                                            .message = "Filters must include all and only primary "
                                                       "key columns with 'eq' operators"});
}

static bool
has_text(const char *const *texts, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(texts[i], text) == 0)
            return true;
    return false;
}

bool
tn_plan_writes(const tn_data_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->column_count; i++)
        if (strcmp(plan->columns[i]->name, name) == 0)
            return true;
    return false;
}

static bool
is_filtered(const tn_plan_node *root, const char *name)
{
    for (size_t i = 0; i < root->condition_count; i++)
        if (strcmp(root->conditions[i].field.name, name) == 0)
            return true;
    return false;
}

static const tn_error *
check_put_filters(const tn_planner *planner)
{
    const tn_plan_node *root = planner->plan->root;
    const tn_relation *relation = root->relation;

    if (relation->key_count == 0)
        return refuse_put_filters(planner->arena);
    for (size_t i = 0; i < root->condition_count; i++) {
        const tn_plan_logic *condition = &root->conditions[i];

        if (condition->kind != TN_PLAN_FILTER || !tn_filter_is_plain_eq(condition->filter) ||
            !has_text(relation->key, relation->key_count, condition->field.name))
            return refuse_put_filters(planner->arena);
    }
    for (size_t i = 0; i < relation->key_count; i++)
        if (!is_filtered(root, relation->key[i]))
            return refuse_put_filters(planner->arena);
    return NULL;
}

static const tn_error *
check_put_window(const tn_planner *planner)
{
    const tn_data_query *query = planner->request->query;

    for (size_t i = 0; i < query->window_count; i++)
        if (query->windows[i].path.count == 0)
            return tn_plan_refuse(planner->arena,
                                  (tn_error){.status = 400,
                                             .code = "PGRST114",
                                             .message = "limit/offset querystring parameters are "
                                                        "not allowed for PUT"});
    return NULL;
}

/* Whether the values of the key are those of the URL is seen in the database; a key that the body
 * leaves out is not. */
static const tn_error *
plan_put(tn_planner *planner)
{
    const tn_relation *relation = planner->plan->root->relation;

    for (size_t i = 0; i < relation->key_count; i++)
        if (!tn_plan_writes(planner->plan, relation->key[i]))
            return tn_plan_refuse(
                planner->arena,
                (tn_error){.status = 400,
                           .code = "PGRST115",
                           .message = "Payload values do not match URL in primary key column(s)"});
    plan_conflict(planner, relation->key, relation->key_count);
    planner->plan->resolution = TN_RESOLUTION_MERGE;
    return NULL;
}

/* --- the whole -------------------------------------------------------------------------------- */

/* The version within an entity tag (RFC 9110 section 8.8.3). A weak one never matches, and neither
 * does a list: what is left of it is nobody's version. */
static const char *
version_of(tn_arena *arena, const char *tag)
{
    const size_t length = strlen(tag);

    if (length >= 2 && tag[0] == '"' && tag[length - 1] == '"')
        return tn_arena_bytes(arena, tag + 1, length - 2);
    return tag;
}

static const tn_error *
refuse_precondition(tn_arena *arena, const char *message, const char *hint)
{
    return tn_plan_refuse(arena, (tn_error){.status = 400,
                                            .code = "precondition_not_supported",
                                            .message = message,
                                            .hint = hint});
}

static const tn_error *
plan_if_none_match(tn_planner *planner)
{
    const char *header = planner->request->if_none_match;

    if (header == NULL)
        return NULL;
    if (planner->plan->kind != TN_PLAN_PUT || !tn_version_is_any(header))
        return refuse_precondition(planner->arena,
                                   "of what writes only PUT takes If-None-Match, which is * then",
                                   "Send the ETag of the row as If-Match.");
    planner->plan->must_be_new = true;
    return NULL;
}

static const tn_error *
plan_if_match(tn_planner *planner)
{
    tn_data_plan *plan = planner->plan;

    if (planner->request->if_match == NULL)
        return NULL;
    plan->if_match = version_of(planner->arena, planner->request->if_match);
    if (plan->root->relation->has_xmin || strcmp(plan->if_match, "*") == 0)
        return NULL;
    return refuse_precondition(planner->arena, "the rows of this relation have no versions",
                               "Write to the table behind it, or send If-Match: * or none.");
}

/* What cannot be checked is refused: dropped, it would overwrite what somebody else has written. */
static const tn_error *
plan_preconditions(tn_planner *planner)
{
    const tn_plan_request *request = planner->request;

    if (planner->plan->kind == TN_PLAN_INSERT &&
        (request->if_match != NULL || request->if_none_match != NULL))
        return refuse_precondition(planner->arena, "POST has no row that it could be compared with",
                                   "Send PUT with the primary key in the address.");
    TN_TRY(plan_if_none_match(planner));
    return plan_if_match(planner);
}

const tn_error *
/* NOLINTNEXTLINE(readability-function-cognitive-complexity): a flat list of steps */
tn_plan_write(tn_planner *planner)
{
    const tn_plan_request *request = planner->request;
    tn_data_plan *plan = planner->plan;

    assert(plan->root->relation != NULL);
    if (plan->kind == TN_PLAN_UPDATE || plan->kind == TN_PLAN_DELETE) {
        plan->has_max_affected =
            request->prefer->has_max_affected && request->prefer->handling == TN_HANDLING_STRICT;
        plan->max_affected = plan->has_max_affected ? request->prefer->max_affected : 0;
    }
    TN_TRY(plan_preconditions(planner));
    if (plan->kind == TN_PLAN_DELETE)
        return NULL;
    assert(request->body != NULL && !request->body->is_raw);
    plan->payload = &request->body->payload;
    plan->missing_default = request->prefer->missing == TN_MISSING_DEFAULT;
    if (plan->kind == TN_PLAN_PUT) {
        TN_TRY(check_put_window(planner));
        TN_TRY(check_put_filters(planner));
    }
    TN_TRY(plan_columns(planner));
    if (plan->kind == TN_PLAN_PUT)
        return plan_put(planner);
    if (plan->kind == TN_PLAN_INSERT)
        plan_resolution(planner);
    return NULL;
}
