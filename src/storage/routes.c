/* storage/routes.c: what /storage/v1 answers: Supabase Storage
 *
 * Policies on storage.buckets and storage.objects decide what a caller may do; an agent's scopes
 * name the bucket, so most of them are asked row by row as well.
 */
#include "storage/storage.h"

#include "storage/area.h"

#define BY_POLICY TN_SCOPE_BY_POLICY
#define BUCKETS_READ "storage:buckets:read"
#define BUCKETS_WRITE "storage:buckets:write"
#define CALLERS TN_STORAGE_CALLERS
#define ANYBODY TN_STORAGE_ANYBODY

static const tn_route routes[] = {
    {"GET", "/storage/v1/bucket", tn_storage_bucket_list, .scope = BUCKETS_READ,
     .limit = TN_LIMIT_READ, .roles = CALLERS, .summary = "Buckets that the caller may see"},
    {"GET", "/storage/v1/bucket/", tn_storage_bucket_list, .scope = BUCKETS_READ,
     .limit = TN_LIMIT_READ, .roles = CALLERS, .summary = "The same as without the slash"},
    {"POST", "/storage/v1/bucket", tn_storage_bucket_create, .scope = BUCKETS_WRITE,
     .limit = TN_LIMIT_WRITE, .roles = CALLERS, .summary = "Make a bucket"},
    {"POST", "/storage/v1/bucket/", tn_storage_bucket_create, .scope = BUCKETS_WRITE,
     .limit = TN_LIMIT_WRITE, .roles = CALLERS, .summary = "The same as without the slash"},
    {"GET", "/storage/v1/bucket/{bucket}", tn_storage_bucket_get, .scope = BUCKETS_READ,
     .limit = TN_LIMIT_READ, .roles = CALLERS, .summary = "A bucket and its rules"},
    {"PUT", "/storage/v1/bucket/{bucket}", tn_storage_bucket_update, .scope = BUCKETS_WRITE,
     .limit = TN_LIMIT_WRITE, .roles = CALLERS, .summary = "Change the rules of a bucket"},
    {"DELETE", "/storage/v1/bucket/{bucket}", tn_storage_bucket_delete, .scope = BUCKETS_WRITE,
     .limit = TN_LIMIT_WRITE, .roles = CALLERS, .summary = "Delete an empty bucket"},
    {"POST", "/storage/v1/bucket/{bucket}/empty", tn_storage_bucket_empty, .limit = TN_LIMIT_WRITE,
     .roles = CALLERS, .summary = "Delete everything in a bucket; takes a secret key"},
    {"GET", "/storage/v1/bucket/{bucket}/lifecycle", tn_storage_bucket_feature,
     .limit = TN_LIMIT_READ, .roles = CALLERS, .summary = "Not available: FeatureNotEnabled"},
    {"PUT", "/storage/v1/bucket/{bucket}/lifecycle", tn_storage_bucket_feature,
     .limit = TN_LIMIT_READ, .roles = CALLERS, .summary = "Not available: FeatureNotEnabled"},
    {"DELETE", "/storage/v1/bucket/{bucket}/lifecycle", tn_storage_bucket_feature,
     .limit = TN_LIMIT_READ, .roles = CALLERS, .summary = "Not available: FeatureNotEnabled"},

    {"POST", "/storage/v1/object/{bucket}/{name...}", tn_storage_upload, .scope = BY_POLICY,
     .limit = TN_LIMIT_WRITE, .roles = CALLERS, .takes_body = true,
     .admit = tn_storage_upload_admit, .summary = "Upload a file, as the body or in a form"},
    {"PUT", "/storage/v1/object/{bucket}/{name...}", tn_storage_upload, .scope = BY_POLICY,
     .limit = TN_LIMIT_WRITE, .roles = CALLERS, .takes_body = true,
     .admit = tn_storage_upload_admit,
     .summary = "Upload a file, or replace the one that is there"},
    {"GET", "/storage/v1/object/{bucket}/{name...}", tn_storage_download, .scope = BY_POLICY,
     .limit = TN_LIMIT_READ, .roles = ANYBODY,
     .summary = "Download a file; of a public bucket without a key"},
    {"DELETE", "/storage/v1/object/{bucket}/{name...}", tn_storage_remove, .scope = BY_POLICY,
     .limit = TN_LIMIT_WRITE, .roles = CALLERS, .summary = "Delete a file"},
    {"DELETE", "/storage/v1/object/{bucket}", tn_storage_remove_many, .scope = BY_POLICY,
     .limit = TN_LIMIT_WRITE, .roles = CALLERS, .summary = "Delete the files with these names"},
    {"GET", "/storage/v1/object/authenticated/{bucket}/{name...}", tn_storage_download,
     .scope = BY_POLICY, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "Download a file, with a key or a token"},
    {"GET", "/storage/v1/object/public/{bucket}/{name...}", tn_storage_download_public,
     .limit = TN_LIMIT_READ, .roles = ANYBODY,
     .summary = "Download a file of a public bucket; ?tenant= says whose"},
    {"GET", "/storage/v1/object/sign/{bucket}/{name...}", tn_storage_download_signed,
     .limit = TN_LIMIT_READ, .roles = TN_ROLE_NONE, .summary = "Download a file by a signed URL"},

    {"GET", "/storage/v1/object/info/{bucket}/{name...}", tn_storage_info, .scope = BY_POLICY,
     .limit = TN_LIMIT_READ, .roles = ANYBODY,
     .summary = "What is known about a file; of a public bucket without a key"},
    {"GET", "/storage/v1/object/info/authenticated/{bucket}/{name...}", tn_storage_info,
     .scope = BY_POLICY, .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "What is known about a file, with a key or a token"},
    {"GET", "/storage/v1/object/info/public/{bucket}/{name...}", tn_storage_info_public,
     .limit = TN_LIMIT_READ, .roles = ANYBODY,
     .summary = "What is known about a file of a public bucket"},

    {"POST", "/storage/v1/object/list/{bucket}", tn_storage_list, .scope = BY_POLICY,
     .limit = TN_LIMIT_READ, .roles = CALLERS, .summary = "Files and folders in a folder"},
    {"POST", "/storage/v1/object/list-v2/{bucket}", tn_storage_list_v2, .scope = BY_POLICY,
     .limit = TN_LIMIT_READ, .roles = CALLERS,
     .summary = "Files whose names begin so, page by page from a cursor on"},

    {"POST", "/storage/v1/object/sign/{bucket}/{name...}", tn_storage_sign, .scope = BY_POLICY,
     .limit = TN_LIMIT_READ, .roles = CALLERS, .summary = "A URL by which anybody can download"},
    {"POST", "/storage/v1/object/sign/{bucket}", tn_storage_sign_many, .scope = BY_POLICY,
     .limit = TN_LIMIT_READ, .roles = CALLERS, .summary = "Such URLs for several files"},
    {"POST", "/storage/v1/object/upload/sign/{bucket}/{name...}", tn_storage_sign_upload,
     .scope = BY_POLICY, .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "A URL by which anybody can upload this file"},
    {"PUT", "/storage/v1/object/upload/sign/{bucket}/{name...}", tn_storage_upload,
     .limit = TN_LIMIT_WRITE, .roles = TN_ROLE_NONE, .takes_body = true,
     .admit = tn_storage_upload_admit, .summary = "Upload a file by a signed URL"},

    {"POST", "/storage/v1/object/move", tn_storage_move, .scope = BY_POLICY,
     .limit = TN_LIMIT_WRITE, .roles = CALLERS,
     .summary = "Give a file another name, or put it into another bucket"},
    {"POST", "/storage/v1/object/copy", tn_storage_copy, .scope = BY_POLICY,
     .limit = TN_LIMIT_WRITE, .roles = CALLERS, .summary = "Copy a file"},

    {"DELETE", "/storage/v1/cdn/{bucket}", tn_storage_purge, .limit = TN_LIMIT_WRITE,
     .roles = CALLERS, .summary = "Accepted: there is no cache in front; takes a secret key"},
    {"DELETE", "/storage/v1/cdn/{bucket}/{name...}", tn_storage_purge, .limit = TN_LIMIT_WRITE,
     .roles = CALLERS, .summary = "Accepted: there is no cache in front; takes a secret key"},
    {"GET", "/storage/v1/health", tn_storage_health, .limit = TN_LIMIT_READ, .roles = ANYBODY,
     .summary = "Whether files are served"},
    {"GET", "/storage/v1/status", tn_storage_status, .limit = TN_LIMIT_READ, .roles = ANYBODY,
     .summary = "The same, without a body"},
    {"GET", "/storage/v1/version", tn_storage_version, .limit = TN_LIMIT_READ, .roles = ANYBODY,
     .summary = "The version, as text"},
    {.method = NULL},
};

const tn_area tn_storage_area = {
    .name = "storage",
    .prefix = "/storage/v1",
    .routes = routes,
    .any_role = true,
    .identify = tn_storage_identify,
    .render_error = tn_storage_render_error,
};
