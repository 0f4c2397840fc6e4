/* t/unit/arena.c: base/arena.c: alignment, zeroes, growth, deferred calls, reset */
#include "base/arena.h"

#include <stdalign.h>
#include <string.h>

#include "t/unit/unit.h"

static void
items_are_aligned_zeroed_and_apart(void **state)
{
    static const size_t sizes[] = {1, 3, 8, 16, 17, 100, 4000, 8192, 8193, 100000, 1, 0, 5};
    tn_arena *arena = tn_arena_new();
    uint8_t *items[TN_COUNT(sizes)];

    (void)state;
    for (size_t i = 0; i < TN_COUNT(sizes); i++) {
        TN_CASE("%zu bytes", sizes[i]);
        items[i] = tn_arena_alloc(arena, 1, sizes[i]);
        TN_CHECK((uintptr_t)items[i] % alignof(max_align_t) == 0);
        for (size_t j = 0; j < sizes[i]; j++)
            TN_CHECK(items[i][j] == 0);
        memset(items[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < TN_COUNT(sizes); i++) {
        TN_CASE("%zu bytes, afterwards", sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++)
            TN_CHECK(items[i][j] == i + 1);
    }
    tn_arena_free(arena);
    tn_arena_free(NULL);
}

static void
copies_end_in_nul(void **state)
{
    tn_arena *arena = tn_arena_new();
    const char *bytes = tn_arena_bytes(arena, "a\0b", 3);

    (void)state;
    assert_memory_equal(bytes, "a\0b\0", 4);
    assert_string_equal(tn_arena_bytes(arena, NULL, 0), "");
    assert_null(tn_arena_text(arena, NULL));
    assert_string_equal(tn_arena_text(arena, "text"), "text");
    assert_string_equal(tn_arena_printf(arena, "%s-%05d", "x", 42), "x-00042");
    assert_int_equal(strlen(tn_arena_printf(arena, "%20000d", 1)), 20000);
    tn_arena_free(arena);
}

struct step {
    char *trace; /* where letters are appended */
    char letter;
    tn_arena *arena;
    struct step *next; /* deferred by the release itself */
};

static void
append_letter(void *what)
{
    struct step *step = what;
    const size_t length = strlen(step->trace);

    step->trace[length] = step->letter;
    step->trace[length + 1] = '\0';
    if (step->next != NULL)
        tn_arena_defer(step->arena, append_letter, step->next);
}

static void
deferred_calls_run_newest_first(void **state)
{
    char trace[8] = "";
    tn_arena *arena = tn_arena_new();
    struct step late = {trace, 'l', arena, NULL};
    struct step steps[] = {
        {trace, 'a', arena, NULL}, {trace, 'b', arena, &late}, {trace, 'c', arena, NULL}};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(steps); i++)
        tn_arena_defer(arena, append_letter, &steps[i]);
    tn_arena_reset(arena);
    assert_string_equal(trace, "cbla");
    tn_arena_defer(arena, append_letter, &steps[2]);
    tn_arena_free(arena);
    assert_string_equal(trace, "cblac");
}

static void
reset_gives_zeroed_memory_again(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 20000; size = size * 3 + 1) {
            uint8_t *item = tn_arena_alloc(arena, 1, size);

            for (size_t i = 0; i < size; i++)
                assert_int_equal(item[i], 0);
            memset(item, 0xff, size);
        }
        tn_arena_label(arena, "label");
        assert_string_equal(tn_arena_label_text(arena), "label");
        tn_arena_reset(arena);
        assert_null(tn_arena_label_text(arena));
    }
    tn_arena_reset(arena); /* of an empty one */
    tn_arena_free(arena);
}

static void
buffers_grow_and_belong_to_the_arena(void **state)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer buffer = tn_arena_buffer(arena);

    (void)state;
    assert_string_equal(tn_buffer_text(buffer), "");
    for (int i = 0; i < 5000; i++)
        appendPQExpBuffer(buffer, "%d,", i);
    assert_int_equal(buffer->len, 23890);
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_aligned_zeroed_and_apart),
        cmocka_unit_test(copies_end_in_nul),
        cmocka_unit_test(deferred_calls_run_newest_first),
        cmocka_unit_test(reset_gives_zeroed_memory_again),
        cmocka_unit_test(buffers_grow_and_belong_to_the_arena),
    };

    return tn_unit_run("arena", tests, TN_COUNT(tests));
}
