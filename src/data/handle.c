/* data/handle.c: requests to relations and functions: read, plan, run, respond */
#include <string.h>

#include "data/export.h"
#include "data/idempotency.h"

#define ATTEMPTS 4 /* with a newer catalog each */

/* With an Idempotency-Key: claimed before, kept after, in the transaction of the write. */
static const tn_error *
perform_once(tn_data_request *r, const tn_data_plan *plan, tn_idempotency *once)
{
    const tn_rows *results[TN_DATA_QUERIES_MAX] = {NULL};
    const tn_db_context *contexts[TN_DATA_QUERIES_MAX] = {NULL};
    tn_transaction *transaction;
    tn_data_answer answer;
    tn_data_queries all;
    tn_db_context context;
    tn_db_work work;
    bool is_answered;

    tn_data_work_of(r, plan, &context, &work);
    tn_data_queries_of(r, plan, &all);
    work.access = TN_READ_WRITE;
    TN_TRY(tn_idempotency_begin(r->c, once, &work, &transaction, &is_answered));
    if (is_answered)
        return NULL;
    contexts[0] = &context;
    TN_TRY(tn_transaction_run_as(transaction, contexts, all.queries, all.count, results));
    answer = tn_data_answer_of(&all, results);
    TN_TRY(tn_data_respond(r, plan, &answer));
    return tn_idempotency_keep(r->c, once, transaction);
}

static const tn_error *
attempt(tn_data_request *r, const tn_data_plan *plan)
{
    tn_data_answer answer;

    if (tn_data_is_export(r, plan))
        return tn_data_export(r, plan);
    TN_TRY(tn_data_run(r, plan, &answer));
    return tn_data_respond(r, plan, &answer);
}

/* A statement is tried again where it was made from a catalog that is behind the database: nothing
 * of the first attempt has happened. More than once, because a migration goes on. */
static const tn_error *
attempt_again(tn_data_request *r, const tn_error *error, tn_data_plan *plan)
{
    bool is_new = true;

    for (int i = 0; i < ATTEMPTS && error != NULL && !r->c->response->streaming; i++) {
        TN_TRY(tn_data_plan_again(r, error, plan, &is_new));
        if (!is_new)
            break;
        error = attempt(r, plan);
    }
    return error;
}

static const tn_error *
perform(tn_data_request *r)
{
    tn_data_plan plan;
    tn_idempotency once;

    TN_TRY(tn_data_read(r));
    TN_TRY(tn_idempotency_read(r->c, &once));
    TN_TRY(tn_data_plan_of(r, &plan));
    if (once.key != NULL && !r->rolls_back && !tn_data_is_export(r, &plan))
        return perform_once(r, &plan, &once);
    return attempt_again(r, attempt(r, &plan), &plan);
}

/* /rest/v1/{relation} */
const tn_error *
tn_data_relation(tn_ctx *c)
{
    tn_data_request r = {.c = c, .http = c->request, .name = tn_path_text(c, "relation")};

    return tn_data_error_for(&r, perform(&r));
}

/* /rest/v1/rpc/{function} */
const tn_error *
tn_data_call(tn_ctx *c)
{
    tn_data_request r = {
        .c = c, .http = c->request, .name = tn_path_text(c, "function"), .is_call = true};

    TN_TRY(tn_data_check_scope(&r));
    return tn_data_error_for(&r, perform(&r));
}
