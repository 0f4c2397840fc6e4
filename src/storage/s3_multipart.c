/* storage/s3_multipart.c: uploads in parts: begun, given up, listed */
#include "storage/s3_multipart.h"
#include "base/json.h"
#include "base/text.h"
#include "storage/area.h"
#include "storage/s3.h"
#include "storage/s3_queries.h"

#define UPLOADS_MAX 1000

/* --- whose, and which ------------------------------------------------------------------------- */

/* The caller's `sub`, whatever it is; an agent that acts for nobody is itself; NULL: nobody. */
static const tn_error *
owner_of(tn_ctx *c, const char **owner)
{
    json_object *claims;

    *owner = NULL;
    TN_TRY(tn_json_parse(c->arena, c->who->claims, strlen(c->who->claims), TN_JSON_DEPTH, &claims));
    if (json_object_is_type(claims, json_type_object))
        *owner = tn_json_text(claims, "sub", NULL);
    if (*owner != NULL && **owner == '\0')
        *owner = NULL;
    if (*owner == NULL && c->who->role == TN_ROLE_AGENT)
        *owner = tn_arena_printf(c->arena, "agent:%s", c->who->agent_id.text);
    return NULL;
}

static bool
has_scope(tn_ctx *c, const char *bucket, const char *action)
{
    return tn_principal_has_scope(c->who,
                                  tn_arena_printf(c->arena, "storage:%s:%s", bucket, action));
}

/* As the policies of storage.objects have it: some names are out of every agent's reach. */
static const tn_error *
check_scope(tn_ctx *c, const char *bucket, const char *action)
{
    const bool is_ambiguous = strchr(bucket, ':') != NULL || strcmp(bucket, "buckets") == 0;

    if (c->who->role != TN_ROLE_AGENT ||
        (!is_ambiguous && (has_scope(c, bucket, "write") || has_scope(c, bucket, action))))
        return NULL;
    return tn_error_new(c->arena, 403, "AccessDenied", NULL, "the scope storage:%s:%s is needed",
                        tn_text_excerpt(c->arena, bucket, 100), action);
}

static const char *
any_owner(const tn_ctx *c)
{
    return tn_principal_is_service(c->who) ? "true" : "false";
}

const tn_error *
tn_s3_multipart_find(tn_ctx *c, const char *action, tn_s3_multipart *upload)
{
    const char *owner, *metadata;
    const tn_rows *rows;

    *upload = (tn_s3_multipart){.id = tn_request_query(c->request, "uploadId"),
                                .bucket = tn_path_text(c, "bucket"),
                                .key = tn_path_text(c, "key")};
    TN_TRY(check_scope(c, upload->bucket, action));
    TN_TRY(owner_of(c, &owner));
    TN_TRY(tn_tx_worker(c, TN_READ_ONLY, &tn_sql_s3_upload_find,
                        TN_PARAMS(upload->id != NULL ? upload->id : "", upload->bucket, upload->key,
                                  owner, any_owner(c)),
                        &rows));
    if (tn_rows_count(rows) == 0)
        return tn_error_new(c->arena, 404, "NoSuchUpload", NULL,
                            "The specified upload does not exist. The upload ID may be invalid, "
                            "or the upload may have been aborted or completed.");
    metadata = tn_rows_text(rows, 0, 0);
    upload->user_metadata = tn_rows_text(rows, 0, 1);
    upload->owner_id = tn_rows_text(rows, 0, 2);
    upload->is_complete = tn_rows_bool(rows, 0, 4);
    upload->result = tn_rows_text(rows, 0, 5);
    TN_TRY(tn_json_parse(c->arena, metadata, strlen(metadata), TN_JSON_DEPTH, &upload->metadata));
    upload->content_type = tn_json_text(upload->metadata, "contentType", NULL);
    upload->cache_control = tn_json_text(upload->metadata, "cacheControl", NULL);
    upload->checksum =
        tn_s3_checksum_by_label(tn_json_text(upload->metadata, "checksumAlgorithm", ""));
    upload->is_composite =
        strcmp(tn_json_text(upload->metadata, "checksumType", ""), "COMPOSITE") == 0;
    return NULL;
}

tn_upload
tn_s3_multipart_upload(const tn_s3_multipart *upload, const char *operation, int64_t length)
{
    return (tn_upload){
        .operation = operation,
        .bucket = upload->bucket,
        .name = upload->key,
        .upsert = true,
        .content_type = upload->content_type,
        .cache_control = upload->cache_control,
        .user_metadata = upload->user_metadata,
        .length = length,
    };
}

/* --- beginning -------------------------------------------------------------------------------- */

/* The checksum that all parts have, and what the whole one is made of. */
static const tn_error *
read_checksum(tn_ctx *c, PQExpBuffer metadata)
{
    const char *label = tn_request_header(c->request, "x-amz-checksum-algorithm");
    const char *type = tn_request_header(c->request, "x-amz-checksum-type");
    const tn_s3_checksum *checksum;
    bool is_crc64, is_sha;

    if (label == NULL)
        return NULL;
    checksum = tn_s3_checksum_by_label(label);
    if (checksum == NULL)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "Checksum algorithm provided is unsupported. Please try again with "
                            "any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    is_crc64 = checksum->which == TN_DIGEST_CRC64NVME;
    is_sha = checksum->which == TN_DIGEST_SHA1 || checksum->which == TN_DIGEST_SHA256;
    if (type == NULL)
        type = is_crc64 ? "FULL_OBJECT" : "COMPOSITE";
    if (strcmp(type, "FULL_OBJECT") == 0 ? is_sha : strcmp(type, "COMPOSITE") != 0 || is_crc64)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "The %s checksum type cannot be used with the %s checksum algorithm.",
                            tn_text_excerpt(c->arena, type, 32), checksum->label);
    tn_s3_members_add_text(metadata, "checksumAlgorithm", checksum->label);
    tn_s3_members_add_text(metadata, "checksumType", type);
    tn_response_header(c->response, "x-amz-checksum-algorithm", checksum->label);
    tn_response_header(c->response, "x-amz-checksum-type", type);
    return NULL;
}

/* What is said now and written with the object. */
static const tn_error *
describe(tn_ctx *c, tn_s3_attributes *attributes, const char **metadata)
{
    PQExpBuffer text = tn_arena_buffer(c->arena);

    TN_TRY(tn_s3_attributes_read(c, attributes));
    TN_TRY(read_checksum(c, text));
    tn_s3_members_add_text(text, "contentType", attributes->content_type);
    tn_s3_members_add_text(text, "cacheControl", attributes->cache_control);
    tn_s3_members_add(text, "members",
                      tn_arena_printf(c->arena, "{%s}", tn_buffer_text(attributes->members)));
    *metadata = tn_arena_printf(c->arena, "{%s}", tn_buffer_text(text));
    return NULL;
}

static const char *
new_id(tn_arena *arena)
{
    uint8_t bytes[24];

    tn_random(bytes, sizeof(bytes));
    return tn_base64url(arena, bytes, sizeof(bytes));
}

/* POST /bucket/key?uploads */
const tn_error *
tn_s3_upload_create(tn_ctx *c)
{
    const char *id = new_id(c->arena), *owner, *metadata;
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "InitiateMultipartUploadResult");
    tn_s3_multipart upload = {.bucket = tn_path_text(c, "bucket"), .key = tn_path_text(c, "key")};
    tn_s3_attributes attributes;
    const tn_rows *rows;
    tn_upload trial;
    tn_bucket bucket;

    TN_TRY(describe(c, &attributes, &metadata));
    TN_TRY(owner_of(c, &owner));
    if (owner == NULL && !tn_principal_is_service(c->who)) /* nobody could go on with it */
        return tn_error_new(c->arena, 403, "AccessDenied", NULL,
                            "an upload in parts needs somebody whose it is");
    upload.content_type = attributes.content_type;
    upload.cache_control = attributes.cache_control;
    upload.user_metadata = attributes.user_metadata;
    trial = tn_s3_multipart_upload(&upload, "storage.s3.upload.create", -1);
    TN_TRY(tn_upload_admit(c, &trial, &bucket));
    TN_TRY(
        tn_tx_worker(c, TN_READ_WRITE, &tn_sql_s3_upload_create,
                     TN_PARAMS(id, upload.bucket, upload.key, owner, upload.user_metadata, metadata,
                               tn_arena_number(c->arena, c->config->storage.upload_ttl_s)),
                     &rows));
    tn_s3_xml_add(xml, "Bucket", upload.bucket);
    tn_s3_xml_add(xml, "Key", upload.key);
    tn_s3_xml_add(xml, "UploadId", id);
    return tn_s3_respond(c, xml, "InitiateMultipartUploadResult");
}

/* --- giving up -------------------------------------------------------------------------------- */

const tn_error *
tn_s3_multipart_remove_parts(tn_ctx *c, const char *id)
{
    const tn_rows *rows;
    tn_uuid file;

    TN_TRY(tn_tx_worker(c, TN_READ_WRITE, &tn_sql_s3_parts_remove, TN_PARAMS(id), &rows));
    for (size_t i = 0; i < tn_rows_count(rows); i++)
        if (tn_uuid_parse(tn_rows_text(rows, i, 0), &file))
            tn_staging_remove(c->process, &c->who->tenant_id, &file);
    return NULL;
}

const tn_error *
tn_s3_multipart_remove(tn_ctx *c, const char *id)
{
    const tn_rows *rows;

    TN_TRY(tn_s3_multipart_remove_parts(c, id));
    return tn_tx_worker(c, TN_READ_WRITE, &tn_sql_s3_upload_remove, TN_PARAMS(id), &rows);
}

/* DELETE /bucket/key?uploadId= */
const tn_error *
tn_s3_upload_abort(tn_ctx *c)
{
    tn_s3_multipart upload;
    const tn_rows *rows;

    TN_TRY(tn_s3_multipart_find(c, "write", &upload));
    if (upload.is_complete)
        return tn_error_new(c->arena, 404, "NoSuchUpload", NULL,
                            "The specified upload does not exist.");
    TN_TRY(tn_tx_worker(c, TN_READ_WRITE, &tn_sql_s3_upload_claim, TN_PARAMS(upload.id), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_s3_multipart_busy(c->arena);
    TN_TRY(tn_s3_multipart_remove(c, upload.id));
    return tn_s3_respond_empty(c, 204);
}

const tn_error *
tn_s3_multipart_busy(tn_arena *arena)
{
    tn_error *error = tn_error_new(arena, 503, "SlowDown", NULL, "The upload is being completed.");

    error->retry_after_s = 1;
    return error;
}

/* --- lists ------------------------------------------------------------------------------------ */

static void
add_owner(PQExpBuffer xml, const char *tag, const char *owner)
{
    tn_s3_xml_open(xml, tag);
    tn_s3_xml_add(xml, "ID", owner);
    tn_s3_xml_add(xml, "DisplayName", owner);
    tn_s3_xml_close(xml, tag);
}

static void
add_uploads(PQExpBuffer xml, const tn_rows *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tn_s3_xml_open(xml, "Upload");
        tn_s3_xml_add(xml, "Key", tn_rows_text(rows, i, 0));
        tn_s3_xml_add(xml, "UploadId", tn_rows_text(rows, i, 1));
        add_owner(xml, "Initiator", tn_rows_text(rows, i, 2));
        add_owner(xml, "Owner", tn_rows_text(rows, i, 2));
        tn_s3_xml_add(xml, "StorageClass", "STANDARD");
        tn_s3_xml_add(xml, "Initiated", tn_rows_text(rows, i, 3));
        tn_s3_xml_close(xml, "Upload");
    }
}

static const char *
query_or(const tn_ctx *c, const char *name, const char *otherwise)
{
    const char *text = tn_request_query(c->request, name);

    return text != NULL ? text : otherwise;
}

/* GET /bucket?uploads; the bucket is there. A delimiter is not grouped by: each upload is named. */
const tn_error *
tn_s3_uploads_list(tn_ctx *c)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "ListMultipartUploadsResult");
    const char *prefix = query_or(c, "prefix", ""), *key = query_or(c, "key-marker", "");
    const char *id = tn_request_query(c->request, "upload-id-marker"), *owner;
    const tn_rows *rows;
    int64_t limit;
    size_t count;
    bool is_truncated;

    TN_TRY(check_scope(c, tn_path_text(c, "bucket"), "read"));
    TN_TRY(tn_s3_query_limit(c, "max-uploads", UPLOADS_MAX, &limit));
    TN_TRY(owner_of(c, &owner));
    TN_TRY(tn_tx_worker(c, TN_READ_ONLY, &tn_sql_s3_uploads,
                        TN_PARAMS(tn_path_text(c, "bucket"), prefix, key,
                                  tn_text_is_given(id) ? id : NULL,
                                  tn_arena_number(c->arena, limit + 1), owner, any_owner(c)),
                        &rows));
    count = tn_rows_count(rows);
    is_truncated = count > (size_t)limit && limit > 0;
    if (count > (size_t)limit)
        count = (size_t)limit;
    tn_s3_xml_add(xml, "Bucket", tn_path_text(c, "bucket"));
    tn_s3_xml_add(xml, "KeyMarker", key);
    tn_s3_xml_add(xml, "UploadIdMarker", id != NULL ? id : "");
    if (is_truncated) {
        tn_s3_xml_add(xml, "NextKeyMarker", tn_rows_text(rows, count - 1, 0));
        tn_s3_xml_add(xml, "NextUploadIdMarker", tn_rows_text(rows, count - 1, 1));
    }
    tn_s3_xml_add(xml, "Prefix", prefix);
    tn_s3_xml_add(xml, "MaxUploads", tn_arena_number(c->arena, limit));
    tn_s3_xml_add(xml, "IsTruncated", is_truncated ? "true" : "false");
    add_uploads(xml, rows, count);
    return tn_s3_respond(c, xml, "ListMultipartUploadsResult");
}

enum { PART_NUMBER, PART_SIZE, PART_ETAG, PART_FILE, PART_CHECKSUMS, PART_TIME };

static void
add_parts(tn_ctx *c, PQExpBuffer xml, const tn_s3_multipart *upload, const tn_rows *rows,
          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_object *checksums = json_tokener_parse(tn_rows_text(rows, i, PART_CHECKSUMS));

        tn_s3_xml_open(xml, "Part");
        tn_s3_xml_add(xml, "PartNumber", tn_rows_text(rows, i, PART_NUMBER));
        tn_s3_xml_add(xml, "LastModified", tn_rows_text(rows, i, PART_TIME));
        tn_s3_xml_add(xml, "ETag",
                      tn_arena_printf(c->arena, "\"%s\"", tn_rows_text(rows, i, PART_ETAG)));
        tn_s3_xml_add(xml, "Size", tn_rows_text(rows, i, PART_SIZE));
        if (upload->checksum != NULL)
            tn_s3_xml_add(xml, upload->checksum->xml,
                          tn_json_text(checksums, upload->checksum->name, NULL));
        tn_s3_xml_close(xml, "Part");
        json_object_put(checksums);
    }
}

/* What the parts belong to. */
static void
add_upload(const tn_ctx *c, PQExpBuffer xml, const tn_s3_multipart *upload)
{
    const char *owner = upload->owner_id != NULL ? upload->owner_id : c->who->tenant_id.text;

    tn_s3_xml_add(xml, "Bucket", upload->bucket);
    tn_s3_xml_add(xml, "Key", upload->key);
    tn_s3_xml_add(xml, "UploadId", upload->id);
    add_owner(xml, "Initiator", owner);
    add_owner(xml, "Owner", owner);
    tn_s3_xml_add(xml, "StorageClass", "STANDARD");
    if (upload->checksum == NULL)
        return;
    tn_s3_xml_add(xml, "ChecksumAlgorithm", upload->checksum->label);
    tn_s3_xml_add(xml, "ChecksumType", upload->is_composite ? "COMPOSITE" : "FULL_OBJECT");
}

/* GET /bucket/key?uploadId= */
const tn_error *
tn_s3_parts_list(tn_ctx *c)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "ListPartsResult");
    int64_t limit, marker = 0;
    tn_s3_multipart upload;
    const tn_rows *rows;
    bool is_truncated;
    size_t count;

    TN_TRY(tn_s3_multipart_find(c, "read", &upload));
    TN_TRY(tn_s3_query_limit(c, "max-parts", UPLOADS_MAX, &limit));
    if (tn_text_is_given(tn_request_query(c->request, "part-number-marker")))
        TN_TRY(tn_s3_query_limit(c, "part-number-marker", INT32_MAX, &marker));
    TN_TRY(tn_tx_worker(c, TN_READ_ONLY, &tn_sql_s3_parts,
                        TN_PARAMS(upload.id, tn_arena_number(c->arena, marker),
                                  tn_arena_number(c->arena, limit + 1)),
                        &rows));
    count = tn_rows_count(rows);
    is_truncated = count > (size_t)limit && limit > 0;
    if (count > (size_t)limit)
        count = (size_t)limit;
    add_upload(c, xml, &upload);
    tn_s3_xml_add(xml, "PartNumberMarker", tn_arena_number(c->arena, marker));
    if (is_truncated)
        tn_s3_xml_add(xml, "NextPartNumberMarker", tn_rows_text(rows, count - 1, PART_NUMBER));
    tn_s3_xml_add(xml, "MaxParts", tn_arena_number(c->arena, limit));
    tn_s3_xml_add(xml, "IsTruncated", is_truncated ? "true" : "false");
    add_parts(c, xml, &upload, rows, count);
    return tn_s3_respond(c, xml, "ListPartsResult");
}
