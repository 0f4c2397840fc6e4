/* objects/content_type.c: tables of what libmagic is sure of and what it only guesses */
#include "objects/content_type.h"

#include <string.h>

#include "base/text.h"

#define UNKNOWN "application/octet-stream"

static size_t
token_length(const char *text)
{
    return strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

/* A token, or a quoted string; 0: neither. */
static size_t
parameter_value_length(const char *text)
{
    size_t length = 1;

    if (*text != '"')
        return token_length(text);
    while (text[length] != '"' && text[length] != '\0')
        length += text[length] == '\\' && text[length + 1] != '\0' ? 2 : 1;
    return text[length] == '"' ? length + 1 : 0;
}

bool
tn_type_is_valid(const char *type)
{
    size_t length = token_length(type);

    if (strchr(type, ',') != NULL || length == 0 || type[length] != '/' ||
        token_length(type + length + 1) == 0)
        return false;
    type += length + 1;
    type += token_length(type);
    while (type += strspn(type, " \t"), *type == ';') {
        type++;
        type += strspn(type, " \t");
        length = token_length(type);
        if (length == 0) /* "text/plain;" */
            continue;
        if (type[length] != '=' || parameter_value_length(type + length + 1) == 0)
            return false;
        type += length + 1;
        type += parameter_value_length(type);
    }
    return *type == '\0';
}

const char *
tn_type_essence(tn_arena *arena, const char *type)
{
    size_t length = strcspn(type, ";");

    while (length > 0 && (type[length - 1] == ' ' || type[length - 1] == '\t'))
        length--;
    type += strspn(type, " \t") < length ? strspn(type, " \t") : 0;
    return tn_text_lower(arena, tn_arena_printf(arena, "%.*s", (int)length, type));
}

static bool
is_one_of(const char *type, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(*list, type) == 0)
            return true;
    return false;
}

static bool
ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Content that begins with a mark of its own, so that libmagic is not guessing: it has patterns of
 * two bytes, and takes any text for the source of some language. */
static bool
is_sure(const char *found)
{
    static const char *const list[] = {
        "text/html",
        "text/xml",
        "text/x-php",
        "text/x-shellscript",
        "application/xml",
        "application/xhtml+xml",
        "application/pdf",
        "application/postscript",
        "application/ogg",
        "application/x-dosexec",
        "application/vnd.microsoft.portable-executable",
        "application/x-executable",
        "application/x-pie-executable",
        "application/x-sharedlib",
        "application/x-mach-binary",
        "application/x-shockwave-flash",
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/avif",
        "image/heic",
        "image/heif",
        "image/jxl",
        "image/jp2",
        "image/tiff",
        "image/svg+xml",
        "image/vnd.adobe.photoshop",
        "video/mp4",
        "video/webm",
        "video/ogg",
        "video/quicktime",
        "video/x-matroska",
        "video/x-msvideo",
        "video/3gpp",
        "audio/ogg",
        "audio/flac",
        "audio/x-wav",
        "audio/mp4",
        "audio/x-m4a",
        "audio/midi",
        "audio/x-aiff",
        NULL,
    };

    return is_one_of(found, list);
}

static bool
is_xml(const char *type)
{
    return ends_with(type, "/xml") || ends_with(type, "+xml") || strcmp(type, "text/xsl") == 0;
}

static bool
is_same_family(const char *said, const char *found)
{
    const size_t length = strcspn(found, "/");

    return strncmp(said, found, length + 1) == 0;
}

/* Containers that hold sound as well as pictures. */
static bool
is_media(const char *type)
{
    return tn_text_starts(type, "audio/") || tn_text_starts(type, "video/") ||
           strcmp(type, "application/ogg") == 0 || strcmp(type, "application/mp4") == 0;
}

static bool
is_page(const char *type)
{
    return strcmp(type, "text/html") == 0 || strcmp(type, "application/xhtml+xml") == 0;
}

/* Does what was said fit what was found? Pages that are said to be text, or nothing in particular,
 * are never taken for pages, because no browser may guess (nosniff). */
static bool
fits(const char *said, const char *found)
{
    if (strcmp(said, UNKNOWN) == 0 || !is_sure(found))
        return true;
    if (is_page(found))
        return is_page(said) || is_xml(said) || strcmp(said, "text/plain") == 0;
    if (is_xml(found))
        return is_xml(said) || tn_text_starts(said, "text/");
    if (is_media(found))
        return is_media(said);
    if (tn_text_starts(found, "image/"))
        return is_same_family(said, found) && !is_xml(said);
    if (strcmp(found, "application/pdf") == 0) /* drawings of some programs are both */
        return tn_text_starts(said, "application/") && !is_xml(said);
    return !tn_text_starts(said, "image/") && !is_media(said) && !is_page(said) && !is_xml(said);
}

const char *
tn_type_decide(tn_arena *arena, const char *said, const char *found)
{
    const char *found_type = tn_type_essence(arena, found), *said_type;

    if (strcmp(found_type, "application/x-empty") == 0 || strcmp(found_type, "inode/x-empty") == 0)
        found_type = UNKNOWN;
    if (said == NULL || *said == '\0')
        return found_type;
    said_type = tn_type_essence(arena, said);
    return fits(said_type, found_type) ? said : found_type;
}

bool
tn_type_is_active(tn_arena *arena, const char *type)
{
    static const char *const list[] = {
        "text/html",
        "text/javascript",
        "application/javascript",
        "application/x-javascript",
        "application/ecmascript",
        "text/ecmascript",
        "text/xsl",
        "multipart/related",
        "message/rfc822",
        "application/x-shockwave-flash",
        "text/cache-manifest",
        "text/x-component",
        NULL,
    };
    const char *essence = tn_type_essence(arena, type);

    return is_one_of(essence, list) || is_xml(essence) || !tn_type_is_valid(type);
}

bool
tn_type_is_dangerous(tn_arena *arena, const char *type)
{
    static const char *const list[] = {
        "text/html",      "application/xhtml+xml",         "text/xsl", "multipart/related",
        "message/rfc822", "application/x-shockwave-flash", NULL,
    };

    return is_one_of(tn_type_essence(arena, type), list) || !tn_type_is_valid(type);
}
