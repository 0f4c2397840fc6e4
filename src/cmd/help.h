/* cmd/help.h: the help, printed out of the tables of commands
 *
 * Threads: none.
 */
#ifndef TN_CMD_HELP_H
#define TN_CMD_HELP_H

#include <stdio.h>

#include "cmd/cmd.h"

extern const tn_command *const tn_command_tables[]; /* NULL ends; in cmd.c */

/* Is `name` this word, or does it start with it and a blank? NULL fits every name. */
bool tn_help_is_of(const char *name, const char *noun);

/* All commands, or those of one noun. */
void tn_help_print(FILE *out, const char *noun);

void tn_help_print_command(FILE *out, const tn_command *command);

/* Everything as Markdown: docs/reference/commands.md is this output. */
void tn_help_print_all(FILE *out);

#endif
