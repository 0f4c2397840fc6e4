/* ai/pause.h: waiting that can be called off
 *
 * Threads: any.
 */
#ifndef TN_AI_PAUSE_H
#define TN_AI_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

/* Waits so long, asking on_tick() (may be NULL) now and then; false when that said no. */
bool tn_pause_ms(int64_t ms, bool (*on_tick)(void *context), void *context);

#endif
