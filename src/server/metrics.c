/* server/metrics.c: the scoreboard as Prometheus reads it */
#include "server/metrics.h"

#include "identity/ctx.h"
#include "server/pools.h"

struct sums {
    int64_t workers, threads, busy, clients, db_open, db_in_use, db_waiting;
    uint64_t requests;
};

static struct sums
sum_pool(const tn_shared *shared, const char *pool)
{
    struct sums sums = {0};

    for (size_t i = 0; i < TN_SLOTS; i++) {
        const tn_slot *slot = &shared->slots[i];
        const int state = atomic_load(&slot->state);

        if ((state != TN_SLOT_READY && state != TN_SLOT_DRAINING) || strcmp(slot->pool, pool) != 0)
            continue;
        sums.workers++;
        sums.threads += atomic_load(&slot->threads);
        sums.busy += atomic_load(&slot->busy);
        sums.clients += atomic_load(&slot->clients);
        sums.db_open += atomic_load(&slot->db_open);
        sums.db_in_use += atomic_load(&slot->db_in_use);
        sums.db_waiting += atomic_load(&slot->db_waiting);
        sums.requests += atomic_load(&slot->requests);
    }
    return sums;
}

static void
head(PQExpBuffer out, const char *name, const char *type, const char *help)
{
    appendPQExpBuffer(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
counter(PQExpBuffer out, const char *name, const char *help, uint64_t value)
{
    head(out, name, "counter", help);
    appendPQExpBuffer(out, "%s %llu\n", name, (unsigned long long)value);
}

static void
print_pools(const tn_shared *shared, PQExpBuffer out)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } gauges[] = {
        {"tenon_workers", "Worker processes.", offsetof(struct sums, workers)},
        {"tenon_threads", "Threads of the workers.", offsetof(struct sums, threads)},
        {"tenon_threads_busy", "Threads that serve a request.", offsetof(struct sums, busy)},
        {"tenon_fastcgi_connections", "Connections from nginx.", offsetof(struct sums, clients)},
        {"tenon_db_connections", "Open database connections.", offsetof(struct sums, db_open)},
        {"tenon_db_connections_in_use", "Database connections at work.",
         offsetof(struct sums, db_in_use)},
        {"tenon_db_waiting", "Requests waiting for a database connection.",
         offsetof(struct sums, db_waiting)},
    };

    for (size_t g = 0; g < TN_COUNT(gauges); g++) {
        head(out, gauges[g].name, "gauge", gauges[g].help);
        for (size_t p = 0; p < TN_POOLS; p++) {
            const struct sums sums = sum_pool(shared, tn_pools[p].name);
            int64_t value;

            memcpy(&value, (const char *)&sums + gauges[g].offset, sizeof(value));
            appendPQExpBuffer(out, "%s{pool=\"%s\"} %lld\n", gauges[g].name, tn_pools[p].name,
                              (long long)value);
        }
    }
}

static void
print_requests(const tn_metrics *metrics, PQExpBuffer out)
{
    static const char *const classes[] = {"aborted", "1xx", "2xx", "3xx", "4xx", "5xx"};
    const tn_histogram *histogram = &metrics->request_duration;
    uint64_t below = 0;

    head(out, "tenon_http_requests_total", "counter", "Requests by class of status.");
    for (size_t i = 0; i < TN_COUNT(classes); i++)
        appendPQExpBuffer(out, "tenon_http_requests_total{status=\"%s\"} %llu\n", classes[i],
                          (unsigned long long)atomic_load(&metrics->requests[i]));
    head(out, "tenon_http_request_duration_seconds", "histogram",
         "From the first byte of a request in the worker to the last of its answer.");
    for (size_t i = 0; i < TN_METRIC_BUCKETS; i++) {
        below += atomic_load(&histogram->bucket[i]);
        appendPQExpBuffer(out, "tenon_http_request_duration_seconds_bucket{le=\"%g\"} %llu\n",
                          (double)tn_metric_bounds_us[i] / 1e6, (unsigned long long)below);
    }
    below += atomic_load(&histogram->bucket[TN_METRIC_BUCKETS]);
    appendPQExpBuffer(out,
                      "tenon_http_request_duration_seconds_bucket{le=\"+Inf\"} %llu\n"
                      "tenon_http_request_duration_seconds_sum %.6f\n"
                      "tenon_http_request_duration_seconds_count %llu\n",
                      (unsigned long long)below, (double)atomic_load(&histogram->sum_us) / 1e6,
                      (unsigned long long)below);
}

static void
print_counters(const tn_metrics *m, PQExpBuffer out)
{
    counter(out, "tenon_db_unavailable_total", "Requests that got no database connection.",
            atomic_load(&m->database_unavailable));
    counter(out, "tenon_rate_limited_total", "Requests refused by a rate limit.",
            atomic_load(&m->rate_limited));
    counter(out, "tenon_gen_ai_calls_total", "Calls of AI providers.", atomic_load(&m->ai_calls));
    counter(out, "tenon_gen_ai_failures_total", "Calls of AI providers that failed.",
            atomic_load(&m->ai_failures));
    counter(out, "tenon_gen_ai_retries_total", "Calls of AI providers made again.",
            atomic_load(&m->ai_retries));
    counter(out, "tenon_gen_ai_input_tokens_total", "Tokens sent to AI providers.",
            atomic_load(&m->ai_input_tokens));
    counter(out, "tenon_gen_ai_output_tokens_total", "Tokens got from AI providers.",
            atomic_load(&m->ai_output_tokens));
    counter(out, "tenon_password_hashes_total", "Passwords hashed.",
            atomic_load(&m->password_hashes));
    counter(out, "tenon_password_hashes_refused_total", "Passwords not hashed for want of a place.",
            atomic_load(&m->password_hash_refused));
    counter(out, "tenon_storage_swept_total", "Files removed that had been deleted or replaced.",
            atomic_load(&m->storage_swept));
    counter(out, "tenon_storage_orphans_total", "Files removed that belonged to nobody.",
            atomic_load(&m->storage_orphans));
    counter(out, "tenon_worker_deaths_total", "Workers that ended unasked.",
            atomic_load(&m->worker_deaths));
    counter(out, "tenon_reloads_total", "Reloads of the configuration.", atomic_load(&m->reloads));
    counter(out, "tenon_log_lines_dropped_total", "Log lines that could not be written.",
            atomic_load(&m->log_lines_dropped));
    head(out, "tenon_streams_open", "gauge", "Event streams being written.");
    appendPQExpBuffer(out, "tenon_streams_open %lld\n", (long long)atomic_load(&m->streams_open));
}

static void
print_storage(const tn_metrics *m, PQExpBuffer out)
{
    head(out, "tenon_storage_wrong_folder", "gauge",
         "1: storage.dir is not the folder of this database; no upload is taken.");
    appendPQExpBuffer(out, "tenon_storage_wrong_folder %d\n",
                      atomic_load(&m->storage_wrong_folder) ? 1 : 0);
    head(out, "tenon_storage_trash", "gauge", "Files deleted or replaced, and not removed yet.");
    appendPQExpBuffer(out, "tenon_storage_trash %lld\n", (long long)atomic_load(&m->storage_trash));
    head(out, "tenon_storage_bytes", "gauge", "Bytes of all files.");
    appendPQExpBuffer(out, "tenon_storage_bytes %lld\n", (long long)atomic_load(&m->storage_bytes));
    head(out, "tenon_storage_objects", "gauge", "Files.");
    appendPQExpBuffer(out, "tenon_storage_objects %lld\n",
                      (long long)atomic_load(&m->storage_objects));
}

void
tn_metrics_print(const tn_shared *shared, PQExpBuffer out)
{
    print_pools(shared, out);
    print_requests(&shared->metrics, out);
    print_counters(&shared->metrics, out);
    print_storage(&shared->metrics, out);
    head(out, "tenon_start_time_seconds", "gauge", "When the master started.");
    appendPQExpBuffer(out, "tenon_start_time_seconds %lld\n",
                      (long long)atomic_load(&shared->started_at));
}

/* GET /metrics */
static const tn_error *
get_metrics(tn_ctx *c)
{
    PQExpBuffer out = tn_arena_buffer(c->arena);

    tn_metrics_print(c->state, out);
    tn_response_text(c->response, 200, "text/plain; version=0.0.4; charset=utf-8",
                     tn_buffer_text(out), out->len);
    return NULL;
}

static const tn_route routes[] = {
    {"GET", "/metrics", get_metrics, .roles = TN_ANYBODY,
     .summary = "Counters and gauges for Prometheus"},
    {.method = NULL},
};

const tn_area tn_ops_area = {
    .name = "ops", .prefix = "", .routes = routes, .render_error = tn_render_error};
