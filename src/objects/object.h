/* objects/object.h: a row of storage.objects, and what is done to rows and their bytes
 *
 * The one object model under all dialects. Every function acts as the caller (c->who): policies on
 * storage.objects decide, and what they hide does not exist.
 *
 * Errors, with codes that each dialect puts into its own words: 404 `NoSuchBucket`, `NoSuchKey`;
 * 403 `AccessDenied` (a policy); 409 `KeyAlreadyExists`; 413 `EntityTooLarge`, `quota_exceeded`;
 * 415 `InvalidMimeType`; 400 `InvalidKey`; 503 of the database.
 *
 * Threads: any; one request, one thread. Texts live in the request's arena.
 */
#ifndef TN_OBJECTS_OBJECT_H
#define TN_OBJECTS_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/ctx.h"
#include "objects/bucket.h"
#include "objects/digest.h"
#include "objects/incoming.h"

typedef struct tn_object {
    tn_uuid id;
    tn_uuid version;                      /* of the bytes; empty: the row has none */
    const char *bucket, *name, *owner_id; /* owner_id may be NULL */
    int64_t size;
    const char *content_type, *cache_control; /* never NULL */
    const char *etag;                         /* with its quotes */
    const char *robots;                       /* X-Robots-Tag, or NULL */
    const char *metadata, *user_metadata;     /* JSON objects; user_metadata may be NULL */
    const char *created_at, *updated_at, *last_accessed_at; /* ISO 8601, milliseconds, Z */
    int64_t modified_s;                                     /* seconds since 1970, of the content */
    const char *sha256, *sealed_key; /* as PostgreSQL prints bytea; NULL: none */
    bool is_public;                  /* its bucket is; set by tn_object_find() */
} tn_object;

/* --- reading ---------------------------------------------------------------------------------- */

typedef enum tn_reader {
    TN_READ_AS_CALLER, /* what a policy lets the caller see, and what is in a public bucket */
    TN_READ_BY_POLICY, /* what a policy lets the caller see, and nothing else */
    TN_READ_PUBLIC,    /* what is in a public bucket; the caller may be nobody */
    TN_READ_SYSTEM     /* everything in the tenant: a signed URL has been checked */
} tn_reader;

/* One round trip. `operation` is storage.operation, "storage.object.get_authenticated". 404
 * NoSuchBucket when the bucket is not there (or not public, for TN_READ_PUBLIC), NoSuchKey when
 * the object is not visible. */
const tn_error *tn_object_find(tn_ctx *c, const char *operation, tn_reader reader,
                               const char *bucket, const char *name,
                               tn_object *object) TN_MUST_CHECK;

/* A row of storage.object_columns():
 *     select d.* from storage.objects o cross join lateral storage.object_columns(o) d where … */
const tn_error *tn_object_read(tn_ctx *c, const tn_rows *rows, int row,
                               tn_object *object) TN_MUST_CHECK;

/* --- uploading -------------------------------------------------------------------------------- */

typedef struct tn_upload {
    const char *operation; /* storage.operation: "storage.object.upload" */
    const char *bucket, *name;
    bool upsert;              /* else one that is there is KeyAlreadyExists */
    bool as_system;           /* with the server's rights in the tenant: a signed URL was checked */
    const char *owner_id;     /* with as_system: whose it becomes; else the caller's `sub` */
    const char *content_type; /* as the client says; NULL: it did not */
    const char *cache_control; /* as it is sent on downloads; NULL: "no-cache" */
    const char *user_metadata; /* JSON object; NULL: {} */
    const char *robots;        /* X-Robots-Tag; NULL: none */
    int64_t length;            /* bytes to come, -1: nobody knows */
    const char *etag;          /* with quotes; NULL: the MD5. Multipart uploads of S3 have others */
    const char *metadata;      /* further members of objects.metadata: "\"a\":1", or NULL */
    const char *if_match, *if_none_match; /* S3 conditional writes (etag, or a star); NULL: none.
                                             412 `PreconditionFailed`, 404 `NoSuchKey`: atomic with
                                             the commit */
    /* Statements of the server's own (tenon_worker, in the tenant) that are run behind the row's,
     * in the same transaction: an upload in parts ends with the object's beginning. `with_results`
     * may be NULL. */
    const tn_query *with;
    size_t with_count; /* 4 at most */
    const tn_rows **with_results;
} tn_upload;

/* Whether this may be uploaded, before a byte has been read: bucket, header fields, type (what the
 * client says; NULL: that is seen later), length, name, quota, policies, in this order; the row is
 * written as the caller and rolled back. One round trip. `bucket` may be NULL. 400
 * `InvalidRequest`: a control character in what is to be a header field. */
const tn_error *tn_upload_admit(tn_ctx *c, const tn_upload *upload,
                                tn_bucket *bucket) TN_MUST_CHECK;

/* Bytes → object: size, type by content, checksums, virus scan, encryption, fsync, rename, fsync of
 * the folder, commit. Until the commit nothing can be seen, after it everything is there. On an
 * error nothing has changed. Takes `incoming`: it is gone afterwards, but for one that was kept and
 * an error of ours (5xx), after which the same may be tried again. (503 `commit_unknown`: the
 * object may be there or not.) `expected` (may be NULL): checksums of the content, `which` of them
 * count: 400 `BadDigest` when one differs, and `details` is its name ("md5", "crc64nvme").
 *
 * last_accessed_at of `stored` is NULL. */
const tn_error *tn_upload_store(tn_ctx *c, const tn_upload *upload, tn_incoming *incoming,
                                const tn_digests *expected, unsigned which,
                                tn_object *stored) TN_MUST_CHECK;

/* --- moving, copying, removing ---------------------------------------------------------------- */

typedef struct tn_transfer {
    const char *operation;
    const char *bucket, *name;       /* source */
    const char *to_bucket, *to_name; /* destination */
    bool upsert;
    /* of copies; NULL: as the source has it */
    const char *content_type, *cache_control, *user_metadata;
    const char *metadata; /* further members of objects.metadata, as in tn_upload; NULL: those of
                             the source stay */
    const char *if_match, *if_none_match; /* of the destination, as in tn_upload */
} tn_transfer;

/* The row keeps its id. The bytes stay where they are, unless the buckets differ in encryption. */
const tn_error *tn_object_move(tn_ctx *c, const tn_transfer *transfer,
                               tn_object *moved) TN_MUST_CHECK;
/* A new row, whose bytes are a link to the same on disk. With upsert also onto itself: what is
 * given anew is changed then. */
const tn_error *tn_object_copy(tn_ctx *c, const tn_transfer *transfer,
                               tn_object *copied) TN_MUST_CHECK;

/* Deletes the rows that are visible and deletable; gives those, `names` of them at most. */
const tn_error *tn_objects_remove(tn_ctx *c, const char *operation, const char *bucket,
                                  const char *const *names, size_t count, tn_object **removed,
                                  size_t *removed_count) TN_MUST_CHECK;

/* The same of rows that are as the caller believes, which is judged with the deletion. */
typedef struct tn_removal {
    const char *name;
    const char *etag;         /* with its quotes, or a star: any; NULL: no condition */
    int64_t size, modified_s; /* -1: no condition */
} tn_removal;
const tn_error *tn_objects_remove_if(tn_ctx *c, const char *operation, const char *bucket,
                                     const tn_removal *removals, size_t count, tn_object **removed,
                                     size_t *removed_count) TN_MUST_CHECK;

#endif
