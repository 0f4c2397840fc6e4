/* objects/incoming_private.h: what only those who take the file need to know of it
 *
 * Threads: one at a time.
 */
#ifndef TN_OBJECTS_INCOMING_PRIVATE_H
#define TN_OBJECTS_INCOMING_PRIVATE_H

#include "objects/incoming.h"

/* Beneath storage.dir: "staging/<tenant>/<id>". */
const char *tn_incoming_path(const tn_incoming *incoming) TN_NEVER_NULL;
bool tn_incoming_is_kept(const tn_incoming *incoming);

/* All of it is about to be read, from its beginning on, and then synced: the kernel may read ahead,
 * and begins to write while checksums are made. */
void tn_incoming_begin_reading(const tn_incoming *incoming);

#endif
