/* base/json.c: json-c's tokener, held to RFC 8259 */
#include "base/json.h"

#include <limits.h>
#include <string.h>

static void
put_object(void *object)
{
    json_object_put(object);
}

static void
free_tokener(void *tokener)
{
    json_tokener_free(tokener);
}

/* \u0000 is legal JSON that no C string, PostgreSQL text or json-c member name can hold. Backslashes
 * occur in strings only, and what follows one is skipped, so \\u0000 is left alone. */
static bool
has_escaped_nul(const char *text, size_t length)
{
    const char *end = text + length, *at = text;

    while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL && end - at > 1) {
        if (end - at >= 6 && memcmp(at, "\\u0000", 6) == 0)
            return true;
        at += 2;
    }
    return false;
}

static const tn_error *
bad_json(tn_arena *arena, const char *problem, size_t byte)
{
    return tn_error_new(arena, 400, "bad_json", NULL, "the JSON text is not valid: %s at byte %zu",
                        problem, byte);
}

const tn_error *
tn_json_parse(tn_arena *arena, const char *text, size_t length, int depth, json_object **value)
{
    json_tokener *tokener;
    enum json_tokener_error problem;
    const char *nul = length == 0 ? NULL : memchr(text, '\0', length);

    *value = NULL;
    if (nul != NULL)
        return bad_json(arena, "a NUL byte", (size_t)(nul - text));
    if (length >= INT_MAX)
        return bad_json(arena, "too long", length);
    if (length > 0 && has_escaped_nul(text, length))
        return tn_error_new(arena, 400, "bad_json", NULL, "the JSON text holds \\u0000");
    tokener = json_tokener_new_ex(depth + 1); /* json-c counts the scalar inside as a level */
    if (tokener == NULL)
        tn_die("no memory for a JSON tokener");
    tn_arena_defer(arena, free_tokener, tokener);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    *value = json_tokener_parse_ex(tokener, text, (int)length);
    problem = json_tokener_get_error(tokener);
    if (problem == json_tokener_continue) { /* a number at the end might go on: say that it does not */
        *value = json_tokener_parse_ex(tokener, "", 1);
        problem = json_tokener_get_error(tokener);
    }
    if (*value != NULL)
        tn_arena_defer(arena, put_object, *value);
    if (problem == json_tokener_success)
        return NULL;
    *value = NULL;
    if (problem == json_tokener_continue)
        return bad_json(arena, "it ends too early", length);
    return bad_json(arena, json_tokener_error_desc(problem), json_tokener_get_parse_end(tokener));
}

json_object *
tn_json_get(json_object *object, const char *member)
{
    json_object *value = NULL;

    if (json_object_is_type(object, json_type_object))
        (void)json_object_object_get_ex(object, member, &value);
    return value;
}

const char *
tn_json_text(json_object *object, const char *member, const char *fallback)
{
    json_object *value = tn_json_get(object, member);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : fallback;
}

int64_t
tn_json_int(json_object *object, const char *member, int64_t fallback)
{
    json_object *value = tn_json_get(object, member);

    return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : fallback;
}

bool
tn_json_bool(json_object *object, const char *member, bool fallback)
{
    json_object *value = tn_json_get(object, member);

    return json_object_is_type(value, json_type_boolean) ? json_object_get_boolean(value) != 0
                                                         : fallback;
}

const char *
tn_json_print(tn_arena *arena, json_object *value)
{
    size_t length;
    const char *text = json_object_to_json_string_length(
        value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);

    if (text == NULL)
        tn_die("no memory for a JSON text");
    return tn_arena_bytes(arena, text, length);
}
