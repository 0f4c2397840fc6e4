/* objects/objects_private.h: what reading, uploading and moving objects share
 *
 * Threads: one request, one thread.
 */
#ifndef TN_OBJECTS_OBJECTS_PRIVATE_H
#define TN_OBJECTS_OBJECTS_PRIVATE_H

#include "db/database.h"
#include "objects/object.h"
#include "objects/store.h"

/* PostgreSQL's words as errors of objects: 42501 → 403 AccessDenied, 23505 → 409 KeyAlreadyExists,
 * 23503 → 404 NoSuchBucket; else tn_db_error(). */
const tn_error *tn_objects_translate(tn_arena *arena,
                                     const tn_db_problem *problem) TN_NEVER_NULL TN_MUST_CHECK;

/* One transaction as the caller, or with the server's rights in the tenant, that begins with the
 * operation's name; the first query of `queries` is left for it. */
typedef struct tn_objects_work {
    const char *operation;
    bool as_system;
    tn_access access;
    bool rolls_back;
    tn_query *queries; /* the first is filled in here */
    size_t count;
    const tn_rows **results; /* NULL where the query has not been run */
} tn_objects_work;
const tn_error *tn_objects_transact(tn_ctx *c, const tn_objects_work *work) TN_MUST_CHECK;

#define TN_QUERY(sql, ...) ((tn_query){&(sql), TN_PARAMS(__VA_ARGS__), NULL, NULL})

const tn_error *tn_no_such_key(tn_arena *arena) TN_NEVER_NULL TN_MUST_CHECK;

/* Text that may be the value of a header field: no control characters. */
bool tn_is_field_value(const char *text) TN_MUST_CHECK;

#endif
