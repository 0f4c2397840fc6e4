/* storage/render_cache.c: pictures that have been made, in storage.dir/images
 *
 *     images/<tenant>/<2 hex>/<version>.<digest>       a picture, or "tenon: " and why there is
 * none images/<tenant>/<2 hex>/<version>.<digest>.new   being made, locked by whoever makes it
 *
 * Names begin with the version of the bytes, so a picture of bytes that have been replaced is never
 * found again; the sweeper removes the oldest ones. Whoever wants one that is not there makes the
 * `.new` file and locks it, makes the picture into it and renames it. Who comes second waits for
 * the lock; it goes with its process, so what a crash has left is taken over and made again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "objects/open.h"
#include "objects/store.h"
#include "objects/tree.h"
#include "storage/render.h"

#define REVISION 1 /* changes when the same wish makes other pictures */
#define REFUSAL "tenon: "
#define REFUSAL_MAX 512
#define REFUSAL_TTL_S 600
#define TOUCH_AFTER_S 3600
#define LOCK_POLL_MS 10
#define RETRY_AFTER_S 5

struct place {
    const char *path, *new_path; /* beneath storage.dir */
    const char *accel_path;
    int root;
};

const char *
tn_render_digest(tn_arena *arena, const tn_object *object, const tn_image_wish *wish)
{
    return tn_arena_printf(
        arena, "%.32s",
        tn_sha256_hex(arena, tn_arena_printf(arena, "%d %s %d %d %d %d %d", REVISION,
                                             object->version.text, wish->width, wish->height,
                                             wish->fit, wish->format, wish->quality)));
}

/* --- files ------------------------------------------------------------------------------------ */

static void
close_fd(void *fd)
{
    (void)close((int)(intptr_t)fd);
}

static void
keep(tn_ctx *c, int fd)
{
    tn_arena_defer(c->arena, close_fd, (void *)(intptr_t)fd); // NOLINT(performance-no-int-to-ptr)
}

/* The pictures in the folder are ours, so a few bytes tell. */
static tn_image_format
format_of(const char *bytes, size_t length)
{
    static const struct {
        size_t offset;
        const char *bytes;
        tn_image_format format;
    } marks[] = {{0, "\xff\xd8\xff", TN_IMAGE_JPEG},
                 {0, "\x89PNG", TN_IMAGE_PNG},
                 {0, "GIF8", TN_IMAGE_GIF},
                 {8, "WEBP", TN_IMAGE_WEBP},
                 {4, "ftyp", TN_IMAGE_AVIF}};

    for (size_t i = 0; i < TN_COUNT(marks); i++) {
        const size_t size = strlen(marks[i].bytes);

        if (length >= marks[i].offset + size &&
            memcmp(bytes + marks[i].offset, marks[i].bytes, size) == 0)
            return marks[i].format;
    }
    return TN_IMAGE_ORIGIN;
}

/* Used ones stay: the sweeper goes by the time that this renews now and then. */
static void
touch(int fd, const struct stat *file)
{
    if (tn_clock_unix() - file->st_mtime > TOUCH_AFTER_S)
        (void)futimens(fd, NULL);
}

/* What a file in the folder holds; false: nothing of use. */
static bool
read_file(tn_ctx *c, int fd, const struct place *place, tn_rendered *rendered)
{
    char bytes[REFUSAL_MAX + 1];
    const ssize_t length = pread(fd, bytes, sizeof(bytes) - 1, 0);
    struct stat file;

    if (length <= 0 || fstat(fd, &file) != 0)
        return false;
    bytes[length] = '\0';
    *rendered = (tn_rendered){.fd = fd,
                              .size = file.st_size,
                              .format = format_of(bytes, (size_t)length),
                              .accel_path = place->accel_path};
    if (rendered->format != TN_IMAGE_ORIGIN) {
        touch(fd, &file);
        return true;
    }
    if (!tn_text_starts(bytes, REFUSAL) || tn_clock_unix() - file.st_mtime > REFUSAL_TTL_S)
        return false;
    rendered->refusal = tn_arena_text(c->arena, bytes + strlen(REFUSAL));
    return true;
}

static bool
find(tn_ctx *c, const struct place *place, tn_rendered *rendered)
{
    const int fd = tn_tree_open(place->root, place->path, O_RDONLY);

    if (fd < 0)
        return false;
    keep(c, fd);
    return read_file(c, fd, place, rendered);
}

static const tn_error *
find_place(tn_ctx *c, const tn_object *object, const char *digest, struct place *place)
{
    const char *version = object->version.text;
    const char *folder =
        tn_arena_printf(c->arena, "%s/%s", c->who->tenant_id.text, version + strlen(version) - 2);

    TN_TRY(tn_store_root(c->process->store, c->arena, &place->root));
    place->path = tn_arena_printf(c->arena, "images/%s/%s.%s", folder, version, digest);
    place->new_path = tn_arena_printf(c->arena, "%s.new", place->path);
    place->accel_path =
        tn_arena_printf(c->arena, "/_tenon/images/%s/%s.%s", folder, version, digest);
    return NULL;
}

/* --- one at a time ---------------------------------------------------------------------------- */

/* Whether what we have locked is what the name stands for: else the picture has been made, and
 * renamed, while we waited. */
static bool
is_current(const struct place *place, int fd)
{
    const int named = tn_tree_open(place->root, place->new_path, O_RDONLY);
    struct stat ours, theirs;
    bool same;

    if (named < 0)
        return false;
    same = fstat(fd, &ours) == 0 && fstat(named, &theirs) == 0 && ours.st_ino == theirs.st_ino;
    (void)close(named);
    return same;
}

static int
open_new(const struct place *place)
{
    const char *name;
    int folder = tn_tree_open_folder(place->root, place->new_path, true, &name), fd;

    if (folder < 0)
        return -1;
    fd = tn_tree_open(folder, name, O_RDWR | O_CREAT);
    (void)close(folder);
    return fd;
}

/* `fd` -1: the picture has appeared instead. */
static const tn_error *
wait_for_lock(tn_ctx *c, const struct place *place, int64_t deadline_ms, int *fd,
              tn_rendered *rendered)
{
    const struct timespec poll = {.tv_nsec = LOCK_POLL_MS * 1000000L};

    for (;;) {
        *fd = open_new(place);
        if (*fd < 0)
            return tn_tree_error(c->arena, "a new image");
        if (flock(*fd, LOCK_EX | LOCK_NB) == 0 && is_current(place, *fd)) {
            keep(c, *fd);
            return NULL;
        }
        (void)close(*fd);
        *fd = -1;
        if (find(c, place, rendered))
            return NULL;
        if (tn_clock_ms() >= deadline_ms) {
            tn_error *error = tn_error_new(c->arena, 503, "images_unavailable", NULL,
                                           "another request makes this image, and takes too long");

            error->retry_after_s = RETRY_AFTER_S;
            return error;
        }
        (void)nanosleep(&poll, NULL);
    }
}

/* Others may have this thread's place meanwhile. */
static const tn_error *
lock(tn_ctx *c, const struct place *place, int64_t deadline_ms, int *fd, tn_rendered *rendered)
{
    const bool aside = c->process->step_aside != NULL && c->process->step_aside();
    const tn_error *error = wait_for_lock(c, place, deadline_ms, fd, rendered);

    if (aside)
        c->process->step_back();
    return error;
}

/* --- making ----------------------------------------------------------------------------------- */

/* There may be an old refusal under the name. */
static bool
publish(const struct place *place)
{
    return tn_tree_remove(place->root, place->path) == 0 &&
           tn_tree_rename(place->root, place->new_path, place->path) == 0;
}

/* Somebody will ask again at once, and it would cost as much again. */
static void
remember(tn_ctx *c, const struct place *place, int fd, const char *why)
{
    const char *text = tn_arena_printf(c->arena, REFUSAL "%.*s", REFUSAL_MAX - 16, why);

    if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0 ||
        tn_tree_write(fd, text, strlen(text)) != 0 || !publish(place))
        (void)tn_tree_remove(place->root, place->new_path);
}

static const tn_error *
make_into(int fd, tn_render_make *make, void *context, tn_rendered *rendered)
{
    struct stat file;

    TN_TRY(make(context, fd, &rendered->format));
    rendered->fd = fd;
    rendered->size = fstat(fd, &file) == 0 ? file.st_size : 0;
    return NULL;
}

static const tn_error *
make_at(tn_ctx *c, const struct place *place, int fd, tn_render_make *make, void *context,
        tn_rendered *rendered)
{
    const tn_error *error = make_into(fd, make, context, rendered);

    if (error == NULL && !publish(place))
        error = tn_tree_error(c->arena, "a new image");
    if (error == NULL)
        rendered->accel_path = place->accel_path;
    else if (error->status < 500)
        remember(c, place, fd, error->message);
    else
        (void)tn_tree_remove(place->root, place->new_path);
    return error;
}

const tn_error *
tn_render_cached(tn_ctx *c, const tn_object *object, const char *digest, int64_t wait_ms,
                 tn_render_make *make, void *context, tn_rendered *rendered)
{
    struct place place;
    int fd;

    *rendered = (tn_rendered){.fd = -1};
    TN_TRY(find_place(c, object, digest, &place));
    if (find(c, &place, rendered))
        return NULL;
    TN_TRY(lock(c, &place, tn_clock_ms() + wait_ms, &fd, rendered));
    if (fd < 0 || find(c, &place, rendered)) {
        if (fd >= 0)
            (void)tn_tree_remove(place.root, place.new_path);
        return NULL;
    }
    return make_at(c, &place, fd, make, context, rendered);
}

const tn_error *
tn_render_uncached(tn_ctx *c, bool in_memory, tn_render_make *make, void *context,
                   tn_rendered *rendered)
{
    int fd;

    *rendered = (tn_rendered){.fd = -1};
    TN_TRY(tn_scratch_open(c, in_memory, &fd));
    return make_into(fd, make, context, rendered);
}
