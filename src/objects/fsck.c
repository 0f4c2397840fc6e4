/* objects/fsck.c: what is told, the counters, the trash */
#include "objects/fsck.h"

#include <string.h>

#include "base/text.h"
#include "objects/folder.h"
#include "objects/fsck_private.h"
#include "objects/queries.h"

const char *const tn_difference_names[TN_DIFFERENCES] = {
    [TN_DIFFERENCE_MISSING] = "missing_bytes",  [TN_DIFFERENCE_SIZE] = "wrong_size",
    [TN_DIFFERENCE_CONTENT] = "wrong_content",  [TN_DIFFERENCE_ORPHAN] = "orphan_file",
    [TN_DIFFERENCE_FOREIGN] = "foreign_file",   [TN_DIFFERENCE_STRANGE] = "strange_file",
    [TN_DIFFERENCE_ACCESS] = "wrong_access",    [TN_DIFFERENCE_STAGED] = "orphan_staged",
    [TN_DIFFERENCE_SPOOLED] = "orphan_spooled", [TN_DIFFERENCE_USAGE] = "wrong_usage",
    [TN_DIFFERENCE_TRASH] = "named_trash",      [TN_DIFFERENCE_FOUND] = "found_bytes",
    [TN_DIFFERENCE_CLOSED] = "unreadable",      [TN_DIFFERENCE_FOLDER] = "wrong_folder",
};

void
tn_fsck_tell(tn_fsck *fsck, const tn_fsck_finding *finding)
{
    fsck->found[finding->difference]++;
    if (finding->is_mended)
        fsck->mended[finding->difference]++;
    fsck->told(fsck->context, finding);
}

bool
tn_fsck_wants(const tn_fsck *fsck, const char *tenant_id)
{
    return fsck->tenant_id == NULL || strcmp(fsck->tenant_id, tenant_id) == 0;
}

static const tn_error *
check_usage(tn_fsck *fsck, tn_arena *arena)
{
    const tn_rows *rows, *counted;

    TN_TRY(tn_session_run(fsck->session, arena, tn_sql_objects_usage_differences.sql,
                          TN_PARAMS(fsck->tenant_id), &rows));
    if (tn_rows_count(rows) > 0 && fsck->repairs)
        TN_TRY(tn_session_run(fsck->session, arena, tn_sql_objects_recount_usage.sql,
                              TN_PARAMS(fsck->tenant_id), &counted));
    for (size_t i = 0; i < tn_rows_count(rows); i++)
        tn_fsck_tell(fsck, &(tn_fsck_finding){
                               .difference = TN_DIFFERENCE_USAGE,
                               .tenant_id = tn_rows_text(rows, i, 0),
                               .what = tn_rows_text(rows, i, 1),
                               .detail = tn_rows_text(rows, i, 2),
                               .is_mended = fsck->repairs,
                           });
    return NULL;
}

static const tn_error *
check_trash(tn_fsck *fsck, tn_arena *arena)
{
    const tn_rows *rows;

    TN_TRY(tn_session_run(fsck->session, arena,
                          fsck->repairs ? tn_sql_objects_mend_trash.sql
                                        : tn_sql_objects_named_trash.sql,
                          TN_PARAMS(fsck->tenant_id), &rows));
    for (size_t i = 0; i < tn_rows_count(rows); i++)
        tn_fsck_tell(fsck, &(tn_fsck_finding){
                               .difference = TN_DIFFERENCE_TRASH,
                               .tenant_id = tn_rows_text(rows, i, 0),
                               .what = tn_rows_text(rows, i, 1),
                               .is_mended = fsck->repairs,
                           });
    return NULL;
}

static const tn_error *
count_lost(tn_fsck *fsck, tn_arena *arena)
{
    const tn_rows *rows;

    TN_TRY(tn_session_run(fsck->session, arena, tn_sql_objects_count_lost.sql,
                          TN_PARAMS(fsck->tenant_id), &rows));
    fsck->lost = tn_rows_int(rows, 0, 0, 0);
    return NULL;
}

static void
free_arena(void *arena)
{
    tn_arena_free(arena);
}

tn_arena *
tn_fsck_arena(tn_fsck *fsck)
{
    tn_arena *arena = tn_arena_new();

    tn_arena_defer(fsck->arena, free_arena, arena);
    return arena;
}

/* --- whether the bytes are elsewhere ---------------------------------------------------------- */

#define MISSING_MIN 100
#define MISSING_PERCENT 5

static const tn_error *
check_folder(tn_fsck *fsck)
{
    const tn_rows *rows;
    const char *id;
    tn_folder folder;

    TN_TRY(tn_session_run(fsck->session, fsck->arena, tn_sql_objects_find_folder.sql, TN_NO_PARAMS,
                          &rows));
    id = tn_rows_text(rows, 0, 0);
    folder = tn_folder_look(fsck->config, id, tn_rows_bool(rows, 0, 1));
    if (tn_folder_problem(folder) == NULL)
        return NULL;
    if (fsck->repairs && !fsck->forced)
        return tn_error_new(fsck->arena, 409, "wrong_storage_dir",
                            tn_folder_hint(fsck->arena, fsck->config, id, folder),
                            "nothing is mended: %s", tn_folder_problem(folder));
    tn_fsck_tell(fsck, &(tn_fsck_finding){.difference = TN_DIFFERENCE_FOLDER,
                                          .tenant_id = "",
                                          .what = fsck->config->storage.dir,
                                          .detail = tn_folder_problem(folder)});
    return NULL;
}

static void
tell_nobody(void *context, const tn_fsck_finding *finding)
{
    (void)context;
    (void)finding;
}

/* All rows are looked at before the first is changed. */
static const tn_error *
check_missing(const tn_fsck *fsck, tn_store *store)
{
    tn_fsck look = {.arena = fsck->arena,
                    .session = fsck->session,
                    .config = fsck->config,
                    .tenant_id = fsck->tenant_id,
                    .told = tell_nobody};
    int64_t missing;

    TN_TRY(tn_fsck_rows(&look, store));
    missing = look.found[TN_DIFFERENCE_MISSING];
    if (missing <= MISSING_MIN || missing * 100 <= look.rows * MISSING_PERCENT)
        return NULL;
    return tn_error_new(fsck->arena, 409, "too_many_missing",
                        "Is the disk mounted, and storage.dir (or storage.backend_url) right? If "
                        "they are gone: --force.",
                        "nothing is mended: the bytes of %lld of %lld rows are missing",
                        (long long)missing, (long long)look.rows);
}

static const tn_error *
run(tn_fsck *fsck, tn_store *store)
{
    TN_TRY(check_folder(fsck));
    if (fsck->repairs && !fsck->forced)
        TN_TRY(check_missing(fsck, store));
    TN_TRY(tn_fsck_lost(fsck, store));
    TN_TRY(tn_fsck_rows(fsck, store));
    TN_TRY(tn_fsck_files(fsck, store));
    TN_TRY(check_trash(fsck, fsck->arena));
    TN_TRY(check_usage(fsck, fsck->arena));
    return count_lost(fsck, fsck->arena);
}

const tn_error *
tn_fsck_run(tn_fsck *fsck)
{
    tn_store *store = tn_store_new(fsck->config);
    const tn_error *error = run(fsck, store);

    tn_store_free(store);
    return error;
}
