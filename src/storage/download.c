/* storage/download.c: an object's bytes, and what is known about it */
#include <string.h>

#include "base/text.h"
#include "objects/condition.h"
#include "objects/send.h"
#include "storage/area.h"
#include "storage/signed.h"

const char *
tn_storage_disposition(const tn_ctx *c)
{
    const char *name = tn_request_query(c->request, "download");
    PQExpBuffer text, value;

    if (name == NULL)
        return NULL;
    if (*name == '\0')
        return "attachment;";
    text = tn_arena_buffer(c->arena);
    value = tn_arena_buffer(c->arena);
    tn_buffer_url_value(value, name);
    appendPQExpBuffer(text, "attachment; filename=%s; filename*=UTF-8''%s", tn_buffer_text(value),
                      tn_buffer_text(value));
    return tn_buffer_text(text);
}

/* A member of objects.metadata; NULL when it is not there. */
static const char *
metadata_text(tn_ctx *c, const tn_object *object, const char *member)
{
    json_object *metadata = NULL;

    if (object->metadata == NULL ||
        tn_json_parse(c->arena, object->metadata, strlen(object->metadata), TN_JSON_DEPTH,
                      &metadata) != NULL)
        return NULL;
    return tn_json_text(metadata, member, NULL);
}

static const char *
http_date(tn_arena *arena, int64_t unix_s)
{
    char text[TN_HTTP_DATE_SIZE];

    tn_http_date(unix_s, text);
    return tn_arena_text(arena, text);
}

static const tn_error *
send(tn_ctx *c, const tn_object *object, const char *expires)
{
    const tn_sending sending = {.expires = expires,
                                .disposition = tn_storage_disposition(c),
                                .content_encoding = metadata_text(c, object, "contentEncoding"),
                                .html_as_text = true};

    return tn_object_send(c, object, &sending);
}

/* Where a key may be left out, a tenant may still be missing. */
static const tn_error *
require_tenant(tn_ctx *c)
{
    if (c->who->tenant_id.text[0] != '\0')
        return NULL;
    return tn_error_new(c->arena, 401, "tenant_required",
                        "Add ?tenant=, send a key, or set data.default_tenant.",
                        "headers must have required property 'authorization', or the query tenant");
}

static const tn_error *
find(tn_ctx *c, const char *operation, tn_reader reader, tn_object *object)
{
    TN_TRY(require_tenant(c));
    return tn_object_find(c, operation, reader, tn_path_text(c, "bucket"), tn_path_text(c, "name"),
                          object);
}

static tn_reader
reader_of(const tn_ctx *c)
{
    return c->who->role == TN_ROLE_NONE ? TN_READ_PUBLIC : TN_READ_AS_CALLER;
}

/* GET /storage/v1/object/{bucket}/{name...}, with a key or of a public bucket */
const tn_error *
tn_storage_download(tn_ctx *c)
{
    tn_object object;

    TN_TRY(find(c, "storage.object.get_authenticated", reader_of(c), &object));
    return send(c, &object, NULL);
}

/* GET /storage/v1/object/public/{bucket}/{name...} */
const tn_error *
tn_storage_download_public(tn_ctx *c)
{
    tn_object object;

    TN_TRY(find(c, "storage.object.get_public", TN_READ_PUBLIC, &object));
    return send(c, &object, NULL);
}

/* GET /storage/v1/object/sign/{bucket}/{name...} */
const tn_error *
tn_storage_download_signed(tn_ctx *c)
{
    tn_signed what;
    tn_object object;

    TN_TRY(tn_storage_signed(c, TN_SIGNED_DOWNLOAD, tn_path_text(c, "bucket"),
                             tn_path_text(c, "name"), &what));
    if (what.transformations != NULL || what.format != NULL) /* it is for the image that is made */
        return tn_error_new(c->arena, 400, "InvalidSignature", NULL, "Invalid signature");
    TN_TRY(find(c, "storage.object.get_signed", TN_READ_SYSTEM, &object));
    return send(c, &object, http_date(c->arena, what.expires_at));
}

/* --- info ------------------------------------------------------------------------------------- */

static void
append(PQExpBuffer json, const char *name, const char *text)
{
    appendPQExpBuffer(json, ",\"%s\":", name);
    tn_buffer_json_string(json, text);
}

static const tn_error *
answer_info(tn_ctx *c, const tn_object *object)
{
    PQExpBuffer json = tn_arena_buffer(c->arena);
    const char *modified = metadata_text(c, object, "lastModified");

    appendPQExpBuffer(json, "{\"id\":\"%s\"", object->id.text);
    append(json, "name", object->name);
    append(json, "version", object->version.text[0] != '\0' ? object->version.text : NULL);
    append(json, "bucket_id", object->bucket);
    appendPQExpBuffer(json, ",\"size\":%lld", (long long)object->size);
    append(json, "content_type", object->content_type);
    append(json, "cache_control", object->cache_control);
    append(json, "content_encoding", metadata_text(c, object, "contentEncoding"));
    append(json, "etag", object->etag);
    appendPQExpBuffer(json, ",\"metadata\":%s",
                      object->user_metadata != NULL ? object->user_metadata : "null");
    append(json, "last_modified", modified != NULL ? modified : object->updated_at);
    append(json, "created_at", object->created_at);
    appendPQExpBufferChar(json, '}');
    tn_response_header(c->response, "ETag", object->etag);
    tn_response_header(c->response, "Last-Modified", http_date(c->arena, object->modified_s));
    tn_response_header(c->response, "Cache-Control", object->cache_control);
    return tn_respond_json(c, 200, tn_buffer_text(json));
}

/* GET /storage/v1/object/info/{bucket}/{name...} */
const tn_error *
tn_storage_info(tn_ctx *c)
{
    tn_object object;

    TN_TRY(find(c, "storage.object.info_authenticated", reader_of(c), &object));
    return answer_info(c, &object);
}

/* GET /storage/v1/object/info/public/{bucket}/{name...} */
const tn_error *
tn_storage_info_public(tn_ctx *c)
{
    tn_object object;

    TN_TRY(find(c, "storage.object.info_public", TN_READ_PUBLIC, &object));
    return answer_info(c, &object);
}
