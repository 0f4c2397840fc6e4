/* storage/s3_part.c: UploadPart, UploadPartCopy */
#include "base/text.h"
#include "objects/backend.h"
#include "objects/cipher.h"
#include "objects/store.h"
#include "objects/vault.h"
#include "storage/area.h"
#include "storage/s3_multipart.h"
#include "storage/s3_queries.h"

static const tn_error *
read_number(tn_ctx *c, int64_t *number)
{
    const char *text = tn_request_query(c->request, "partNumber");

    if (text != NULL && tn_text_int(text, 1, TN_S3_PARTS_MAX, number))
        return NULL;
    return tn_s3_invalid(c->arena, "Part number must be an integer between 1 and 10000, inclusive");
}

/* An upload to which parts may still be added, and what its bucket allows. */
static const tn_error *
find_open(tn_ctx *c, int64_t length, tn_s3_multipart *upload, tn_bucket *bucket)
{
    tn_upload trial;

    TN_TRY(tn_s3_multipart_find(c, "write", upload));
    if (upload->is_complete)
        return tn_error_new(c->arena, 404, "NoSuchUpload", NULL,
                            "The specified upload does not exist.");
    trial = tn_s3_multipart_upload(upload, "storage.s3.upload.part", length);
    return tn_upload_admit(c, &trial, bucket);
}

/* Do the quotas allow it, with all parts that have arrived? */
static const tn_error *
announce(tn_ctx *c, const tn_s3_multipart *upload, int64_t number, int64_t length)
{
    const tn_rows *rows;

    return tn_tx_worker(c, TN_READ_WRITE, &tn_sql_s3_part_announce,
                        TN_PARAMS(upload->id, tn_arena_number(c->arena, number),
                                  tn_arena_number(c->arena, length),
                                  tn_arena_number(c->arena, c->config->storage.tenant_quota),
                                  tn_arena_number(c->arena, c->config->storage.user_quota)),
                        &rows);
}

const tn_error *
tn_s3_part_admit(tn_ctx *c)
{
    tn_s3_multipart upload;
    tn_bucket bucket;
    int64_t number;

    TN_TRY(read_number(c, &number));
    TN_TRY(find_open(c, tn_s3_length(c), &upload, &bucket));
    return announce(c, &upload, number, tn_s3_length(c));
}

/* --- keeping ---------------------------------------------------------------------------------- */

struct part {
    const tn_s3_multipart *upload;
    int64_t number, room; /* bytes that the object may have */
    tn_incoming *file;
    char md5[33];
    const char *checksum; /* base64, or NULL */
};

/* The row, and then the end of the file that it had before. */
static const tn_error *
write_row(tn_ctx *c, const struct part *part)
{
    const tn_s3_checksum *checksum = part->upload->checksum;
    const char *checksums =
        part->checksum == NULL
            ? "{}"
            : tn_arena_printf(c->arena, "{\"%s\":\"%s\"}", checksum->name, part->checksum);
    const tn_rows *rows;
    tn_uuid earlier;

    TN_TRY(tn_tx_worker(c, TN_READ_WRITE, &tn_sql_s3_part_add,
                        TN_PARAMS(part->upload->id, tn_arena_number(c->arena, part->number),
                                  tn_arena_number(c->arena, tn_incoming_size(part->file)),
                                  part->md5, tn_incoming_id(part->file)->text, checksums,
                                  tn_arena_number(c->arena, part->room),
                                  tn_arena_number(c->arena, c->config->storage.tenant_quota),
                                  tn_arena_number(c->arena, c->config->storage.user_quota)),
                        &rows));
    if (tn_rows_count(rows) > 0 && tn_rows_text(rows, 0, 0) != NULL &&
        tn_uuid_parse(tn_rows_text(rows, 0, 0), &earlier))
        tn_staging_remove(c->process, &c->who->tenant_id, &earlier);
    return NULL;
}

static const tn_error *
keep(tn_ctx *c, struct part *part, const tn_digests *digests)
{
    const tn_error *error;

    tn_hex(digests->md5, sizeof(digests->md5), part->md5);
    if (part->upload->checksum != NULL)
        part->checksum = tn_s3_checksum_text(c->arena, part->upload->checksum, digests);
    TN_TRY(tn_incoming_keep(part->file));
    error = write_row(c, part);
    if (error != NULL && strcmp(error->code, "commit_unknown") != 0)
        tn_incoming_drop(part->file);
    return error;
}

static unsigned
wanted_digests(const tn_s3_multipart *upload)
{
    return TN_DIGEST_MD5 | (upload->checksum != NULL ? upload->checksum->which : 0);
}

/* PUT /bucket/key?partNumber=&uploadId= */
const tn_error *
tn_s3_part_put(tn_ctx *c)
{
    tn_s3_multipart upload;
    struct part part = {.upload = &upload};
    tn_digests digests;
    tn_bucket bucket;
    tn_s3_body body;

    TN_TRY(read_number(c, &part.number));
    TN_TRY(find_open(c, tn_s3_length(c), &upload, &bucket));
    TN_TRY(tn_s3_body_take(c, bucket.size_max, &body));
    TN_TRY(tn_s3_body_check(c, &body, wanted_digests(&upload), &digests));
    part.file = body.incoming;
    part.room = bucket.size_max;
    TN_TRY(keep(c, &part, &digests));
    tn_response_header(c->response, "ETag", tn_arena_printf(c->arena, "\"%s\"", part.md5));
    if (part.checksum != NULL)
        tn_s3_respond_checksum(c, upload.checksum, part.checksum, NULL);
    else
        tn_s3_respond_checksum(c, body.checksum, body.checksum_text, NULL);
    return tn_s3_respond_empty(c, 200);
}

/* --- copying ---------------------------------------------------------------------------------- */

struct copying {
    tn_incoming *into;
    const tn_error *error;
};

static bool
add_piece(void *context, const char *bytes, size_t length)
{
    struct copying *copying = context;

    copying->error = tn_incoming_append(copying->into, bytes, length);
    return copying->error == NULL;
}

/* The bytes of an object from `first` to `last`, whatever they lie in. */
static const tn_error *
copy_range(tn_ctx *c, const tn_object *source, int64_t first, int64_t length, tn_incoming **file)
{
    const tn_blob blob = {.tenant_id = c->who->tenant_id, .version = source->version};
    struct copying copying = {.error = NULL};
    tn_backend *backend;
    tn_data_key key;

    if (source->version.text[0] == '\0')
        return tn_storage_no_object(c->arena);
    TN_TRY(tn_store_backend(c->process->store, c->arena, &backend));
    TN_TRY(tn_incoming_new(c, &copying.into));
    *file = copying.into;
    if (length == 0)
        return NULL;
    if (source->sealed_key == NULL) {
        TN_TRY(tn_backend_get(backend, c->arena, &blob, first, length, add_piece, &copying));
    } else {
        TN_TRY(tn_vault_open(c, source->sealed_key, &key));
        TN_TRY(
            tn_cipher_get(backend, c->arena, &blob,
                          &(tn_cipher_source){
                              .key = &key, .size = source->size, .offset = first, .length = length},
                          add_piece, &copying));
    }
    return copying.error;
}

/* x-amz-copy-source-range: both ends, and within the object. */
static const tn_error *
read_range(tn_ctx *c, const tn_object *source, int64_t *first, int64_t *length)
{
    const char *text = tn_s3_header(c, "x-amz-copy-source-range"), *dash;
    int64_t last;

    *first = 0;
    *length = source->size;
    if (text == NULL)
        return NULL;
    dash = strchr(text, '-');
    if (!tn_text_starts(text, "bytes=") || dash == NULL ||
        !tn_text_int(tn_arena_bytes(c->arena, text + 6, (size_t)(dash - text) - 6), 0, INT64_MAX,
                     first) ||
        !tn_text_int(dash + 1, *first, INT64_MAX, &last))
        return tn_s3_invalid(c->arena, "The x-amz-copy-source-range value must be of the form "
                                       "bytes=first-last");
    if (last >= source->size)
        return tn_s3_invalid(c->arena,
                             "Range specified is not valid for source object of size: "
                             "%lld",
                             (long long)source->size);
    *length = last - *first + 1;
    return NULL;
}

/* PUT /bucket/key?partNumber=&uploadId= with x-amz-copy-source */
const tn_error *
tn_s3_part_copy(tn_ctx *c)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "CopyPartResult");
    tn_s3_multipart upload;
    struct part part = {.upload = &upload};
    int64_t first, length;
    tn_digests digests;
    tn_object source;
    tn_bucket bucket;

    TN_TRY(read_number(c, &part.number));
    TN_TRY(tn_s3_copy_source(c, "storage.s3.upload.part_copy", &source));
    TN_TRY(read_range(c, &source, &first, &length));
    TN_TRY(find_open(c, length, &upload, &bucket));
    TN_TRY(announce(c, &upload, part.number, length));
    TN_TRY(copy_range(c, &source, first, length, &part.file));
    TN_TRY(tn_s3_body_check(c, &(tn_s3_body){.incoming = part.file}, wanted_digests(&upload),
                            &digests));
    part.room = bucket.size_max;
    TN_TRY(keep(c, &part, &digests));
    tn_s3_xml_add(xml, "LastModified", source.updated_at);
    tn_s3_xml_add(xml, "ETag", tn_arena_printf(c->arena, "\"%s\"", part.md5));
    if (part.checksum != NULL)
        tn_s3_xml_add(xml, upload.checksum->xml, part.checksum);
    return tn_s3_respond(c, xml, "CopyPartResult");
}
