/* storage/body.c: members of JSON bodies, and the words for those that cannot be taken */
#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "storage/area.h"

const tn_error *
tn_storage_invalid(tn_arena *arena, const char *format, ...)
{
    const char *message;
    va_list arguments;

    va_start(arguments, format);
    message = tn_arena_vprintf(arena, format, arguments);
    va_end(arguments);
    return tn_error_new(arena, 400, "validation_failed", NULL, "%s", message);
}

const tn_error *
tn_storage_body(tn_ctx *c, json_object **body)
{
    const tn_request *request = c->request;
    const char *text = request->body_length > 0 ? request->body : "{}";

    TN_TRY(tn_json_parse(c->arena, text, strlen(text), TN_JSON_DEPTH, body));
    if (!json_object_is_type(*body, json_type_object))
        return tn_storage_invalid(c->arena, "body must be object");
    return NULL;
}

const tn_error *
tn_storage_required(tn_ctx *c, const char *name, const void *value)
{
    if (value != NULL)
        return NULL;
    return tn_storage_invalid(c->arena, "body must have required property '%s'", name);
}

const tn_error *
tn_storage_text(tn_ctx *c, json_object *body, const char *name, const char **into)
{
    json_object *value = tn_json_get(body, name);

    if (value == NULL)
        return NULL;
    if (!json_object_is_type(value, json_type_string))
        return tn_storage_invalid(c->arena, "body/%s must be string", name);
    *into = json_object_get_string(value);
    return NULL;
}

const tn_error *
tn_storage_flag(tn_ctx *c, json_object *body, const char *name, bool *into)
{
    json_object *value = tn_json_get(body, name);
    const char *text =
        json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

    if (value == NULL)
        return NULL;
    if (json_object_is_type(value, json_type_boolean))
        *into = json_object_get_boolean(value) != 0;
    else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        *into = *text == 't';
    else
        return tn_storage_invalid(c->arena, "body/%s must be boolean", name);
    return NULL;
}

const tn_error *
tn_storage_number(tn_ctx *c, json_object *body, const char *name, int64_t min, int64_t max,
                  int64_t *into)
{
    json_object *value = tn_json_get(body, name);
    int64_t number;

    if (value == NULL)
        return NULL;
    if (json_object_is_type(value, json_type_int))
        number = json_object_get_int64(value);
    else if (!json_object_is_type(value, json_type_string) ||
             !tn_text_int(json_object_get_string(value), INT64_MIN / 2, INT64_MAX / 2, &number))
        return tn_storage_invalid(c->arena, "body/%s must be integer", name);
    if (number < min)
        return tn_storage_invalid(c->arena, "body/%s must be >= %lld", name, (long long)min);
    if (number > max)
        return tn_storage_invalid(c->arena, "body/%s must be <= %lld", name, (long long)max);
    *into = number;
    return NULL;
}

const tn_error *
tn_storage_choice(tn_ctx *c, json_object *body, const char *name, const char *const *choices,
                  const char **into)
{
    const char *text = NULL;

    TN_TRY(tn_storage_text(c, body, name, &text));
    if (text == NULL)
        return NULL;
    for (; *choices != NULL; choices++)
        if (strcmp(text, *choices) == 0) {
            *into = *choices;
            return NULL;
        }
    return tn_storage_invalid(c->arena, "body/%s must be equal to one of the allowed values", name);
}

const tn_error *
tn_storage_object(tn_ctx *c, json_object *body, const char *name, json_object **into)
{
    *into = tn_json_get(body, name);
    if (*into != NULL && !json_object_is_type(*into, json_type_object))
        return tn_storage_invalid(c->arena, "body/%s must be object", name);
    return NULL;
}

const tn_error *
tn_storage_texts(tn_ctx *c, json_object *body, const char *name, size_t min, size_t max,
                 const char *const **into, size_t *count)
{
    json_object *list = tn_json_get(body, name);
    const char **texts;

    *into = NULL;
    *count = 0;
    if (list == NULL)
        return min == 0 ? NULL : tn_storage_required(c, name, NULL);
    if (!json_object_is_type(list, json_type_array))
        return tn_storage_invalid(c->arena, "body/%s must be array", name);
    *count = json_object_array_length(list);
    if (*count < min)
        return tn_storage_invalid(c->arena, "body/%s must NOT have fewer than %zu items", name,
                                  min);
    if (*count > max)
        return tn_storage_invalid(c->arena, "body/%s must NOT have more than %zu items", name, max);
    texts = tn_arena_alloc(c->arena, *count + 1, sizeof(*texts));
    for (size_t i = 0; i < *count; i++) {
        json_object *item = json_object_array_get_idx(list, i);

        if (!json_object_is_type(item, json_type_string))
            return tn_storage_invalid(c->arena, "body/%s/%zu must be string", name, i);
        texts[i] = json_object_get_string(item);
    }
    *into = texts;
    return NULL;
}
