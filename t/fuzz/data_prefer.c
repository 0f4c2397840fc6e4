/* t/fuzz/data_prefer.c: preferences that are echoed are understood again, all of them; and Accept
 *
 * Accept is read from the same bytes: there is always a type, and each has a name.
 */
#include "data/prefer.h"

#include <string.h>

#include "data/accept.h"
#include "t/fuzz/fuzz.h"

static void
check_prefer(tn_arena *arena, const char *header)
{
    tn_prefer prefer, again;
    const char *applied;

    tn_prefer_parse(arena, header, &prefer);
    assert(prefer.unknown != NULL || tn_prefer_check(arena, &prefer) == NULL);
    applied = tn_prefer_applied(arena, &prefer);
    tn_prefer_parse(arena, applied, &again);
    assert(again.unknown == NULL);
    assert(again.count == prefer.count && again.max_affected == prefer.max_affected);
    if (applied != NULL)
        assert(strcmp(tn_prefer_applied(arena, &again), applied) == 0);
}

static void
check_accept(tn_arena *arena, const char *header)
{
    const tn_accepted *list;
    size_t count;

    tn_accept_parse(arena, header, &list, &count);
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert(list[i].name != NULL && tn_accepted_content_type(arena, &list[i])[0] != '\0');
        assert(list[i].media != TN_MEDIA_PLAN || list[i].plan.of_name != NULL);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *header = tn_arena_bytes(arena, bytes, length);

    check_prefer(arena, header);
    check_accept(arena, header);
    tn_arena_free(arena);
    return 0;
}
