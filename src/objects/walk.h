/* objects/walk.h: every file beneath a folder of storage.dir, one after the other
 *
 * For the sweeper and fsck. Links are not followed, and folders are opened as objects/tree.h opens
 * them. What comes or goes meanwhile may be seen or not.
 *
 * Threads: any. Errors: -1 and errno, of the folder at which it begins; one that is not there is
 * empty.
 */
#ifndef TN_OBJECTS_WALK_H
#define TN_OBJECTS_WALK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

typedef enum tn_walk_kind {
    TN_WALK_FILE,
    TN_WALK_FOLDER,
    TN_WALK_OTHER,
    TN_WALK_CLOSED /* what cannot be looked at, or not to its end; it is passed over */
} tn_walk_kind;

typedef struct tn_walk_entry {
    const char *path; /* beneath storage.dir */
    tn_walk_kind kind;
    int64_t size, changed_s; /* seconds since 1970: of content, name or owner, whichever was last */
    uid_t owner;
    mode_t mode;
} tn_walk_entry;

/* false: enough. */
typedef bool tn_walk_each(void *context, const tn_walk_entry *entry);

/* `folder` is a path beneath `root` (tn_tree_root()). A folder comes before what is in it. */
int tn_walk(int root, const char *folder, tn_walk_each *each, void *context) TN_MUST_CHECK;

/* What is in the folder itself, and nothing beneath. */
int tn_walk_folder(int root, const char *folder, tn_walk_each *each, void *context) TN_MUST_CHECK;

#endif
