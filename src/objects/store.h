/* objects/store.h: what one process has for files: storage.dir, the backend, libmagic
 *
 * Made with the process (tn_process.store) and opened when first needed, so a deployment that
 * stores nothing needs no storage.dir, and one whose disk is away answers 503 until it is back.
 *
 * Threads: any. Errors: 503 `storage_unavailable`.
 */
#ifndef TN_OBJECTS_STORE_H
#define TN_OBJECTS_STORE_H

#include "base/config.h"
#include "base/error.h"
#include "objects/backend.h"

typedef struct tn_store tn_store;

tn_store *tn_store_new(const tn_config *config) TN_NEVER_NULL TN_MUST_CHECK;
void tn_store_free(tn_store *store);

const tn_config *tn_store_config(const tn_store *store);

/* storage.dir as the root of tn_tree_…(); open as long as the store. */
const tn_error *tn_store_root(tn_store *store, tn_arena *arena, int *root) TN_MUST_CHECK;

/* Where objects are. */
const tn_error *tn_store_backend(tn_store *store, tn_arena *arena,
                                 tn_backend **backend) TN_MUST_CHECK;

/* The media type of these first bytes, by their content alone: "application/octet-stream" when
 * nothing is known, "application/x-empty" of nothing. */
const char *tn_store_sniff(tn_store *store, tn_arena *arena, const void *bytes,
                           size_t length) TN_NEVER_NULL TN_MUST_CHECK;

#endif
