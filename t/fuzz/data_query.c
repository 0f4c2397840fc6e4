/* t/fuzz/data_query.c: what a query string means prints as a query string that means the same
 *
 * The first byte chooses the dialect.
 */
#include "data/query.h"

#include <string.h>

#include "base/text.h"
#include "t/fuzz/fuzz.h"

static const tn_data_limits limits = {
    .filters = 50, .logic_depth = 6, .embed_depth = 4, .items = 40};

static void
check(tn_arena *arena, const char *text, tn_dialect dialect)
{
    tn_data_query query, again;
    const tn_error *error = tn_data_query_parse(arena, text, dialect, &limits, &query);
    const char *printed;

    if (error != NULL) {
        assert(error->status == 400 && strlen(error->message) < 1000);
        assert(tn_text_is_utf8(error->message, strlen(error->message)));
        return;
    }
    assert((int64_t)query.condition_count <= limits.filters);
    printed = tn_data_query_print(arena, &query);
    assert(tn_text_is_utf8(printed, strlen(printed)));
    assert(tn_data_query_parse(arena, printed, dialect, &limits, &again) == NULL);
    assert(strcmp(tn_data_query_print(arena, &again), printed) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const tn_dialect dialects[] = {TN_DIALECT_STRICT, TN_DIALECT_CALL, TN_DIALECT_PLAIN};
    tn_arena *arena = tn_arena_new();

    if (length > 0)
        check(arena, tn_arena_bytes(arena, bytes + 1, length - 1),
              dialects[bytes[0] % TN_COUNT(dialects)]);
    tn_arena_free(arena);
    return 0;
}
