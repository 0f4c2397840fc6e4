/* objects/backend_private.h: what a kind of backend is made of
 *
 * Each kind embeds tn_backend as its first member and fills `ops`; objects/backend.h is what calls
 * them, and says what they do. What is NULL there has a default: copy reads and writes, accel_path
 * is NULL.
 */
#ifndef TN_OBJECTS_BACKEND_PRIVATE_H
#define TN_OBJECTS_BACKEND_PRIVATE_H

#include "objects/backend.h"

typedef struct tn_backend_ops {
    void (*free)(tn_backend *backend);
    const tn_error *(*put)(tn_backend *backend, tn_arena *arena, const tn_blob *blob,
                           const char *staged, int fd);
    const tn_error *(*copy)(tn_backend *backend, tn_arena *arena, const tn_blob *from,
                            const tn_blob *to);
    const tn_error *(*get)(tn_backend *backend, tn_arena *arena, const tn_blob *blob,
                           int64_t offset, int64_t length, tn_blob_sink *sink, void *context);
    const tn_error *(*stat)(tn_backend *backend, tn_arena *arena, const tn_blob *blob,
                            int64_t *size);
    const tn_error *(*remove)(tn_backend *backend, tn_arena *arena, const tn_blob *blob);
    const tn_error *(*list)(tn_backend *backend, tn_arena *arena,
                            bool (*each)(void *context, const tn_blob_entry *entry), void *context);
    const char *(*accel_path)(const tn_backend *backend, tn_arena *arena, const tn_blob *blob);
} tn_backend_ops;

struct tn_backend {
    const tn_backend_ops *ops;
};

/* Each kind by itself, whatever storage.backend_url says: `tenon storage migrate` has both. */
tn_backend *tn_backend_disk_new(tn_arena *arena, const tn_config *config,
                                const char **problem) TN_MUST_CHECK;
/* NULL with a `problem` when storage.backend_url is empty or not understood. */
tn_backend *tn_backend_remote_new(tn_arena *arena, const tn_config *config,
                                  const char **problem) TN_MUST_CHECK;
/* The two together: objects/backend_both.c. */
tn_backend *tn_backend_both_new(tn_arena *arena, const tn_config *config,
                                const char **problem) TN_MUST_CHECK;

/* The bytes from one backend into another, by way of a staged file beneath `root` (storage.dir). */
const tn_error *tn_blob_carry(tn_arena *arena, int root, tn_backend *source, const tn_blob *from,
                              tn_backend *target, const tn_blob *to) TN_MUST_CHECK;

#endif
