/* chat/message.h: a message as a client sends it, checked and made ready to be admitted
 *
 * Threads: one at a time; all memory is the request's.
 */
#ifndef TN_CHAT_MESSAGE_H
#define TN_CHAT_MESSAGE_H

#include "ai/call.h"
#include "identity/ctx.h"

typedef struct tn_message {
    const char *request_json; /* for tenon.begin_run() */
    tn_uuid run_id;           /* of the run that will answer it */
    bool is_streaming;
} tn_message;

/* Reads the body. `chat_id` is the path's, or empty. 400 validation_failed, unknown_field,
 * model_not_found, idempotency_key_too_long; 413 content_too_large. */
const tn_error *tn_message_read(tn_ctx *c, const tn_uuid *chat_id,
                                tn_message *message) TN_MUST_CHECK;

/* What begin_run() admitted, as a call of a provider: request, candidates and the estimate of its
 * input. 500 when it is not what we have asked for. */
const tn_error *tn_message_call(tn_ctx *c, json_object *admitted, tn_ai_call *call) TN_MUST_CHECK;

#endif
