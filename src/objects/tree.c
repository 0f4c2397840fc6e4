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

/* One folder more, in a folder that is there. */
static int
make_folder(int parent, const char *name)
{
    if (mkdirat(parent, name, TN_TREE_FOLDER_MODE) != 0)
        return errno == EEXIST ? 0 : -1;
    return fsync(parent);
}

/* Makes what is missing of `path`, from the top. */
static int
make_folders(int root, const char *path)
{
    char part[PATH_MAX];

    for (const char *end = path; *end != '\0'; end++) {
        const char *name = part;
        int parent, failed;

        while (*end != '/' && *end != '\0')
            end++;
        (void)snprintf(part, sizeof(part), "%.*s", (int)(end - path), path);
        parent = tn_tree_open_folder(root, part, false, &name);
        if (parent < 0)
            return -1;
        failed = make_folder(parent, name);
        close_quietly(parent);
        if (failed != 0)
            return -1;
        if (*end == '\0')
            break;
    }
    return 0;
}

int
tn_tree_open_folder(int root, const char *path, bool make, const char **name)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX] = ".";
    int fd;

    if (strlen(path) >= sizeof(folder)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (slash != NULL)
        (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    *name = slash != NULL ? slash + 1 : path;
    fd = open_folder(root, folder);
    if (fd >= 0 || !make || errno != ENOENT)
        return fd;
    if (make_folders(root, folder) != 0)
        return -1;
    return open_folder(root, folder);
}

typedef int name_giver(int from_folder, const char *from, int to_folder, const char *to);

static int
by_rename(int from_folder, const char *from, int to_folder, const char *to)
{
    return renameat2(from_folder, from, to_folder, to, RENAME_NOREPLACE);
}

static int
by_rename_and_sync(int from_folder, const char *from, int to_folder, const char *to)
{
    return by_rename(from_folder, from, to_folder, to) == 0 ? fsync(to_folder) : -1;
}

static int
by_link_and_sync(int from_folder, const char *from, int to_folder, const char *to)
{
    return linkat(from_folder, from, to_folder, to, 0) == 0 ? fsync(to_folder) : -1;
}

static int
give_name(int root, const char *from, const char *to, name_giver *give)
{
    const char *from_name, *to_name;
    int from_folder = tn_tree_open_folder(root, from, false, &from_name), to_folder, failed = -1;

    if (from_folder < 0)
        return -1;
    to_folder = tn_tree_open_folder(root, to, true, &to_name);
    if (to_folder >= 0) {
        failed = give(from_folder, from_name, to_folder, to_name);
        close_quietly(to_folder);
    }
    close_quietly(from_folder);
    return failed;
}

int
tn_tree_rename(int root, const char *from, const char *to)
{
    return give_name(root, from, to, by_rename);
}

int
tn_tree_place(int root, const char *from, const char *to)
{
    return give_name(root, from, to, by_rename_and_sync);
}

int
tn_tree_link(int root, const char *from, const char *to)
{
    return give_name(root, from, to, by_link_and_sync);
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
