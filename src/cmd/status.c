/* cmd/status.c: `tenon status`: the scoreboard, for people and as JSON */
#include "base/clock.h"
#include "cmd/cmd.h"
#include "server/pools.h"
#include "server/shared.h"
#include "server/sockets.h"

static const char *
state_name(int state)
{
    switch (state) {
    case TN_SLOT_STARTING:
        return "starting";
    case TN_SLOT_READY:
        return "ready";
    case TN_SLOT_DRAINING:
        return "draining";
    case TN_SLOT_DEAD:
        return "dead";
    default:
        return "free";
    }
}

static void
add_worker(const tn_slot *slot, PQExpBuffer text, PQExpBuffer json)
{
    const char *state = state_name(atomic_load(&slot->state));
    const int64_t age_s = tn_clock_unix() - atomic_load(&slot->started_at);

    appendPQExpBuffer(text, "%-8s %7d %-9s %4d %6llds %7d %5d %7d %5d/%-5d %9llu\n", slot->pool,
                      atomic_load(&slot->pid), state, atomic_load(&slot->generation),
                      (long long)age_s, atomic_load(&slot->threads), atomic_load(&slot->busy),
                      atomic_load(&slot->clients), atomic_load(&slot->db_in_use),
                      atomic_load(&slot->db_open),
                      (unsigned long long)atomic_load(&slot->requests));
    appendPQExpBuffer(json,
                      "%s{\"pool\":\"%s\",\"pid\":%d,\"state\":\"%s\",\"generation\":%d,"
                      "\"worker_id\":\"%s\",\"age_s\":%lld,\"threads\":%d,\"busy\":%d,"
                      "\"connections\":%d,\"db_in_use\":%d,\"db_open\":%d,\"db_waiting\":%d,"
                      "\"requests\":%llu}",
                      json->len > 0 ? "," : "", slot->pool, atomic_load(&slot->pid), state,
                      atomic_load(&slot->generation), slot->worker_id.text, (long long)age_s,
                      atomic_load(&slot->threads), atomic_load(&slot->busy),
                      atomic_load(&slot->clients), atomic_load(&slot->db_in_use),
                      atomic_load(&slot->db_open), atomic_load(&slot->db_waiting),
                      (unsigned long long)atomic_load(&slot->requests));
}

static void
add_counters(const tn_metrics *m, PQExpBuffer text, PQExpBuffer json)
{
    const struct {
        const char *name;
        unsigned long long value;
    } counters[] = {
        {"requests_2xx", atomic_load(&m->requests[2])},
        {"requests_4xx", atomic_load(&m->requests[4])},
        {"requests_5xx", atomic_load(&m->requests[5])},
        {"requests_aborted", atomic_load(&m->requests[0])},
        {"rate_limited", atomic_load(&m->rate_limited)},
        {"db_unavailable", atomic_load(&m->database_unavailable)},
        {"ai_calls", atomic_load(&m->ai_calls)},
        {"ai_failures", atomic_load(&m->ai_failures)},
        {"ai_retries", atomic_load(&m->ai_retries)},
        {"ai_input_tokens", atomic_load(&m->ai_input_tokens)},
        {"ai_output_tokens", atomic_load(&m->ai_output_tokens)},
        {"streams_open", (unsigned long long)atomic_load(&m->streams_open)},
        {"password_hashes", atomic_load(&m->password_hashes)},
        {"worker_deaths", atomic_load(&m->worker_deaths)},
        {"reloads", atomic_load(&m->reloads)},
    };

    for (size_t i = 0; i < TN_COUNT(counters); i++) {
        appendPQExpBuffer(text, "%-18s %llu\n", counters[i].name, counters[i].value);
        appendPQExpBuffer(json, "%s\"%s\":%llu", i > 0 ? "," : "", counters[i].name,
                          counters[i].value);
    }
}

static tn_exit
run_status(tn_command_line *line)
{
    const tn_config *config;
    const tn_shared *shared;
    PQExpBuffer text = tn_arena_buffer(line->arena), workers = tn_arena_buffer(line->arena);
    PQExpBuffer counters = tn_arena_buffer(line->arena);
    int pid;

    TN_COMMAND_TRY(tn_command_config(line, &config));
    pid = tn_pid_file_holder(config->server.run_dir);
    shared = pid > 0 ? tn_shared_open(tn_run_path(line->arena, config, "scoreboard")) : NULL;
    if (shared == NULL)
        return tn_command_fail(line, TN_EXIT_NOT_RUNNING, "not_running",
                               "Start it with tenon serve, or name its configuration with -c.",
                               "no server runs with the folder %s", config->server.run_dir);
    appendPQExpBuffer(text, "master %d, up %lld s, generation %d\n\n", pid,
                      (long long)(tn_clock_unix() - atomic_load(&shared->started_at)),
                      atomic_load(&shared->generation));
    appendPQExpBuffer(text, "%-8s %7s %-9s %4s %7s %7s %5s %7s %-11s %9s\n", "POOL", "PID", "STATE",
                      "GEN", "AGE", "THREADS", "BUSY", "CLIENTS", "DB USE/OPEN", "REQUESTS");
    for (size_t i = 0; i < TN_SLOTS; i++)
        if (atomic_load(&shared->slots[i].state) != TN_SLOT_FREE)
            add_worker(&shared->slots[i], text, workers);
    appendPQExpBufferChar(text, '\n');
    add_counters(&shared->metrics, text, counters);
    tn_command_print(
        line,
        tn_arena_printf(line->arena,
                        "{\"master\":%d,\"generation\":%d,\"up_s\":%lld,"
                        "\"workers\":[%s],\"counters\":{%s}}",
                        pid, atomic_load(&shared->generation),
                        (long long)(tn_clock_unix() - atomic_load(&shared->started_at)),
                        tn_buffer_text(workers), tn_buffer_text(counters)),
        "%s", tn_buffer_text(text));
    return TN_EXIT_OK;
}

const tn_command tn_status_commands[] = {
    {"status", .summary = "Pools, workers, threads, connections and counters of the running server",
     .help = "Reads shared memory, so it answers whatever the database does.\n", .run = run_status},
    {.name = NULL},
};
