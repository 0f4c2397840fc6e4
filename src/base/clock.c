/* base/clock.c: time from clock_gettime() */
#include "base/clock.h"

#include <time.h>

int64_t
tn_clock_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* fails only for an unknown clock */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
tn_clock_ms(void)
{
    return tn_clock_us() / 1000;
}

int64_t
tn_clock_unix(void)
{
    return (int64_t)time(NULL);
}
