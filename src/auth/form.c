/* auth/form.c: name=value&name=value → a JSON object */
#include "auth/form.h"

#include <string.h>
#include <strings.h>

#include "auth/area.h"
#include "base/text.h"

#define MEMBERS_MAX 64

bool
tn_auth_form_is(const tn_request *request)
{
    static const char type[] = "application/x-www-form-urlencoded";
    const char *given = tn_request_header(request, "content-type");

    return given != NULL && strncasecmp(given, type, sizeof(type) - 1) == 0 &&
           strchr("; \t", given[sizeof(type) - 1]) != NULL;
}

static void
release(void *object)
{
    (void)json_object_put(object);
}

static void
add_member(json_object *object, const char *name, json_object *value)
{
    json_object *before = NULL, *list;

    if (!json_object_object_get_ex(object, name, &before)) {
        (void)json_object_object_add(object, name, value);
    } else if (json_object_is_type(before, json_type_array)) {
        (void)json_object_array_add(before, value);
    } else {
        list = json_object_new_array();
        (void)json_object_array_add(list, json_object_get(before));
        (void)json_object_array_add(list, value);
        (void)json_object_object_add(object, name, list);
    }
}

const tn_error *
tn_auth_form_read(tn_ctx *c, json_object **object)
{
    const char *text = c->request->body, *end = text + c->request->body_length;
    size_t count = 0;

    *object = json_object_new_object();
    tn_arena_defer(c->arena, release, *object);
    while (text < end) {
        const char *stop = memchr(text, '&', (size_t)(end - text)), *equals;
        const char *name, *value;

        if (stop == NULL)
            stop = end;
        equals = memchr(text, '=', (size_t)(stop - text));
        if (equals == NULL)
            equals = stop;
        name = tn_text_url_decode(c->arena, text, (size_t)(equals - text), true);
        value = equals < stop
                    ? tn_text_url_decode(c->arena, equals + 1, (size_t)(stop - equals - 1), true)
                    : "";
        if (name == NULL || value == NULL || count++ == MEMBERS_MAX)
            return tn_auth_refuse_input(c, "the form is malformed, or has too many members");
        if (*name != '\0')
            add_member(*object, name, json_object_new_string(value));
        text = stop + 1;
    }
    return NULL;
}
