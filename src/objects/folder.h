/* objects/folder.h: whether storage.dir is the folder that has the files of this database
 *
 * The file storage.dir/tenon.id has the id of the one row of storage.folder. The jobs process
 * writes it when a folder is first used; from then on a folder without it is another one: a disk
 * that is not mounted, a wrong path, the files of another database. With storage.backend_url the
 * folder is only where uploads are staged, and any will do.
 *
 * Threads: any.
 */
#ifndef TN_OBJECTS_FOLDER_H
#define TN_OBJECTS_FOLDER_H

#include <stdbool.h>

#include "base/config.h"
#include "base/error.h"

#define TN_FOLDER_FILE "tenon.id"

typedef enum tn_folder {
    TN_FOLDER_OURS,
    TN_FOLDER_NEW,       /* without an id, and none has been given yet */
    TN_FOLDER_WITHOUT,   /* without an id, or not there, and there has been one */
    TN_FOLDER_ANOTHERS,  /* with another id */
    TN_FOLDER_UNREADABLE /* whoever asks may not know */
} tn_folder;

/* `id` and `is_marked` are what objects_find_folder gives. */
tn_folder tn_folder_look(const tn_config *config, const char *id, bool is_marked) TN_MUST_CHECK;

/* In words, for the operator: what is the matter, and what to do. NULL for those that are fine. */
const char *tn_folder_problem(tn_folder folder) TN_MUST_CHECK;
const char *tn_folder_hint(tn_arena *arena, const tn_config *config, const char *id,
                           tn_folder folder) TN_NEVER_NULL TN_MUST_CHECK;

/* Writes it into a new one, durably. False and errno; EEXIST: somebody else has. */
bool tn_folder_mark(const tn_config *config, const char *id) TN_MUST_CHECK;

#endif
