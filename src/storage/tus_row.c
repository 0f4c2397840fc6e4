/* storage/tus_row.c: rows of storage.uploads */
#include <string.h>

#include "base/text.h"
#include "storage/area.h"
#include "storage/queries.h"
#include "storage/tus.h"

static const char *
number(tn_ctx *c, int64_t value)
{
    return tn_arena_printf(c->arena, "%lld", (long long)value);
}

static const char *
lifetime(tn_ctx *c)
{
    return number(c, c->config->storage.upload_ttl_s);
}

bool
tn_tus_is_signed(const tn_ctx *c)
{
    return strstr(c->match->route->path, "/sign") != NULL;
}

const tn_error *
tn_tus_read_token(tn_ctx *c, tn_tus *upload)
{
    tn_signed what;

    TN_TRY(tn_storage_signed(c, TN_SIGNED_UPLOAD, upload->metadata.bucket, upload->metadata.name,
                             &what));
    upload->owner_id = what.owner;
    upload->upsert = what.upsert;
    return NULL;
}

static const tn_error *
no_upload(tn_ctx *c)
{
    return tn_error_new(c->arena, 404, "NoSuchUpload", NULL, "the upload does not exist");
}

/* An agent acts for its person within its scopes; policies do not see rows of uploads. */
static bool
may_write(const tn_ctx *c, const tn_tus *upload)
{
    return tn_principal_has_scope(
        c->who, tn_arena_printf(c->arena, "storage:%s:write", upload->metadata.bucket));
}

/* May the caller go on with it? Who may not is told that it is not there. */
static const tn_error *
check_caller(tn_ctx *c, tn_tus *upload, bool is_owner)
{
    const char *owner = upload->owner_id;

    if (tn_tus_is_signed(c)) {
        if (!upload->is_signed)
            return no_upload(c);
        TN_TRY(tn_tus_read_token(c, upload));
        return strcmp(owner != NULL ? owner : "",
                      upload->owner_id != NULL ? upload->owner_id : "") == 0
                   ? NULL
                   : no_upload(c);
    }
    if (tn_principal_is_service(c->who) || (is_owner && may_write(c, upload)))
        return NULL;
    return no_upload(c);
}

const tn_error *
tn_tus_find(tn_ctx *c, tn_tus *upload)
{
    const tn_rows *rows;
    tn_uuid id;

    if (!tn_uuid_parse(tn_path_text(c, "id"), &id))
        return no_upload(c);
    TN_TRY(tn_tx_worker(c, TN_READ_ONLY, &tn_sql_tus_find, TN_PARAMS(id.text), &rows));
    if (tn_rows_count(rows) == 0)
        return no_upload(c);
    *upload = (tn_tus){.id = id,
                       .owner_id = tn_rows_text(rows, 0, 0),
                       .is_signed = tn_rows_bool(rows, 0, 2),
                       .length = tn_rows_int(rows, 0, 4, -1),
                       .offset = tn_rows_int(rows, 0, 5, 0),
                       .field = tn_rows_text(rows, 0, 6),
                       .upsert = tn_rows_bool(rows, 0, 7),
                       .is_finished = tn_rows_bool(rows, 0, 8),
                       .is_expired = tn_rows_bool(rows, 0, 9),
                       .expires = tn_rows_text(rows, 0, 10),
                       .noted_at = tn_rows_text(rows, 0, 11)};
    if (!tn_uuid_parse(tn_rows_text(rows, 0, 3), &upload->staging_id))
        return no_upload(c);
    TN_TRY(tn_tus_metadata_read(c->arena, upload->field, &upload->metadata));
    TN_TRY(check_caller(c, upload, tn_rows_bool(rows, 0, 1)));
    if (upload->is_expired)
        return tn_error_new(c->arena, 410, "upload_expired", NULL, "the upload has expired");
    return NULL;
}

const tn_error *
tn_tus_begin(tn_ctx *c, tn_tus *upload)
{
    const char *length = upload->length >= 0 ? number(c, upload->length) : NULL;
    const tn_rows *rows;

    TN_TRY(tn_tx_worker(c, TN_READ_WRITE, &tn_sql_tus_begin,
                        TN_PARAMS(upload->id.text, upload->metadata.bucket, upload->metadata.name,
                                  upload->owner_id, upload->is_signed ? "true" : "false",
                                  upload->staging_id.text, length, upload->field,
                                  upload->upsert ? "true" : "false", lifetime(c),
                                  number(c, c->config->storage.tenant_quota),
                                  number(c, c->config->storage.user_quota)),
                        &rows));
    upload->expires = tn_rows_text(rows, 0, 0);
    return NULL;
}

const tn_error *
tn_tus_continue(tn_ctx *c, tn_tus *upload, bool *is_there)
{
    const int64_t more = c->request->content_length > 0 ? c->request->content_length : 0;
    const char *length = upload->length >= 0 ? number(c, upload->length) : NULL;
    const tn_rows *rows;

    TN_TRY(tn_tx_worker(c, TN_READ_WRITE, &tn_sql_tus_continue,
                        TN_PARAMS(upload->id.text, number(c, upload->offset), length,
                                  number(c, upload->offset + more), lifetime(c),
                                  number(c, c->config->storage.tenant_quota),
                                  number(c, c->config->storage.user_quota)),
                        &rows));
    *is_there = tn_rows_count(rows) > 0;
    if (!*is_there)
        return NULL;
    upload->generation = tn_rows_int(rows, 0, 0, 0);
    upload->expires = tn_rows_text(rows, 0, 1);
    return NULL;
}

const tn_error *
tn_tus_forget(tn_ctx *c, const tn_tus *upload)
{
    const tn_rows *rows;

    TN_TRY(tn_tx_worker(c, TN_READ_WRITE, &tn_sql_tus_forget, TN_PARAMS(upload->id.text), &rows));
    if (tn_rows_affected(rows) > 0)
        tn_staging_remove(c->process, &c->who->tenant_id, &upload->staging_id);
    return NULL;
}

const tn_error *
tn_tus_ask_to_stop(tn_ctx *c, const tn_tus *upload)
{
    const tn_rows *rows;

    return tn_tx_worker(c, TN_READ_WRITE, &tn_sql_tus_stop, TN_PARAMS(upload->id.text), &rows);
}

const tn_error *
tn_tus_ask_to_note(tn_ctx *c, const tn_tus *upload)
{
    const tn_rows *rows;

    return tn_tx_worker(c, TN_READ_WRITE, &tn_sql_tus_ask, TN_PARAMS(upload->id.text), &rows);
}

/* --- the object ------------------------------------------------------------------------------- */

static const char *
operation_of(const tn_ctx *c)
{
    if (c->match->capture_count == 0)
        return tn_tus_is_signed(c) ? "storage.tus.upload.create_signed"
                                   : "storage.tus.upload.create";
    return tn_tus_is_signed(c) ? "storage.tus.upload.part_signed" : "storage.tus.upload.part";
}

/* As the object model has it. What began with a signed token is stored by the server itself, for
 * the owner that the token names. */
static tn_upload
as_upload(const tn_ctx *c, const tn_tus *upload, int64_t length)
{
    return (tn_upload){.operation = operation_of(c),
                       .bucket = upload->metadata.bucket,
                       .name = upload->metadata.name,
                       .upsert = upload->upsert,
                       .as_system = upload->is_signed,
                       .owner_id = upload->is_signed ? upload->owner_id : NULL,
                       .content_type = upload->metadata.content_type,
                       .cache_control = upload->metadata.cache_control,
                       .user_metadata = upload->metadata.user_metadata,
                       .length = length};
}

const tn_error *
tn_tus_admit(tn_ctx *c, const tn_tus *upload, int64_t length, tn_bucket *bucket)
{
    const tn_upload wanted = as_upload(c, upload, length);

    return tn_upload_admit(c, &wanted, bucket);
}

/* What the client has done wrong (or a policy that has changed) is not mended by trying again:
 * then the bytes are gone, and so is the row. */
const tn_error *
tn_tus_finish(tn_ctx *c, tn_tus *upload, tn_incoming *incoming)
{
    const char *const parameters[] = {upload->id.text, number(c, upload->generation),
                                      number(c, upload->length), lifetime(c)};
    const tn_query end = {
        .statement = &tn_sql_tus_finish, .parameters = parameters, .parameter_count = 4};
    tn_upload wanted = as_upload(c, upload, upload->length);
    const tn_error *error;
    tn_object stored;

    wanted.with = &end;
    wanted.with_count = 1;
    TN_TRY(tn_incoming_keep(incoming));
    error = tn_upload_store(c, &wanted, incoming, NULL, 0, &stored);
    if (error == NULL)
        upload->is_finished = true;
    else if (error->status < 500)
        (void)!tn_tus_forget(c, upload);
    return error;
}
