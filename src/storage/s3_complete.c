/* storage/s3_complete.c: CompleteMultipartUpload: parts → object */
#include "base/json.h"
#include "base/text.h"
#include "storage/s3_multipart.h"
#include "storage/s3_queries.h"

enum { PART_NUMBER, PART_SIZE, PART_ETAG, PART_FILE, PART_CHECKSUMS };

struct piece {
    int64_t number, size;
    const char *etag; /* MD5 in hexadecimal */
    tn_uuid file;
    tn_digests checksum; /* that of the upload's kind */
    bool has_checksum;
};

struct completion {
    tn_ctx *c;
    const tn_s3_multipart *upload;
    struct piece *pieces; /* of the object, in their order */
    size_t count;
    int64_t size;
    const char *etag;          /* with quotes */
    const char *checksum_text; /* NULL: none */
    tn_digests expected;
    unsigned which;
    tn_incoming *whole;
};

/* --- which parts ------------------------------------------------------------------------------ */

static const tn_error *
invalid_part(tn_arena *arena)
{
    return tn_error_new(arena, 400, "InvalidPart", NULL,
                        "One or more of the specified parts could not be found. The part may not "
                        "have been uploaded, or the specified entity tag may not match the part's "
                        "entity tag.");
}

static const tn_error *
read_piece(struct completion *completion, const tn_rows *rows, size_t row, struct piece *piece)
{
    const tn_s3_checksum *checksum = completion->upload->checksum;
    const char *text = tn_rows_text(rows, row, PART_CHECKSUMS), *value;
    json_object *checksums;

    *piece = (struct piece){.number = tn_rows_int(rows, row, PART_NUMBER, 0),
                            .size = tn_rows_int(rows, row, PART_SIZE, 0),
                            .etag = tn_rows_text(rows, row, PART_ETAG)};
    if (!tn_uuid_parse(tn_rows_text(rows, row, PART_FILE), &piece->file))
        return invalid_part(completion->c->arena);
    if (checksum == NULL)
        return NULL;
    TN_TRY(tn_json_parse(completion->c->arena, text, strlen(text), TN_JSON_DEPTH, &checksums));
    value = tn_json_text(checksums, checksum->name, NULL);
    piece->has_checksum = value != NULL && tn_s3_checksum_read(completion->c->arena, checksum,
                                                               value, &piece->checksum);
    return NULL;
}

/* All that have arrived, by their numbers. */
static const tn_error *
read_pieces(struct completion *completion)
{
    tn_ctx *c = completion->c;
    const tn_rows *rows;

    TN_TRY(tn_tx_worker(
        c, TN_READ_ONLY, &tn_sql_s3_parts,
        TN_PARAMS(completion->upload->id, "0", tn_arena_number(c->arena, TN_S3_PARTS_MAX)), &rows));
    completion->count = tn_rows_count(rows);
    completion->pieces = tn_arena_alloc(c->arena, completion->count + 1, sizeof(struct piece));
    for (size_t i = 0; i < completion->count; i++)
        TN_TRY(read_piece(completion, rows, i, &completion->pieces[i]));
    return NULL;
}

/* With quotes or without. */
static bool
is_etag(const char *text, const char *etag)
{
    const size_t quote = *text == '"';
    const size_t length = strlen(etag);

    return strncmp(text + quote, etag, length) == 0 &&
           strcmp(text + quote + length, quote ? "\"" : "") == 0;
}

static const tn_error *
check_piece(const struct completion *completion, const tn_s3_element *element,
            const struct piece *piece)
{
    const tn_s3_checksum *checksum = completion->upload->checksum;
    tn_arena *arena = completion->c->arena;
    const char *etag = tn_s3_xml_text(element, "ETag"), *text;
    tn_digests said = {.md5 = {0}};

    if (etag == NULL)
        return tn_s3_xml_malformed(arena);
    if (!is_etag(etag, piece->etag))
        return invalid_part(arena);
    text = checksum != NULL ? tn_s3_xml_text(element, checksum->xml) : NULL;
    if (text == NULL)
        return NULL;
    if (!tn_s3_checksum_read(arena, checksum, text, &said) || !piece->has_checksum ||
        memcmp((const char *)&said + checksum->offset,
               (const char *)&piece->checksum + checksum->offset, checksum->size) != 0)
        return invalid_part(arena);
    return NULL;
}

/* Of the parts that have arrived those that the client names; both lists go upwards. */
static const tn_error *
choose_pieces(struct completion *completion, const tn_s3_element *root)
{
    tn_arena *arena = completion->c->arena;
    size_t chosen = 0, next = 0;
    int64_t last = 0, number;

    for (const tn_s3_element *element = tn_s3_xml_child(root, "Part"); element != NULL;
         element = tn_s3_xml_next(element, "Part")) {
        const char *text = tn_s3_xml_text(element, "PartNumber");

        if (text == NULL || !tn_text_int(text, 1, TN_S3_PARTS_MAX, &number))
            return tn_s3_xml_malformed(arena);
        if (number <= last)
            return tn_error_new(arena, 400, "InvalidPartOrder", NULL,
                                "The list of parts was not in ascending order. Parts must be "
                                "ordered by part number.");
        last = number;
        while (next < completion->count && completion->pieces[next].number < number)
            next++;
        if (next == completion->count || completion->pieces[next].number != number)
            return invalid_part(arena);
        TN_TRY(check_piece(completion, element, &completion->pieces[next]));
        completion->pieces[chosen++] = completion->pieces[next++];
    }
    completion->count = chosen;
    return NULL;
}

static const tn_error *
check_sizes(struct completion *completion)
{
    const char *said = tn_s3_header(completion->c, "x-amz-mp-object-size");
    tn_arena *arena = completion->c->arena;
    int64_t size;

    if (completion->count == 0)
        return tn_error_new(arena, 400, "InvalidRequest", NULL,
                            "You must specify at least one part");
    for (size_t i = 0; i < completion->count; i++) {
        if (completion->pieces[i].size < TN_S3_PART_MIN && i + 1 < completion->count)
            return tn_error_new(arena, 400, "EntityTooSmall", NULL,
                                "Your proposed upload is smaller than the minimum allowed size");
        completion->size += completion->pieces[i].size;
    }
    if (said != NULL && (!tn_text_int(said, 0, INT64_MAX, &size) || size != completion->size))
        return tn_error_new(arena, 400, "InvalidRequest", NULL,
                            "The provided 'x-amz-mp-object-size' header does not match what was "
                            "computed.");
    return NULL;
}

static const tn_error *
read_request(struct completion *completion)
{
    const tn_s3_element *root;

    TN_TRY(tn_s3_body_xml(completion->c, &root));
    if (root != NULL && strcmp(root->name, "CompleteMultipartUpload") != 0)
        return tn_s3_xml_malformed(completion->c->arena);
    TN_TRY(read_pieces(completion));
    if (root != NULL && tn_s3_xml_child(root, "Part") != NULL)
        TN_TRY(choose_pieces(completion, root)); /* else all that have arrived */
    return check_sizes(completion);
}

/* --- what is said of the whole ---------------------------------------------------------------- */

/* The MD5 of the MD5s, and how many. */
static const tn_error *
make_etag(struct completion *completion)
{
    tn_digest *digest = tn_digest_new(completion->c->arena, TN_DIGEST_MD5);
    tn_digests whole;
    uint8_t md5[16];
    char hex[33];

    for (size_t i = 0; i < completion->count; i++) {
        if (!tn_hex_decode(completion->pieces[i].etag, md5, sizeof(md5)))
            return invalid_part(completion->c->arena);
        tn_digest_add(digest, md5, sizeof(md5));
    }
    tn_digest_end(digest, &whole);
    tn_hex(whole.md5, sizeof(whole.md5), hex);
    completion->etag = tn_arena_printf(completion->c->arena, "\"%s-%zu\"", hex, completion->count);
    return NULL;
}

static const tn_error *
wrong_checksum(const struct completion *completion)
{
    return tn_error_new(completion->c->arena, 400, "BadDigest", NULL,
                        "The %s you specified did not match the calculated checksum.",
                        completion->upload->checksum->label);
}

/* The checksum of the checksums, and how many. */
static const tn_error *
make_composite(struct completion *completion, const char *said)
{
    const tn_s3_checksum *checksum = completion->upload->checksum;
    tn_digest *digest = tn_digest_new(completion->c->arena, checksum->which);
    tn_digests whole;

    for (size_t i = 0; i < completion->count; i++)
        tn_digest_add(digest, (const char *)&completion->pieces[i].checksum + checksum->offset,
                      checksum->size);
    tn_digest_end(digest, &whole);
    completion->checksum_text = tn_arena_printf(
        completion->c->arena, "%s-%zu", tn_s3_checksum_text(completion->c->arena, checksum, &whole),
        completion->count);
    return said != NULL && strcmp(said, completion->checksum_text) != 0 ? wrong_checksum(completion)
                                                                        : NULL;
}

/* Of the bytes themselves: what the client says is checked when they are stored, else it is found
 * out. */
static const tn_error *
make_full(struct completion *completion, const char *said)
{
    const tn_s3_checksum *checksum = completion->upload->checksum;
    tn_digests digests;

    if (said != NULL) {
        if (!tn_s3_checksum_read(completion->c->arena, checksum, said, &completion->expected))
            return wrong_checksum(completion);
        completion->which = checksum->which;
        completion->checksum_text = said;
        return NULL;
    }
    TN_TRY(tn_s3_body_check(completion->c, &(tn_s3_body){.incoming = completion->whole},
                            checksum->which, &digests));
    completion->checksum_text = tn_s3_checksum_text(completion->c->arena, checksum, &digests);
    return NULL;
}

static const tn_error *
make_checksum(struct completion *completion)
{
    const tn_s3_checksum *checksum = completion->upload->checksum;
    const char *said;

    if (checksum == NULL)
        return NULL;
    said = tn_request_header(
        completion->c->request,
        tn_arena_printf(completion->c->arena, "x-amz-checksum-%s", checksum->name));
    return completion->upload->is_composite ? make_composite(completion, said)
                                            : make_full(completion, said);
}

/* --- putting it together ---------------------------------------------------------------------- */

/* One part behind the others, in an arena of its own: its descriptor is closed before the next. */
static const tn_error *
append_piece(struct completion *completion, const struct piece *piece)
{
    tn_ctx own = *completion->c;
    const tn_error *error;
    tn_incoming *file;

    own.arena = tn_arena_new();
    error = tn_incoming_open(&own, &piece->file, piece->size, &file);
    if (error == NULL)
        error = tn_incoming_append_file(completion->whole, file, 0, piece->size);
    if (error != NULL && error->status < 500)
        error = invalid_part(completion->c->arena);
    else if (error != NULL)
        error = tn_error_new(completion->c->arena, error->status, error->code, NULL, "%s",
                             error->message);
    tn_arena_free(own.arena);
    return error;
}

static const tn_error *
assemble(struct completion *completion)
{
    TN_TRY(tn_incoming_new(completion->c, &completion->whole));
    for (size_t i = 0; i < completion->count; i++)
        TN_TRY(append_piece(completion, &completion->pieces[i]));
    return NULL;
}

/* What objects.metadata has besides: what was said at the beginning, and how it came. */
static const char *
members_of(const struct completion *completion)
{
    json_object *said = tn_json_get(completion->upload->metadata, "members");
    PQExpBuffer members = tn_arena_buffer(completion->c->arena);
    PQExpBuffer sizes = tn_arena_buffer(completion->c->arena);

    if (json_object_is_type(said, json_type_object)) {
        json_object_object_foreach(said, name, value) tn_s3_members_add(
            members, name, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
    }
    if (completion->checksum_text != NULL)
        tn_s3_add_checksum(completion->c, members, completion->upload->checksum,
                           completion->checksum_text,
                           completion->upload->is_composite ? "COMPOSITE" : "FULL_OBJECT");
    for (size_t i = 0; i < completion->count; i++)
        appendPQExpBuffer(sizes, "%c%lld", i == 0 ? '[' : ',',
                          (long long)completion->pieces[i].size);
    appendPQExpBufferChar(sizes, ']');
    tn_s3_members_add(members, "parts", tn_buffer_text(sizes));
    return tn_buffer_text(members);
}

/* What a client that asks again is answered. */
static const char *
result_of(const struct completion *completion)
{
    PQExpBuffer json = tn_arena_buffer(completion->c->arena);

    appendPQExpBufferStr(json, "{\"etag\":");
    tn_buffer_json_string(json, completion->etag);
    appendPQExpBufferStr(json, ",\"checksum\":");
    tn_buffer_json_string(json, completion->checksum_text);
    appendPQExpBufferChar(json, '}');
    return tn_buffer_text(json);
}

/* The object begins and the upload ends in one transaction. */
static const tn_error *
store(struct completion *completion)
{
    tn_upload upload =
        tn_s3_multipart_upload(completion->upload, "storage.s3.upload.complete", completion->size);
    const char *const done[] = {completion->upload->id, result_of(completion)};
    const tn_query with = {
        .statement = &tn_sql_s3_upload_done, .parameters = done, .parameter_count = 2};
    tn_object stored;

    upload.etag = completion->etag;
    upload.metadata = members_of(completion);
    upload.if_match = tn_request_header(completion->c->request, "if-match");
    upload.if_none_match = tn_request_header(completion->c->request, "if-none-match");
    upload.with = &with;
    upload.with_count = 1;
    return tn_upload_store(completion->c, &upload, completion->whole, &completion->expected,
                           completion->which, &stored);
}

static const tn_error *
complete(struct completion *completion)
{
    TN_TRY(make_etag(completion));
    TN_TRY(assemble(completion));
    TN_TRY(make_checksum(completion));
    return store(completion);
}

/* --- answering -------------------------------------------------------------------------------- */

static const tn_error *
answer(tn_ctx *c, const tn_s3_multipart *upload, const char *etag, const char *checksum)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "CompleteMultipartUploadResult");

    tn_s3_xml_add(
        xml, "Location",
        tn_arena_printf(c->arena, "%s%s", c->config->server.public_url, c->request->path));
    tn_s3_xml_add(xml, "Bucket", upload->bucket);
    tn_s3_xml_add(xml, "Key", upload->key);
    tn_s3_xml_add(xml, "ETag", etag);
    if (upload->checksum != NULL && checksum != NULL) {
        tn_s3_xml_add(xml, upload->checksum->xml, checksum);
        tn_s3_xml_add(xml, "ChecksumType", upload->is_composite ? "COMPOSITE" : "FULL_OBJECT");
    }
    return tn_s3_respond(c, xml, "CompleteMultipartUploadResult");
}

static const tn_error *
answer_again(tn_ctx *c, const tn_s3_multipart *upload)
{
    json_object *result;

    TN_TRY(tn_json_parse(c->arena, upload->result, strlen(upload->result), TN_JSON_DEPTH, &result));
    return answer(c, upload, tn_json_text(result, "etag", ""),
                  tn_json_text(result, "checksum", NULL));
}

/* It can be asked for again; not what is infected, of which the quarantine has a copy. */
static const tn_error *
give_back(tn_ctx *c, const char *id, const tn_error *error)
{
    const tn_error *problem = NULL;
    const tn_rows *rows;

    if (strcmp(error->code, "InfectedFile") == 0) {
        problem = tn_s3_multipart_remove(c, id);
        if (problem == NULL)
            return error;
    }
    problem = tn_tx_worker(c, TN_READ_WRITE, &tn_sql_s3_upload_release, TN_PARAMS(id), &rows);
    return problem != NULL && problem->status < 500 ? problem : error;
}

/* POST /bucket/key?uploadId= */
const tn_error *
tn_s3_upload_complete(tn_ctx *c)
{
    tn_s3_multipart upload;
    struct completion completion = {.c = c, .upload = &upload};
    const tn_error *error;
    const tn_rows *rows;

    TN_TRY(tn_s3_multipart_find(c, "write", &upload));
    if (upload.is_complete)
        return answer_again(c, &upload);
    TN_TRY(read_request(&completion));
    TN_TRY(tn_tx_worker(c, TN_READ_WRITE, &tn_sql_s3_upload_claim, TN_PARAMS(upload.id), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_s3_multipart_busy(c->arena);
    error = complete(&completion);
    if (error != NULL)
        return give_back(c, upload.id, error);
    /* the object is there; parts that stay behind are the sweeper's */
    error = tn_s3_multipart_remove_parts(c, upload.id);
    (void)error;
    return answer(c, &upload, completion.etag, completion.checksum_text);
}
