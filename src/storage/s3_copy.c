/* storage/s3_copy.c: CopyObject, and what UploadPartCopy shares with it */
#include "base/text.h"
#include "objects/condition.h"
#include "objects/store.h"
#include "objects/vault.h"
#include "storage/area.h"
#include "storage/s3.h"

/* x-amz-copy-source: "/bucket/key" or "bucket/key", escaped, perhaps with "?versionId=null". */
static const tn_error *
read_source(tn_ctx *c, const char **bucket, const char **key)
{
    const char *text = tn_s3_header(c, "x-amz-copy-source"), *slash;
    const size_t length = strcspn(text, "?");
    char *decoded;

    if (text[length] == '?' && strcmp(text + length, "?versionId=null") != 0)
        return tn_error_new(c->arena, 404, "NoSuchVersion", NULL,
                            "The specified version does not exist.");
    decoded = tn_text_url_decode(c->arena, text, length, false);
    if (decoded == NULL)
        return tn_s3_invalid(c->arena, "x-amz-copy-source is not encoded as a URL");
    decoded += *decoded == '/';
    slash = strchr(decoded, '/');
    if (slash == NULL || slash == decoded || slash[1] == '\0')
        return tn_s3_invalid(c->arena, "x-amz-copy-source must be bucket/key");
    *bucket = tn_arena_bytes(c->arena, decoded, (size_t)(slash - decoded));
    *key = slash + 1;
    return NULL;
}

const tn_error *
tn_s3_copy_source(tn_ctx *c, const char *operation, tn_object *source)
{
    const tn_conditions conditions = {
        .if_match = tn_s3_header(c, "x-amz-copy-source-if-match"),
        .if_none_match = tn_s3_header(c, "x-amz-copy-source-if-none-match"),
        .if_modified_since = tn_s3_header(c, "x-amz-copy-source-if-modified-since"),
        .if_unmodified_since = tn_s3_header(c, "x-amz-copy-source-if-unmodified-since"),
    };
    const char *bucket, *key;

    TN_TRY(read_source(c, &bucket, &key));
    TN_TRY(tn_object_find(c, operation, TN_READ_AS_CALLER, bucket, key, source));
    if (tn_conditions_judge(&conditions, source->etag, source->modified_s) != TN_VERDICT_GO_ON)
        return tn_error_new(c->arena, 412, "PreconditionFailed", NULL,
                            "At least one of the pre-conditions you specified did not hold");
    return NULL;
}

/* Is the header REPLACE? COPY, and nothing, say that it stays. */
static const tn_error *
read_directive(tn_ctx *c, const char *name, bool *replaces)
{
    const char *text = tn_s3_header(c, name);

    *replaces = text != NULL && strcmp(text, "REPLACE") == 0;
    if (text == NULL || *replaces || strcmp(text, "COPY") == 0)
        return NULL;
    return tn_s3_invalid(c->arena, "%s must be COPY or REPLACE", name);
}

/* What is the content's own stays whatever is replaced. */
static void
keep_members(json_object *metadata, bool keeps_checksums, bool replaces_all, bool replaces_tags,
             PQExpBuffer members)
{
    const struct {
        const char *name;
        bool stays;
    } known[] = {
        {"checksums", keeps_checksums},
        {"checksumType", keeps_checksums},
        {"parts", true},
        {"tags", !replaces_tags},
        {"contentEncoding", !replaces_all},
        {"contentLanguage", !replaces_all},
        {"contentDisposition", !replaces_all},
        {"expires", !replaces_all},
    };

    for (size_t i = 0; i < TN_COUNT(known); i++) {
        json_object *value = tn_json_get(metadata, known[i].name);

        if (value != NULL && known[i].stays)
            tn_s3_members_add(members, known[i].name,
                              json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
    }
}

/* --- the checksum that the copy is to have ---------------------------------------------------- */

struct copying {
    const tn_object *source;
    json_object *metadata;          /* the source's */
    const tn_s3_checksum *checksum; /* NULL: what the source has */
    const char *text;
};

static bool
add_piece(void *context, const char *bytes, size_t length)
{
    tn_digest_add(context, bytes, length);
    return true;
}

static const tn_error *
digest_source(tn_ctx *c, const tn_object *source, tn_digest *digest)
{
    const tn_blob blob = {.tenant_id = c->who->tenant_id, .version = source->version};
    tn_backend *backend;
    tn_data_key key;

    if (source->version.text[0] == '\0')
        return tn_storage_no_object(c->arena);
    if (source->size == 0)
        return NULL;
    TN_TRY(tn_store_backend(c->process->store, c->arena, &backend));
    if (source->sealed_key == NULL)
        return tn_backend_get(backend, c->arena, &blob, 0, source->size, add_piece, digest);
    TN_TRY(tn_vault_open(c, source->sealed_key, &key));
    return tn_cipher_get(
        backend, c->arena, &blob,
        &(tn_cipher_source){.key = &key, .size = source->size, .offset = 0, .length = source->size},
        add_piece, digest);
}

/* x-amz-checksum-algorithm: of the whole, which is read for it unless its row has it. */
static const tn_error *
make_checksum(tn_ctx *c, struct copying *copying)
{
    const char *label = tn_request_header(c->request, "x-amz-checksum-algorithm");
    const char *type = tn_json_text(copying->metadata, "checksumType", "FULL_OBJECT");
    tn_digests digests;
    tn_digest *digest;

    if (label == NULL)
        return NULL;
    copying->checksum = tn_s3_checksum_by_label(label);
    if (copying->checksum == NULL)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "Checksum algorithm provided is unsupported.");
    if (strcmp(type, "FULL_OBJECT") == 0)
        copying->text = tn_json_text(tn_json_get(copying->metadata, "checksums"),
                                     copying->checksum->name, NULL);
    if (copying->text != NULL)
        return NULL;
    digest = tn_digest_new(c->arena, copying->checksum->which);
    TN_TRY(digest_source(c, copying->source, digest));
    tn_digest_end(digest, &digests);
    copying->text = tn_s3_checksum_text(c->arena, copying->checksum, &digests);
    return NULL;
}

/* ---------------------------------------------------------------------------------------------- */

static const tn_error *
describe(tn_ctx *c, struct copying *copying, tn_transfer *transfer)
{
    const tn_object *source = copying->source;
    bool replaces_all, replaces_tags;
    tn_s3_attributes attributes;
    PQExpBuffer members = tn_arena_buffer(c->arena);

    TN_TRY(read_directive(c, "x-amz-metadata-directive", &replaces_all));
    TN_TRY(read_directive(c, "x-amz-tagging-directive", &replaces_tags));
    TN_TRY(tn_s3_attributes_read(c, &attributes));
    TN_TRY(tn_json_parse(c->arena, source->metadata, strlen(source->metadata), TN_JSON_DEPTH,
                         &copying->metadata));
    if (!replaces_all && !replaces_tags && strcmp(source->bucket, transfer->to_bucket) == 0 &&
        strcmp(source->name, transfer->to_name) == 0)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "This copy request is illegal because it is trying to copy an object "
                            "to itself without changing the object's metadata, storage class, "
                            "website redirect location or encryption attributes.");
    tn_s3_attributes_keep(&attributes, replaces_all, replaces_tags, members);
    TN_TRY(make_checksum(c, copying));
    keep_members(copying->metadata, copying->checksum == NULL, replaces_all, replaces_tags,
                 members);
    tn_s3_add_checksum(c, members, copying->checksum, copying->text, "FULL_OBJECT");
    transfer->metadata = tn_buffer_text(members);
    if (!replaces_all)
        return NULL;
    transfer->content_type =
        attributes.content_type != NULL ? attributes.content_type : "application/octet-stream";
    transfer->cache_control =
        attributes.cache_control != NULL ? attributes.cache_control : "no-cache";
    transfer->user_metadata = attributes.user_metadata;
    return NULL;
}

/* PUT /bucket/key with x-amz-copy-source */
const tn_error *
tn_s3_object_copy(tn_ctx *c)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "CopyObjectResult");
    tn_object source, copied;
    struct copying copying = {.source = &source};
    tn_transfer transfer = {
        .operation = "storage.s3.object.copy",
        .to_bucket = tn_path_text(c, "bucket"),
        .to_name = tn_path_text(c, "key"),
        .upsert = true,
        .if_match = tn_request_header(c->request, "if-match"),
        .if_none_match = tn_request_header(c->request, "if-none-match"),
    };

    TN_TRY(tn_s3_copy_source(c, transfer.operation, &source));
    transfer.bucket = source.bucket;
    transfer.name = source.name;
    TN_TRY(describe(c, &copying, &transfer));
    TN_TRY(tn_object_copy(c, &transfer, &copied));
    tn_s3_xml_add(xml, "LastModified", copied.updated_at);
    tn_s3_xml_add(xml, "ETag", copied.etag);
    if (copying.checksum != NULL) {
        tn_s3_xml_add(xml, copying.checksum->xml, copying.text);
        tn_s3_xml_add(xml, "ChecksumType", "FULL_OBJECT");
    }
    return tn_s3_respond(c, xml, "CopyObjectResult");
}
