/* objects/folder.c: the file tenon.id */
#include "objects/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "objects/tree.h"

#define ID_SIZE 36

/* False and errno. It is not made when it is not there: its place may be that of a disk. */
static bool
read_id(const tn_config *config, char id[ID_SIZE + 1])
{
    const int root = open(config->storage.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    const int fd = root < 0 ? -1 : tn_tree_open(root, TN_FOLDER_FILE, O_RDONLY | O_NONBLOCK);
    const ssize_t length = fd < 0 ? -1 : pread(fd, id, ID_SIZE, 0);
    const int failed = errno;

    if (fd >= 0)
        (void)close(fd);
    if (root >= 0)
        (void)close(root);
    id[length > 0 ? length : 0] = '\0';
    errno = failed;
    return length >= 0;
}

tn_folder
tn_folder_look(const tn_config *config, const char *id, bool is_marked)
{
    char found[ID_SIZE + 1];

    if (config->storage.backend_url[0] != '\0')
        return TN_FOLDER_OURS;
    if (read_id(config, found))
        return strcmp(found, id) == 0 ? TN_FOLDER_OURS : TN_FOLDER_ANOTHERS;
    if (errno != ENOENT)
        return TN_FOLDER_UNREADABLE;
    return is_marked ? TN_FOLDER_WITHOUT : TN_FOLDER_NEW;
}

const char *
tn_folder_problem(tn_folder folder)
{
    switch (folder) {
    case TN_FOLDER_WITHOUT:
        return "storage.dir is not the folder of before: " TN_FOLDER_FILE " is not in it";
    case TN_FOLDER_ANOTHERS:
        return "storage.dir has the files of another database: " TN_FOLDER_FILE
               " in it is another's";
    case TN_FOLDER_UNREADABLE:
        return TN_FOLDER_FILE " in storage.dir cannot be read";
    case TN_FOLDER_OURS:
    case TN_FOLDER_NEW:
        break;
    }
    return NULL;
}

const char *
tn_folder_hint(tn_arena *arena, const tn_config *config, const char *id, tn_folder folder)
{
    if (folder == TN_FOLDER_UNREADABLE)
        return "Ask as the user of the server, or as root.";
    return tn_arena_printf(arena,
                           "Is the disk mounted, and storage.dir right? If these are the files: "
                           "printf %s > %s/" TN_FOLDER_FILE " as its owner. Then: tenon reload",
                           id, config->storage.dir);
}

static bool
write_id(int root, const char *path, const char *id)
{
    const int fd = tn_tree_open(root, path, O_WRONLY | O_CREAT | O_EXCL);
    bool done;

    if (fd < 0)
        return false;
    done = tn_tree_write(fd, id, strlen(id)) == 0 && fsync(fd) == 0;
    (void)close(fd);
    return done;
}

/* Whole under its name, or not there. */
bool
tn_folder_mark(const tn_config *config, const char *id)
{
    const int root = tn_tree_root(config->storage.dir);
    char path[64];
    bool done;
    int failed;

    if (root < 0)
        return false;
    (void)snprintf(path, sizeof(path), TN_FOLDER_FILE ".%lld", (long long)getpid());
    (void)tn_tree_remove(root, path);
    done = write_id(root, path, id) && tn_tree_place(root, path, TN_FOLDER_FILE) == 0;
    failed = errno;
    if (!done)
        (void)tn_tree_remove(root, path);
    (void)close(root);
    errno = failed;
    return done;
}
