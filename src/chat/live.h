/* chat/live.h: the runs that this process is doing right now
 *
 * The thread that does a run writes its text here; others of the process that follow the run wait
 * for it here, and a cancellation reaches it here. Runs of other processes are followed in the
 * database.
 *
 * Threads: any. One thread opens and writes a run; a run lives until the last who holds it gives it
 * back. Errors:  none.
 */
#ifndef TN_CHAT_LIVE_H
#define TN_CHAT_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/uuid.h"

typedef struct tn_lives tn_lives; /* the registry */
typedef struct tn_live tn_live;   /* one run */

tn_lives *tn_lives_new(void) TN_NEVER_NULL TN_MUST_CHECK;
void tn_lives_free(tn_lives *lives);

/* Puts a run in. Give it back with tn_live_give(). */
tn_live *tn_lives_open(tn_lives *lives, const tn_uuid *run_id) TN_NEVER_NULL TN_MUST_CHECK;

/* Finds a run; NULL: this process does not do it. Give it back. */
tn_live *tn_lives_find(tn_lives *lives, const tn_uuid *run_id) TN_MUST_CHECK;
void tn_live_give(tn_lives *lives, tn_live *live);

/* Asks the run to stop, if it is here. */
void tn_lives_cancel(tn_lives *lives, const char *run_id);

/* --- for the thread that does the run -------------------------------------------------------- */

void tn_live_append(tn_live *live, const char *text, size_t length);

/* The text so far; only the writing thread may read it without waiting. */
const char *tn_live_text(const tn_live *live, size_t *length) TN_NEVER_NULL;

bool tn_live_is_cancelled(tn_live *live);
void tn_live_cancel(tn_live *live);

/* It is over and stored, or given up: nobody needs to wait any more. */
void tn_live_end(tn_live *live);

/* --- for those who follow -------------------------------------------------------------------- */

/* Waits until there is more than `*offset` bytes, the run is over, or `deadline_ms` (tn_clock_ms())
 * has come, and appends what there is behind `*offset` to `text`. An offset within a character is
 * moved to its beginning first. False: it is over. */
bool tn_live_wait(tn_live *live, size_t *offset, int64_t deadline_ms, PQExpBuffer text);

#endif
