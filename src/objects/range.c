/* objects/range.c: "bytes=0-499" (RFC 9110 section 14.1.2) */
#include "base/text.h"
#include "objects/send.h"

/* Digits up to `end`; what does not fit into 63 bits is beyond every end. */
static bool
read_number(const char *text, const char *end, int64_t *number)
{
    if (text == end)
        return false;
    *number = 0;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return false;
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, *text - '0', number))
            *number = INT64_MAX;
    }
    return true;
}

static tn_range_kind
read_suffix(const char *text, const char *end, int64_t size, tn_range *range)
{
    int64_t count;

    if (!read_number(text, end, &count) || count == 0 || size == 0)
        return TN_RANGE_BAD;
    range->first = count < size ? size - count : 0;
    range->last = size - 1;
    return TN_RANGE_ONE;
}

tn_range_kind
tn_range_read(const char *header, int64_t size, tn_range *range)
{
    const char *text, *dash, *end;

    if (header == NULL || strncasecmp(header, "bytes=", 6) != 0)
        return TN_RANGE_NONE;
    text = header + 6 + strspn(header + 6, " \t");
    end = text + strcspn(text, " \t");
    if (end[strspn(end, " \t")] != '\0')
        return TN_RANGE_BAD;
    dash = memchr(text, '-', (size_t)(end - text));
    if (dash == NULL)
        return TN_RANGE_BAD;
    if (dash == text)
        return read_suffix(dash + 1, end, size, range);
    if (!read_number(text, dash, &range->first) || range->first >= size)
        return TN_RANGE_BAD;
    range->last = size - 1;
    if (dash + 1 == end)
        return TN_RANGE_ONE;
    if (!read_number(dash + 1, end, &range->last) || range->last < range->first)
        return TN_RANGE_BAD;
    if (range->last >= size)
        range->last = size - 1;
    return TN_RANGE_ONE;
}
