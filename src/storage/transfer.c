/* storage/transfer.c: moving, copying, removing */
#include <string.h>

#include "base/text.h"
#include "storage/area.h"
#include "storage/upload.h"

#define NAMES_MAX 1000
#define TRIES 5 /* to remove what others put there again meanwhile */

/* {bucketId, sourceKey, destinationKey, destinationBucket?} */
static const tn_error *
read_transfer(tn_ctx *c, json_object *body, tn_transfer *transfer)
{
    const char *version = NULL;

    TN_TRY(tn_storage_text(c, body, "bucketId", &transfer->bucket));
    TN_TRY(tn_storage_required(c, "bucketId", transfer->bucket));
    TN_TRY(tn_storage_text(c, body, "sourceKey", &transfer->name));
    TN_TRY(tn_storage_required(c, "sourceKey", transfer->name));
    TN_TRY(tn_storage_text(c, body, "destinationKey", &transfer->to_name));
    TN_TRY(tn_storage_required(c, "destinationKey", transfer->to_name));
    transfer->to_bucket = transfer->bucket;
    TN_TRY(tn_storage_text(c, body, "destinationBucket", &transfer->to_bucket));
    TN_TRY(tn_storage_text(c, body, "sourceVersionId", &version));
    if (version != NULL)
        return tn_error_new(c->arena, 409, "FeatureNotEnabled", NULL,
                            "There are no versions of objects here");
    return NULL;
}

static void
append_key(PQExpBuffer json, tn_ctx *c, const tn_object *object)
{
    appendPQExpBuffer(json, "\"Id\":\"%s\",\"Key\":", object->id.text);
    tn_buffer_json_string(json, tn_storage_key(c->arena, object->bucket, object->name));
}

/* POST /storage/v1/object/move */
const tn_error *
tn_storage_move(tn_ctx *c)
{
    tn_transfer transfer = {.operation = "storage.object.move"};
    PQExpBuffer json = tn_arena_buffer(c->arena);
    json_object *body;
    tn_object moved;

    TN_TRY(tn_storage_body(c, &body));
    TN_TRY(read_transfer(c, body, &transfer));
    TN_TRY(tn_object_move(c, &transfer, &moved));
    appendPQExpBufferStr(json, "{\"message\":\"Successfully moved\",");
    append_key(json, c, &moved);
    appendPQExpBufferChar(json, '}');
    return tn_storage_json(c, tn_buffer_text(json));
}

/* What a copy has of its own: with copyMetadata false nothing of the source but its bytes. */
static const tn_error *
read_copy(tn_ctx *c, json_object *body, tn_transfer *transfer)
{
    const char *upsert = tn_request_header(c->request, "x-upsert");
    tn_upload headers = {.operation = NULL};
    json_object *metadata;
    bool keeps = true;

    TN_TRY(tn_storage_flag(c, body, "copyMetadata", &keeps));
    TN_TRY(tn_storage_object(c, body, "metadata", &metadata));
    transfer->upsert = upsert != NULL && tn_text_same_case(upsert, "true");
    TN_TRY(tn_upload_read_headers(c, &headers));
    transfer->user_metadata = headers.user_metadata;
    if (keeps)
        return NULL;
    if (transfer->user_metadata == NULL)
        transfer->user_metadata = "{}";
    TN_TRY(tn_storage_text(c, metadata, "cacheControl", &transfer->cache_control));
    return tn_storage_text(c, metadata, "mimetype", &transfer->content_type);
}

/* POST /storage/v1/object/copy */
const tn_error *
tn_storage_copy(tn_ctx *c)
{
    tn_transfer transfer = {.operation = "storage.object.copy"};
    PQExpBuffer json = tn_arena_buffer(c->arena);
    json_object *body;
    tn_object copied;

    TN_TRY(tn_storage_body(c, &body));
    TN_TRY(read_transfer(c, body, &transfer));
    TN_TRY(read_copy(c, body, &transfer));
    TN_TRY(tn_object_copy(c, &transfer, &copied));
    TN_TRY(tn_object_find(c, transfer.operation, TN_READ_SYSTEM, transfer.to_bucket,
                          transfer.to_name, &copied)); /* times and owner are the database's */
    appendPQExpBufferChar(json, '{');
    append_key(json, c, &copied);
    appendPQExpBufferChar(json, ',');
    tn_storage_append_row(json, &copied);
    appendPQExpBufferChar(json, '}');
    return tn_storage_json(c, tn_buffer_text(json));
}

/* --- removing --------------------------------------------------------------------------------- */

/* DELETE /storage/v1/object/{bucket} */
const tn_error *
tn_storage_remove_many(tn_ctx *c)
{
    PQExpBuffer json = tn_arena_buffer(c->arena);
    const char *const *names;
    tn_object *removed;
    size_t count, removed_count;
    json_object *body;

    TN_TRY(tn_storage_body(c, &body));
    TN_TRY(tn_storage_texts(c, body, "prefixes", 1, NAMES_MAX, &names, &count));
    TN_TRY(tn_objects_remove(c, "storage.object.delete_many", tn_path_text(c, "bucket"), names,
                             count, &removed, &removed_count));
    appendPQExpBufferChar(json, '[');
    for (size_t i = 0; i < removed_count; i++) {
        appendPQExpBufferStr(json, i > 0 ? ",{" : "{");
        tn_storage_append_row(json, &removed[i]);
        appendPQExpBufferChar(json, '}');
    }
    appendPQExpBufferChar(json, ']');
    return tn_storage_json(c, tn_buffer_text(json));
}

/* DELETE /storage/v1/object/{bucket}/{name...} */
const tn_error *
tn_storage_remove(tn_ctx *c)
{
    const char *bucket = tn_path_text(c, "bucket"), *const names[] = {tn_path_text(c, "name")};
    tn_object *removed, object;
    size_t count;

    for (int i = 0; i < TRIES; i++) {
        TN_TRY(tn_objects_remove(c, "storage.object.delete", bucket, names, 1, &removed, &count));
        if (count > 0)
            return tn_storage_message(c, "Successfully deleted");
        TN_TRY(tn_object_find(c, "storage.object.delete", TN_READ_BY_POLICY, bucket, names[0],
                              &object));
    }
    if (c->who->role == TN_ROLE_SERVICE) /* whom no policy holds back: it was not there */
        return tn_storage_no_object(c->arena);
    return tn_error_new(c->arena, 403, "AccessDenied", NULL, "Access denied");
}
