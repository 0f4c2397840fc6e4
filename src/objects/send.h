/* objects/send.h: an object as an answer (RFC 9110 sections 13 and 14)
 *
 * Conditions and Range are judged here, by the row; then nginx sends the file (X-Accel-Redirect):
 * sendfile, ranges. What nginx cannot send (encrypted, in a remote store, with header fields that
 * do not survive the redirect, If-Match) is answered by the stream pool, which sends it through.
 *
 * Threads: one request, one thread. Errors: 304 is no error; 412 `PreconditionFailed`; 416
 * `InvalidRange` with Content-Range; 404 `NoSuchKey` when the bytes are gone.
 */
#ifndef TN_OBJECTS_SEND_H
#define TN_OBJECTS_SEND_H

#include "objects/object.h"

typedef struct tn_sending {
    const char *content_type;  /* instead of the object's; NULL: that */
    const char *cache_control; /* instead of the object's; NULL: that */
    const char *expires;       /* Expires, in place of Cache-Control; NULL: none */
    const char *disposition;   /* Content-Disposition; NULL: none, but dangerous types are
                                  attachments whatever is said here */
    const char *content_encoding, *content_language; /* NULL: none */
    const tn_pair *headers; /* further ones, "x-amz-meta-…"; any number */
    size_t header_count;
    bool html_as_text;   /* Supabase: text/html is sent as text/plain */
    bool head_has_range; /* S3: HEAD takes Range as GET does; in HTTP it is for GET alone */
} tn_sending;

/* Sets or streams the whole answer to GET and HEAD. */
const tn_error *tn_object_send(tn_ctx *c, const tn_object *object,
                               const tn_sending *sending) TN_MUST_CHECK;

/* Range (RFC 9110 section 14.1.2) against a length. */
typedef enum tn_range_kind { TN_RANGE_NONE, TN_RANGE_ONE, TN_RANGE_BAD } tn_range_kind;
typedef struct tn_range {
    int64_t first, last; /* both included */
} tn_range;
/* NONE: no header, another unit; BAD: malformed, several, reversed, beyond the end, or any range of
 * nothing. */
tn_range_kind tn_range_read(const char *header, int64_t size, tn_range *range) TN_MUST_CHECK;

#endif
