/* data/read.c: what a request asks for, read out of its address, header and body */
#include <string.h>

#include "base/text.h"
#include "data/data.h"
#include "data/error.h"
#include "data/request.h"
#include "data/version.h"

static bool
is_method(const tn_data_request *r, const char *method)
{
    return strcmp(r->http->method, method) == 0;
}

/* All fields of that name, as one (RFC 9110 section 5.3); NULL when there is none. nginx
 * before 1.23 hands them on one by one. */
static const char *
joined_header(const tn_data_request *r, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; i < r->http->header_count; i++) {
        const tn_pair *header = &r->http->headers[i];

        if (strcmp(header->name, name) != 0)
            continue;
        value = value == NULL ? header->value
                              : tn_arena_printf(r->c->arena, "%s, %s", value, header->value);
    }
    return value;
}

/* --- schema ----------------------------------------------------------------------------------- */

static const tn_error *
refuse_schema(const tn_data_request *r)
{
    const tn_data_state *state = tn_data_state_of(r->c);
    PQExpBuffer list = tn_arena_buffer(r->c->arena);

    for (size_t i = 0; i < state->schema_count; i++)
        appendPQExpBuffer(list, "%s%s", i > 0 ? ", " : "", state->schemas[i]);
    return tn_error_new(r->c->arena, 406, "PGRST106", NULL,
                        "The schema must be one of the following: %s", tn_buffer_text(list));
}

static const tn_error *
read_schema(tn_data_request *r)
{
    const tn_data_state *state = tn_data_state_of(r->c);
    const bool reads = r->is_get || is_method(r, "OPTIONS");
    const char *name = tn_request_header(r->http, reads ? "accept-profile" : "content-profile");
    size_t index = 0;

    if (name != NULL)
        while (index < state->schema_count && strcmp(state->schemas[index], name) != 0)
            index++;
    if (index == state->schema_count)
        return refuse_schema(r);
    r->schema_index = index;
    r->schema = state->schemas[index];
    r->names_schema = name != NULL || state->schema_count > 1;
    return NULL;
}

/* --- query ------------------------------------------------------------------------------------ */

static const tn_error *
read_query(tn_data_request *r)
{
    const tn_config *config = r->c->config;
    const tn_data_limits limits = {.filters = config->data.max_filters,
                                   .logic_depth = config->data.max_logic_depth,
                                   .embed_depth = config->data.max_embed_depth,
                                   .items = config->data.max_items};
    const bool by_get = r->is_get || is_method(r, "OPTIONS");
    const tn_dialect dialect = r->is_call && by_get ? TN_DIALECT_CALL
                               : r->is_plain        ? TN_DIALECT_PLAIN
                                                    : TN_DIALECT_STRICT;

    return tn_data_query_parse(r->c->arena, r->http->query_text, dialect, &limits, &r->query);
}

/* --- Prefer ----------------------------------------------------------------------------------- */

/* A time zone that PostgreSQL does not know is one more thing that was not understood. */
static void
check_time_zone(tn_data_request *r)
{
    tn_prefer *prefer = &r->prefer;

    if (prefer->time_zone == NULL || tn_snapshot_has_time_zone(r->snapshot, prefer->time_zone))
        return;
    prefer->unknown = tn_arena_printf(r->c->arena, "%s%stimezone=%s",
                                      prefer->unknown != NULL ? prefer->unknown : "",
                                      prefer->unknown != NULL ? ", " : "", prefer->time_zone);
    prefer->time_zone = NULL;
}

const tn_error *
tn_data_read_prefer(tn_data_request *r)
{
    const tn_tx_end end = r->c->config->data.tx_end;
    const bool may_choose = end == TN_TX_END_COMMIT_OVERRIDE || end == TN_TX_END_ROLLBACK_OVERRIDE;
    tn_prefer *prefer = &r->prefer;

    tn_prefer_parse(r->c->arena, joined_header(r, "prefer"), prefer);
    check_time_zone(r);
    TN_TRY(tn_prefer_check(r->c->arena, prefer));
    if (!may_choose)
        prefer->tx = TN_TX_UNSET;
    if (prefer->handling != TN_HANDLING_STRICT)
        prefer->has_max_affected = false;
    r->rolls_back = prefer->tx == TN_TX_UNSET
                        ? end == TN_TX_END_ROLLBACK || end == TN_TX_END_ROLLBACK_OVERRIDE
                        : prefer->tx == TN_TX_ROLLBACK;
    return NULL;
}

/* --- Accept ----------------------------------------------------------------------------------- */

static bool
ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Types of the app's own: a function may return a domain that is named like one. */
static bool
returns_media(const tn_data_request *r, const char *media)
{
    const char *quoted = tn_arena_printf(r->c->arena, "\"%s\"", media);
    size_t count = 0;
    const tn_function *functions =
        r->is_call ? tn_snapshot_functions(r->snapshot, r->schema, r->name, &count) : NULL;

    for (size_t i = 0; i < count; i++)
        if (functions[i].returns == TN_RETURNS_SCALAR && !functions[i].returns_set &&
            ends_with(functions[i].return_type, quoted))
            return true;
    return false;
}

static bool
can_be_made(const tn_data_request *r, const tn_accepted *accepted)
{
    if (r->is_root)
        return accepted->media == TN_MEDIA_JSON || accepted->media == TN_MEDIA_OPENAPI;
    switch (accepted->media) {
    case TN_MEDIA_JSON:
    case TN_MEDIA_OBJECT:
    case TN_MEDIA_OBJECT_STRIPPED:
    case TN_MEDIA_ARRAY_STRIPPED:
    case TN_MEDIA_CSV:
        return true;
    case TN_MEDIA_NDJSON:
        return r->is_get;
    case TN_MEDIA_PLAN:
        return r->c->config->data.plan;
    case TN_MEDIA_OTHER:
        return returns_media(r, accepted->name);
    case TN_MEDIA_OPENAPI:
        break;
    }
    return false;
}

static const tn_error *
read_accept(tn_data_request *r)
{
    const tn_accepted *list;
    PQExpBuffer names = tn_arena_buffer(r->c->arena);
    size_t count;

    tn_accept_parse(r->c->arena, joined_header(r, "accept"), &list, &count);
    for (size_t i = 0; i < count; i++) {
        if (can_be_made(r, &list[i])) {
            r->media = list[i];
            return NULL;
        }
        appendPQExpBuffer(names, "%s%s", i > 0 ? ", " : "", list[i].name);
    }
    return tn_error_new(r->c->arena, 406, "PGRST107", NULL,
                        "None of these media types are available: %s", tn_buffer_text(names));
}

/* --- body ------------------------------------------------------------------------------------- */

static const tn_error *
read_body(tn_data_request *r)
{
    const tn_body_source source = {.content_type = tn_request_header(r->http, "content-type"),
                                   .text = r->http->body,
                                   .length = r->http->body_length,
                                   .is_call = r->is_call,
                                   .has_columns = r->query.has_columns && !is_method(r, "PUT"),
                                   .depth = r->c->config->data.json_depth};

    if (r->is_get || is_method(r, "DELETE") || is_method(r, "OPTIONS"))
        return NULL;
    return tn_data_body_read(r->c->arena, &source, &r->body);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* The path without the prefix of the area: what PostgREST would have seen. */
static const char *
own_path(const tn_data_request *r)
{
    const char *prefix = r->c->match->area->prefix;

    return tn_text_starts(r->http->path, prefix) ? r->http->path + strlen(prefix) : r->http->path;
}

const tn_error *
/* NOLINTNEXTLINE(readability-function-cognitive-complexity): a flat list of steps */
tn_data_read(tn_data_request *r)
{
    r->path = own_path(r);
    r->is_plain = r->c->match->area == &tn_data_plain_area;
    r->is_head = is_method(r, "HEAD");
    r->is_get = r->is_head || is_method(r, "GET");
    if (r->snapshot == NULL) {
        TN_TRY(tn_data_caller(r));
        TN_TRY(tn_catalog_take(r->c->process->catalog, r->c->arena, &r->snapshot));
    }
    if (!r->is_root)
        TN_TRY(read_query(r));
    TN_TRY(read_schema(r));
    TN_TRY(tn_data_read_prefer(r));
    TN_TRY(read_accept(r));
    TN_TRY(tn_versions_wanted(r->c->arena, joined_header(r, "if-match"), &r->if_match));
    r->if_none_match = joined_header(r, "if-none-match");
    r->has_range = is_method(r, "GET") && tn_range_parse(tn_request_header(r->http, "range"),
                                                         &r->range_first, &r->range_last);
    return read_body(r);
}
