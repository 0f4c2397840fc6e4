/* objects/fsck_private.h: what the halves of fsck share: rows here, files there
 *
 * Threads: none.
 */
#ifndef TN_OBJECTS_FSCK_PRIVATE_H
#define TN_OBJECTS_FSCK_PRIVATE_H

#include "objects/fsck.h"
#include "objects/store.h"

/* Counts and tells it. */
void tn_fsck_tell(tn_fsck *fsck, const tn_fsck_finding *finding);

/* Whether bytes of this tenant are looked at. */
bool tn_fsck_wants(const tn_fsck *fsck, const char *tenant_id) TN_MUST_CHECK;

/* One that is reset often; freed with that of fsck. */
tn_arena *tn_fsck_arena(tn_fsck *fsck) TN_NEVER_NULL TN_MUST_CHECK;

/* Every row → its bytes. */
const tn_error *tn_fsck_rows(tn_fsck *fsck, tn_store *store) TN_MUST_CHECK;
/* Every row that has lost its bytes → whether they are back. */
const tn_error *tn_fsck_lost(tn_fsck *fsck, tn_store *store) TN_MUST_CHECK;
/* Every file → its row. */
const tn_error *tn_fsck_files(tn_fsck *fsck, tn_store *store) TN_MUST_CHECK;

#endif
