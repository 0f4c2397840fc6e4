/* http/route.c: path and method → the row of a table */
#include "http/route.h"

#include <assert.h>

#include "base/text.h"

/* The area whose prefix fits the path best. The fallback's prefix is empty, so there is always one.
 */
static const tn_area *
find_area(const tn_area *const *areas, const char *path)
{
    const tn_area *best = NULL;
    size_t best_length = 0;

    for (; *areas != NULL; areas++) {
        const size_t length = strlen((*areas)->prefix);
        const bool fits = strncmp(path, (*areas)->prefix, length) == 0 &&
                          (path[length] == '/' || path[length] == '\0');

        if (fits && (best == NULL || length > best_length)) {
            best = *areas;
            best_length = length;
        }
    }
    assert(best != NULL);
    return best;
}

/* {name...} */
static bool
is_tail(const char *pattern, size_t length)
{
    return length > 5 && memcmp(pattern + length - 4, "...}", 4) == 0;
}

/* Compares pattern and path, segment by segment. `literals` counts the segments that were equal, so
 * that /chats/messages wins over /chats/{id}. */
static bool
fits(const char *pattern, const char *path, tn_arena *arena, tn_match *match, int *literals)
{
    match->capture_count = 0;
    *literals = 0;
    while (*pattern == '/' && *path == '/') {
        size_t pattern_length = strcspn(++pattern, "/");
        size_t length = strcspn(++path, "/");

        if (is_tail(pattern, pattern_length))
            length = strlen(path);
        if (*pattern == '{') {
            tn_pair *capture = &match->captures[match->capture_count];

            if (length == 0 || match->capture_count == TN_COUNT(match->captures))
                return false;
            capture->name = tn_arena_bytes(arena, pattern + 1, strcspn(pattern, ".}") - 1);
            capture->value = tn_text_url_decode(arena, path, length, false);
            if (capture->value == NULL)
                return false;
            match->capture_count++;
        } else {
            if (length != pattern_length || memcmp(pattern, path, length) != 0)
                return false;
            ++*literals;
        }
        pattern += pattern_length;
        path += length;
    }
    return *pattern == '\0' && *path == '\0';
}

static void
add_allowed(PQExpBuffer allow, const char *method)
{
    if (strstr(allow->data, method) != NULL)
        return;
    appendPQExpBuffer(allow, "%s%s", allow->len > 0 ? ", " : "", method);
    if (strcmp(method, "GET") == 0)
        appendPQExpBufferStr(allow, ", HEAD");
}

void
tn_route_find(const tn_area *const *areas, const tn_request *request, tn_arena *arena,
              tn_match *match)
{
    const char *method = strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
    PQExpBuffer allow = tn_arena_buffer(arena);
    int best = -1;

    *match = (tn_match){.area = find_area(areas, request->path)};
    for (const tn_route *route = match->area->routes; route->method != NULL; route++) {
        tn_match attempt = *match;
        int literals;

        if (!fits(route->path, request->path, arena, &attempt, &literals))
            continue;
        if (strcmp(route->method, method) != 0) {
            add_allowed(allow, route->method);
        } else if (literals > best) {
            attempt.route = route;
            *match = attempt;
            best = literals;
        }
    }
    if (match->route == NULL && allow->len > 0)
        match->allow = tn_buffer_text(allow);
}

void
tn_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                tn_response *response)
{
    PQExpBuffer json = tn_arena_buffer(arena);

    appendPQExpBufferStr(json, "{\"code\":");
    tn_buffer_json_string(json, error->code);
    appendPQExpBufferStr(json, ",\"message\":");
    tn_buffer_json_string(json, error->message);
    appendPQExpBufferStr(json, ",\"details\":");
    tn_buffer_json_string(json, error->details);
    appendPQExpBufferStr(json, ",\"hint\":");
    tn_buffer_json_string(json, error->hint);
    if (error->members != NULL)
        appendPQExpBuffer(json, ",%s", error->members);
    appendPQExpBufferStr(json, ",\"request_id\":");
    tn_buffer_json_string(json, request->id);
    appendPQExpBufferChar(json, '}');
    tn_response_json(response, error->status, tn_buffer_text(json));
}
