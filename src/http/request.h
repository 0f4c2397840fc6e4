/* http/request.h: what a client sent, read once and checked
 *
 * A request is built from FastCGI parameters. Whatever is malformed is refused before a handler
 * sees it: method not a token, target too long or with broken escapes, NUL or invalid UTF-8 (400
 * `bad_request`), headers over server.header_max (431), body over the route's ceiling (413).
 *
 * Threads: one at a time. Everything is owned by the request's arena.
 */
#ifndef TN_HTTP_REQUEST_H
#define TN_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

typedef struct tn_pair {
    const char *name, *value;
} tn_pair;

typedef struct tn_fcgi tn_fcgi; /* the FastCGI side; opaque outside http and server */

/* Uploads ask twice (nginx/tenon_storage.conf): whether they may come, before nginx reads the body
 * (auth_request), and with it. */
typedef enum tn_phase {
    TN_PHASE_WHOLE,    /* every other request */
    TN_PHASE_ADMIT,    /* there is no body; who may not upload gets 403, and then TN_PHASE_REFUSE */
    TN_PHASE_REFUSE,   /* the same once more, to say why; the body is not read */
    TN_PHASE_ADMITTED, /* the body is there */
    TN_PHASE_SEND      /* the stream pool sends what the api pool has redirected (objects/send.h) */
} tn_phase;

typedef struct tn_request {
    const char *method;     /* "GET" */
    const char *path;       /* still percent-encoded, without the query */
    const char *query_text; /* raw, "" when there is none */
    const tn_pair *query;   /* decoded, in order */
    size_t query_count;
    const tn_pair *headers; /* names lower-case with dashes */
    size_t header_count;
    const char *remote_address; /* as nginx sees it */
    const char *id;             /* request id shared with nginx and the log */
    int64_t content_length;     /* as declared, -1 unknown */
    tn_phase phase;             /* as nginx says, never the client */
    const char *body_file;      /* where nginx has spooled the body; NULL: it has not */
    const char *body;           /* after tn_request_read_body(); NUL-terminated, never NULL then */
    size_t body_length;
    tn_fcgi *fcgi;
} tn_request;

/* Value of a header (give the name in lower case) or of the first query member of that name; NULL
 * when absent. */
const char *tn_request_header(const tn_request *request, const char *name);
const char *tn_request_query(const tn_request *request, const char *name);

/* Where the request came from, as inet takes it, or NULL: nginx says "unix:" for a client on a
 * socket. */
const char *tn_request_client_address(const tn_request *request);

/* Reads the body into memory, at most `max` bytes: 413 `body_too_large` beyond, 400
 * `body_incomplete` when the connection ends early. Done by the dispatcher before the handler. */
const tn_error *tn_request_read_body(tn_request *request, tn_arena *arena,
                                     size_t max) TN_MUST_CHECK;

/* Reads the next bytes of a body that nginx passes on as it comes (fastcgi_request_buffering off),
 * waiting until it has `size` of them (64 KiB at most) or all: 0 at its end, -1 when the connection
 * is cut off. For handlers whose route has `takes_body`. */
ssize_t tn_request_read_some(tn_request *request, void *bytes, size_t size);

/* The same without waiting for more than there is. While nothing comes, `tick` is asked four times
 * a second whether to wait on: false from it is -1 as well, and the end of the body. */
typedef bool tn_request_tick(void *context);
ssize_t tn_request_read_live(tn_request *request, void *bytes, size_t size, tn_request_tick *tick,
                             void *context);

/* What is left of the body is not wanted: unless it is little and comes at once, it is not read,
 * and the connection to nginx ends with the answer. */
void tn_request_abandon_body(tn_request *request);

/* All request headers as a JSON object with lower-case names, for request.headers in SQL; secrets
 * (authorization, apikey, cookie) are left out. */
const char *tn_request_headers_json(const tn_request *request, tn_arena *arena) TN_NEVER_NULL;

/* Integer query member; absent leaves *value as it is, outside [min, max] is 400
 * `validation_failed`. */
const tn_error *tn_request_query_int(const tn_request *request, tn_arena *arena, const char *name,
                                     int64_t min, int64_t max, int64_t *value) TN_MUST_CHECK;

#endif
