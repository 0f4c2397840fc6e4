/* storage/upload.h: an upload as headers and forms describe it
 *
 * Threads: one request, one thread.
 */
#ifndef TN_STORAGE_UPLOAD_H
#define TN_STORAGE_UPLOAD_H

#include "objects/incoming.h"
#include "objects/object.h"
#include "storage/multipart.h"

/* Takes x-metadata, cache-control, content-type, content-encoding, x-robots-tag and the length; the
 * rest of `upload` stays. With a form, type and length are not known yet. 400 `InvalidXRobotsTag`.
 */
const tn_error *tn_upload_read_headers(tn_ctx *c, tn_upload *upload) TN_MUST_CHECK;

/* The body as a file: nginx has spooled it, or it is read now, no more of it than `bucket` takes
 * and a form may have beside its file. */
const tn_error *tn_upload_read_body(tn_ctx *c, const tn_bucket *bucket,
                                    tn_incoming **body) TN_MUST_CHECK;

/* A body as multipart/form-data: fields, at most 10, and files. */
typedef struct tn_form {
    tn_multipart *parts;
    tn_incoming *body;
    int fields;
    const char *cache_control, *metadata, *content_type, *content_encoding; /* NULL: not there */
} tn_form;

bool tn_form_is(const tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_form_open(tn_ctx *c, tn_incoming *body, tn_form *form) TN_MUST_CHECK;
/* Reads fields up to the next file; `found` false at the end of the form. */
const tn_error *tn_form_next_file(tn_ctx *c, tn_form *form, tn_part *file,
                                  bool *found) TN_MUST_CHECK;
/* What the fields so far and the part say, into `upload`; its bytes into a file of their own. */
const tn_error *tn_form_take_file(tn_ctx *c, const tn_form *form, const tn_part *file,
                                  tn_upload *upload, tn_incoming **incoming) TN_MUST_CHECK;

#endif
