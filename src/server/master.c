/* server/master.c: the process that watches
 *
 * It reads the configuration, opens the sockets, makes the shared memory, forks the pools and does
 * nothing else but watch them. Workers belong to a generation; SIGHUP starts the next one with the
 * new configuration and, once all of it is ready, tells the one before to drain.
 */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "identity/limit.h"
#include "server/helper.h"
#include "server/server.h"
#include "server/shared.h"
#include "server/sockets.h"
#include "server/systemd.h"
#include "server/worker.h"

#define TICK_MS 1000
#define STARTING_TICK_MS 20
#define START_TIMEOUT_MS 30000
#define YOUNG_S 10 /* a worker that dies younger is replaced with growing pauses */
#define BACK_OFF_MS 100
#define BACK_OFF_MAX_MS 10000
#define EXIT_SOFTWARE 70
#define EXIT_CONFIG 78

struct generation {
    tn_arena *arena; /* of the configuration */
    tn_config config;
    int number;
};

struct master {
    const tn_application *application;
    const char *config_path;
    struct generation *current, *starting; /* starting: not all of its workers are ready yet */
    int64_t starting_since_ms;
    bool start_failed; /* a worker of `starting` has died before it was ready */
    int sockets[TN_POOLS];
    tn_shared *shared;
    tn_helper helper;
    sigset_t signals;
    int64_t watchdog_ms, respawn_at_ms; /* respawn_at_ms 0: nobody is missing */
    int young_deaths;
    bool reload_again; /* asked for while one was under way: the file may have changed since */
    bool stopping;
    int64_t stop_since_ms;
};

/* --- configuration --------------------------------------------------------------------------- */

static void
free_generation(struct generation *generation)
{
    if (generation == NULL)
        return;
    tn_arena_free(generation->arena);
    free(generation);
}

/* Reads the configuration. On failure says on standard error and in the log what is wrong. */
static struct generation *
load_generation(const char *path, int number)
{
    struct generation *generation = calloc(1, sizeof(*generation));
    const char *problem;

    if (generation == NULL)
        tn_die("out of memory");
    generation->arena = tn_arena_new();
    generation->number = number;
    problem = tn_config_load(generation->arena, path, &generation->config);
    if (problem == NULL)
        problem = tn_limits_check(&generation->config, generation->arena);
    if (problem == NULL && *generation->config.database.url == '\0')
        problem = "database.url is not set";
    if (problem == NULL && *generation->config.server.secret == '\0')
        problem = "server.secret is not set: tenon init writes one";
    if (problem == NULL)
        return generation;
    (void)fprintf(stderr, "tenon: %s\n", problem);
    tn_log(TN_LOG_ERROR, "server.config.invalid", TN_STR("problem", problem));
    free_generation(generation);
    return NULL;
}

/* Opens the log, also when it is open. The workers' user owns the file: when it was moved away,
 * they open it again themselves. */
static bool
open_log(const tn_config *config)
{
    const char *path = *config->log.file != '\0' ? config->log.file : NULL;
    const struct passwd *account;
    struct stat file;

    if (!tn_log_open(path, config->log.level))
        return false;
    if (path == NULL || geteuid() != 0 || *config->server.user == '\0')
        return true;
    if (stat(path, &file) != 0 ||
        !S_ISREG(file.st_mode)) /* /dev/stdout and its like are not ours */
        return true;
    account = getpwnam(config->server.user);
    return account == NULL || chown(path, account->pw_uid, account->pw_gid) == 0;
}

static int
hash_places(const tn_config *config)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->auth.hash_parallel > 0)
        return (int)config->auth.hash_parallel;
    return cores > 1 ? (int)(cores / 2) : 1;
}

static int
process_count(const tn_config *config, tn_pool_id pool)
{
    const int64_t configured = tn_pool_settings(config, pool)->processes;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (configured > 0)
        return (int)configured;
    return cores > 0 ? (int)cores : 1;
}

/* --- workers --------------------------------------------------------------------------------- */

static bool
fork_worker(struct master *master, struct generation *generation, tn_pool_id pool)
{
    tn_slot *slot = tn_shared_take_slot(master->shared, tn_pools[pool].name, generation->number);
    pid_t pid;

    if (slot == NULL) {
        tn_log(TN_LOG_ERROR, "server.slots.full", TN_INT("slots", TN_SLOTS));
        return false;
    }
    pid = fork();
    if (pid == 0) {
        (void)sigprocmask(SIG_UNBLOCK, &master->signals, NULL);
        tn_worker_run(&(tn_worker){.application = master->application,
                                   .config = &generation->config,
                                   .pool = pool,
                                   .listener = master->sockets[pool],
                                   .shared = master->shared,
                                   .slot = slot,
                                   .helper = master->helper.ours});
    }
    if (pid < 0) {
        tn_log(TN_LOG_ERROR, "server.fork.failed", TN_STR("error", strerror(errno)));
        atomic_store(&slot->state, TN_SLOT_FREE);
        return false;
    }
    atomic_store(&slot->pid, (int)pid);
    return true;
}

static int
count_workers(const struct master *master, const char *pool, int generation, bool ready_only)
{
    int count = 0;

    for (size_t i = 0; i < TN_SLOTS; i++) {
        const tn_slot *slot = &master->shared->slots[i];
        const int state = atomic_load(&slot->state);

        if (state == TN_SLOT_FREE || state == TN_SLOT_DEAD ||
            (ready_only && state != TN_SLOT_READY) ||
            (generation >= 0 && atomic_load(&slot->generation) != generation) ||
            (pool != NULL && strcmp(slot->pool, pool) != 0))
            continue;
        count++;
    }
    return count;
}

/* Forks what a generation lacks. Returns whether it is complete. */
static bool
fill_pools(struct master *master, struct generation *generation)
{
    bool complete = true;

    for (tn_pool_id pool = TN_POOL_API; pool < TN_POOLS; pool++) {
        int missing = process_count(&generation->config, pool) -
                      count_workers(master, tn_pools[pool].name, generation->number, false);

        for (; missing > 0; missing--)
            complete = fork_worker(master, generation, pool) && complete;
    }
    return complete;
}

static bool
is_ready(const struct master *master, const struct generation *generation)
{
    for (tn_pool_id pool = TN_POOL_API; pool < TN_POOLS; pool++)
        if (count_workers(master, tn_pools[pool].name, generation->number, true) <
            process_count(&generation->config, pool))
            return false;
    return true;
}

/* To every worker of one generation, or of all but one (`except`), or of all (-1, -1). */
static void
signal_workers(const struct master *master, int signal_number, int generation, int except)
{
    for (size_t i = 0; i < TN_SLOTS; i++) {
        const tn_slot *slot = &master->shared->slots[i];
        const int state = atomic_load(&slot->state), pid = atomic_load(&slot->pid);
        const int number = atomic_load(&slot->generation);

        if (state == TN_SLOT_FREE || state == TN_SLOT_DEAD || pid <= 0 || number == except ||
            (generation >= 0 && number != generation))
            continue;
        (void)kill(pid, signal_number);
    }
}

/* --- deaths ---------------------------------------------------------------------------------- */

static void
plan_respawn(struct master *master, int64_t lived_s)
{
    int64_t pause_ms = 0;

    if (lived_s < YOUNG_S) {
        pause_ms = BACK_OFF_MS << (master->young_deaths < 7 ? master->young_deaths : 7);
        master->young_deaths++;
    } else {
        master->young_deaths = 0;
    }
    if (pause_ms > BACK_OFF_MAX_MS)
        pause_ms = BACK_OFF_MAX_MS;
    if (master->respawn_at_ms == 0)
        master->respawn_at_ms = tn_clock_ms() + pause_ms;
}

static void
reap_worker(struct master *master, pid_t pid, int status)
{
    tn_slot *slot = tn_shared_slot_of(master->shared, (int)pid);
    int state;

    if (slot == NULL) {
        (void)tn_helper_reap(&master->helper, pid, status);
        return;
    }
    state = atomic_load(&slot->state);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && state == TN_SLOT_DRAINING) {
        atomic_store(&slot->state, TN_SLOT_FREE);
        return;
    }
    tn_log(TN_LOG_ERROR, "server.worker.died", TN_INT("pid", pid), TN_STR("pool", slot->pool),
           TN_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
           TN_INT("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0));
    atomic_fetch_add(&master->shared->metrics.worker_deaths, 1);
    plan_respawn(master, tn_clock_unix() - atomic_load(&slot->started_at));
    if (state == TN_SLOT_STARTING && master->starting != NULL &&
        atomic_load(&slot->generation) == master->starting->number)
        master->start_failed = true; /* as it would again: the old configuration stays */
    /* One that had not started has no runs; the others wait for the jobs process. */
    atomic_store(&slot->state, state == TN_SLOT_STARTING ? TN_SLOT_FREE : TN_SLOT_DEAD);
}

static void
reap_workers(struct master *master)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        reap_worker(master, pid, status);
}

/* --- reload and stop ------------------------------------------------------------------------- */

static void
begin_reload(struct master *master)
{
    struct generation *next;

    master->reload_again = master->starting != NULL;
    if (master->reload_again || master->stopping)
        return;
    next = load_generation(master->config_path, master->current->number + 1);
    if (next == NULL) { /* said why; the old configuration stays in use */
        atomic_fetch_add(&master->shared->reloads_refused, 1);
        return;
    }
    if (!open_log(&next->config)) {
        tn_log(TN_LOG_ERROR, "server.log.reopen_failed", TN_STR("error", strerror(errno)));
        atomic_fetch_add(&master->shared->reloads_refused, 1);
        free_generation(next);
        return;
    }
    tn_systemd_notify("RELOADING=1");
    master->starting = next;
    master->start_failed = false;
    master->starting_since_ms = tn_clock_ms();
    (void)fill_pools(master, next);
    tn_log(TN_LOG_INFO, "server.reload.started", TN_INT("generation", next->number));
}

/* The next generation is complete: the one before may finish what it has. */
static void
finish_reload(struct master *master)
{
    struct generation *before = master->current;

    master->current = master->starting;
    master->starting = NULL;
    atomic_store(&master->shared->generation, master->current->number);
    atomic_fetch_add(&master->shared->metrics.reloads, 1);
    signal_workers(master, SIGQUIT, -1, master->current->number);
    free_generation(before); /* its workers have copies of their own */
    tn_systemd_notify("READY=1");
    tn_log(TN_LOG_INFO, "server.reload.finished", TN_INT("generation", master->current->number),
           TN_INT("ms", tn_clock_ms() - master->starting_since_ms));
}

/* It did not come up: the old one goes on. */
static void
abandon_reload(struct master *master)
{
    tn_log(TN_LOG_ERROR, "server.reload.failed", TN_INT("generation", master->starting->number));
    signal_workers(master, SIGTERM, master->starting->number, -1);
    free_generation(master->starting);
    master->starting = NULL;
    (void)open_log(&master->current->config);
    atomic_fetch_add(&master->shared->reloads_refused, 1);
    tn_systemd_notify("READY=1");
}

static void
watch_reload(struct master *master)
{
    if (master->starting == NULL)
        return;
    if (is_ready(master, master->starting))
        finish_reload(master);
    else if (master->start_failed || tn_clock_ms() - master->starting_since_ms > START_TIMEOUT_MS)
        abandon_reload(master);
    if (master->starting == NULL && master->reload_again)
        begin_reload(master);
}

static void
begin_stop(struct master *master)
{
    if (master->stopping)
        return;
    tn_log(TN_LOG_INFO, "server.stopping");
    tn_systemd_notify("STOPPING=1");
    master->stopping = true;
    master->stop_since_ms = tn_clock_ms();
    signal_workers(master, SIGTERM, -1, -1);
    tn_sockets_refuse(master->sockets);
}

/* --- the watch ------------------------------------------------------------------------------- */

static void
handle_signal(struct master *master, int signal_number)
{
    switch (signal_number) {
    case SIGHUP:
        begin_reload(master);
        break;
    case SIGTERM:
    case SIGINT:
        begin_stop(master);
        break;
    case SIGUSR1:
        if (!open_log(&master->current->config))
            tn_log(TN_LOG_ERROR, "server.log.reopen_failed", TN_STR("error", strerror(errno)));
        signal_workers(master, SIGUSR1, -1, -1);
        break;
    default: /* SIGCHLD, or the tick */
        break;
    }
}

static void
replace_missing(struct master *master)
{
    if (master->stopping || master->respawn_at_ms == 0 || tn_clock_ms() < master->respawn_at_ms)
        return;
    master->respawn_at_ms = 0;
    if (!fill_pools(master, master->current))
        master->respawn_at_ms = tn_clock_ms() + BACK_OFF_MAX_MS;
    if (master->starting != NULL)
        (void)fill_pools(master, master->starting);
}

static struct timespec
next_tick(const struct master *master)
{
    int64_t ms = TICK_MS;

    if (master->starting != NULL || master->stopping || master->respawn_at_ms != 0 ||
        tn_helper_due_ms(&master->helper) != 0)
        ms = STARTING_TICK_MS;
    if (master->watchdog_ms > 0 && master->watchdog_ms < ms)
        ms = master->watchdog_ms;
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

/* One round: wait for a signal or the tick, then put right what is not as it should be. */
static void
watch_once(struct master *master)
{
    const struct timespec tick = next_tick(master);

    handle_signal(master, sigtimedwait(&master->signals, NULL, &tick));
    reap_workers(master);
    replace_missing(master);
    tn_helper_keep(&master->helper, master->current->config.server.user);
    watch_reload(master);
    if (master->watchdog_ms > 0)
        tn_systemd_notify("WATCHDOG=1");
}

/* All first workers are ready, or one of them has failed. */
static bool
wait_for_first(struct master *master)
{
    const int64_t deadline_ms = tn_clock_ms() + START_TIMEOUT_MS;

    while (!is_ready(master, master->current)) {
        const struct timespec tick = {.tv_nsec = 2000000L};

        if (tn_clock_ms() > deadline_ms)
            return false;
        handle_signal(master, sigtimedwait(&master->signals, NULL, &tick));
        reap_workers(master);
        if (master->stopping || atomic_load(&master->shared->metrics.worker_deaths) > 0)
            return false;
    }
    return true;
}

static void
watch_until_stopped(struct master *master)
{
    bool killed = false;

    while (!master->stopping || count_workers(master, NULL, -1, false) > 0) {
        const int64_t limit_ms = (master->current->config.server.drain_timeout_s + 5) * 1000;

        watch_once(master);
        if (master->stopping && !killed && tn_clock_ms() - master->stop_since_ms > limit_ms) {
            signal_workers(master, SIGKILL, -1, -1);
            killed = true;
        }
    }
}

/* --- start ----------------------------------------------------------------------------------- */

static void
take_signals(struct master *master)
{
    (void)sigemptyset(&master->signals);
    (void)sigaddset(&master->signals, SIGHUP);
    (void)sigaddset(&master->signals, SIGTERM);
    (void)sigaddset(&master->signals, SIGINT);
    (void)sigaddset(&master->signals, SIGUSR1);
    (void)sigaddset(&master->signals, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &master->signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Thousands of streams are thousands of descriptors. */
static void
raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static const char *
open_everything(struct master *master, tn_arena *arena)
{
    const tn_config *config = &master->current->config;
    const char *path = tn_run_path(arena, config, "scoreboard");
    const char *problem = tn_pid_file_take(arena, config);

    if (problem == NULL)
        problem = tn_sockets_open(arena, config, master->sockets);
    if (problem != NULL)
        return problem;
    master->shared = tn_shared_create(path, hash_places(config));
    if (master->shared == NULL)
        return tn_arena_printf(arena, "cannot make %s: %s", path, strerror(errno));
    if (master->application->helper != NULL)
        tn_helper_open(&master->helper, arena, master->application->helper);
    tn_log_count_drops(&master->shared->metrics.log_lines_dropped);
    atomic_store(&master->shared->master_pid, (int)getpid());
    atomic_store(&master->shared->generation, master->current->number);
    return NULL;
}

static int
run_master(struct master *master, tn_arena *arena)
{
    int exit_code = 0;

    tn_helper_keep(&master->helper, master->current->config.server.user);
    if (!fill_pools(master, master->current) || !wait_for_first(master)) {
        if (!master->stopping) {
            (void)fprintf(stderr, "tenon: the workers did not start; the log says why\n");
            exit_code = EXIT_SOFTWARE;
        }
        begin_stop(master);
    } else {
        tn_systemd_notify("READY=1");
        tn_log(TN_LOG_INFO, "server.started", TN_INT("pid", getpid()),
               TN_STR("run_dir", master->current->config.server.run_dir));
    }
    watch_until_stopped(master);
    tn_helper_stop(&master->helper);
    tn_sockets_remove(arena, &master->current->config);
    (void)unlink(tn_run_path(arena, &master->current->config, "tenon.pid"));
    tn_log(TN_LOG_INFO, "server.stopped");
    return exit_code;
}

int
tn_serve(const tn_application *application, const char *config_path)
{
    struct master master = {.application = application,
                            .helper = {.ours = -1, .theirs = -1},
                            .config_path = config_path,
                            .current = load_generation(config_path, 1),
                            .watchdog_ms = tn_systemd_watchdog_ms()};
    const tn_config *config;
    tn_arena *arena;
    const char *problem;
    int exit_code = EXIT_CONFIG;

    if (master.current == NULL)
        return EXIT_CONFIG;
    config = &master.current->config;
    arena = tn_arena_new();
    take_signals(&master);
    raise_descriptor_limit();
    problem = open_everything(&master, arena);
    if (problem == NULL && !open_log(config))
        problem =
            tn_arena_printf(arena, "cannot open the log %s: %s", config->log.file, strerror(errno));
    if (problem != NULL)
        (void)fprintf(stderr, "tenon: %s\n", problem);
    else
        exit_code = run_master(&master, arena);
    free_generation(master.starting);
    free_generation(master.current);
    tn_arena_free(arena);
    return exit_code;
}
