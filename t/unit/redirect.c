/* t/unit/redirect.c: auth/redirect.c: where people may be sent, and where they are not */
#include <string.h>

#include "auth/area.h"
#include "t/unit/unit.h"

#define SITE "https://app.example.com/start"
#define PATTERNS                                                                                 \
    "https://exact.example.org/welcome, https://*.tenants.example.org/**, "                      \
    "https://shop.example.org/*/done, http://localhost:3000/**, com.example.app://callback, "    \
    "com.example.app://open/**, http://127.0.0.1:8080/cb, https://query.example.org/cb?next=*, " \
    "https://any.example.org**, http://10.0.0.7/**, https://[2001:db8::1]/**, "                  \
    "HTTPS://Upper.Example.Org/**"

/* What becomes of it; NULL: the site's own URL. */
static const struct {
    const char *wanted, *result;
} cases[] = {
    /* the site */
    {"https://app.example.com", "https://app.example.com/"},
    {"https://app.example.com/", "https://app.example.com/"},
    {"https://app.example.com/any/where?a=b&c", "https://app.example.com/any/where?a=b&c"},
    {"HTTPS://APP.example.COM/Path", "https://app.example.com/Path"},
    {"https://app.example.com:443/x", "https://app.example.com/x"},
    {"https://app.example.com/x#fragment", "https://app.example.com/x"},
    {"https://app.example.com?x", "https://app.example.com/?x"},
    {"https://app.example.com/\xC3\xA4", "https://app.example.com/%C3%A4"},
    {"http://app.example.com/", NULL},
    {"https://app.example.com:8443/", NULL},
    {"https://app.example.com./", NULL},
    {"https://xapp.example.com/", NULL},
    {"https://app.example.com.evil.org/", NULL},
    {"https://evil.org/app.example.com", NULL},
    {"https://evil.org?https://app.example.com/", NULL},
    {"https://evil.org#https://app.example.com/", NULL},
    /* the list */
    {"https://exact.example.org/welcome", "https://exact.example.org/welcome"},
    {"https://exact.example.org/welcome#x", "https://exact.example.org/welcome"},
    {"https://exact.example.org/welcome/", NULL},
    {"https://exact.example.org/welcome?x", NULL},
    {"https://exact.example.org/", NULL},
    {"https://a.tenants.example.org/x/y.z?q=1", "https://a.tenants.example.org/x/y.z?q=1"},
    {"https://a.tenants.example.org", "https://a.tenants.example.org/"},
    {"https://a.b.tenants.example.org/", NULL},
    {"https://evil.org/.tenants.example.org/", NULL},
    {"https://evil?.tenants.example.org/", NULL},
    {"https://evil#.tenants.example.org/", NULL},
    {"https://evil/.tenants.example.org/", NULL},
    {"https://a.tenants.example.org.evil.org/", NULL},
    {"https://a.tenants.example.org:8443/", NULL},
    {"https://shop.example.org/42/done", "https://shop.example.org/42/done"},
    {"https://shop.example.org/4.2/done", NULL},
    {"https://shop.example.org/4/2/done", NULL},
    {"https://shop.example.org//done", "https://shop.example.org//done"},
    {"http://localhost:3000/a/b", "http://localhost:3000/a/b"},
    {"http://localhost:3001/a", NULL},
    {"com.example.app://callback", "com.example.app://callback"},
    {"com.example.app://callback?x", NULL},
    {"com.example.app://open/door", "com.example.app://open/door"},
    {"com.example.app:/callback", NULL},
    {"other.app://callback", NULL},
    {"http://127.0.0.1:8080/cb", "http://127.0.0.1:8080/cb"},
    {"https://query.example.org/cb?next=home", "https://query.example.org/cb?next=home"},
    {"https://query.example.org/cb?next=a.b", NULL},
    {"https://any.example.org/deep/x?y=1", "https://any.example.org/deep/x?y=1"},
    {"https://upper.example.org/x", "https://upper.example.org/x"},
    /* addresses, in every spelling */
    {"http://10.0.0.7/x", NULL},
    {"https://[2001:db8::1]/x", NULL},
    {"http://2130706433/", NULL},
    {"http://0x7f000001/", NULL},
    {"http://0x7f.1/", NULL},
    {"http://127.1:8080/cb", NULL},
    {"http://0177.0.0.1:8080/cb", NULL},
    {"http://127.0.0.1.:8080/cb", NULL},
    {"http://127.0.0.1:08080/cb", NULL},
    {"http://[::ffff:127.0.0.1]:8080/cb", NULL},
    {"https://a.tenants.example.0x1/", NULL},
    /* what only looks like it */
    {"https://app.example.com@evil.org/", NULL},
    {"https://app.example.com:x@evil.org/", NULL},
    {"https://app.example.com%40evil.org/", NULL},
    {"https://user@app.example.com/", NULL},
    {"https://evil.org\\@app.example.com/", NULL},
    {"https://app.example.com\\.evil.org/", NULL},
    {"https:\\\\app.example.com/", NULL},
    {"https:/app.example.com/", NULL},
    {"https:app.example.com/", NULL},
    {"https:///app.example.com/", NULL},
    {"https:////app.example.com/", NULL},
    {"//app.example.com/", NULL},
    {"/welcome", NULL},
    {"welcome", NULL},
    {"?x", NULL},
    {"#x", NULL},
    {"", NULL},
    {"app.example.com", NULL},
    {"://app.example.com/", NULL},
    {" https://app.example.com/", NULL},
    {"https://app.example.com/ x", NULL},
    {"https://app.example.com/\t", NULL},
    {"ht\ntps://app.example.com/", NULL},
    {"https://app.example.com/\r\nSet-Cookie: a=b", NULL},
    {"https://app.example.com\x7F/", NULL},
    {"https://app.example.com:/", NULL},
    {"https://app.example.com:0/", NULL},
    {"https://app.example.com:65536/", NULL},
    {"https://app.example.com:443:443/", NULL},
    {"https://app.example.com:+443/", NULL},
    {"https://app_.example.com/", NULL},
    {"https://app.example.com%2eevil.org/", NULL},
    {"https://app.example.com\xEF\xBC\x8F.evil.org/", NULL},
    {"https://\xE2\x93\x94pp.example.com/", NULL},
    {"https://[app.example.com]/", NULL},
    {"https://[::1/", NULL},
    {"https://a.tenants.example.org/x/../../y", NULL},
    {"https://a.tenants.example.org/x/%2e%2E/y", NULL},
    {"https://a.tenants.example.org/.", NULL},
    {"https://a.tenants.example.org/..;/x", "https://a.tenants.example.org/..;/x"},
    {"https://a.tenants.example.org/x?../..", "https://a.tenants.example.org/x?../.."},
    {"https://a.tenants.example.org/...", "https://a.tenants.example.org/..."},
    /* other schemes */
    {"javascript:alert(1)", NULL},
    {"javascript://app.example.com/%0aalert(1)", NULL},
    {"JavaScript://app.example.com/", NULL},
    {"data:text/html,x", NULL},
    {"data://app.example.com/", NULL},
    {"vbscript://app.example.com/", NULL},
    {"file://app.example.com/etc/passwd", NULL},
    {"file:///etc/passwd", NULL},
    {"blob:https://app.example.com/x", NULL},
    {"view-source:https://app.example.com/", NULL},
    {"ws://app.example.com/", NULL},
    {"ftp://app.example.com/", NULL},
    {"1https://app.example.com/", NULL},
    {"https ://app.example.com/", NULL},
};

static void
redirects(void **state)
{
    tn_arena *arena = tn_arena_new();
    const tn_config config = {.auth = {.site_url = SITE, .redirect_urls = PATTERNS}};
    char *longest = tn_arena_alloc(arena, 3000, 1);

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        TN_CASE("%s", cases[i].wanted);
        TN_CHECK_TEXT(tn_auth_redirect(&config, arena, cases[i].wanted),
                      cases[i].result != NULL ? cases[i].result : SITE);
    }
    assert_string_equal(tn_auth_redirect(&config, arena, NULL), SITE);
    memset(longest, 'a', 2999);
    longest[2999] = '\0';
    memcpy(longest, "https://app.example.com/", strlen("https://app.example.com/"));
    assert_string_equal(tn_auth_redirect(&config, arena, longest), SITE);
    longest[2048] = '\0';
    assert_string_equal(tn_auth_redirect(&config, arena, longest), longest);
    tn_arena_free(arena);
}

/* At home the port does not matter; without a site there is the server's own URL; and two stars let
 * everything through that is the web. */
static void
other_sites(void **state)
{
    static const struct {
        const char *site, *patterns, *wanted, *result;
    } others[] = {
        {"http://localhost:3000", "", "http://localhost:5173/x", "http://localhost:5173/x"},
        {"http://localhost:3000", "", "http://localhost/x", "http://localhost/x"},
        {"http://localhost:3000", "", "https://localhost:3000/x", NULL},
        {"http://localhost:3000", "", "http://127.0.0.1:3000/x", NULL},
        {"http://127.0.0.1:3000", "", "http://127.0.0.1:1/x", "http://127.0.0.1:1/x"},
        {"http://[::1]:3000", "", "http://[::1]:1/x", "http://[::1]:1/x"},
        {"http://192.168.1.5:3000", "", "http://192.168.1.5:3000/x", "http://192.168.1.5:3000/x"},
        {"http://192.168.1.5:3000", "", "http://192.168.1.5:3001/x", NULL},
        {"", "", "http://server.example/x", "http://server.example/x"},
        {"", "**", "https://anything.example/x", "https://anything.example/x"},
        {"", "**", "javascript://x/%0aalert(1)", NULL},
        {"", "**", "com.example.app://x", NULL},
        {"", "**", "https://1.2.3.4/", NULL},
        {"", "**", "https://1.2.3.4./", NULL},
        {"", "**", "https://2130706433./", NULL},
        {"", "**", "https://a.0x7f./", NULL},
        {"", "**", "https://anything.example./", "https://anything.example./"},
        {"", "*", "https://anything.example/x", NULL},
        {"", "https://**", "https://anything.example/x/y", "https://anything.example/x/y"},
        {"", "https://**", "http://anything.example/x/y", NULL},
        {"", "https://**.example.org", "https://a.b.example.org/", "https://a.b.example.org/"},
        {"", "https://**.example.org", "https://evil.org/.example.org", NULL},
        {"", "javascript://**", "javascript://x", NULL},
        {"", "https://a.example/**/b*c/**.png", "https://a.example/1/2/bxc/y/z.png",
         "https://a.example/1/2/bxc/y/z.png"},
        {"", "https://a.example/**/b*c/**.png", "https://a.example/1/b.c/z.png", NULL},
    };
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(others); i++) {
        const tn_config config = {
            .server = {.public_url = "http://server.example"},
            .auth = {.site_url = others[i].site, .redirect_urls = others[i].patterns}};

        TN_CASE("%s %s: %s", others[i].site, others[i].patterns, others[i].wanted);
        TN_CHECK_TEXT(tn_auth_redirect(&config, arena, others[i].wanted),
                      others[i].result != NULL ? others[i].result : tn_auth_site_url(&config));
    }
    tn_arena_free(arena);
}

/* The query comes first, then the header, then the page that a browser comes from. */
static void
requests(void **state)
{
    const tn_pair query[] = {{"redirect_to", "https://app.example.com/query"}};
    const tn_pair bad_query[] = {{"redirect_to", "https://evil.org/"}};
    const tn_pair headers[] = {{"redirect-to", "https://app.example.com/header"},
                               {"referer", "https://app.example.com/page"}};
    const tn_config config = {.auth = {.site_url = SITE, .redirect_urls = ""}};
    const struct {
        tn_request request;
        const char *result;
    } asked[] = {
        {{.query = query, .query_count = 1, .headers = headers, .header_count = 2},
         "https://app.example.com/query"},
        {{.query = bad_query, .query_count = 1, .headers = headers, .header_count = 2},
         "https://app.example.com/header"},
        {{.headers = headers + 1, .header_count = 1}, "https://app.example.com/page"},
        {{.query = bad_query, .query_count = 1}, SITE},
    };
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(asked); i++) {
        const tn_ctx c = {.arena = arena, .config = &config, .request = &asked[i].request};

        TN_CASE("%zu", i);
        TN_CHECK_TEXT(tn_auth_request_redirect(&c), asked[i].result);
    }
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redirects),
        cmocka_unit_test(other_sites),
        cmocka_unit_test(requests),
    };

    return tn_unit_run("redirect", tests, TN_COUNT(tests));
}
