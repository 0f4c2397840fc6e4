/* ai/pause.c: short sleeps in a row */
#include "ai/pause.h"

#include <stddef.h>
#include <time.h>

#include "base/clock.h"

#define STEP_MS 200

bool
tn_pause_ms(int64_t ms, bool (*on_tick)(void *context), void *context)
{
    const int64_t end = tn_clock_ms() + ms;

    for (int64_t left = ms; left > 0; left = end - tn_clock_ms()) {
        const int64_t step = left < STEP_MS ? left : STEP_MS;
        const struct timespec time = {.tv_sec = (time_t)(step / 1000),
                                      .tv_nsec = (long)(step % 1000) * 1000000};

        (void)nanosleep(&time, NULL); /* woken early by a signal: the loop goes on */
        if (on_tick != NULL && !on_tick(context))
            return false;
    }
    return true;
}
