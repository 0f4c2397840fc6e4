/* data/nearest.h: the name that was probably meant, for hints
 *
 * Candidates that share runs of three (else two) characters with the text are compared by edit
 * distance, as PostgREST's hints are, so that both propose the same.
 *
 * Threads: any.
 */
#ifndef TN_DATA_NEAREST_H
#define TN_DATA_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/* The candidate that is most like `text`, or NULL when none is alike enough. With `is_other` the
 * text itself, should it be among them, is none. Long texts have no neighbours. */
const char *tn_nearest(tn_arena *arena, const char *text, const char *const *candidates,
                       size_t count, bool is_other);

#endif
