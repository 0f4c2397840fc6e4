/* t/fuzz/data_range.c: Range, If-Match and If-None-Match: what is understood can be told and is
 * understood again
 *
 * All of them read the same bytes.
 */
#include <string.h>

#include "data/request.h"
#include "data/version.h"
#include "t/fuzz/fuzz.h"

static void
check_range(tn_arena *arena, const char *header)
{
    int64_t first, last, first_again, last_again;
    const char *told;

    if (!tn_range_parse(header, &first, &last))
        return;
    assert(first >= 0 && last >= 0);
    told = last == INT64_MAX
               ? tn_arena_printf(arena, "%lld-", (long long)first)
               : tn_arena_printf(arena, "%lld-%lld", (long long)first, (long long)last);
    assert(tn_range_parse(told, &first_again, &last_again));
    assert(first == first_again && last == last_again);
}

/* A version that is wanted is one that the client has, by the same field. */
static void
check_wanted(tn_arena *arena, const char *header)
{
    const char *versions;
    char *version, *rest;

    if (tn_versions_wanted(arena, header, &versions) != NULL)
        return;
    if (strcmp(versions, "*") == 0) {
        assert(tn_version_is_known(header, "1"));
        return;
    }
    assert(strspn(versions, "0123456789,") == strlen(versions));
    rest = tn_arena_text(arena, versions);
    while (*versions != '\0' && (version = strsep(&rest, ",")) != NULL) {
        const char *again;

        assert(*version != '\0' && tn_version_is_known(header, version));
        assert(tn_versions_wanted(arena, tn_version_tag(arena, version), &again) == NULL);
        assert(strcmp(again, version) == 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *header = tn_arena_bytes(arena, bytes, length);

    check_range(arena, header);
    check_wanted(arena, header);
    if (tn_version_is_known(header, "77"))
        assert(strchr(header, '*') != NULL || strstr(header, "\"77\"") != NULL);
    tn_arena_free(arena);
    return 0;
}
