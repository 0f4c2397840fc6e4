/* cmd/key.h: keys as commands make and show them
 *
 * Threads: none.
 */
#ifndef TN_CMD_KEY_H
#define TN_CMD_KEY_H

#include "cmd/cmd.h"

typedef struct tn_fresh_key {
    const char *text, *hash_hex, *hint; /* all NULL for a kind that there is not */
} tn_fresh_key;

tn_fresh_key tn_fresh_key_new(tn_arena *arena, const char *kind);

/* The key alone on standard output, so that KEY=$(tenon key create …) works; with --json as the
 * member `key` of the row, which is a JSON object. */
void tn_fresh_key_print(const tn_command_line *line, const char *row, const char *key);

#endif
