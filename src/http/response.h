/* http/response.h: the answer: collected and sent at once, or streamed
 *
 * A handler sets a whole answer with tn_respond_*() and the dispatcher sends it after the handler
 * returned. A streaming handler opens the answer, or a stream of server-sent events, instead; from
 * then on what it sends is on its way, and an error can only be an event, or cut it off.
 *
 * Threads: one at a time. Texts given to a response are not copied: they live in the arena.
 */
#ifndef TN_HTTP_RESPONSE_H
#define TN_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "http/request.h"

#define TN_RESPONSE_HEADERS_MAX 256

typedef struct tn_response {
    int status;
    const char *reason; /* phrase of the status line; NULL: the usual one */
    const char *content_type;
    tn_pair headers[TN_RESPONSE_HEADERS_MAX];
    size_t header_count;
    const char *body;
    size_t body_length;
    bool streaming;   /* head has been sent */
    bool is_head;     /* to HEAD: the length of what is not sent is not told */
    bool client_gone; /* a write failed: nobody listens */
    size_t sent;      /* body bytes written so far */
    tn_fcgi *fcgi;
    const char *request_id;
} tn_response;

/* A further header; names and values are ours or checked (no CR, LF, NUL: asserted). */
void tn_response_header(tn_response *response, const char *name, const char *value);

/* Sets the whole answer. `json` is complete JSON text. */
void tn_response_json(tn_response *response, int status, const char *json);
void tn_response_text(tn_response *response, int status, const char *content_type, const char *text,
                      size_t length);
void tn_response_empty(tn_response *response, int status);

/* An answer whose length nobody knows yet. Opening sends the head as it has been set; writing
 * returns false when the client is gone, and does nothing then. The handler's return ends it. */
bool tn_response_open(tn_response *response);
bool tn_response_write(tn_response *response, const char *bytes, size_t length);
/* Ends it as a broken connection does, so that the client knows that something is missing. */
void tn_response_cut(tn_response *response);

/* Server-sent events (WHATWG HTML section 9.2). Opening sends status 200 and the head at once, with
 * X-Accel-Buffering: no. Event and comment return false when the client is gone; calls after that
 * do nothing. `data` is one JSON text without line ends; `id` may be NULL. */
bool tn_sse_open(tn_response *response);
bool tn_sse_event(tn_response *response, const char *event, const char *id, const char *data);
bool tn_sse_comment(tn_response *response, const char *text);

#endif
