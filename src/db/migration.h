/* db/migration.h: a folder of migrations applied in order
 *
 * Each file runs once, in a transaction of its own, under an advisory lock, and is recorded with
 * its SHA-256: ours (sql/migrations, NNNN_name.sql without a gap) in tenon.migrations, those of the
 * app's developer (NNNN_name.sql or YYYYMMDDHHMMSS_name.sql) in tenon.app_migrations. An applied
 * file that has changed, a number that is there twice, a new file before one that has run, an
 * applied one that is not there any more, and a file that begins or ends a transaction itself are
 * refused before anything runs.
 *
 * Threads: one at a time.
 */
#ifndef TN_DB_MIGRATION_H
#define TN_DB_MIGRATION_H

#include "db/database.h"

typedef enum tn_migration_kind { TN_MIGRATIONS_OURS, TN_MIGRATIONS_APP } tn_migration_kind;

typedef struct tn_migrations {
    tn_migration_kind kind;
    const char *folder;
} tn_migrations;

typedef struct tn_migration_report {
    size_t applied, already; /* now, before */
    size_t missing;          /* tn_migrate_check() only */
    const char *last;        /* file name of the newest */
    const char *next;        /* tn_migrate_check() only: of the first missing; or NULL */
} tn_migration_report;

/* Applies what is missing; `on_applied` (may be NULL) is told each file name. An error of a file
 * begins with its name and, where it is known, the line: "0007_x.sql:12: …". */
const tn_error *tn_migrate(tn_session *session, tn_arena *arena, const tn_migrations *what,
                           void (*on_applied)(void *, const char *file, int64_t ms), void *context,
                           tn_migration_report *report) TN_MUST_CHECK;

/* The same questions without changing anything: is what has run what the folder has, and how much
 * is missing? */
const tn_error *tn_migrate_check(tn_session *session, tn_arena *arena, const tn_migrations *what,
                                 tn_migration_report *report) TN_MUST_CHECK;

#endif
