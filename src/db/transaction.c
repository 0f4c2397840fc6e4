/* db/transaction.c: a transaction of several round trips
 *
 * It takes a connection at its first run and holds it until it ends, which is at the first error at
 * the latest, and else when its arena does.
 */
#include <assert.h>

#include "db/outcome_private.h"

struct tn_transaction {
    tn_db *db;
    tn_arena *arena;
    tn_db_work work;
    tn_connection *connection; /* NULL before the first run, and when it has ended */
    bool is_nameless, has_ended;
    const tn_error *error; /* what has ended it, or NULL */
};

static void
roll_back(void *what)
{
    tn_transaction_roll_back(what);
}

const tn_error *
tn_db_begin(tn_db *db, tn_arena *arena, const tn_db_work *work, tn_transaction **begun)
{
    tn_transaction *transaction;

    TN_TRY(tn_db_work_check(arena, work));
    transaction = tn_arena_alloc(arena, 1, sizeof *transaction);
    *transaction = (tn_transaction){.db = db, .arena = arena, .work = *work};
    tn_arena_defer(arena, roll_back, transaction);
    *begun = transaction;
    return NULL;
}

/* What one call sends. */
struct part {
    const tn_db_context *const *contexts; /* NULL: the one there is */
    const tn_query *queries;
    size_t count;
    const tn_rows **results;
    bool is_last;
};

static bool
fill(tn_pipeline *p, const tn_transaction *t, const struct part *part, bool is_first)
{
    return (!is_first || tn_pipeline_begin(p, &t->work)) &&
           tn_pipeline_queries(p, part->queries, part->count) &&
           (!part->is_last || tn_pipeline_end(p, t->work.rolls_back));
}

/* One attempt at it. The first part is tried again when it was only for the connection. */
static const tn_error *
run_part(tn_transaction *t, const struct part *part, int tried, bool *again)
{
    const bool is_first = t->connection == NULL;
    tn_pipeline p = {.db = t->db,
                     .arena = t->arena,
                     .connection = t->connection,
                     .context = t->work.context,
                     .contexts = part->contexts,
                     .is_nameless = t->is_nameless,
                     .results = part->results};
    tn_outcome outcome;
    bool was_used;

    *again = false;
    for (size_t i = 0; i < part->count; i++)
        part->results[i] = NULL;
    if (is_first)
        TN_TRY(tn_pool_take(t->db, t->arena, &p.connection));
    was_used = p.connection->is_used;
    outcome = tn_outcome_of_run(&p, &t->work, fill(&p, t, part, is_first));
    if (outcome == TN_OPEN) {
        t->connection = p.connection;
        t->work.context = p.context;
        return NULL;
    }
    tn_outcome_give_back(&p, outcome);
    t->connection = NULL;
    *again = is_first && tn_outcome_is_of_connection(&p, outcome, tried, was_used);
    t->is_nameless = tn_outcome_wants_nameless(&p, outcome);
    return tn_outcome_error(&p, &t->work, outcome);
}

static const tn_error *
run(tn_transaction *t, const struct part *part)
{
    bool again = true;

    if (t->error != NULL)
        return t->error;
    assert(!t->has_ended && part->count <= TN_QUERIES_MAX);
    for (int tried = 0; again; tried++) {
        t->error = run_part(t, part, tried, &again);
        if (again)
            tn_pool_count(t->db, TN_COUNT_RETRY);
    }
    t->has_ended = t->error != NULL || part->is_last;
    return t->error;
}

const tn_error *
tn_transaction_run(tn_transaction *transaction, const tn_query *queries, size_t count,
                   const tn_rows **results)
{
    return run(transaction, &(struct part){.queries = queries, .count = count, .results = results});
}

/* Who a transaction may become is checked as who it begins as. */
static const tn_error *
run_as(tn_transaction *t, const struct part *part)
{
    for (size_t i = 0; i < part->count && t->error == NULL; i++) {
        tn_db_work work = t->work;

        work.context = part->contexts[i] != NULL ? part->contexts[i] : work.context;
        t->error = tn_db_work_check(t->arena, &work);
    }
    if (t->error != NULL)
        tn_transaction_roll_back(t);
    return run(t, part);
}

const tn_error *
tn_transaction_run_as(tn_transaction *transaction, const tn_db_context *const *contexts,
                      const tn_query *queries, size_t count, const tn_rows **results)
{
    return run_as(transaction, &(struct part){.contexts = contexts,
                                              .queries = queries,
                                              .count = count,
                                              .results = results});
}

const tn_error *
tn_transaction_run_last_as(tn_transaction *transaction, const tn_db_context *const *contexts,
                           const tn_query *queries, size_t count, const tn_rows **results)
{
    return run_as(transaction, &(struct part){.contexts = contexts,
                                              .queries = queries,
                                              .count = count,
                                              .results = results,
                                              .is_last = true});
}

const tn_error *
tn_transaction_run_last(tn_transaction *transaction, const tn_query *queries, size_t count,
                        const tn_rows **results)
{
    return run(
        transaction,
        &(struct part){.queries = queries, .count = count, .results = results, .is_last = true});
}

const tn_error *
tn_transaction_commit(tn_transaction *transaction)
{
    if (transaction->connection == NULL) { /* nothing was run, or it has failed */
        transaction->has_ended = true;
        return transaction->error;
    }
    return tn_transaction_run_last(transaction, NULL, 0, NULL);
}

void
tn_transaction_roll_back(tn_transaction *transaction)
{
    tn_connection *connection = transaction->connection;
    bool is_reusable;

    transaction->has_ended = true;
    if (connection == NULL)
        return;
    transaction->connection = NULL;
    is_reusable = tn_pipeline_roll_back(transaction->db, connection);
    connection->is_used = true;
    tn_pool_give(transaction->db, connection, is_reusable ? TN_GIVE_REUSABLE : TN_GIVE_BROKEN);
    tn_pool_count(transaction->db, TN_COUNT_FAILURE);
}
