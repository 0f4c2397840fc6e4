/* base/metrics.h: counters in shared memory, for /metrics and `tenon status`
 *
 * Threads and processes: any; every counter is atomic. Names follow Prometheus and OpenTelemetry.
 */
#ifndef TN_BASE_METRICS_H
#define TN_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#define TN_METRIC_BUCKETS 12

typedef struct tn_histogram {
    _Atomic uint64_t bucket[TN_METRIC_BUCKETS + 1]; /* last: over all bounds */
    _Atomic uint64_t count, sum_us;
} tn_histogram;

/* Upper bounds of the buckets in microseconds, ascending. */
extern const int64_t tn_metric_bounds_us[TN_METRIC_BUCKETS];

typedef struct tn_metrics {
    _Atomic uint64_t requests[6]; /* by status class: [2] is 2xx; [0] aborted */
    tn_histogram request_duration;
    _Atomic uint64_t database_unavailable, rate_limited;
    _Atomic uint64_t ai_calls, ai_failures, ai_retries, ai_input_tokens, ai_output_tokens;
    _Atomic int64_t streams_open;
    _Atomic uint64_t password_hashes, password_hash_refused;
    _Atomic uint64_t storage_swept, storage_orphans; /* files removed: of the trash, of nobody */
    _Atomic int64_t storage_trash, storage_bytes, storage_objects; /* gauges, of all tenants */
    atomic_bool storage_wrong_folder; /* storage.dir is not ours: no upload is taken */
    _Atomic uint64_t worker_deaths, reloads, log_lines_dropped;
} tn_metrics;

void tn_histogram_add(tn_histogram *histogram, int64_t us);

#endif
