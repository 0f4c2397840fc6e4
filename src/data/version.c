/* data/version.c: lists of entity tags */
#include "data/version.h"

#include <string.h>

#include "base/text.h"

#define BLANKS " \t"
#define VERSION_MAX 10 /* digits of a transaction's number */

struct tag {
    const char *text; /* without quotes */
    size_t length;
};

/* The next tag of a list; `at` is behind it then. False: what is there is no tag, or nothing is. */
static bool
take_tag(const char **at, struct tag *tag)
{
    const char *text = *at + strspn(*at, BLANKS ",");

    text += tn_text_starts(text, "W/") ? 2 : 0;
    if (*text != '"')
        return false;
    tag->text = text + 1;
    tag->length = strcspn(tag->text, "\"");
    text = tag->text + tag->length;
    if (*text == '\0')
        return false;
    text += 1 + strspn(text + 1, BLANKS);
    *at = text;
    return *text == '\0' || *text == ',';
}

static bool
is_at_end(const char *at)
{
    return at[strspn(at, BLANKS ",")] == '\0';
}

bool
tn_version_is_any(const char *header)
{
    const char *star = header + strspn(header, BLANKS);

    return *star == '*' && star[1 + strspn(star + 1, BLANKS)] == '\0';
}

static bool
is_version(const struct tag *tag)
{
    return tag->length > 0 && tag->length <= VERSION_MAX &&
           strspn(tag->text, "0123456789") == tag->length;
}

const char *
tn_version_tag(tn_arena *arena, const char *version)
{
    return tn_arena_printf(arena, "\"%s\"", version);
}

static const tn_error *
malformed(tn_arena *arena)
{
    return tn_error_new(arena, 400, "if_match_malformed",
                        "Send the ETag of the row, with its quotes.",
                        "If-Match must be quoted versions, or *");
}

const tn_error *
tn_versions_wanted(tn_arena *arena, const char *header, const char **versions)
{
    PQExpBuffer list;
    const char *at = header;
    struct tag tag;

    if (header == NULL || tn_version_is_any(header)) {
        *versions = header == NULL ? NULL : "*";
        return NULL;
    }
    if (is_at_end(header))
        return malformed(arena);
    list = tn_arena_buffer(arena);
    while (!is_at_end(at)) {
        if (!take_tag(&at, &tag))
            return malformed(arena);
        if (is_version(&tag))
            appendPQExpBuffer(list, "%s%.*s", list->len > 0 ? "," : "", (int)tag.length, tag.text);
    }
    *versions = tn_buffer_text(list);
    return NULL;
}

bool
tn_version_is_known(const char *header, const char *version)
{
    const char *at = header;
    bool is_known = false;
    struct tag tag;

    if (header == NULL || tn_version_is_any(header))
        return header != NULL;
    while (!is_at_end(at)) {
        if (!take_tag(&at, &tag))
            return false;
        is_known |= tag.length == strlen(version) && strncmp(tag.text, version, tag.length) == 0;
    }
    return is_known;
}
