/* objects/backend_disk.c: objects/<tenant>/<2 hex>/<2 hex>/<version> beneath storage.dir */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "objects/backend_private.h"
#include "objects/tree.h"
#include "objects/walk.h"

#define FOLDER "objects"
#define PIECE 262144

struct disk {
    tn_backend backend;
    int root; /* storage.dir */
};

static const struct disk *
disk_of(const tn_backend *backend)
{
    return (const struct disk *)backend;
}

static const char *
path_of(tn_arena *arena, const tn_blob *blob)
{
    return tn_arena_printf(arena, FOLDER "/%s", tn_blob_path(arena, blob));
}

static void
disk_free(tn_backend *backend)
{
    (void)close(disk_of(backend)->root);
    free(backend);
}

static const tn_error *
gone(tn_arena *arena, const char *what)
{
    if (errno == ENOENT)
        return tn_error_new(arena, 404, "NoSuchKey", NULL, "the bytes of this object are gone");
    return tn_tree_error(arena, what);
}

/* --- writing ---------------------------------------------------------------------------------- */

static const tn_error *
disk_put(tn_backend *backend, tn_arena *arena, const tn_blob *blob, const char *staged, int fd)
{
    const int root = disk_of(backend)->root;
    const char *path = path_of(arena, blob);

    if (fsync(fd) != 0)
        return tn_tree_error(arena, "fsync of a staged file");
    /* Not a rename: should the row fail, a resumable upload is still where it was. */
    if (tn_tree_link(root, staged, path) != 0 &&
        (errno != EPERM || tn_tree_place(root, staged, path) != 0))
        return tn_tree_error(arena, "link to a staged file");
    return NULL;
}

/* What link(2) does not do, on another filesystem or with too many names: the bytes again. */
static const tn_error *
copy_bytes(const struct disk *disk, tn_arena *arena, const char *from, const char *to)
{
    const char *name, *what = "copy of an object";
    const tn_error *error = NULL;
    int folder, in, out;

    folder = tn_tree_open_folder(disk->root, to, true, &name);
    if (folder < 0)
        return tn_tree_error(arena, what);
    in = tn_tree_open(disk->root, from, O_RDONLY);
    out = in < 0 ? -1 : tn_tree_open(folder, name, O_WRONLY | O_CREAT | O_EXCL);
    if (out < 0) {
        error = gone(arena, what);
    } else if (tn_tree_copy_bytes(in, 0, -1, out) < 0 || fsync(out) != 0 || fsync(folder) != 0) {
        error = tn_tree_error(arena, what);
        (void)unlinkat(folder, name, 0);
    }
    if (out >= 0)
        (void)close(out);
    if (in >= 0)
        (void)close(in);
    (void)close(folder);
    return error;
}

static const tn_error *
disk_copy(tn_backend *backend, tn_arena *arena, const tn_blob *from, const tn_blob *to)
{
    const struct disk *disk = disk_of(backend);
    const char *source = path_of(arena, from), *target = path_of(arena, to);

    if (tn_tree_link(disk->root, source, target) == 0)
        return NULL;
    if (errno == EMLINK || errno == EXDEV || errno == EPERM || errno == EOPNOTSUPP)
        return copy_bytes(disk, arena, source, target);
    return gone(arena, "link to an object");
}

static const tn_error *
disk_remove(tn_backend *backend, tn_arena *arena, const tn_blob *blob)
{
    if (tn_tree_remove(disk_of(backend)->root, path_of(arena, blob)) != 0)
        return tn_tree_error(arena, "removal of an object");
    return NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

static const tn_error *
pass_on(tn_arena *arena, int fd, int64_t offset, int64_t length, tn_blob_sink *sink, void *context)
{
    char *bytes = tn_arena_alloc(arena, PIECE, 1);

    while (length != 0) {
        const size_t wanted = length < 0 || length > PIECE ? PIECE : (size_t)length;
        const ssize_t got = pread(fd, bytes, wanted, offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tn_tree_error(arena, "read of an object");
        if (got == 0 && length > 0)
            return tn_error_internal(arena, "storage.object.short", "%lld bytes are missing",
                                     (long long)length);
        if (got == 0 || !sink(context, bytes, (size_t)got))
            break;
        offset += got;
        length -= length > 0 ? got : 0;
    }
    return NULL;
}

static const tn_error *
disk_get(tn_backend *backend, tn_arena *arena, const tn_blob *blob, int64_t offset, int64_t length,
         tn_blob_sink *sink, void *context)
{
    const int fd = tn_tree_open(disk_of(backend)->root, path_of(arena, blob), O_RDONLY);
    const tn_error *error;

    if (fd < 0)
        return gone(arena, "an object");
    (void)posix_fadvise(fd, offset, length > 0 ? length : 0, POSIX_FADV_SEQUENTIAL);
    error = pass_on(arena, fd, offset, length, sink, context);
    (void)close(fd);
    return error;
}

static const tn_error *
disk_stat(tn_backend *backend, tn_arena *arena, const tn_blob *blob, int64_t *size)
{
    const int fd = tn_tree_open(disk_of(backend)->root, path_of(arena, blob), O_PATH);
    struct stat status;
    int failed;

    if (fd < 0)
        return gone(arena, "an object");
    failed = fstat(fd, &status);
    (void)close(fd);
    if (failed != 0)
        return tn_tree_error(arena, "an object");
    if (size != NULL)
        *size = status.st_size;
    return NULL;
}

static const char *
disk_accel_path(const tn_backend *backend, tn_arena *arena, const tn_blob *blob)
{
    (void)backend;
    return tn_arena_printf(arena, "/_tenon/objects/%s", tn_blob_path(arena, blob));
}

/* --- everything that is there ----------------------------------------------------------------- */

struct listing {
    bool (*each)(void *context, const tn_blob_entry *entry);
    void *context;
};

/* A file is told of when its name is one of ours. */
static bool
tell(void *context, const tn_walk_entry *file)
{
    const struct listing *listing = context;
    tn_blob_entry entry = {.size = file->size, .modified_s = file->changed_s};

    if (file->kind != TN_WALK_FILE || !tn_blob_parse(file->path + strlen(FOLDER "/"), &entry.blob))
        return true;
    return listing->each(listing->context, &entry);
}

static const tn_error *
disk_list(tn_backend *backend, tn_arena *arena,
          bool (*each)(void *context, const tn_blob_entry *entry), void *context)
{
    struct listing listing = {.each = each, .context = context};

    if (tn_walk(disk_of(backend)->root, FOLDER, tell, &listing) != 0)
        return tn_tree_error(arena, "list of objects");
    return NULL;
}

/* ---------------------------------------------------------------------------------------------- */

static const tn_backend_ops disk_ops = {
    .free = disk_free,
    .put = disk_put,
    .copy = disk_copy,
    .get = disk_get,
    .stat = disk_stat,
    .remove = disk_remove,
    .list = disk_list,
    .accel_path = disk_accel_path,
};

tn_backend *
tn_backend_disk_new(tn_arena *arena, const tn_config *config, const char **problem)
{
    const int root = tn_tree_root(config->storage.dir);
    struct disk *disk;

    if (root < 0) {
        *problem = tn_arena_printf(arena, "%s: %s", config->storage.dir, strerror(errno));
        return NULL;
    }
    disk = calloc(1, sizeof(*disk));
    if (disk == NULL)
        tn_die("out of memory");
    *disk = (struct disk){.backend = {.ops = &disk_ops}, .root = root};
    return &disk->backend;
}
