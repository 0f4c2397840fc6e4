/* storage/upload.c: POST and PUT of an object, raw or as a form, with a key or with a signed URL */
#include "storage/upload.h"

#include <string.h>

#include "base/text.h"
#include "storage/area.h"
#include "storage/signed.h"

static bool
is_signed(const tn_ctx *c)
{
    return strstr(c->match->route->path, "/upload/sign/") != NULL;
}

static const tn_error *
read_signed(tn_ctx *c, tn_upload *upload)
{
    tn_signed what;

    TN_TRY(tn_storage_signed(c, TN_SIGNED_UPLOAD, upload->bucket, upload->name, &what));
    upload->operation = "storage.object.upload_signed";
    upload->as_system = true;
    upload->owner_id = what.owner;
    upload->upsert = what.upsert;
    return NULL;
}

/* What is known before the body. */
static const tn_error *
read_upload(tn_ctx *c, tn_upload *upload)
{
    const char *upsert = tn_request_header(c->request, "x-upsert");
    const bool is_put = strcmp(c->request->method, "PUT") == 0;

    *upload = (tn_upload){
        .operation = is_put ? "storage.object.upload_update" : "storage.object.upload",
        .bucket = tn_path_text(c, "bucket"),
        .name = tn_path_text(c, "name"),
        .upsert = is_put || (upsert != NULL && tn_text_same_case(upsert, "true")),
    };
    TN_TRY(tn_upload_read_headers(c, upload));
    return is_signed(c) ? read_signed(c, upload) : NULL;
}

/* Before nginx reads the body. */
const tn_error *
tn_storage_upload_admit(tn_ctx *c)
{
    tn_upload upload;

    TN_TRY(read_upload(c, &upload));
    return tn_upload_admit(c, &upload, NULL);
}

/* The one file of a form. */
static const tn_error *
take_form(tn_ctx *c, tn_upload *upload, tn_incoming **incoming)
{
    tn_incoming *body = *incoming;
    tn_part file, other;
    tn_form form;
    bool found;

    TN_TRY(tn_form_open(c, body, &form));
    TN_TRY(tn_form_next_file(c, &form, &file, &found));
    if (!found)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL, "the form has no file");
    TN_TRY(tn_form_take_file(c, &form, &file, upload, incoming));
    TN_TRY(tn_form_next_file(c, &form, &other, &found));
    if (found)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "the form has more than one file");
    tn_incoming_drop(body);
    return NULL;
}

static const tn_error *
answer(tn_ctx *c, const tn_object *stored)
{
    PQExpBuffer json = tn_arena_buffer(c->arena);

    appendPQExpBufferChar(json, '{');
    if (!is_signed(c))
        appendPQExpBuffer(json, "\"Id\":\"%s\",", stored->id.text);
    appendPQExpBufferStr(json, "\"Key\":");
    tn_buffer_json_string(json, tn_storage_key(c->arena, stored->bucket, stored->name));
    appendPQExpBufferChar(json, '}');
    return tn_storage_json(c, tn_buffer_text(json));
}

/* POST, PUT /storage/v1/object/{bucket}/{name...}, PUT /storage/v1/object/upload/sign/… */
const tn_error *
tn_storage_upload(tn_ctx *c)
{
    tn_bucket bucket = {.id = NULL};
    tn_incoming *incoming;
    tn_object stored;
    tn_upload upload;

    TN_TRY(read_upload(c, &upload));
    if (c->request->phase != TN_PHASE_ADMITTED)
        TN_TRY(tn_upload_admit(c, &upload, &bucket));
    TN_TRY(tn_upload_read_body(c, &bucket, &incoming));
    if (tn_form_is(c))
        TN_TRY(take_form(c, &upload, &incoming));
    else
        upload.length = tn_incoming_size(incoming);
    TN_TRY(tn_upload_store(c, &upload, incoming, NULL, 0, &stored));
    return answer(c, &stored);
}
