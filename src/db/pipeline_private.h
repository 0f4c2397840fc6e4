/* db/pipeline_private.h: one conversation with PostgreSQL: statements, one Sync, answers
 *
 * A pipeline is filled by the functions below, in the order of the transaction, and then run. It
 * keeps the connection's set of prepared statements in step with the answers.
 *
 * Threads: it belongs to its connection's thread.
 */
#ifndef TN_DB_PIPELINE_PRIVATE_H
#define TN_DB_PIPELINE_PRIVATE_H

#include "db/pool_private.h"

/* Frame and queries, each with two more: what is forgotten for it, and its preparation. Before each
 * query another context may come. */
#define TN_PIPELINE_STEPS_MAX (4 * TN_QUERIES_MAX + 2 * 6 + 3)

/* What was sent, in order; answers come in the same order. */
typedef struct tn_step {
    enum { TN_STEP_FRAME, TN_STEP_PREPARE, TN_STEP_FORGET, TN_STEP_QUERY, TN_STEP_END } kind;
    const tn_statement *statement;
    const char *name; /* on the connection, of a statement prepared or forgotten */
    size_t query;     /* of TN_STEP_QUERY */
} tn_step;

/* The rows of one query, handed on one by one. */
typedef struct tn_stream {
    tn_db_row *on_row;
    void *context;
    bool has_rows;   /* on_row has been called */
    bool is_stopped; /* on_row wants no more */
} tn_stream;

typedef struct tn_pipeline {
    tn_db *db;
    tn_arena *arena;
    tn_connection *connection;
    const tn_db_context *context;         /* whose role and search path the statements belong to */
    const tn_db_context *const *contexts; /* beside each query; NULL: the same for all */
    int64_t longest_timeout_ms;           /* of the contexts sent; INT64_MAX: one has none */
    bool is_nameless; /* no statement is prepared or taken from those that are */
    const tn_rows **results;
    tn_stream *stream; /* takes the rows of the step `stream_at`; or NULL */
    size_t stream_at;

    tn_step steps[TN_PIPELINE_STEPS_MAX];
    size_t count, at;         /* sent, answered */
    bool is_synced, is_ended; /* the last answer has come; so has that of COMMIT, and it was yes */
    bool has_problem;
    tn_db_problem problem; /* the first error; its sqlstate is NULL when the connection broke */
    size_t problem_at;
} tn_pipeline;

/* Each false: the connection is broken. BEGIN and everything up to the role: */
bool tn_pipeline_begin(tn_pipeline *pipeline, const tn_db_work *work) TN_MUST_CHECK;
bool tn_pipeline_queries(tn_pipeline *pipeline, const tn_query *queries,
                         size_t count) TN_MUST_CHECK;
/* COMMIT; or, when all shall only have been tried, a check of what is deferred and ROLLBACK. */
bool tn_pipeline_end(tn_pipeline *pipeline, bool rolls_back) TN_MUST_CHECK;

/* Sends all that is left and reads all answers. false: the connection is broken. */
bool tn_pipeline_run(tn_pipeline *pipeline) TN_MUST_CHECK;

/* Ends whatever transaction the connection is in, in a conversation of its own, so that it can be
 * given to the next. */
bool tn_pipeline_roll_back(tn_db *db, tn_connection *connection) TN_MUST_CHECK;

#endif
