/* t/threads/live.c: chat/live.c: one writes a run, many follow it, for the thread sanitizer
 *
 * Followers come before, during and after the run and begin at any byte; each ends with the whole
 * text behind where it began, and no piece begins within a character.
 */
#include "chat/live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "t/unit/unit.h"

#define FOLLOWERS 12
#define PIECES 400
static const char piece[] = "wörd → 日本 ";

static tn_lives *lives;
static tn_uuid run_id;
static atomic_int not_here, wrong;

static void *
follow(void *argument)
{
    const size_t start = (size_t)(uintptr_t)argument;
    const size_t whole = PIECES * strlen(piece);
    tn_live *live = tn_lives_find(lives, &run_id);
    PQExpBuffer text = createPQExpBuffer();
    size_t offset = start;
    bool goes_on = true;

    if (live == NULL) {
        atomic_fetch_add(&not_here, 1);
    } else {
        while (goes_on) {
            goes_on = tn_live_wait(live, &offset, tn_clock_ms() + 20, text);
            if (text->len > 0 && ((unsigned char)text->data[0] & 0xC0) == 0x80)
                atomic_fetch_add(&wrong, 1);
            offset += text->len;
            resetPQExpBuffer(text);
        }
        if (offset != whole)
            atomic_fetch_add(&wrong, 1);
        tn_live_give(lives, live);
    }
    destroyPQExpBuffer(text);
    return NULL;
}

static void *
cancel(void *argument)
{
    (void)argument;
    tn_lives_cancel(lives, "00000000-0000-7000-8000-000000000000"); /* somebody else's */
    tn_lives_cancel(lives, run_id.text);
    return NULL;
}

static void
followers_get_all_of_it(void **state)
{
    pthread_t threads[FOLLOWERS], canceller;
    tn_live *live;
    size_t length;

    (void)state;
    lives = tn_lives_new();
    run_id = tn_uuid_new();
    live = tn_lives_open(lives, &run_id);
    for (size_t i = 0; i < FOLLOWERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, follow, (void *)(uintptr_t)(i * 3)), 0);
    for (int i = 0; i < PIECES; i++) {
        tn_live_append(live, piece, strlen(piece));
        if (i == PIECES / 2)
            assert_int_equal(pthread_create(&canceller, NULL, cancel, NULL), 0);
        (void)tn_live_text(live, &length);
        assert_int_equal(length, (size_t)(i + 1) * strlen(piece));
    }
    assert_int_equal(pthread_join(canceller, NULL), 0);
    assert_true(tn_live_is_cancelled(live));
    tn_live_end(live);
    tn_live_give(lives, live);
    for (size_t i = 0; i < FOLLOWERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(wrong, 0);
    assert_null(tn_lives_find(lives, &run_id)); /* the last one out takes it away */
    tn_lives_free(lives);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(followers_get_all_of_it)};

    return tn_unit_run("threads/live", tests, TN_COUNT(tests));
}
