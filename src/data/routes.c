/* data/routes.c: what /rest/v1 and /api/db answer, and what they keep in a process
 *
 * Everybody may call everything: grants and row security decide what comes of it. Only the platform
 * may not, as it belongs to no tenant.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "data/batch.h"
#include "data/data.h"
#include "data/error.h"
#include "data/openapi.h"
#include "data/request.h"

#define CALLERS (TN_ANYBODY | TN_ROLE_CUSTOM)

static const tn_route routes[] = {
    {"GET", "/rest/v1/{relation}", tn_data_relation, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "Rows of a table or view"},
    {"POST", "/rest/v1/{relation}", tn_data_relation, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Insert rows, or upsert them"},
    {"PATCH", "/rest/v1/{relation}", tn_data_relation, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Update the rows that match"},
    {"PUT", "/rest/v1/{relation}", tn_data_relation, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Insert or replace the row with this key"},
    {"DELETE", "/rest/v1/{relation}", tn_data_relation, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Delete the rows that match"},
    {"OPTIONS", "/rest/v1/{relation}", tn_data_options, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "What can be done with a table or view"},
    {"GET", "/rest/v1/rpc/{function}", tn_data_call, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "Call a function that only reads"},
    {"POST", "/rest/v1/rpc/{function}", tn_data_call, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Call a function"},
    {"OPTIONS", "/rest/v1/rpc/{function}", tn_data_call_options, .limit = TN_LIMIT_READ,
     .roles = CALLERS, .summary = "How a function can be called"},
    {"GET", "/rest/v1", tn_data_openapi, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "The same as with the slash"},
    {"GET", "/rest/v1/", tn_data_openapi, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "The data API as a Swagger 2.0 document: what the caller may use"},
    {"OPTIONS", "/rest/v1/", tn_data_root_options, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "How the description of the data API can be asked for"},
    {.method = NULL},
};

static const tn_route plain_routes[] = {
    {"GET", "/api/db/{relation}", tn_data_relation, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "Rows of a table or view; column=value is equality"},
    {"POST", "/api/db/{relation}", tn_data_relation, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Insert rows, or upsert them"},
    {"PATCH", "/api/db/{relation}", tn_data_relation, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Update the rows that match"},
    {"PUT", "/api/db/{relation}", tn_data_relation, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Insert or replace the row with this key"},
    {"DELETE", "/api/db/{relation}", tn_data_relation, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Delete the rows that match"},
    {"POST", "/api/db/batch", tn_data_batch, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Several operations in one transaction"},
    {"OPTIONS", "/api/db/{relation}", tn_data_options, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "What can be done with a table or view"},
    {"GET", "/api/db/rpc/{function}", tn_data_call, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "Call a function that only reads"},
    {"POST", "/api/db/rpc/{function}", tn_data_call, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Call a function"},
    {"OPTIONS", "/api/db/rpc/{function}", tn_data_call_options, .limit = TN_LIMIT_READ,
     .roles = CALLERS, .summary = "How a function can be called"},
    {.method = NULL},
};

/* --- state ------------------------------------------------------------------------------------ */

static void
append_name(PQExpBuffer path, const char *name)
{
    appendPQExpBufferStr(path, path->len > 0 ? ", " : "");
    tn_buffer_identifier(path, name);
}

/* The schema, and what stands behind it. */
static const char *
search_path(tn_arena *arena, const char *schema, const char *const *extra, size_t count)
{
    PQExpBuffer path = tn_arena_buffer(arena);

    append_name(path, schema);
    for (size_t i = 0; i < count; i++)
        if (strcmp(extra[i], schema) != 0)
            append_name(path, extra[i]);
    return tn_buffer_text(path);
}

static void
read_pre_request(tn_data_state *state, const char *text)
{
    const char *dot = strchr(text, '.');

    if (*text == '\0')
        return;
    state->pre_request_schema =
        dot != NULL ? tn_arena_bytes(state->arena, text, (size_t)(dot - text)) : state->schemas[0];
    state->pre_request_name = tn_arena_text(state->arena, dot != NULL ? dot + 1 : text);
}

/* Of both areas together half of the connections: the rest is for requests that take milliseconds.
 */
static int
export_max(const tn_process *process)
{
    const tn_config *config = process->config;
    const int64_t connections =
        strcmp(process->pool, "stream") == 0 ? config->stream.connections : config->api.connections;

    return connections < 8 ? 1 : (int)(connections / 4);
}

static void *
start(const tn_process *process)
{
    tn_data_state *state = calloc(1, sizeof(*state));
    const char *const *extra;
    const char **paths;
    size_t extra_count;

    if (state == NULL)
        tn_die("out of memory");
    state->arena = tn_arena_new();
    state->schemas =
        tn_text_split(state->arena, process->config->data.schemas, &state->schema_count);
    if (state->schema_count == 0)
        tn_die("data.schemas names no schema");
    extra = tn_text_split(state->arena, process->config->data.extra_search_path, &extra_count);
    paths = tn_arena_alloc(state->arena, state->schema_count, sizeof(*paths));
    for (size_t i = 0; i < state->schema_count; i++)
        paths[i] = search_path(state->arena, state->schemas[i], extra, extra_count);
    state->search_paths = paths;
    read_pre_request(state, process->config->data.pre_request);
    state->exports = tn_arena_alloc(state->arena, 1, sizeof(*state->exports));
    state->export_max = export_max(process);
    return state;
}

static void
stop(void *given)
{
    tn_data_state *state = given;

    tn_arena_free(state->arena);
    free(state);
}

static size_t
body_max(const tn_config *config)
{
    return (size_t)config->data.body_max;
}

/* --- areas ------------------------------------------------------------------------------------ */

const tn_area tn_data_area = {
    .name = "data",
    .prefix = "/rest/v1",
    .routes = routes,
    .any_role = true,
    .token_leeway_s = TN_TOKEN_LEEWAY_S,
    .body_max = body_max,
    .render_error = tn_data_render_error,
    .start = start,
    .stop = stop,
};

const tn_area tn_data_plain_area = {
    .name = "db",
    .prefix = "/api/db",
    .routes = plain_routes,
    .any_role = true,
    .token_leeway_s = TN_TOKEN_LEEWAY_S,
    .body_max = body_max,
    .render_error = tn_data_render_error,
    .start = start,
    .stop = stop,
};
