/* identity/gate.h: how many may do something at once, over all processes of the machine
 *
 * Bounds parallel password hashing, so that a flood of logins cannot take all cores. A holder that
 * dies gives its place back: places carry the holder's pid and are swept.
 *
 * Threads and processes: any.
 */
#ifndef TN_IDENTITY_GATE_H
#define TN_IDENTITY_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tn_gate tn_gate;

size_t tn_gate_size(void);
tn_gate *tn_gate_init(void *memory, int places); /* at most 64 */

/* Waits up to wait_ms for a place; false when there was none. */
bool tn_gate_enter(tn_gate *gate, int64_t wait_ms);
void tn_gate_leave(tn_gate *gate);

#endif
