/* data/response.c: what the database gave, as status, header fields and body */
#include <assert.h>
#include <string.h>

#include "base/crypto.h"
#include "base/text.h"
#include "data/header.h"
#include "data/request.h"
#include "data/version.h"

#define CONTENT_LOCATION_MAX 6144 /* bytes: nginx takes 16 KiB of an answer's head */

static bool
is_page(const tn_data_plan *plan)
{
    return plan->kind == TN_PLAN_READ || plan->kind == TN_PLAN_CALL;
}

/* --- header fields ---------------------------------------------------------------------------- */

const char *
tn_data_applied(const tn_data_request *r, const tn_data_plan *plan)
{
    tn_prefer applied = r->prefer;
    const bool is_insert = plan->kind == TN_PLAN_INSERT;
    const bool is_call = plan->kind == TN_PLAN_CALL;

    if (!is_insert || plan->resolution == TN_RESOLUTION_NONE)
        applied.resolution = TN_RESOLUTION_NONE;
    if (is_page(plan))
        applied.returning = TN_RETURN_DEFAULT;
    if (!is_insert && plan->kind != TN_PLAN_UPDATE)
        applied.missing = TN_MISSING_UNSET;
    applied.single_object = is_call && applied.single_object;
    applied.has_max_affected =
        applied.has_max_affected &&
        (is_call || plan->kind == TN_PLAN_UPDATE || plan->kind == TN_PLAN_DELETE);
    return tn_prefer_applied(r->c->arena, &applied);
}

void
tn_data_profile_header(const tn_data_request *r)
{
    if (r->names_schema)
        tn_response_header(r->c->response, "Content-Profile", r->schema);
}

void
tn_data_content_type(const tn_data_request *r, const tn_data_plan *plan)
{
    r->c->response->content_type = tn_accepted_content_type(r->c->arena, &plan->media);
    tn_data_profile_header(r);
}

/* The request with its parameters sorted by name; those of one name are joined by commas. */
static void
append_parameters(const tn_data_request *r, PQExpBuffer location)
{
    const tn_request *http = r->http;
    bool *is_done = tn_arena_alloc(r->c->arena, http->query_count, sizeof(*is_done));
    char separator = '?';

    for (;;) {
        const char *name = NULL;
        char equals = '=';

        for (size_t i = 0; i < http->query_count; i++)
            if (!is_done[i] && (name == NULL || strcmp(http->query[i].name, name) < 0))
                name = http->query[i].name;
        if (name == NULL)
            return;
        appendPQExpBufferChar(location, separator);
        tn_header_append_encoded(location, name);
        for (size_t i = 0; i < http->query_count; i++) {
            assert(http->query[i].name != NULL);
            if (is_done[i] || strcmp(http->query[i].name, name) != 0)
                continue;
            is_done[i] = true;
            appendPQExpBufferChar(location, equals);
            tn_header_append_encoded(location, http->query[i].value);
            equals = ',';
        }
        separator = '&';
    }
}

/* "/Odd Names": the name as it is, but for what a header field cannot have. */
static void
append_path(const tn_data_request *r, PQExpBuffer location)
{
    appendPQExpBufferChar(location, '/');
    for (const char *c = r->name; *c != '\0'; c++)
        appendPQExpBuffer(location, *c >= ' ' && *c <= '~' ? "%c" : "%%%02X",
                          (unsigned int)(unsigned char)*c);
}

/* "/gardens?id=gt.3&select=id"; left out where it would be very long, as nobody reads it. */
void
tn_data_content_location(const tn_data_request *r)
{
    PQExpBuffer location;

    if (strlen(r->http->query_text) > CONTENT_LOCATION_MAX)
        return;
    location = tn_arena_buffer(r->c->arena);
    append_path(r, location);
    append_parameters(r, location);
    if (location->len <= CONTENT_LOCATION_MAX)
        tn_response_header(r->c->response, "Content-Location", tn_buffer_text(location));
}

/* Where the one new row is: "/grid?x=eq.9&y=eq.a%20b%26c". */
static const tn_error *
set_location(const tn_data_request *r, const char *key)
{
    PQExpBuffer location = tn_arena_buffer(r->c->arena);
    json_object *object = NULL;
    char separator = '?';

    TN_TRY(tn_json_parse(r->c->arena, key, strlen(key), TN_JSON_DEPTH, &object));
    append_path(r, location);
    json_object_object_foreach(object, name, value)
    {
        appendPQExpBufferChar(location, separator);
        tn_header_append_encoded(location, name);
        appendPQExpBufferStr(location, value != NULL ? "=eq." : "=is.null");
        if (value != NULL)
            tn_header_append_encoded(location, json_object_get_string(value));
        separator = '&';
    }
    tn_response_header(r->c->response, "Location", tn_buffer_text(location));
    return NULL;
}

const tn_error *
tn_data_override(tn_data_request *r, const char *list, const char *status)
{
    const char *const *headers;
    int64_t number;

    if (list != NULL) {
        if (!tn_headers_of_list(r->c->arena, list, &headers))
            return tn_error_new(r->c->arena, 500, "PGRST111", NULL,
                                "response.headers guc must be a JSON array composed of objects "
                                "with a single key and a string value");
        tn_headers_replace(r->c->response, headers);
    }
    if (status == NULL)
        return NULL;
    if (!tn_text_int(status, 200, 599, &number))
        return tn_error_new(r->c->arena, 500, "PGRST112", NULL,
                            "response.status guc must be a valid status code");
    r->c->response->status = (int)number;
    return NULL;
}

/* --- pages ------------------------------------------------------------------------------------ */

int64_t
tn_data_estimated_rows(const tn_data_request *r, const tn_rows *rows)
{
    const char *text = tn_rows_count(rows) > 0 ? tn_rows_text(rows, 0, 0) : NULL;
    json_object *plan = NULL;

    if (text == NULL || tn_json_parse(r->c->arena, text, strlen(text), 1000, &plan) != NULL ||
        !json_object_is_type(plan, json_type_array) || json_object_array_length(plan) == 0)
        return -1;
    return tn_json_int(tn_json_get(json_object_array_get_idx(plan, 0), "Plan"), "Plan Rows", -1);
}

static void
find_total(const tn_data_request *r, const tn_data_plan *plan, const tn_data_answer *answer,
           tn_page *page)
{
    const int64_t counted = tn_rows_int(answer->rows, 0, TN_ANSWER_TOTAL, -1);
    const int64_t estimated =
        answer->estimate != NULL ? tn_data_estimated_rows(r, answer->estimate) : -1;

    page->total = counted;
    if (plan->count == TN_COUNT_PLANNED ||
        (plan->count == TN_COUNT_ESTIMATED && counted > plan->max_rows && estimated > counted))
        page->total = estimated;
    page->has_total = page->total >= 0;
}

static tn_page
page_of(const tn_data_request *r, const tn_data_plan *plan, const tn_data_answer *answer)
{
    tn_page page = {.first = plan->root != NULL ? plan->root->offset : 0,
                    .count = tn_rows_int(answer->rows, 0, TN_ANSWER_ROWS, 0)};

    if (plan->count != TN_COUNT_NONE)
        find_total(r, plan, answer, &page);
    return page;
}

const tn_error *
tn_data_refuse_range(const tn_data_request *r, const tn_data_plan *plan, const tn_page *page)
{
    const tn_response *response = r->c->response;
    tn_error *error =
        tn_error_new(r->c->arena, 416, "PGRST103", NULL, "Requested range not satisfiable");
    const char **headers =
        tn_arena_alloc(r->c->arena, 2 * response->header_count + 3, sizeof(*headers));

    error->details = tn_arena_printf(
        r->c->arena, "An offset of %lld was requested, but there are only %lld rows.",
        (long long)page->first, (long long)page->total);
    for (size_t i = 0; i < response->header_count; i++) {
        headers[2 * i] = response->headers[i].name;
        headers[2 * i + 1] = response->headers[i].value;
    }
    headers[2 * response->header_count] = "Preference-Applied";
    headers[2 * response->header_count + 1] = tn_data_applied(r, plan);
    error->headers = headers;
    return error;
}

static void
set_etag(const tn_data_request *r, const tn_rows *rows)
{
    tn_response *response = r->c->response;
    const char *version = tn_rows_text(rows, 0, TN_ANSWER_ETAG);

    if (version == NULL)
        return;
    tn_response_header(response, "ETag", tn_version_tag(r->c->arena, version));
    if (r->is_get && response->status == 200 && tn_version_is_known(r->if_none_match, version))
        tn_response_empty(response, 304);
}

static void
set_body(const tn_data_request *r, const tn_rows *rows)
{
    const char *body = tn_rows_text(rows, 0, TN_ANSWER_BODY);

    r->c->response->body = body != NULL ? body : "";
    r->c->response->body_length = body != NULL ? tn_rows_length(rows, 0, TN_ANSWER_BODY) : 0;
}

/* Bytes as PostgreSQL writes them: \x00ff. */
static void
decode_bytes(tn_arena *arena, tn_response *response)
{
    const size_t length = response->body_length >= 2 ? response->body_length / 2 - 1 : 0;
    char *bytes = tn_arena_alloc(arena, length + 1, 1);

    if (!tn_text_starts(response->body, "\\x") || !tn_hex_decode(response->body + 2, bytes, length))
        return;
    response->body = bytes;
    response->body_length = length;
}

/* The value itself, of a function that returns a media type: SQL gives it as a JSON string. */
static const tn_error *
set_raw_body(const tn_data_request *r, const tn_function *function)
{
    tn_response *response = r->c->response;
    json_object *value = NULL;

    TN_TRY(tn_json_parse(r->c->arena, response->body, response->body_length, 1000, &value));
    if (!json_object_is_type(value, json_type_string))
        return NULL; /* of numbers and JSON the text is the value; null is nothing */
    response->body = json_object_get_string(value);
    response->body_length = (size_t)json_object_get_string_len(value);
    if (strcmp(function->result->base_type, "bytea") == 0)
        decode_bytes(r->c->arena, response);
    return NULL;
}

static bool
is_void(const tn_data_plan *plan)
{
    return plan->kind == TN_PLAN_CALL && plan->function->returns == TN_RETURNS_VOID &&
           !plan->function->returns_set;
}

static const tn_error *
respond_page(tn_data_request *r, const tn_data_plan *plan, const tn_data_answer *answer)
{
    tn_page page = page_of(r, plan, answer);
    tn_response *response = r->c->response;

    response->status = tn_page_status(&page);
    if (response->status == 416)
        page.count = 0;
    tn_response_header(response, "Content-Range", tn_page_content_range(r->c->arena, &page));
    if (plan->kind == TN_PLAN_READ)
        tn_data_content_location(r);
    if (is_void(plan)) {
        tn_response_empty(response, 204);
        return NULL;
    }
    tn_data_content_type(r, plan);
    if (response->status == 416)
        return tn_data_refuse_range(r, plan, &page);
    set_body(r, answer->rows);
    if (plan->media.media == TN_MEDIA_OTHER && !r->is_head)
        TN_TRY(set_raw_body(r, plan->function));
    set_etag(r, answer->rows);
    return NULL;
}

/* --- writes ----------------------------------------------------------------------------------- */

/* 201 says that something is new: an upsert that only changed rows answers 200. */
static int
insert_status(const tn_data_plan *plan, const tn_rows *rows)
{
    return plan->resolution == TN_RESOLUTION_MERGE &&
                   tn_rows_int(rows, 0, TN_ANSWER_INSERTED, 0) == 0
               ? 200
               : 201;
}

static int
write_status(const tn_data_plan *plan, const tn_rows *rows)
{
    const bool shows = plan->returning == TN_RETURN_REPRESENTATION;

    switch (plan->kind) {
    case TN_PLAN_INSERT:
        return insert_status(plan, rows);
    case TN_PLAN_PUT:
        return !shows ? 204 : tn_rows_int(rows, 0, TN_ANSWER_INSERTED, 0) > 0 ? 201 : 200;
    case TN_PLAN_UPDATE:
    case TN_PLAN_DELETE:
        return shows ? 200 : 204;
    case TN_PLAN_READ:
    case TN_PLAN_CALL:
        break;
    }
    assert(false);
    return 500;
}

/* Of an update the rows count from 0; of an insert and a delete only their number is told, if it
 * was asked for; a put says nothing. */
static void
set_write_range(const tn_data_request *r, const tn_data_plan *plan, const tn_rows *rows)
{
    const int64_t affected = tn_rows_int(rows, 0, TN_ANSWER_ROWS, 0);
    const tn_page page = {.count = plan->kind == TN_PLAN_UPDATE ? affected : 0,
                          .has_total = r->prefer.count == TN_COUNT_EXACT ||
                                       r->prefer.count == TN_COUNT_ESTIMATED,
                          .total = affected};

    if (plan->kind != TN_PLAN_PUT)
        tn_response_header(r->c->response, "Content-Range",
                           tn_page_content_range(r->c->arena, &page));
}

static const tn_error *
respond_write(tn_data_request *r, const tn_data_plan *plan, const tn_data_answer *answer)
{
    const char *key = tn_rows_text(answer->rows, 0, TN_ANSWER_LOCATION);
    tn_response *response = r->c->response;

    tn_response_empty(response, write_status(plan, answer->rows));
    set_write_range(r, plan, answer->rows);
    if (key != NULL && plan->kind == TN_PLAN_INSERT)
        TN_TRY(set_location(r, key));
    if (plan->returning == TN_RETURN_REPRESENTATION) {
        tn_data_content_type(r, plan);
        set_body(r, answer->rows);
        set_etag(r, answer->rows);
    }
    return NULL;
}

/* --- plans ------------------------------------------------------------------------------------ */

/* EXPLAIN's output, line by line. */
static const tn_error *
respond_explanation(tn_data_request *r, const tn_data_plan *plan, const tn_data_answer *answer)
{
    PQExpBuffer text = tn_arena_buffer(r->c->arena);

    for (size_t i = 0; i < tn_rows_count(answer->rows); i++)
        appendPQExpBuffer(text, "%s%s", i > 0 ? "\n" : "", tn_rows_text(answer->rows, i, 0));
    tn_response_text(r->c->response, 200, NULL, tn_buffer_text(text), text->len);
    tn_data_content_type(r, plan);
    return NULL;
}

/* --- the whole -------------------------------------------------------------------------------- */

const tn_error *
tn_data_respond(tn_data_request *r, const tn_data_plan *plan, const tn_data_answer *answer)
{
    const char *applied = tn_data_applied(r, plan);

    if (plan->media.media == TN_MEDIA_PLAN)
        return respond_explanation(r, plan, answer);
    TN_TRY(is_page(plan) ? respond_page(r, plan, answer) : respond_write(r, plan, answer));
    if (applied != NULL)
        tn_response_header(r->c->response, "Preference-Applied", applied);
    return tn_data_override(r, tn_rows_text(answer->rows, 0, TN_ANSWER_HEADERS),
                            tn_rows_text(answer->rows, 0, TN_ANSWER_STATUS));
}
