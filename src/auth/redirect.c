/* auth/redirect.c: where people may be sent: never to where somebody else wants them
 *
 * What comes with a request is taken apart by rules that are stricter than a browser's (WHATWG
 * URL): what a browser would read in another way than we do is refused, not mended. Then it must
 * have the origin of the site, or match one of the patterns of auth.redirect_urls, part by part:
 * what stands for the host in a pattern is never compared with anything but the host.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "auth/area.h"
#include "base/text.h"

#define URL_MAX 2048

/* `scheme://authority` and what follows, which begins with `/` (or, for schemes of apps, may be
 * empty). Scheme, host and port are in lower case; a port that says nothing is left out. */
struct url {
    const char *scheme, *host, *port, *rest;
};

const char *
tn_auth_site_url(const tn_config *config)
{
    return *config->auth.site_url != '\0' ? config->auth.site_url : config->server.public_url;
}

/* --- taking apart ----------------------------------------------------------------------------- */

static bool
is_web(const char *scheme)
{
    return strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
}

/* Schemes that run something, or show what the URL itself says. */
static bool
is_dangerous(const char *scheme)
{
    static const char *const schemes[] = {"javascript", "data",       "vbscript", "file",
                                          "blob",       "filesystem", "about",    "view-source",
                                          "ws",         "wss",        "ftp",      "jar"};

    for (size_t i = 0; i < TN_COUNT(schemes); i++)
        if (strcmp(schemes[i], scheme) == 0)
            return true;
    return false;
}

/* RFC 3986 section 3.1, in lower case. */
static bool
is_scheme(const char *text)
{
    return islower((unsigned char)text[0]) &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+.-") == strlen(text);
}

/* A host ends in a number (WHATWG URL section 3.5) when a browser would take it for an IPv4
 * address: 2130706433, 0x7f.1, 127.1, and each of them with a dot behind it. */
static bool
ends_in_number(const char *host)
{
    const size_t length = strlen(host);
    const size_t end = length > 0 && host[length - 1] == '.' ? length - 1 : length;
    size_t start = end;

    while (start > 0 && host[start - 1] != '.')
        start--;
    if (strspn(host + start, "0123456789") == end - start)
        return true;
    return host[start] == '0' && host[start + 1] == 'x' &&
           2 + strspn(host + start + 2, "0123456789abcdef") == end - start;
}

static bool
is_loopback(const char *host)
{
    struct in_addr address;

    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

static bool
is_address(const char *host)
{
    return host[0] == '[' || ends_in_number(host);
}

/* Names, IPv4 addresses written in full, IPv6 addresses in brackets. */
static bool
is_host(const char *host)
{
    const size_t length = strlen(host);
    uint8_t bytes[16];
    char inner[INET6_ADDRSTRLEN];

    if (host[0] == '[') {
        if (length < 3 || length - 2 >= sizeof(inner) || host[length - 1] != ']')
            return false;
        memcpy(inner, host + 1, length - 2);
        inner[length - 2] = '\0';
        return inet_pton(AF_INET6, inner, bytes) == 1;
    }
    if (strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != length)
        return false;
    return host[0] == '\0' || !ends_in_number(host) || inet_pton(AF_INET, host, bytes) == 1;
}

/* `host` and `host:port`; no user and password, which only serve to show a wrong host. */
static bool
read_authority(tn_arena *arena, const char *text, size_t length, struct url *url)
{
    char *host = tn_text_lower(arena, tn_arena_bytes(arena, text, length));
    char *bracket = strchr(host, ']');
    char *colon = strchr(bracket != NULL ? bracket : host, ':');
    int64_t port;

    url->port = "";
    if (colon != NULL) {
        *colon = '\0';
        if (!tn_text_int(colon + 1, 1, 65535, &port) || colon[1] == '0')
            return false;
        if (!(strcmp(url->scheme, "http") == 0 && port == 80) &&
            !(strcmp(url->scheme, "https") == 0 && port == 443))
            url->port = colon + 1;
    }
    url->host = host;
    return is_host(host) && (host[0] != '\0' || !is_web(url->scheme));
}

/* Control characters and blanks are dropped by browsers, and a backslash is a slash to them. */
static bool
has_strange_bytes(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text <= ' ' || *text == '\\' || *text == '\x7F')
            return true;
    return false;
}

/* `.` and `..` as a segment of the path, escaped or not: browsers resolve them. */
static bool
has_dot_segment(const char *rest)
{
    const char *end = rest + strcspn(rest, "?");

    while (rest < end) {
        int dots = 0;

        rest++; /* the slash */
        for (; rest < end && *rest != '/'; dots = dots < 0 ? dots : dots + 1)
            if (*rest == '.')
                rest++;
            else if (strncmp(rest, "%2e", 3) == 0 || strncmp(rest, "%2E", 3) == 0)
                rest += 3;
            else {
                rest += strcspn(rest, "/?");
                dots = -1;
                break;
            }
        if (dots == 1 || dots == 2)
            return true;
    }
    return false;
}

/* Letters beyond ASCII are escaped, as browsers do it; the fragment is left out. */
static const char *
escape_rest(tn_arena *arena, const char *text, bool is_web_url)
{
    PQExpBuffer rest = tn_arena_buffer(arena);

    if (is_web_url && *text != '/')
        appendPQExpBufferChar(rest, '/');
    for (; *text != '\0' && *text != '#'; text++)
        if ((unsigned char)*text < 0x80)
            appendPQExpBufferChar(rest, *text);
        else
            appendPQExpBuffer(rest, "%%%02X", (unsigned int)(unsigned char)*text);
    return tn_buffer_text(rest);
}

static bool
read_url(tn_arena *arena, const char *text, struct url *url)
{
    const char *colon = strchr(text, ':');
    size_t length;

    if (strnlen(text, URL_MAX + 1) > URL_MAX || has_strange_bytes(text) || colon == NULL ||
        !tn_text_starts(colon, "://"))
        return false;
    url->scheme = tn_text_lower(arena, tn_arena_bytes(arena, text, (size_t)(colon - text)));
    if (!is_scheme(url->scheme) || is_dangerous(url->scheme))
        return false;
    text = colon + strlen("://");
    length = strcspn(text, "/?#");
    if (!read_authority(arena, text, length, url))
        return false;
    url->rest = escape_rest(arena, text + length, is_web(url->scheme));
    return !has_dot_segment(url->rest);
}

/* --- comparing -------------------------------------------------------------------------------- */

static bool
is_of_site(const struct url *url, const struct url *site)
{
    return is_web(url->scheme) && strcmp(url->scheme, site->scheme) == 0 &&
           strcmp(url->host, site->host) == 0 &&
           (strcmp(url->port, site->port) == 0 || is_loopback(url->host));
}

/* `*` is anything but `.` and `/`, `**` anything. The last star that can still be widened is enough
 * to come back to where it is of either kind: a single one that fails gives way to the last double
 * one before it. */
static bool
matches(const char *pattern, const char *text)
{
    const char *after_one = NULL, *one_from = NULL, *after_two = NULL, *two_from = NULL;

    for (;;) {
        if (pattern[0] == '*' && pattern[1] == '*') {
            while (*pattern == '*')
                pattern++;
            after_two = pattern;
            two_from = text;
            after_one = NULL;
        } else if (*pattern == '*') {
            after_one = ++pattern;
            one_from = text;
        } else if (*pattern == *text) {
            if (*text == '\0')
                return true;
            pattern++;
            text++;
        } else if (after_one != NULL && *one_from != '\0' && *one_from != '.' && *one_from != '/') {
            pattern = after_one;
            text = ++one_from;
        } else if (after_two != NULL && *two_from != '\0') {
            pattern = after_two;
            text = ++two_from;
            after_one = NULL;
        } else {
            return false;
        }
    }
}

static const char *
authority_of(tn_arena *arena, const struct url *url)
{
    return *url->port == '\0' ? url->host : tn_arena_printf(arena, "%s:%s", url->host, url->port);
}

/* Part by part. A pattern without a path that ends in two stars goes on through the path; two stars
 * alone are for the whole web. */
static bool
matches_pattern(tn_arena *arena, const char *pattern, const struct url *url)
{
    const char *colon = strstr(pattern, "://"), *authority, *rest;
    size_t length;

    if (colon == NULL)
        return strcmp(pattern, "**") == 0 && is_web(url->scheme);
    if (strcmp(tn_text_lower(arena, tn_arena_bytes(arena, pattern, (size_t)(colon - pattern))),
               url->scheme) != 0)
        return false;
    pattern = colon + strlen("://");
    length = strcspn(pattern, "/?#");
    authority = tn_text_lower(arena, tn_arena_bytes(arena, pattern, length));
    rest = pattern + length;
    if (!matches(authority, authority_of(arena, url)))
        return false;
    if (*rest == '\0' && length >= 2 && strcmp(pattern + length - 2, "**") == 0)
        return true;
    return matches(is_web(url->scheme) && *rest != '/' ? tn_arena_printf(arena, "/%s", rest) : rest,
                   url->rest);
}

static bool
is_listed(const tn_config *config, tn_arena *arena, const struct url *url)
{
    size_t count;
    const char *const *patterns = tn_text_split(arena, config->auth.redirect_urls, &count);

    if (is_address(url->host) && !is_loopback(url->host))
        return false;
    for (size_t i = 0; i < count; i++)
        if (matches_pattern(arena, patterns[i], url))
            return true;
    return false;
}

/* --- asking ----------------------------------------------------------------------------------- */

/* The URL as it will be written; NULL when nobody may be sent there. */
static const char *
accept_url(const tn_config *config, tn_arena *arena, const char *wanted)
{
    struct url url, site;

    if (wanted == NULL || !read_url(arena, wanted, &url))
        return NULL;
    if ((read_url(arena, tn_auth_site_url(config), &site) && is_of_site(&url, &site)) ||
        is_listed(config, arena, &url))
        return tn_arena_printf(arena, "%s://%s%s", url.scheme, authority_of(arena, &url), url.rest);
    return NULL;
}

const char *
tn_auth_redirect(const tn_config *config, tn_arena *arena, const char *wanted)
{
    const char *accepted = accept_url(config, arena, wanted);

    return accepted != NULL ? accepted : tn_auth_site_url(config);
}

const char *
tn_auth_request_redirect(const tn_ctx *c)
{
    const char *accepted =
        accept_url(c->config, c->arena, tn_request_query(c->request, "redirect_to"));

    if (accepted == NULL)
        accepted = accept_url(c->config, c->arena, tn_request_header(c->request, "redirect-to"));
    if (accepted == NULL)
        accepted = accept_url(c->config, c->arena, tn_request_header(c->request, "referer"));
    return accepted != NULL ? accepted : tn_auth_site_url(c->config);
}
