/* t/fuzz/redirect.c: whatever is wanted, people are sent to the site or to what the list allows */
#include <string.h>

#include "auth/area.h"
#include "base/text.h"
#include "t/fuzz/fuzz.h"

#define SITE "https://app.example.com"

/* Whatever is accepted begins like this, with nothing in between that could belong to a host. */
static const char *const homes[] = {
    "https://app.example.com/",
    "https://exact.example.org/",
    "http://localhost:3000/",
    "com.example.app://open/",
};

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const tn_config config = {
        .auth = {.site_url = SITE,
                 .redirect_urls = "https://exact.example.org/*, https://*.tenants.example.org/**, "
                                  "http://localhost:3000/**, com.example.app://open/**"}};
    tn_arena *arena = tn_arena_new();
    const char *result = tn_auth_redirect(&config, arena, tn_arena_bytes(arena, bytes, length));
    bool is_home = strcmp(result, SITE) == 0;

    for (size_t i = 0; i < TN_COUNT(homes); i++)
        is_home = is_home || tn_text_starts(result, homes[i]);
    if (!is_home) {
        const char *host = result + strlen("https://");
        const size_t label = strcspn(host, "./?#@:\\");

        assert(tn_text_starts(result, "https://"));
        assert(tn_text_starts(host + label, ".tenants.example.org/"));
    }
    for (const char *at = result; *at != '\0'; at++)
        assert(*at > ' ' && *at < 0x7F && *at != '\\' && *at != '#');
    /* what was accepted once is accepted as it was written then */
    assert(strcmp(result, SITE) == 0 ||
           strcmp(tn_auth_redirect(&config, arena, result), result) == 0);
    tn_arena_free(arena);
    return 0;
}
