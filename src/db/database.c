/* db/database.c: a transaction in one round trip, tried again where that helps */
#include "db/database.h"

#include <assert.h>

#include "db/outcome_private.h"

/* The same transaction until it has gone through, or it makes no sense any more. */
static const tn_error *
run(tn_db *db, tn_arena *arena, const tn_db_work *work, tn_stream *stream)
{
    bool is_nameless = false;

    assert(work->count <= TN_QUERIES_MAX);
    TN_TRY(tn_db_work_check(arena, work));
    for (int tried = 0;; tried++) {
        tn_pipeline p = {.db = db,
                         .arena = arena,
                         .is_nameless = is_nameless,
                         .results = work->results,
                         .stream = stream};
        tn_outcome outcome;
        bool was_used;

        for (size_t i = 0; i < work->count; i++)
            work->results[i] = NULL;
        TN_TRY(tn_pool_take(db, arena, &p.connection));
        was_used = p.connection->is_used;
        outcome = tn_outcome_of_run(&p, work,
                                    tn_pipeline_begin(&p, work) &&
                                        tn_pipeline_queries(&p, work->queries, work->count) &&
                                        tn_pipeline_end(&p, work->rolls_back));
        assert(outcome != TN_OPEN);
        tn_outcome_give_back(&p, outcome);
        if (!tn_outcome_shall_retry(&p, outcome, tried, was_used))
            return tn_outcome_error(&p, work, outcome);
        is_nameless = tn_outcome_wants_nameless(&p, outcome);
        tn_pool_count(db, TN_COUNT_RETRY);
    }
}

const tn_error *
tn_db_transact(tn_db *db, tn_arena *arena, const tn_db_work *work)
{
    return run(db, arena, work, NULL);
}

const tn_error *
tn_db_run(tn_db *db, tn_arena *arena, const tn_db_context *context, tn_access access,
          const tn_query *queries, size_t count, const tn_rows **results)
{
    const tn_db_work work = {.context = context,
                             .access = access,
                             .queries = queries,
                             .count = count,
                             .results = results};

    return run(db, arena, &work, NULL);
}

const tn_error *
tn_db_stream(tn_db *db, tn_arena *arena, const tn_db_work *work, tn_db_row *on_row, void *context)
{
    tn_stream stream = {.on_row = on_row, .context = context};

    assert(work->access == TN_READ_ONLY && work->count > 0);
    return run(db, arena, work, &stream);
}
