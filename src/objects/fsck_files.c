/* objects/fsck_files.c: every file → its row */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "objects/backend.h"
#include "objects/fsck_private.h"
#include "objects/queries.h"
#include "objects/tree.h"
#include "objects/walk.h"

#define BATCH 500
#define OPEN_TO_OTHERS 027 /* nobody else reads, and nobody else's group writes */

struct files_check {
    tn_fsck *fsck;
    tn_backend *backend;
    tn_arena *arena; /* of one batch */
    int root;
    uid_t owner;
    int64_t before_s;
    size_t count; /* of the batch */
    PQExpBuffer tenants, names;
    const tn_error *error;
    const tn_error *(*settle)(struct files_check *check, const char *tenants, const char *names);
};

/* --- batches ---------------------------------------------------------------------------------- */

static void
begin_batch(struct files_check *check)
{
    tn_arena_reset(check->arena);
    check->count = 0;
    check->tenants = tn_arena_buffer(check->arena);
    check->names = tn_arena_buffer(check->arena);
}

static void
settle_batch(struct files_check *check)
{
    if (check->count == 0 || check->error != NULL)
        return;
    check->error =
        check->settle(check, tn_arena_printf(check->arena, "{%s}", tn_buffer_text(check->tenants)),
                      tn_arena_printf(check->arena, "{%s}", tn_buffer_text(check->names)));
    if (check->error == NULL)
        begin_batch(check);
}

/* Both are UUIDs. */
static void
add_to_batch(struct files_check *check, const tn_uuid *tenant, const tn_uuid *name)
{
    const char *comma = check->count > 0 ? "," : "";

    appendPQExpBuffer(check->tenants, "%s%s", comma, tenant->text);
    appendPQExpBuffer(check->names, "%s%s", comma, name->text);
    if (++check->count == BATCH)
        settle_batch(check);
}

/* --- one file --------------------------------------------------------------------------------- */

static const char *
tenant_of(const struct files_check *check, const char *path)
{
    const char *slash = strchr(path, '/');

    if (slash == NULL || strlen(slash) < 37)
        return "";
    return tn_arena_printf(check->arena, "%.36s", slash + 1);
}

static void
tell_path(struct files_check *check, tn_difference difference, const char *path, const char *detail,
          bool is_mended)
{
    tn_fsck_tell(check->fsck, &(tn_fsck_finding){.difference = difference,
                                                 .tenant_id = tenant_of(check, path),
                                                 .what = path,
                                                 .detail = detail,
                                                 .is_mended = is_mended});
}

/* By its descriptor, so that nothing else can be meant by then. */
static bool
set_access(const struct files_check *check, const tn_walk_entry *entry)
{
    const int fd = tn_tree_open(check->root, entry->path, O_RDONLY | O_NONBLOCK);
    bool done;

    if (fd < 0)
        return false;
    done = (entry->owner == check->owner || fchown(fd, check->owner, (gid_t)-1) == 0) &&
           fchmod(fd, entry->mode & ~(mode_t)OPEN_TO_OTHERS & 07777) == 0;
    (void)close(fd);
    return done;
}

/* Whoever was root and acts as the owner is root again for it. */
static bool
mend_access(const struct files_check *check, const tn_walk_entry *entry)
{
    const uid_t acts_as = geteuid();
    const bool was_root = acts_as != 0 && seteuid(0) == 0;
    const bool done = set_access(check, entry);

    if (was_root && seteuid(acts_as) != 0)
        tn_die("seteuid: %s", strerror(errno));
    return done;
}

static void
check_access(struct files_check *check, const tn_walk_entry *entry)
{
    if (entry->owner == check->owner && (entry->mode & OPEN_TO_OTHERS) == 0)
        return;
    tell_path(check, TN_DIFFERENCE_ACCESS, entry->path,
              tn_arena_printf(check->arena, "owner %lld, mode %04o", (long long)entry->owner,
                              (unsigned)entry->mode),
              check->fsck->repairs && mend_access(check, entry));
}

static void
remove_old(struct files_check *check, tn_difference difference, const tn_walk_entry *entry)
{
    tell_path(check, difference, entry->path, NULL,
              check->fsck->repairs && tn_tree_remove(check->root, entry->path) == 0);
}

/* --- objects ---------------------------------------------------------------------------------- */

/* Asked in a statement that began after the files were seen, and once more before it is removed. */
static const tn_error *
find_unnamed(struct files_check *check, const char *tenants, const char *versions,
             const tn_rows **rows)
{
    return tn_session_run(check->fsck->session, check->arena, tn_sql_objects_unnamed_files.sql,
                          TN_PARAMS(tenants, versions), rows);
}

static const tn_error *
settle_objects(struct files_check *check, const char *tenants, const char *versions)
{
    const tn_rows *rows;

    TN_TRY(find_unnamed(check, tenants, versions, &rows));
    for (size_t i = 0; i < tn_rows_count(rows); i++) {
        const bool is_known = tn_rows_bool(rows, i, 2);
        tn_fsck_finding finding = {.difference =
                                       is_known ? TN_DIFFERENCE_ORPHAN : TN_DIFFERENCE_FOREIGN,
                                   .tenant_id = tn_rows_text(rows, i, 0),
                                   .what = tn_rows_text(rows, i, 1)};
        tn_blob blob;

        if (check->fsck->repairs && is_known && tn_uuid_parse(finding.tenant_id, &blob.tenant_id) &&
            tn_uuid_parse(finding.what, &blob.version)) {
            const tn_error *error = tn_backend_remove(check->backend, check->arena, &blob);

            if (error != NULL && error->status == 503)
                return error;
            finding.is_mended = error == NULL;
            finding.detail = error == NULL ? NULL : error->message;
        }
        tn_fsck_tell(check->fsck, &finding);
    }
    return NULL;
}

static bool
look_at_blob(struct files_check *check, const tn_blob *blob, int64_t modified_s)
{
    if (!tn_fsck_wants(check->fsck, blob->tenant_id.text))
        return true;
    check->fsck->files++;
    if (modified_s >= check->before_s)
        check->fsck->young++;
    else
        add_to_batch(check, &blob->tenant_id, &blob->version);
    return check->error == NULL;
}

static bool
look_at_entry(void *context, const tn_blob_entry *entry)
{
    return look_at_blob(context, &entry->blob, entry->modified_s);
}

static bool
look_at_file(void *context, const tn_walk_entry *entry)
{
    struct files_check *check = context;
    tn_blob blob;

    if (entry->kind == TN_WALK_FOLDER) {
        check_access(check, entry);
        return true;
    }
    if (entry->kind == TN_WALK_CLOSED) {
        tell_path(check, TN_DIFFERENCE_CLOSED, entry->path, NULL, false);
        return true;
    }
    if (entry->kind != TN_WALK_FILE || !tn_blob_parse(entry->path + strlen("objects/"), &blob)) {
        tell_path(check, TN_DIFFERENCE_STRANGE, entry->path, NULL, false);
        return true;
    }
    if (tn_fsck_wants(check->fsck, blob.tenant_id.text))
        check_access(check, entry);
    return look_at_blob(check, &blob, entry->changed_s);
}

/* --- staging and spool ------------------------------------------------------------------------ */

static const tn_error *
settle_staged(struct files_check *check, const char *tenants, const char *ids)
{
    const tn_rows *rows;

    TN_TRY(tn_session_run(check->fsck->session, check->arena, tn_sql_objects_unstaged_files.sql,
                          TN_PARAMS(tenants, ids), &rows));
    for (size_t i = 0; i < tn_rows_count(rows); i++) {
        const tn_walk_entry entry = {.path = tn_arena_printf(check->arena, "staging/%s/%s",
                                                             tn_rows_text(rows, i, 0),
                                                             tn_rows_text(rows, i, 1))};

        remove_old(check, TN_DIFFERENCE_STAGED, &entry);
    }
    return NULL;
}

static bool
look_at_staged(void *context, const tn_walk_entry *entry)
{
    struct files_check *check = context;
    const char *rest = entry->path + strlen("staging/");
    tn_uuid tenant, id;
    char first[37];

    if (entry->kind == TN_WALK_FOLDER)
        return true;
    (void)snprintf(first, sizeof(first), "%.36s", rest);
    if (entry->kind == TN_WALK_CLOSED)
        tell_path(check, TN_DIFFERENCE_CLOSED, entry->path, NULL, false);
    else if (entry->kind != TN_WALK_FILE || strlen(rest) != 73 || rest[36] != '/' ||
             !tn_uuid_parse(first, &tenant) || !tn_uuid_parse(rest + 37, &id))
        tell_path(check, TN_DIFFERENCE_STRANGE, entry->path, NULL, false);
    else if (entry->changed_s < check->before_s && tn_fsck_wants(check->fsck, tenant.text))
        add_to_batch(check, &tenant, &id);
    return check->error == NULL;
}

/* What nginx has spooled belongs to no tenant yet. */
static bool
look_at_spooled(void *context, const tn_walk_entry *entry)
{
    struct files_check *check = context;

    if (entry->kind == TN_WALK_CLOSED)
        tell_path(check, TN_DIFFERENCE_CLOSED, entry->path, NULL, false);
    if (entry->kind == TN_WALK_FILE && entry->changed_s < check->before_s)
        remove_old(check, TN_DIFFERENCE_SPOOLED, entry);
    return true;
}

/* --- all of it -------------------------------------------------------------------------------- */

static const tn_error *
walk(struct files_check *check, const char *folder, tn_walk_each *each)
{
    if (check->error == NULL && tn_walk(check->root, folder, each, check) != 0)
        check->error = tn_tree_error(check->arena, folder);
    settle_batch(check);
    return check->error;
}

static const tn_error *
check_folders(struct files_check *check)
{
    check->settle = settle_objects;
    if (check->fsck->config->storage.backend_url[0] == '\0') {
        TN_TRY(walk(check, "objects", look_at_file));
    } else {
        TN_TRY(tn_backend_list(check->backend, check->fsck->arena, look_at_entry, check));
        settle_batch(check);
        TN_TRY(check->error);
    }
    check->settle = settle_staged;
    TN_TRY(walk(check, "staging", look_at_staged));
    return check->fsck->tenant_id == NULL ? walk(check, "spool", look_at_spooled) : NULL;
}

const tn_error *
tn_fsck_files(tn_fsck *fsck, tn_store *store)
{
    struct files_check check = {
        .fsck = fsck, .arena = tn_fsck_arena(fsck), .before_s = tn_clock_unix() - fsck->age_s};
    struct stat about;

    TN_TRY(tn_store_root(store, fsck->arena, &check.root));
    TN_TRY(tn_store_backend(store, fsck->arena, &check.backend));
    if (fstat(check.root, &about) != 0)
        return tn_tree_error(fsck->arena, "storage.dir");
    check.owner = about.st_uid;
    begin_batch(&check);
    return check_folders(&check);
}
