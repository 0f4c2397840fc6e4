/* objects/backend.h: where the bytes of objects are: a disk, or a store that speaks S3
 *
 * What is in a backend is written once, whole, under a name made of identifiers of ours, and never
 * changed. The bytes here are as they lie there: encryption is above (objects/cipher.h).
 *
 * Threads: any. Errors: 404 `NoSuchKey`; 507 `storage_full`; 503 `storage_unavailable` (a remote
 * store that does not answer); 500 otherwise.
 */
#ifndef TN_OBJECTS_BACKEND_H
#define TN_OBJECTS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "base/uuid.h"

typedef struct tn_backend tn_backend;

/* Which bytes. */
typedef struct tn_blob {
    tn_uuid tenant_id, version;
} tn_blob;

typedef struct tn_blob_entry {
    tn_blob blob;
    int64_t size, modified_s; /* seconds since 1970, of the bytes or of their place */
} tn_blob_entry;

/* A piece of it; false: stop. */
typedef bool tn_blob_sink(void *context, const char *bytes, size_t length);

/* The one that storage.* names: the disk, and with storage.backend_url a remote store too. Open
 * until it is freed; whoever serves requests gets it from objects/store.h. NULL with a text in
 * `problem` when that cannot be. */
tn_backend *tn_backend_new(tn_arena *arena, const tn_config *config,
                           const char **problem) TN_MUST_CHECK;
void tn_backend_free(tn_backend *backend); /* NULL: nothing happens */

/* Puts the bytes of a file in place; whole and durable when this returns. `staged` is its path
 * beneath storage.dir, and `fd` is open for reading. The file keeps its name: whoever has staged it
 * removes it. Nothing is ever replaced: bytes under that name are an error. */
const tn_error *tn_backend_put(tn_backend *backend, tn_arena *arena, const tn_blob *blob,
                               const char *staged, int fd) TN_MUST_CHECK;
/* The same bytes under another name. */
const tn_error *tn_backend_copy(tn_backend *backend, tn_arena *arena, const tn_blob *from,
                                const tn_blob *to) TN_MUST_CHECK;
/* `length` bytes from `offset` on; -1: to the end. */
const tn_error *tn_backend_get(tn_backend *backend, tn_arena *arena, const tn_blob *blob,
                               int64_t offset, int64_t length, tn_blob_sink *sink,
                               void *context) TN_MUST_CHECK;
/* NULL `size`: whether it is there (404 when not). */
const tn_error *tn_backend_stat(tn_backend *backend, tn_arena *arena, const tn_blob *blob,
                                int64_t *size) TN_MUST_CHECK;
/* No error when it is not there. */
const tn_error *tn_backend_remove(tn_backend *backend, tn_arena *arena,
                                  const tn_blob *blob) TN_MUST_CHECK;
/* Everything that is there, in no order; false from `each` stops. */
const tn_error *tn_backend_list(tn_backend *backend, tn_arena *arena,
                                bool (*each)(void *context, const tn_blob_entry *entry),
                                void *context) TN_MUST_CHECK;

/* Where nginx finds it: "/_tenon/objects/…", or NULL when nginx cannot. */
const char *tn_backend_accel_path(const tn_backend *backend, tn_arena *arena, const tn_blob *blob);

/* "<tenant>/<2 hex>/<2 hex>/<version>", the one function that makes names of bytes. The digits are
 * the version's last four, which are random in every version of UUID. */
const char *tn_blob_path(tn_arena *arena, const tn_blob *blob) TN_NEVER_NULL TN_MUST_CHECK;

/* Back again; false: this is no such path. */
bool tn_blob_parse(const char *path, tn_blob *blob) TN_MUST_CHECK;

#endif
