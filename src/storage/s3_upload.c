/* storage/s3_upload.c: PutObject */
#include "base/text.h"
#include "storage/s3.h"

/* What is written, as far as the header fields say it. */
static const tn_error *
describe(tn_ctx *c, tn_s3_attributes *attributes, tn_upload *upload)
{
    TN_TRY(tn_s3_attributes_read(c, attributes));
    *upload = (tn_upload){
        .operation = "storage.s3.upload",
        .bucket = tn_path_text(c, "bucket"),
        .name = tn_path_text(c, "key"),
        .upsert = true,
        .content_type = attributes->content_type,
        .cache_control = attributes->cache_control,
        .user_metadata = attributes->user_metadata,
        .length = tn_s3_length(c),
        .metadata = attributes->members->len > 0 ? tn_buffer_text(attributes->members) : NULL,
        .if_match = tn_request_header(c->request, "if-match"),
        .if_none_match = tn_request_header(c->request, "if-none-match"),
    };
    return NULL;
}

const tn_error *
tn_s3_upload_admit(tn_ctx *c)
{
    tn_s3_attributes attributes;
    tn_upload upload;
    tn_bucket bucket;

    TN_TRY(describe(c, &attributes, &upload));
    return tn_upload_admit(c, &upload, &bucket);
}

/* The checksum that the client has said goes into the row, so that downloads can say it again. */
void
tn_s3_add_checksum(tn_ctx *c, PQExpBuffer members, const tn_s3_checksum *checksum, const char *text,
                   const char *type)
{
    if (checksum == NULL)
        return;
    tn_s3_members_add(members, "checksums",
                      tn_arena_printf(c->arena, "{\"%s\":\"%s\"}", checksum->name, text));
    tn_s3_members_add_text(members, "checksumType", type);
}

/* x-amz-checksum-… of an answer */
void
tn_s3_respond_checksum(tn_ctx *c, const tn_s3_checksum *checksum, const char *text,
                       const char *type)
{
    if (checksum == NULL)
        return;
    tn_response_header(c->response, tn_arena_printf(c->arena, "x-amz-checksum-%s", checksum->name),
                       text);
    if (type != NULL)
        tn_response_header(c->response, "x-amz-checksum-type", type);
}

const tn_error *
tn_s3_upload_put(tn_ctx *c)
{
    tn_s3_attributes attributes;
    tn_upload upload;
    tn_object stored;
    tn_bucket bucket;
    tn_s3_body body;

    TN_TRY(describe(c, &attributes, &upload));
    TN_TRY(tn_bucket_find(c, upload.bucket, &bucket));
    TN_TRY(tn_s3_body_take(c, bucket.size_max, &body));
    tn_s3_add_checksum(c, attributes.members, body.checksum, body.checksum_text, "FULL_OBJECT");
    upload.length = tn_incoming_size(body.incoming);
    upload.metadata = attributes.members->len > 0 ? tn_buffer_text(attributes.members) : NULL;
    TN_TRY(tn_s3_digest_error(
        c, &body, tn_upload_store(c, &upload, body.incoming, &body.expected, body.which, &stored)));
    tn_response_header(c->response, "ETag", stored.etag);
    tn_s3_respond_checksum(c, body.checksum, body.checksum_text, "FULL_OBJECT");
    return tn_s3_respond_empty(c, 200);
}
