/* storage/s3_list.c: what is in a bucket: ListObjects, ListObjectsV2 and ListObjectVersions, where
 * every object has one version, which is called null */
#include "base/text.h"
#include "storage/area.h"
#include "storage/s3.h"
#include "storage/s3_queries.h"

#define KEYS_MAX 1000

enum { LIST_IS_FOLDER, LIST_NAME, LIST_ETAG, LIST_SIZE, LIST_MODIFIED, LIST_OWNER };

struct list {
    bool is_v2, is_versions, has_owner;
    bool is_escaped;                          /* encoding-type=url */
    const char *prefix, *delimiter, *after;   /* after: NULL from the beginning */
    const char *marker, *token, *start_after; /* as the client says */
    int64_t limit;
    const tn_rows *rows;
    size_t count;
    bool is_truncated;
};

static const char *
given_or(tn_ctx *c, const char *name, const char *otherwise)
{
    const char *text = tn_request_query(c->request, name);

    return tn_text_is_given(text) ? text : otherwise;
}

static const tn_error *
read_token(tn_ctx *c, struct list *list)
{
    char name[2048];
    size_t length;

    if (list->token == NULL)
        return NULL;
    if (!tn_base64url_decode(list->token, strlen(list->token), name, sizeof(name), &length) ||
        length == 0 || !tn_text_is_utf8(name, length) || memchr(name, '\0', length) != NULL)
        return tn_s3_invalid(c->arena, "The continuation token provided is incorrect");
    list->after = tn_arena_bytes(c->arena, name, length);
    return NULL;
}

static const tn_error *
read_list(tn_ctx *c, struct list *list)
{
    const char *type = given_or(c, "list-type", NULL);
    const char *encoding = given_or(c, "encoding-type", NULL);

    *list = (struct list){.is_versions = tn_s3_asks(c, "versions"),
                          .is_v2 = type != NULL && strcmp(type, "2") == 0,
                          .is_escaped = encoding != NULL,
                          .prefix = given_or(c, "prefix", ""),
                          .delimiter = given_or(c, "delimiter", NULL),
                          .marker = given_or(c, "marker", NULL),
                          .start_after = given_or(c, "start-after", NULL),
                          .token = given_or(c, "continuation-token", NULL)};
    if (encoding != NULL && strcmp(encoding, "url") != 0)
        return tn_s3_invalid(c->arena, "Invalid Encoding Method specified in Request");
    if (type != NULL && !list->is_v2)
        return tn_s3_invalid(c->arena, "list-type must be 2");
    list->has_owner = !list->is_v2 || tn_text_same_case(given_or(c, "fetch-owner", ""), "true");
    if (list->is_versions) {
        list->is_v2 = false;
        list->marker = given_or(c, "key-marker", NULL);
    }
    list->after = list->is_v2 ? list->start_after : list->marker;
    TN_TRY(tn_s3_query_limit(c, "max-keys", KEYS_MAX, &list->limit));
    return list->is_v2 ? read_token(c, list) : NULL;
}

/* Names, with escapes where the client has asked for them: XML cannot hold every name. */
static void
add_name(const struct list *list, PQExpBuffer xml, const char *tag, const char *text)
{
    if (text == NULL)
        return;
    tn_s3_xml_open(xml, tag);
    if (list->is_escaped)
        tn_s3_escape(xml, text, true);
    else
        tn_s3_xml_escape(xml, text);
    tn_s3_xml_close(xml, tag);
}

static void
add_entry(const struct list *list, PQExpBuffer xml, size_t row)
{
    const char *owner = tn_rows_text(list->rows, row, LIST_OWNER);

    tn_s3_xml_open(xml, list->is_versions ? "Version" : "Contents");
    add_name(list, xml, "Key", tn_rows_text(list->rows, row, LIST_NAME));
    if (list->is_versions) {
        tn_s3_xml_add(xml, "VersionId", "null");
        tn_s3_xml_add(xml, "IsLatest", "true");
    }
    tn_s3_xml_add(xml, "LastModified", tn_rows_text(list->rows, row, LIST_MODIFIED));
    tn_s3_xml_add(xml, "ETag", tn_rows_text(list->rows, row, LIST_ETAG));
    tn_s3_xml_add(xml, "Size", tn_rows_text(list->rows, row, LIST_SIZE));
    if (list->has_owner) {
        tn_s3_xml_open(xml, "Owner");
        tn_s3_xml_add(xml, "ID", owner);
        tn_s3_xml_add(xml, "DisplayName", owner);
        tn_s3_xml_close(xml, "Owner");
    }
    tn_s3_xml_add(xml, "StorageClass", "STANDARD");
    tn_s3_xml_close(xml, list->is_versions ? "Version" : "Contents");
}

static void
add_rows(const struct list *list, PQExpBuffer xml)
{
    for (size_t i = 0; i < list->count; i++)
        if (!tn_rows_bool(list->rows, i, LIST_IS_FOLDER))
            add_entry(list, xml, i);
    for (size_t i = 0; i < list->count; i++)
        if (tn_rows_bool(list->rows, i, LIST_IS_FOLDER)) {
            tn_s3_xml_open(xml, "CommonPrefixes");
            add_name(list, xml, "Prefix", tn_rows_text(list->rows, i, LIST_NAME));
            tn_s3_xml_close(xml, "CommonPrefixes");
        }
}

static void
add_next(tn_ctx *c, const struct list *list, PQExpBuffer xml)
{
    const char *last;

    tn_s3_xml_add(xml, "IsTruncated", list->is_truncated ? "true" : "false");
    if (!list->is_truncated)
        return;
    last = tn_rows_text(list->rows, list->count - 1, LIST_NAME);
    if (list->is_v2) {
        tn_s3_xml_add(xml, "NextContinuationToken", tn_base64url(c->arena, last, strlen(last)));
    } else if (list->is_versions) {
        add_name(list, xml, "NextKeyMarker", last);
        tn_s3_xml_add(xml, "NextVersionIdMarker", "null");
    } else if (list->delimiter != NULL) {
        add_name(list, xml, "NextMarker", last);
    }
}

static const tn_error *
answer(tn_ctx *c, const struct list *list)
{
    const char *root = list->is_versions ? "ListVersionsResult" : "ListBucketResult";
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, root);

    tn_s3_xml_add(xml, "Name", tn_path_text(c, "bucket"));
    add_name(list, xml, "Prefix", list->prefix);
    add_name(list, xml, "Delimiter", list->delimiter);
    if (list->is_v2) {
        add_name(list, xml, "StartAfter", list->start_after);
        tn_s3_xml_add(xml, "ContinuationToken", list->token);
        tn_s3_xml_add(xml, "KeyCount", tn_arena_number(c->arena, (int64_t)list->count));
    } else {
        add_name(list, xml, list->is_versions ? "KeyMarker" : "Marker",
                 list->marker != NULL ? list->marker : "");
    }
    tn_s3_xml_add(xml, "MaxKeys", tn_arena_number(c->arena, list->limit));
    tn_s3_xml_add(xml, "EncodingType", list->is_escaped ? "url" : NULL);
    add_next(c, list, xml);
    add_rows(list, xml);
    return tn_s3_respond(c, xml, root);
}

/* GET /bucket; the bucket is there. */
const tn_error *
tn_s3_list(tn_ctx *c)
{
    struct list list;

    TN_TRY(read_list(c, &list));
    TN_TRY(tn_storage_rows(c, "storage.s3.object.list", TN_READ_ONLY, &tn_sql_s3_list,
                           TN_PARAMS(tn_path_text(c, "bucket"), list.prefix, list.delimiter,
                                     tn_arena_number(c->arena, list.limit + 1), list.after),
                           &list.rows));
    list.count = tn_rows_count(list.rows);
    list.is_truncated = list.count > (size_t)list.limit && list.limit > 0;
    if (list.count > (size_t)list.limit)
        list.count = (size_t)list.limit;
    return answer(c, &list);
}
