/* objects/migrate.h: bytes moved between the disk and the remote store of storage.backend_url
 *
 * While the server runs, because it reads from both places. Every version that a row names is
 * looked for at its destination; what is missing there is copied, when it is what its row says:
 * SHA-256 of the content, decrypted where it is encrypted. Going on after an interruption is
 * beginning again. With `prunes` the source's bytes go where the destination's, read back, have the
 * same SHA-256.
 *
 * Threads: none. Errors: those of the database and of either store; then not everything has been
 * looked at.
 */
#ifndef TN_OBJECTS_MIGRATE_H
#define TN_OBJECTS_MIGRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "db/database.h"

typedef struct tn_migration_move {
    tn_session *session; /* in the role tenon_platform */
    const tn_config *config;
    const char *tenant_id; /* NULL: all */
    bool to_remote, prunes;
    /* What was not moved, with the reason. */
    void (*told)(void *context, const char *bucket, const char *name, const char *version,
                 const char *why);
    void *context;
    /* results: rows */
    int64_t copied, copied_bytes, there, pruned, missing, damaged;
} tn_migration_move;

const tn_error *tn_objects_migrate(tn_migration_move *move, tn_arena *arena) TN_MUST_CHECK;

#endif
