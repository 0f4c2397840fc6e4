/* identity/activity.h: what agents do, written down for the people for whom they act
 *
 * One row of the audit log per request of an agent: action `agent_request`, with method, route,
 * target and status. It is written before the answer is sent, so that who looks afterwards finds
 * it, and not waited for until it is on disk.
 *
 * Threads: any. Errors: none that a client sees; what could not be written down is logged.
 */
#ifndef TN_IDENTITY_ACTIVITY_H
#define TN_IDENTITY_ACTIVITY_H

#include "identity/ctx.h"

/* Call it for every request when its answer is known; it does nothing for those who are no agents.
 * Refusals for want of a rate (429) are left out: they would cost more than the request. */
void tn_activity_record(tn_ctx *c, const tn_error *error);

#endif
