/* server/dispatch.c: the way of one request, in the order of DESIGN section 3 */
#include "server/dispatch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/fcgi.h"
#include "identity/activity.h"
#include "identity/ctx.h"
#include "identity/limit.h"
#include "identity/principal.h"

static const tn_error *
refuse_unknown(const tn_request *request, const tn_match *match, tn_arena *arena,
               tn_response *response)
{
    if (match->allow == NULL)
        return tn_error_new(arena, 404, "route_not_found",
                            "The routes are listed in docs/reference/routes.md.",
                            "there is nothing at %s", request->path);
    tn_response_header(response, "Allow", match->allow);
    return tn_error_new(arena, 405, "method_not_allowed", NULL, "%s answers %s, not %s",
                        match->route != NULL ? match->route->path : request->path, match->allow,
                        request->method);
}

/* May this caller use this route? Who has shown nothing gets 401, who has shown too little 403. */
static const tn_error *
authorise(const tn_principal *who, const tn_route *route, tn_arena *arena)
{
    if ((route->roles & TN_ROLE_NONE) == 0 && who->token_error != NULL)
        return who->token_error;
    if ((route->roles & who->role) == 0) {
        if (who->role == TN_ROLE_NONE)
            return tn_error_new(arena, 401, "no_api_key",
                                "Send the tenant's key in the header apikey.",
                                "the request has no API key and no token");
        if (who->role == TN_ROLE_ANON)
            return tn_error_new(arena, 401, "no_authorization",
                                "Send a user's access token as Authorization: Bearer.",
                                "this needs a signed-in user or a secret key");
        return tn_error_new(arena, 403, "role_not_allowed",
                            who->role == TN_ROLE_PLATFORM ? "Use a key of the tenant." : NULL,
                            "the role %s may not call this", who->role_name);
    }
    if (who->role == TN_ROLE_AGENT && (route->roles & TN_ROLE_NONE) == 0 &&
        (route->scope == NULL || (strcmp(route->scope, TN_SCOPE_BY_POLICY) != 0 &&
                                  !tn_principal_has_scope(who, route->scope))))
        return tn_error_new(
            arena, 403, "scope_missing", "Give the agent's key the scope, or use another key.",
            "the key lacks the scope %s", route->scope != NULL ? route->scope : "for this");
    return NULL;
}

/* Whose bucket it is, besides the address's. A publishable key is nobody's in particular: all
 * visitors of an app have the same. */
static const char *
limit_subject(const tn_principal *who)
{
    if (who->user_id.text[0] != '\0')
        return who->user_id.text;
    return who->role == TN_ROLE_ANON ? "" : who->key_id.text;
}

/* Of all its keys and tokens together. */
static const tn_error *
take_agent_rate(const tn_dispatch *dispatch, const tn_ctx *c)
{
    if (c->who->rate_per_minute == 0)
        return NULL;
    return tn_limits_take_agent(dispatch->process->limits, c->arena, c->who->agent_id.text,
                                c->who->rate_per_minute);
}

static const tn_error *
take_limit(const tn_dispatch *dispatch, const tn_ctx *c)
{
    const tn_error *error;

    error = take_agent_rate(dispatch, c);
    if (error == NULL && c->match->route->limit != TN_LIMIT_NONE && c->config->limits.enabled)
        error =
            tn_limits_take(dispatch->process->limits, c->config, c->arena, c->match->route->limit,
                           c->request->remote_address, limit_subject(c->who));
    if (error != NULL)
        atomic_fetch_add_explicit(&dispatch->process->metrics->rate_limited, 1,
                                  memory_order_relaxed);
    return error;
}

static void *
state_of(const tn_dispatch *dispatch, const tn_area *area)
{
    for (size_t i = 0; dispatch->areas[i] != NULL; i++)
        if (dispatch->areas[i] == area)
            return dispatch->states[i];
    return NULL;
}

static bool
has_body(const tn_request *request)
{
    return strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0;
}

static size_t
body_max(const tn_ctx *c)
{
    const tn_area *area = c->match->area;

    if (c->match->route->body_max > 0)
        return c->match->route->body_max;
    return area->body_max != NULL ? area->body_max(c->config) : (size_t)c->config->server.body_max;
}

static const tn_error *
identify(const tn_dispatch *dispatch, const tn_ctx *c, tn_principal *who)
{
    const tn_area *area = c->match->area;

    if (area->identify != NULL)
        return area->identify(dispatch->process, area, c->match->route, c->request, c->arena, who);
    return tn_principal_identify(dispatch->process, area, c->request, c->arena, who);
}

/* An upload whose body has not been read. What was refused and now would not be (a limit that has
 * been lifted meanwhile) has lost its chance: nginx no longer has a way to take the body. */
static const tn_error *
admit(tn_ctx *c)
{
    tn_error *error;

    if (c->match->route->admit != NULL)
        TN_TRY(c->match->route->admit(c));
    if (c->request->phase == TN_PHASE_ADMIT)
        return tn_respond_empty(c, 204);
    if (!c->match->route->takes_body && c->request->content_length > (int64_t)body_max(c))
        return tn_error_new(c->arena, 413, "body_too_large", NULL,
                            "the body has %lld bytes, at most %zu are allowed here",
                            (long long)c->request->content_length, body_max(c));
    error = tn_error_new(c->arena, 503, "unavailable", "Try again.",
                         "the upload was refused a moment ago");
    error->retry_after_s = 1;
    return error;
}

static const tn_error *
run(const tn_dispatch *dispatch, tn_ctx *c, tn_request *request, tn_principal *who, bool overloaded)
{
    const tn_route *route = c->match->route;

    if (route == NULL)
        return refuse_unknown(request, c->match, c->arena, c->response);
    TN_TRY(identify(dispatch, c, who));
    TN_TRY(authorise(who, route, c->arena));
    if (request->phase != TN_PHASE_ADMITTED && request->phase != TN_PHASE_SEND)
        TN_TRY(take_limit(dispatch, c)); /* once for each request, however often nginx asks */
    if (request->phase == TN_PHASE_ADMIT || request->phase == TN_PHASE_REFUSE)
        return admit(c);
    if (overloaded && route->waits) {
        tn_error *error =
            tn_error_new(c->arena, 503, "overloaded", "Try again in a moment.",
                         "as many answers are being written as this server is set up for");
        error->retry_after_s = 1;
        return error;
    }
    if (has_body(request) && !route->takes_body)
        TN_TRY(tn_request_read_body(request, c->arena, body_max(c)));
    return route->handler(c);
}

static void
render(const tn_ctx *c, const tn_error *error)
{
    c->response->header_count = c->match->allow != NULL ? c->response->header_count : 0;
    c->response->reason = error->reason;
    for (const char *const *header = error->headers; header != NULL && *header != NULL; header += 2)
        tn_response_header(c->response, header[0], header[1]);
    c->match->area->render_error(c->request, error, c->arena, c->response);
    if (error->retry_after_s > 0)
        tn_response_header(c->response, "Retry-After",
                           tn_arena_printf(c->arena, "%d", error->retry_after_s));
}

static void
add_cache_control(const tn_ctx *c)
{
    const char *value = c->match->area->cache_control;

    for (size_t i = 0; i < c->response->header_count; i++)
        if (strcasecmp(c->response->headers[i].name, "Cache-Control") == 0)
            return;
    if (value != NULL)
        tn_response_header(c->response, "Cache-Control", value);
}

/* Would it cost more to read what is left of a refused request's body than to connect anew? */
static bool
is_worth_abandoning(const tn_ctx *c)
{
    const tn_route *route = c->match->route;

    if (c->request->phase != TN_PHASE_WHOLE || c->request->body_file != NULL)
        return false;
    return (route != NULL && route->takes_body && has_body(c->request)) ||
           c->request->content_length > c->config->server.body_max;
}

static void
count_and_log(const tn_dispatch *dispatch, const tn_ctx *c, const tn_error *error, int64_t us)
{
    tn_metrics *metrics = dispatch->process->metrics;
    const int class = c->response->client_gone ? 0 : c->response->status / 100;
    const tn_principal *who = c->who;

    atomic_fetch_add_explicit(&metrics->requests[class >= 0 && class <= 5 ? class : 5], 1,
                              memory_order_relaxed);
    tn_histogram_add(&metrics->request_duration, us);
    tn_log(TN_LOG_INFO, "http.request", TN_STR("request_id", c->request->id),
           TN_STR("method", c->request->method),
           TN_STR("route", c->match->route != NULL ? c->match->route->path : NULL),
           TN_STR("path", c->request->path), TN_INT("status", c->response->status),
           TN_STR("code", error != NULL ? error->code : NULL), TN_REAL("ms", (double)us / 1000.0),
           TN_INT("bytes", c->response->sent), TN_STR("role", who->role_name),
           TN_STR("tenant_id", who->tenant_id.text[0] != '\0' ? who->tenant_id.text : NULL),
           TN_STR("user_id", who->user_id.text[0] != '\0' ? who->user_id.text : NULL),
           TN_STR("agent_id", who->agent_id.text[0] != '\0' ? who->agent_id.text : NULL),
           TN_BOOL("client_gone", c->response->client_gone),
           TN_STR("remote_address", c->request->remote_address));
}

void
tn_dispatch_serve(const tn_dispatch *dispatch, tn_arena *arena, FCGX_Request *fcgx, bool overloaded)
{
    const int64_t started_us = tn_clock_us();
    const tn_config *config = dispatch->process->config;
    tn_fcgi fcgi = {.fcgx = fcgx};
    tn_principal who = {.role = TN_ROLE_NONE, .role_name = "none", .claims = "", .scopes = ""};
    tn_request request;
    tn_match match;
    tn_response response = {.status = 500, .body = "", .fcgi = &fcgi};
    const tn_error *error =
        tn_request_build(&request, arena, &fcgi, (size_t)config->server.header_max);
    tn_ctx c = {.arena = arena,
                .request = &request,
                .response = &response,
                .who = &who,
                .config = config,
                .process = dispatch->process,
                .match = &match};

    response.request_id = request.id;
    response.is_head = strcmp(request.method, "HEAD") == 0;
    tn_arena_label(arena, request.id); /* what goes wrong on our side is logged with it */
    tn_route_find(dispatch->areas, &request, arena, &match);
    c.state = state_of(dispatch, match.area);
    if (error == NULL)
        error = run(dispatch, &c, &request, &who, overloaded);
    if (error != NULL && !response.streaming)
        render(&c, error);
    if (error != NULL && request.phase == TN_PHASE_ADMIT)
        tn_response_empty(&response, 403); /* all that auth_request understands */
    if (request.phase == TN_PHASE_REFUSE || (error != NULL && is_worth_abandoning(&c)))
        tn_request_abandon_body(&request);
    if (!response.streaming)
        add_cache_control(&c);
    if (request.phase != TN_PHASE_ADMIT) /* the same request will be back */
        tn_activity_record(&c, error);
    tn_request_discard_body(&request);
    tn_response_send(&response, arena);
    if (request.phase != TN_PHASE_ADMIT)
        count_and_log(dispatch, &c, error, tn_clock_us() - started_us);
    tn_arena_reset(arena);
}
