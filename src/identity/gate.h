/* identity/gate.h: how many may do something at once, over all processes of the machine
 *
 * Bounds parallel password hashing, so that a flood of logins cannot take all cores. A place is a
 * robust mutex in shared memory: when its holder dies, the kernel gives it back.
 *
 * Threads and processes: any. Who enters leaves, in the same thread.
 */
#ifndef TN_IDENTITY_GATE_H
#define TN_IDENTITY_GATE_H

#include <stddef.h>
#include <stdint.h>

typedef struct tn_gate tn_gate;

#define TN_GATE_PLACES_MAX 64

size_t tn_gate_size(void);
tn_gate *tn_gate_init(void *memory, int places); /* before the processes start; at most 64 count */

/* Waits up to wait_ms for a place and gives its number; -1 when there was none. */
int tn_gate_enter(tn_gate *gate, int64_t wait_ms);
void tn_gate_leave(tn_gate *gate, int place);

#endif
