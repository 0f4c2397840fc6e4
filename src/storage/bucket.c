/* storage/bucket.c: buckets: rules for what is in them */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "storage/area.h"
#include "storage/queries.h"

#define TYPES_MAX 1000
#define TYPE_LENGTH_MAX 1000
#define PAGE_MAX INT32_MAX
#define EMPTY_STEP 5000 /* rows that are deleted at once */
#define ANALYTICS_SUFFIX "--table-s3"
#define CHARSET_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+:"

struct rules {
    const char *is_public, *encrypted; /* "true", "false", NULL: not said */
    bool has_size, has_types;
    const char *size, *types; /* as parameters; NULL: no limit */
};

/* --- reading ---------------------------------------------------------------------------------- */

static const tn_error *
bad_size(tn_ctx *c, const char *text)
{
    return tn_error_new(c->arena, 400, "InvalidRequest", NULL, "Invalid file size format: %.100s",
                        text);
}

/* "20GB", "1.5 mb", "500": decimal units, in any letter case. */
static const tn_error *
read_size_text(tn_ctx *c, const char *text, int64_t *bytes)
{
    static const struct {
        const char *name;
        int64_t bytes;
    } units[] = {
        {"", 1}, {"b", 1}, {"kb", 1000}, {"mb", 1000000}, {"gb", 1000000000},
    };
    const size_t digits = strspn(text, "0123456789");
    int64_t number;

    if (digits > 0 &&
        tn_text_int(tn_arena_bytes(c->arena, text, digits), 0, INT64_MAX / 1000000000, &number))
        for (size_t i = 0; i < TN_COUNT(units); i++)
            if (tn_text_same_case(text + digits, units[i].name)) {
                *bytes = number * units[i].bytes;
                return NULL;
            }
    return bad_size(c, text);
}

static const tn_error *
read_size(tn_ctx *c, json_object *body, struct rules *rules)
{
    json_object *value = NULL;
    int64_t bytes = 0;

    rules->has_size = json_object_object_get_ex(body, "file_size_limit", &value);
    if (value == NULL)
        return NULL;
    if (json_object_is_type(value, json_type_string))
        TN_TRY(read_size_text(c, json_object_get_string(value), &bytes));
    else if (!json_object_is_type(value, json_type_int))
        return tn_storage_invalid(c->arena, "body/file_size_limit must be integer");
    else
        bytes = json_object_get_int64(value);
    if (bytes < 0)
        return tn_storage_invalid(c->arena, "body/file_size_limit must be >= 0");
    if (bytes > c->config->storage.object_max)
        return tn_error_new(c->arena, 413, "EntityTooLarge", NULL,
                            "The object exceeded the maximum allowed size");
    rules->size = tn_arena_number(c->arena, bytes);
    return NULL;
}

static bool
is_type_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("-+.", text[i]) == NULL)
            return false;
    return length > 0;
}

/* type/subtype, perhaps with a charset; image slash star; a lone star. */
static bool
is_type(const char *text)
{
    const size_t length = strlen(text), first = strcspn(text, "/");
    const char *rest = text + first + 1;
    size_t second;

    if (strcmp(text, "*") == 0 || strcmp(text, "*/*") == 0)
        return true;
    if (length > TYPE_LENGTH_MAX || text[first] != '/' || !is_type_text(text, first))
        return false;
    if (strcmp(rest, "*") == 0)
        return true;
    second = strcspn(rest, ";");
    if (!is_type_text(rest, second))
        return false;
    rest += second;
    if (*rest == '\0')
        return true;
    rest++;
    rest += strspn(rest, " ");
    return strncmp(rest, "charset=", 8) == 0 && rest[8] != '\0' &&
           strspn(rest + 8, CHARSET_CHARACTERS) == strlen(rest + 8);
}

static const tn_error *
read_types(tn_ctx *c, json_object *body, struct rules *rules)
{
    PQExpBuffer array = tn_arena_buffer(c->arena);
    const char *const *given;
    const char **kept;
    size_t count, kept_count = 0;

    rules->has_types = json_object_object_get_ex(body, "allowed_mime_types", NULL);
    TN_TRY(tn_storage_texts(c, body, "allowed_mime_types", 0, TYPES_MAX, &given, &count));
    if (given == NULL)
        return NULL;
    kept = tn_arena_alloc(c->arena, count + 1, sizeof(*kept));
    for (size_t i = 0; i < count; i++) {
        if (*given[i] == '\0')
            continue;
        if (!is_type(given[i]))
            return tn_error_new(c->arena, 415, "InvalidMimeType", NULL,
                                "mime type %.200s is not supported", given[i]);
        kept[kept_count++] = given[i];
    }
    if (kept_count > 0) {
        tn_buffer_array(array, kept, kept_count);
        rules->types = tn_buffer_text(array);
    }
    return NULL;
}

static const tn_error *
read_flag(tn_ctx *c, json_object *body, const char *name, const char **into)
{
    bool value = false;

    TN_TRY(tn_storage_flag(c, body, name, &value));
    if (tn_json_get(body, name) != NULL)
        *into = value ? "true" : "false";
    return NULL;
}

static const tn_error *
read_rules(tn_ctx *c, json_object *body, struct rules *rules)
{
    *rules = (struct rules){.size = NULL};
    TN_TRY(read_flag(c, body, "public", &rules->is_public));
    TN_TRY(read_flag(c, body, "encrypted", &rules->encrypted));
    if (rules->encrypted != NULL && *rules->encrypted == 't' &&
        *c->config->storage.master_key == '\0')
        return tn_error_new(c->arena, 409, "FeatureNotEnabled", NULL,
                            "Buckets can be encrypted when storage.master_key is set");
    if (tn_json_get(body, "versioning_status") != NULL &&
        strcmp(tn_json_text(body, "versioning_status", ""), "DISABLED") != 0)
        return tn_error_new(c->arena, 409, "FeatureNotEnabled", NULL,
                            "There are no versions of objects here");
    TN_TRY(read_size(c, body, rules));
    return read_types(c, body, rules);
}

/* Names that clients of analytics buckets take for theirs. */
static bool
is_reserved(const char *name)
{
    const size_t length = strlen(name), suffix = strlen(ANALYTICS_SUFFIX);

    return length >= suffix && strcmp(name + length - suffix, ANALYTICS_SUFFIX) == 0;
}

static const tn_error *
check_name(tn_ctx *c, const char *name)
{
    if (tn_bucket_name_is_valid(name) && !is_reserved(name))
        return NULL;
    return tn_error_new(c->arena, 400, "InvalidBucketName", NULL, "Bucket name invalid");
}

/* --- handlers --------------------------------------------------------------------------------- */

/* POST /storage/v1/bucket */
const tn_error *
tn_storage_bucket_create(tn_ctx *c)
{
    static const char *const types[] = {"STANDARD", "ANALYTICS", NULL};
    PQExpBuffer json = tn_arena_buffer(c->arena);
    const char *name = NULL, *id = NULL, *type = types[0];
    struct rules rules;
    json_object *body;
    const tn_rows *rows;

    TN_TRY(tn_storage_body(c, &body));
    TN_TRY(tn_storage_text(c, body, "name", &name));
    TN_TRY(tn_storage_required(c, "name", name));
    TN_TRY(tn_storage_text(c, body, "id", &id));
    TN_TRY(tn_storage_choice(c, body, "type", types, &type));
    if (id == NULL)
        id = name;
    TN_TRY(check_name(c, name));
    TN_TRY(check_name(c, id));
    if (type != types[0])
        return tn_storage_bucket_feature(c);
    TN_TRY(read_rules(c, body, &rules));
    TN_TRY(tn_storage_rows(c, "storage.bucket.create", TN_READ_WRITE, &tn_sql_storage_bucket_create,
                           TN_PARAMS(id, name, rules.is_public != NULL ? rules.is_public : "false",
                                     rules.size, rules.types,
                                     rules.encrypted != NULL ? rules.encrypted : "false"),
                           &rows));
    appendPQExpBufferStr(json, "{\"name\":");
    tn_buffer_json_string(json, name);
    appendPQExpBufferChar(json, '}');
    return tn_storage_json(c, tn_buffer_text(json));
}

static const tn_error *
read_query_number(tn_ctx *c, const char *name, int64_t min, const char **text)
{
    const char *given = tn_request_query(c->request, name);
    int64_t number;

    if (given == NULL)
        return NULL;
    if (!tn_text_int(given, min, PAGE_MAX, &number))
        return tn_storage_invalid(c->arena, "querystring/%s must be integer", name);
    *text = tn_arena_number(c->arena, number);
    return NULL;
}

static const tn_error *
read_query_choice(tn_ctx *c, const char *name, const char *const *choices, const char **text)
{
    const char *given = tn_request_query(c->request, name);

    if (given == NULL)
        return NULL;
    for (; *choices != NULL; choices++)
        if (strcmp(given, *choices) == 0) {
            *text = *choices;
            return NULL;
        }
    return tn_storage_invalid(c->arena, "querystring/%s must be equal to one of the allowed values",
                              name);
}

/* GET /storage/v1/bucket */
const tn_error *
tn_storage_bucket_list(tn_ctx *c)
{
    static const char *const columns[] = {"name", "id", "created_at", "updated_at", NULL};
    static const char *const orders[] = {"asc", "desc", NULL};
    const char *limit = NULL, *offset = "0", *column = columns[0], *order = orders[0];
    const tn_rows *rows;

    TN_TRY(read_query_number(c, "limit", 1, &limit));
    TN_TRY(read_query_number(c, "offset", 0, &offset));
    TN_TRY(read_query_choice(c, "sortColumn", columns, &column));
    TN_TRY(read_query_choice(c, "sortOrder", orders, &order));
    TN_TRY(tn_storage_rows(
        c, "storage.bucket.list", TN_READ_ONLY, &tn_sql_storage_bucket_list,
        TN_PARAMS(tn_request_query(c->request, "search"), limit, offset, column, order), &rows));
    return tn_storage_json(c, tn_rows_text(rows, 0, 0));
}

/* GET /storage/v1/bucket/{bucket} */
const tn_error *
tn_storage_bucket_get(tn_ctx *c)
{
    const tn_rows *rows;

    TN_TRY(tn_storage_rows(c, "storage.bucket.get", TN_READ_ONLY, &tn_sql_storage_bucket_get,
                           TN_PARAMS(tn_path_text(c, "bucket")), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_storage_no_bucket(c->arena);
    return tn_storage_json(c, tn_rows_text(rows, 0, 0));
}

/* PUT /storage/v1/bucket/{bucket} */
const tn_error *
tn_storage_bucket_update(tn_ctx *c)
{
    struct rules rules;
    json_object *body;
    const tn_rows *rows;

    TN_TRY(tn_storage_body(c, &body));
    TN_TRY(read_rules(c, body, &rules));
    if (rules.is_public == NULL && rules.encrypted == NULL && !rules.has_size && !rules.has_types)
        return tn_storage_invalid(
            c->arena, "body must have one of public, file_size_limit, allowed_mime_types");
    TN_TRY(tn_storage_rows(
        c, "storage.bucket.update", TN_READ_WRITE, &tn_sql_storage_bucket_update,
        TN_PARAMS(tn_path_text(c, "bucket"), rules.is_public, rules.has_size ? "true" : "false",
                  rules.size, rules.has_types ? "true" : "false", rules.types, rules.encrypted),
        &rows));
    if (tn_rows_affected(rows) == 0)
        return tn_storage_no_bucket(c->arena);
    return tn_storage_message(c, "Successfully updated");
}

/* POST /storage/v1/bucket/{bucket}/empty: what was there when it began, in steps. */
const tn_error *
tn_storage_bucket_empty(tn_ctx *c)
{
    const char *bucket = tn_path_text(c, "bucket"), *begun;
    const tn_rows *rows;

    TN_TRY(tn_storage_require_service(c));
    TN_TRY(tn_storage_rows(c, "storage.bucket.empty", TN_READ_ONLY, &tn_sql_storage_bucket_exists,
                           TN_PARAMS(bucket), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_storage_no_bucket(c->arena);
    begun = tn_rows_text(rows, 0, 0);
    do
        TN_TRY(tn_storage_rows(
            c, "storage.bucket.empty", TN_READ_WRITE, &tn_sql_storage_bucket_empty,
            TN_PARAMS(bucket, begun, tn_arena_number(c->arena, EMPTY_STEP)), &rows));
    while (tn_rows_affected(rows) > 0);
    return tn_storage_message(c,
                              "Empty bucket has been queued. Completion may take up to an hour.");
}

/* DELETE /storage/v1/bucket/{bucket} */
const tn_error *
tn_storage_bucket_delete(tn_ctx *c)
{
    const tn_rows *rows;

    TN_TRY(tn_storage_rows(c, "storage.bucket.delete", TN_READ_WRITE, &tn_sql_storage_bucket_delete,
                           TN_PARAMS(tn_path_text(c, "bucket")), &rows));
    if (tn_rows_affected(rows) == 0)
        return tn_storage_no_bucket(c->arena);
    return tn_storage_message(c, "Successfully deleted");
}

/* What the hosted service has and this one has not: analytics buckets, lifecycle rules. */
const tn_error *
tn_storage_bucket_feature(tn_ctx *c)
{
    return tn_error_new(c->arena, 409, "FeatureNotEnabled", NULL,
                        "This feature is not available here");
}
