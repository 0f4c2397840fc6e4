/* objects/tree.c: openat2(2), for which the C library has no function, and what is made of it */
#include "objects/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/log.h"

#define COPY_SIZE 262144

static void
close_quietly(int fd)
{
    const int kept = errno;

    (void)close(fd);
    errno = kept;
}

int
tn_tree_root(const char *folder)
{
    if (mkdir(folder, TN_TREE_FOLDER_MODE) != 0 && errno != EEXIST)
        return -1;
    return open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int
tn_tree_open(int root, const char *path, int flags)
{
    const struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .mode = (flags & O_CREAT) != 0 ? TN_TREE_FILE_MODE : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int fd;

    do {
        fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN)); /* EAGAIN: a rename came between */
    return fd;
}

static int
open_folder(int root, const char *path)
{
    return tn_tree_open(root, path, O_RDONLY | O_DIRECTORY);
}

/* "a/b" of "a/b/c", "." of "a"; `name` is what is behind. */
static int
split(const char *path, char folder[PATH_MAX], const char **name)
{
    const char *slash = strrchr(path, '/');

    if (strlen(path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    *name = slash != NULL ? slash + 1 : path;
    (void)snprintf(folder, PATH_MAX, "%.*s", slash != NULL ? (int)(slash - path) : 1,
                   slash != NULL ? path : ".");
    return 0;
}

/* Makes `path` and what is missing above it; how many folders have been made. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the path */
static int
make_folders(int root, const char *path, int *made)
{
    char above[PATH_MAX];
    const char *name;
    int parent, failed;

    if (split(path, above, &name) != 0)
        return -1;
    parent = open_folder(root, above);
    if (parent < 0 && errno == ENOENT && make_folders(root, above, made) == 0)
        parent = open_folder(root, above);
    if (parent < 0)
        return -1;
    failed = mkdirat(parent, name, TN_TREE_FOLDER_MODE);
    *made += failed == 0 ? 1 : 0;
    close_quietly(parent);
    return failed != 0 && errno != EEXIST ? -1 : 0;
}

/* The folders in which the `made` lowest of `path` have been made. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the path */
static int
sync_above(int root, const char *path, int made)
{
    char above[PATH_MAX];
    const char *name;
    int folder, failed;

    if (made == 0)
        return 0;
    if (split(path, above, &name) != 0 || (folder = open_folder(root, above)) < 0)
        return -1;
    failed = fsync(folder);
    close_quietly(folder);
    return failed != 0 ? -1 : sync_above(root, above, made - 1);
}

static int
open_or_make(int root, const char *folder, int *made)
{
    const int fd = open_folder(root, folder);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    return make_folders(root, folder, made) == 0 ? open_folder(root, folder) : -1;
}

int
tn_tree_open_folder(int root, const char *path, bool make, const char **name)
{
    char folder[PATH_MAX];
    int made = 0, fd;

    if (split(path, folder, name) != 0)
        return -1;
    fd = make ? open_or_make(root, folder, &made) : open_folder(root, folder);
    if (fd >= 0 && sync_above(root, folder, made) != 0) {
        close_quietly(fd);
        return -1;
    }
    return fd;
}

typedef int name_giver(int from_folder, const char *from, int to_folder, const char *to);

static int
by_rename(int from_folder, const char *from, int to_folder, const char *to)
{
    return renameat2(from_folder, from, to_folder, to, RENAME_NOREPLACE);
}

static int
by_link(int from_folder, const char *from, int to_folder, const char *to)
{
    return linkat(from_folder, from, to_folder, to, 0);
}

/* All that is new is synced from below upwards, once everything is made: a journal then has it all
 * in one piece after the first. */
static int
give_name(int root, const char *from, const char *to, name_giver *give, bool durably)
{
    const char *from_name, *to_name;
    char to_path[PATH_MAX];
    int from_folder, to_folder, made = 0, failed = -1;

    if (split(to, to_path, &to_name) != 0)
        return -1;
    from_folder = tn_tree_open_folder(root, from, false, &from_name);
    if (from_folder < 0)
        return -1;
    to_folder = open_or_make(root, to_path, &made);
    if (to_folder >= 0) {
        failed = give(from_folder, from_name, to_folder, to_name);
        if (failed == 0 && durably)
            failed = fsync(to_folder) == 0 ? sync_above(root, to_path, made) : -1;
        close_quietly(to_folder);
    }
    close_quietly(from_folder);
    return failed;
}

int
tn_tree_rename(int root, const char *from, const char *to)
{
    return give_name(root, from, to, by_rename, false);
}

int
tn_tree_place(int root, const char *from, const char *to)
{
    return give_name(root, from, to, by_rename, true);
}

int
tn_tree_link(int root, const char *from, const char *to)
{
    return give_name(root, from, to, by_link, true);
}

int
tn_tree_remove(int root, const char *path)
{
    const char *name;
    const int folder = tn_tree_open_folder(root, path, false, &name);
    int failed;

    if (folder < 0)
        return errno == ENOENT ? 0 : -1;
    failed = unlinkat(folder, name, 0);
    close_quietly(folder);
    return failed != 0 && errno != ENOENT ? -1 : 0;
}

int
tn_tree_write(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        const ssize_t done = write(fd, at, length);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        at += done;
        length -= (size_t)done;
    }
    return 0;
}

/* The way that always works. */
static ssize_t
copy_by_hand(int from, off_t offset, off_t length, int to)
{
    char *bytes = malloc(COPY_SIZE);
    off_t done = 0;

    if (bytes == NULL)
        return -1;
    while (length < 0 || done < length) {
        const size_t wanted =
            length < 0 || length - done > COPY_SIZE ? COPY_SIZE : (size_t)(length - done);
        const ssize_t got = pread(from, bytes, wanted, offset + done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || (got > 0 && tn_tree_write(to, bytes, (size_t)got) != 0)) {
            free(bytes);
            return -1;
        }
        if (got == 0)
            break;
        done += got;
    }
    free(bytes);
    return (ssize_t)done;
}

ssize_t
tn_tree_copy_bytes(int from, off_t offset, off_t length, int to)
{
    off_t at = offset;

    while (length < 0 || at - offset < length) {
        const size_t wanted = length < 0 ? (size_t)1 << 30 : (size_t)(length - (at - offset));
        const ssize_t got = copy_file_range(from, &at, to, NULL, wanted, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && at == offset &&
            (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
            return copy_by_hand(from, offset, length, to);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
    }
    return (ssize_t)(at - offset);
}

const tn_error *
tn_tree_error(tn_arena *arena, const char *what)
{
    const int number = errno;
    tn_error *error;

    if (number == ENOSPC || number == EDQUOT) {
        tn_log(TN_LOG_ERROR, "storage.full", TN_STR("what", what),
               TN_STR("error", strerror(number)));
        return tn_error_new(arena, 507, "storage_full", "Tell the operator.",
                            "there is no room for this file");
    }
    if (number == EMFILE || number == ENFILE || number == ENOMEM || number == EACCES ||
        number == EROFS) {
        tn_log(TN_LOG_ERROR, "storage.unavailable", TN_STR("what", what),
               TN_STR("error", strerror(number)));
        error = tn_error_new(arena, 503, "storage_unavailable", "Try again in a moment.",
                             "files cannot be read or written now");
        error->retry_after_s = 1;
        return error;
    }
    return tn_error_internal(arena, "storage.failed", "%s: %s", what, strerror(number));
}
