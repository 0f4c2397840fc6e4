/* data/batch.h: several operations in one transaction: POST /api/db/batch
 *
 *     [{"id": "conv", "method": "POST", "path": "/conversations", "body": {"title": "plans"}},
 *      {"method": "POST", "path": "/messages",
 *       "body": {"conversation_id": {"$ref": "conv/0/id"}, "content": "hello"}}]
 *
 * or an object with that list as `operations`. Each operation is a request like any other: routed,
 * read, planned and run by the same code, as the same caller. They run in their order, all in one
 * transaction; those that do not wait for earlier results share a round trip. Either all have
 * happened, and the answer is 200 with their results, or nothing has, and it is the error of the
 * one that failed, with `operation` and `results` beside the usual members.
 *
 * Threads: one request, one thread.
 * Errors:  400 PGRST102, json_too_deep, unknown_field, validation_failed for the list; 413
 *          batch_too_long; 413 batch_answer_too_large; those of the operations and references.
 */
#ifndef TN_DATA_BATCH_H
#define TN_DATA_BATCH_H

#include "identity/ctx.h"

const tn_error *tn_data_batch(tn_ctx *c);

#endif
