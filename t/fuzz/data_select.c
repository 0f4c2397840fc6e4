/* t/fuzz/data_select.c: select and order print as text of the same tree, no deeper than allowed
 *
 * The first byte says which of the two the text is.
 */
#include <string.h>

#include "base/text.h"
#include "data/query.h"
#include "t/fuzz/fuzz.h"

static const tn_data_limits limits = {
    .filters = 50, .logic_depth = 6, .embed_depth = 4, .items = 40};

static int64_t
depth_of(const tn_select *select)
{
    int64_t deepest = 0;

    assert((int64_t)select->count <= limits.items);
    for (size_t i = 0; i < select->count; i++) {
        const tn_select_item *item = &select->items[i];
        int64_t depth;

        if (item->kind != TN_SELECT_EMBED && item->kind != TN_SELECT_SPREAD)
            continue;
        assert(item->target != NULL);
        depth = 1 + depth_of(&item->children);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

/* The text as what it is printed as; NULL when it is not valid. */
static const char *
normal(tn_arena *arena, const char *text, bool is_order)
{
    tn_data_query query = {0};
    tn_ordering ordering = {0};
    const tn_error *error;

    if (is_order) {
        error = tn_order_parse(arena, text, &limits, &ordering.terms, &ordering.count);
        query.orderings = &ordering;
        query.ordering_count = 1;
    } else {
        error = tn_select_parse(arena, text, &limits, &query.select);
        query.has_select = true;
    }
    if (error != NULL) {
        assert(error->status == 400 && strlen(error->message) < 1000);
        return NULL;
    }
    assert(depth_of(&query.select) <= limits.embed_depth);
    return tn_data_query_print(arena, &query);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const bool is_order = length > 0 && bytes[0] == 'o';
    const char *text, *printed = NULL;

    if (length > 0 && memchr(bytes, '\0', length) == NULL &&
        tn_text_is_utf8((const char *)bytes + 1, length - 1)) {
        text = tn_arena_bytes(arena, bytes + 1, length - 1);
        printed = normal(arena, text, is_order);
    }
    if (printed != NULL) {
        const char *value = strchr(printed, '=') + 1;
        const char *again =
            normal(arena, tn_text_url_decode(arena, value, strlen(value), true), is_order);

        assert(again != NULL && strcmp(again, printed) == 0);
    }
    tn_arena_free(arena);
    return 0;
}
