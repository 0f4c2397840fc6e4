/* t/unit/fake_db.h: tn_db_run() and its like for tests that need a few rows and no PostgreSQL
 *
 * A test sets `fake_db` to its answer. The linker then takes these functions and leaves those of
 * db/ in the library. Queries are counted, so that a test can tell what came from a cache.
 */
#ifndef TN_T_UNIT_FAKE_DB_H
#define TN_T_UNIT_FAKE_DB_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "db/database.h"

struct tn_rows {
    size_t count;
    const char *const (*texts)[8];
};

/* Gives the rows that answer a query, or an error. May be called by several threads. */
static const tn_error *(*fake_db)(tn_arena *arena, const tn_db_context *context,
                                  const tn_query *query, const tn_rows **rows);
static atomic_int fake_db_queries;

const tn_error *
tn_db_run(tn_db *db, tn_arena *arena, const tn_db_context *context, tn_access access,
          const tn_query *queries, size_t count, const tn_rows **results)
{
    (void)db;
    (void)access;
    if (count != 1)
        abort();
    atomic_fetch_add(&fake_db_queries, 1);
    return fake_db(arena, context, queries, results);
}

const tn_error *
tn_db_transact(tn_db *db, tn_arena *arena, const tn_db_work *work)
{
    return tn_db_run(db, arena, work->context, work->access, work->queries, work->count,
                     work->results);
}

size_t
tn_rows_count(const tn_rows *rows)
{
    return rows->count;
}

const char *
tn_rows_text(const tn_rows *rows, size_t row, int column)
{
    return rows->texts[row][column];
}

#endif
