/* objects/bucket.c: names, types and limits */
#include "objects/bucket.h"

#include <string.h>

#include "base/text.h"
#include "objects/content_type.h"
#include "objects/queries.h"

#define NAME_CHARACTERS                                               \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_" \
    "!.*'() &$=@;:+,?-"
#define BUCKET_NAME_MAX 100
#define OBJECT_NAME_MAX 1024

bool
tn_bucket_name_is_valid(const char *name)
{
    const size_t length = strlen(name);

    return length >= 1 && length <= BUCKET_NAME_MAX && strspn(name, NAME_CHARACTERS) == length &&
           name[0] != ' ' && name[length - 1] != ' ';
}

static bool
is_dots(const char *segment, size_t length)
{
    return (length == 1 && segment[0] == '.') ||
           (length == 2 && segment[0] == '.' && segment[1] == '.');
}

bool
tn_object_name_is_valid(const char *name)
{
    const size_t length = strlen(name);

    if (length < 1 || length > OBJECT_NAME_MAX || strspn(name, NAME_CHARACTERS "/") != length)
        return false;
    for (const char *segment = name;; segment++) {
        const size_t size = strcspn(segment, "/");

        if (is_dots(segment, size))
            return false;
        segment += size;
        if (*segment == '\0')
            return true;
    }
}

const tn_error *
tn_object_name_check(tn_arena *arena, const char *name)
{
    if (tn_object_name_is_valid(name))
        return NULL;
    return tn_error_new(arena, 400, "InvalidKey", NULL, "Invalid key: %s",
                        tn_text_excerpt(arena, name, 200));
}

/* --- types ------------------------------------------------------------------------------------ */

static bool
covers(const char *pattern, const char *type, size_t length)
{
    const size_t size = strcspn(pattern, ";");

    if (strcmp(pattern, "*") == 0 || strcmp(pattern, "*/*") == 0)
        return true;
    if (size > 0 && pattern[size - 1] == '*')
        return length >= size - 1 && strncasecmp(pattern, type, size - 1) == 0;
    return length == size && strncasecmp(pattern, type, size) == 0;
}

bool
tn_bucket_allows_type(const tn_bucket *bucket, const char *content_type)
{
    size_t length = strcspn(content_type, "; \t");

    if (bucket->allowed_types == NULL)
        return true;
    for (size_t i = 0; i < bucket->allowed_type_count; i++)
        if (covers(bucket->allowed_types[i], content_type, length))
            return true;
    return false;
}

/* --- the row ---------------------------------------------------------------------------------- */

static const tn_error *
read_types(tn_ctx *c, const char *text, tn_bucket *bucket)
{
    const char **types;
    json_object *array;
    size_t count;

    TN_TRY(tn_json_parse(c->arena, text, strlen(text), TN_JSON_DEPTH, &array));
    count = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
    types = tn_arena_alloc(c->arena, count + 1, sizeof(*types));
    for (size_t i = 0; i < count; i++)
        types[i] = json_object_get_string(json_object_array_get_idx(array, i));
    bucket->allowed_types = types;
    for (size_t i = 0; i < count; i++)
        if (types[i] != NULL && *types[i] != '\0')
            types[bucket->allowed_type_count++] = types[i];
    if (bucket->allowed_type_count == 0)
        bucket->allowed_types = NULL; /* an empty list is no list */
    return NULL;
}

const tn_error *
tn_bucket_read(tn_ctx *c, const tn_rows *rows, tn_bucket *bucket)
{
    const int64_t ceiling = c->config->storage.object_max;
    int64_t own;

    *bucket = (tn_bucket){.id = ""};
    if (tn_rows_count(rows) == 0)
        return tn_error_new(c->arena, 404, "NoSuchBucket", NULL, "Bucket not found");
    own = tn_rows_int(rows, 0, 4, 0);
    bucket->id = tn_rows_text(rows, 0, 0);
    bucket->name = tn_rows_text(rows, 0, 1);
    bucket->is_public = tn_rows_bool(rows, 0, 2);
    bucket->encrypted = tn_rows_bool(rows, 0, 3);
    bucket->size_max = own > 0 && own < ceiling ? own : ceiling;
    if (tn_rows_text(rows, 0, 5) == NULL)
        return NULL;
    return read_types(c, tn_rows_text(rows, 0, 5), bucket);
}

const tn_error *
tn_bucket_find(tn_ctx *c, const char *id, tn_bucket *bucket)
{
    const tn_rows *rows;

    TN_TRY(tn_tx_rows(c, TN_READ_ONLY, &tn_sql_objects_find_bucket, TN_PARAMS(id), &rows));
    return tn_bucket_read(c, rows, bucket);
}
