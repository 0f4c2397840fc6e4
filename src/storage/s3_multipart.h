/* storage/s3_multipart.h: an upload in parts, as its row says it
 *
 * The bytes of parts are files in staging, named by their rows; an object begins when all of them
 * have been put together in a new file. Until then nothing is taken from the parts, so a completion
 * that has failed can be asked for again, and so can one whose answer was lost.
 *
 * Threads: any.
 */
#ifndef TN_STORAGE_S3_MULTIPART_H
#define TN_STORAGE_S3_MULTIPART_H

#include "storage/s3.h"

#define TN_S3_PARTS_MAX 10000
#define TN_S3_PART_MIN ((int64_t)5 << 20) /* bytes, of all but the last */

typedef struct tn_s3_multipart {
    const char *id, *bucket, *key;
    const char *owner_id; /* NULL: the tenant's own */
    const char *user_metadata;
    const char *content_type, *cache_control;
    json_object *metadata;          /* what CreateMultipartUpload said */
    const tn_s3_checksum *checksum; /* of the parts, or NULL */
    bool is_composite;              /* the whole one is made of those of the parts */
    bool is_complete;
    const char *result; /* of a complete one, JSON */
} tn_s3_multipart;

/* The one that the request names, if it is the caller's: 404 `NoSuchUpload`. An agent needs the
 * scope storage:<bucket>:<action>, "write" or "read", which "write" has in it: 403 `AccessDenied`.
 */
const tn_error *tn_s3_multipart_find(tn_ctx *c, const char *action,
                                     tn_s3_multipart *upload) TN_MUST_CHECK;

/* What would be written: for tn_upload_admit() and tn_upload_store(). */
tn_upload tn_s3_multipart_upload(const tn_s3_multipart *upload, const char *operation,
                                 int64_t length);

/* Rows and files of all its parts. */
const tn_error *tn_s3_multipart_remove_parts(tn_ctx *c, const char *id) TN_MUST_CHECK;
/* Those and itself; who asks has claimed it. */
const tn_error *tn_s3_multipart_remove(tn_ctx *c, const char *id) TN_MUST_CHECK;

/* 503: somebody else is completing it. */
const tn_error *tn_s3_multipart_busy(tn_arena *arena) TN_NEVER_NULL TN_MUST_CHECK;

#endif
