/* storage/multipart.c: boundaries, and the headers behind them */
#include "storage/multipart.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

#define TYPE "multipart/form-data"
#define BOUNDARY_MAX 200 /* RFC 2046 allows 70; some clients take more */
#ifndef WINDOW
#define WINDOW 65536
#endif

struct tn_multipart {
    tn_arena *arena;
    tn_multipart_read *read;
    void *context;
    char delimiter[BOUNDARY_MAX + 5]; /* CRLF, two dashes, the boundary */
    size_t delimiter_length;
    int64_t at; /* where the next thing is looked for */
    bool begun; /* the first boundary has been passed */
    bool ended; /* and the last */
    int64_t window_offset;
    size_t window_length;
    char window[WINDOW];
};

static const tn_error *
malformed(tn_arena *arena, const char *why)
{
    return tn_error_new(arena, 400, "InvalidRequest", NULL, "the multipart body is malformed: %s",
                        why);
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* Makes the window begin at `offset`, as full as the body is long. */
static const tn_error *
move_window(tn_multipart *m, int64_t offset)
{
    size_t kept = 0;

    if (offset >= m->window_offset && offset < m->window_offset + (int64_t)m->window_length) {
        kept = m->window_length - (size_t)(offset - m->window_offset);
        memmove(m->window, m->window + (m->window_length - kept), kept);
    }
    m->window_offset = offset;
    m->window_length = kept;
    while (m->window_length < WINDOW) {
        size_t got;

        TN_TRY(m->read(m->context, offset + (int64_t)m->window_length, m->window + m->window_length,
                       WINDOW - m->window_length, &got));
        if (got == 0)
            break;
        m->window_length += got;
    }
    return NULL;
}

/* How many bytes what stands behind a boundary has, CRLF included: 0 when it is none, -1 when it
 * was the last one. */
static int
behind_delimiter(const char *text, size_t length)
{
    size_t blanks = 0;

    if (length >= 2 && text[0] == '-' && text[1] == '-')
        return -1;
    while (blanks < length && (text[blanks] == ' ' || text[blanks] == '\t') && blanks < 256)
        blanks++;
    if (length - blanks >= 2 && text[blanks] == '\r' && text[blanks + 1] == '\n')
        return (int)blanks + 2;
    return 0;
}

/* Looks from m->at on for a boundary: `start` is where the content before it ends; m->at goes
 * behind it. */
static const tn_error *
find_delimiter(tn_multipart *m, int64_t *start)
{
    const size_t room = m->delimiter_length + 260; /* it and what may stand behind it */
    size_t skip = 0;                               /* content that looks like a boundary */

    TN_TRY(move_window(m, m->at));
    for (;;) {
        const char *found =
            memmem(m->window + skip, m->window_length - skip, m->delimiter, m->delimiter_length);
        const bool is_full = m->window_length == WINDOW;
        const size_t place = found != NULL ? (size_t)(found - m->window)
                                           : m->window_length - m->delimiter_length + 1;
        int behind = 0;

        if (found == NULL && !is_full)
            return malformed(m->arena, "it ends before its last boundary");
        if (found == NULL || (is_full && WINDOW - place < room && place > 0)) {
            TN_TRY(move_window(m, m->window_offset + (int64_t)place));
            skip = 0;
            continue;
        }
        behind = behind_delimiter(found + m->delimiter_length,
                                  m->window_length - place - m->delimiter_length);
        if (behind != 0) {
            *start = m->window_offset + (int64_t)place;
            m->ended = behind < 0;
            m->at = *start + (int64_t)m->delimiter_length + (behind < 0 ? 2 : behind);
            return NULL;
        }
        skip = place + 1;
    }
}

/* The first boundary may be the first thing in the body, without a line end before it. */
static const tn_error *
pass_first(tn_multipart *m)
{
    const char *bare = m->delimiter + 2;
    const size_t length = m->delimiter_length - 2;
    int64_t start;
    int behind;

    TN_TRY(move_window(m, 0));
    m->begun = true;
    if (m->window_length >= length && memcmp(m->window, bare, length) == 0) {
        behind = behind_delimiter(m->window + length, m->window_length - length);
        m->ended = behind < 0;
        m->at = (int64_t)length + behind;
        if (behind != 0)
            return NULL;
        m->at = 0;
    }
    return find_delimiter(m, &start);
}

/* --- headers ---------------------------------------------------------------------------------- */

/* The value of a parameter: a token, or a text in quotes in which `\"` and `\\` stand for less. */
static const char *
read_value(tn_arena *arena, const char **text)
{
    const char *p = *text;
    char *value = tn_arena_alloc(arena, strlen(p) + 1, 1);
    size_t length = 0;

    if (*p != '"') {
        length = strcspn(p, "; \t");
        memcpy(value, p, length);
        *text = p + length;
        return value;
    }
    for (p++; *p != '\0' && *p != '"'; p++) {
        if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
            p++;
        value[length++] = *p;
    }
    *text = *p == '"' ? p + 1 : p;
    return value;
}

/* The parameter of that name; NULL when there is none. */
static const char *
find_parameter(tn_arena *arena, const char *header, const char *name)
{
    const size_t length = strlen(name);
    const char *p = header + strcspn(header, ";");

    while (*p == ';') {
        const char *value;
        bool is_it;

        p++;
        p += strspn(p, " \t");
        is_it = strncasecmp(p, name, length) == 0 && p[length] == '=';
        p += strcspn(p, "=;");
        if (*p != '=')
            continue;
        p++;
        value = read_value(arena, &p);
        if (is_it)
            return value;
        p += strcspn(p, ";");
    }
    return NULL;
}

/* What browsers make of a quote and of line ends in a name (WHATWG, multipart/form-data). */
static const char *
unescape(tn_arena *arena, const char *text)
{
    char *plain, *to;

    if (text == NULL || strchr(text, '%') == NULL)
        return text;
    plain = to = tn_arena_text(arena, text);
    for (; *text != '\0'; text++) {
        if (strncmp(text, "%22", 3) == 0) {
            *to++ = '"';
            text += 2;
        } else if (strncasecmp(text, "%0D", 3) == 0 || strncasecmp(text, "%0A", 3) == 0) {
            *to++ = ' ';
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
    return plain;
}

static void
read_header(tn_multipart *m, const char *line, tn_part *part)
{
    const char *colon = strchr(line, ':'), *value;
    size_t length;

    if (colon == NULL)
        return;
    length = (size_t)(colon - line);
    value = colon + 1 + strspn(colon + 1, " \t");
    if (length == 19 && strncasecmp(line, "Content-Disposition", length) == 0) {
        const char *name = unescape(m->arena, find_parameter(m->arena, value, "name"));

        part->name = name != NULL ? name : "";
        part->filename = unescape(m->arena, find_parameter(m->arena, value, "filename"));
    } else if (length == 12 && strncasecmp(line, "Content-Type", length) == 0) {
        part->content_type = *value != '\0' ? value : NULL;
    }
}

/* Up to the blank line; m->at is behind it then. */
static const tn_error *
read_headers(tn_multipart *m, tn_part *part)
{
    const char *text, *end;

    TN_TRY(move_window(m, m->at));
    text = m->window;
    for (;;) {
        const size_t used = (size_t)(text - m->window);

        end = memmem(text, m->window_length - used, "\r\n", 2);
        if (end == NULL || (size_t)(end - m->window) > TN_MULTIPART_HEADERS_MAX)
            return malformed(m->arena, "the headers of a part do not end");
        if (end == text)
            break;
        if (memchr(text, '\0', (size_t)(end - text)) != NULL ||
            !tn_text_is_utf8(text, (size_t)(end - text)))
            return malformed(m->arena, "the headers of a part are no UTF-8");
        read_header(m, tn_arena_bytes(m->arena, text, (size_t)(end - text)), part);
        text = end + 2;
    }
    m->at += (int64_t)(end + 2 - m->window);
    return NULL;
}

/* --- parts ------------------------------------------------------------------------------------ */

bool
tn_multipart_is(const char *content_type)
{
    const size_t length = strlen(TYPE);

    return content_type != NULL && strncasecmp(content_type, TYPE, length) == 0 &&
           strchr("; \t", content_type[length]) != NULL;
}

const tn_error *
tn_multipart_new(tn_arena *arena, const char *content_type, tn_multipart_read *read, void *context,
                 tn_multipart **multipart)
{
    const char *boundary = find_parameter(arena, content_type, "boundary");
    tn_multipart *m;

    if (boundary == NULL || *boundary == '\0' || strlen(boundary) > BOUNDARY_MAX)
        return malformed(arena, "its type says no boundary");
    m = tn_arena_alloc(arena, 1, sizeof(*m));
    m->arena = arena;
    m->read = read;
    m->context = context;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary, strlen(boundary));
    m->delimiter_length = 4 + strlen(boundary);
    *multipart = m;
    return NULL;
}

const tn_error *
tn_multipart_next(tn_multipart *m, tn_part *part, bool *found)
{
    int64_t end;

    *part = (tn_part){.name = ""};
    *found = false;
    if (!m->begun)
        TN_TRY(pass_first(m));
    if (m->ended)
        return NULL;
    TN_TRY(read_headers(m, part));
    part->offset = m->at;
    m->at -= 2; /* the blank line is the boundary's line end when the part is empty */
    TN_TRY(find_delimiter(m, &end));
    part->length = end - part->offset;
    *found = true;
    if (part->length >= 0)
        return NULL;
    part->length = 0; /* nothing, not even a line end of its own */
    return NULL;
}
