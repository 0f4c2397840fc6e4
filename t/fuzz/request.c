/* t/fuzz/request.c: FastCGI parameters become a request that is text throughout, or a 4xx
 *
 * The input is lines: method, target, then one parameter a line. What was read of the query,
 * escaped and read again, is the same; so is the path, and every request finds an area.
 */
#include <fcgiapp.h>

#include <string.h>

#include "base/text.h"
#include "http/fcgi.h"
#include "http/route.h"
#include "t/fuzz/fuzz.h"

#define PARAMETERS 16
#define HEADER_MAX 4096

static const tn_route chat_routes[] = {
    {"GET", "/api/chats/{id}", NULL, .summary = ""},
    {"POST", "/api/chats/{id}/messages", NULL, .summary = ""},
    {"GET", "/api/chats/runs/{run_id}/events", NULL, .summary = ""},
    {.method = NULL},
};
static const tn_route no_routes[] = {{.method = NULL}};
static const tn_area chat = {.name = "chat", .prefix = "/api", .routes = chat_routes};
static const tn_area rest = {.name = "rest", .prefix = "", .routes = no_routes};
static const tn_area *const areas[] = {&chat, &rest, NULL};

static void
check_text(const char *text)
{
    assert(text != NULL && tn_text_is_utf8(text, strlen(text)));
}

/* Builds the request and checks what holds for each. NULL when it was refused. */
static const tn_error *
build(tn_arena *arena, char **parameters, tn_request *request)
{
    tn_fcgi *fcgi = tn_arena_alloc(arena, 1, sizeof(*fcgi));
    const tn_error *error;
    tn_match match;

    fcgi->fcgx = tn_arena_alloc(arena, 1, sizeof(*fcgi->fcgx));
    fcgi->fcgx->envp = parameters;
    error = tn_request_build(request, arena, fcgi, HEADER_MAX);
    assert(error == NULL || (error->status >= 400 && error->status < 500));
    for (size_t i = 0; i < request->query_count; i++) {
        check_text(request->query[i].name);
        check_text(request->query[i].value);
    }
    for (size_t i = 0; i < request->header_count; i++) {
        check_text(request->headers[i].value);
        assert(tn_request_header(request, request->headers[i].name) != NULL);
    }
    check_text(tn_request_headers_json(request, arena));
    tn_route_find(areas, request, arena, &match);
    assert(match.area != NULL && (match.route == NULL || match.allow == NULL));
    for (size_t i = 0; i < match.capture_count; i++)
        check_text(match.captures[i].value);
    return error;
}

static void
escape(PQExpBuffer out, const char *text)
{
    for (; *text != '\0'; text++)
        appendPQExpBuffer(out, "%%%02X", (unsigned int)(uint8_t)*text);
}

static void
check_again(tn_arena *arena, const tn_request *first)
{
    PQExpBuffer target = tn_arena_buffer(arena);
    tn_request second;

    appendPQExpBuffer(target, "REQUEST_URI=%s?", first->path);
    for (size_t i = 0; i < first->query_count; i++) {
        escape(target, first->query[i].name);
        appendPQExpBufferChar(target, '=');
        escape(target, first->query[i].value);
        appendPQExpBufferChar(target, '&');
    }
    if (target->len > 65536)
        return; /* three times as long may be too long */
    char *parameters[] = {tn_arena_printf(arena, "REQUEST_METHOD=%s", first->method), target->data,
                          NULL};
    assert(build(arena, parameters, &second) == NULL);
    assert(strcmp(first->path, second.path) == 0);
    assert(first->query_count == second.query_count);
    for (size_t i = 0; i < first->query_count; i++) {
        assert(strcmp(first->query[i].name, second.query[i].name) == 0);
        assert(strcmp(first->query[i].value, second.query[i].value) == 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    char *text = tn_arena_bytes(arena, bytes, length), *parameters[PARAMETERS + 1] = {NULL};
    tn_request request;

    for (size_t i = 0; i < PARAMETERS && text != NULL; i++) {
        const char *line = strsep(&text, "\n");

        parameters[i] = i == 0   ? tn_arena_printf(arena, "REQUEST_METHOD=%s", line)
                        : i == 1 ? tn_arena_printf(arena, "REQUEST_URI=%s", line)
                                 : tn_arena_text(arena, line);
    }
    if (build(arena, parameters, &request) == NULL)
        check_again(arena, &request);
    tn_arena_free(arena);
    return 0;
}
