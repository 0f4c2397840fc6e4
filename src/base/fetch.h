/* base/fetch.h: the one client for every request that the server makes (libcurl)
 *
 * Guarded (OWASP SSRF): the name is resolved, addresses in loopback, private, link-local, multicast
 * and metadata ranges are refused unless `allow_private`, and again for every connection, so also
 * after a redirect or a DNS answer that changed. Only http and https; TLS is always verified.
 * Size and time are bounded. Proxies of the environment are not used.
 *
 * Threads: any; each call uses a handle of its own. tn_fetch_global_init() before the threads
 * start.
 */
#ifndef TN_BASE_FETCH_H
#define TN_BASE_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct sockaddr;

/* A body that comes out of a file. */
typedef struct tn_fetch_upload {
    int fd; /* its offset does not move */
    int64_t offset, length;
} tn_fetch_upload;

/* Signature of a request to a store that speaks S3 (AWS Signature Version 4), made by libcurl. The
 * caller gives the header x-amz-content-sha256 and the members of the query in the order of their
 * names, encoded as RFC 3986 has it: libcurl 7.88 signs them as they are. */
typedef struct tn_fetch_signature {
    const char *key_id, *secret, *region;
} tn_fetch_signature;

typedef struct tn_fetch {
    const char *method, *url;
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL. A redirect takes
                                   them along, but for Authorization and Cookie to another host */
    const char *body;           /* may be NULL */
    size_t body_length;
    const tn_fetch_upload *upload;       /* instead of `body`; NULL: none */
    const tn_fetch_signature *signature; /* NULL: none */
    /* 0: none. The first byte of the answer is waited for from the last one of the upload on. */
    int64_t connect_timeout_ms, first_byte_timeout_ms, silence_timeout_ms, total_timeout_ms;
    size_t response_max; /* bytes; more is an error; 0: 1 MiB */
    size_t buffer_size;  /* for bodies that are large; 0: a small one */
    bool allow_private, follow_redirects;
    /* Called for each piece of the body of any answer, as it arrives; false stops. NULL: the body
     * is collected in the result. `status` is the HTTP status. */
    bool (*on_data)(void *context, int status, const char *bytes, size_t length);
    /* Called at least once a second; false stops the transfer as TN_FETCH_STOPPED. May be NULL. */
    bool (*on_tick)(void *context);
    void *context;
} tn_fetch;

typedef enum tn_fetch_outcome {
    TN_FETCH_DONE,    /* an answer, whatever its status */
    TN_FETCH_REFUSED, /* address not allowed, URL not understood */
    TN_FETCH_CONNECT, /* no connection (resolve, connect, TLS) */
    TN_FETCH_TIMEOUT, /* connect, first byte, silence or total deadline; see `phase` */
    TN_FETCH_BROKEN,  /* the connection broke in the middle */
    TN_FETCH_TOO_LARGE,
    TN_FETCH_STOPPED /* on_data or on_tick said so */
} tn_fetch_outcome;

typedef struct tn_fetch_result {
    tn_fetch_outcome outcome;
    int status;          /* HTTP, 0 when there was no answer */
    const char *phase;   /* of a timeout: "connect", "first_byte", "silence", "total" */
    const char *problem; /* libcurl's words for the log; never secrets */
    const char *body;    /* collected so far, NUL-terminated; NULL with on_data */
    size_t body_length;
    size_t received;                       /* bytes of body that arrived */
    int64_t retry_after_ms;                /* from Retry-After (seconds or date), -1: none */
    const char *content_type, *request_id; /* headers content-type and x-request-id/request-id */
    const char *etag;                      /* NULL: none */
    int64_t content_length;                /* -1: not told */
    int64_t first_byte_ms, total_ms;       /* since the call; first_byte_ms -1: none came */
} tn_fetch_result;

void tn_fetch_global_init(void);

/* Carries out one request. Never returns an error: the outcome says what happened. */
void tn_fetch_run(tn_arena *arena, const tn_fetch *fetch, tn_fetch_result *result);

/* Whether the server may connect to that address on someone's word: a public one. */
bool tn_fetch_address_is_public(const struct sockaddr *address) TN_MUST_CHECK;

/* Retry-After (RFC 9110 section 10.2.3), seconds or a date, as milliseconds from `now_s` on; at
 * most a day. -1 when it is NULL or neither. */
int64_t tn_fetch_retry_after_ms(const char *value, int64_t now_s) TN_MUST_CHECK;

#endif
