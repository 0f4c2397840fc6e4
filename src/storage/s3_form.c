/* storage/s3_form.c: uploads by forms of browsers (POST policies)
 *
 * The form carries a policy, and the policy is what is signed: until when, which bucket and key,
 * which fields with which values, how many bytes. Everything that is in the form must be in the
 * policy. Who sends it is known when it has been read, so the body comes first here.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "storage/multipart.h"
#include "storage/s3.h"
#include "storage/s3_form.h"

#define FIELD_MAX ((int64_t)64 << 10) /* bytes of all fields */

/* --- reading ---------------------------------------------------------------------------------- */

static void
close_file(void *what)
{
    const int *fd = what;

    (void)close(*fd);
}

static const tn_error *
malformed(tn_arena *arena)
{
    return tn_error_new(arena, 400, "MalformedPOSTRequest", NULL,
                        "The body of your POST request is not well-formed multipart/form-data.");
}

static const tn_error *
open_body(tn_ctx *c, int **fd)
{
    if (c->request->body_file == NULL)
        return malformed(c->arena);
    *fd = tn_arena_alloc(c->arena, 1, sizeof(**fd));
    **fd = open(c->request->body_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (**fd < 0)
        return tn_error_internal(c->arena, "storage.spool.unreadable", "%s: %m",
                                 c->request->body_file);
    tn_arena_defer(c->arena, close_file, *fd);
    return NULL;
}

struct source {
    tn_arena *arena;
    int fd;
};

static const tn_error *
read_body(void *context, int64_t offset, void *bytes, size_t size, size_t *got)
{
    const struct source *source = context;

    *got = 0;
    while (*got < size) {
        const ssize_t done =
            pread(source->fd, (char *)bytes + *got, size - *got, offset + (int64_t)*got);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return tn_error_internal(source->arena, "storage.spool.unreadable", "%m");
        if (done == 0)
            break;
        *got += (size_t)done;
    }
    return NULL;
}

static const tn_error *
add_field(struct source *source, const tn_part *part, tn_s3_form *form, int64_t *bytes)
{
    const char *name = tn_text_lower(source->arena, part->name);
    char *value;
    size_t got;

    if (tn_s3_form_field(form, name) != NULL) /* which of the two would have been looked at? */
        return tn_s3_invalid(source->arena, "The form has more than one field %s",
                             tn_text_excerpt(source->arena, name, 64));
    *bytes += part->length;
    if (*bytes > FIELD_MAX || form->count == TN_S3_FIELDS_MAX)
        return tn_error_new(source->arena, 400, "MaxPostPreDataLengthExceeded", NULL,
                            "Your POST request fields preceding the upload file were too large.");
    value = tn_arena_alloc(source->arena, (size_t)part->length + 1, 1);
    TN_TRY(read_body(source, part->offset, value, (size_t)part->length, &got));
    if (got != (size_t)part->length || strlen(value) != got || !tn_text_is_utf8(value, got))
        return malformed(source->arena);
    form->fields[form->count++] = (tn_pair){.name = name, .value = value};
    return NULL;
}

static const tn_error *
in_other_words(tn_arena *arena, const tn_error *error)
{
    return error != NULL && strcmp(error->code, "InvalidRequest") == 0 ? malformed(arena) : error;
}

/* The fields in front of the file, and where it is; what is behind it is ignored. */
static const tn_error *
read_form(tn_ctx *c, tn_s3_form *form, tn_part *file)
{
    struct source source = {.arena = c->arena};
    const char *type = tn_request_header(c->request, "content-type");
    tn_multipart *multipart;
    int64_t bytes = 0;
    bool found;
    int *fd;

    TN_TRY(open_body(c, &fd));
    source.fd = *fd;
    TN_TRY(
        in_other_words(c->arena, tn_multipart_new(c->arena, type, read_body, &source, &multipart)));
    for (;;) {
        TN_TRY(in_other_words(c->arena, tn_multipart_next(multipart, file, &found)));
        if (!found)
            return tn_error_new(c->arena, 400, "InvalidArgument", NULL,
                                "POST requires exactly one file upload per request.");
        if (tn_text_same_case(file->name, "file"))
            break;
        TN_TRY(add_field(&source, file, form, &bytes));
    }
    form->filename = file->filename != NULL ? file->filename : "";
    form->size = file->length;
    return NULL;
}

/* --- who -------------------------------------------------------------------------------------- */

static const tn_error *
identify(tn_ctx *c, const tn_s3_form *form, tn_principal *who)
{
    tn_s3_caller *caller = tn_arena_alloc(c->arena, 1, sizeof(*caller));
    const char *algorithm = tn_s3_form_field(form, "x-amz-algorithm");
    const char *credential = tn_s3_form_field(form, "x-amz-credential");
    const char *date = tn_s3_form_field(form, "x-amz-date");
    const char *hex = tn_s3_form_field(form, "x-amz-signature");

    caller->policy = tn_s3_form_field(form, "policy");
    if (caller->policy == NULL || algorithm == NULL || credential == NULL || date == NULL ||
        hex == NULL || strcmp(algorithm, TN_S3_ALGORITHM) != 0)
        return tn_error_new(c->arena, 403, "AccessDenied", NULL,
                            "The form needs policy, x-amz-algorithm, x-amz-credential, x-amz-date "
                            "and x-amz-signature");
    TN_TRY(tn_s3_signature_of_form(c->arena, credential, date, hex,
                                   tn_s3_form_field(form, "x-amz-security-token"),
                                   &caller->signature));
    TN_TRY(tn_s3_identify_form(c, caller, who));
    if (who->role == TN_ROLE_AGENT) /* their requests are counted and written down before */
        return tn_error_new(c->arena, 403, "AccessDenied", NULL, "Agents do not upload by forms");
    return tn_s3_form_check(c->arena, form, caller->policy, tn_clock_unix());
}

/* Where the browser goes afterwards, by a header field of the answer. */
static const char *
redirect_of(const tn_s3_form *form)
{
    const char *redirect = tn_s3_form_field(form, "success_action_redirect");

    return redirect != NULL &&
                   (tn_text_starts(redirect, "http://") || tn_text_starts(redirect, "https://"))
               ? redirect
               : NULL;
}

static const tn_error *
check_redirect(tn_ctx *c, const tn_s3_form *form)
{
    const char *redirect = redirect_of(form);

    for (const char *at = redirect; at != NULL && *at != '\0'; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7F)
            return tn_s3_invalid(c->arena,
                                 "success_action_redirect has characters that no URL has");
    return NULL;
}

/* --- storing ---------------------------------------------------------------------------------- */

/* The fields as if they were header fields. */
static const tn_error *
describe(tn_ctx *c, const tn_s3_form *form, tn_s3_attributes *attributes)
{
    tn_request request = *c->request;
    tn_ctx own = *c;

    request.headers = form->fields;
    request.header_count = form->count;
    own.request = &request;
    TN_TRY(tn_s3_attributes_read(&own, attributes));
    return NULL;
}

static const tn_error *
answer(tn_ctx *c, const tn_s3_form *form, const tn_object *stored)
{
    const char *redirect = tn_s3_form_field(form, "success_action_redirect");
    const char *status = tn_s3_form_field(form, "success_action_status");
    PQExpBuffer text;

    tn_response_header(c->response, "ETag", stored->etag);
    if (redirect != NULL) {
        text = tn_arena_buffer(c->arena);
        appendPQExpBuffer(text, "%s%cbucket=", redirect, strchr(redirect, '?') != NULL ? '&' : '?');
        tn_s3_escape(text, stored->bucket, false);
        appendPQExpBufferStr(text, "&key=");
        tn_s3_escape(text, stored->name, false);
        appendPQExpBufferStr(text, "&etag=");
        tn_s3_escape(text, stored->etag, false);
        tn_response_header(c->response, "Location", tn_buffer_text(text));
        return tn_s3_respond_empty(c, 303);
    }
    if (status == NULL || strcmp(status, "201") != 0)
        return tn_s3_respond_empty(c, status != NULL && strcmp(status, "200") == 0 ? 200 : 204);
    text = tn_s3_xml_begin(c->arena, "PostResponse");
    tn_s3_xml_add(text, "Location",
                  tn_arena_printf(c->arena, "%s/storage/v1/s3/%s/%s", c->config->server.public_url,
                                  stored->bucket, stored->name));
    tn_s3_xml_add(text, "Bucket", stored->bucket);
    tn_s3_xml_add(text, "Key", stored->name);
    tn_s3_xml_add(text, "ETag", stored->etag);
    (void)tn_s3_respond(c, text, "PostResponse");
    c->response->status = 201;
    return NULL;
}

static const tn_error *
store(tn_ctx *c, const tn_s3_form *form, const tn_part *file)
{
    tn_incoming *body, *content;
    tn_s3_attributes attributes;
    tn_upload upload;
    tn_object stored;

    TN_TRY(describe(c, form, &attributes));
    upload = (tn_upload){
        .operation = "storage.s3.upload",
        .bucket = tn_path_text(c, "bucket"),
        .name = form->key,
        .upsert = true,
        .content_type = attributes.content_type,
        .cache_control = attributes.cache_control,
        .user_metadata = attributes.user_metadata,
        .length = file->length,
        .metadata = attributes.members->len > 0 ? tn_buffer_text(attributes.members) : NULL,
    };
    TN_TRY(tn_upload_admit(c, &upload, NULL));
    TN_TRY(tn_incoming_body(c, 0, &body));
    TN_TRY(tn_incoming_new(c, &content));
    TN_TRY(tn_incoming_append_file(content, body, file->offset, file->length));
    tn_incoming_drop(body);
    TN_TRY(tn_upload_store(c, &upload, content, NULL, 0, &stored));
    return answer(c, form, &stored);
}

/* POST /bucket before its body is read: who sends a form is in it, so its length is all that can be
 * judged. */
const tn_error *
tn_s3_form_admit(tn_ctx *c)
{
    const int64_t length = c->request->content_length;

    if (length < 0)
        return tn_error_new(c->arena, 411, "MissingContentLength", NULL,
                            "You must provide the Content-Length HTTP header.");
    if (length > c->config->storage.object_max + FIELD_MAX)
        return tn_error_new(c->arena, 413, "EntityTooLarge", NULL,
                            "Your proposed upload exceeds the maximum allowed size");
    return NULL;
}

/* POST /bucket with multipart/form-data */
const tn_error *
tn_s3_form_upload(tn_ctx *c)
{
    tn_s3_form *form = tn_arena_alloc(c->arena, 1, sizeof(*form));
    tn_ctx own = *c;
    tn_principal who;
    tn_part file;

    if (c->who->proof != NULL) /* signed as a request, and no call of S3 */
        return tn_error_new(c->arena, 405, "MethodNotAllowed", NULL,
                            "The specified method is not allowed against this resource.");
    form->bucket = tn_path_text(c, "bucket");
    TN_TRY(read_form(c, form, &file));
    TN_TRY(tn_s3_form_key(c->arena, form));
    TN_TRY(check_redirect(c, form));
    TN_TRY(identify(c, form, &who));
    own.who = &who;
    return store(&own, form, &file);
}
