/* cmd/control.c: `tenon reload` and `tenon stop`: signals to the running master */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "server/shared.h"
#include "server/sockets.h"

#define POLL_MS 20
#define KEPT_MAX_MS 5000 /* nginx closes its kept connections sooner: keepalive_time */

/* The master's pid, or exit 3 with a word about it. */
static tn_exit
find_master(tn_command_line *line, const tn_config **config, int *pid)
{
    TN_COMMAND_TRY(tn_command_config(line, config));
    *pid = tn_pid_file_holder((*config)->server.run_dir);
    if (*pid > 0)
        return TN_EXIT_OK;
    return tn_command_fail(line, TN_EXIT_NOT_RUNNING, "not_running",
                           "Start it with tenon serve, or name its configuration with -c.",
                           "no server runs with the folder %s", (*config)->server.run_dir);
}

static tn_exit
send_signal(tn_command_line *line, int pid, int signal_number)
{
    if (kill(pid, signal_number) == 0)
        return TN_EXIT_OK;
    return tn_command_fail(line, TN_EXIT_FAILED, "signal_failed", NULL,
                           "cannot signal the server (process %d): %s", pid, strerror(errno));
}

/* Waits until the scoreboard shows the next generation: then the new configuration is in use. */
/* Does nginx still have connections to short-lived workers of an older generation? */
static bool
is_older_asked(const tn_shared *shared)
{
    const int generation = atomic_load(&shared->generation);

    for (size_t i = 0; i < TN_SLOTS; i++) {
        const tn_slot *slot = &shared->slots[i];
        const int state = atomic_load(&slot->state);

        if ((state == TN_SLOT_READY || state == TN_SLOT_DRAINING) &&
            atomic_load(&slot->generation) < generation && atomic_load(&slot->clients) > 0 &&
            strcmp(slot->pool, "api") == 0)
            return true;
    }
    return false;
}

static tn_exit
run_reload(tn_command_line *line)
{
    const tn_config *config;
    const tn_shared *shared;
    const int64_t deadline_ms = tn_clock_ms() + 35000;
    int64_t kept_until_ms;
    int pid, generation, refused;

    TN_COMMAND_TRY(find_master(line, &config, &pid));
    shared = tn_shared_open(tn_run_path(line->arena, config, "scoreboard"));
    generation = shared != NULL ? atomic_load(&shared->generation) : 0;
    refused = shared != NULL ? atomic_load(&shared->reloads_refused) : 0;
    TN_COMMAND_TRY(send_signal(line, pid, SIGHUP));
    while (shared != NULL && atomic_load(&shared->generation) == generation) {
        if (atomic_load(&shared->reloads_refused) != refused || tn_clock_ms() > deadline_ms ||
            kill(pid, 0) != 0)
            return tn_command_fail(line, TN_EXIT_FAILED, "reload_failed", "The log says why.",
                                   "the server did not take the new configuration");
        (void)poll(NULL, 0, POLL_MS);
    }
    kept_until_ms = tn_clock_ms() + KEPT_MAX_MS;
    while (shared != NULL && is_older_asked(shared) && tn_clock_ms() < kept_until_ms)
        (void)poll(NULL, 0, POLL_MS);
    tn_command_print(line, "{\"reloaded\":true}", "reloaded\n");
    return TN_EXIT_OK;
}

static tn_exit
run_stop(tn_command_line *line)
{
    const tn_config *config;
    int64_t deadline_ms;
    int pid;

    TN_COMMAND_TRY(find_master(line, &config, &pid));
    TN_COMMAND_TRY(send_signal(line, pid, SIGTERM));
    deadline_ms = tn_clock_ms() + (config->server.drain_timeout_s + 10) * 1000;
    while (tn_pid_file_holder(config->server.run_dir) == pid) {
        if (tn_clock_ms() > deadline_ms)
            return tn_command_fail(line, TN_EXIT_FAILED, "stop_failed", "The log says why.",
                                   "the server (process %d) has not stopped", pid);
        (void)poll(NULL, 0, POLL_MS);
    }
    tn_command_print(line, "{\"stopped\":true}", "stopped\n");
    return TN_EXIT_OK;
}

const tn_command tn_control_commands[] = {
    {"reload", .summary = "Make an edited configuration take effect, dropping no request",
     .help =
         "Waits until the new workers serve whatever is asked. When the configuration is wrong\n"
         "the old one stays in use and this command fails.\n",
     .run = run_reload},
    {"stop", .summary = "Finish what runs and stop the server", .run = run_stop},
    {.name = NULL},
};
