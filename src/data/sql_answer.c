/* data/sql_answer.c: what all answers share: counts, body, checks, and what the rows are like
 *
 * Checks are part of the statement, so that what must not have happened is rolled back in the same
 * round trip. They stand beside count(*), so that everything has been done when they are made, and
 * so do the settings that functions and triggers may have made for the response.
 */
#include <inttypes.h>
#include <string.h>

#include "data/sql_private.h"

static void
add_total(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;
    /* a call's rows are there to be counted when it has given several */
    const bool is_filtered = plan->kind == TN_PLAN_READ ||
                             (plan->kind == TN_PLAN_CALL && writer->source == TN_SQL_COMMON);

    if (plan->count == TN_COUNT_EXACT && is_filtered) {
        tn_sql_add(writer, "(");
        tn_sql_matches(writer, "count(*)");
        tn_sql_add(writer, ")");
    } else if (plan->count == TN_COUNT_EXACT) {
        tn_sql_add(writer, "count(*)");
    } else if (plan->count == TN_COUNT_ESTIMATED && plan->kind == TN_PLAN_READ &&
               plan->max_rows > 0) {
        tn_sql_add(writer, "(select count(*) from (");
        tn_sql_matches(writer, "1");
        tn_sql_limit(writer, plan->max_rows + 1);
        tn_sql_add(writer, ") as \"tenon.matches\")");
    } else {
        tn_sql_add(writer, "null::bigint");
    }
}

/* --- checks ----------------------------------------------------------------------------------- */

static void
add_failure(tn_sql_writer *writer, const tn_sql_failure *failure)
{
    tn_sql_add(writer, " then (");
    tn_sql_fail(writer, failure);
    tn_sql_add(writer, " is null)::int");
}

const tn_sql_failure tn_sql_changed = {412, "precondition_failed",
                                       "the row is not the one that If-Match names", NULL, NULL};

/* Rows of the body that were there already: see sql_write.c. */
#define UPDATED "coalesce(nullif(current_setting('tenon.updated', true), ''), '0')::bigint"

/* The row that PUT has written was there, and so of a version that has been compared. */
static void
add_put_version_check(tn_sql_writer *writer)
{
    tn_sql_add(writer, " when " UPDATED " = 0");
    add_failure(writer, &tn_sql_changed);
}

/* All rows that match must have had the version that the client knows, and there must be one. */
static void
add_version_check(tn_sql_writer *writer)
{
    tn_sql_add(writer, " when count(*) = 0");
    if (strcmp(writer->plan->if_match, "*") != 0) {
        const tn_sql_source source = writer->source;

        writer->source = TN_SQL_RELATION;
        tn_sql_add(writer, " or count(*) <> (");
        tn_sql_matches(writer, "count(*)");
        tn_sql_add(writer, ")");
        writer->source = source;
    }
    add_failure(writer, &tn_sql_changed);
}

static void
add_checks(tn_sql_writer *writer, const tn_sql_answer *answer)
{
    static const tn_sql_failure mismatch = {
        400, "PGRST115", "Payload values do not match URL in primary key column(s)", NULL, NULL};
    static const tn_sql_failure too_many = {
        400, "PGRST124", "Query result exceeds max-affected preference constraint",
        "format('The query affects %s rows', count(*))", NULL};
    static const tn_sql_failure plural = {406, "PGRST116",
                                          "JSON object requested, multiple (or no) rows returned",
                                          "format('The result contains %s rows', count(*))", NULL};

    if (writer->plan->kind == TN_PLAN_PUT) {
        tn_sql_add(writer, " when count(*) <> 1");
        add_failure(writer, &mismatch);
    }
    if (writer->plan->if_match != NULL && writer->plan->kind == TN_PLAN_PUT)
        add_put_version_check(writer);
    else if (writer->plan->if_match != NULL)
        add_version_check(writer);
    if (writer->plan->has_max_affected) {
        tn_sql_add(writer, " when count(*) > ");
        tn_sql_number(writer, writer->plan->max_affected);
        add_failure(writer, &too_many);
    }
    if (answer->is_checked) {
        tn_sql_add(writer, " when count(*) <> 1");
        add_failure(writer, &plural);
    }
}

/* --- the body --------------------------------------------------------------------------------- */

typedef enum body_form {
    FORM_CSV,
    FORM_LINES,
    FORM_ONE,
    FORM_ONE_STRIPPED,
    FORM_ARRAY,
    FORM_ARRAY_STRIPPED
} body_form;

static body_form
form_of(const tn_data_plan *plan, const tn_sql_answer *answer)
{
    const tn_media media =
        plan->media.media == TN_MEDIA_PLAN ? plan->media.plan.of : plan->media.media;
    const bool is_one = answer->is_one || answer->is_checked;

    if (media == TN_MEDIA_CSV)
        return FORM_CSV;
    if (media == TN_MEDIA_NDJSON)
        return FORM_LINES;
    if (plan->media.media == TN_MEDIA_OBJECT_STRIPPED ||
        plan->media.media == TN_MEDIA_ARRAY_STRIPPED)
        return is_one ? FORM_ONE_STRIPPED : FORM_ARRAY_STRIPPED;
    return is_one ? FORM_ONE : FORM_ARRAY;
}

static const char *
row_of(const tn_sql_answer *answer)
{
    if (answer->is_scalar)
        return "\"tenon.rows\".\"pgrst_scalar\"";
    return answer->has_version ? "\"tenon.rows\".\"tenon.row\"" : "\"tenon.rows\".*";
}

/* Names stand as they are, as PostgREST writes them: who has commas in them must not ask for CSV.
 */
const char *
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
tn_sql_csv_header(tn_arena *arena, const tn_plan_node *node)
{
    PQExpBuffer line = tn_arena_buffer(arena);
    const char *comma = "";

    for (size_t i = 0; i < node->column_count + node->child_count; i++) {
        const tn_plan_node *child =
            i < node->column_count ? NULL : node->children[i - node->column_count];
        const char *name = child == NULL ? node->columns[i].member : child->member;

        if (child != NULL && child->is_hidden)
            continue;
        appendPQExpBufferStr(line, comma);
        comma = ",";
        if (child != NULL && child->is_spread)
            name = tn_sql_csv_header(arena, child);
        appendPQExpBufferStr(line, name);
    }
    return tn_buffer_text(line);
}

/* A row as PostgreSQL writes it, without its parentheses, is a line of CSV. */
void
tn_sql_csv_line(tn_sql_writer *writer, const char *row, bool is_scalar)
{
    const char *begin = is_scalar ? "row(" : "(";

    tn_sql_add(writer, "substring(");
    tn_sql_add(writer, begin);
    tn_sql_add(writer, row);
    tn_sql_add(writer, ")::text from 2 for length(");
    tn_sql_add(writer, begin);
    tn_sql_add(writer, row);
    tn_sql_add(writer, ")::text) - 2)");
}

/* The aggregate that has all rows in it. */
static void
add_all(tn_sql_writer *writer, const tn_sql_answer *answer)
{
    const char *row = row_of(answer);

    switch (form_of(writer->plan, answer)) {
    case FORM_CSV:
        tn_sql_add(writer, "string_agg(coalesce(");
        tn_sql_csv_line(writer, row, answer->is_scalar);
        tn_sql_add(writer, ", ''), chr(10))");
        return;
    case FORM_LINES:
        tn_sql_add(writer, "string_agg(translate(coalesce(to_json(");
        tn_sql_add(writer, row);
        tn_sql_add(writer, ")::text, 'null'), chr(10) || chr(13), '  ') || chr(10), '')");
        return;
    case FORM_ONE:
        tn_sql_add(writer, "string_agg(coalesce(to_json(");
        tn_sql_add(writer, row);
        tn_sql_add(writer, "), 'null')::text, '')");
        return;
    case FORM_ONE_STRIPPED:
        tn_sql_add(writer, "string_agg(json_strip_nulls(to_json(");
        tn_sql_add(writer, row);
        tn_sql_add(writer, "))::text, '')");
        return;
    case FORM_ARRAY:
    case FORM_ARRAY_STRIPPED:
        tn_sql_add(writer, "json_agg(");
        tn_sql_add(writer, row);
        tn_sql_add(writer, ")");
        return;
    }
}

static void
add_csv_start(tn_sql_writer *writer, const tn_sql_answer *answer)
{
    tn_sql_add(writer, "case when count(*) = 0 then chr(10) else ");
    tn_sql_value(writer,
                 answer->is_scalar ? TN_SQL_SCALAR
                                   : tn_sql_csv_header(writer->arena, writer->plan->root),
                 "text");
    tn_sql_add(writer, " || chr(10) || ");
}

static void
add_body(tn_sql_writer *writer, const tn_sql_answer *answer)
{
    static const struct {
        const char *before, *after;
    } frames[] = {
        [FORM_CSV] = {"", " end"},
        [FORM_LINES] = {"coalesce(", ", '')"},
        [FORM_ONE] = {"coalesce(", ", 'null')"},
        [FORM_ONE_STRIPPED] = {"coalesce(", ", 'null')"},
        [FORM_ARRAY] = {"coalesce(", ", '[]')::text"},
        [FORM_ARRAY_STRIPPED] = {"json_strip_nulls(coalesce(", ", '[]'))::text"},
    };
    const body_form form = form_of(writer->plan, answer);

    if (!answer->has_body) {
        tn_sql_add(writer, "null::text");
        return;
    }
    if (form == FORM_CSV)
        add_csv_start(writer, answer);
    tn_sql_add(writer, frames[form].before);
    add_all(writer, answer);
    tn_sql_add(writer, frames[form].after);
}

/* --- rows, and what must not be --------------------------------------------------------------- */

/* The size of the aggregate is known without another copy of it, and PostgreSQL computes an
 * aggregate once that is there twice. */
static void
add_size_check(tn_sql_writer *writer, const tn_sql_answer *answer)
{
    static const tn_sql_failure too_large = {
        413, "answer_too_large", "the answer has more bytes than data.answer_max", NULL,
        "Ask for fewer rows or columns (limit, select), or for an export: Accept: text/csv or "
        "application/x-ndjson."};

    tn_sql_add(writer, " when pg_column_size(");
    add_all(writer, answer);
    appendPQExpBuffer(writer->text, ") > %" PRId64, writer->plan->answer_max);
    add_failure(writer, &too_large);
}

/* The result of a function that returns one is one, null when filters or limit leave it out. */
static void
add_rows(tn_sql_writer *writer, const tn_sql_answer *answer)
{
    const tn_data_plan *plan = writer->plan;
    const bool is_sized = answer->has_body && plan->answer_max > 0;
    const char *number = answer->is_one ? "greatest(count(*), 1)" : "count(*)";

    if (plan->kind != TN_PLAN_PUT && plan->if_match == NULL && !plan->has_max_affected &&
        !answer->is_checked && !is_sized) {
        tn_sql_add(writer, number);
        return;
    }
    tn_sql_add(writer, "case");
    add_checks(writer, answer);
    if (is_sized)
        add_size_check(writer, answer);
    tn_sql_add(writer, " else ");
    tn_sql_add(writer, number);
    tn_sql_add(writer, " end");
}

/* --- the rest --------------------------------------------------------------------------------- */

/* Rows that were there before have been counted by the statement: see sql_write.c. Inner embeds
 * leave rows out of the answer, not out of what was written. */
static void
add_inserted(tn_sql_writer *writer, const tn_sql_answer *answer)
{
    if (!answer->counts_inserted) {
        tn_sql_add(writer, "null::bigint");
        return;
    }
    tn_sql_add(writer, answer->counts_updated ? "greatest(0, " : "");
    tn_sql_add(writer, answer->has_source ? "(select count(*) from \"tenon.source\")" : "count(*)");
    if (answer->counts_updated)
        tn_sql_add(writer, " - " UPDATED ")");
}

static void
add_location(tn_sql_writer *writer, const tn_sql_answer *answer)
{
    const tn_relation *relation = writer->plan->root->relation;

    if (!answer->has_location) {
        tn_sql_add(writer, "null::text");
        return;
    }
    tn_sql_add(writer, "case count(*) when 1 then json_build_object(");
    for (size_t i = 0; i < relation->key_count; i++) {
        tn_sql_add(writer, i == 0 ? "" : ", ");
        tn_sql_value(writer, relation->key[i], "text");
        tn_sql_add(writer, ", max(");
        tn_sql_names(writer, "tenon.rows", relation->key[i]);
        tn_sql_add(writer, ")");
    }
    tn_sql_add(writer, ")::text end");
}

void
tn_sql_answer_columns(tn_sql_writer *writer, const tn_sql_answer *answer)
{
    tn_sql_add(writer, "select ");
    add_total(writer);
    tn_sql_add(writer, ", ");
    add_rows(writer, answer);
    tn_sql_add(writer, ", ");
    add_body(writer, answer);
    tn_sql_add(writer, ", nullif(current_setting('response.headers', true), '')"
                       ", nullif(current_setting('response.status', true), ''), ");
    add_inserted(writer, answer);
    tn_sql_add(writer, ", ");
    add_location(writer, answer);
    tn_sql_add(writer, answer->has_version
                           ? ", case count(*) when 1 then max(\"tenon.rows\".\"tenon.version\") end"
                           : ", null::text");
}

void
tn_sql_answer_read(tn_sql_writer *writer)
{
    const tn_data_plan *plan = writer->plan;
    const tn_sql_answer answer = {
        .has_body = plan->has_body,
        .has_version = plan->has_etag && !plan->root->is_aggregated,
        .is_checked = plan->is_single,
    };
    const tn_sql_select select = {.node = plan->root, .has_version = answer.has_version};

    tn_sql_answer_columns(writer, &answer);
    tn_sql_add(writer, " from (");
    tn_sql_rows(writer, &select);
    tn_sql_add(writer, ") as \"tenon.rows\"");
}
