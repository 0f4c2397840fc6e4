/* storage/s3_download.c: GetObject, HeadObject, GetObjectAttributes */
#include "base/json.h"
#include "base/text.h"
#include "objects/condition.h"
#include "objects/content_type.h"
#include "objects/send.h"
#include "storage/area.h"
#include "storage/s3.h"

#define HEADERS_MAX 100
#define PARTS_MAX 1000 /* in one answer of GetObjectAttributes */

struct download {
    tn_object object;
    json_object *metadata, *user_metadata; /* objects, or NULL */
    tn_pair headers[HEADERS_MAX];
    size_t header_count;
};

static const tn_error *
parse_object(tn_ctx *c, const char *text, json_object **object)
{
    *object = NULL;
    if (text == NULL)
        return NULL;
    TN_TRY(tn_json_parse(c->arena, text, strlen(text), TN_JSON_DEPTH, object));
    if (!json_object_is_type(*object, json_type_object))
        *object = NULL;
    return NULL;
}

static const tn_error *
find(tn_ctx *c, const char *operation, struct download *download)
{
    TN_TRY(tn_object_find(c, operation, TN_READ_AS_CALLER, tn_path_text(c, "bucket"),
                          tn_path_text(c, "key"), &download->object));
    TN_TRY(parse_object(c, download->object.metadata, &download->metadata));
    return parse_object(c, download->object.user_metadata, &download->user_metadata);
}

static bool
add_header(struct download *download, const char *name, const char *value)
{
    if (download->header_count == HEADERS_MAX)
        return false;
    download->headers[download->header_count++] = (tn_pair){.name = name, .value = value};
    return true;
}

/* Can it stand in a header: a token, and a value without control characters? */
static bool
is_printable(const char *name, const char *value)
{
    if (*name == '\0' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
            strlen(name))
        return false;
    for (; *value != '\0'; value++)
        if ((unsigned char)*value < ' ' || *value == 0x7F)
            return false;
    return true;
}

/* Metadata that came by another dialect may be anything in JSON. */
static void
add_user_metadata(tn_ctx *c, struct download *download)
{
    int64_t missing = 0;

    if (download->user_metadata == NULL)
        return;
    json_object_object_foreach(download->user_metadata, name, value)
    {
        const char *text = value == NULL ? "null"
                           : json_object_is_type(value, json_type_string)
                               ? json_object_get_string(value)
                               : json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);

        if (!is_printable(name, text) ||
            !add_header(download, tn_arena_printf(c->arena, "x-amz-meta-%s", name),
                        tn_arena_text(c->arena, text)))
            missing++;
    }
    if (missing > 0)
        (void)add_header(download, "x-amz-missing-meta", tn_arena_number(c->arena, missing));
}

static void
add_checksums(tn_ctx *c, struct download *download)
{
    const char *mode = tn_s3_header(c, "x-amz-checksum-mode");
    json_object *checksums = tn_json_get(download->metadata, "checksums");
    bool has_one = false;

    /* of the whole object, so it says nothing about a piece of it */
    if (mode == NULL || !tn_text_same_case(mode, "ENABLED") ||
        tn_request_header(c->request, "range") != NULL || tn_s3_asks(c, "partNumber") ||
        !json_object_is_type(checksums, json_type_object))
        return;
    for (size_t i = 0; i < tn_s3_checksum_count; i++) {
        const char *text = tn_json_text(checksums, tn_s3_checksums[i].name, NULL);

        if (text != NULL && is_printable("x", text))
            has_one =
                add_header(download,
                           tn_arena_printf(c->arena, "x-amz-checksum-%s", tn_s3_checksums[i].name),
                           text) ||
                has_one;
    }
    if (has_one)
        (void)add_header(download, "x-amz-checksum-type",
                         tn_json_text(download->metadata, "checksumType", "FULL_OBJECT"));
}

static void
add_rest(tn_ctx *c, struct download *download)
{
    json_object *tags = tn_json_get(download->metadata, "tags");

    if (json_object_is_type(tags, json_type_object) && json_object_object_length(tags) > 0)
        (void)add_header(download, "x-amz-tagging-count",
                         tn_arena_number(c->arena, json_object_object_length(tags)));
    if (download->object.sealed_key != NULL)
        (void)add_header(download, "x-amz-server-side-encryption", "AES256");
}

/* What the query says instead of what is stored: a field of the answer, and one media type, by
 * which it is decided how a browser may show it. */
static const tn_error *
check_overrides(tn_ctx *c)
{
    static const char *const names[] = {"response-cache-control",    "response-content-disposition",
                                        "response-content-encoding", "response-content-language",
                                        "response-content-type",     "response-expires"};

    for (size_t i = 0; i < TN_COUNT(names); i++) {
        const char *text = tn_request_query(c->request, names[i]);

        if (text != NULL && !is_printable("x", text))
            return tn_s3_invalid(c->arena, "%s has a control character", names[i]);
    }
    if (tn_text_is_given(tn_request_query(c->request, "response-content-type")) &&
        !tn_type_is_valid(tn_request_query(c->request, "response-content-type")))
        return tn_s3_invalid(c->arena, "response-content-type is not one media type");
    return NULL;
}

/* What the query says instead of what is stored; both without control characters. */
static const char *
chosen(tn_ctx *c, const struct download *download, const char *query, const char *member)
{
    const char *text = tn_request_query(c->request, query);

    if (text == NULL && member != NULL)
        text = tn_json_text(download->metadata, member, NULL);
    return text != NULL && is_printable("x", text) ? text : NULL;
}

/* --- one part of it --------------------------------------------------------------------------- */

static const tn_error *
no_such_part(tn_arena *arena)
{
    return tn_error_new(arena, 416, "InvalidPartNumber", NULL,
                        "The requested partnumber is not satisfiable");
}

/* Where the part lies; an object that was not uploaded in parts is one. */
static const tn_error *
find_part(tn_ctx *c, struct download *download, int64_t number, tn_range *range)
{
    json_object *parts = tn_json_get(download->metadata, "parts");
    const bool has_parts = json_object_is_type(parts, json_type_array);
    const size_t count = has_parts ? json_object_array_length(parts) : 1;

    *range = (tn_range){.first = 0, .last = download->object.size - 1};
    if (number > (int64_t)count)
        return no_such_part(c->arena);
    if (!has_parts)
        return NULL;
    for (int64_t i = 0; i < number - 1; i++)
        range->first += json_object_get_int64(json_object_array_get_idx(parts, (size_t)i));
    range->last = range->first - 1 +
                  json_object_get_int64(json_object_array_get_idx(parts, (size_t)number - 1));
    (void)add_header(download, "x-amz-mp-parts-count", tn_arena_number(c->arena, (int64_t)count));
    return NULL;
}

/* `partNumber` as the Range that it stands for, in `request`. */
static const tn_error *
choose_part(tn_ctx *c, struct download *download, tn_request *request)
{
    const char *text = tn_request_query(c->request, "partNumber");
    tn_pair *headers;
    tn_range range;
    int64_t number;

    if (text == NULL)
        return NULL;
    if (!tn_text_int(text, 1, 10000, &number))
        return tn_s3_invalid(c->arena,
                             "Part number must be an integer between 1 and 10000, inclusive");
    if (tn_request_header(c->request, "range") != NULL)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "Cannot specify both Range header and partNumber query parameter.");
    TN_TRY(find_part(c, download, number, &range));
    if (range.last < range.first)
        return NULL;
    headers = tn_arena_alloc(c->arena, request->header_count + 1, sizeof(*headers));
    memcpy(headers, request->headers, request->header_count * sizeof(*headers));
    headers[request->header_count++] =
        (tn_pair){.name = "range",
                  .value = tn_arena_printf(c->arena, "bytes=%lld-%lld", (long long)range.first,
                                           (long long)range.last)};
    request->headers = headers;
    /* not nginx, which knows of no range: a field that does not survive the way to it */
    (void)add_header(download, "x-amz-part-number", tn_arena_number(c->arena, number));
    return NULL;
}

/* ---------------------------------------------------------------------------------------------- */

const tn_error *
tn_s3_object_send(tn_ctx *c)
{
    const char *operation =
        c->response->is_head ? "storage.s3.object.info" : "storage.s3.object.get";
    struct download *download = tn_arena_alloc(c->arena, 1, sizeof(*download));
    tn_request request = *c->request;
    tn_ctx own = *c;
    const char *expires;
    tn_sending sending;

    TN_TRY(check_overrides(c));
    TN_TRY(find(c, operation, download));
    TN_TRY(choose_part(c, download, &request));
    own.request = &request;
    add_user_metadata(c, download);
    add_checksums(c, download);
    add_rest(c, download);
    expires = chosen(c, download, "response-expires", "expires");
    if (expires != NULL)
        (void)add_header(download, "Expires", expires);
    sending = (tn_sending){
        .content_type = chosen(c, download, "response-content-type", NULL),
        .cache_control = chosen(c, download, "response-cache-control", NULL),
        .disposition = chosen(c, download, "response-content-disposition", "contentDisposition"),
        .content_encoding = chosen(c, download, "response-content-encoding", "contentEncoding"),
        .content_language = chosen(c, download, "response-content-language", "contentLanguage"),
        .headers = download->headers,
        .header_count = download->header_count,
        .head_has_range = true,
    };
    tn_response_header(c->response, "x-amz-request-id", c->request->id);
    return tn_object_send(&own, &download->object, &sending);
}

/* --- GetObjectAttributes ---------------------------------------------------------------------- */

static bool
is_wanted(tn_ctx *c, const char *name)
{
    const char *text = tn_s3_header(c, "x-amz-object-attributes");
    const char *const *names;
    size_t count;

    if (text == NULL)
        return false;
    names = tn_text_split(c->arena, text, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void
add_checksum_element(tn_ctx *c, const struct download *download, PQExpBuffer xml)
{
    json_object *checksums = tn_json_get(download->metadata, "checksums");

    if (!is_wanted(c, "Checksum") || !json_object_is_type(checksums, json_type_object))
        return;
    tn_s3_xml_open(xml, "Checksum");
    for (size_t i = 0; i < tn_s3_checksum_count; i++)
        tn_s3_xml_add(xml, tn_s3_checksums[i].xml,
                      tn_json_text(checksums, tn_s3_checksums[i].name, NULL));
    tn_s3_xml_add(xml, "ChecksumType",
                  tn_json_text(download->metadata, "checksumType", "FULL_OBJECT"));
    tn_s3_xml_close(xml, "Checksum");
}

static const tn_error *
read_number(tn_ctx *c, const char *header, int64_t most, int64_t *number)
{
    const char *text = tn_s3_header(c, header);

    if (text != NULL && !tn_text_int(text, 0, INT64_MAX, number))
        return tn_s3_invalid(c->arena, "%s is no number", header);
    *number = *number < most ? *number : most;
    return NULL;
}

static const tn_error *
add_parts_element(tn_ctx *c, const struct download *download, PQExpBuffer xml)
{
    json_object *parts = tn_json_get(download->metadata, "parts");
    int64_t most = PARTS_MAX, marker = 0, count, last;

    if (!is_wanted(c, "ObjectParts") || !json_object_is_type(parts, json_type_array))
        return NULL;
    count = (int64_t)json_object_array_length(parts);
    TN_TRY(read_number(c, "x-amz-max-parts", PARTS_MAX, &most));
    TN_TRY(read_number(c, "x-amz-part-number-marker", count, &marker));
    last = marker + most < count ? marker + most : count;
    tn_s3_xml_open(xml, "ObjectParts");
    tn_s3_xml_add(xml, "PartsCount", tn_arena_number(c->arena, count));
    tn_s3_xml_add(xml, "PartNumberMarker", tn_arena_number(c->arena, marker));
    tn_s3_xml_add(xml, "NextPartNumberMarker", tn_arena_number(c->arena, last));
    tn_s3_xml_add(xml, "MaxParts", tn_arena_number(c->arena, most));
    tn_s3_xml_add(xml, "IsTruncated", last < count ? "true" : "false");
    for (int64_t i = marker; i < last; i++) {
        json_object *size = json_object_array_get_idx(parts, (size_t)i);

        tn_s3_xml_open(xml, "Part");
        tn_s3_xml_add(xml, "PartNumber", tn_arena_number(c->arena, i + 1));
        tn_s3_xml_add(xml, "Size", tn_arena_number(c->arena, json_object_get_int64(size)));
        tn_s3_xml_close(xml, "Part");
    }
    tn_s3_xml_close(xml, "ObjectParts");
    return NULL;
}

const tn_error *
tn_s3_object_attributes(tn_ctx *c)
{
    struct download *download = tn_arena_alloc(c->arena, 1, sizeof(*download));
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "GetObjectAttributesResponse");
    char date[TN_HTTP_DATE_SIZE];

    TN_TRY(find(c, "storage.s3.object.info", download));
    if (is_wanted(c, "ETag")) { /* here, and only here, without its quotes */
        const char *etag = download->object.etag;
        const size_t length = strlen(etag);

        tn_s3_xml_add(xml, "ETag",
                      length >= 2 && *etag == '"' ? tn_arena_bytes(c->arena, etag + 1, length - 2)
                                                  : etag);
    }
    add_checksum_element(c, download, xml);
    TN_TRY(add_parts_element(c, download, xml));
    if (is_wanted(c, "StorageClass"))
        tn_s3_xml_add(xml, "StorageClass", "STANDARD");
    if (is_wanted(c, "ObjectSize"))
        tn_s3_xml_add(xml, "ObjectSize", tn_arena_number(c->arena, download->object.size));
    tn_http_date(download->object.modified_s, date);
    tn_response_header(c->response, "Last-Modified", tn_arena_text(c->arena, date));
    return tn_s3_respond(c, xml, "GetObjectAttributesResponse");
}
