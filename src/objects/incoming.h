/* objects/incoming.h: bytes that have arrived and are not an object yet
 *
 * They are a file in storage.dir/staging, on the same filesystem as the objects: what nginx has
 * spooled is renamed to there, never copied; what arrives in parts is appended. Names are UUIDs of
 * ours. A file that is not taken (tn_upload_store()) is removed when the request's arena is freed,
 * unless it is kept on purpose; what a crash leaves behind, the sweeper removes after a day.
 *
 * Bodies are never in memory: constant memory, whatever the size.
 *
 * Threads: one at a time. Errors: 507 `storage_full` (ENOSPC, EDQUOT), 500 for anything else that
 * the filesystem says, 400 `body_incomplete`, and those named below.
 */
#ifndef TN_OBJECTS_INCOMING_H
#define TN_OBJECTS_INCOMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "identity/ctx.h"

typedef struct tn_incoming tn_incoming;

/* The whole body of this request as nginx has spooled it (TENON_BODY_FILE), or the empty body; a
 * body that came over the FastCGI connection is written to a file first, at most `max` bytes (413
 * `EntityTooLarge` beyond; 0: any). */
const tn_error *tn_incoming_body(tn_ctx *c, int64_t max, tn_incoming **incoming) TN_MUST_CHECK;

/* An empty one, to be appended to. */
const tn_error *tn_incoming_new(tn_ctx *c, tn_incoming **incoming) TN_MUST_CHECK;

/* One that was kept: the file of that id, cut to `length` bytes. 404 `NoSuchUpload` when it is not
 * there or shorter. */
const tn_error *tn_incoming_open(tn_ctx *c, const tn_uuid *id, int64_t length,
                                 tn_incoming **incoming) TN_MUST_CHECK;

const tn_error *tn_incoming_append(tn_incoming *incoming, const void *bytes,
                                   size_t length) TN_MUST_CHECK;
/* `length` bytes of another one from `offset` on, in the kernel where the filesystem can. */
const tn_error *tn_incoming_append_file(tn_incoming *incoming, tn_incoming *source, int64_t offset,
                                        int64_t length) TN_MUST_CHECK;

/* Up to `size` bytes from `offset` on; `got` 0 at the end. */
const tn_error *tn_incoming_read(tn_incoming *incoming, int64_t offset, void *bytes, size_t size,
                                 size_t *got) TN_MUST_CHECK;

int64_t tn_incoming_size(const tn_incoming *incoming);
const tn_uuid *tn_incoming_id(const tn_incoming *incoming);
/* For libraries that read by themselves; -1 never. Owned by `incoming`. */
int tn_incoming_fd(const tn_incoming *incoming);

/* fsync, file and folder: from now on the bytes survive, and so does the file when the request is
 * over; whoever keeps it has a row that names its id. */
const tn_error *tn_incoming_keep(tn_incoming *incoming) TN_MUST_CHECK;

/* Gives back what is behind `length`, as far as that can be done. */
void tn_incoming_cut(tn_incoming *incoming, int64_t length);

/* Removes the file now. Harmless when it has gone. */
void tn_incoming_drop(tn_incoming *incoming);
void tn_staging_remove(const tn_process *process, const tn_uuid *tenant_id, const tn_uuid *id);

#endif
