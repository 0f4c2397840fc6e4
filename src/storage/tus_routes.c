/* storage/tus_routes.c: what /storage/v1/upload/resumable answers: tus 1.0.0 */
#include <string.h>

#include "base/text.h"
#include "storage/area.h"
#include "storage/storage.h"
#include "storage/tus.h"

#define BASE "/storage/v1/upload/resumable"

static const tn_error *serve(tn_ctx *c);

#define ROUTE(verb, at, who, class, says)                                               \
    {                                                                                   \
        verb, at, serve, .scope = TN_SCOPE_BY_POLICY, .limit = (class), .roles = (who), \
                         .waits = true, .takes_body = true, .summary = (says)           \
    }
#define OPTIONS_OF(at)                                                     \
    {                                                                      \
        "OPTIONS", at, tn_tus_options, .roles = TN_STORAGE_ANYBODY,        \
                                       .summary = "What of tus is offered" \
    }
/* Methods beyond the protocol's are there for X-HTTP-Method-Override. */
#define ONE_UPLOAD(at, who)                                                               \
    ROUTE("GET", at, who, TN_LIMIT_READ, "HEAD: how far an upload is"),                   \
        ROUTE("PATCH", at, who, TN_LIMIT_WRITE, "Go on with an upload at Upload-Offset"), \
        ROUTE("PUT", at, who, TN_LIMIT_WRITE, "The same as PATCH"),                       \
        ROUTE("POST", at, who, TN_LIMIT_WRITE, "What X-HTTP-Method-Override says"),       \
        ROUTE("DELETE", at, who, TN_LIMIT_WRITE, "Give an upload up"), OPTIONS_OF(at)

static const tn_route routes[] = {
    ROUTE("POST", BASE, TN_STORAGE_CALLERS, TN_LIMIT_WRITE, "Begin a resumable upload"),
    ROUTE("POST", BASE "/", TN_STORAGE_CALLERS, TN_LIMIT_WRITE, "The same as without the slash"),
    OPTIONS_OF(BASE),
    OPTIONS_OF(BASE "/"),
    ONE_UPLOAD(BASE "/{id}", TN_STORAGE_CALLERS),
    ROUTE("POST", BASE "/sign", TN_STORAGE_ANYBODY, TN_LIMIT_WRITE,
          "Begin one with a signed token in x-signature"),
    OPTIONS_OF(BASE "/sign"),
    ONE_UPLOAD(BASE "/sign/{id}", TN_STORAGE_ANYBODY),
    {.method = NULL},
};

/* Section "X-HTTP-Method-Override" of tus 1.0.0: it counts instead of the method. */
static const char *
method_of(const tn_ctx *c)
{
    const char *meant = tn_request_header(c->request, "x-http-method-override");

    return meant != NULL ? meant : c->request->method;
}

static bool
has_id(const tn_ctx *c)
{
    return c->match->capture_count > 0;
}

static const tn_error *
check_version(tn_ctx *c)
{
    static const char *const versions[] = {"Tus-Version", "1.0.0", NULL};
    const char *version = tn_request_header(c->request, "tus-resumable");
    tn_error *error;

    if (version != NULL && strcmp(version, "1.0.0") == 0)
        return NULL;
    error = tn_error_new(c->arena, 412, "unsupported_version", NULL,
                         "Tus-Resumable: this server speaks 1.0.0");
    error->headers = versions;
    return error;
}

static const tn_error *
refuse_method(tn_ctx *c)
{
    return tn_error_new(c->arena, 405, "method_not_allowed", NULL,
                        "uploads answer HEAD, PATCH, PUT, DELETE and OPTIONS");
}

static const tn_error *
serve(tn_ctx *c)
{
    static const struct {
        const char *method;
        bool has_id;
        tn_handler handler;
    } methods[] = {
        {"POST", false, tn_tus_post},    {"HEAD", true, tn_tus_head},
        {"PATCH", true, tn_tus_patch},   {"PUT", true, tn_tus_patch},
        {"DELETE", true, tn_tus_delete},
    };
    const char *method = method_of(c);

    if (strcmp(method, "OPTIONS") == 0)
        return tn_tus_options(c);
    TN_TRY(check_version(c));
    for (size_t i = 0; i < TN_COUNT(methods); i++)
        if (methods[i].has_id == has_id(c) && strcmp(methods[i].method, method) == 0) {
            TN_TRY(methods[i].handler(c));
            tn_response_header(c->response, "Tus-Resumable", "1.0.0");
            return NULL;
        }
    return refuse_method(c);
}

/* Plain text with the real status; a status that HTTP does not know needs its phrase. */
static void
render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
             tn_response *response)
{
    const char *text = tn_arena_printf(arena, "%s\n", error->message);

    (void)request;
    tn_response_text(response, error->status, "text/plain; charset=utf-8", text, strlen(text));
    tn_response_header(response, "Tus-Resumable", "1.0.0");
    if (error->status == 460)
        response->reason = "Checksum Mismatch";
}

/* Nobody needs to say who they are to learn what is offered. */
static const tn_error *
identify(const tn_process *process, const tn_area *area, const tn_route *route,
         const tn_request *request, tn_arena *arena, struct tn_principal *who)
{
    if (route != NULL && strcmp(route->method, "OPTIONS") == 0)
        return NULL;
    return tn_storage_identify(process, area, route, request, arena, who);
}

static void *
start(const tn_process *process)
{
    (void)process;
    return tn_tus_writers_new();
}

static void
stop(void *state)
{
    tn_tus_writers_free(state);
}

static void
on_notify(void *state, const char *channel, const char *payload)
{
    tn_tus_writers_notify(state, channel, payload);
}

const tn_area tn_storage_tus_area = {
    .name = "storage_tus",
    .prefix = BASE,
    .routes = routes,
    .any_role = true,
    .identify = identify,
    .cache_control = "no-store",
    .render_error = render_error,
    .start = start,
    .stop = stop,
    .on_notify = on_notify,
};
