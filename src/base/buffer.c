/* base/buffer.c: JSON strings and the check for a buffer that could not grow */
#include "base/buffer.h"

#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

const char *
tn_buffer_text(PQExpBuffer buffer)
{
    if (PQExpBufferBroken(buffer))
        tn_die("no memory for a text that grew");
    return buffer->data;
}

void
tn_buffer_json_string(PQExpBuffer buffer, const char *text)
{
    if (text == NULL)
        appendPQExpBufferStr(buffer, "null");
    else
        tn_buffer_json_bytes(buffer, text, strlen(text));
}

/* U+007F and the separators U+2028 and U+2029 are left alone: JSON allows them. */
static void
append_escaped(PQExpBuffer buffer, char byte)
{
    switch (byte) {
    case '"':
        appendPQExpBufferStr(buffer, "\\\"");
        break;
    case '\\':
        appendPQExpBufferStr(buffer, "\\\\");
        break;
    case '\n':
        appendPQExpBufferStr(buffer, "\\n");
        break;
    case '\r':
        appendPQExpBufferStr(buffer, "\\r");
        break;
    case '\t':
        appendPQExpBufferStr(buffer, "\\t");
        break;
    default:
        appendPQExpBuffer(buffer, "\\u%04x", (unsigned int)(uint8_t)byte);
    }
}

void
tn_buffer_json_bytes(PQExpBuffer buffer, const char *text, size_t length)
{
    size_t start = 0, at = 0; /* [start, at) is copied as it is */

    appendPQExpBufferChar(buffer, '"');
    while (at < length) {
        const uint8_t byte = (uint8_t)text[at];
        const size_t size = tn_text_utf8_size(text + at, length - at);

        if (size > 0 && byte >= 0x20 && byte != '"' && byte != '\\') {
            at += size;
            continue;
        }
        appendBinaryPQExpBuffer(buffer, text + start, at - start);
        if (size == 0)
            appendPQExpBufferStr(buffer, "\xEF\xBF\xBD");
        else
            append_escaped(buffer, text[at]);
        start = ++at;
    }
    appendBinaryPQExpBuffer(buffer, text + start, at - start);
    appendPQExpBufferChar(buffer, '"');
}

void
tn_buffer_url_value(PQExpBuffer buffer, const char *text)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";

    for (; *text != '\0'; text++) {
        if (strchr(unreserved, *text) != NULL)
            appendPQExpBufferChar(buffer, *text);
        else
            appendPQExpBuffer(buffer, "%%%02X", (unsigned int)(unsigned char)*text);
    }
}

void
tn_buffer_identifier(PQExpBuffer buffer, const char *name)
{
    appendPQExpBufferChar(buffer, '"');
    for (const char *quote; (quote = strchr(name, '"')) != NULL; name = quote + 1) {
        appendBinaryPQExpBuffer(buffer, name, (size_t)(quote - name));
        appendPQExpBufferStr(buffer, "\"\"");
    }
    appendPQExpBufferStr(buffer, name);
    appendPQExpBufferChar(buffer, '"');
}

void
tn_buffer_array(PQExpBuffer buffer, const char *const *values, size_t count)
{
    appendPQExpBufferChar(buffer, '{');
    for (size_t i = 0; i < count; i++) {
        appendPQExpBufferStr(buffer, i == 0 ? "\"" : ",\"");
        for (const char *at = values[i]; *at != '\0'; at++) {
            if (*at == '"' || *at == '\\')
                appendPQExpBufferChar(buffer, '\\');
            appendPQExpBufferChar(buffer, *at);
        }
        appendPQExpBufferChar(buffer, '"');
    }
    appendPQExpBufferChar(buffer, '}');
}
