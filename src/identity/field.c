/* identity/field.c: members of a JSON object → fields of a struct */
#include <string.h>

#include "identity/ctx.h"

static const tn_error *
refuse_field(const tn_ctx *c, const tn_field *field, const char *expected)
{
    return tn_error_new(c->arena, 400, "validation_failed", NULL, "%s must be %s", field->name,
                        expected);
}

/* UTF-8: every byte but the continuation bytes begins a character. */
static int64_t
count_characters(const char *text, size_t length)
{
    int64_t characters = 0;

    for (size_t i = 0; i < length; i++)
        characters += ((unsigned char)text[i] & 0xC0) != 0x80;
    return characters;
}

static const tn_error *
read_text(const tn_ctx *c, const tn_field *field, json_object *value, void *target)
{
    const char *text;

    if (!json_object_is_type(value, json_type_string))
        return refuse_field(c, field, "a text");
    text = json_object_get_string(value);
    if (field->max > 0 &&
        count_characters(text, (size_t)json_object_get_string_len(value)) > field->max)
        return refuse_field(
            c, field,
            tn_arena_printf(c->arena, "at most %lld characters long", (long long)field->max));
    memcpy(target, &text, sizeof(text));
    return NULL;
}

static const tn_error *
read_bool(const tn_ctx *c, const tn_field *field, json_object *value, void *target)
{
    const int boolean = json_object_get_boolean(value) != 0;

    if (!json_object_is_type(value, json_type_boolean))
        return refuse_field(c, field, "true or false");
    memcpy(target, &boolean, sizeof(boolean));
    return NULL;
}

static const tn_error *
read_int(const tn_ctx *c, const tn_field *field, json_object *value, void *target)
{
    const int64_t number = json_object_get_int64(value);

    if (!json_object_is_type(value, json_type_int) || number < 0 || number > field->max)
        return refuse_field(
            c, field,
            tn_arena_printf(c->arena, "a whole number from 0 to %lld", (long long)field->max));
    memcpy(target, &number, sizeof(number));
    return NULL;
}

static const tn_error *
read_uuid(const tn_ctx *c, const tn_field *field, json_object *value, void *target)
{
    tn_uuid uuid;

    if (!json_object_is_type(value, json_type_string) ||
        !tn_uuid_parse(json_object_get_string(value), &uuid))
        return refuse_field(c, field, "a UUID");
    memcpy(target, &uuid, sizeof(uuid));
    return NULL;
}

static const tn_error *
read_value(const tn_ctx *c, const tn_field *field, json_object *value, void *target)
{
    switch (field->type) {
    case TN_FIELD_TEXT:
        return read_text(c, field, value, target);
    case TN_FIELD_BOOL:
        return read_bool(c, field, value, target);
    case TN_FIELD_INT:
        return read_int(c, field, value, target);
    case TN_FIELD_UUID:
        return read_uuid(c, field, value, target);
    case TN_FIELD_JSON:
        memcpy(target, &value, sizeof(value)); /* NOLINT(bugprone-sizeof-expression): the pointer */
        break;
    }
    return NULL;
}

static const tn_error *
read_field(const tn_ctx *c, const tn_field *field, json_object *object, void *into)
{
    static const int absent = -1;
    char *target = (char *)into + field->offset;
    json_object *value = NULL;
    const bool is_there = json_object_object_get_ex(object, field->name, &value);

    if (field->present > 0)
        memcpy((char *)into + field->present - 1, &is_there, sizeof(is_there));
    if (field->type == TN_FIELD_BOOL)
        memcpy(target, &absent, sizeof(absent));
    return value != NULL ? read_value(c, field, value, target) : NULL;
}

const tn_error *
tn_object_known_fields(tn_ctx *c, json_object *object, const tn_field *fields, void *into)
{
    for (const tn_field *field = fields; field->name != NULL; field++)
        TN_TRY(read_field(c, field, object, into));
    return NULL;
}

static bool
is_in_table(const tn_field *fields, const char *name)
{
    for (const tn_field *field = fields; field->name != NULL; field++)
        if (strcmp(field->name, name) == 0)
            return true;
    return false;
}

const tn_error *
tn_object_fields(tn_ctx *c, json_object *object, const tn_field *fields, void *into)
{
    struct json_object_iterator at = json_object_iter_begin(object);
    const struct json_object_iterator end = json_object_iter_end(object);

    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        const char *name = json_object_iter_peek_name(&at);

        if (!is_in_table(fields, name))
            return tn_error_new(c->arena, 400, "unknown_field", NULL,
                                "there is no member named \"%.100s\" here", name);
    }
    return tn_object_known_fields(c, object, fields, into);
}

const tn_error *
tn_body_object(tn_ctx *c, json_object **object)
{
    const tn_request *request = c->request;

    *object = NULL;
    if (request->body_length > 0)
        TN_TRY(tn_json_parse(c->arena, request->body, request->body_length, TN_JSON_DEPTH, object));
    else
        TN_TRY(tn_json_parse(c->arena, "{}", 2, TN_JSON_DEPTH, object));
    if (!json_object_is_type(*object, json_type_object))
        return tn_error_new(c->arena, 400, "validation_failed", NULL,
                            "the body must be a JSON object");
    return NULL;
}

const tn_error *
tn_body_fields(tn_ctx *c, const tn_field *fields, void *into)
{
    json_object *object;

    TN_TRY(tn_body_object(c, &object));
    return tn_object_fields(c, object, fields, into);
}
