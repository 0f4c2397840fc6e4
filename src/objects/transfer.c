/* objects/transfer.c: objects under another name, and without any
 *
 * A move changes the row alone; a copy is a new row, whose bytes are a second link to the same.
 * Into an encrypted bucket, what is not encrypted yet is read, encrypted and written anew.
 */
#include "base/text.h"
#include "objects/objects_private.h"
#include "objects/queries.h"
#include "objects/vault.h"

/* What a transfer begins with. */
struct ends {
    tn_bucket from, to;
    tn_object source;
};

/* The destination is held to the rules of an upload, so that none of them can be gone around. */
static const tn_error *
check_destination(tn_ctx *c, const tn_transfer *transfer, const struct ends *ends)
{
    const char *type =
        transfer->content_type != NULL ? transfer->content_type : ends->source.content_type;
    const tn_upload fields = {.content_type = transfer->content_type,
                              .cache_control = transfer->cache_control};

    TN_TRY(tn_objects_check_fields(c, &fields));
    if (strcmp(ends->from.id, ends->to.id) != 0 || transfer->content_type != NULL)
        TN_TRY(tn_bucket_check_type(c, &ends->to, transfer->to_name, type));
    if (strcmp(ends->from.id, ends->to.id) != 0)
        TN_TRY(tn_bucket_check_size(c, &ends->to, ends->source.size));
    TN_TRY(tn_object_name_check(c->arena, transfer->to_name));
    return ends->source.sealed_key == NULL ? tn_bucket_check_encryption(c, &ends->to) : NULL;
}

/* Both buckets, and the source by what a policy lets the caller see; one round trip. */
static const tn_error *
find_ends(tn_ctx *c, const tn_transfer *transfer, struct ends *ends)
{
    const tn_rows *results[4] = {NULL, NULL, NULL, NULL};
    tn_query queries[4] = {
        [1] = TN_QUERY(tn_sql_objects_find_bucket, transfer->bucket),
        [2] = TN_QUERY(tn_sql_objects_find_bucket, transfer->to_bucket),
        [3] = TN_QUERY(tn_sql_objects_find_by_policy, transfer->bucket, transfer->name),
    };

    TN_TRY(tn_objects_transact(c, &(tn_objects_work){.operation = transfer->operation,
                                                     .access = TN_READ_ONLY,
                                                     .queries = queries,
                                                     .count = TN_COUNT(queries),
                                                     .results = results}));
    TN_TRY(tn_bucket_read(c, results[1], &ends->from));
    TN_TRY(tn_bucket_read(c, results[2], &ends->to));
    if (tn_rows_count(results[3]) == 0)
        return tn_no_such_key(c->arena);
    TN_TRY(tn_object_read(c, results[3], 0, &ends->source));
    return check_destination(c, transfer, ends);
}

/* --- into an encrypted bucket --------------------------------------------------------------- */

struct appending {
    tn_incoming *incoming;
    const tn_error *error;
};

static bool
append(void *context, const char *bytes, size_t length)
{
    struct appending *appending = context;

    appending->error = tn_incoming_append(appending->incoming, bytes, length);
    return appending->error == NULL;
}

/* The bytes of an object that is not encrypted, encrypted, under another version. */
static const tn_error *
encrypt_bytes(tn_ctx *c, tn_backend *backend, const tn_object *source, tn_object *copy)
{
    const tn_blob from = {.tenant_id = c->who->tenant_id, .version = source->version};
    struct appending appending = {.error = NULL};
    tn_incoming *encrypted;

    TN_TRY(tn_incoming_new(c, &appending.incoming));
    TN_TRY(tn_backend_get(backend, c->arena, &from, 0, source->size, append, &appending));
    TN_TRY(appending.error);
    TN_TRY(tn_vault_encrypt(c, appending.incoming, &encrypted, &copy->sealed_key));
    return tn_objects_place(c, backend, copy, encrypted);
}

/* --- move ------------------------------------------------------------------------------------- */

/* `target` is NULL where the bytes stay as they are. */
static const tn_error *
move_row(tn_ctx *c, const tn_transfer *transfer, const tn_object *source, const tn_object *target,
         tn_object *moved)
{
    const tn_rows *results[2] = {NULL, NULL};
    tn_query queries[2] = {
        [1] = TN_QUERY(tn_sql_objects_move, transfer->bucket, transfer->name, transfer->to_bucket,
                       transfer->to_name, target != NULL ? source->version.text : NULL,
                       target != NULL ? target->version.text : NULL,
                       target != NULL ? target->sealed_key : NULL),
    };

    TN_TRY(tn_objects_transact(c, &(tn_objects_work){.operation = transfer->operation,
                                                     .access = TN_READ_WRITE,
                                                     .queries = queries,
                                                     .count = TN_COUNT(queries),
                                                     .results = results}));
    if (tn_rows_count(results[1]) == 0)
        return tn_no_such_key(c->arena);
    return tn_object_read(c, results[1], 0, moved);
}

/* New bytes, and the row names them. */
static const tn_error *
move_encrypted(tn_ctx *c, const tn_transfer *transfer, const tn_object *source, tn_object *moved)
{
    tn_object target = {.version = tn_objects_new_version()};
    const tn_error *error;
    tn_backend *backend;

    TN_TRY(tn_store_backend(c->process->store, c->arena, &backend));
    TN_TRY(encrypt_bytes(c, backend, source, &target));
    error = move_row(c, transfer, source, &target, moved);
    if (error != NULL)
        tn_objects_take_back(c, backend, &target, error);
    return error;
}

const tn_error *
tn_object_move(tn_ctx *c, const tn_transfer *transfer, tn_object *moved)
{
    struct ends ends;

    TN_TRY(find_ends(c, transfer, &ends));
    if (strcmp(transfer->bucket, transfer->to_bucket) == 0 &&
        strcmp(transfer->name, transfer->to_name) == 0) {
        *moved = ends.source;
        return NULL;
    }
    if (ends.to.encrypted && ends.source.sealed_key == NULL && ends.source.version.text[0] != '\0')
        return move_encrypted(c, transfer, &ends.source, moved);
    return move_row(c, transfer, &ends.source, NULL, moved);
}

/* --- copy ------------------------------------------------------------------------------------- */

static void
set_text(json_object *object, const char *member, const char *value)
{
    json_object_object_add(object, member, json_object_new_string(value));
}

/* The source's metadata with what is another's. */
static const tn_error *
metadata_of_copy(tn_ctx *c, const tn_object *source, tn_object *copy)
{
    const char *text = source->metadata != NULL ? source->metadata : "{}";
    json_object *metadata;

    TN_TRY(tn_json_parse(c->arena, text, strlen(text), TN_JSON_DEPTH, &metadata));
    if (!json_object_is_type(metadata, json_type_object))
        return tn_error_internal(c->arena, "storage.row.invalid", "the metadata of %s",
                                 source->id.text);
    set_text(metadata, "mimetype", copy->content_type);
    set_text(metadata, "cacheControl", copy->cache_control);
    set_text(metadata, "lastModified", copy->updated_at);
    copy->metadata = tn_json_print(c->arena, metadata);
    return NULL;
}

static const tn_error *
describe_copy(tn_ctx *c, const tn_transfer *transfer, const struct ends *ends, tn_object *copy)
{
    *copy = ends->source;
    copy->id = tn_uuid_new();
    copy->version = tn_objects_new_version();
    copy->bucket = transfer->to_bucket;
    copy->name = transfer->to_name;
    copy->is_public = ends->to.is_public;
    copy->owner_id = copy->created_at = copy->last_accessed_at = NULL;
    if (transfer->content_type != NULL)
        copy->content_type = transfer->content_type;
    if (transfer->cache_control != NULL)
        copy->cache_control = transfer->cache_control;
    if (transfer->user_metadata != NULL)
        copy->user_metadata = transfer->user_metadata;
    copy->updated_at = tn_objects_now(c->arena, &copy->modified_s);
    if (transfer->metadata == NULL)
        return metadata_of_copy(c, &ends->source, copy);
    copy->metadata = tn_objects_metadata(c->arena, copy, transfer->metadata);
    return NULL;
}

static const tn_error *
copy_bytes(tn_ctx *c, tn_backend *backend, const struct ends *ends, tn_object *copy)
{
    const tn_object *source = &ends->source;
    const tn_blob from = {.tenant_id = c->who->tenant_id, .version = source->version};
    const tn_blob to = {.tenant_id = c->who->tenant_id, .version = copy->version};

    if (source->version.text[0] == '\0')
        return tn_error_new(c->arena, 404, "NoSuchKey", NULL, "this object has no bytes");
    if (ends->to.encrypted && source->sealed_key == NULL)
        return encrypt_bytes(c, backend, source, copy);
    return tn_backend_copy(backend, c->arena, &from, &to);
}

const tn_error *
tn_object_copy(tn_ctx *c, const tn_transfer *transfer, tn_object *copied)
{
    tn_upload upload = {
        .operation = transfer->operation,
        .bucket = transfer->to_bucket,
        .name = transfer->to_name,
        .upsert = transfer->upsert,
        .if_match = transfer->if_match,
        .if_none_match = transfer->if_none_match,
    };
    tn_backend *backend;
    struct ends ends;

    TN_TRY(find_ends(c, transfer, &ends));
    TN_TRY(describe_copy(c, transfer, &ends, copied));
    TN_TRY(tn_store_backend(c->process->store, c->arena, &backend));
    TN_TRY(copy_bytes(c, backend, &ends, copied));
    upload.user_metadata = copied->user_metadata;
    return tn_objects_commit(c, &upload, backend, copied);
}

/* --- remove ----------------------------------------------------------------------------------- */

static const tn_error *
run_removal(tn_ctx *c, const char *operation, const tn_query *query, tn_object **removed,
            size_t *removed_count)
{
    const tn_rows *results[2] = {NULL, NULL};
    tn_query queries[2] = {[1] = *query};

    TN_TRY(tn_objects_transact(c, &(tn_objects_work){.operation = operation,
                                                     .access = TN_READ_WRITE,
                                                     .queries = queries,
                                                     .count = TN_COUNT(queries),
                                                     .results = results}));
    *removed_count = tn_rows_count(results[1]);
    *removed = tn_arena_alloc(c->arena, *removed_count + 1, sizeof(**removed));
    for (size_t i = 0; i < *removed_count; i++)
        TN_TRY(tn_object_read(c, results[1], (int)i, &(*removed)[i]));
    return NULL;
}

const tn_error *
tn_objects_remove(tn_ctx *c, const char *operation, const char *bucket, const char *const *names,
                  size_t count, tn_object **removed, size_t *removed_count)
{
    PQExpBuffer array = tn_arena_buffer(c->arena);
    tn_query query;

    tn_buffer_array(array, names, count);
    query = TN_QUERY(tn_sql_objects_remove, bucket, tn_buffer_text(array));
    return run_removal(c, operation, &query, removed, removed_count);
}

const tn_error *
tn_objects_remove_if(tn_ctx *c, const char *operation, const char *bucket,
                     const tn_removal *removals, size_t count, tn_object **removed,
                     size_t *removed_count)
{
    PQExpBuffer list = tn_arena_buffer(c->arena);
    tn_query query;

    for (size_t i = 0; i < count; i++) {
        appendPQExpBufferStr(list, i == 0 ? "[{\"name\":" : ",{\"name\":");
        tn_buffer_json_string(list, removals[i].name);
        appendPQExpBufferStr(list, ",\"etag\":");
        tn_buffer_json_string(list, removals[i].etag);
        if (removals[i].size >= 0)
            appendPQExpBuffer(list, ",\"size\":%lld", (long long)removals[i].size);
        if (removals[i].modified_s >= 0)
            appendPQExpBuffer(list, ",\"modified\":%lld", (long long)removals[i].modified_s);
        appendPQExpBufferChar(list, '}');
    }
    appendPQExpBufferStr(list, count == 0 ? "[]" : "]");
    query = TN_QUERY(tn_sql_objects_remove_if, bucket, tn_buffer_text(list));
    return run_removal(c, operation, &query, removed, removed_count);
}
