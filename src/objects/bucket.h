/* objects/bucket.h: the rules of a bucket
 *
 * Names are Supabase's: 1 to 100 characters of [A-Za-z0-9_!.*'() &$=@;:+,?-], no blank at either
 * end. Objects: 1 to 1,024 bytes of that and `/` (S3 too), no segment that is `.` or `..`.
 *
 * Threads: any.
 */
#ifndef TN_OBJECTS_BUCKET_H
#define TN_OBJECTS_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "db/database.h"
#include "identity/ctx.h"

typedef struct tn_bucket {
    const char *id, *name;
    bool is_public, encrypted;
    int64_t size_max; /* bytes of an object: the smaller of bucket's and setting's */
    const char *const *allowed_types; /* NULL: any; "image/png", "image/ *" without the blank */
    size_t allowed_type_count;
} tn_bucket;

bool tn_bucket_name_is_valid(const char *name) TN_MUST_CHECK;
bool tn_object_name_is_valid(const char *name) TN_MUST_CHECK;
/* 400 `InvalidKey`, `InvalidBucketName`. */
const tn_error *tn_object_name_check(tn_arena *arena, const char *name) TN_MUST_CHECK;

/* Whether the type may be stored there: compared without parameters, in any case; a star at the end
 * stands for anything, and so does a lone star. */
bool tn_bucket_allows_type(const tn_bucket *bucket, const char *content_type) TN_MUST_CHECK;

/* By the first row of storage.find_bucket(); 404 `NoSuchBucket` when there is none. */
const tn_error *tn_bucket_read(tn_ctx *c, const tn_rows *rows, tn_bucket *bucket) TN_MUST_CHECK;

/* The same, asked for by itself. */
const tn_error *tn_bucket_find(tn_ctx *c, const char *id, tn_bucket *bucket) TN_MUST_CHECK;

#endif
