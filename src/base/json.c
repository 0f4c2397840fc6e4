/* base/json.c: json-c's tokener, held to RFC 8259 */
#include "base/json.h"

#include <limits.h>
#include <string.h>

#include "base/text.h"

static void
put_object(void *object)
{
    json_object_put(object);
}

static const tn_error *
bad_json(tn_arena *arena, const char *problem, size_t byte)
{
    return tn_error_new(arena, 400, "bad_json", NULL, "the JSON text is not valid: %s at byte %zu",
                        problem, byte);
}

static size_t
count_digits(const char *text, size_t length)
{
    size_t count = 0;

    while (count < length && text[count] >= '0' && text[count] <= '9')
        count++;
    return count;
}

/* The bytes of the number that `text` begins with (RFC 8259 section 6); 0: it is none. */
static size_t
number_length(const char *text, size_t length)
{
    size_t at = text[0] == '-' ? 1 : 0;
    size_t digits = count_digits(text + at, length - at);

    if (digits == 0 || (text[at] == '0' && digits > 1))
        return 0;
    at += digits;
    if (at < length && text[at] == '.') {
        digits = count_digits(text + at + 1, length - at - 1);
        if (digits == 0)
            return 0;
        at += 1 + digits;
    }
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        at += at + 1 < length && (text[at + 1] == '+' || text[at + 1] == '-') ? 2 : 1;
        digits = count_digits(text + at, length - at);
        if (digits == 0)
            return 0;
        at += digits;
    }
    return at;
}

/* Moves *at from the first quote of a string to its last; the result is NULL or what is wrong with
 * it. \u0000 is legal, but no C string, PostgreSQL text or json-c member name can hold it. */
static const char *
skip_string(const char *text, size_t length, size_t *at)
{
    while (++*at < length && text[*at] != '"') {
        if ((unsigned char)text[*at] < ' ')
            return "a control character in a string";
        if (text[*at] != '\\')
            continue;
        if (length - *at >= 6 && memcmp(text + *at, "\\u0000", 6) == 0)
            return "\\u0000";
        ++*at; /* what is escaped */
    }
    return NULL; /* json-c says whether it has ended, and which escapes there are */
}

/* Moves *at to the last byte of the token that begins there, and *level in and out of brackets. */
static const char *
skip_token(const char *text, size_t length, size_t *at, int *level)
{
    const char byte = text[*at];
    size_t number;

    switch (byte) {
    case '"':
        return skip_string(text, length, at);
    case '[':
    case '{':
        ++*level;
        return NULL;
    case ']':
    case '}':
        --*level;
        return NULL;
    default:
        break;
    }
    if (byte == '-' || (byte >= '0' && byte <= '9')) {
        number = number_length(text + *at, length - *at);
        if (number == 0)
            return "a number that is none";
        *at += number - 1;
        return NULL;
    }
    return byte == '\0' || strchr(":, \t\r\ntruefalsn", byte) == NULL ? "an unexpected character"
                                                                      : NULL;
}

/* What json-c takes even when it is strict, and we do not: names in single quotes, numbers such as
 * 1. and 01, control characters in strings, empty arrays one level too deep. */
static const tn_error *
check_text(tn_arena *arena, const char *text, size_t length, int depth)
{
    int level = 0;

    if (length >= INT_MAX)
        return bad_json(arena, "too long", length);
    for (size_t at = 0; at < length; at++) {
        const char *problem = skip_token(text, length, &at, &level);

        if (problem == NULL && level > depth)
            problem = "nested too deep";
        if (problem != NULL)
            return bad_json(arena, problem, at);
    }
    return NULL;
}

const tn_error *
tn_json_parse(tn_arena *arena, const char *text, size_t length, int depth, json_object **value)
{
    json_tokener *tokener;
    enum json_tokener_error problem;
    size_t end;

    *value = NULL;
    if (!tn_text_is_utf8(text, length)) /* json-c's own check lets overlong forms pass */
        return tn_error_new(arena, 400, "bad_json", NULL, "the JSON text is not valid UTF-8");
    TN_TRY(check_text(arena, text, length, depth));
    tokener = json_tokener_new_ex(depth + 1); /* json-c counts the value inside as a level */
    if (tokener == NULL)
        tn_die("no memory for a JSON tokener");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    *value = json_tokener_parse_ex(tokener, text, (int)length);
    problem = json_tokener_get_error(tokener);
    if (problem == json_tokener_continue) { /* a number might go on: say that it does not */
        *value = json_tokener_parse_ex(tokener, "", 1);
        problem = json_tokener_get_error(tokener);
    }
    end = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener); /* several KiB, which a stream would hold until its end */
    if (*value != NULL)
        tn_arena_defer(arena, put_object, *value);
    if (problem == json_tokener_success)
        return NULL;
    *value = NULL;
    if (problem == json_tokener_continue)
        return bad_json(arena, "it ends too early", length);
    return bad_json(arena, json_tokener_error_desc(problem), end);
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
