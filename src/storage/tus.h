/* storage/tus.h: resumable uploads: tus 1.0.0 with creation, creation-with-upload,
 * creation-defer-length, checksum, expiration and termination
 *
 * How far an upload is, is in a row of storage.uploads; its bytes are in a staged file. One request
 * at a time writes (storage/tus_lock.h); while it does, it holds no database connection. A row that
 * says that all is there is one whose object is there: both are written by one transaction.
 *
 * Threads: one request, one thread. Errors: those of the object model with their own status, as
 * plain text; 404 `NoSuchUpload`, 410 `upload_expired`, 409 `offset_mismatch`, 423
 * `ResourceLocked`, 460 `checksum_mismatch`.
 */
#ifndef TN_STORAGE_TUS_H
#define TN_STORAGE_TUS_H

#include "identity/ctx.h"
#include "objects/incoming.h"
#include "objects/object.h"
#include "storage/tus_header.h"
#include "storage/tus_lock.h"

typedef struct tn_tus {
    tn_uuid id, staging_id;
    const char *owner_id; /* NULL: nobody's; then only the secret key or the signed token goes on */
    const char *field;    /* Upload-Metadata as it was sent */
    tn_tus_metadata metadata;
    int64_t length; /* -1: not said yet */
    int64_t offset, generation;
    bool upsert, is_signed, is_finished, is_expired;
    const char *expires;  /* an HTTP date */
    const char *noted_at; /* changes whenever the offset is written */
} tn_tus;

/* --- rows (tus_row.c) ------------------------------------------------------------------------- */

/* The upload of this address, when the caller may go on with it: the person who began it, an agent
 * of that person with the scope storage:<bucket>:write, the secret key, and for a signed one who
 * shows the token for that object. 404, 410. */
const tn_error *tn_tus_find(tn_ctx *c, tn_tus *upload) TN_MUST_CHECK;
/* A new row. */
const tn_error *tn_tus_begin(tn_ctx *c, tn_tus *upload) TN_MUST_CHECK;
/* Who writes from now on: *is_there false when the row is not at upload->offset any more. A length
 * that had been deferred is set. */
const tn_error *tn_tus_continue(tn_ctx *c, tn_tus *upload, bool *is_there) TN_MUST_CHECK;
/* All bytes are there: they become the object. */
const tn_error *tn_tus_finish(tn_ctx *c, tn_tus *upload, tn_incoming *incoming) TN_MUST_CHECK;
/* Row and bytes go. */
const tn_error *tn_tus_forget(tn_ctx *c, const tn_tus *upload) TN_MUST_CHECK;
/* Tells the writer, in whichever process it is, to stop, or to write down how far it is. */
const tn_error *tn_tus_ask_to_stop(tn_ctx *c, const tn_tus *upload) TN_MUST_CHECK;
const tn_error *tn_tus_ask_to_note(tn_ctx *c, const tn_tus *upload) TN_MUST_CHECK;

/* Whether the caller may upload this, now: policies and limits. `bucket` may be NULL. */
const tn_error *tn_tus_admit(tn_ctx *c, const tn_tus *upload, int64_t length,
                             tn_bucket *bucket) TN_MUST_CHECK;
/* On one of the routes that a signed token opens? Then the token as it was checked decides. */
bool tn_tus_is_signed(const tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_tus_read_token(tn_ctx *c, tn_tus *upload) TN_MUST_CHECK;

/* --- bytes (tus_write.c) ---------------------------------------------------------------------- */

/* Appends the body of this request as it comes, up to `size_max` bytes in all (413 beyond), and
 * while no length has been said up to the quotas (413 `quota_exceeded`). Sets upload->offset, also
 * with an error: what has arrived then is on disk and in the row. With a checksum it is all or
 * nothing. */
const tn_error *tn_tus_write(tn_ctx *c, tn_tus *upload, tn_tus_writer *writer,
                             tn_incoming *incoming, int64_t size_max,
                             const tn_tus_checksum *checksum) TN_MUST_CHECK;

/* --- methods (tus.c) -------------------------------------------------------------------------- */

const tn_error *tn_tus_options(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_tus_post(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_tus_head(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_tus_patch(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_tus_delete(tn_ctx *c) TN_MUST_CHECK;

#endif
