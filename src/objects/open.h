/* objects/open.h: the content of an object as a file, for what reads files
 *
 * Threads: any; one request, one thread. Errors: 404 `NoSuchKey` when the bytes are gone, those of
 * the backend and of the vault.
 */
#ifndef TN_OBJECTS_OPEN_H
#define TN_OBJECTS_OPEN_H

#include "objects/object.h"

/* Open for reading, at its beginning, until the request is over. What lies plainly on our disk is
 * the file itself. What is in a remote store is fetched into a file without a name, and what is
 * encrypted into memory: so whoever calls this has looked at the object's size. */
const tn_error *tn_object_open(tn_ctx *c, const tn_object *object, int *fd) TN_MUST_CHECK;

/* A file without a name that is gone with the request: on disk beneath storage.dir, or in memory
 * when what comes into it must not be on disk. */
const tn_error *tn_scratch_open(tn_ctx *c, bool in_memory, int *fd) TN_MUST_CHECK;

#endif
