/* http/route.h: the declarative tables of what can be asked for
 *
 * An area is a table of routes and a renderer for errors in its dialect. The router finds the route
 * by method and path pattern: literal segments and {name} segments, each matching one non-empty
 * segment, and at the end {name...}, which takes all that is left, slashes and all, but not
 * nothing. A known path with another method is 405 with Allow; HEAD is served by GET. Literal
 * segments win over {name}.
 *
 * Threads: tables are constant.
 */
#ifndef TN_HTTP_ROUTE_H
#define TN_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/error.h"
#include "http/request.h"
#include "http/response.h"

struct tn_principal;                  /* identity/principal.h */
typedef struct tn_ctx tn_ctx;         /* identity/ctx.h */
typedef struct tn_process tn_process; /* identity/process.h */
typedef const tn_error *(*tn_handler)(tn_ctx *c);

/* Who may call. A caller whose role is not in the set gets 401 (anonymous) or 403. */
enum {
    TN_ROLE_NONE = 1 << 0, /* no key and no token at all */
    TN_ROLE_ANON = 1 << 1,
    TN_ROLE_AUTHENTICATED = 1 << 2,
    TN_ROLE_AGENT = 1 << 3,
    TN_ROLE_SERVICE = 1 << 4,
    TN_ROLE_PLATFORM = 1 << 5,
    TN_ROLE_CUSTOM = 1 << 6, /* of the app's own, by a token; only areas with any_role know it */
};
#define TN_ANYBODY (TN_ROLE_NONE | TN_ANY_KEY)
#define TN_ANY_KEY (TN_ROLE_ANON | TN_ANY_BUT_ANON)
#define TN_ANY_BUT_ANON (TN_ROLE_AUTHENTICATED | TN_ROLE_AGENT | TN_ROLE_SERVICE)

typedef enum tn_limit_class {
    TN_LIMIT_NONE,
    TN_LIMIT_READ,
    TN_LIMIT_WRITE,
    TN_LIMIT_CHAT,
    /* per address, because who asks is not known yet */
    TN_LIMIT_SIGNUP,
    TN_LIMIT_ANONYMOUS,
    TN_LIMIT_TOKEN,
    TN_LIMIT_OTP,
    TN_LIMIT_MAGICLINK,
    TN_LIMIT_RECOVER,
    TN_LIMIT_RESEND,
    TN_LIMIT_VERIFY,
    TN_LIMIT_USER_UPDATE,
    TN_LIMIT_FACTOR,
    TN_LIMIT_AUTHORIZE,
    /* per thing, by tn_limits_take_for(): an account's failed passwords; a tenant's messages */
    TN_LIMIT_PASSWORD,
    TN_LIMIT_MAIL,
    TN_LIMIT_SMS,
    TN_LIMIT_CLASSES
} tn_limit_class;

typedef struct tn_route {
    const char *method; /* NULL ends the table */
    const char *path;   /* "/api/chats/{id}" */
    tn_handler handler;
    const char *scope; /* an agent needs it; NULL: agents are refused */
    tn_limit_class limit;
    unsigned roles;      /* TN_ROLE_… */
    size_t body_max;     /* bytes; 0: server.body_max */
    bool waits;          /* may hold its thread for long, so the last thread of a pool refuses it */
    bool takes_body;     /* the body is not read into memory: the handler takes the spooled file, or
                            reads it as it comes */
    tn_handler admit;    /* before the body of an upload is read (TN_PHASE_ADMIT); may be NULL */
    const char *summary; /* one line of documentation */
} tn_route;

/* Scope of a route on which policies decide what an agent may do, row by row. */
#define TN_SCOPE_BY_POLICY "*"

typedef struct tn_area {
    const char *name;   /* "chat"; label of metrics */
    const char *prefix; /* "/api/chats": errors under it use this area's dialect */
    const tn_route *routes;
    /* Tokens as PostgREST takes them: with any database role, and this long after they expired. */
    bool any_role;
    int64_t token_leeway_s;
    /* A token with a role of the app's own is a person's like any other, as auth.users.role has it;
     * supabase_admin is another name of service_role. */
    bool any_person;
    /* Who is calling, where that is not said by a key or a token (signatures, signed URLs). NULL:
     * tn_principal_identify(). A method that no table knows may come with `route` NULL. */
    const tn_error *(*identify)(const tn_process *process, const struct tn_area *area,
                                const tn_route *route, const tn_request *request, tn_arena *arena,
                                struct tn_principal *who);
    /* Cache-Control of answers whose handler gave none; NULL: no such header. */
    const char *cache_control;
    /* Bytes of a body where the route says nothing; NULL: server.body_max. */
    size_t (*body_max)(const tn_config *config);
    /* Writes `error` into the response in the dialect's form. */
    void (*render_error)(const tn_request *request, const tn_error *error, tn_arena *arena,
                         tn_response *response);
    /* Optional state of the area in one process: made before the threads start, given to handlers
     * as c->state; told of NOTIFY payloads. */
    void *(*start)(const tn_process *process);
    void (*stop)(void *state);
    void (*on_notify)(void *state, const char *channel, const char *payload);
} tn_area;

typedef struct tn_match {
    const tn_area *area;
    const tn_route *route; /* NULL: no such path, or not that method */
    const char *allow;     /* of a 405: "GET, PATCH", else NULL */
    tn_pair captures[4];   /* {name} → decoded value */
    size_t capture_count;
} tn_match;

/* Finds area and route. Always gives an area (the one with the longest fitting prefix, or the
 * fallback, the last of the list) so that even a 404 is in the right dialect. A capture with a
 * broken escape is a 404. */
void tn_route_find(const tn_area *const *areas, const tn_request *request, tn_arena *arena,
                   tn_match *match);

/* Our own dialect: {"code","message","details","hint","request_id"} and `members`. */
void tn_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                     tn_response *response);

#endif
