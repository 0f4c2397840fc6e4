/* chat/answer.h: what a run comes to, as the client sees it: one JSON text, or the events of a
 * stream
 *
 * First answers and replays of them are made from the same JSON (tenon.run_answer()), so they are
 * alike.
 *
 * Events, with their ids: `run` 0; `delta` the bytes of text so far; `message` or `error` one more
 * than the bytes of the whole text; `done` two more.
 *
 * Threads: one at a time; all memory is the request's.
 */
#ifndef TN_CHAT_ANSWER_H
#define TN_CHAT_ANSWER_H

#include "identity/ctx.h"

/* An answer, read. */
typedef struct tn_answer {
    const char *json; /* {"chat", "message", "reply", "run"} */
    const char *run_id;
    const char *status; /* of the run */
    const char *text;   /* of the reply; "" when there is none */
    size_t text_length;
    const tn_error *error; /* of a failed run, or of one whose chat is gone */
} tn_answer;

const tn_error *tn_answer_read(tn_ctx *c, const char *json, tn_answer *answer) TN_MUST_CHECK;

/* The whole answer, or its error. */
const tn_error *tn_answer_respond(tn_ctx *c, const tn_answer *answer) TN_MUST_CHECK;

/* --- events; the stream is open. `scratch` is emptied by each --------------------------------- */

void tn_event_run(tn_ctx *c, const char *answer_json);

/* `offset`: bytes of text with this piece. */
void tn_event_delta(tn_ctx *c, tn_arena *scratch, const char *text, size_t length, size_t offset);

/* `message` or `error`, then `done`, as far as the client has not seen them: `seen` is the last id
 * that it knows, `total` the bytes of the text. */
void tn_event_end(tn_ctx *c, const tn_answer *answer, size_t total, uint64_t seen);

/* An error that is no run's, and `done`. */
void tn_event_error(tn_ctx *c, const tn_error *error, const char *run_id, size_t total);

#endif
