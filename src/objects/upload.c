/* objects/upload.c: bytes that have arrived → an object
 *
 * The order is what keeps the promise that a row never names bytes that are not whole: checksums,
 * bytes in place and durable, then the row. Until its COMMIT nobody can see anything.
 */
#include <assert.h>
#include <time.h>

#include "base/crypto.h"
#include "base/text.h"
#include "objects/content_type.h"
#include "objects/incoming_private.h"
#include "objects/objects_private.h"
#include "objects/queries.h"
#include "objects/scan.h"
#include "objects/vault.h"

#define PIECE 1048576
#define SNIFFED 65536
#define WITH_MAX 4
#define EMPTY_FOLDER ".emptyFolderPlaceholder" /* with which Supabase's dashboard makes folders */

/* --- what is checked before and after --------------------------------------------------------- */

static bool
is_empty_folder(const char *name)
{
    const size_t length = strlen(name), size = sizeof(EMPTY_FOLDER) - 1;

    return length >= size && strcmp(name + length - size, EMPTY_FOLDER) == 0;
}

const tn_error *
tn_objects_check_fields(tn_ctx *c, const tn_upload *upload)
{
    const char *const values[] = {upload->content_type, upload->cache_control, upload->robots};

    for (size_t i = 0; i < TN_COUNT(values); i++)
        if (values[i] != NULL && !tn_is_field_value(values[i]))
            return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                                "a header field cannot have control characters");
    if (tn_text_is_given(upload->content_type) && !tn_type_is_valid(upload->content_type))
        return tn_error_new(c->arena, 415, "InvalidMimeType", NULL, "mime type %s is not supported",
                            tn_text_excerpt(c->arena, upload->content_type, 200));
    return NULL;
}

const tn_error *
tn_bucket_check_type(tn_ctx *c, const tn_bucket *bucket, const char *name, const char *type)
{
    if (type == NULL || is_empty_folder(name) || tn_bucket_allows_type(bucket, type))
        return NULL;
    return tn_error_new(c->arena, 415, "InvalidMimeType", NULL, "mime type %s is not supported",
                        tn_text_excerpt(c->arena, type, 200));
}

const tn_error *
tn_bucket_check_size(tn_ctx *c, const tn_bucket *bucket, int64_t size)
{
    if (size <= bucket->size_max)
        return NULL;
    return tn_error_new(c->arena, 413, "EntityTooLarge", NULL,
                        "The object exceeded the maximum allowed size");
}

const tn_error *
tn_bucket_check_encryption(tn_ctx *c, const tn_bucket *bucket)
{
    return bucket->encrypted ? tn_vault_check(c) : NULL;
}

/* --- the row ---------------------------------------------------------------------------------- */

/* The parameters of objects_put: what `object` has. */
#define PUT_PARAMS(c, upload, object)                                                              \
    TN_PARAMS((upload)->bucket, (upload)->name, (object)->id.text,                                 \
              (object)->version.text[0] != '\0' ? (object)->version.text : NULL,                   \
              (upload)->upsert ? "t" : "f", (upload)->as_system ? (upload)->owner_id : NULL,       \
              tn_arena_number((c)->arena, (object)->size), (object)->sha256, (object)->sealed_key, \
              (object)->metadata, (upload)->user_metadata,                                         \
              tn_arena_number((c)->arena, (c)->config->storage.tenant_quota),                      \
              tn_arena_number((c)->arena, (c)->config->storage.user_quota), (upload)->if_match,    \
              (upload)->if_none_match)

/* The row with what else shall be true from then on, in the server's own role. (A transaction that
 * changes roles is not tried again after a deadlock.) */
static const tn_error *
run_with(tn_ctx *c, const tn_upload *upload, const tn_query *put, const tn_rows **row)
{
    const tn_db_context own = upload->as_system ? tn_ctx_db_as(c, "service_role") : tn_ctx_db(c);
    const tn_db_context server = tn_ctx_db_as(c, "tenon_worker");
    const tn_db_context *contexts[2 + WITH_MAX] = {&own, &own};
    const tn_rows *results[2 + WITH_MAX] = {NULL};
    tn_query queries[2 + WITH_MAX] = {
        TN_QUERY(tn_sql_objects_begin_operation, upload->operation),
        *put,
    };
    tn_transaction *transaction;

    assert(upload->with_count <= WITH_MAX);
    for (size_t i = 0; i < upload->with_count; i++) {
        queries[2 + i] = upload->with[i];
        contexts[2 + i] = &server;
    }
    TN_TRY(tn_db_begin(
        c->process->db, c->arena,
        &(tn_db_work){.context = &own, .access = TN_READ_WRITE, .translate = tn_objects_translate},
        &transaction));
    TN_TRY(tn_transaction_run_last_as(transaction, contexts, queries, 2 + upload->with_count,
                                      results));
    for (size_t i = 0; i < upload->with_count && upload->with_results != NULL; i++)
        upload->with_results[i] = results[2 + i];
    *row = results[1];
    return NULL;
}

static const tn_error *
run_alone(tn_ctx *c, const tn_upload *upload, const tn_query *put, const tn_rows **row)
{
    const tn_rows *results[2] = {NULL, NULL};
    tn_query queries[2] = {[1] = *put};

    TN_TRY(tn_objects_transact(c, &(tn_objects_work){.operation = upload->operation,
                                                     .as_system = upload->as_system,
                                                     .access = TN_READ_WRITE,
                                                     .queries = queries,
                                                     .count = TN_COUNT(queries),
                                                     .results = results}));
    *row = results[1];
    return NULL;
}

/* One transaction, one round trip. */
const tn_error *
tn_objects_put_row(tn_ctx *c, const tn_upload *upload, tn_object *object)
{
    const tn_query put = {.statement = &tn_sql_objects_put, PUT_PARAMS(c, upload, object)};
    const tn_rows *row;

    TN_TRY(upload->with_count > 0 ? run_with(c, upload, &put, &row)
                                  : run_alone(c, upload, &put, &row));
    object->owner_id = tn_rows_text(row, 0, 1);
    object->created_at = tn_rows_text(row, 0, 2);
    object->updated_at = tn_rows_text(row, 0, 3);
    if (!tn_uuid_parse(tn_rows_text(row, 0, 0), &object->id)) /* committed: no error any more */
        tn_log(TN_LOG_ERROR, "storage.row.invalid", TN_STR("version", object->version.text));
    return NULL;
}

const tn_error *
tn_objects_place(tn_ctx *c, tn_backend *backend, const tn_object *object, tn_incoming *incoming)
{
    const tn_blob blob = {.tenant_id = c->who->tenant_id, .version = object->version};

    return tn_backend_put(backend, c->arena, &blob, tn_incoming_path(incoming),
                          tn_incoming_fd(incoming));
}

void
tn_objects_take_back(tn_ctx *c, tn_backend *backend, const tn_object *object, const tn_error *error)
{
    const tn_blob blob = {.tenant_id = c->who->tenant_id, .version = object->version};

    if (strcmp(error->code, "commit_unknown") != 0 &&
        tn_backend_remove(backend, c->arena, &blob) != NULL)
        tn_log(TN_LOG_WARN, "storage.object.left", TN_STR("version", blob.version.text));
}

const tn_error *
tn_objects_commit(tn_ctx *c, const tn_upload *upload, tn_backend *backend, tn_object *object)
{
    const tn_error *error = tn_objects_put_row(c, upload, object);

    if (error != NULL)
        tn_objects_take_back(c, backend, object, error);
    return error;
}

tn_uuid
tn_objects_new_version(void)
{
    uint8_t bytes[16];

    tn_random(bytes, sizeof(bytes));
    return tn_uuid_of_random(bytes);
}

/* --- before the bytes ------------------------------------------------------------------------- */

/* The row as policies see it while they are asked: they may look at these two. */
static const char *
announced_metadata(tn_ctx *c, const tn_upload *upload)
{
    PQExpBuffer json = tn_arena_buffer(c->arena);

    appendPQExpBufferStr(json, "{\"mimetype\":");
    tn_buffer_json_string(json, upload->content_type);
    if (upload->length >= 0)
        appendPQExpBuffer(json, ",\"contentLength\":%lld", (long long)upload->length);
    appendPQExpBufferChar(json, '}');
    return tn_buffer_text(json);
}

/* What can be said without a policy, in the order that clients rely on. */
static const tn_error *
check_announced(tn_ctx *c, const tn_upload *upload, const tn_bucket *bucket)
{
    TN_TRY(tn_objects_check_fields(c, upload));
    TN_TRY(tn_bucket_check_type(c, bucket, upload->name, upload->content_type));
    TN_TRY(tn_bucket_check_size(c, bucket, upload->length));
    TN_TRY(tn_object_name_check(c->arena, upload->name));
    return tn_bucket_check_encryption(c, bucket);
}

const tn_error *
tn_upload_admit(tn_ctx *c, const tn_upload *upload, tn_bucket *bucket)
{
    const tn_object announced = {
        /* no version, because there are no bytes */
        .id = tn_uuid_new(),
        .size = upload->length > 0 ? upload->length : 0,
        .metadata = announced_metadata(c, upload),
    };
    const tn_rows *results[3] = {NULL, NULL, NULL};
    tn_query queries[3] = {
        [1] = TN_QUERY(tn_sql_objects_find_bucket, upload->bucket),
        [2] = {.statement = &tn_sql_objects_put, PUT_PARAMS(c, upload, &announced)},
    };
    const tn_error *error;
    tn_bucket found;

    error = tn_objects_transact(c, &(tn_objects_work){.operation = upload->operation,
                                                      .as_system = upload->as_system,
                                                      .access = TN_READ_WRITE,
                                                      .rolls_back = true,
                                                      .queries = queries,
                                                      .count = TN_COUNT(queries),
                                                      .results = results});
    if (results[1] == NULL)
        return error;
    TN_TRY(tn_bucket_read(c, results[1], &found));
    TN_TRY(check_announced(c, upload, &found));
    if (bucket != NULL)
        *bucket = found;
    return error;
}

/* --- the content ------------------------------------------------------------------------------ */

struct content {
    tn_digests digests;
    const char *type; /* as it is stored */
    int64_t size;
};

static const tn_error *
read_content(tn_ctx *c, const tn_upload *upload, tn_incoming *incoming, unsigned which,
             struct content *content)
{
    tn_digest *digest = tn_digest_new(
        c->arena, which | TN_DIGEST_SHA256 | (upload->etag == NULL ? (unsigned)TN_DIGEST_MD5 : 0));
    char *bytes = tn_arena_alloc(c->arena, PIECE, 1);
    const char *found = NULL;
    int64_t offset = 0;
    size_t got;

    tn_incoming_begin_reading(incoming);
    do {
        TN_TRY(tn_incoming_read(incoming, offset, bytes, PIECE, &got));
        if (found == NULL)
            found =
                tn_store_sniff(c->process->store, c->arena, bytes, got < SNIFFED ? got : SNIFFED);
        tn_digest_add(digest, bytes, got);
        offset += (int64_t)got;
    } while (got == PIECE);
    tn_digest_end(digest, &content->digests);
    content->type = tn_type_decide(c->arena, upload->content_type, found);
    content->size = offset;
    return NULL;
}

/* The name of the first one that differs, or NULL. */
static const char *
find_difference(const tn_digests *a, const tn_digests *b, unsigned which)
{
    const struct {
        unsigned flag;
        const char *name;
        const uint8_t *a, *b;
        size_t size;
    } parts[] = {
        {TN_DIGEST_MD5, "md5", a->md5, b->md5, sizeof(a->md5)},
        {TN_DIGEST_SHA256, "sha256", a->sha256, b->sha256, sizeof(a->sha256)},
        {TN_DIGEST_SHA1, "sha1", a->sha1, b->sha1, sizeof(a->sha1)},
        {TN_DIGEST_CRC32, "crc32", a->crc32, b->crc32, sizeof(a->crc32)},
        {TN_DIGEST_CRC32C, "crc32c", a->crc32c, b->crc32c, sizeof(a->crc32c)},
        {TN_DIGEST_CRC64NVME, "crc64nvme", a->crc64nvme, b->crc64nvme, sizeof(a->crc64nvme)},
    };

    for (size_t i = 0; i < TN_COUNT(parts); i++)
        if ((which & parts[i].flag) != 0 && memcmp(parts[i].a, parts[i].b, parts[i].size) != 0)
            return parts[i].name;
    return NULL;
}

/* --- the object ------------------------------------------------------------------------------- */

/* Everything about one upload that is on its way. */
struct storing {
    const tn_upload *upload;
    tn_bucket bucket;
    tn_incoming *incoming;
    struct content content;
    tn_incoming *placed; /* what is put in place; encrypted, another one */
    const char *sealed_key;
    tn_object *object;
};

const char *
tn_objects_now(tn_arena *arena, int64_t *seconds)
{
    struct timespec now;
    struct tm parts;
    char text[32];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    *seconds = now.tv_sec;
    return tn_arena_printf(arena, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

static const char *
etag_of(tn_ctx *c, const struct storing *s)
{
    char hex[2 * sizeof(s->content.digests.md5) + 1];

    if (s->upload->etag != NULL)
        return s->upload->etag;
    tn_hex(s->content.digests.md5, sizeof(s->content.digests.md5), hex);
    return tn_arena_printf(c->arena, "\"%s\"", hex);
}

const char *
tn_objects_metadata(tn_arena *arena, const tn_object *object, const char *further)
{
    PQExpBuffer json = tn_arena_buffer(arena);

    appendPQExpBufferStr(json, "{\"eTag\":");
    tn_buffer_json_string(json, object->etag);
    appendPQExpBuffer(json, ",\"size\":%lld,\"mimetype\":", (long long)object->size);
    tn_buffer_json_string(json, object->content_type);
    appendPQExpBufferStr(json, ",\"cacheControl\":");
    tn_buffer_json_string(json, object->cache_control);
    appendPQExpBufferStr(json, ",\"lastModified\":");
    tn_buffer_json_string(json, object->updated_at);
    appendPQExpBuffer(json, ",\"contentLength\":%lld,\"httpStatusCode\":200",
                      (long long)object->size);
    if (object->robots != NULL) {
        appendPQExpBufferStr(json, ",\"xRobotsTag\":");
        tn_buffer_json_string(json, object->robots);
    }
    if (tn_text_is_given(further))
        appendPQExpBuffer(json, ",%s", further);
    appendPQExpBufferChar(json, '}');
    return tn_buffer_text(json);
}

static void
describe(tn_ctx *c, struct storing *s)
{
    const tn_upload *upload = s->upload;
    tn_object *object = s->object;

    *object = (tn_object){
        .id = tn_uuid_new(),
        .version = tn_objects_new_version(),
        .bucket = upload->bucket,
        .name = upload->name,
        .size = s->content.size,
        .content_type = s->content.type,
        .cache_control =
            tn_text_is_given(upload->cache_control) ? upload->cache_control : "no-cache",
        .etag = etag_of(c, s),
        .robots = tn_text_is_given(upload->robots) ? upload->robots : NULL,
        .user_metadata = upload->user_metadata != NULL ? upload->user_metadata : "{}",
        .sha256 = tn_bytea(c->arena, s->content.digests.sha256, sizeof(s->content.digests.sha256)),
        .sealed_key = s->sealed_key,
        .is_public = s->bucket.is_public,
    };
    object->updated_at = tn_objects_now(c->arena, &object->modified_s);
    object->metadata = tn_objects_metadata(c->arena, object, upload->metadata);
}

static const tn_error *
check_content(tn_ctx *c, const struct storing *s, const tn_digests *expected, unsigned which)
{
    const char *difference =
        expected != NULL ? find_difference(&s->content.digests, expected, which) : NULL;
    tn_error *error;

    TN_TRY(tn_bucket_check_type(c, &s->bucket, s->upload->name, s->content.type));
    if (difference == NULL)
        return NULL;
    error = tn_error_new(c->arena, 400, "BadDigest", NULL,
                         "The checksum that you specified did not match what we received");
    error->details = difference;
    return error;
}

/* Nobody sees it before a scanner has, and in an encrypted bucket nothing else is ever put in place
 * than what is encrypted. */
static const tn_error *
scan_and_encrypt(tn_ctx *c, struct storing *s)
{
    const tn_scan scan = {
        .bucket = s->upload->bucket,
        .name = s->upload->name,
        .owner_id = s->upload->as_system ? s->upload->owner_id : NULL,
        .sha256 = s->content.digests.sha256,
        .encrypted = s->bucket.encrypted,
    };

    TN_TRY(tn_scan_file(c, s->incoming, &scan));
    s->placed = s->incoming;
    if (s->bucket.encrypted)
        TN_TRY(tn_vault_encrypt(c, s->incoming, &s->placed, &s->sealed_key));
    return NULL;
}

static const tn_error *
check_bucket(tn_ctx *c, struct storing *s)
{
    const tn_upload *upload = s->upload;

    TN_TRY(tn_bucket_find(c, upload->bucket, &s->bucket));
    TN_TRY(tn_objects_check_fields(c, upload));
    TN_TRY(tn_bucket_check_type(c, &s->bucket, upload->name, upload->content_type));
    TN_TRY(tn_bucket_check_size(c, &s->bucket, tn_incoming_size(s->incoming)));
    TN_TRY(tn_object_name_check(c->arena, upload->name));
    return tn_bucket_check_encryption(c, &s->bucket);
}

static const tn_error *
store(tn_ctx *c, struct storing *s, const tn_digests *expected, unsigned which)
{
    tn_backend *backend;

    TN_TRY(check_bucket(c, s));
    TN_TRY(tn_store_backend(c->process->store, c->arena, &backend));
    TN_TRY(read_content(c, s->upload, s->incoming, expected != NULL ? which : 0, &s->content));
    TN_TRY(check_content(c, s, expected, which));
    TN_TRY(scan_and_encrypt(c, s));
    describe(c, s);
    TN_TRY(tn_objects_place(c, backend, s->object, s->placed));
    return tn_objects_commit(c, s->upload, backend, s->object);
}

const tn_error *
tn_upload_store(tn_ctx *c, const tn_upload *upload, tn_incoming *incoming,
                const tn_digests *expected, unsigned which, tn_object *stored)
{
    struct storing storing = {.upload = upload, .incoming = incoming, .object = stored};
    const tn_error *error = store(c, &storing, expected, which);

    if (error == NULL || error->status < 500 || !tn_incoming_is_kept(incoming))
        tn_incoming_drop(incoming);
    return error;
}
