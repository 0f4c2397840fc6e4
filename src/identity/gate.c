/* identity/gate.c: places that are robust mutexes */
#include "identity/gate.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"

#define SLICE_MS 20 /* how long one queues at one place before looking at all of them again */

struct tn_gate {
    int places;
    _Atomic unsigned int turn; /* spreads those who wait over the places */
    pthread_mutex_t place[TN_GATE_PLACES_MAX];
};

size_t
tn_gate_size(void)
{
    return sizeof(tn_gate);
}

tn_gate *
tn_gate_init(void *memory, int places)
{
    tn_gate *gate = memory;
    pthread_mutexattr_t shared;

    assert(places >= 1);
    gate->places = places < TN_GATE_PLACES_MAX ? places : TN_GATE_PLACES_MAX;
    if (pthread_mutexattr_init(&shared) != 0 ||
        pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_mutexattr_setrobust(&shared, PTHREAD_MUTEX_ROBUST) != 0)
        tn_die("mutexes cannot be shared between processes here");
    for (int i = 0; i < gate->places; i++)
        if (pthread_mutex_init(&gate->place[i], &shared) != 0)
            tn_die("cannot make a mutex");
    (void)pthread_mutexattr_destroy(&shared);
    return gate;
}

/* Is the place ours after this answer of a lock function? Its last holder may have died in it, and
 * as a place guards no data there is nothing to mend. */
static bool
is_taken(pthread_mutex_t *place, int answer)
{
    if (answer == EOWNERDEAD)
        answer = pthread_mutex_consistent(place);
    return answer == 0;
}

static int
take_free_place(tn_gate *gate)
{
    for (int i = 0; i < gate->places; i++)
        if (is_taken(&gate->place[i], pthread_mutex_trylock(&gate->place[i])))
            return i;
    return -1;
}

static bool
queue_at(pthread_mutex_t *place, int64_t ms)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += (time_t)(ms / 1000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return is_taken(place, pthread_mutex_timedlock(place, &until));
}

int
tn_gate_enter(tn_gate *gate, int64_t wait_ms)
{
    const int64_t deadline_ms = tn_clock_ms() + wait_ms;
    int place = take_free_place(gate);

    while (place < 0) {
        const int64_t left_ms = deadline_ms - tn_clock_ms();
        const int turn = (int)(atomic_fetch_add(&gate->turn, 1) % (unsigned int)gate->places);

        if (left_ms <= 0)
            return -1;
        if (queue_at(&gate->place[turn], left_ms < SLICE_MS ? left_ms : SLICE_MS))
            return turn;
        place = take_free_place(gate);
    }
    return place;
}

void
tn_gate_leave(tn_gate *gate, int place)
{
    const int failed = pthread_mutex_unlock(&gate->place[place]);

    assert(failed == 0);
    (void)failed;
}
