/* t/unit/cache.c: identity/cache.c: what is kept, for how long, and what a late answer may not do
 */
#include "identity/cache.h"

#include <pthread.h>
#include <string.h>

#include "t/unit/unit.h"

static const char *
get(tn_cache *cache, tn_arena *arena, uint8_t number)
{
    const uint8_t digest[TN_SHA256_SIZE] = {number, number, number};
    size_t length;

    return tn_cache_get(cache, arena, digest, &length);
}

static void
put(tn_cache *cache, uint64_t ticket, uint8_t number, const char *value)
{
    const uint8_t digest[TN_SHA256_SIZE] = {number, number, number};

    tn_cache_put(cache, ticket, digest, value, strlen(value) + 1);
}

static void
keeps_and_drops(void **state)
{
    tn_cache *cache = tn_cache_new(64, 60);
    tn_arena *arena = tn_arena_new();
    const uint8_t digest[TN_SHA256_SIZE] = {2, 2, 2};

    (void)state;
    put(cache, tn_cache_ticket(cache), 1, "a");
    assert_null(get(cache, arena, 1)); /* not enabled yet */
    tn_cache_enable(cache, true);
    put(cache, tn_cache_ticket(cache), 1, "a");
    put(cache, tn_cache_ticket(cache), 2, "b");
    assert_string_equal(get(cache, arena, 1), "a");
    assert_string_equal(get(cache, arena, 2), "b");
    put(cache, tn_cache_ticket(cache), 1, "new");
    assert_string_equal(get(cache, arena, 1), "new");
    tn_cache_drop(cache, digest);
    assert_null(get(cache, arena, 2));
    assert_string_equal(get(cache, arena, 1), "new");
    tn_cache_enable(cache, false);
    tn_cache_enable(cache, true);
    assert_null(get(cache, arena, 1));
    tn_arena_free(arena);
    tn_cache_free(cache);
}

static void
refuses_what_was_overtaken(void **state)
{
    tn_cache *cache = tn_cache_new(64, 60);
    tn_arena *arena = tn_arena_new();
    const uint8_t other[TN_SHA256_SIZE] = {9};
    uint64_t ticket;

    (void)state;
    tn_cache_enable(cache, true);
    ticket = tn_cache_ticket(cache);
    tn_cache_clear(cache); /* "revoked" arrives between the look-up and the put */
    put(cache, ticket, 1, "stale");
    assert_null(get(cache, arena, 1));
    ticket = tn_cache_ticket(cache);
    tn_cache_drop(cache, other);
    put(cache, ticket, 1, "stale");
    assert_null(get(cache, arena, 1));
    tn_arena_free(arena);
    tn_cache_free(cache);
}

static void
keeps_what_is_used(void **state)
{
    tn_cache *cache = tn_cache_new(1, 60); /* one set of eight in each shard */
    tn_arena *arena = tn_arena_new();
    uint8_t digest[TN_SHA256_SIZE] = {0};
    size_t length;

    (void)state;
    tn_cache_enable(cache, true);
    for (uint8_t i = 0; i < 100; i++) {
        digest[5] = i;
        tn_cache_put(cache, tn_cache_ticket(cache), digest, "x", 2);
        digest[5] = 0;
        assert_non_null(tn_cache_get(cache, arena, digest, &length));
    }
    digest[5] = 1;
    assert_null(tn_cache_get(cache, arena, digest, &length));
    digest[5] = 99;
    assert_non_null(tn_cache_get(cache, arena, digest, &length));
    tn_arena_free(arena);
    tn_cache_free(cache);
}

static void
keeps_nothing_for_no_time(void **state)
{
    tn_cache *cache = tn_cache_new(64, 0);
    tn_arena *arena = tn_arena_new();

    (void)state;
    tn_cache_enable(cache, true);
    put(cache, tn_cache_ticket(cache), 1, "a");
    assert_null(get(cache, arena, 1));
    tn_arena_free(arena);
    tn_cache_free(cache);
}

#define ROUNDS 20000

static void *
hammer(void *context)
{
    tn_cache *cache = context;
    tn_arena *arena = tn_arena_new();

    for (int i = 0; i < ROUNDS; i++) {
        const uint8_t number = (uint8_t)(i % 50);
        const uint8_t digest[TN_SHA256_SIZE] = {number, number, number};
        const char wanted[] = {(char)('A' + number), (char)('A' + number), '\0'};
        const char *found = get(cache, arena, number);

        if (found != NULL && strcmp(found, wanted) != 0)
            return context;
        put(cache, tn_cache_ticket(cache), number, wanted);
        if (i % 7 == 0)
            tn_cache_drop(cache, digest);
        if (i % 1000 == 0) {
            tn_cache_enable(cache, false);
            tn_cache_enable(cache, true);
            tn_arena_reset(arena);
        }
    }
    tn_arena_free(arena);
    return NULL;
}

static void
serves_threads(void **state)
{
    tn_cache *cache = tn_cache_new(16, 60);
    pthread_t threads[4];
    void *bad;

    (void)state;
    tn_cache_enable(cache, true);
    for (size_t i = 0; i < TN_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, cache), 0);
    for (size_t i = 0; i < TN_COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    tn_cache_free(cache);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_and_drops),    cmocka_unit_test(refuses_what_was_overtaken),
        cmocka_unit_test(keeps_what_is_used), cmocka_unit_test(keeps_nothing_for_no_time),
        cmocka_unit_test(serves_threads),
    };

    return tn_unit_run("cache", tests, TN_COUNT(tests));
}
