/* chat/run.h: a run, from the provider's first word to the stored reply
 *
 * Threads: a run is done by the thread that serves the request which began it.
 */
#ifndef TN_CHAT_RUN_H
#define TN_CHAT_RUN_H

#include "chat/live.h"
#include "chat/message.h"

/* Does the run that begin_run() has admitted, and stores what it comes to, also when the client has
 * gone. `live` is the run's place in the registry. Answers the client: whole or as events. */
const tn_error *tn_run_do(tn_ctx *c, tn_live *live, const tn_message *message,
                          json_object *admitted) TN_MUST_CHECK;

/* --- routes ---------------------------------------------------------------------------------- */

const tn_error *tn_message_send(tn_ctx *c);    /* POST /api/chats/messages */
const tn_error *tn_message_send_to(tn_ctx *c); /* POST /api/chats/{id}/messages */
const tn_error *tn_run_read(tn_ctx *c);        /* GET /api/chats/runs/{run_id} */
const tn_error *tn_run_events(tn_ctx *c);      /* GET /api/chats/runs/{run_id}/events */
const tn_error *tn_run_cancel(tn_ctx *c);      /* POST /api/chats/runs/{run_id}/cancel */

#endif
