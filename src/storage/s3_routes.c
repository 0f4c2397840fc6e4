/* storage/s3_routes.c: what /storage/v1/s3 answers: Amazon S3, path style */
#include "storage/area.h"
#include "storage/s3.h"
#include "storage/storage.h"

#define WHO .scope = TN_SCOPE_BY_POLICY, .roles = TN_STORAGE_CALLERS
#define READS WHO, .limit = TN_LIMIT_READ
#define WRITES WHO, .limit = TN_LIMIT_WRITE, .takes_body = true

static const tn_route routes[] = {
    {"GET", "/storage/v1/s3", tn_s3_buckets_list, READS, .summary = "S3: ListBuckets"},
    {"GET", "/storage/v1/s3/", tn_s3_buckets_list, READS, .summary = "S3: ListBuckets"},
    {"GET", "/storage/v1/s3/{bucket}", tn_s3_bucket_get, READS,
     .summary = "S3: ListObjectsV2, ListObjects, ListMultipartUploads, GetBucketLocation …"},
    {"PUT", "/storage/v1/s3/{bucket}", tn_s3_bucket_put, WRITES, .summary = "S3: CreateBucket"},
    {"POST", "/storage/v1/s3/{bucket}", tn_s3_bucket_post, .scope = TN_SCOPE_BY_POLICY,
     .roles = TN_STORAGE_ANYBODY, .limit = TN_LIMIT_WRITE, .takes_body = true,
     .admit = tn_s3_bucket_admit, .summary = "S3: DeleteObjects, uploads by forms of browsers"},
    {"DELETE", "/storage/v1/s3/{bucket}", tn_s3_bucket_delete, WRITES,
     .summary = "S3: DeleteBucket"},
    {"GET", "/storage/v1/s3/{bucket}/", tn_s3_bucket_get, READS, .summary = "As without the slash"},
    {"PUT", "/storage/v1/s3/{bucket}/", tn_s3_bucket_put, WRITES,
     .summary = "As without the slash"},
    {"POST", "/storage/v1/s3/{bucket}/", tn_s3_bucket_post, .scope = TN_SCOPE_BY_POLICY,
     .roles = TN_STORAGE_ANYBODY, .limit = TN_LIMIT_WRITE, .takes_body = true,
     .admit = tn_s3_bucket_admit, .summary = "As without the slash"},
    {"DELETE", "/storage/v1/s3/{bucket}/", tn_s3_bucket_delete, WRITES,
     .summary = "As without the slash"},
    {"GET", "/storage/v1/s3/{bucket}/{key...}", tn_s3_object_get, READS,
     .summary = "S3: GetObject, HeadObject, ListParts, GetObjectTagging, GetObjectAttributes"},
    {"PUT", "/storage/v1/s3/{bucket}/{key...}", tn_s3_object_put, WRITES,
     .admit = tn_s3_object_admit,
     .summary = "S3: PutObject, CopyObject, UploadPart, UploadPartCopy, PutObjectTagging"},
    {"POST", "/storage/v1/s3/{bucket}/{key...}", tn_s3_object_post, WRITES,
     .summary = "S3: CreateMultipartUpload, CompleteMultipartUpload"},
    {"DELETE", "/storage/v1/s3/{bucket}/{key...}", tn_s3_object_delete, WRITES,
     .summary = "S3: DeleteObject, AbortMultipartUpload, DeleteObjectTagging"},
    {.method = NULL},
};

static void *
start(const tn_process *process)
{
    (void)process;
    tn_s3_xml_start();
    return NULL;
}

const tn_area tn_storage_s3_area = {
    .name = "storage_s3",
    .prefix = "/storage/v1/s3",
    .routes = routes,
    .any_role = true,
    .identify = tn_s3_identify,
    .render_error = tn_s3_render_error,
    .start = start,
};
