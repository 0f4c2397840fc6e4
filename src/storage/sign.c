/* storage/sign.c: URLs that allow one thing for a while */
#include <string.h>

#include "base/clock.h"
#include "storage/area.h"
#include "storage/queries.h"
#include "storage/signed.h"
#include "storage/upload.h"

#define EXPIRES_MAX 3155760000 /* a hundred years */
#define PATHS_MAX 1000

/* `transform` as tokens carry it: "height:100,width:200,resize:fill"; its format has a claim of its
 * own. */
static const tn_error *
read_transform(tn_ctx *c, json_object *body, tn_signed *what)
{
    static const char *const resizes[] = {"cover", "contain", "fill", NULL};
    static const char *const formats[] = {"origin", "avif", "webp", NULL};
    int64_t height = -1, width = -1, quality = -1;
    const char *resize = NULL;
    PQExpBuffer text = tn_arena_buffer(c->arena);
    json_object *transform;

    TN_TRY(tn_storage_object(c, body, "transform", &transform));
    if (transform == NULL || json_object_object_length(transform) == 0)
        return NULL;
    TN_TRY(tn_storage_number(c, transform, "height", 0, INT32_MAX, &height));
    TN_TRY(tn_storage_number(c, transform, "width", 0, INT32_MAX, &width));
    TN_TRY(tn_storage_number(c, transform, "quality", 20, 100, &quality));
    TN_TRY(tn_storage_choice(c, transform, "resize", resizes, &resize));
    TN_TRY(tn_storage_choice(c, transform, "format", formats, &what->format));
    if (height >= 0)
        appendPQExpBuffer(text, ",height:%lld", (long long)height);
    if (width >= 0)
        appendPQExpBuffer(text, ",width:%lld", (long long)width);
    if (resize != NULL)
        appendPQExpBuffer(text, ",resize:%s", resize);
    if (quality >= 0)
        appendPQExpBuffer(text, ",quality:%lld", (long long)quality);
    what->transformations = text->len > 0 ? tn_buffer_text(text) + 1 : "";
    return NULL;
}

static const tn_error *
read_expiry(tn_ctx *c, json_object *body, tn_signed *what)
{
    int64_t seconds = 0;

    TN_TRY(tn_storage_required(c, "expiresIn", tn_json_get(body, "expiresIn")));
    TN_TRY(tn_storage_number(c, body, "expiresIn", 1, EXPIRES_MAX, &seconds));
    *what = (tn_signed){
        .scope = TN_SIGNED_DOWNLOAD, .tenant_id = c->who->tenant_id, .issued_at = tn_clock_unix()};
    what->expires_at = what->issued_at + seconds;
    return NULL;
}

/* Relative and not encoded: clients put their base in front and encode. */
static const char *
print_url(tn_ctx *c, const tn_signed *what)
{
    const char *place = what->scope[0] == 'u'           ? "/object/upload/sign/"
                        : what->transformations != NULL ? "/render/image/sign/"
                                                        : "/object/sign/";

    return tn_arena_printf(c->arena, "%s%s?token=%s", place, what->url,
                           tn_signed_new(c->arena, c->config, what));
}

/* POST /storage/v1/object/sign/{bucket}/{name...} */
const tn_error *
tn_storage_sign(tn_ctx *c)
{
    const char *bucket = tn_path_text(c, "bucket"), *name = tn_path_text(c, "name");
    PQExpBuffer json = tn_arena_buffer(c->arena);
    const tn_error *error;
    json_object *body;
    tn_signed what;
    tn_object object;

    TN_TRY(tn_storage_body(c, &body));
    TN_TRY(read_expiry(c, body, &what));
    TN_TRY(read_transform(c, body, &what));
    error = tn_object_find(c, "storage.object.sign", TN_READ_BY_POLICY, bucket, name, &object);
    if (error != NULL && strcmp(error->code, "NoSuchBucket") == 0)
        return tn_storage_no_object(c->arena);
    TN_TRY(error);
    what.url = tn_storage_key(c->arena, bucket, name);
    appendPQExpBufferStr(json, "{\"signedURL\":");
    tn_buffer_json_string(json, print_url(c, &what));
    appendPQExpBufferChar(json, '}');
    return tn_storage_json(c, tn_buffer_text(json));
}

/* --- many ------------------------------------------------------------------------------------- */

static bool
is_among(const tn_rows *rows, const char *name)
{
    for (size_t i = 0; i < tn_rows_count(rows); i++)
        if (strcmp(tn_rows_text(rows, i, 0), name) == 0)
            return true;
    return false;
}

static void
append_entry(tn_ctx *c, PQExpBuffer json, const char *name, const tn_signed *what)
{
    appendPQExpBuffer(json, "%s{\"error\":%s,\"path\":", json->len > 1 ? "," : "",
                      what != NULL ? "null"
                                   : "\"Either the object does not exist or you do not have access "
                                     "to it\"");
    tn_buffer_json_string(json, name);
    appendPQExpBufferStr(json, ",\"signedURL\":");
    tn_buffer_json_string(json, what != NULL ? print_url(c, what) : NULL);
    appendPQExpBufferChar(json, '}');
}

/* POST /storage/v1/object/sign/{bucket} */
const tn_error *
tn_storage_sign_many(tn_ctx *c)
{
    const char *bucket = tn_path_text(c, "bucket");
    PQExpBuffer json = tn_arena_buffer(c->arena), array = tn_arena_buffer(c->arena);
    const char *const *paths;
    json_object *body;
    const tn_rows *rows;
    tn_signed what;
    size_t count;

    TN_TRY(tn_storage_body(c, &body));
    TN_TRY(read_expiry(c, body, &what));
    TN_TRY(tn_storage_texts(c, body, "paths", 1, PATHS_MAX, &paths, &count));
    tn_buffer_array(array, paths, count);
    TN_TRY(tn_storage_rows(c, "storage.object.sign_many", TN_READ_ONLY, &tn_sql_storage_visible,
                           TN_PARAMS(bucket, tn_buffer_text(array)), &rows));
    appendPQExpBufferChar(json, '[');
    for (size_t i = 0; i < count; i++) {
        what.url = tn_storage_key(c->arena, bucket, paths[i]);
        append_entry(c, json, paths[i], is_among(rows, paths[i]) ? &what : NULL);
    }
    appendPQExpBufferChar(json, ']');
    return tn_storage_json(c, tn_buffer_text(json));
}

/* --- uploads ---------------------------------------------------------------------------------- */

/* POST /storage/v1/object/upload/sign/{bucket}/{name...} */
const tn_error *
tn_storage_sign_upload(tn_ctx *c)
{
    const char *bucket = tn_path_text(c, "bucket"), *name = tn_path_text(c, "name");
    const char *upsert = tn_request_header(c->request, "x-upsert");
    tn_upload upload = {.operation = "storage.object.sign_upload_url",
                        .bucket = bucket,
                        .name = name,
                        .upsert = upsert != NULL && strcmp(upsert, "true") == 0};
    PQExpBuffer json = tn_arena_buffer(c->arena);
    tn_signed what = {.scope = TN_SIGNED_UPLOAD,
                      .url = tn_storage_key(c->arena, bucket, name),
                      .owner = tn_storage_subject(c),
                      .upsert = upload.upsert,
                      .tenant_id = c->who->tenant_id,
                      .issued_at = tn_clock_unix()};
    const char *url;

    TN_TRY(
        tn_upload_read_headers(c, &upload)); /* x-metadata; the type and the length are another's */
    upload.content_type = upload.cache_control = NULL;
    upload.length = -1;
    TN_TRY(tn_upload_admit(c, &upload, NULL));
    what.expires_at = what.issued_at + c->config->storage.upload_url_ttl_s;
    url = print_url(c, &what);
    appendPQExpBufferStr(json, "{\"url\":");
    tn_buffer_json_string(json, url);
    appendPQExpBuffer(json, ",\"token\":\"%s\"}", strrchr(url, '=') + 1);
    return tn_storage_json(c, tn_buffer_text(json));
}
