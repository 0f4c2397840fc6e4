/* data/reference.c: references found and filled, in bodies and in paths */
#include "data/reference.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "data/header.h"

static const char id_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

bool
tn_operation_id_is_good(const char *id)
{
    const size_t length = strlen(id);

    return length > 0 && length <= TN_OPERATION_ID_MAX && strspn(id, id_bytes) == length;
}

static const tn_error *
not_found(tn_arena *arena, const char *reference)
{
    return tn_error_new(arena, 400, "reference_not_found",
                        "A reference is the id of an earlier operation and a JSON Pointer into its "
                        "result: conv/0/id.",
                        "there is nothing at %s", reference);
}

/* "conv/0/id" → the value there. */
static const tn_error *
look_up(tn_arena *arena, const tn_references *references, const char *reference, bool only_looks,
        tn_json_piece *value)
{
    const size_t length = strcspn(reference, "/");
    const char *id = tn_arena_bytes(arena, reference, length);
    tn_json_piece result = {NULL, 0};

    if (!tn_operation_id_is_good(id))
        return not_found(arena, reference);
    TN_TRY(references->find(references->context, id, &result));
    if (only_looks)
        return NULL;
    return result.length > 0 && tn_json_piece_find(arena, result, reference + length, value)
               ? NULL
               : not_found(arena, reference);
}

/* --- bodies ----------------------------------------------------------------------------------- */

/* An object with the one member $ref, a string. */
static bool
is_reference(tn_json_piece object, tn_json_piece *name)
{
    static const char member[] = "\"$ref\"";
    tn_json_walk walk = tn_json_walk_into(object);
    tn_json_piece key, other;

    return tn_json_walk_member(&walk, &key, name) && key.length == sizeof(member) - 1 &&
           memcmp(key.text, member, key.length) == 0 && name->text[0] == '"' &&
           !tn_json_walk_item(&walk, &other);
}

static const tn_error *
body_too_large(tn_arena *arena, size_t most)
{
    return tn_error_new(arena, 413, "body_too_large",
                        "What references fill in counts for all operations of a batch together.",
                        "with its references filled in, the body has more than %zu bytes", most);
}

static const tn_error *
fill_value(tn_arena *arena, const tn_references *references, tn_json_piece name, PQExpBuffer filled)
{
    const char *reference = tn_json_piece_string(arena, name);
    tn_json_piece value;

    if (reference == NULL)
        return not_found(arena, "a reference with a NUL in it");
    TN_TRY(look_up(arena, references, reference, filled == NULL, &value));
    if (filled == NULL)
        return NULL;
    if (value.length > references->body_max || filled->len > references->body_max - value.length)
        return body_too_large(arena, references->body_max);
    appendBinaryPQExpBuffer(filled, value.text, value.length);
    return NULL;
}

/* To behind a string that begins at `at`. */
static const char *
behind_string(const char *at, const char *end)
{
    const tn_json_piece string = tn_json_piece_of(at, (size_t)(end - at));

    return string.text + string.length;
}

/* The object at `at` if it is a reference. Only the beginning is looked at for those that are
 * none, so that deep nesting costs nothing. */
static bool
begins_reference(const char *at, const char *end, tn_json_piece *object, tn_json_piece *name)
{
    const char *key = at + 1;

    while (key < end && strchr(" \n\r\t", *key) != NULL)
        key++;
    if (end - key < 6 || memcmp(key, "\"$ref\"", 6) != 0)
        return false;
    *object = tn_json_piece_of(at, (size_t)(end - at));
    return is_reference(*object, name);
}

const tn_error *
tn_reference_fill_body(tn_arena *arena, const tn_references *references, tn_json_piece body,
                       PQExpBuffer filled, size_t *count)
{
    const char *at = body.text, *copied = at;
    const char *end;

    *count = 0;
    if (body.length == 0) /* no body: no text either */
        return NULL;
    end = at + body.length;
    while (at < end) {
        tn_json_piece object, name;

        if (*at == '"') {
            at = behind_string(at, end);
        } else if (*at != '{' || !begins_reference(at, end, &object, &name)) {
            at++;
        } else {
            if (filled != NULL)
                appendBinaryPQExpBuffer(filled, copied, (size_t)(at - copied));
            TN_TRY(fill_value(arena, references, name, filled));
            ++*count;
            copied = at = object.text + object.length;
        }
    }
    if (filled == NULL)
        return NULL;
    appendBinaryPQExpBuffer(filled, copied, (size_t)(end - copied));
    return filled->len > references->body_max ? body_too_large(arena, references->body_max) : NULL;
}

/* --- paths ------------------------------------------------------------------------------------ */

/* Where in a query the walk is: what stands there decides how a text is to be written. */
struct place {
    bool in_query, in_quotes, is_escaped;
    int depth; /* of parentheses in this parameter */
};

static void
pass(struct place *place, char byte)
{
    const bool was_escaped = place->is_escaped;

    place->is_escaped = place->in_quotes && byte == '\\' && !was_escaped;
    if (byte == '"' && !was_escaped)
        place->in_quotes = place->depth > 0 && !place->in_quotes;
    else if (byte == '(' && !place->in_quotes)
        place->depth++;
    else if (byte == ')' && !place->in_quotes && place->depth > 0)
        place->depth--;
}

/* Takes one byte of the path, or an escape as the byte that it means; gives how long it is. */
static size_t
pass_byte(struct place *place, const char *at)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *high = *at == '%' && at[1] != '\0' ? strchr(digits, at[1]) : NULL;
    const char *low = high != NULL && at[2] != '\0' ? strchr(digits, at[2]) : NULL;

    if (!place->in_query) {
        place->in_query = *at == '?';
    } else if (*at == '&') {
        *place = (struct place){.in_query = true};
    } else if (low != NULL) {
        pass(place, (char)(((high - digits) % 16) << 4 | ((low - digits) % 16)));
        return 3;
    } else {
        pass(place, *at);
    }
    return 1;
}

/* "{conv/0/id}": braces around an id, a slash, and what has neither braces nor commas. */
static bool
is_path_reference(const char *at, size_t *length)
{
    const size_t id_length = strspn(at + 1, id_bytes);

    if (*at != '{' || id_length == 0 || id_length > TN_OPERATION_ID_MAX || at[1 + id_length] != '/')
        return false;
    *length = strcspn(at + 1, "{},\"&?");
    return at[1 + *length] == '}';
}

static const tn_error *
not_scalar(tn_arena *arena, const char *reference)
{
    return tn_error_new(arena, 400, "reference_not_scalar",
                        "Point to a string, a number or a boolean.",
                        "what is at %s cannot be part of a path", reference);
}

static const tn_error *
scalar_text(tn_arena *arena, tn_json_piece value, const char *reference, const char **text)
{
    assert(value.text != NULL);
    if (strchr("{[n", value.text[0]) != NULL)
        return not_scalar(arena, reference);
    *text = value.text[0] == '"' ? tn_json_piece_string(arena, value)
                                 : tn_arena_bytes(arena, value.text, value.length);
    return *text == NULL ? not_scalar(arena, reference) : NULL;
}

/* The same with backslashes, as it stands between quotes; and these, if they are not there. */
static const char *
quote(tn_arena *arena, const char *text, bool has_quotes)
{
    PQExpBuffer quoted = tn_arena_buffer(arena);

    if (!has_quotes)
        appendPQExpBufferChar(quoted, '"');
    for (; *text != '\0'; text++)
        appendPQExpBuffer(quoted, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    if (!has_quotes)
        appendPQExpBufferChar(quoted, '"');
    return tn_buffer_text(quoted);
}

static const tn_error *
fill_text(tn_arena *arena, const tn_references *references, const char *reference,
          const struct place *place, PQExpBuffer filled)
{
    const char *decoded = tn_text_url_decode(arena, reference, strlen(reference), place->in_query);
    const char *text = NULL;
    tn_json_piece value = {0};

    if (decoded == NULL)
        return not_found(arena, reference);
    TN_TRY(look_up(arena, references, decoded, filled == NULL, &value));
    if (filled == NULL)
        return NULL;
    TN_TRY(scalar_text(arena, value, reference, &text));
    assert(text != NULL);
    if (place->in_quotes || place->depth > 0)
        text = quote(arena, text, place->in_quotes);
    if (strlen(text) <= references->path_max)
        tn_header_append_encoded(filled, text);
    return strlen(text) <= references->path_max && filled->len <= references->path_max
               ? NULL
               : tn_error_new(arena, 414, "target_too_long", "Send long values in the body.",
                              "with its references filled in, the path has more than %zu bytes",
                              references->path_max);
}

const tn_error *
tn_reference_fill_path(tn_arena *arena, const tn_references *references, const char *path,
                       PQExpBuffer filled, size_t *count)
{
    struct place place = {0};

    *count = 0;
    while (*path != '\0') {
        size_t length;

        if (is_path_reference(path, &length)) {
            TN_TRY(fill_text(arena, references, tn_arena_bytes(arena, path + 1, length), &place,
                             filled));
            ++*count;
            path += length + 2;
            continue;
        }
        length = pass_byte(&place, path);
        if (filled != NULL)
            appendBinaryPQExpBuffer(filled, path, length);
        path += length;
    }
    return NULL;
}
