/* base/clock.h: time
 *
 * Threads: any.
 */
#ifndef TN_BASE_CLOCK_H
#define TN_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds and microseconds that only go forward; for measuring and for deadlines. */
int64_t tn_clock_ms(void);
int64_t tn_clock_us(void);

/* Seconds since 1970 (UTC), as tokens carry them. */
int64_t tn_clock_unix(void);

#endif
