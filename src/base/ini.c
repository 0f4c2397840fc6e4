/* base/ini.c: a reader of INI files
 *
 * Not inih: as Debian builds it, it cuts lines at 200 bytes and values at " ;", and tells neither
 * the number of a line nor that a section without keys exists.
 */
#include "base/ini_private.h"

#include <string.h>

#include "base/text.h"

/* The text in [start, end) without the blanks around it. */
static char *
take_trimmed(tn_arena *arena, const char *start, const char *end)
{
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    return tn_arena_bytes(arena, start, (size_t)(end - start));
}

static const char *
read_section(tn_arena *arena, const char *text, tn_ini_line *line)
{
    const size_t length = strlen(text);

    if (text[length - 1] != ']')
        return "a section is written [name]";
    line->section = take_trimmed(arena, text + 1, text + length - 1);
    line->key = line->value = NULL;
    return NULL;
}

static const char *
read_setting(tn_arena *arena, const char *text, tn_ini_line *line)
{
    const char *equals = strchr(text, '=');
    size_t length;
    char *value;

    if (equals == NULL)
        return "a setting is written key = value";
    if (line->section == NULL)
        return "a setting stands in a [section]";
    line->key = take_trimmed(arena, text, equals);
    value = take_trimmed(arena, equals + 1, equals + strlen(equals));
    length = strlen(value);
    if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
        value[length - 1] = '\0';
        value++;
    }
    line->value = value;
    return NULL;
}

const char *
tn_ini_read(tn_arena *arena, const char *text, size_t length,
            const char *(*take)(void *context, const tn_ini_line *line), void *context, int *number)
{
    const char *end = text + length, *problem = NULL;
    tn_ini_line line = {0};

    while (text < end && problem == NULL) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline == NULL ? end : newline;
        const char *trimmed;

        *number = ++line.number;
        if (memchr(text, '\0', (size_t)(line_end - text)) != NULL ||
            !tn_text_is_utf8(text, (size_t)(line_end - text)))
            return "the line is not text in UTF-8";
        trimmed = take_trimmed(arena, text, line_end);
        text = newline == NULL ? end : newline + 1;
        if (trimmed[0] == '\0' || trimmed[0] == '#' || trimmed[0] == ';')
            continue;
        problem = trimmed[0] == '[' ? read_section(arena, trimmed, &line)
                                    : read_setting(arena, trimmed, &line);
        if (problem == NULL)
            problem = take(context, &line);
    }
    return problem;
}
