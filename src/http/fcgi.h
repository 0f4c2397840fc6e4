/* http/fcgi.h: requests and responses as FastCGI carries them; for server/ only
 *
 * libfcgi reads and writes the records (FastCGI 1.0); this is where its types end.
 *
 * Threads: one request, one thread.
 */
#ifndef TN_HTTP_FCGI_H
#define TN_HTTP_FCGI_H

#include <fcgiapp.h>

#include "http/request.h"
#include "http/response.h"

struct tn_fcgi {
    FCGX_Request *fcgx;
    bool abandoned; /* what is left of the body is not read, and the connection not kept */
};

/* Fills `request` from the parameters. On an error it is filled as far as an answer needs (method,
 * path, id), so that the error can be rendered. `header_max` bounds names and values together. */
const tn_error *tn_request_build(tn_request *request, tn_arena *arena, tn_fcgi *fcgi,
                                 size_t header_max) TN_MUST_CHECK;

/* Reads what is left of the body and drops it, so that the next request on a kept connection starts
 * at a record of its own. */
void tn_request_discard_body(tn_request *request);

/* Called before libfcgi reads from the connection of this thread's request: waits until there is
 * something, as whoever reads the body has asked for. false: they wait no longer. */
bool tn_request_wait(int fd) TN_MUST_CHECK;

/* Sends the collected answer (nothing when it was streamed). */
void tn_response_send(tn_response *response, tn_arena *arena);

#endif
