/* db/migration.h: sql/migrations applied in order
 *
 * Each file NNNN_name.sql runs once, in a transaction of its own, under an advisory lock, and is
 * recorded in tenon.migrations with its SHA-256. An applied file that has changed, a number that is
 * there twice, a gap, or an applied number that has no file any more is refused before anything
 * runs.
 *
 * Threads: one at a time.
 */
#ifndef TN_DB_MIGRATION_H
#define TN_DB_MIGRATION_H

#include "db/database.h"

typedef struct tn_migration_report {
    size_t applied, already; /* now, before */
    size_t missing;          /* tn_migrate_check() only */
    const char *last;        /* file name of the newest */
} tn_migration_report;

/* Applies what is missing out of `folder`; `on_applied` (may be NULL) is told each file name. */
const tn_error *tn_migrate(tn_session *session, tn_arena *arena, const char *folder,
                           void (*on_applied)(void *, const char *file, int64_t ms), void *context,
                           tn_migration_report *report) TN_MUST_CHECK;

/* The same questions without changing anything: is what has run what the folder has, and how much
 * is missing? */
const tn_error *tn_migrate_check(tn_session *session, tn_arena *arena, const char *folder,
                                 tn_migration_report *report) TN_MUST_CHECK;

#endif
