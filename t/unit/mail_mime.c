/* t/unit/mail_mime.c: mail/mime.c: headers that stay headers, lines that are short, addresses */
#include "mail/mime.h"

#include <string.h>

#include "t/unit/unit.h"

static const struct {
    const char *address;
    bool is_good;
} addresses[] = {
    {"a@b", true},
    {"a.b+c@d.example", true},
    {"o'hara@b.example", true},
    {"", false},
    {"a", false},
    {"@b", false},
    {"a@", false},
    {"a@b@c", false},
    {"a b@c", false},
    {"a@b\r\nBcc: c", false},
    {"<a@b>", false},
    {"a@b>,<c@d", false},
    {"\"a\"@b", false},
    {"\xC3\xBC@b", false},
    {"a@b\x7f", false},
    {"a,b@c", false},
    {"a;b@c", false},
    {"a\\b@c", false},
};

static void
addresses_are_plain(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(addresses); i++) {
        TN_CASE("%s", addresses[i].address);
        TN_CHECK(tn_mime_is_address(addresses[i].address) == addresses[i].is_good);
    }
}

/* `header` is how the field begins. */
static const struct {
    const char *name, *subject, *from_name, *header;
} headers[] = {
    {"ASCII", "Hello", "", "Subject: Hello\r\n"},
    {"no name", "x", "", "From: app@mail.example\r\n"},
    {"a name", "x", "The App", "From: \"The App\"\r\n <app@mail.example>\r\n"},
    {"a quote in the name", "x", "A \"B\"",
     "From: =?UTF-8?B?QSAiQiI=?=\r\n <app@mail.example>\r\n"},
    {"UTF-8", "Gr\xC3\xBC\xC3\x9F\x65", "", "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n"},
    {"what looks encoded", "=?UTF-8?B?eA==?=", "",
     "Subject: =?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=\r\n"},
    {"a line break", "a\r\nBcc: b", "", "Subject: =?UTF-8?B?YSAgQmNjOiBi?=\r\n"},
    {"a break in the name", "x", "a\nb", "From: =?UTF-8?B?YSBi?=\r\n"},
    {"long", "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789", "",
     "Subject: =?UTF-8?B?MDEyMzQ1Njc4OSAwMTIzNDU2Nzg5IDAxMjM0NTY3ODkgMDEyMzQ1?=\r\n =?UTF-8?B?"},
};

static const char *
print(tn_arena *arena, const tn_mail *mail, const char *from_name)
{
    const tn_mime mime = {
        .from = "app@mail.example",
        .from_name = from_name,
        .to = "you@b.example",
        .id = "1",
        .kind = "test",
        .unix_time = 1000000000,
        .mail = mail,
    };
    size_t length;
    const char *text = tn_mime_print(arena, &mime, &length);

    assert_int_equal(strlen(text), length);
    return text;
}

/* RFC 5322: lines end in CR LF and nothing else does; RFC 2045: 76 characters; all of it ASCII. */
static void
check_lines(const char *text)
{
    size_t width = 0;

    for (const char *c = text; *c != '\0'; c++) {
        width = *c == '\n' ? 0 : width + 1;
        TN_CHECK(width <= 77 && (*c != '\n' || (c > text && c[-1] == '\r')));
        TN_CHECK((*c >= ' ' && *c < 0x7f) || *c == '\t' || *c == '\n' ||
                 (*c == '\r' && c[1] == '\n'));
    }
}

static void
headers_stay_headers(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(headers); i++) {
        const tn_mail mail = {.subject = headers[i].subject, .text = "x", .language = "en"};
        const char *text = print(arena, &mail, headers[i].from_name);

        TN_CASE("%s", headers[i].name);
        TN_CHECK(strstr(text, headers[i].header) != NULL);
        TN_CHECK(strstr(text, "\nBcc:") == NULL);
        check_lines(text);
    }
    TN_CASE("date");
    TN_CHECK(strstr(print(arena, &(tn_mail){.subject = "", .text = "", .language = "en"}, ""),
                    "Date: Sun, 9 Sep 2001 01:46:40 +0000\r\n") != NULL);
    tn_arena_free(arena);
}

static const struct {
    const char *text, *encoded;
} bodies[] = {
    {"", "\r\n\r\n"},
    {"a\nb", "\r\n\r\na\r\nb\r\n"},
    {"a\r\nb\r\n", "\r\n\r\na\r\nb\r\n"},
    {"a=b", "\r\n\r\na=3Db\r\n"},
    {"a \nb\t", "\r\n\r\na=20\r\nb=09\r\n"},
    {"\xE2\x82\xAC", "\r\n\r\n=E2=82=AC\r\n"},
    {"a\rb", "\r\n\r\na=0Db\r\n"},
    {".\n..\nFrom x", "\r\n\r\n.\r\n..\r\nFrom x\r\n"},
    {"0123456789012345678901234567890123456789012345678901234567890123456789012345",
     "\r\n\r\n012345678901234567890123456789012345678901234567890123456789012345678901234="
     "\r\n5\r\n"},
};

static void
bodies_are_quoted_printable(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(bodies); i++) {
        const tn_mail mail = {.subject = "x", .text = bodies[i].text, .language = "en"};
        const char *text = print(arena, &mail, "");

        TN_CASE("body %zu", i);
        TN_CHECK_TEXT(strstr(text, "\r\n\r\n"), bodies[i].encoded);
        check_lines(text);
    }
    TN_CASE("HTML alone");
    TN_CHECK(strstr(print(arena, &(tn_mail){.subject = "x", .html = "<p>", .language = "en"}, ""),
                    "\r\nContent-Type: text/html; charset=utf-8\r\n") != NULL);
    tn_arena_free(arena);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_plain),
        cmocka_unit_test(headers_stay_headers),
        cmocka_unit_test(bodies_are_quoted_printable),
    };

    return tn_unit_run("mail_mime", tests, TN_COUNT(tests));
}
