/* data/json_piece.c: brackets and quotes counted, and nothing else looked at */
#include "data/json_piece.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"

static const char *
skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* From behind the opening quote to behind the closing one. */
static const char *
skip_string(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    return at < end ? at + 1 : end;
}

static const char *
skip_container(const char *at, const char *end)
{
    size_t depth = 0;

    while (at < end) {
        const char byte = *at++;

        if (byte == '"')
            at = skip_string(at, end);
        else if (byte == '{' || byte == '[')
            depth++;
        else if ((byte == '}' || byte == ']') && --depth == 0)
            break;
    }
    return at;
}

static const char *
skip_value(const char *at, const char *end)
{
    if (at < end && *at == '"')
        return skip_string(at + 1, end);
    if (at < end && (*at == '{' || *at == '['))
        return skip_container(at, end);
    while (at < end && strchr(",]} \n\r\t", *at) == NULL)
        at++;
    return at;
}

tn_json_piece
tn_json_piece_of(const char *text, size_t length)
{
    const char *start = skip_blanks(text, text + length);

    return (tn_json_piece){start, (size_t)(skip_value(start, text + length) - start)};
}

tn_json_walk
tn_json_walk_into(tn_json_piece container)
{
    return (tn_json_walk){container.text + 1, container.text + container.length - 1};
}

bool
tn_json_walk_item(tn_json_walk *walk, tn_json_piece *item)
{
    walk->at = skip_blanks(walk->at, walk->end);
    if (walk->at >= walk->end)
        return false;
    *item = tn_json_piece_of(walk->at, (size_t)(walk->end - walk->at));
    walk->at = skip_blanks(item->text + item->length, walk->end);
    if (walk->at < walk->end)
        walk->at++; /* a comma, or behind a key the colon */
    return true;
}

bool
tn_json_walk_member(tn_json_walk *walk, tn_json_piece *key, tn_json_piece *value)
{
    return tn_json_walk_item(walk, key) && tn_json_walk_item(walk, value);
}

const char *
tn_json_piece_string(tn_arena *arena, tn_json_piece piece)
{
    json_object *value = NULL;
    const char *text;

    if (memchr(piece.text, '\\', piece.length) == NULL)
        return tn_arena_bytes(arena, piece.text + 1, piece.length - 2);
    if (tn_json_parse(arena, piece.text, piece.length, 1, &value) != NULL)
        return NULL;
    text = json_object_get_string(value);
    return strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

/* --- pointers --------------------------------------------------------------------------------- */

/* One part of a pointer: ~1 is a slash, ~0 a tilde. NULL: a tilde that is neither. */
static const char *
unescape(tn_arena *arena, const char *part, size_t length)
{
    char *text = tn_arena_bytes(arena, part, length);
    size_t size = 0;

    for (size_t i = 0; i < length; i++) {
        char byte = part[i];

        if (byte == '~') {
            if (i + 1 == length || (part[i + 1] != '0' && part[i + 1] != '1'))
                return NULL;
            byte = part[++i] == '0' ? '~' : '/';
        }
        text[size++] = byte;
    }
    text[size] = '\0';
    return text;
}

static bool
find_item(tn_json_piece array, const char *part, tn_json_piece *found)
{
    tn_json_walk walk = tn_json_walk_into(array);
    int64_t place;

    if (!tn_text_int(part, 0, INT32_MAX, &place) || (part[0] == '0' && part[1] != '\0'))
        return false;
    while (tn_json_walk_item(&walk, found))
        if (place-- == 0)
            return true;
    return false;
}

/* Without a copy of each key that was only looked at. */
static bool
is_key(tn_arena *arena, tn_json_piece key, const char *name)
{
    const size_t length = strlen(name);
    const char *text;

    if (memchr(key.text, '\\', key.length) == NULL)
        return key.length == length + 2 && memcmp(key.text + 1, name, length) == 0;
    text = tn_json_piece_string(arena, key);
    return text != NULL && strcmp(text, name) == 0;
}

/* Of members with the same name the last one counts, as to PostgreSQL. */
static bool
find_member(tn_arena *arena, tn_json_piece object, const char *part, tn_json_piece *found)
{
    tn_json_walk walk = tn_json_walk_into(object);
    tn_json_piece key, value;
    bool is_there = false;

    while (tn_json_walk_member(&walk, &key, &value)) {
        if (!is_key(arena, key, part))
            continue;
        *found = value;
        is_there = true;
    }
    return is_there;
}

bool
tn_json_piece_find(tn_arena *arena, tn_json_piece document, const char *pointer,
                   tn_json_piece *value)
{
    *value = document;
    while (*pointer != '\0') {
        const size_t length = strcspn(pointer + 1, "/");
        const char *part = *pointer == '/' ? unescape(arena, pointer + 1, length) : NULL;
        const tn_json_piece container = *value;
        bool is_there = false;

        if (part != NULL && container.length > 0 && container.text[0] == '[')
            is_there = find_item(container, part, value);
        else if (part != NULL && container.length > 0 && container.text[0] == '{')
            is_there = find_member(arena, container, part, value);
        if (!is_there)
            return false;
        pointer += 1 + length;
    }
    return value->length > 0;
}
