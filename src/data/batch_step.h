/* data/batch_step.h: one operation of a batch, from its JSON to its result
 *
 * A step is a request of its own: what the client has sent for the whole batch (who, cookies, other
 * header fields), with method, path, body and a few header fields of the step's.
 *
 * Threads: one request, one thread.
 */
#ifndef TN_DATA_BATCH_STEP_H
#define TN_DATA_BATCH_STEP_H

#include "data/json_piece.h"
#include "data/reference.h"
#include "data/request.h"

#define TN_STEP_HEADERS_MAX 8

typedef struct tn_step_result {
    enum { TN_STEP_NOT_RUN, TN_STEP_DONE, TN_STEP_FAILED } state;
    const tn_error *error; /* of one that failed */
} tn_step_result;

typedef struct tn_batch_step {
    /* what was sent */
    const char *id, *method, *path;
    tn_json_piece body; /* length 0: none */
    tn_pair headers[TN_STEP_HEADERS_MAX];
    size_t header_count;
    bool is_literal;     /* "references": false */
    bool has_references; /* then it is made ready when what it waits for is there */

    /* the request, once it is ready */
    tn_ctx c;
    tn_request http;
    tn_response response;
    tn_match match;
    tn_data_request r;
    tn_data_plan plan;
    tn_data_queries queries;
    tn_db_context context;
    tn_db_work work;

    tn_step_result result;
} tn_batch_step;

/* Reads {"id", "method", "path", "body", "prefer", "headers", "references"}; without an id the
 * place in the list is its id. 400 unknown_field, validation_failed. */
const tn_error *tn_batch_step_read(const tn_ctx *c, tn_json_piece operation, size_t place,
                                   tn_batch_step *step) TN_MUST_CHECK;

/* Routes, reads and plans it. `batch` says who asks, and what Prefer holds for all. */
const tn_error *tn_batch_step_ready(const tn_data_request *batch, const tn_references *references,
                                    tn_batch_step *step) TN_MUST_CHECK;

/* Its response, out of what the database has given for its queries. */
const tn_error *tn_batch_step_respond(tn_batch_step *step,
                                      const tn_rows *const *results) TN_MUST_CHECK;

/* The body of its result; of length 0 when there is none. */
tn_json_piece tn_batch_step_body(const tn_batch_step *step);

/* {"id", "status", …} as a member of `results`. `has_failed`: the batch, so nothing has happened.
 */
void tn_batch_step_append(PQExpBuffer json, const tn_batch_step *step, bool has_failed);

#endif
