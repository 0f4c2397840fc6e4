/* objects/walk.c: readdir(3), folder by folder */
#include "objects/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "objects/tree.h"

#define DEPTH_MAX                                                                   \
    8 /* ours are four deep; another tree that somebody has put there may be deeper \
       */

struct walk {
    int root;
    tn_walk_each *each;
    void *context;
    char path[PATH_MAX];
};

static int walk_folder(struct walk *walk, size_t length, int depth, bool *more);

static void
describe(tn_walk_entry *entry, const char *path, const struct stat *about)
{
    *entry = (tn_walk_entry){
        .path = path,
        .kind = S_ISREG(about->st_mode)   ? TN_WALK_FILE
                : S_ISDIR(about->st_mode) ? TN_WALK_FOLDER
                                          : TN_WALK_OTHER,
        .size = about->st_size,
        .changed_s = about->st_mtime > about->st_ctime ? about->st_mtime : about->st_ctime,
        .owner = about->st_uid,
        .mode = about->st_mode & 07777,
    };
}

static void
tell_closed(struct walk *walk, bool *more)
{
    *more = walk->each(walk->context, &(tn_walk_entry){.path = walk->path, .kind = TN_WALK_CLOSED});
}

/* One name in the folder whose path is the first `length` bytes of walk->path. */
static void
visit(struct walk *walk, int folder, size_t length, const char *name, int depth, bool *more)
{
    const int written = snprintf(walk->path + length, sizeof(walk->path) - length, "%s%s",
                                 length > 0 ? "/" : "", name);
    tn_walk_entry entry;
    struct stat about;

    if (written < 0 || (size_t)written >= sizeof(walk->path) - length)
        return;
    if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) /* else it has just gone */
            tell_closed(walk, more);
        return;
    }
    describe(&entry, walk->path, &about);
    *more = walk->each(walk->context, &entry);
    if (*more && entry.kind == TN_WALK_FOLDER && depth < DEPTH_MAX &&
        walk_folder(walk, length + (size_t)written, depth + 1, more) != 0)
        tell_closed(walk, more);
}

static int
walk_folder(struct walk *walk, size_t length, int depth, bool *more)
{
    const int fd = tn_tree_open(walk->root, walk->path, O_RDONLY | O_DIRECTORY);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *found;
    int failed;

    if (folder == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return fd < 0 && errno == ENOENT ? 0 : -1;
    }
    while (*more && (errno = 0, found = readdir(folder)) != NULL)
        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
            visit(walk, fd, length, found->d_name, depth, more);
    failed = *more && errno != 0 ? -1 : 0;
    walk->path[length] = '\0';
    (void)closedir(folder);
    return failed;
}

static int
begin(int root, const char *folder, int depth, tn_walk_each *each, void *context)
{
    struct walk walk = {.root = root, .each = each, .context = context};
    bool more = true;

    if ((size_t)snprintf(walk.path, sizeof(walk.path), "%s", folder) >= sizeof(walk.path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return walk_folder(&walk, strlen(walk.path), depth, &more);
}

int
tn_walk(int root, const char *folder, tn_walk_each *each, void *context)
{
    return begin(root, folder, 0, each, context);
}

int
tn_walk_folder(int root, const char *folder, tn_walk_each *each, void *context)
{
    return begin(root, folder, DEPTH_MAX, each, context);
}
