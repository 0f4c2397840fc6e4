/* mail/template.c: text → pieces → text with values in it */
#include "mail/template.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"

#define NAME_MAX_BYTES 64
#define VALUE_MAX 8192 /* bytes of one value; people fill in their metadata themselves */
#define RENDERED_MAX ((size_t)1024 * 1024)
#define DATA_DEPTH 8
#define PIECES_MAX 10000 /* of one template */

const char *const tn_variable_names[] = {
    "ConfirmationURL", "Token", "TokenHash", "SiteURL",  "RedirectTo", "Email", "NewEmail",
    "OldEmail",        "Phone", "OldPhone",  "Provider", "FactorType", NULL,
};
static_assert(TN_COUNT(tn_variable_names) == TN_VARIABLES + 1, "one name each");

struct piece {
    const char *text; /* literal, or the path behind `.Data.` */
    size_t length;
    bool is_variable;
    tn_variable variable;
};

struct tn_template {
    struct piece *pieces;
    size_t count;
};

struct parser {
    tn_arena *arena;
    const char *text, *at, *end;
    tn_template *parsed;
    size_t room;
};

static const char *
complain(const struct parser *parser, const char *place, const char *what)
{
    int line = 1;

    for (const char *c = parser->text; c < place; c++)
        line += *c == '\n';
    return tn_arena_printf(parser->arena, "line %d: %s", line, what);
}

static void
add_piece(struct parser *parser, struct piece piece)
{
    tn_template *parsed = parser->parsed;

    if (piece.length == 0 && !piece.is_variable)
        return;
    if (parsed->count == parser->room) {
        const size_t room = parser->room == 0 ? 16 : parser->room * 2;
        struct piece *more = tn_arena_alloc(parser->arena, room, sizeof(*more));

        if (parsed->count > 0)
            memcpy(more, parsed->pieces, parsed->count * sizeof(*more));
        parsed->pieces = more;
        parser->room = room;
    }
    parsed->pieces[parsed->count++] = piece;
}

static bool
is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* `name(.name)*` in full. */
static bool
is_path(const char *text, size_t length)
{
    size_t since = 0, depth = 1;

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.' && since > 0 && i + 1 < length) {
            since = 0;
            depth++;
        } else if (!is_name_byte(text[i]) || ++since > NAME_MAX_BYTES) {
            return false;
        }
    }
    return since > 0 && depth <= DATA_DEPTH;
}

/* What stands between the braces, without blanks. */
static const char *
read_variable(struct parser *parser, const char *text, size_t length)
{
    static const char data[] = ".Data.";
    const size_t prefix = sizeof(data) - 1;

    if (length > prefix && memcmp(text, data, prefix) == 0 &&
        is_path(text + prefix, length - prefix)) {
        add_piece(parser, (struct piece){.text = text + prefix,
                                         .length = length - prefix,
                                         .is_variable = true,
                                         .variable = TN_VAR_DATA});
        return NULL;
    }
    for (int i = 0; i < TN_VARIABLES; i++)
        if (length > 1 && text[0] == '.' && strlen(tn_variable_names[i]) == length - 1 &&
            memcmp(text + 1, tn_variable_names[i], length - 1) == 0) {
            add_piece(parser, (struct piece){
                                  .text = text, .is_variable = true, .variable = (tn_variable)i});
            return NULL;
        }
    return complain(
        parser, text,
        tn_arena_printf(parser->arena, "there is no variable {{ %s }}",
                        tn_text_excerpt(parser->arena, tn_arena_bytes(parser->arena, text, length),
                                        NAME_MAX_BYTES)));
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *
read_braces(struct parser *parser)
{
    const char *start = parser->at + 2, *close;
    size_t length;

    close = memmem(start, (size_t)(parser->end - start), "}}", 2);
    if (close == NULL)
        return complain(parser, parser->at, "{{ is not closed by }}");
    parser->at = close + 2;
    while (start < close && is_blank(*start))
        start++;
    length = (size_t)(close - start);
    while (length > 0 && is_blank(start[length - 1]))
        length--;
    return read_variable(parser, start, length);
}

const char *
tn_template_parse(tn_arena *arena, const char *text, size_t length, tn_template **parsed)
{
    struct parser parser = {.arena = arena, .text = text, .at = text, .end = text + length};

    *parsed = NULL;
    parser.parsed = tn_arena_alloc(arena, 1, sizeof(*parser.parsed));
    if (length > TN_TEMPLATE_MAX)
        return tn_arena_printf(arena, "more than %zu bytes", TN_TEMPLATE_MAX);
    if (!tn_text_is_utf8(text, length) || memchr(text, '\0', length) != NULL)
        return "this is no text in UTF-8";
    while (parser.at < parser.end) {
        const char *open = memmem(parser.at, (size_t)(parser.end - parser.at), "{{", 2);
        const char *stop = open == NULL ? parser.end : open;

        add_piece(&parser, (struct piece){.text = parser.at, .length = (size_t)(stop - parser.at)});
        parser.at = stop;
        if (open != NULL) {
            const char *problem = read_braces(&parser);

            if (problem != NULL)
                return problem;
        }
        if (parser.parsed->count > PIECES_MAX)
            return "too many variables";
    }
    *parsed = parser.parsed;
    return NULL;
}

/* --- rendering ------------------------------------------------------------------------------- */

static json_object *
follow_path(tn_arena *arena, json_object *object, const struct piece *piece)
{
    char *path = tn_arena_bytes(arena, piece->text, piece->length);

    while (path != NULL && object != NULL) {
        char *dot = strchr(path, '.');

        if (dot != NULL)
            *dot = '\0';
        object = tn_json_get(object, path);
        path = dot == NULL ? NULL : dot + 1;
    }
    return object;
}

static const char *
find_data(tn_arena *arena, const tn_template_values *values, const struct piece *piece)
{
    for (json_object *const *object = values->data; object != NULL && *object != NULL; object++) {
        json_object *found = follow_path(arena, *object, piece);

        if (found != NULL)
            return json_object_is_type(found, json_type_string) ? json_object_get_string(found)
                                                                : tn_json_print(arena, found);
    }
    return NULL;
}

static void
append_html(PQExpBuffer out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        switch (*c) {
        case '&':
            appendPQExpBufferStr(out, "&amp;");
            break;
        case '<':
            appendPQExpBufferStr(out, "&lt;");
            break;
        case '>':
            appendPQExpBufferStr(out, "&gt;");
            break;
        case '"':
            appendPQExpBufferStr(out, "&#34;");
            break;
        case '\'':
            appendPQExpBufferStr(out, "&#39;");
            break;
        default:
            appendPQExpBufferChar(out, *c);
        }
    }
}

const char *
tn_template_render(tn_arena *arena, const tn_template *parsed, const tn_template_values *values,
                   bool is_html)
{
    PQExpBuffer out = tn_arena_buffer(arena);

    for (size_t i = 0; i < parsed->count && out->len < RENDERED_MAX; i++) {
        const struct piece *piece = &parsed->pieces[i];
        const char *value;

        if (!piece->is_variable) {
            appendBinaryPQExpBuffer(out, piece->text, piece->length);
            continue;
        }
        value = piece->variable == TN_VAR_DATA ? find_data(arena, values, piece)
                                               : values->texts[piece->variable];
        if (value == NULL)
            continue;
        value = tn_text_excerpt(arena, value, VALUE_MAX);
        if (is_html)
            append_html(out, value);
        else
            appendPQExpBufferStr(out, value);
    }
    return tn_buffer_text(out);
}

const char *
tn_template_print(tn_arena *arena, const tn_template *parsed)
{
    PQExpBuffer out = tn_arena_buffer(arena);

    for (size_t i = 0; i < parsed->count; i++) {
        const struct piece *piece = &parsed->pieces[i];

        if (!piece->is_variable)
            appendBinaryPQExpBuffer(out, piece->text, piece->length);
        else if (piece->variable == TN_VAR_DATA)
            appendPQExpBuffer(out, "{{ .Data.%.*s }}", (int)piece->length, piece->text);
        else
            appendPQExpBuffer(out, "{{ .%s }}", tn_variable_names[piece->variable]);
    }
    return tn_buffer_text(out);
}
