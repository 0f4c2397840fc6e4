/* objects/backend_both.c: a remote store beside the disk
 *
 * With storage.backend_url there are always two places, so that files can be moved from one to the
 * other while the server runs (`tenon storage migrate`): new bytes go to the one that
 * storage.backend_writes says, and what is looked for is looked for in both. On the disk first,
 * because asking costs microseconds there: bytes are never changed, so either place will do.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "objects/backend_private.h"
#include "objects/tree.h"

struct both {
    tn_backend backend;
    tn_backend *disk, *remote;
    tn_backend *writes; /* one of them */
    int root;           /* storage.dir, for a file on the way from one to the other */
};

static const struct both *
both_of(const tn_backend *backend)
{
    return (const struct both *)backend;
}

static bool
is_not_there(const tn_error *error)
{
    return error != NULL && error->status == 404;
}

static void
both_free(tn_backend *backend)
{
    struct both *both = (struct both *)backend;

    tn_backend_free(both->disk);
    tn_backend_free(both->remote);
    (void)close(both->root);
    free(both);
}

static const tn_error *
both_put(tn_backend *backend, tn_arena *arena, const tn_blob *blob, const char *staged, int fd)
{
    return tn_backend_put(both_of(backend)->writes, arena, blob, staged, fd);
}

/* NOLINTNEXTLINE(readability-function-size): as tn_backend_get() */
static const tn_error *
both_get(tn_backend *backend, tn_arena *arena, const tn_blob *blob, int64_t offset, int64_t length,
         tn_blob_sink *sink, void *context)
{
    const struct both *both = both_of(backend);
    const tn_error *error = tn_backend_get(both->disk, arena, blob, offset, length, sink, context);

    if (is_not_there(error))
        error = tn_backend_get(both->remote, arena, blob, offset, length, sink, context);
    /* It may have been moved to the disk, and removed there, between the two questions. */
    if (is_not_there(error))
        error = tn_backend_get(both->disk, arena, blob, offset, length, sink, context);
    return error;
}

static const tn_error *
both_stat(tn_backend *backend, tn_arena *arena, const tn_blob *blob, int64_t *size)
{
    const struct both *both = both_of(backend);
    const tn_error *error = tn_backend_stat(both->disk, arena, blob, size);

    if (is_not_there(error))
        error = tn_backend_stat(both->remote, arena, blob, size);
    if (is_not_there(error))
        error = tn_backend_stat(both->disk, arena, blob, size);
    return error;
}

static const tn_error *
both_remove(tn_backend *backend, tn_arena *arena, const tn_blob *blob)
{
    const struct both *both = both_of(backend);

    TN_TRY(tn_backend_remove(both->disk, arena, blob));
    return tn_backend_remove(both->remote, arena, blob);
}

/* What is in both places comes twice. */
struct listing {
    bool (*each)(void *context, const tn_blob_entry *entry);
    void *context;
    bool is_enough;
};

static bool
pass_entry(void *context, const tn_blob_entry *entry)
{
    struct listing *listing = context;

    listing->is_enough = !listing->each(listing->context, entry);
    return !listing->is_enough;
}

static const tn_error *
both_list(tn_backend *backend, tn_arena *arena,
          bool (*each)(void *context, const tn_blob_entry *entry), void *context)
{
    const struct both *both = both_of(backend);
    struct listing listing = {.each = each, .context = context};

    TN_TRY(tn_backend_list(both->disk, arena, pass_entry, &listing));
    return listing.is_enough ? NULL : tn_backend_list(both->remote, arena, pass_entry, &listing);
}

/* --- copies ----------------------------------------------------------------------------------- */

struct passing {
    int fd;
    bool failed;
};

static bool
write_piece(void *context, const char *bytes, size_t length)
{
    struct passing *passing = context;

    passing->failed = tn_tree_write(passing->fd, bytes, length) != 0;
    return !passing->failed;
}

const tn_error *
tn_blob_carry(tn_arena *arena, int root, tn_backend *source, const tn_blob *from,
              tn_backend *target, const tn_blob *to)
{
    const tn_uuid id = tn_uuid_new();
    const char *path = tn_arena_printf(arena, "staging/%s/%s", to->tenant_id.text, id.text), *name;
    const int folder = tn_tree_open_folder(root, path, true, &name);
    struct passing passing = {.fd = -1};
    const tn_error *error;

    if (folder < 0)
        return tn_tree_error(arena, "staging folder");
    passing.fd = tn_tree_open(folder, name, O_RDWR | O_CREAT | O_EXCL);
    (void)close(folder);
    if (passing.fd < 0)
        return tn_tree_error(arena, "staged file");
    error = tn_backend_get(source, arena, from, 0, -1, write_piece, &passing);
    if (error == NULL && passing.failed)
        error = tn_tree_error(arena, "staged file");
    if (error == NULL)
        error = tn_backend_put(target, arena, to, path, passing.fd);
    (void)close(passing.fd);
    if (tn_tree_remove(root, path) != 0 && error == NULL)
        error = tn_tree_error(arena, "staged file");
    return error;
}

static const tn_error *
both_copy(tn_backend *backend, tn_arena *arena, const tn_blob *from, const tn_blob *to)
{
    const struct both *both = both_of(backend);
    tn_backend *other = both->writes == both->disk ? both->remote : both->disk;
    const tn_error *error = tn_backend_copy(both->writes, arena, from, to);

    if (!is_not_there(error))
        return error;
    return tn_blob_carry(arena, both->root, other, from, both->writes, to);
}

static const char *
both_accel_path(const tn_backend *backend, tn_arena *arena, const tn_blob *blob)
{
    const struct both *both = both_of(backend);

    return tn_backend_stat(both->disk, arena, blob, NULL) == NULL
               ? tn_backend_accel_path(both->disk, arena, blob)
               : NULL;
}

static const tn_backend_ops both_ops = {
    .free = both_free,
    .put = both_put,
    .copy = both_copy,
    .get = both_get,
    .stat = both_stat,
    .remove = both_remove,
    .list = both_list,
    .accel_path = both_accel_path,
};

tn_backend *
tn_backend_both_new(tn_arena *arena, const tn_config *config, const char **problem)
{
    tn_backend *disk = tn_backend_disk_new(arena, config, problem);
    tn_backend *remote = disk == NULL ? NULL : tn_backend_remote_new(arena, config, problem);
    struct both *both;

    if (remote == NULL) {
        tn_backend_free(disk);
        return NULL;
    }
    both = calloc(1, sizeof(*both));
    if (both == NULL)
        tn_die("out of memory");
    *both = (struct both){
        .backend = {.ops = &both_ops},
        .disk = disk,
        .remote = remote,
        .writes = config->storage.backend_writes ? remote : disk,
        .root = tn_tree_root(config->storage.dir),
    };
    if (both->root < 0) {
        *problem = tn_arena_printf(arena, "%s: it cannot be opened", config->storage.dir);
        tn_backend_free(disk);
        tn_backend_free(remote);
        free(both);
        return NULL;
    }
    return &both->backend;
}
