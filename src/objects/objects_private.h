/* objects/objects_private.h: what reading, uploading and moving objects share
 *
 * Threads: one request, one thread.
 */
#ifndef TN_OBJECTS_OBJECTS_PRIVATE_H
#define TN_OBJECTS_OBJECTS_PRIVATE_H

#include "db/database.h"
#include "objects/backend.h"
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

/* The rules that uploads and transfers are held to; the codes are those of objects/object.h. */
const tn_error *tn_objects_check_fields(tn_ctx *c, const tn_upload *upload) TN_MUST_CHECK;
const tn_error *tn_bucket_check_type(tn_ctx *c, const tn_bucket *bucket, const char *name,
                                     const char *type) TN_MUST_CHECK;
const tn_error *tn_bucket_check_size(tn_ctx *c, const tn_bucket *bucket,
                                     int64_t size) TN_MUST_CHECK;
const tn_error *tn_bucket_check_encryption(tn_ctx *c, const tn_bucket *bucket) TN_MUST_CHECK;

/* A name for bytes that are about to be written; the time, ISO 8601 with milliseconds. */
tn_uuid tn_objects_new_version(void) TN_MUST_CHECK;
const char *tn_objects_now(tn_arena *arena, int64_t *seconds) TN_NEVER_NULL TN_MUST_CHECK;

/* objects.metadata as Supabase has it, with further members ("\"a\":1") or without (NULL). */
const char *tn_objects_metadata(tn_arena *arena, const tn_object *object,
                                const char *further) TN_NEVER_NULL TN_MUST_CHECK;

/* Puts the bytes of a staged file in place under the object's version. */
const tn_error *tn_objects_place(tn_ctx *c, tn_backend *backend, const tn_object *object,
                                 tn_incoming *incoming) TN_MUST_CHECK;

/* Writes the row: of `object` id, version, size, sha256, sealed_key and metadata; everything else
 * is the upload's. Then it has the row's id, owner_id, created_at and updated_at. */
const tn_error *tn_objects_put_row(tn_ctx *c, const tn_upload *upload,
                                   tn_object *object) TN_MUST_CHECK;
/* Bytes that have been put in place and got no row, because of `error`, go at once, unless nobody
 * knows whether there is a row (`commit_unknown`): then the sweeper will know. */
void tn_objects_take_back(tn_ctx *c, tn_backend *backend, const tn_object *object,
                          const tn_error *error);
/* The row, or neither row nor bytes. */
const tn_error *tn_objects_commit(tn_ctx *c, const tn_upload *upload, tn_backend *backend,
                                  tn_object *object) TN_MUST_CHECK;

const tn_error *tn_no_such_key(tn_arena *arena) TN_NEVER_NULL TN_MUST_CHECK;

/* Text that may be the value of a header field: no control characters. */
bool tn_is_field_value(const char *text) TN_MUST_CHECK;

#endif
