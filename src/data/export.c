/* data/export.c: rows as CSV or NDJSON, collected as long as they are few, then streamed */
#include "data/export.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "data/sql_pre_request.h"

#define COLLECTED_MAX ((size_t)256 * 1024) /* bytes that are kept before anything is sent */
#define PIECE ((size_t)64 * 1024)          /* bytes that are sent at once from then on */
#define STATEMENTS_MAX 5                   /* pre-request, its settings, count, estimate, rows */
#define NONE STATEMENTS_MAX

struct export
{
    tn_data_request *r;
    const tn_data_plan *plan;
    const char *header; /* first line of CSV */
    PQExpBuffer text;   /* not sent yet */
    int64_t rows;
    int64_t deadline_ms;   /* 0: none */
    const tn_error *error; /* why it has stopped, if not because nobody listens */

    tn_data_statement statements[STATEMENTS_MAX];
    tn_query queries[STATEMENTS_MAX];
    const tn_rows *results[STATEMENTS_MAX];
    size_t count;
    size_t settings, total, estimate; /* places in results, or NONE */
    const char *headers, *status;     /* what the function has set */
};

bool
tn_data_is_export(const tn_data_request *r, const tn_data_plan *plan)
{
    const tn_media media = plan->media.media;

    if (!r->is_get || r->is_head || (media != TN_MEDIA_CSV && media != TN_MEDIA_NDJSON))
        return false;
    if (plan->kind == TN_PLAN_CALL)
        return plan->function->returns_set && plan->function->returns != TN_RETURNS_VOID;
    return plan->kind == TN_PLAN_READ && !plan->has_etag; /* a row by its key is one row */
}

/* --- head ------------------------------------------------------------------------------------- */

/* What the answer says of its rows. Of a large one the last row is only known from the count. */
static tn_page
page_of(const struct export *e, bool is_whole)
{
    const tn_plan_node *root = e->plan->root;
    tn_page page = {.first = root->offset, .count = e->rows};

    if (e->total != NONE) {
        page.total = tn_rows_int(e->results[e->total], 0, 0, 0);
        page.has_total = true;
    } else if (e->estimate != NONE) {
        page.total = tn_data_estimated_rows(e->r, e->results[e->estimate]);
        page.has_total = page.total >= 0;
    }
    if (is_whole)
        return page;
    page.count = page.has_total ? page.total - page.first : 0;
    if (root->has_limit && root->limit < page.count)
        page.count = root->limit;
    return page;
}

/* What the function has set is there with its first row, and what was set before it otherwise. */
static const tn_error *
override(const struct export *e)
{
    const tn_rows *rows = e->settings != NONE ? e->results[e->settings] : NULL;

    if (e->headers != NULL)
        return tn_data_override(e->r, *e->headers != '\0' ? e->headers : NULL,
                                *e->status != '\0' ? e->status : NULL);
    if (rows == NULL)
        return NULL;
    return tn_data_override(e->r, tn_rows_text(rows, 0, TN_ANSWER_HEADERS),
                            tn_rows_text(rows, 0, TN_ANSWER_STATUS));
}

static const tn_error *
set_head(struct export *e, bool is_whole)
{
    tn_data_request *r = e->r;
    tn_page page = page_of(e, is_whole);
    tn_response *response = r->c->response;
    const char *applied = tn_data_applied(r, e->plan);

    response->status = tn_page_status(&page);
    if (response->status == 416)
        page.count = 0;
    if (is_whole || e->total != NONE)
        tn_response_header(response, "Content-Range", tn_page_content_range(r->c->arena, &page));
    if (e->plan->kind == TN_PLAN_READ)
        tn_data_content_location(r);
    tn_data_content_type(r, e->plan);
    if (response->status == 416)
        return tn_data_refuse_range(r, e->plan, &page);
    if (applied != NULL)
        tn_response_header(response, "Preference-Applied", applied);
    return override(e);
}

/* --- rows ------------------------------------------------------------------------------------- */

static bool
enter(const tn_data_request *r)
{
    const tn_data_state *state = tn_data_state_of(r->c);

    if (atomic_fetch_add_explicit(state->exports, 1, memory_order_relaxed) < state->export_max)
        return true;
    (void)atomic_fetch_sub_explicit(state->exports, 1, memory_order_relaxed);
    return false;
}

static void
leave(const tn_data_request *r)
{
    (void)atomic_fetch_sub_explicit(tn_data_state_of(r->c)->exports, 1, memory_order_relaxed);
}

static const tn_error *
refuse(const tn_data_request *r)
{
    tn_error *error = tn_error_new(r->c->arena, 503, "too_many_exports",
                                   "Try again in a moment, or ask for fewer rows.",
                                   "as many large exports are on their way as this server takes");

    error->retry_after_s = 5;
    return error;
}

/* It is a large one: the head goes out, and the rows so far. */
static const tn_error *
begin_stream(struct export *e)
{
    const tn_error *error;

    if (!enter(e->r))
        return refuse(e->r);
    error = set_head(e, false);
    if (error == NULL)
        (void)tn_response_open(e->r->c->response);
    else
        leave(e->r);
    return error;
}

static bool
send_piece(struct export *e)
{
    const bool is_sent =
        tn_response_write(e->r->c->response, tn_buffer_text(e->text), e->text->len);

    resetPQExpBuffer(e->text);
    return is_sent;
}

/* Between the values of JSON there may be ends of lines, of json_agg() and in columns of type json;
 * in its strings there are none (RFC 8259 section 7). */
static void
append_json_line(PQExpBuffer buffer, const char *text, size_t length)
{
    const size_t start = buffer->len;

    appendBinaryPQExpBuffer(buffer, text, length);
    for (char *c = buffer->data + start; c < buffer->data + buffer->len; c++)
        if (*c == '\n' || *c == '\r')
            *c = ' ';
    appendPQExpBufferChar(buffer, '\n');
}

static void
append_row(struct export *e, const char *text, size_t length)
{
    e->rows++;
    if (e->plan->media.media == TN_MEDIA_NDJSON) {
        append_json_line(e->text, text, length);
        return;
    }
    if (e->rows == 1)
        appendPQExpBufferStr(e->text, e->header);
    appendPQExpBufferChar(e->text, '\n');
    appendBinaryPQExpBuffer(e->text, text, length);
}

/* A client that takes next to nothing would hold the connection for ever. */
static bool
is_late(struct export *e)
{
    if (e->deadline_ms == 0 || tn_clock_ms() < e->deadline_ms)
        return false;
    e->error = tn_error_new(e->r->c->arena, 504, "export_timeout", NULL,
                            "the client did not take the rows in time");
    return true;
}

/* The settings in front of a line of a call; those of the first one are kept. */
static size_t
take_settings(struct export *e, const char *text, size_t length)
{
    const char *first = memchr(text, TN_LINE_SETTING, length);
    const char *second;

    assert(first != NULL);
    second = memchr(first + 1, TN_LINE_SETTING, length - (size_t)(first + 1 - text));
    assert(second != NULL);
    if (e->headers == NULL) {
        e->headers = tn_arena_bytes(e->r->c->arena, text, (size_t)(first - text));
        e->status = tn_arena_bytes(e->r->c->arena, first + 1, (size_t)(second - first - 1));
    }
    return (size_t)(second + 1 - text);
}

static bool
take_row(void *context, const char *text, size_t length)
{
    struct export *e = context;
    const bool is_open = e->r->c->response->streaming;
    const size_t settings = e->plan->kind == TN_PLAN_CALL ? take_settings(e, text, length) : 0;

    append_row(e, text + settings, length - settings);
    if (e->text->len < (is_open ? PIECE : COLLECTED_MAX))
        return true;
    if (!is_open)
        e->error = begin_stream(e);
    return e->error == NULL && !is_late(e) && send_piece(e);
}

/* --- the statements --------------------------------------------------------------------------- */

static size_t
add(struct export *e, const char *name)
{
    e->queries[e->count] = tn_data_query_of(&e->statements[e->count], name);
    return e->count++;
}

static void
add_statements(struct export *e)
{
    const tn_data_request *r = e->r;
    const tn_data_state *state = tn_data_state_of(r->c);
    const tn_prefer_count count = e->plan->count;
    tn_arena *arena = r->c->arena;

    e->settings = e->total = e->estimate = NONE;
    if (state->pre_request_name != NULL) {
        tn_data_sql_pre_request(arena, state->pre_request_schema, state->pre_request_name,
                                &e->statements[e->count].sql);
        (void)add(e, "data_pre_request");
        tn_data_sql_settings(arena, &e->statements[e->count].sql);
        e->settings = add(e, "data_settings");
    }
    if (count == TN_COUNT_EXACT || (count == TN_COUNT_ESTIMATED && e->plan->kind == TN_PLAN_CALL)) {
        tn_data_sql_count(arena, e->plan, &e->statements[e->count].sql);
        e->total = add(e, "data_count");
    }
    if (e->plan->kind == TN_PLAN_READ &&
        (count == TN_COUNT_PLANNED || count == TN_COUNT_ESTIMATED)) {
        tn_data_sql_estimate(arena, e->plan, &e->statements[e->count].sql);
        e->estimate = add(e, "data_estimate");
    }
    tn_data_sql_lines(arena, e->plan, &e->statements[e->count].sql, &e->header);
    (void)add(e, "data_export");
}

/* --- the whole -------------------------------------------------------------------------------- */

/* The rest of a large answer, or what there is to say about why there is none. */
static const tn_error *
end_stream(struct export *e, const tn_error *error)
{
    tn_response *response = e->r->c->response;

    if (error == NULL && !response->client_gone)
        (void)send_piece(e);
    if (error != NULL)
        tn_response_cut(response);
    leave(e->r);
    return error;
}

/* CSV without rows is an empty line: the names of the columns come with the first row. */
static const tn_error *
respond_whole(struct export *e)
{
    if (e->rows == 0 && e->plan->media.media == TN_MEDIA_CSV)
        appendPQExpBufferChar(e->text, '\n');
    TN_TRY(set_head(e, true));
    e->r->c->response->body = tn_buffer_text(e->text);
    e->r->c->response->body_length = e->text->len;
    return NULL;
}

const tn_error *
tn_data_export(tn_data_request *r, const tn_data_plan *plan)
{
    struct export e = {.r = r, .plan = plan, .text = tn_arena_buffer(r->c->arena)};
    const tn_error *error;
    tn_db_context context;
    tn_db_work work;

    add_statements(&e);
    tn_data_work_of(r, plan, &context, &work);
    work.queries = e.queries;
    work.count = e.count;
    work.results = e.results;
    if (e.total != NONE && work.isolation == TN_READ_COMMITTED)
        work.isolation = TN_REPEATABLE_READ; /* so that the rows are those that were counted */
    if (context.statement_timeout_ms > 0)
        e.deadline_ms = tn_clock_ms() + context.statement_timeout_ms;
    error = tn_db_stream(r->c->process->db, r->c->arena, &work, take_row, &e);
    error = e.error != NULL ? e.error : error;
    if (r->c->response->streaming)
        return end_stream(&e, error);
    return error != NULL ? error : respond_whole(&e);
}
