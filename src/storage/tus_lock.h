/* storage/tus_lock.h: one writer for each upload, and how another one takes its place
 *
 * A writer holds a lock of its own on storage.dir/uploads.lock, a byte for each upload, which the
 * kernel releases when the process dies. Who wants the place says so with a NOTIFY, which reaches
 * the writer in whichever process it is.
 *
 * Threads: any; a writer belongs to one thread, the flags are set by the one that listens.
 */
#ifndef TN_STORAGE_TUS_LOCK_H
#define TN_STORAGE_TUS_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "identity/ctx.h"

typedef struct tn_tus_writers tn_tus_writers; /* of one process */
typedef struct tn_tus_writer {
    struct tn_tus_writer *next;
    tn_tus_writers *writers;
    tn_uuid id;                 /* of the upload */
    int fd;                     /* of the lock file; -1: given back */
    _Atomic int64_t generation; /* of the row, once it is known */
    atomic_bool is_wanted;      /* another request waits for this one to stop */
    atomic_bool is_watched;     /* another request wants to know how far it is */
} tn_tus_writer;

tn_tus_writers *tn_tus_writers_new(void) TN_NEVER_NULL TN_MUST_CHECK;
void tn_tus_writers_free(tn_tus_writers *writers);
/* Channel `tenon`: "tus_stop:<id>:<generation>", which a writer that came later does not mind;
 * "tus_note:<id>". */
void tn_tus_writers_notify(tn_tus_writers *writers, const char *channel, const char *payload);

/* Becomes the writer of `id`, waiting up to `wait_ms` for the one before; *writer is NULL when that
 * one has not stopped. Given back when the request is over. */
const tn_error *tn_tus_writer_take(tn_ctx *c, const tn_uuid *id, int64_t wait_ms,
                                   tn_tus_writer **writer) TN_MUST_CHECK;
void tn_tus_writer_give(tn_tus_writer *writer);

#endif
