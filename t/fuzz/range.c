/* t/fuzz/range.c: Range of a download: what is understood lies within the object, and what is told
 * of it means the same; conditions: none crashes, and a tag that is listed is found
 *
 * The first byte chooses the size of the object, the rest is the header field.
 */
#include <string.h>

#include "objects/condition.h"
#include "objects/send.h"
#include "t/fuzz/fuzz.h"

static void
check_range(tn_arena *arena, const char *header, int64_t size)
{
    tn_range range, again;
    const char *told;

    if (tn_range_read(header, size, &range) != TN_RANGE_ONE)
        return;
    assert(range.first >= 0 && range.first <= range.last && range.last < size);
    told = tn_arena_printf(arena, "bytes=%lld-%lld", (long long)range.first, (long long)range.last);
    assert(tn_range_read(told, size, &again) == TN_RANGE_ONE);
    assert(again.first == range.first && again.last == range.last);
}

static void
check_conditions(tn_arena *arena, const char *header)
{
    const char *longer = tn_arena_printf(arena, "\"t\", %s", header);
    const tn_conditions match = {.if_match = longer}, none = {.if_none_match = longer};
    const tn_conditions dates = {.if_modified_since = header, .if_unmodified_since = header};
    const int64_t at = tn_http_date_read(header);

    assert(tn_conditions_judge(&match, "\"t\"", 7) == TN_VERDICT_GO_ON);
    assert(tn_conditions_judge(&none, "\"t\"", 7) == TN_VERDICT_NOT_MODIFIED);
    assert(at < 0 || tn_conditions_judge(&dates, "\"t\"", at) == TN_VERDICT_NOT_MODIFIED);
    assert(!tn_if_range_holds(header, "\"t\"", -1) || strcmp(header, "\"t\"") == 0 || at == -1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const int64_t sizes[] = {0, 1, 2, 10, 65536, INT64_C(5368709120), INT64_MAX};
    tn_arena *arena = tn_arena_new();
    const char *header;

    if (length > 0) {
        header = tn_arena_bytes(arena, bytes + 1, length - 1);
        check_range(arena, header, sizes[bytes[0] % TN_COUNT(sizes)]);
        check_conditions(arena, header);
    }
    tn_arena_free(arena);
    return 0;
}
