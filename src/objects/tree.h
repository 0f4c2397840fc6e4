/* objects/tree.h: files beneath one folder, and never anywhere else
 *
 * The kernel resolves every path beneath the folder that was opened once, and follows no link on
 * the way (openat2: RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS), so a link that
 * somebody has planted in the tree leads nowhere. Folders are made 0750 and files 0640: nginx runs
 * as the same user.
 *
 * Threads: any. Errors: -1 and errno, as the system calls that these stand for.
 */
#ifndef TN_OBJECTS_TREE_H
#define TN_OBJECTS_TREE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

#define TN_TREE_FOLDER_MODE 0750
#define TN_TREE_FILE_MODE 0640

/* The folder itself, made when it is not there (its parent is). Its descriptor is the `root` of
 * everything below. */
int tn_tree_root(const char *folder) TN_MUST_CHECK;

/* open(2) of a path beneath `root`; what O_CREAT makes has mode 0640. */
int tn_tree_open(int root, const char *path, int flags) TN_MUST_CHECK;

/* The folder of `path`; `name` is set to the rest behind its last slash. With `make` folders that
 * are not there are made, and durable when this returns. */
int tn_tree_open_folder(int root, const char *path, bool make, const char **name) TN_MUST_CHECK;

/* Gives the file another name, whose folder is made when it is not there. EEXIST when there is
 * something under the new name. */
int tn_tree_rename(int root, const char *from, const char *to) TN_MUST_CHECK;
/* The same, and durable when it returns. (The old name may come back after a crash; then it is
 * swept.) */
int tn_tree_place(int root, const char *from, const char *to) TN_MUST_CHECK;
/* A second name for the same file; durable. EEXIST as above. */
int tn_tree_link(int root, const char *from, const char *to) TN_MUST_CHECK;
/* 0 also when there was no such file. The folder is not synchronised: a file that comes back after
 * a crash is an orphan, and swept. */
int tn_tree_remove(int root, const char *path);

/* `length` bytes of one file from `offset` on (-1: to its end) behind what `to` has at its own
 * offset: shared or copied within the kernel where it can, else by reading and writing. Gives how
 * many. */
ssize_t tn_tree_copy_bytes(int from, off_t offset, off_t length, int to) TN_MUST_CHECK;
/* All of `bytes`, whatever write(2) takes at once. */
int tn_tree_write(int fd, const void *bytes, size_t length) TN_MUST_CHECK;

/* errno as an error of a request: 507 `storage_full`, 503 `storage_unavailable` (the folder is not
 * there or not ours), else 500; logged with `what`. */
const tn_error *tn_tree_error(tn_arena *arena, const char *what) TN_NEVER_NULL TN_MUST_CHECK;

#endif
