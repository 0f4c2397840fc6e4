/* data/idempotency.h: writes with an Idempotency-Key are done once, however often they are sent
 *
 * The header is that of draft-ietf-httpapi-idempotency-key-header. The claim of the key, the write
 * and its answer are one transaction: an answer is there exactly if its write is. Who asks again
 * within 24 hours gets that answer, with `Idempotency-Replayed: true`; who asks meanwhile waits for
 * it. A write that fails leaves nothing, so the same key may be sent again.
 *
 * A key belongs to the tenant and to who sends it: person, role and API key (tenon.caller_hash()).
 *
 * Threads: one request, one thread.
 * Errors:  400 idempotency_key_too_long, idempotency_key_malformed; 422 idempotency_key_reused for
 *          another request with the key; 409 request_in_progress when the first one takes longer
 *          than one may wait for a lock; 409 answer_not_kept when its answer was larger than
 *          data.idempotency_body_max.
 */
#ifndef TN_DATA_IDEMPOTENCY_H
#define TN_DATA_IDEMPOTENCY_H

#include "base/crypto.h"
#include "db/database.h"
#include "identity/ctx.h"

typedef struct tn_idempotency {
    const char *key;          /* NULL: none, or the request only reads */
    char hash[TN_SHA256_HEX]; /* of all that makes the request what it is */
    tn_db_context worker;     /* who claims for the caller, whatever the caller's role may */
} tn_idempotency;

const tn_error *tn_idempotency_read(const tn_ctx *c, tn_idempotency *once) TN_MUST_CHECK;

/* Begins the transaction of this work, whose context must live as long, and claims the key; then
 * the queries are run with tn_transaction_run_as(), as the context of the work or others.
 * `is_answered`: the response is the one of then, and the transaction has ended. */
const tn_error *tn_idempotency_begin(tn_ctx *c, tn_idempotency *once, const tn_db_work *work,
                                     tn_transaction **transaction, bool *is_answered) TN_MUST_CHECK;

/* As the last thing: keeps the response as it is now, and commits. */
const tn_error *tn_idempotency_keep(tn_ctx *c, const tn_idempotency *once,
                                    tn_transaction *transaction) TN_MUST_CHECK;

#endif
