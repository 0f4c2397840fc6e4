/* storage/tus.c: the methods of tus 1.0.0 */
#include "storage/tus.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "storage/area.h"

#define TAKE_OVER_MS 1000 /* so long the writer before has to stop, before it is told again */
#define TAKE_OVER_TRIES 10
#define ENDING_MS 100     /* a writer whose connection has broken ends within this */
#define NOTE_WAIT_MS 2000 /* one that goes on says how far it is */
#define LOOK_MS 20
#define CONTENT_TYPE "application/offset+octet-stream"

static const char *
number(tn_ctx *c, int64_t value)
{
    return tn_arena_printf(c->arena, "%lld", (long long)value);
}

/* --- OPTIONS ---------------------------------------------------------------------------------- */

const tn_error *
tn_tus_options(tn_ctx *c)
{
    tn_response *response = c->response;

    tn_response_header(response, "Tus-Resumable", "1.0.0");
    tn_response_header(response, "Tus-Version", "1.0.0");
    tn_response_header(response, "Tus-Extension",
                       "creation,creation-with-upload,creation-defer-length,checksum,expiration,"
                       "termination");
    tn_response_header(response, "Tus-Max-Size", number(c, c->config->storage.object_max));
    tn_response_header(response, "Tus-Checksum-Algorithm", TN_TUS_CHECKSUMS);
    return tn_respond_empty(c, 204);
}

/* --- whose turn it is ------------------------------------------------------------------------- */

/* Becomes the writer; one before is told to stop. */
static const tn_error *
take_turn(tn_ctx *c, const tn_tus *upload, tn_tus_writer **writer)
{
    tn_error *error;

    TN_TRY(tn_tus_writer_take(c, &upload->id, 0, writer));
    if (*writer != NULL)
        return NULL;
    for (int i = 0; i < TAKE_OVER_TRIES; i++) { /* whoever has just begun has not heard it */
        TN_TRY(tn_tus_ask_to_stop(c, upload));
        TN_TRY(tn_tus_writer_take(c, &upload->id, TAKE_OVER_MS, writer));
        if (*writer != NULL)
            return NULL;
    }
    error = tn_error_new(c->arena, 423, "ResourceLocked", "Try again.",
                         "another request writes to this upload and has not stopped");
    error->retry_after_s = 1;
    return error;
}

static const tn_error *
mismatch(tn_ctx *c, int64_t offset)
{
    return tn_error_new(c->arena, 409, "offset_mismatch", NULL,
                        "Upload-Offset: this upload is at %lld", (long long)offset);
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* What a request with bytes says, POST or PATCH. */
struct piece {
    int64_t offset;
    int64_t length; /* -1: not said */
    tn_tus_checksum checksum;
};

static bool
is_offset_stream(const tn_ctx *c)
{
    const char *type = tn_request_header(c->request, "content-type");

    return type != NULL && tn_text_same_case(type, CONTENT_TYPE);
}

static const tn_error *
refuse_type(tn_ctx *c)
{
    return tn_error_new(c->arena, 415, "unsupported_media_type", NULL,
                        "Content-Type: expected " CONTENT_TYPE);
}

/* Never more than was announced, where something was. */
static const tn_error *
check_length(tn_ctx *c, const tn_tus *upload)
{
    const int64_t more = c->request->content_length > 0 ? c->request->content_length : 0;

    if (upload->length >= 0 && more > upload->length - upload->offset)
        return tn_error_new(c->arena, 413, "EntityTooLarge", NULL,
                            "the upload would have more bytes than its Upload-Length");
    return NULL;
}

/* How many bytes there will be at least. */
static int64_t
bytes_to_come(const tn_ctx *c, const tn_tus *upload)
{
    if (upload->length >= 0)
        return upload->length;
    return upload->offset + (c->request->content_length > 0 ? c->request->content_length : 0);
}

/* The writer's part: appends, and makes the object when all is there. */
static const tn_error *
append(tn_ctx *c, tn_tus *upload, tn_tus_writer *writer, const tn_tus_checksum *checksum,
       int64_t size_max)
{
    const int64_t ceiling = upload->length >= 0 ? upload->length : size_max;
    tn_incoming *incoming;

    TN_TRY(tn_incoming_open(c, &upload->staging_id, upload->offset, &incoming));
    TN_TRY(tn_tus_write(c, upload, writer, incoming, ceiling, checksum));
    return upload->offset == upload->length ? tn_tus_finish(c, upload, incoming) : NULL;
}

static const tn_error *
respond(tn_ctx *c, int status, const tn_tus *upload)
{
    tn_response_header(c->response, "Upload-Offset", number(c, upload->offset));
    if (upload->is_finished)
        tn_response_header(c->response, "Tus-Complete", "1");
    else
        tn_response_header(c->response, "Upload-Expires", upload->expires);
    return tn_respond_empty(c, status);
}

/* --- POST ------------------------------------------------------------------------------------- */

static const tn_error *
read_creation(tn_ctx *c, tn_tus *upload)
{
    const tn_request *request = c->request;
    const char *upsert = tn_request_header(request, "x-upsert");

    *upload = (tn_tus){.upsert = upsert != NULL && tn_text_same_case(upsert, "true"),
                       .is_signed = tn_tus_is_signed(c)};
    if (tn_request_header(request, "upload-concat") != NULL)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "Upload-Concat: concatenation is not offered");
    TN_TRY(tn_tus_length_read(c->arena, tn_request_header(request, "upload-length"),
                              tn_request_header(request, "upload-defer-length"), &upload->length));
    upload->field = tn_request_header(request, "upload-metadata");
    TN_TRY(tn_tus_metadata_read(c->arena, upload->field, &upload->metadata));
    return upload->is_signed ? tn_tus_read_token(c, upload) : NULL;
}

/* An upload that goes on is somebody's: whoever has no name could not be told from the others. */
static const tn_error *
check_owner(tn_ctx *c, const tn_tus *upload)
{
    const int64_t bytes = c->request->content_length > 0 ? c->request->content_length : 0;
    const bool is_whole = upload->length >= 0 && bytes == upload->length;

    if (is_whole || upload->is_signed || tn_principal_is_service(c->who) ||
        tn_storage_subject(c) != NULL)
        return NULL;
    return tn_error_new(c->arena, 403, "AccessDenied", NULL,
                        "an upload that takes more than one request is somebody's: sign in, use a "
                        "signed token, or send all of it at once");
}

/* The file and then the row: a file without a row is swept. */
static const tn_error *
create(tn_ctx *c, tn_tus *upload)
{
    const tn_error *error;
    tn_incoming *incoming;
    uint8_t bytes[16];

    tn_random(bytes, sizeof(bytes));
    upload->id = tn_uuid_of_random(bytes);
    TN_TRY(tn_incoming_new(c, &incoming));
    upload->staging_id = *tn_incoming_id(incoming);
    TN_TRY(tn_incoming_keep(incoming));
    error = tn_tus_begin(c, upload);
    if (error != NULL)
        tn_incoming_drop(incoming);
    return error;
}

/* The bytes that came with it, or none where none are wanted. Nobody else knows the upload yet. */
static const tn_error *
fill(tn_ctx *c, tn_tus *upload, const tn_tus_checksum *checksum, int64_t size_max)
{
    tn_tus_writer *writer;
    const tn_error *error;
    bool is_there;

    TN_TRY(take_turn(c, upload, &writer));
    error = tn_tus_continue(c, upload, &is_there);
    if (error == NULL)
        error = is_there ? append(c, upload, writer, checksum, size_max) : mismatch(c, 0);
    if (error != NULL)
        (void)!tn_tus_forget(c, upload);
    tn_tus_writer_give(writer);
    return error;
}

const tn_error *
tn_tus_post(tn_ctx *c)
{
    const bool has_bytes = is_offset_stream(c);
    tn_tus_checksum checksum;
    tn_bucket bucket;
    tn_tus upload;

    TN_TRY(read_creation(c, &upload));
    TN_TRY(tn_tus_checksum_read(c->arena, tn_request_header(c->request, "upload-checksum"),
                                &checksum));
    if (!has_bytes && c->request->content_length > 0)
        return refuse_type(c);
    TN_TRY(check_length(c, &upload));
    TN_TRY(tn_tus_admit(c, &upload, bytes_to_come(c, &upload), &bucket));
    TN_TRY(check_owner(c, &upload));
    TN_TRY(create(c, &upload));
    if (has_bytes || upload.length == 0)
        TN_TRY(fill(c, &upload, &checksum, bucket.size_max));
    tn_response_header(c->response, "Location",
                       tn_arena_printf(c->arena, "%s/storage/v1/upload/resumable/%s%s",
                                       c->config->server.public_url,
                                       upload.is_signed ? "sign/" : "", upload.id.text));
    return respond(c, 201, &upload);
}

/* --- HEAD ------------------------------------------------------------------------------------- */

/* Waits for the writer to say how far it is; when it does not, what is known counts. */
static const tn_error *
wait_for_note(tn_ctx *c, tn_tus *upload)
{
    const int64_t deadline_ms = tn_clock_ms() + NOTE_WAIT_MS;
    const char *noted_at = upload->noted_at;

    TN_TRY(tn_tus_ask_to_note(c, upload));
    do {
        (void)poll(NULL, 0, LOOK_MS);
        TN_TRY(tn_tus_find(c, upload));
    } while (!upload->is_finished && strcmp(upload->noted_at, noted_at) == 0 &&
             tn_clock_ms() < deadline_ms);
    return NULL;
}

/* The row of an upload to which nobody writes, whose bytes must be there. */
static const tn_error *
look_at_rest(tn_ctx *c, tn_tus *upload)
{
    tn_incoming *incoming;
    const tn_error *error;

    TN_TRY(tn_tus_find(c, upload)); /* once more: the writer has ended meanwhile */
    if (upload->is_finished)
        return NULL;
    error = tn_incoming_open(c, &upload->staging_id, upload->offset, &incoming);
    if (error == NULL || error->status != 404)
        return error;
    TN_TRY(tn_tus_forget(c, upload));
    return tn_error_new(c->arena, 410, "upload_expired", NULL, "the bytes of this upload are gone");
}

static const tn_error *
look(tn_ctx *c, tn_tus *upload)
{
    tn_tus_writer *writer;
    const tn_error *error;

    TN_TRY(tn_tus_find(c, upload));
    if (upload->is_finished)
        return NULL;
    TN_TRY(tn_tus_writer_take(c, &upload->id, ENDING_MS, &writer));
    if (writer == NULL)
        return wait_for_note(c, upload);
    error = look_at_rest(c, upload);
    tn_tus_writer_give(writer);
    return error;
}

const tn_error *
tn_tus_head(tn_ctx *c)
{
    tn_response *response = c->response;
    tn_tus upload;

    TN_TRY(look(c, &upload));
    tn_response_header(response, "Upload-Offset", number(c, upload.offset));
    if (upload.length >= 0)
        tn_response_header(response, "Upload-Length", number(c, upload.length));
    else
        tn_response_header(response, "Upload-Defer-Length", "1");
    if (*upload.field != '\0')
        tn_response_header(response, "Upload-Metadata", upload.field);
    if (!upload.is_finished)
        tn_response_header(response, "Upload-Expires", upload.expires);
    tn_response_header(response, "Cache-Control", "no-store");
    return tn_respond_empty(c, 200);
}

/* --- PATCH ------------------------------------------------------------------------------------ */

static const tn_error *
read_piece(tn_ctx *c, struct piece *piece)
{
    const tn_request *request = c->request;
    const char *length = tn_request_header(request, "upload-length");

    *piece = (struct piece){.length = -1};
    if (!is_offset_stream(c))
        return refuse_type(c);
    TN_TRY(tn_tus_number_read(c->arena, "Upload-Offset",
                              tn_request_header(request, "upload-offset"), &piece->offset));
    if (length != NULL)
        TN_TRY(tn_tus_number_read(c->arena, "Upload-Length", length, &piece->length));
    return tn_tus_checksum_read(c->arena, tn_request_header(request, "upload-checksum"),
                                &piece->checksum);
}

/* A length that had been deferred is said once. */
static const tn_error *
settle_length(tn_ctx *c, tn_tus *upload, const struct piece *piece)
{
    if (piece->length < 0)
        return NULL;
    if (upload->length >= 0 && upload->length != piece->length)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "Upload-Length: it has been said before, and was %lld",
                            (long long)upload->length);
    if (piece->length < upload->offset)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "Upload-Length: %lld bytes are there already",
                            (long long)upload->offset);
    upload->length = piece->length;
    return NULL;
}

static const tn_error *
write_piece(tn_ctx *c, tn_tus *upload, const struct piece *piece, tn_tus_writer *writer)
{
    tn_bucket bucket;
    bool is_there;

    TN_TRY(tn_tus_find(c, upload)); /* as the writer before has left it */
    if (upload->offset != piece->offset)
        return mismatch(c, upload->offset);
    if (upload->is_finished)
        return NULL;
    TN_TRY(settle_length(c, upload, piece));
    TN_TRY(check_length(c, upload));
    TN_TRY(tn_tus_admit(c, upload, bytes_to_come(c, upload), &bucket));
    TN_TRY(tn_tus_continue(c, upload, &is_there));
    if (!is_there)
        return mismatch(c, upload->offset);
    return append(c, upload, writer, &piece->checksum, bucket.size_max);
}

const tn_error *
tn_tus_patch(tn_ctx *c)
{
    tn_tus_writer *writer;
    const tn_error *error;
    struct piece piece;
    tn_tus upload;

    TN_TRY(read_piece(c, &piece));
    TN_TRY(tn_tus_find(c, &upload));
    if (upload.offset > piece.offset || (upload.is_finished && upload.offset != piece.offset))
        return mismatch(c, upload.offset); /* for sure: nobody need stop for that */
    if (upload.is_finished) {
        TN_TRY(check_length(c, &upload)); /* nothing more, but the answer that was lost */
        return respond(c, 204, &upload);
    }
    TN_TRY(take_turn(c, &upload, &writer));
    error = write_piece(c, &upload, &piece, writer);
    tn_tus_writer_give(writer); /* before the answer: who goes on at once finds nobody here */
    return error != NULL ? error : respond(c, 204, &upload);
}

/* --- DELETE ----------------------------------------------------------------------------------- */

static const tn_error *
refuse_finished(tn_ctx *c)
{
    return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                        "the upload is finished; delete the object instead");
}

const tn_error *
tn_tus_delete(tn_ctx *c)
{
    tn_tus_writer *writer;
    const tn_error *error;
    tn_tus upload;

    TN_TRY(tn_tus_find(c, &upload));
    if (upload.is_finished)
        return refuse_finished(c);
    TN_TRY(take_turn(c, &upload, &writer));
    error = tn_tus_find(c, &upload);
    if (error == NULL)
        error = upload.is_finished ? refuse_finished(c) : tn_tus_forget(c, &upload);
    tn_tus_writer_give(writer);
    return error != NULL ? error : tn_respond_empty(c, 204);
}
