/* storage/plain.c: one POST, for people with curl
 *
 *   curl -H "apikey: $KEY" -F file=@photo.jpg http://…/api/storage/photos
 *   curl -H "apikey: $KEY" --data-binary @photo.jpg
 * "http://…/api/storage/photos?name=2026/photo.jpg"
 */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "storage/area.h"
#include "storage/storage.h"
#include "storage/upload.h"

#define FILES_MAX 100
#define FILENAME_LENGTH 255 /* of a name that is made of a filename */

static bool
wants_upsert(const tn_ctx *c)
{
    const char *text = tn_request_query(c->request, "upsert");

    return text != NULL && strcmp(text, "false") != 0 && strcmp(text, "0") != 0;
}

/* The last segment of a filename with what names of objects may have; an invented one when nothing
 * is left of it. */
static const char *
name_of_file(tn_ctx *c, const char *filename)
{
    const tn_uuid invented = tn_uuid_new();
    const char *base = filename;
    char *name;
    size_t length = 0;

    for (const char *p = filename; p != NULL && *p != '\0'; p++)
        if (*p == '/' || *p == '\\')
            base = p + 1;
    if (!tn_text_is_given(base))
        return tn_arena_text(c->arena, invented.text);
    name = tn_arena_text(c->arena, base);
    for (const char *p = base; *p != '\0' && length < FILENAME_LENGTH; p++) {
        if (isalnum((unsigned char)*p) || strchr("_!.*'() &$@=;:+,?-", *p) != NULL)
            name[length++] = *p;
        else if (length == 0 || name[length - 1] != '_')
            name[length++] = '_';
    }
    name[length] = '\0';
    return tn_object_name_is_valid(name) ? name : tn_arena_text(c->arena, invented.text);
}

/* ?name= is the name, or, when it ends with a slash, the folder for the file's own. */
static const char *
name_of(tn_ctx *c, const char *filename)
{
    const char *name = tn_request_query(c->request, "name");
    const size_t length = name != NULL ? strlen(name) : 0;

    if (length == 0)
        return name_of_file(c, filename);
    if (name[length - 1] != '/')
        return name;
    return tn_arena_printf(c->arena, "%s%s", name, name_of_file(c, filename));
}

static const tn_error *
read_upload(tn_ctx *c, tn_upload *upload)
{
    *upload = (tn_upload){.operation = "storage.object.upload",
                          .bucket = tn_path_text(c, "bucket"),
                          .upsert = wants_upsert(c)};
    upload->name = name_of(c, NULL);
    return tn_upload_read_headers(c, upload);
}

/* --- answer ----------------------------------------------------------------------------------- */

static void
append_segments(PQExpBuffer url, const char *path)
{
    while (*path != '\0') {
        const size_t length = strcspn(path, "/");
        char segment[1025] = "";

        memcpy(segment, path, length < sizeof(segment) ? length : sizeof(segment) - 1);
        appendPQExpBufferChar(url, '/');
        tn_buffer_url_value(url, segment);
        path += length;
        path += *path == '/';
    }
}

static void
append_file(tn_ctx *c, PQExpBuffer json, const tn_object *stored)
{
    PQExpBuffer url = tn_arena_buffer(c->arena);

    appendPQExpBuffer(url, "%s/storage/v1/object/%s", c->config->server.public_url,
                      stored->is_public ? "public" : "authenticated");
    append_segments(url, tn_storage_key(c->arena, stored->bucket, stored->name));
    appendPQExpBuffer(json, "{\"id\":\"%s\",\"bucket\":", stored->id.text);
    tn_buffer_json_string(json, stored->bucket);
    appendPQExpBufferStr(json, ",\"name\":");
    tn_buffer_json_string(json, stored->name);
    appendPQExpBuffer(json, ",\"size\":%lld,\"content_type\":", (long long)stored->size);
    tn_buffer_json_string(json, stored->content_type);
    appendPQExpBufferStr(json, ",\"etag\":");
    tn_buffer_json_string(json, stored->etag);
    appendPQExpBufferStr(json, ",\"url\":");
    tn_buffer_json_string(json, tn_buffer_text(url));
    appendPQExpBufferChar(json, '}');
}

static const tn_error *
store(tn_ctx *c, const tn_upload *upload, tn_incoming *incoming, PQExpBuffer json)
{
    tn_object stored;

    TN_TRY(tn_upload_store(c, upload, incoming, NULL, 0, &stored));
    append_file(c, json, &stored);
    return NULL;
}

/* --- forms ------------------------------------------------------------------------------------ */

/* Each file is an upload of its own; the first one that is refused ends it, and those before it
 * stay. */
static const tn_error *
store_form(tn_ctx *c, tn_incoming *body, PQExpBuffer json, int *count)
{
    tn_form form;
    tn_part file;
    bool found;

    TN_TRY(tn_form_open(c, body, &form));
    for (*count = 0;; ++*count) {
        tn_incoming *incoming;
        tn_upload upload;

        TN_TRY(tn_form_next_file(c, &form, &file, &found));
        if (!found)
            break;
        if (*count == FILES_MAX)
            return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                                "the form has more than %d files", FILES_MAX);
        TN_TRY(read_upload(c, &upload));
        upload.name = name_of(c, file.filename);
        TN_TRY(tn_form_take_file(c, &form, &file, &upload, &incoming));
        appendPQExpBufferStr(json, *count > 0 ? "," : "");
        TN_TRY(store(c, &upload, incoming, json));
    }
    if (*count == 0)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL, "the form has no file");
    return NULL;
}

/* --- handlers --------------------------------------------------------------------------------- */

/* Files of a form have names that are not known yet, and policies may ask for them. */
static const tn_error *
check(tn_ctx *c, const tn_upload *upload, tn_bucket *bucket)
{
    if (!tn_form_is(c))
        return tn_upload_admit(c, upload, bucket);
    TN_TRY(tn_bucket_find(c, upload->bucket, bucket));
    if (upload->length > bucket->size_max * FILES_MAX)
        return tn_error_new(c->arena, 413, "EntityTooLarge", NULL,
                            "The object exceeded the maximum allowed size");
    return NULL;
}

static const tn_error *
admit(tn_ctx *c)
{
    tn_upload upload;
    tn_bucket bucket;

    TN_TRY(read_upload(c, &upload));
    return check(c, &upload, &bucket);
}

/* POST /api/storage/{bucket} */
static const tn_error *
upload(tn_ctx *c)
{
    PQExpBuffer json = tn_arena_buffer(c->arena);
    tn_bucket bucket = {.id = NULL};
    tn_incoming *body;
    tn_upload what;
    int count = 1;

    TN_TRY(read_upload(c, &what));
    if (c->request->phase != TN_PHASE_ADMITTED)
        TN_TRY(check(c, &what, &bucket));
    TN_TRY(tn_upload_read_body(c, &bucket, &body));
    if (tn_form_is(c)) {
        TN_TRY(store_form(c, body, json, &count));
    } else {
        what.length = tn_incoming_size(body);
        TN_TRY(store(c, &what, body, json));
    }
    if (count == 1)
        return tn_respond_json(c, 201, tn_buffer_text(json));
    return tn_respond_json(c, 201,
                           tn_arena_printf(c->arena, "{\"files\":[%s]}", tn_buffer_text(json)));
}

static const tn_route routes[] = {
    {"POST", "/api/storage/{bucket}", upload, .scope = TN_SCOPE_BY_POLICY, .limit = TN_LIMIT_WRITE,
     .roles = TN_STORAGE_CALLERS, .takes_body = true, .admit = admit,
     .summary = "Upload files, as the body or in a form; ?name= and ?upsert"},
    {.method = NULL},
};

const tn_area tn_storage_plain_area = {
    .name = "storage_plain",
    .prefix = "/api/storage",
    .routes = routes,
    .any_role = true,
    .cache_control = "no-store",
    .render_error = tn_render_error,
};
