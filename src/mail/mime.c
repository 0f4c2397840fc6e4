/* mail/mime.c: header fields, encoded words, quoted-printable */
#include "mail/mime.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "base/crypto.h"
#include "base/text.h"

#define LINE_MAX_BYTES 76 /* RFC 2045 section 6.7 */
#define WORD_BYTES 39     /* as base64 52 characters, an encoded word of 64 (RFC 2047: 75) */
#define ADDRESS_MAX 320

bool
tn_mime_is_address(const char *address)
{
    const char *at = strchr(address, '@');

    if (at == NULL || at == address || at[1] == '\0' || strchr(at + 1, '@') != NULL ||
        strlen(address) > ADDRESS_MAX)
        return false;
    for (const char *c = address; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("<>()[],;:\\\"", *c) != NULL)
            return false;
    return true;
}

/* --- header fields --------------------------------------------------------------------------- */

static bool
is_printable_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text >= 0x7f)
            return false;
    return true;
}

/* Encoded words (RFC 2047), each of whole characters and on a line of its own. A control character
 * is a blank: none gets out of its field. */
static void
append_encoded_words(tn_arena *arena, PQExpBuffer out, const char *text)
{
    char *clean = tn_arena_text(arena, text);
    size_t left = strlen(clean);

    for (char *c = clean; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    for (const char *at = clean; left > 0;) {
        size_t length = 0, size;

        while (length < left) {
            size = tn_text_utf8_size(at + length, left - length);
            size = size == 0 ? 1 : size;
            if (length + size > WORD_BYTES)
                break;
            length += size;
        }
        appendPQExpBufferStr(out, at == clean ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?");
        appendPQExpBufferStr(out, tn_base64(arena, at, length));
        appendPQExpBufferStr(out, "?=");
        at += length;
        left -= length;
    }
}

/* Short ASCII as it is, and everything else in encoded words: also what only looks like one. */
static void
append_unstructured(tn_arena *arena, PQExpBuffer out, const char *name, const char *text)
{
    appendPQExpBuffer(out, "%s: ", name);
    if (is_printable_ascii(text) && strlen(name) + strlen(text) + 2 <= LINE_MAX_BYTES &&
        strstr(text, "=?") == NULL)
        appendPQExpBufferStr(out, text);
    else
        append_encoded_words(arena, out, text);
    appendPQExpBufferStr(out, "\r\n");
}

static void
append_from(tn_arena *arena, PQExpBuffer out, const tn_mime *mime)
{
    appendPQExpBufferStr(out, "From: ");
    if (mime->from_name[0] == '\0') {
        appendPQExpBuffer(out, "%s\r\n", mime->from);
        return;
    }
    if (is_printable_ascii(mime->from_name) && strpbrk(mime->from_name, "\"\\") == NULL &&
        strlen(mime->from_name) < WORD_BYTES)
        appendPQExpBuffer(out, "\"%s\"", mime->from_name);
    else
        append_encoded_words(arena, out, mime->from_name);
    appendPQExpBuffer(out, "\r\n <%s>\r\n", mime->from);
}

static void
append_date(PQExpBuffer out, int64_t unix_time)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const time_t seconds = (time_t)unix_time;
    struct tm at;

    (void)gmtime_r(&seconds, &at);
    appendPQExpBuffer(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[at.tm_wday],
                      at.tm_mday, months[at.tm_mon], at.tm_year + 1900, at.tm_hour, at.tm_min,
                      at.tm_sec);
}

/* --- bodies ---------------------------------------------------------------------------------- */

/* Quoted-printable (RFC 2045 section 6.7): lines end in LF, or CR LF. */
static void
append_quoted_printable(PQExpBuffer out, const char *text)
{
    size_t width = 0;

    for (const char *c = text; *c != '\0'; c++) {
        const bool ends_line = c[1] == '\0' || c[1] == '\n' || (c[1] == '\r' && c[2] == '\n');
        const bool is_plain =
            (*c >= '!' && *c <= '~' && *c != '=') || ((*c == ' ' || *c == '\t') && !ends_line);
        const size_t size = is_plain ? 1 : 3;

        if (*c == '\n' || (*c == '\r' && c[1] == '\n')) {
            appendPQExpBufferStr(out, "\r\n");
            c += *c == '\r' ? 1 : 0;
            width = 0;
            continue;
        }
        if (width + size > LINE_MAX_BYTES - 1) {
            appendPQExpBufferStr(out, "=\r\n");
            width = 0;
        }
        if (is_plain)
            appendPQExpBufferChar(out, *c);
        else
            appendPQExpBuffer(out, "=%02X", (unsigned char)*c);
        width += size;
    }
    if (width > 0)
        appendPQExpBufferStr(out, "\r\n");
}

static void
append_part(PQExpBuffer out, const char *type, const char *text)
{
    appendPQExpBuffer(out,
                      "Content-Type: %s; charset=utf-8\r\n"
                      "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
                      type);
    append_quoted_printable(out, text);
}

/* It holds `=_`, which quoted-printable text never does (RFC 2045 section 6.7). */
static void
append_alternatives(PQExpBuffer out, const tn_mail *mail)
{
    char boundary[40] = "=_";
    uint8_t random[12];

    tn_random(random, sizeof(random));
    tn_hex(random, sizeof(random), boundary + 2);
    appendPQExpBuffer(out,
                      "Content-Type: multipart/alternative;\r\n boundary=\"%s\"\r\n\r\n--%s\r\n",
                      boundary, boundary);
    append_part(out, "text/plain", mail->text);
    appendPQExpBuffer(out, "\r\n--%s\r\n", boundary);
    append_part(out, "text/html", mail->html);
    appendPQExpBuffer(out, "\r\n--%s--\r\n", boundary);
}

const char *
tn_mime_print(tn_arena *arena, const tn_mime *mime, size_t *length)
{
    const tn_mail *mail = mime->mail;
    PQExpBuffer out = tn_arena_buffer(arena);

    assert(tn_mime_is_address(mime->from) && tn_mime_is_address(mime->to));
    append_date(out, mime->unix_time);
    append_from(arena, out, mime);
    appendPQExpBuffer(out, "To: %s\r\nMessage-ID: <%s@%s>\r\n", mime->to, mime->id,
                      strchr(mime->from, '@') + 1);
    append_unstructured(arena, out, "Subject", mail->subject);
    appendPQExpBuffer(out,
                      "Auto-Submitted: auto-generated\r\nContent-Language: %s\r\n"
                      "X-Tenon-Kind: %s\r\nMIME-Version: 1.0\r\n",
                      mail->language, mime->kind);
    if (mail->text != NULL && mail->html != NULL)
        append_alternatives(out, mail);
    else if (mail->text != NULL)
        append_part(out, "text/plain", mail->text);
    else
        append_part(out, "text/html", mail->html);
    *length = out->len;
    return tn_buffer_text(out);
}
