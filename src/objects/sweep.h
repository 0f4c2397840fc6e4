/* objects/sweep.h: the parts of the sweeper that look at files
 *
 * Threads: the sweeper's. Errors: those of the database and of the folders; who gets one tries
 * again at the next round.
 */
#ifndef TN_OBJECTS_SWEEP_H
#define TN_OBJECTS_SWEEP_H

#include <stdbool.h>

#include "base/error.h"
#include "identity/process.h"
#include "objects/backend.h"
#include "objects/store.h"

typedef struct tn_sweep {
    const tn_process *process;
    tn_store *store;
    bool (*is_stopping)(void *context); /* asked between two files */
    void *context;
    int slice; /* of 256: where the walk over the objects is */
} tn_sweep;

/* Files in staging and spool that no row names. */
const tn_error *tn_sweep_staging(tn_sweep *sweep, tn_arena *arena) TN_MUST_CHECK;

/* The next `slices` of the objects: what no row names goes to the trash. */
const tn_error *tn_sweep_objects(tn_sweep *sweep, tn_arena *arena, int slices) TN_MUST_CHECK;

/* What has been made of an image whose bytes are gone. */
void tn_sweep_images_of(tn_sweep *sweep, const tn_blob *blob);

/* Transformed images above storage.image_cache_max, oldest first. */
const tn_error *tn_sweep_images(tn_sweep *sweep, tn_arena *arena) TN_MUST_CHECK;

#endif
