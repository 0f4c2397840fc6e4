/* objects/incoming.c: files in storage.dir/staging/<tenant>/<id> */
#include "objects/incoming.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/metrics.h"
#include "base/text.h"
#include "objects/incoming_private.h"
#include "objects/store.h"
#include "objects/tree.h"

#define PIECE 65536

struct tn_incoming {
    tn_arena *arena;
    int root;
    int fd;
    tn_uuid id;
    const char *path; /* beneath the root */
    int64_t size;
    bool kept, gone;
};

static const char *
staging_path(tn_arena *arena, const tn_uuid *tenant_id, const tn_uuid *id)
{
    return tn_arena_printf(arena, "staging/%s/%s", tenant_id->text, id->text);
}

static void
release(void *what)
{
    tn_incoming *incoming = what;

    if (!incoming->kept && !incoming->gone)
        tn_incoming_drop(incoming);
    if (incoming->fd >= 0)
        (void)close(incoming->fd);
}

/* One without a file yet. */
static const tn_error *
prepare(tn_ctx *c, const tn_uuid *id, tn_incoming **incoming)
{
    tn_incoming *made = tn_arena_alloc(c->arena, 1, sizeof(*made));

    assert(c->who->tenant_id.text[0] != '\0'); /* whoever may upload belongs somewhere */
    if (atomic_load(&c->process->metrics->storage_wrong_folder)) {
        tn_error *error = tn_error_new(c->arena, 503, "storage_unavailable", "Tell the operator.",
                                       "files cannot be stored now");

        error->retry_after_s = 60;
        return error;
    }
    *made = (tn_incoming){.arena = c->arena, .fd = -1, .id = *id, .gone = true};
    TN_TRY(tn_store_root(c->process->store, c->arena, &made->root));
    made->path = staging_path(c->arena, &c->who->tenant_id, id);
    *incoming = made;
    return NULL;
}

/* From now on there is one, to be closed and, unless it is kept, removed. */
static void
adopt(tn_incoming *incoming, int fd)
{
    incoming->fd = fd;
    incoming->gone = false;
    tn_arena_defer(incoming->arena, release, incoming);
}

const tn_error *
tn_incoming_new(tn_ctx *c, tn_incoming **incoming)
{
    const tn_uuid id = tn_uuid_new();
    const char *name;
    int folder, fd;

    TN_TRY(prepare(c, &id, incoming));
    folder = tn_tree_open_folder((*incoming)->root, (*incoming)->path, true, &name);
    if (folder < 0)
        return tn_tree_error(c->arena, "staging folder");
    fd = tn_tree_open(folder, name, O_RDWR | O_CREAT | O_EXCL | O_APPEND);
    if (fd >= 0)
        adopt(*incoming, fd);
    (void)close(folder);
    return fd < 0 ? tn_tree_error(c->arena, "staging file") : NULL;
}

/* A second descriptor: copy_file_range(2) takes none that appends. */
static int
open_at_end(const tn_incoming *incoming)
{
    const int fd = tn_tree_open(incoming->root, incoming->path, O_WRONLY);

    if (fd >= 0 && lseek(fd, 0, SEEK_END) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* The same for bytes out of another file. */
static const tn_error *
append_bytes_of(tn_incoming *incoming, int source, int64_t offset, int64_t length, int64_t *got)
{
    const int fd = open_at_end(incoming);

    *got = 0;
    if (fd < 0)
        return tn_tree_error(incoming->arena, "staged file");
    *got = tn_tree_copy_bytes(source, offset, length, fd);
    (void)close(fd);
    if (*got < 0)
        return tn_tree_error(incoming->arena, "copy to a staged file");
    incoming->size += *got;
    return NULL;
}

/* --- bodies ----------------------------------------------------------------------------------- */

static const tn_error *
too_large(tn_arena *arena)
{
    return tn_error_new(arena, 413, "EntityTooLarge", NULL,
                        "The object exceeded the maximum allowed size");
}

static const tn_error *
incomplete(tn_arena *arena, int64_t got, int64_t expected)
{
    return tn_error_new(arena, 400, "body_incomplete", NULL,
                        "the body ended after %lld of %lld bytes", (long long)got,
                        (long long)expected);
}

/* Over the connection to nginx, as other servers in front would have it. */
static const tn_error *
take_stream(tn_ctx *c, int64_t max, tn_incoming **incoming)
{
    tn_request request = *c->request; /* reading moves nothing but the connection's own state */
    char *bytes = tn_arena_alloc(c->arena, PIECE, 1);
    ssize_t got;

    TN_TRY(tn_incoming_new(c, incoming));
    while ((got = tn_request_read_some(&request, bytes, PIECE)) > 0) {
        if (max > 0 && (*incoming)->size + got > max)
            return too_large(c->arena);
        TN_TRY(tn_incoming_append(*incoming, bytes, (size_t)got));
    }
    if (got < 0 || (request.content_length >= 0 && (*incoming)->size != request.content_length))
        return incomplete(c->arena, (*incoming)->size, request.content_length);
    return NULL;
}

/* The spooled file's path beneath storage.dir; NULL: it is elsewhere. */
static const char *
spooled_beneath(const tn_ctx *c)
{
    const char *folder = c->config->storage.dir, *file = c->request->body_file;
    const size_t length = strlen(folder);

    if (strncmp(file, folder, length) != 0 || file[length] != '/')
        return NULL;
    return file + length + strspn(file + length, "/");
}

/* The spooled file gets a name of ours. nginx removes the old one afterwards, which is gone. */
static const tn_error *
take_by_name(tn_ctx *c, const char *spooled, tn_incoming *incoming, bool *taken)
{
    int fd;

    *taken = false;
    if (tn_tree_rename(incoming->root, spooled, incoming->path) != 0) {
        if (errno == EXDEV)
            return NULL;
        return tn_tree_error(c->arena, "rename of a spooled body");
    }
    fd = tn_tree_open(incoming->root, incoming->path, O_RDWR | O_APPEND);
    if (fd < 0) {
        const tn_error *error = tn_tree_error(c->arena, "spooled body");

        (void)tn_tree_remove(incoming->root, incoming->path);
        return error;
    }
    adopt(incoming, fd);
    if (fchmod(fd, TN_TREE_FILE_MODE) != 0)
        return tn_tree_error(c->arena, "mode of a spooled body");
    *taken = true;
    return NULL;
}

/* The spool is on another filesystem than the objects. */
static const tn_error *
take_copy(tn_ctx *c, tn_incoming **incoming)
{
    const int from = open(c->request->body_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const tn_error *error;
    int64_t got;

    if (from < 0)
        return tn_error_internal(c->arena, "storage.spool.unreadable", "%s: %m",
                                 c->request->body_file);
    error = tn_incoming_new(c, incoming);
    if (error == NULL)
        error = append_bytes_of(*incoming, from, 0, -1, &got);
    (void)close(from);
    return error;
}

static const tn_error *
take_spooled(tn_ctx *c, tn_incoming **incoming)
{
    const tn_uuid id = tn_uuid_new();
    const char *spooled = spooled_beneath(c);
    bool taken = false;

    if (spooled != NULL) {
        TN_TRY(prepare(c, &id, incoming));
        TN_TRY(take_by_name(c, spooled, *incoming, &taken));
    }
    return taken ? NULL : take_copy(c, incoming);
}

const tn_error *
tn_incoming_body(tn_ctx *c, int64_t max, tn_incoming **incoming)
{
    const tn_request *request = c->request;
    struct stat status;

    if (max > 0 && request->content_length > max)
        return too_large(c->arena);
    if (request->body_file == NULL && request->phase != TN_PHASE_ADMITTED)
        return take_stream(c, max, incoming);
    TN_TRY(request->body_file != NULL ? take_spooled(c, incoming) : tn_incoming_new(c, incoming));
    if (fstat((*incoming)->fd, &status) != 0)
        return tn_tree_error(c->arena, "size of a spooled body");
    (*incoming)->size = status.st_size;
    if (request->content_length >= 0 && status.st_size != request->content_length)
        return incomplete(c->arena, status.st_size, request->content_length);
    return max > 0 && status.st_size > max ? too_large(c->arena) : NULL;
}

/* --- in parts --------------------------------------------------------------------------------- */

const tn_error *
tn_incoming_open(tn_ctx *c, const tn_uuid *id, int64_t length, tn_incoming **incoming)
{
    struct stat status;
    int fd;

    TN_TRY(prepare(c, id, incoming));
    fd = tn_tree_open((*incoming)->root, (*incoming)->path, O_RDWR | O_APPEND);
    if (fd < 0 && errno != ENOENT)
        return tn_tree_error(c->arena, "kept upload");
    if (fd >= 0) {
        (*incoming)->kept = true;
        adopt(*incoming, fd);
    }
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size < length)
        return tn_error_new(c->arena, 404, "NoSuchUpload", NULL, "The upload does not exist");
    if (status.st_size > length && ftruncate(fd, length) != 0)
        return tn_tree_error(c->arena, "kept upload");
    (*incoming)->size = length;
    return NULL;
}

void
tn_incoming_cut(tn_incoming *incoming, int64_t length)
{
    if (incoming->fd >= 0 && incoming->size > length && ftruncate(incoming->fd, length) == 0)
        incoming->size = length;
}

const tn_error *
tn_incoming_append(tn_incoming *incoming, const void *bytes, size_t length)
{
    if (tn_tree_write(incoming->fd, bytes, length) != 0)
        return tn_tree_error(incoming->arena, "staged file");
    incoming->size += (int64_t)length;
    return NULL;
}

const tn_error *
tn_incoming_append_file(tn_incoming *incoming, tn_incoming *source, int64_t offset, int64_t length)
{
    int64_t got;

    TN_TRY(append_bytes_of(incoming, source->fd, offset, length, &got));
    if (length >= 0 && got != length)
        return tn_error_internal(incoming->arena, "storage.staging.short", "%lld of %lld bytes",
                                 (long long)got, (long long)length);
    return NULL;
}

const tn_error *
tn_incoming_read(tn_incoming *incoming, int64_t offset, void *bytes, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size) {
        const ssize_t done =
            pread(incoming->fd, (char *)bytes + *got, size - *got, offset + (int64_t)*got);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return tn_tree_error(incoming->arena, "staged file");
        if (done == 0)
            break;
        *got += (size_t)done;
    }
    return NULL;
}

/* --- what it is, and its end ------------------------------------------------------------------ */

int64_t
tn_incoming_size(const tn_incoming *incoming)
{
    return incoming->size;
}

const tn_uuid *
tn_incoming_id(const tn_incoming *incoming)
{
    return &incoming->id;
}

int
tn_incoming_fd(const tn_incoming *incoming)
{
    return incoming->fd;
}

const char *
tn_incoming_path(const tn_incoming *incoming)
{
    return incoming->path;
}

void
tn_incoming_begin_reading(const tn_incoming *incoming)
{
    (void)posix_fadvise(incoming->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    (void)sync_file_range(incoming->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* waits for nothing */
}

bool
tn_incoming_is_kept(const tn_incoming *incoming)
{
    return incoming->kept;
}

const tn_error *
tn_incoming_keep(tn_incoming *incoming)
{
    const char *name;
    int folder, failed;

    if (fsync(incoming->fd) != 0)
        return tn_tree_error(incoming->arena, "staged file");
    folder = tn_tree_open_folder(incoming->root, incoming->path, false, &name);
    if (folder < 0)
        return tn_tree_error(incoming->arena, "staging folder");
    failed = fsync(folder);
    (void)close(folder);
    if (failed != 0)
        return tn_tree_error(incoming->arena, "staging folder");
    incoming->kept = true;
    return NULL;
}

void
tn_incoming_drop(tn_incoming *incoming)
{
    if (!incoming->gone && tn_tree_remove(incoming->root, incoming->path) == 0)
        incoming->gone = true;
}

void
tn_staging_remove(const tn_process *process, const tn_uuid *tenant_id, const tn_uuid *id)
{
    tn_arena *arena = tn_arena_new();
    int root;

    if (tn_store_root(process->store, arena, &root) == NULL)
        (void)tn_tree_remove(root, staging_path(arena, tenant_id, id)); /* else it is swept */
    tn_arena_free(arena);
}
