/* server/worker.c: one worker process
 *
 * The main thread handles signals, keeps the scoreboard and the heartbeat, and in the jobs process
 * runs the jobs; requests are served by the threads of the loop.
 */
#include "server/worker.h"

#include <errno.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fetch.h"
#include "base/log.h"
#include "base/text.h"
#include "db/catalog.h"
#include "identity/key.h"
#include "identity/token.h"
#include "server/dispatch.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/notify.h"

#define TICK_MS 250
#define HEARTBEAT_MS 5000
#define MALLOC_ARENAS 4 /* glibc would make eight per core, each with its own slack */

struct state {
    const tn_worker *worker;
    tn_process process;
    atomic_bool draining;
    tn_dispatch dispatch;
    tn_loop *loop;
    tn_listen *listen;
    tn_arena *arena; /* of the main thread, emptied at each tick */
    bool stopping;
    int64_t drain_since_ms, heartbeat_ms;
};

/* --- becoming a worker ----------------------------------------------------------------------- */

void
tn_worker_drop_privileges(const char *user)
{
    const struct passwd *account;

    if (geteuid() != 0 || *user == '\0')
        return;
    account = getpwnam(user);
    if (account == NULL)
        tn_die("server.user: there is no user %s", user);
    if (initgroups(user, account->pw_gid) != 0 || setgid(account->pw_gid) != 0 ||
        setuid(account->pw_uid) != 0)
        tn_die("server.user: cannot become %s: %s", user, strerror(errno));
}

static void
block_signals(sigset_t *signals)
{
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGTERM);
    (void)sigaddset(signals, SIGQUIT);
    (void)sigaddset(signals, SIGUSR1);
    (void)sigprocmask(SIG_SETMASK, signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN); /* the master's business, also when the terminal sends it */
    (void)signal(SIGINT, SIG_IGN);
}

static void
become_worker(const tn_worker *worker, sigset_t *signals)
{
    const pid_t master = getppid();
    char name[16];

    block_signals(signals);
    (void)mallopt(M_ARENA_MAX, MALLOC_ARENAS);
    tn_worker_drop_privileges(worker->config->server.user);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* after setuid(), which clears it */
    if (getppid() != master)
        _exit(0);
    (void)snprintf(name, sizeof(name), "tenon-%s", tn_pools[worker->pool].name);
    (void)prctl(PR_SET_NAME, name);
}

/* --- threads --------------------------------------------------------------------------------- */

static void *
start_thread(void *context)
{
    (void)context;
    return tn_arena_new();
}

static void
stop_thread(void *context, void *arena)
{
    (void)context;
    tn_arena_free(arena);
    tn_crypto_thread_end();
}

static void
serve(void *context, void *arena, FCGX_Request *fcgx, bool overloaded)
{
    const struct state *state = context;

    tn_dispatch_serve(&state->dispatch, arena, fcgx, overloaded);
}

/* --- start ----------------------------------------------------------------------------------- */

static tn_catalog *
new_catalog(struct state *state)
{
    const tn_config *config = state->process.config;
    tn_catalog_options options = {.require_rls = config->data.require_rls};

    options.schemas = tn_text_split(state->arena, config->data.schemas, &options.schema_count);
    return tn_catalog_new(state->process.db, &options);
}

static void
start_process(struct state *state)
{
    const tn_worker *worker = state->worker;
    const tn_config *config = worker->config;
    const tn_pool_config *pool = tn_pool_settings(config, worker->pool);

    state->process = (tn_process){
        .config = config,
        .db = tn_db_new(
            &(tn_db_options){.url = config->database.url,
                             .pool = tn_pools[worker->pool].name,
                             .connections = (size_t)pool->connections,
                             .wait_ms = config->server.database_wait_ms,
                             .statement_timeout_ms = config->database.statement_timeout_ms,
                             .lock_timeout_ms = config->database.lock_timeout_ms,
                             .statements_max = (size_t)config->database.statements_max}),
        .limits = tn_shared_limits(worker->shared),
        .hash_gate = tn_shared_gate(worker->shared),
        .step_aside = tn_loop_step_aside,
        .step_back = tn_loop_step_back,
        .metrics = &worker->shared->metrics,
        .worker_id = worker->slot->worker_id,
        .pool = tn_pools[worker->pool].name,
        .helper_socket = worker->helper,
        .draining = &state->draining,
    };
    state->process.keys = tn_keys_new(state->process.db, config->auth.cache_ttl_s);
    state->process.tokens = tn_tokens_new(config, state->process.db);
    state->process.catalog = new_catalog(state);
    state->process.store = worker->application->store_new(config);
}

static void
start_areas(struct state *state)
{
    static const tn_area *const ops_areas[] = {&tn_ops_area, NULL};
    const bool is_ops = state->worker->pool == TN_POOL_JOBS;
    const tn_area *const *areas = is_ops ? ops_areas : state->worker->application->areas;
    size_t count = 0;

    while (areas[count] != NULL)
        count++;
    state->dispatch = (tn_dispatch){
        .process = &state->process, .areas = areas, .states = calloc(count + 1, sizeof(void *))};
    if (state->dispatch.states == NULL)
        tn_die("out of memory");
    for (size_t i = 0; i < count; i++)
        if (areas[i]->start != NULL)
            state->dispatch.states[i] = areas[i]->start(&state->process);
    if (is_ops)
        state->dispatch.states[0] = state->worker->shared;
}

/* After the areas, in whose dispatch they are kept: notifications come to both the same way. */
static void
start_services(struct state *state)
{
    static const tn_service *const none[] = {NULL};
    const tn_service *const *services =
        state->worker->pool == TN_POOL_JOBS ? state->worker->application->services : none;
    size_t count = 0;

    while (services[count] != NULL)
        count++;
    state->dispatch.services = services;
    state->dispatch.service_states = calloc(count + 1, sizeof(void *));
    if (state->dispatch.service_states == NULL)
        tn_die("out of memory");
    for (size_t i = 0; i < count; i++)
        state->dispatch.service_states[i] = services[i]->start(&state->process);
}

static void
stop_services(struct state *state)
{
    for (size_t i = 0; state->dispatch.services[i] != NULL; i++)
        state->dispatch.services[i]->stop(state->dispatch.service_states[i]);
    free(state->dispatch.service_states);
}

static void
start_loop(struct state *state)
{
    const tn_worker *worker = state->worker;
    const tn_pool_config *pool = tn_pool_settings(worker->config, worker->pool);

    state->loop = tn_loop_new(&(tn_loop_options){
        .listener = worker->listener,
        .threads = (int)pool->threads,
        .stack_bytes = (size_t)pool->stack_kib * 1024,
        .io_timeout_ms = worker->config->server.request_timeout_s * 1000,
        .requests_are_long = worker->pool == TN_POOL_STREAM,
        .serve = serve,
        .thread_start = start_thread,
        .thread_stop = stop_thread,
        .context = state,
    });
    if (state->loop == NULL)
        tn_die("pool %s: cannot start threads: %s", state->process.pool, strerror(errno));
}

/* --- tick ------------------------------------------------------------------------------------ */

static void
publish_figures(struct state *state, tn_loop_figures *figures)
{
    tn_slot *slot = state->worker->slot;
    tn_db_figures db;

    tn_loop_figures_read(state->loop, figures);
    tn_db_figures_read(state->process.db, &db);
    atomic_store(&slot->threads, figures->threads);
    atomic_store(&slot->busy, figures->busy);
    atomic_store(&slot->clients, figures->clients);
    atomic_store(&slot->requests, figures->requests);
    atomic_store(&slot->db_open, (int)db.open);
    atomic_store(&slot->db_in_use, (int)db.in_use);
    atomic_store(&slot->db_waiting, (int)db.waiting);
}

static void
beat(struct state *state)
{
    const int64_t now = tn_clock_ms();
    const tn_error *error;

    if (state->heartbeat_ms != 0 && now - state->heartbeat_ms < HEARTBEAT_MS)
        return;
    error = state->worker->application->heartbeat(&state->process, state->arena);
    state->heartbeat_ms = error == NULL ? now : now - HEARTBEAT_MS + 1000;
    (void)malloc_trim(0);
}

/* The jobs process looks after the workers that died with runs in hand. */
static void
bury_dead_workers(struct state *state)
{
    tn_shared *shared = state->worker->shared;

    for (size_t i = 0; i < TN_SLOTS; i++) {
        tn_slot *slot = &shared->slots[i];
        const tn_error *error;

        if (atomic_load(&slot->state) != TN_SLOT_DEAD)
            continue;
        error = state->worker->application->fail_worker(&state->process, state->arena,
                                                        slot->worker_id.text);
        if (error != NULL) /* the database is away: again at the next tick */
            return;
        tn_log(TN_LOG_WARN, "server.worker.buried", TN_STR("worker_id", slot->worker_id.text),
               TN_STR("pool", slot->pool));
        atomic_store(&slot->state, TN_SLOT_FREE);
    }
}

static void
begin_drain(struct state *state, bool stop)
{
    if (!atomic_exchange(&state->draining, true)) {
        state->drain_since_ms = tn_clock_ms();
        atomic_store(&state->worker->slot->state, TN_SLOT_DRAINING);
        tn_loop_drain(state->loop);
    }
    if (stop && !state->stopping) {
        state->stopping = true;
        state->drain_since_ms = tn_clock_ms();
    }
}

/* Is this worker's time over? nginx closes its kept connections within seconds (keepalive_time), so
 * a draining worker need not close one first and no request can fall between. A stopping one does:
 * nothing comes after it anyway. */
static bool
is_over(struct state *state, const tn_loop_figures *figures)
{
    const int64_t limit_ms = state->worker->config->server.drain_timeout_s * 1000;
    const bool late = tn_clock_ms() - state->drain_since_ms >= limit_ms;

    if (!atomic_load(&state->draining))
        return false;
    if (state->stopping || late)
        tn_loop_close_idle(state->loop);
    return figures->clients == 0 || (state->stopping && late);
}

static void
handle_signal(struct state *state, int signal_number)
{
    if (signal_number == SIGTERM)
        begin_drain(state, true);
    else if (signal_number == SIGQUIT)
        begin_drain(state, false);
    else if (signal_number == SIGUSR1 &&
             !tn_log_open(*state->process.config->log.file != '\0' ? state->process.config->log.file
                                                                   : NULL,
                          state->process.config->log.level))
        tn_log(TN_LOG_WARN, "server.log.reopen_failed", TN_STR("error", strerror(errno)));
}

static void
run_until_over(struct state *state, const sigset_t *signals)
{
    const struct timespec tick = {.tv_nsec = (long)TICK_MS * 1000000};
    tn_loop_figures figures;

    beat(state); /* at once: a run may name this worker before the first tick */
    do {
        handle_signal(state, sigtimedwait(signals, NULL, &tick));
        beat(state);
        tn_notify_follow(&state->dispatch, state->listen);
        if (state->worker->pool == TN_POOL_JOBS) {
            bury_dead_workers(state);
            state->worker->application->run_jobs(&state->process, state->arena);
        }
        publish_figures(state, &figures);
        tn_arena_reset(state->arena);
    } while (!is_over(state, &figures));
}

/* --- end ------------------------------------------------------------------------------------- */

static void
end_process(struct state *state)
{
    tn_loop_figures figures;

    publish_figures(state, &figures);
    tn_listen_stop(state->listen);
    if (!tn_loop_free(state->loop)) { /* past the deadline: what they hold ends with the process */
        tn_log(TN_LOG_WARN, "server.worker.cut_off", TN_INT("busy", figures.busy));
        _exit(0);
    }
    stop_services(state);
    (void)state->worker->application->farewell(&state->process, state->arena);
    for (size_t i = 0; state->dispatch.areas[i] != NULL; i++)
        if (state->dispatch.areas[i]->stop != NULL)
            state->dispatch.areas[i]->stop(state->dispatch.states[i]);
    free(state->dispatch.states);
    state->worker->application->store_free(state->process.store);
    tn_tokens_free(state->process.tokens);
    tn_keys_free(state->process.keys);
    tn_catalog_free(state->process.catalog);
    tn_db_free(state->process.db);
    tn_arena_free(state->arena);
}

void
tn_worker_run(const tn_worker *worker)
{
    struct state state = {.worker = worker};
    sigset_t signals;

    become_worker(worker, &signals);
    tn_fetch_global_init();
    state.arena = tn_arena_new();
    start_process(&state);
    start_areas(&state);
    start_services(&state);
    state.listen = tn_notify_start(&state.dispatch, *worker->config->database.listen_url != '\0'
                                                        ? worker->config->database.listen_url
                                                        : worker->config->database.url);
    start_loop(&state);
    atomic_store(&worker->slot->state, TN_SLOT_READY);
    tn_log(TN_LOG_INFO, "server.worker.started", TN_STR("pool", state.process.pool),
           TN_INT("pid", getpid()), TN_STR("worker_id", state.process.worker_id.text));
    run_until_over(&state, &signals);
    end_process(&state);
    tn_log(TN_LOG_INFO, "server.worker.stopped", TN_STR("pool", tn_pools[worker->pool].name),
           TN_INT("pid", getpid()));
    exit(0);
}
