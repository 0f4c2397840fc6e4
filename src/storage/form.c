/* storage/form.c: headers and fields of a form → what is uploaded */
#include <string.h>
#include <strings.h>

#include "base/crypto.h"
#include "base/text.h"
#include "storage/area.h"
#include "storage/upload.h"

#define FIELDS_MAX 10
#define FIELD_MAX 8192                   /* bytes of a field … */
#define METADATA_MAX (1024 * 1024)       /* … and of this one */
#define OVERHEAD (METADATA_MAX + 262144) /* what a form may have beside its file */

/* --- headers ---------------------------------------------------------------------------------- */

/* The text, if it is a JSON object; what is none is left out, as upstream does. */
static const char *
json_object_or_null(tn_arena *arena, const char *text, size_t length)
{
    json_object *object = NULL;

    if (tn_json_parse(arena, text, length, TN_JSON_DEPTH, &object) != NULL ||
        !json_object_is_type(object, json_type_object))
        return NULL;
    return text;
}

static const char *
read_metadata_header(tn_ctx *c)
{
    const char *text = tn_request_header(c->request, "x-metadata");
    size_t size, length;
    char *json;

    if (!tn_text_is_given(text))
        return NULL;
    size = strlen(text);
    json = tn_arena_alloc(c->arena, size + 1, 1);
    if (!tn_base64_decode(c->arena, text, size, json, size, &length))
        return NULL;
    return json_object_or_null(c->arena, json, length);
}

static bool
is_printable(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

/* Further members of objects.metadata. */
static const char *
encoding_member(tn_arena *arena, const char *encoding)
{
    PQExpBuffer json;

    if (!tn_text_is_given(encoding) || strlen(encoding) > 100 || !is_printable(encoding))
        return NULL;
    json = tn_arena_buffer(arena);
    appendPQExpBufferStr(json, "\"contentEncoding\":");
    tn_buffer_json_string(json, encoding);
    return tn_buffer_text(json);
}

/* --- X-Robots-Tag ----------------------------------------------------------------------------- */

/* One rule of those that search engines know, without the blanks around it. */
static bool
is_robots_rule(const char *rule, size_t length)
{
    static const char *const rules[] = {
        "all",  "index",       "follow",       "noindex",   "nofollow",
        "none", "noarchive",   "nocache",      "nosnippet", "indexifembedded",
        "noai", "notranslate", "noimageindex", "noimageai", "nositelinkssearchbox"};
    static const char *const with_value[] = {
        "max-snippet:", "max-image-preview:", "max-video-preview:", "unavailable_after:"};

    for (size_t i = 0; i < TN_COUNT(rules); i++)
        if (strlen(rules[i]) == length && strncasecmp(rule, rules[i], length) == 0)
            return true;
    for (size_t i = 0; i < TN_COUNT(with_value); i++)
        if (length > strlen(with_value[i]) &&
            strncasecmp(rule, with_value[i], strlen(with_value[i])) == 0)
            return true;
    return false;
}

/* "googlebot: noindex, nofollow": rules between commas, each perhaps with a robot's name before it.
 * The date of unavailable_after may have a comma of its own. */
static bool
is_robots_tag(const char *text)
{
    bool after_date = false;

    while (*text != '\0') {
        size_t length = strcspn(text, ","), robot;
        const char *rule = text + strspn(text, " \t"), *end = text + length;

        while (end > rule && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        robot = strcspn(rule, ": ,");
        if (!is_robots_rule(rule, (size_t)(end - rule)) && !after_date) {
            if (rule[robot] != ':')
                return false;
            rule += robot + 1;
            rule += strspn(rule, " \t");
            if (rule > end || !is_robots_rule(rule, (size_t)(end - rule)))
                return false;
        }
        after_date = strncasecmp(rule, "unavailable_after:", 18) == 0;
        text += length;
        text += *text == ',';
    }
    return true;
}

/* --- all of them ------------------------------------------------------------------------------ */

const tn_error *
tn_upload_read_headers(tn_ctx *c, tn_upload *upload)
{
    const tn_request *request = c->request;
    const char *cache_control = tn_request_header(request, "cache-control");

    upload->robots = tn_request_header(request, "x-robots-tag");
    if (upload->robots != NULL && (strlen(upload->robots) > 1000 || !is_printable(upload->robots) ||
                                   !is_robots_tag(upload->robots)))
        return tn_error_new(c->arena, 400, "InvalidXRobotsTag", NULL,
                            "Invalid X-Robots-Tag header: %.200s", upload->robots);
    upload->user_metadata = read_metadata_header(c);
    upload->length = request->content_length;
    if (tn_form_is(c)) {
        upload->length = upload->length > OVERHEAD ? upload->length - OVERHEAD : -1;
        return NULL;
    }
    upload->cache_control = tn_text_is_given(cache_control) ? cache_control : NULL;
    upload->content_type = tn_request_header(request, "content-type");
    upload->metadata = encoding_member(c->arena, tn_request_header(request, "content-encoding"));
    return NULL;
}

const tn_error *
tn_upload_read_body(tn_ctx *c, const tn_bucket *bucket, tn_incoming **body)
{
    if (c->request->phase == TN_PHASE_ADMITTED)
        return tn_incoming_body(c, 0, body);
    return tn_incoming_body(c, bucket->size_max + (tn_form_is(c) ? OVERHEAD : 0), body);
}

/* --- forms ------------------------------------------------------------------------------------ */

static const tn_error *
read_incoming(void *context, int64_t offset, void *bytes, size_t size, size_t *got)
{
    return tn_incoming_read(context, offset, bytes, size, got);
}

bool
tn_form_is(const tn_ctx *c)
{
    return tn_multipart_is(tn_request_header(c->request, "content-type"));
}

const tn_error *
tn_form_open(tn_ctx *c, tn_incoming *body, tn_form *form)
{
    *form = (tn_form){.body = body};
    return tn_multipart_new(c->arena, tn_request_header(c->request, "content-type"), read_incoming,
                            body, &form->parts);
}

static const tn_error *
refuse(tn_ctx *c, const char *why)
{
    return tn_error_new(c->arena, 400, "InvalidRequest", NULL, "%s", why);
}

static const tn_error *
read_field(tn_ctx *c, const tn_form *form, const tn_part *part, int64_t max, const char **text)
{
    char *bytes;
    size_t length = 0, got;

    if (part->length > max)
        return tn_error_new(c->arena, 413, "EntityTooLarge", NULL,
                            "The field %.100s has more than %lld bytes", part->name,
                            (long long)max);
    bytes = tn_arena_alloc(c->arena, (size_t)part->length + 1, 1);
    while (length < (size_t)part->length) {
        TN_TRY(tn_incoming_read(form->body, part->offset + (int64_t)length, bytes + length,
                                (size_t)part->length - length, &got));
        if (got == 0)
            return refuse(c, "the body has become shorter");
        length += got;
    }
    if (strlen(bytes) != length || !tn_text_is_utf8(bytes, length))
        return refuse(c, "a field of the form is no UTF-8");
    *text = bytes;
    return NULL;
}

static const tn_error *
take_field(tn_ctx *c, tn_form *form, const tn_part *part)
{
    const struct {
        const char *name;
        int64_t max;
        const char **into;
    } fields[] = {
        {"cacheControl", FIELD_MAX, &form->cache_control},
        {"metadata", METADATA_MAX, &form->metadata},
        {"userMetadata", METADATA_MAX, &form->metadata},
        {"contentType", FIELD_MAX, &form->content_type},
        {"contentEncoding", FIELD_MAX, &form->content_encoding},
    };

    if (++form->fields > FIELDS_MAX)
        return refuse(c, "the form has more than 10 fields");
    for (size_t i = 0; i < TN_COUNT(fields); i++)
        if (strcmp(fields[i].name, part->name) == 0)
            return read_field(c, form, part, fields[i].max, fields[i].into);
    return NULL;
}

/* What has a filename, or no name, or bytes for its type. */
static bool
is_file(const tn_part *part)
{
    return part->filename != NULL || *part->name == '\0' ||
           (part->content_type != NULL &&
            strcmp(part->content_type, "application/octet-stream") == 0);
}

const tn_error *
tn_form_next_file(tn_ctx *c, tn_form *form, tn_part *file, bool *found)
{
    for (;;) {
        TN_TRY(tn_multipart_next(form->parts, file, found));
        if (!*found || is_file(file))
            return NULL;
        TN_TRY(take_field(c, form, file));
    }
}

/* Seconds, as storage-js sends them; anything else that can stand in a header behind max-age=. */
static const char *
cache_control_of(tn_arena *arena, const char *seconds)
{
    if (!tn_text_is_given(seconds) || !is_printable(seconds))
        return NULL;
    return tn_arena_printf(arena, "max-age=%s", seconds);
}

const tn_error *
tn_form_take_file(tn_ctx *c, const tn_form *form, const tn_part *file, tn_upload *upload,
                  tn_incoming **incoming)
{
    const char *type =
        tn_text_is_given(form->content_type) ? form->content_type : file->content_type;

    if (type != NULL && !is_printable(type))
        return tn_error_new(c->arena, 415, "InvalidMimeType", NULL,
                            "mime type %.200s is not supported", type);
    upload->content_type = type;
    upload->length = file->length;
    upload->cache_control = cache_control_of(c->arena, form->cache_control);
    upload->metadata = encoding_member(c->arena, form->content_encoding);
    if (form->metadata != NULL)
        upload->user_metadata =
            json_object_or_null(c->arena, form->metadata, strlen(form->metadata));
    TN_TRY(tn_incoming_new(c, incoming));
    return tn_incoming_append_file(*incoming, form->body, file->offset, file->length);
}
