/* data/body.c: the media types of bodies */
#include "data/body.h"

#include <string.h>

#include "base/text.h"
#include "data/csv.h"
#include "data/json_text.h"

/* The type without its parameters. */
static const char *
type_name(tn_arena *arena, const char *content_type)
{
    size_t length = strcspn(content_type, ";");

    while (length > 0 && content_type[length - 1] == ' ')
        length--;
    return tn_arena_bytes(arena, content_type, length);
}

static bool
is_json(const char *type)
{
    return tn_text_same_case(type, "application/json") ||
           tn_text_same_case(type, "application/vnd.pgrst.array+json");
}

static bool
is_raw(const char *type)
{
    return tn_text_same_case(type, "text/plain") || tn_text_same_case(type, "text/xml") ||
           tn_text_same_case(type, "application/octet-stream");
}

static const tn_error *
bad_json(tn_arena *arena)
{
    return tn_error_new(arena, 400, "PGRST102", NULL, "Empty or invalid json");
}

/* With columns= the text goes to PostgreSQL as it is. It is bound as a C string, so NUL, which is
 * never JSON, must not be in it. */
static const tn_error *
leave_unread(tn_arena *arena, const tn_body_source *source, tn_payload *payload)
{
    if (memchr(source->text, '\0', source->length) != NULL)
        return bad_json(arena);
    *payload = (tn_payload){.json = source->text, .length = source->length, .is_unread = true};
    return NULL;
}

static const tn_error *
read_json(tn_arena *arena, const tn_body_source *source, tn_payload *payload)
{
    tn_json_shape text;

    switch (tn_json_text_read(arena, source->text, source->length, source->depth, &text)) {
    case TN_JSON_GOOD:
        break;
    case TN_JSON_BAD:
        return bad_json(arena);
    case TN_JSON_TOO_DEEP:
        return tn_error_new(arena, 400, "json_too_deep", NULL,
                            "the JSON text nests deeper than %lld", (long long)source->depth);
    case TN_JSON_UNEVEN:
        return tn_error_new(arena, 400, "PGRST102", NULL, "All object keys must match");
    }
    *payload = (tn_payload){.json = source->text,
                            .length = source->length,
                            .keys = text.keys,
                            .key_count = text.key_count,
                            .is_array = text.is_array,
                            .row_count = text.row_count};
    if (!text.is_array && !text.is_object) {
        payload->json = "[]";
        payload->length = 2;
        payload->is_array = true;
    }
    payload->is_empty_object = payload->key_count == 0 && payload->row_count > 0;
    return NULL;
}

static const tn_error *
read_raw(tn_arena *arena, const tn_body_source *source, const char *type, tn_data_body *body)
{
    if (!tn_text_same_case(type, "application/octet-stream") &&
        (memchr(source->text, '\0', source->length) != NULL ||
         !tn_text_is_utf8(source->text, source->length)))
        return tn_error_new(arena, 400, "22021", NULL,
                            "invalid byte sequence for encoding \"UTF8\"");
    body->is_raw = true;
    body->raw_type = type;
    body->raw = source->text;
    body->raw_length = source->length;
    return NULL;
}

const tn_error *
tn_data_body_read(tn_arena *arena, const tn_body_source *source, tn_data_body *body)
{
    const char *type =
        source->content_type == NULL ? "application/json" : type_name(arena, source->content_type);
    tn_body_source empty = *source;

    *body = (tn_data_body){0};
    body->is_csv = tn_text_same_case(type, "text/csv");
    if (body->is_csv)
        return tn_csv_read(arena, source->text, source->length, &body->payload);
    if (tn_text_same_case(type, "application/x-www-form-urlencoded"))
        return tn_form_read(arena, source->text, source->length, &body->payload);
    if (source->is_call && is_raw(type))
        return read_raw(arena, source, type, body);
    if (!is_json(type))
        return tn_error_new(arena, 400, "PGRST102", NULL, "Content-Type not acceptable: %s",
                            *type == '\0' ? "*/*" : type);
    if (source->has_columns)
        return leave_unread(arena, source, &body->payload);
    if (source->is_call && source->length == 0) {
        empty.text = "{}";
        empty.length = 2;
    }
    return read_json(arena, &empty, &body->payload);
}
