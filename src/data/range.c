/* data/range.c: pages of rows, asked for and told */
#include <string.h>

#include "base/text.h"
#include "data/request.h"

bool
tn_range_parse(const char *header, int64_t *first, int64_t *last)
{
    const size_t digits = header != NULL ? strspn(header, "0123456789") : 0;
    char number[24];

    if (digits == 0 || digits >= sizeof(number) || header[digits] != '-')
        return false;
    memcpy(number, header, digits);
    number[digits] = '\0';
    *last = INT64_MAX;
    return tn_text_int(number, 0, INT64_MAX - 1, first) &&
           (header[digits + 1] == '\0' || tn_text_int(header + digits + 1, 0, INT64_MAX - 1, last));
}

const char *
tn_page_content_range(tn_arena *arena, const tn_page *page)
{
    const char *total =
        page->has_total ? tn_arena_printf(arena, "%lld", (long long)page->total) : "*";

    if (page->count == 0 || (page->has_total && page->total == 0))
        return tn_arena_printf(arena, "*/%s", total);
    return tn_arena_printf(arena, "%lld-%lld/%s", (long long)page->first,
                           (long long)(page->first + page->count - 1), total);
}

int
tn_page_status(const tn_page *page)
{
    if (!page->has_total)
        return 200;
    if (page->first > page->total)
        return 416;
    return page->count < page->total ? 206 : 200;
}
