/* cmd/storage.h: what the subcommands of `tenon storage` share
 *
 * Threads: none.
 */
#ifndef TN_CMD_STORAGE_H
#define TN_CMD_STORAGE_H

#include "cmd/cmd.h"

/* From now on files are made and opened as the owner of storage.dir, so that what root's command
 * makes is the workers' own. Call it when the configuration has been read and the database is open.
 * TN_EXIT_FAILED when the folder is not there. */
tn_exit tn_storage_as_owner(tn_command_line *line, const tn_config *config) TN_MUST_CHECK;

#endif
