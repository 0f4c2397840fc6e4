/* db/pool_private.h: borrowing a connection
 *
 * Threads: any.
 */
#ifndef TN_DB_POOL_PRIVATE_H
#define TN_DB_POOL_PRIVATE_H

#include <stdatomic.h>

#include "db/connection_private.h"
#include "db/database.h"

/* What a borrower says of a connection as it gives it back. */
typedef enum tn_verdict { TN_GIVE_REUSABLE, TN_GIVE_BROKEN } tn_verdict;

/* Borrows a connection that was alive a moment ago; 503 when there is none in time. */
const tn_error *tn_pool_take(tn_db *db, tn_arena *arena, tn_connection **connection) TN_MUST_CHECK;
/* One that is broken, or whose buffers have grown, is closed. */
void tn_pool_give(tn_db *db, tn_connection *connection, tn_verdict verdict);

typedef enum tn_count { TN_COUNT_TRANSACTION, TN_COUNT_FAILURE, TN_COUNT_RETRY } tn_count;
void tn_pool_count(tn_db *db, tn_count what);

const tn_db_options *tn_pool_options(const tn_db *db) TN_NEVER_NULL;

/* Whether statements are sent without names, because a pooler stands between us and the server and
 * does not know them (db/database.c finds out). It stays so. */
atomic_bool *tn_pool_is_nameless(tn_db *db) TN_NEVER_NULL;

/* 503 database_unavailable with Retry-After. */
const tn_error *tn_pool_unavailable(tn_arena *arena) TN_NEVER_NULL TN_MUST_CHECK;

#endif
