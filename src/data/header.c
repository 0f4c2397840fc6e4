/* data/header.c: header fields out of SQL, checked, and their places in an answer */
#include "data/header.h"

#include <string.h>

#include "base/text.h"

#define NAME_MAX_BYTES 128
#define VALUE_MAX_BYTES 4096
#define TOTAL_MAX_BYTES 8192 /* nginx takes 16 KiB of an answer's head */

struct collection {
    const char **headers;
    size_t count, bytes;
};

static bool
is_reserved(const char *name)
{
    static const char *const names[] = {
        "status",      "content-length", "transfer-encoding", "connection",
        "keep-alive",  "upgrade",        "trailer",           "te",
        "x-request-id"};

    if (strncasecmp(name, "x-accel-", 8) == 0)
        return true;
    for (size_t i = 0; i < TN_COUNT(names); i++)
        if (tn_text_same_case(name, names[i]))
            return true;
    return false;
}

static bool
is_name(const char *name)
{
    const size_t length = strlen(name);

    return length > 0 && length <= NAME_MAX_BYTES && !is_reserved(name) &&
           strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == length;
}

/* RFC 9110 section 5.5: no control characters but tabs. */
static bool
is_value(json_object *value)
{
    const char *text = json_object_get_string(value);
    const size_t length = (size_t)json_object_get_string_len(value);

    if (length > VALUE_MAX_BYTES)
        return false;
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == '\177')
            return false;
    return true;
}

static bool
add(tn_arena *arena, struct collection *collection, const char *name, json_object *value)
{
    if (!json_object_is_type(value, json_type_string) || !is_name(name) || !is_value(value) ||
        collection->count == TN_SQL_HEADERS_MAX)
        return false;
    collection->bytes += strlen(name) + (size_t)json_object_get_string_len(value);
    collection->headers[2 * collection->count] = tn_arena_text(arena, name);
    collection->headers[2 * collection->count + 1] =
        tn_arena_text(arena, json_object_get_string(value));
    collection->count++;
    return collection->bytes <= TOTAL_MAX_BYTES;
}

static bool
add_members(tn_arena *arena, struct collection *collection, json_object *object)
{
    json_object_object_foreach(object, name, value)
    {
        if (!add(arena, collection, name, value))
            return false;
    }
    return true;
}

static struct collection
new_collection(tn_arena *arena)
{
    return (struct collection){
        .headers = tn_arena_alloc(arena, 2 * TN_SQL_HEADERS_MAX + 1, sizeof(char *))};
}

bool
tn_headers_of_object(tn_arena *arena, json_object *object, const char *const **headers)
{
    struct collection collection = new_collection(arena);

    *headers = collection.headers;
    return json_object_is_type(object, json_type_object) && add_members(arena, &collection, object);
}

bool
tn_headers_of_list(tn_arena *arena, const char *text, const char *const **headers)
{
    struct collection collection = new_collection(arena);
    json_object *list = NULL;

    *headers = collection.headers;
    if (tn_json_parse(arena, text, strlen(text), TN_JSON_DEPTH, &list) != NULL ||
        !json_object_is_type(list, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *item = json_object_array_get_idx(list, i);

        if (!json_object_is_type(item, json_type_object) || json_object_object_length(item) != 1 ||
            !add_members(arena, &collection, item))
            return false;
    }
    return true;
}

void
tn_header_replace(tn_response *response, const char *name, const char *value)
{
    if (tn_text_same_case(name, "content-type")) {
        response->content_type = value;
        return;
    }
    for (size_t i = 0; i < response->header_count; i++)
        if (tn_text_same_case(response->headers[i].name, name)) {
            response->headers[i].value = value;
            return;
        }
    tn_response_header(response, name, value);
}

/* Takes the fields of that name out; those behind them move up. */
static void
remove_header(tn_response *response, const char *name)
{
    size_t kept = 0;

    for (size_t i = 0; i < response->header_count; i++)
        if (!tn_text_same_case(response->headers[i].name, name))
            response->headers[kept++] = response->headers[i];
    response->header_count = kept;
}

void
tn_headers_replace(tn_response *response, const char *const *headers)
{
    for (const char *const *header = headers; *header != NULL; header += 2)
        remove_header(response, header[0]);
    for (; *headers != NULL; headers += 2) {
        if (tn_text_same_case(headers[0], "content-type"))
            response->content_type = headers[1];
        else
            tn_response_header(response, headers[0], headers[1]);
    }
}

void
tn_header_append_encoded(PQExpBuffer buffer, const char *text)
{
    static const char plain[] =
        "-_.~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL)
            appendPQExpBufferChar(buffer, *text);
        else
            appendPQExpBuffer(buffer, "%%%02X", (unsigned int)(unsigned char)*text);
    }
}
