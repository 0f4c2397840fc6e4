/* data/batch_step.c: an operation read, made a request, and its response made a result */
#include "data/batch_step.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "data/data.h"
#include "data/error.h"

#define PATH_MAX_BYTES 65536  /* as of the target of a request */
#define JOINED_MAX_BYTES 2048 /* of a header that comes in parts: each copies those before it */

/* --- reading ---------------------------------------------------------------------------------- */

static tn_error *
invalid(const tn_ctx *c, size_t place, const char *problem)
{
    return tn_error_new(c->arena, 400, "validation_failed", NULL, "operation %zu: %s", place,
                        problem);
}

/* A member that must be a text; what the client has written as null is not there. */
static const tn_error *
read_text(const tn_ctx *c, size_t place, tn_json_piece value, const char **text)
{
    *text = value.text[0] == '"' ? tn_json_piece_string(c->arena, value) : NULL;
    return *text == NULL ? invalid(c, place, "id, method, path, prefer and headers are texts")
                         : NULL;
}

static const tn_error *
add_header(const tn_ctx *c, size_t place, tn_batch_step *step, tn_pair header)
{
    static const char *const names[] = {"prefer",          "accept",       "accept-profile",
                                        "content-profile", "content-type", "if-match",
                                        "if-none-match",   "range"};
    size_t i = 0;

    while (i < TN_COUNT(names) && strcmp(names[i], header.name) != 0)
        i++;
    if (i == TN_COUNT(names))
        return invalid(c, place,
                       "its headers may be prefer, accept, accept-profile, content-profile, "
                       "content-type, if-match, if-none-match and range; the others are those of "
                       "the batch");
    assert(header.value != NULL);
    for (const char *byte = header.value; *byte != '\0'; byte++)
        if ((unsigned char)*byte < ' ' || *byte == 0x7F)
            return invalid(c, place, "a header has control characters");
    for (i = 0; i < step->header_count; i++)
        if (strcmp(step->headers[i].name, header.name) == 0) {
            if (strlen(step->headers[i].value) + strlen(header.value) > JOINED_MAX_BYTES)
                return invalid(c, place, "a header that is there twice has at most 2048 bytes");
            step->headers[i].value =
                tn_arena_printf(c->arena, "%s, %s", step->headers[i].value, header.value);
            return NULL;
        }
    step->headers[step->header_count++] = header;
    return NULL;
}

static const tn_error *
read_headers(const tn_ctx *c, size_t place, tn_json_piece object, tn_batch_step *step)
{
    tn_json_walk walk = tn_json_walk_into(object);
    tn_json_piece key, value;

    if (object.text[0] != '{')
        return invalid(c, place, "headers is an object");
    while (tn_json_walk_member(&walk, &key, &value)) {
        tn_pair header;

        TN_TRY(read_text(c, place, key, &header.name));
        TN_TRY(read_text(c, place, value, &header.value));
        header.name = tn_text_lower(c->arena, header.name);
        TN_TRY(add_header(c, place, step, header));
    }
    return NULL;
}

static const tn_error *
read_member(const tn_ctx *c, size_t place, const char *name, tn_json_piece value,
            tn_batch_step *step)
{
    const char *text;

    if (strcmp(name, "body") == 0) {
        step->body = value;
        return NULL;
    }
    if (value.text[0] == 'n') /* null: as if it were not there */
        return NULL;
    if (strcmp(name, "headers") == 0)
        return read_headers(c, place, value, step);
    if (strcmp(name, "references") == 0) {
        if (value.text[0] != 't' && value.text[0] != 'f')
            return invalid(c, place, "references is true or false");
        step->is_literal = value.text[0] == 'f';
        return NULL;
    }
    if (strcmp(name, "prefer") == 0) {
        TN_TRY(read_text(c, place, value, &text));
        return add_header(c, place, step, (tn_pair){"prefer", text});
    }
    if (strcmp(name, "id") == 0)
        return read_text(c, place, value, &step->id);
    if (strcmp(name, "method") == 0)
        return read_text(c, place, value, &step->method);
    if (strcmp(name, "path") == 0)
        return read_text(c, place, value, &step->path);
    return tn_error_new(c->arena, 400, "unknown_field", NULL, "operation %zu has a member %s",
                        place, name);
}

/* "stock", "/stock", "/api/db/stock" are the same; /rest/v1/stock has its own grammar. */
static const tn_error *
read_path(const tn_ctx *c, size_t place, tn_batch_step *step)
{
    const char *path = step->path;

    if (strlen(path) > PATH_MAX_BYTES)
        return tn_error_new(c->arena, 414, "target_too_long", "Send long values in the body.",
                            "operation %zu: its path has more than %d bytes", place,
                            PATH_MAX_BYTES);
    for (const char *byte = path; *byte != '\0'; byte++)
        if ((unsigned char)*byte < ' ' || *byte == 0x7F)
            return invalid(c, place, "its path has control characters");
    if (!tn_text_starts(path, "/api/db/") && !tn_text_starts(path, "/rest/v1/"))
        step->path = tn_arena_printf(c->arena, "/api/db/%s", path + (*path == '/'));
    return NULL;
}

static const tn_error *
check_members(const tn_ctx *c, size_t place, const tn_batch_step *step)
{
    static const char *const methods[] = {"GET", "POST", "PATCH", "PUT", "DELETE"};
    size_t i = 0;

    if (step->method == NULL || step->path == NULL)
        return invalid(c, place, "it needs a method and a path");
    while (i < TN_COUNT(methods) && strcmp(methods[i], step->method) != 0)
        i++;
    if (i == TN_COUNT(methods))
        return invalid(c, place, "its method is GET, POST, PATCH, PUT or DELETE");
    if (!tn_operation_id_is_good(step->id))
        return invalid(c, place, "its id is 1 to 64 letters, digits, - and _");
    return NULL;
}

/* Writes show what they have written, because later operations may refer to it. The first value of
 * a preference counts, so this one comes last. */
static const tn_error *
prefer_representation(const tn_ctx *c, size_t place, tn_batch_step *step)
{
    assert(step->method != NULL);
    return strcmp(step->method, "GET") == 0
               ? NULL
               : add_header(c, place, step, (tn_pair){"prefer", "return=representation"});
}

const tn_error *
tn_batch_step_read(const tn_ctx *c, tn_json_piece operation, size_t place, tn_batch_step *step)
{
    tn_json_walk walk = tn_json_walk_into(operation);
    tn_json_piece key, value;

    step->id = tn_arena_printf(c->arena, "%zu", place);
    if (operation.text[0] != '{')
        return invalid(c, place, "it is no object");
    while (tn_json_walk_member(&walk, &key, &value)) {
        const char *name = tn_json_piece_string(c->arena, key);

        TN_TRY(read_member(c, place, name != NULL ? name : "", value, step));
    }
    TN_TRY(check_members(c, place, step));
    TN_TRY(prefer_representation(c, place, step));
    return read_path(c, place, step);
}

/* --- the request ------------------------------------------------------------------------------ */

static const char *
header_of(const tn_batch_step *step, const char *name)
{
    for (size_t i = 0; i < step->header_count; i++)
        if (strcmp(step->headers[i].name, name) == 0)
            return step->headers[i].value;
    return NULL;
}

/* Those of the batch, but for what speaks of its own body and answer. */
static void
set_headers(const tn_ctx *outer, tn_batch_step *step)
{
    static const char *const own[] = {"prefer",         "accept",         "content-type",
                                      "if-match",       "if-none-match",  "range",
                                      "content-length", "idempotency-key"};
    const tn_request *sent = outer->request;
    tn_pair *headers =
        tn_arena_alloc(outer->arena, sent->header_count + step->header_count + 1, sizeof(*headers));
    size_t count = 0;

    for (size_t i = 0; i < step->header_count; i++)
        headers[count++] = step->headers[i];
    for (size_t i = 0; i < sent->header_count; i++) {
        bool is_own = header_of(step, sent->headers[i].name) != NULL;

        for (size_t k = 0; k < TN_COUNT(own); k++)
            is_own = is_own || strcmp(sent->headers[i].name, own[k]) == 0;
        if (!is_own)
            headers[count++] = sent->headers[i];
    }
    step->http.headers = headers;
    step->http.header_count = count;
}

static const tn_error *
set_target(const tn_ctx *outer, const char *target, tn_batch_step *step)
{
    const size_t length = strcspn(target, "?");

    step->http.path = tn_arena_bytes(outer->arena, target, length);
    step->http.query_text = target[length] == '?' ? target + length + 1 : "";
    if (tn_text_url_decode(outer->arena, target, length, false) == NULL ||
        tn_text_url_decode(outer->arena, step->http.query_text, strlen(step->http.query_text),
                           true) == NULL)
        return tn_error_new(outer->arena, 400, "bad_request", "Percent-encode the path as UTF-8.",
                            "the path has a broken escape, NUL, or invalid UTF-8");
    return NULL;
}

/* JSON goes on as it is; of other types the body is the text. */
static const tn_error *
set_body(const tn_ctx *outer, tn_json_piece body, tn_batch_step *step)
{
    const char *type = header_of(step, "content-type");
    const char *text = "";

    if (body.length > 0 && (type == NULL || strstr(type, "json") != NULL))
        text = tn_arena_bytes(outer->arena, body.text, body.length);
    else if (body.length > 0 && body.text[0] == '"')
        text = tn_json_piece_string(outer->arena, body);
    else if (body.length > 0)
        text = NULL;
    if (text == NULL)
        return tn_error_new(outer->arena, 400, "validation_failed", NULL,
                            "a body that is not JSON is a text without NUL");
    step->http.body = text;
    step->http.body_length = strlen(text);
    step->http.content_length = (int64_t)step->http.body_length;
    return NULL;
}

static const tn_error *
make_request(const tn_ctx *outer, const tn_references *references, tn_batch_step *step)
{
    const char *target = step->path;
    tn_json_piece body = step->body;
    PQExpBuffer filled;
    size_t count;

    if (step->has_references) {
        filled = tn_arena_buffer(outer->arena);
        TN_TRY(tn_reference_fill_path(outer->arena, references, target, filled, &count));
        target = tn_buffer_text(filled);
        filled = tn_arena_buffer(outer->arena);
        TN_TRY(tn_reference_fill_body(outer->arena, references, body, filled, &count));
        body = tn_json_piece_of(tn_buffer_text(filled), filled->len);
    }
    step->http = (tn_request){.method = step->method,
                              .remote_address = outer->request->remote_address,
                              .id = outer->request->id};
    set_headers(outer, step);
    TN_TRY(set_target(outer, target, step));
    return set_body(outer, body, step);
}

static const tn_error *
find_route(const tn_ctx *outer, tn_batch_step *step)
{
    static const tn_area *const areas[] = {&tn_data_area, &tn_data_plain_area, NULL};
    const tn_route *route;

    step->c = *outer;
    step->c.request = &step->http;
    step->c.response = &step->response;
    step->c.match = &step->match;
    step->response = (tn_response){.status = 500, .body = ""};
    tn_route_find(areas, &step->http, outer->arena, &step->match);
    route = step->match.route;
    if (route == NULL)
        return tn_error_new(outer->arena, step->match.allow == NULL ? 404 : 405,
                            step->match.allow == NULL ? "route_not_found" : "method_not_allowed",
                            NULL, "there is nothing at %s", step->http.path);
    step->r = (tn_data_request){
        .c = &step->c, .http = &step->http, .is_call = route->handler == tn_data_call};
    if (!step->r.is_call && route->handler != tn_data_relation)
        return tn_error_new(outer->arena, 400, "validation_failed", NULL,
                            "the operations of a batch are those of tables and functions");
    step->r.name = tn_path_text(&step->c, step->r.is_call ? "function" : "relation");
    return NULL;
}

static bool
is_json(tn_media media)
{
    return media == TN_MEDIA_JSON || media == TN_MEDIA_OBJECT ||
           media == TN_MEDIA_OBJECT_STRIPPED || media == TN_MEDIA_ARRAY_STRIPPED;
}

const tn_error *
tn_batch_step_ready(const tn_data_request *batch, const tn_references *references,
                    tn_batch_step *step)
{
    tn_data_request *r = &step->r;

    TN_TRY(make_request(batch->c, references, step));
    TN_TRY(find_route(batch->c, step));
    r->role = batch->role;
    r->tenant_id = batch->tenant_id;
    r->claims = batch->claims;
    r->is_anonymous = batch->is_anonymous;
    r->snapshot = batch->snapshot;
    r->is_under_way = step->has_references;
    if (r->is_call)
        TN_TRY(tn_data_check_scope(r));
    TN_TRY(tn_data_read(r));
    if (!is_json(r->media.media))
        return tn_error_new(batch->c->arena, 406, "PGRST107", "Results of a batch are JSON.",
                            "None of these media types are available: %s", r->media.name);
    r->prefer.tx = TN_TX_UNSET; /* there is one transaction, and one time zone in it */
    r->prefer.time_zone = batch->prefer.time_zone;
    TN_TRY(tn_data_plan_of(r, &step->plan));
    tn_data_queries_of(r, &step->plan, &step->queries);
    tn_data_work_of(r, &step->plan, &step->context, &step->work);
    return NULL;
}

/* --- the result ------------------------------------------------------------------------------- */

const tn_error *
tn_batch_step_respond(tn_batch_step *step, const tn_rows *const *results)
{
    const tn_data_answer answer = tn_data_answer_of(&step->queries, results);

    return tn_data_respond(&step->r, &step->plan, &answer);
}

tn_json_piece
tn_batch_step_body(const tn_batch_step *step)
{
    return tn_json_piece_of(step->response.body, step->response.body_length);
}

/* Addresses and schemas are what the batch has asked for, and a range without numbers says nothing.
 */
static bool
is_worth_it(const tn_pair *header)
{
    return !tn_text_same_case(header->name, "content-location") &&
           !tn_text_same_case(header->name, "content-profile") &&
           !tn_text_same_case(header->name, "preference-applied") &&
           !(tn_text_same_case(header->name, "content-range") && strcmp(header->value, "*/*") == 0);
}

static void
append_headers(PQExpBuffer json, const tn_batch_step *step)
{
    const tn_response *response = &step->response;
    size_t count = 0;

    for (size_t i = 0; i < response->header_count; i++) {
        if (!is_worth_it(&response->headers[i]))
            continue;
        appendPQExpBufferStr(json, count++ == 0 ? ",\"headers\":{" : ",");
        tn_buffer_json_string(json, tn_text_lower(step->c.arena, response->headers[i].name));
        appendPQExpBufferChar(json, ':');
        tn_buffer_json_string(json, response->headers[i].value);
    }
    if (count > 0)
        appendPQExpBufferChar(json, '}');
}

static void
append_done(PQExpBuffer json, const tn_batch_step *step, bool has_failed)
{
    const tn_json_piece body = tn_batch_step_body(step);

    appendPQExpBuffer(json, ",\"status\":%d%s", step->response.status,
                      has_failed ? ",\"rolled_back\":true" : "");
    append_headers(json, step);
    appendPQExpBufferStr(json, ",\"body\":");
    if (body.length > 0)
        appendBinaryPQExpBuffer(json, body.text, body.length);
    else
        appendPQExpBufferStr(json, "null");
}

void
tn_batch_step_append(PQExpBuffer json, const tn_batch_step *step, bool has_failed)
{
    appendPQExpBufferStr(json, "{\"id\":");
    tn_buffer_json_string(json, step->id);
    switch (step->result.state) {
    case TN_STEP_NOT_RUN:
        appendPQExpBufferStr(json, ",\"not_run\":true");
        break;
    case TN_STEP_DONE:
        append_done(json, step, has_failed);
        break;
    case TN_STEP_FAILED:
        appendPQExpBuffer(json, ",\"status\":%d,\"error\":", step->result.error->status);
        tn_data_error_append(json, step->result.error);
        break;
    }
    appendPQExpBufferChar(json, '}');
}
