/* data/grammar.c: reading on in a text; names and fields */
#include "data/grammar.h"

#include <string.h>

#include "base/text.h"
#include "data/list.h"

#define SHOWN_MAX 200 /* bytes of a text that a message repeats */

tn_reader
tn_reader_start(tn_arena *arena, const tn_data_limits *limits, const char *kind, const char *text)
{
    return (tn_reader){.arena = arena, .limits = limits, .kind = kind, .text = text, .at = text};
}

/* The bytes of `text` up to `max`, not ending within a character. */
static int
shown_length(const char *text, size_t max)
{
    size_t length = strnlen(text, max + 1);

    if (length > max)
        for (length = max; length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80;)
            length--;
    return (int)length;
}

const tn_error *
tn_reader_unexpected(const tn_reader *reader, const char *expected)
{
    const int shown = shown_length(reader->text, SHOWN_MAX);
    size_t line = 1, column = 1;
    tn_error *error;

    for (const char *at = reader->text; at < reader->at; at++) {
        if (*at == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*at & 0xC0) != 0x80) {
            column++;
        }
    }
    error = tn_error_new(reader->arena, 400, "PGRST100", NULL,
                         "\"failed to parse %s (%.*s%s)\" (line %zu, column %zu)", reader->kind,
                         shown, reader->text, reader->text[shown] == '\0' ? "" : "…", line, column);
    if (*reader->at == '\0')
        error->details =
            tn_arena_printf(reader->arena, "unexpected end of input expecting %s", expected);
    else
        error->details = tn_arena_printf(reader->arena, "unexpected \"%.*s\" expecting %s",
                                         (int)tn_text_utf8_size(reader->at, strlen(reader->at)),
                                         reader->at, expected);
    return error;
}

bool
tn_reader_take(tn_reader *reader, const char *word)
{
    const size_t length = strlen(word);

    if (strncmp(reader->at, word, length) != 0)
        return false;
    reader->at += length;
    return true;
}

static bool
is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

void
tn_reader_skip_blanks(tn_reader *reader)
{
    while (is_blank(*reader->at))
        reader->at++;
}

/* Whatever is not ASCII counts as a letter: which of it is none, only tables of Unicode know. */
static bool
is_word_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '$' || byte == ' ' ||
           ((unsigned char)byte & 0x80) != 0;
}

static bool
is_key_byte(char byte)
{
    return byte != '\0' && strchr("(-:.,>)", byte) == NULL;
}

bool
tn_reader_is_at_name(const tn_reader *reader)
{
    return *reader->at == '"' || is_word_byte(*reader->at);
}

char *
tn_reader_quoted(tn_reader *reader)
{
    const char *end = reader->at + 1;
    char *text, *to;

    while (*end != '\0' && *end != '"') {
        if (*end == '\\' && end[1] != '\0')
            end++;
        end++;
    }
    if (*reader->at != '"' || *end == '\0')
        return NULL;
    to = text = tn_arena_alloc(reader->arena, (size_t)(end - reader->at), 1);
    for (const char *from = reader->at + 1; from < end; from++) {
        if (*from == '\\')
            from++;
        *to++ = *from;
    }
    reader->at = end + 1;
    return text;
}

/* A run of bytes of one kind without the blanks around it, written to `to`; how many those were. */
static size_t
take_run(tn_reader *reader, bool (*belongs)(char byte), char *to)
{
    const char *start = reader->at, *end;

    while (belongs(*reader->at))
        reader->at++;
    end = reader->at;
    while (start < end && is_blank(*start))
        start++;
    while (end > start && is_blank(end[-1]))
        end--;
    memcpy(to, start, (size_t)(end - start));
    return (size_t)(end - start);
}

/* Where runs joined by dashes end. */
static const char *
joined_end(const char *at, bool (*belongs)(char byte))
{
    while (belongs(*at) || (*at == '-' && at[1] != '>'))
        at++;
    return at;
}

static const tn_error *
read_joined(tn_reader *reader, bool (*belongs)(char byte), const char *expected, const char **text)
{
    const size_t room = (size_t)(joined_end(reader->at, belongs) - reader->at) + 1;
    char *joined = tn_arena_alloc(reader->arena, room, 1);
    size_t used = 0;

    for (;;) {
        const size_t length = take_run(reader, belongs, joined + used);

        if (length == 0)
            return tn_reader_unexpected(reader, expected);
        used += length;
        if (*reader->at != '-' || reader->at[1] == '>')
            break;
        reader->at++;
        joined[used++] = '-';
    }
    *text = joined;
    return NULL;
}

const tn_error *
tn_reader_name(tn_reader *reader, const char **name)
{
    if (*reader->at != '"')
        return read_joined(reader, is_word_byte, "a name (letters, digits, _, $, or \"quoted\")",
                           name);
    *name = tn_reader_quoted(reader);
    if (*name == NULL) {
        reader->at += strlen(reader->at);
        return tn_reader_unexpected(reader, "a double quote at the end of the name");
    }
    return NULL;
}

const tn_error *
tn_reader_word(tn_reader *reader, const char **word)
{
    const char *end = reader->at;
    char *copy;

    while (is_word_byte(*end))
        end++;
    copy = tn_arena_alloc(reader->arena, (size_t)(end - reader->at) + 1, 1);
    if (take_run(reader, is_word_byte, copy) == 0)
        return tn_reader_unexpected(reader, "a letter or digit");
    *word = copy;
    return NULL;
}

/* Digits count as an index only before what can follow a path. Not before a parenthesis: PostgREST
 * takes them as a key there. */
static bool
take_index(tn_reader *reader, tn_json_step *step)
{
    const char *end = reader->at + (*reader->at == '-' ? 1 : 0);
    const char *digits = end;

    while (*end >= '0' && *end <= '9')
        end++;
    if (end == digits || (*end != '\0' && *end != '.' && *end != ',' &&
                          strncmp(end, "->", 2) != 0 && strncmp(end, "::", 2) != 0))
        return false;
    step->key = tn_arena_bytes(reader->arena, reader->at, (size_t)(end - reader->at));
    step->is_index = true;
    reader->at = end;
    return true;
}

const tn_error *
tn_reader_steps(tn_reader *reader, tn_data_field *field)
{
    tn_list steps = {0};

    while (tn_reader_take(reader, "->")) {
        tn_json_step *step = tn_list_add(reader->arena, &steps, sizeof(*step));

        TN_TRY(tn_reader_check_items(reader, steps.count));
        step->as_text = tn_reader_take(reader, ">");
        if (take_index(reader, step))
            continue;
        if (*reader->at == '"') {
            step->key = tn_reader_quoted(reader);
            if (step->key != NULL)
                continue;
        }
        TN_TRY(read_joined(reader, is_key_byte, "a key or an index", &step->key));
    }
    field->steps = steps.items;
    field->step_count = steps.count;
    return NULL;
}

const tn_error *
tn_reader_field(tn_reader *reader, tn_data_field *field)
{
    TN_TRY(tn_reader_name(reader, &field->name));
    return tn_reader_steps(reader, field);
}

const tn_error *
tn_reader_names(tn_reader *reader, char separator, const char *const **names, size_t *count)
{
    tn_list list = {0};

    for (;;) {
        const char **name = tn_list_add(reader->arena, &list, sizeof(*name));

        TN_TRY(tn_reader_check_items(reader, list.count));
        tn_reader_skip_blanks(reader);
        TN_TRY(tn_reader_name(reader, name));
        tn_reader_skip_blanks(reader);
        if (*reader->at != separator)
            break;
        reader->at++;
    }
    *names = list.items;
    *count = list.count;
    return NULL;
}

const tn_error *
tn_reader_check_items(const tn_reader *reader, size_t count)
{
    if ((int64_t)count <= reader->limits->items)
        return NULL;
    return tn_error_new(reader->arena, 400, "too_many_items", "Ask in several requests.",
                        "a list in the %s has more than %lld items", reader->kind,
                        (long long)reader->limits->items);
}
