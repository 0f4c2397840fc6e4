/* t/unit/db_listen.c: db/listen.c: notifications, and what happens when the connection goes */
#include "t/unit/unit.h"

#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/lock.h"
#include "db/listen.h"
#include "t/unit/database.h"

static struct {
    tn_lock lock;
    pthread_cond_t changed;
    char last[256]; /* "channel:payload" */
    int resets, notifications;
    tn_listen *listen;
} seen = {.lock = TN_LOCK_INIT};

static void
on_notify(void *context, const char *channel, const char *payload)
{
    (void)context;
    tn_lock_take(&seen.lock);
    snprintf(seen.last, sizeof seen.last, "%s:%s", channel, payload);
    seen.notifications++;
    pthread_cond_broadcast(&seen.changed);
    tn_lock_give(&seen.lock);
}

static void
on_reset(void *context)
{
    (void)context;
    tn_lock_take(&seen.lock);
    seen.resets++;
    pthread_cond_broadcast(&seen.changed);
    tn_lock_give(&seen.lock);
}

/* Waits for a counter to reach a number. */
static void
wait_for(const int *counter, int wanted)
{
    const int64_t deadline_ms = tn_clock_ms() + 10000;

    tn_lock_take(&seen.lock);
    while (*counter < wanted && tn_lock_wait(&seen.lock, &seen.changed, deadline_ms))
        ;
    tn_lock_give(&seen.lock);
    assert_true(*counter >= wanted);
}

static void
wait_until_connected(const tn_listen *listen, bool wanted)
{
    const struct timespec pause = {0, 5000000};

    for (int i = 0; i < 2000 && tn_listen_is_connected(listen) != wanted; i++)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(tn_listen_is_connected(listen), wanted);
}

static void
test_listen(void **state)
{
    const tn_listen_options options = {
        .url = scratch_url, .on_notify = on_notify, .on_reset = on_reset};
    tn_listen *listen = tn_listen_start(&options);
    int64_t start_ms;

    (void)state;
    wait_until_connected(listen, true);
    assert_int_equal(seen.resets, 1); /* before it counts as connected */
    scratch_run("notify tenon, 'key:ab'");
    wait_for(&seen.notifications, 1);
    assert_string_equal(seen.last, "tenon:key:ab");
    scratch_run("notify pgrst, 'reload schema'");
    wait_for(&seen.notifications, 2);
    assert_string_equal(seen.last, "pgrst:reload schema");
    scratch_run("notify other, 'x'; notify tenon");
    wait_for(&seen.notifications, 3);
    assert_string_equal(seen.last, "tenon:");

    /* lost: told at once, and back within a second */
    start_ms = tn_clock_ms();
    scratch_run("select pg_terminate_backend(pid, 1000) from pg_stat_activity where "
                "datname = current_database() and application_name = 'tenon/listen'");
    wait_for(&seen.resets, 3);
    assert_in_range(tn_clock_ms() - start_ms, 0, 1500);
    wait_until_connected(listen, true);
    scratch_run("notify tenon, 'again'");
    wait_for(&seen.notifications, 4);
    assert_string_equal(seen.last, "tenon:again");

    start_ms = tn_clock_ms();
    tn_listen_stop(listen);
    assert_in_range(tn_clock_ms() - start_ms, 0, 500);
}

static void
test_away(void **state)
{
    const tn_listen_options options = {
        .url = "postgresql://u@127.0.0.1:1/x", .on_notify = on_notify, .on_reset = on_reset};
    const int resets = seen.resets;
    tn_listen *listen = tn_listen_start(&options);
    const struct timespec pause = {0, 300000000};
    int64_t start_ms;

    (void)state;
    (void)nanosleep(&pause, NULL);
    assert_false(tn_listen_is_connected(listen));
    assert_int_equal(seen.resets, resets);
    start_ms = tn_clock_ms();
    tn_listen_stop(listen); /* in the middle of a pause */
    assert_in_range(tn_clock_ms() - start_ms, 0, 300);
    tn_listen_stop(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_listen), cmocka_unit_test(test_away)};

    tn_condition_init(&seen.changed);
    scratch_create();
    return tn_unit_run("db_listen", tests, TN_COUNT(tests));
}
