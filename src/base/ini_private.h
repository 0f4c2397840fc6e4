/* base/ini_private.h: the lines of an INI file
 *
 * `[section]`, `key = value`, and comments that begin with # or ; on lines of their own. A value is
 * what stands behind the first =, without the blanks around it and without one pair of double
 * quotes around all of it; nothing in it is special, so a password may hold # and ;.
 *
 * Threads: any.
 */
#ifndef TN_BASE_INI_PRIVATE_H
#define TN_BASE_INI_PRIVATE_H

#include <stddef.h>

#include "base/arena.h"

/* What stands on one line; `key` is NULL for the head of a section. The texts live in the arena. */
typedef struct tn_ini_line {
    int number; /* from 1 */
    const char *section, *key, *value;
} tn_ini_line;

/* Calls `take` for each line until it returns a problem. The result is NULL, or that problem or one
 * of the file's own; *number is then the line it is on. */
const char *tn_ini_read(tn_arena *arena, const char *text, size_t length,
                        const char *(*take)(void *context, const tn_ini_line *line), void *context,
                        int *number) TN_MUST_CHECK;

#endif
