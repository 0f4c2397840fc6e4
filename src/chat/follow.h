/* chat/follow.h: to follow a run that somebody else does: another thread, another process, or one
 * that has done it already
 *
 * In this process the text comes from the registry as it is written, else from the database, looked
 * at now and then; no connection is held between two looks.
 *
 * Threads: the request's own; it waits as long as the run takes.
 */
#ifndef TN_CHAT_FOLLOW_H
#define TN_CHAT_FOLLOW_H

#include "identity/ctx.h"

/* Sends the run's text behind the id `seen` and its end as events; with seen == 0 the event `run`
 * first. 404 run_not_found before the stream is opened. */
const tn_error *tn_follow_events(tn_ctx *c, const tn_uuid *run_id, uint64_t seen) TN_MUST_CHECK;

/* Waits for the end of the run and answers with what it came to. 409 run_in_progress with run_id
 * when it takes longer than server.request_timeout_s. */
const tn_error *tn_follow_answer(tn_ctx *c, const tn_uuid *run_id) TN_MUST_CHECK;

#endif
