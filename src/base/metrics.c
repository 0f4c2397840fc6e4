/* base/metrics.c: adding to a histogram */
#include "base/metrics.h"

const int64_t tn_metric_bounds_us[TN_METRIC_BUCKETS] = {
    500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000, 30000000,
};

void
tn_histogram_add(tn_histogram *histogram, int64_t us)
{
    int bucket = 0;

    if (us < 0)
        us = 0;
    while (bucket < TN_METRIC_BUCKETS && us > tn_metric_bounds_us[bucket])
        bucket++;
    atomic_fetch_add_explicit(&histogram->bucket[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, (uint64_t)us, memory_order_relaxed);
}
