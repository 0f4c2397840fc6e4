/* db/outcome_private.h: what became of a transaction, and what follows from it
 *
 * Threads: those of the pipeline.
 */
#ifndef TN_DB_OUTCOME_PRIVATE_H
#define TN_DB_OUTCOME_PRIVATE_H

#include "db/pipeline_private.h"

typedef enum tn_outcome {
    TN_COMMITTED, /* or rolled back as it was meant to be */
    TN_OPEN,      /* what was sent has gone through, and the transaction goes on */
    TN_STOPPED,   /* a stream whose reader has had enough; rolled back */
    TN_FAILED,    /* rolled back, with an error for the caller */
    TN_CONFLICT,  /* rolled back; it may well go through a second time */
    TN_STALE,     /* rolled back; the connection's statements are not what we thought */
    TN_LOST,      /* the connection broke, and it is certain that nothing was committed */
    TN_UNKNOWN    /* the connection broke while COMMIT was on its way */
} tn_outcome;

/* What needs no server to be refused: the role `none`, which would be no role at all. */
const tn_error *tn_db_work_check(tn_arena *arena, const tn_db_work *work) TN_MUST_CHECK;

/* Runs a pipeline that has been filled, if it has (`is_filled`), and judges the answers. */
tn_outcome tn_outcome_of_run(tn_pipeline *pipeline, const tn_db_work *work,
                             bool is_filled) TN_MUST_CHECK;

/* The error for the client; NULL when there is none. */
const tn_error *tn_outcome_error(const tn_pipeline *pipeline, const tn_db_work *work,
                                 tn_outcome outcome) TN_MUST_CHECK;

/* Gives the connection back in the state that the outcome left it in; never of TN_OPEN. */
void tn_outcome_give_back(tn_pipeline *pipeline, tn_outcome outcome);

/* Whether the connection broke without a word from the server about this transaction, or its
 * statements were stale, so that it is worth another try on another connection. `tried` counts from
 * 0; `was_used`: the connection had run a transaction before. */
bool tn_outcome_is_of_connection(const tn_pipeline *pipeline, tn_outcome outcome, int tried,
                                 bool was_used) TN_MUST_CHECK;
/* Whether to try all of it again, after a short pause where others need a moment. No connection is
 * held meanwhile. */
bool tn_outcome_shall_retry(const tn_pipeline *pipeline, tn_outcome outcome, int tried,
                            bool was_used) TN_MUST_CHECK;
/* Whether the next try had better use no prepared statement: those of every connection may be
 * stale. */
bool tn_outcome_wants_nameless(const tn_pipeline *pipeline, tn_outcome outcome) TN_MUST_CHECK;

#endif
