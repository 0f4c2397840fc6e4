/* db/listen.c: the thread that listens
 *
 * It sleeps in poll() on two descriptors: the connection, and an eventfd by which it is told to
 * stop.
 */
#include "db/listen.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "db/connection_private.h"
#include "db/queries.h"

#define STACK_SIZE ((size_t)256 * 1024)
#define PING_EVERY_MS 30000 /* keeps middleboxes awake and finds out what TCP has not noticed */
#define ANSWER_MAX_MS 5000
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 1000

struct tn_listen {
    tn_listen_options options;
    char *url;
    pthread_t thread;
    int stop_fd;
    atomic_bool is_connected;
};

/* Waits until the connection has something to read (true), or the time is over, or it shall stop.
 */
static bool
wait_for_input(const tn_listen *listen, const PGconn *conn, int64_t ms)
{
    struct pollfd both[2] = {{.fd = listen->stop_fd, .events = POLLIN},
                             {.fd = conn == NULL ? -1 : PQsocket(conn), .events = POLLIN}};

    return poll(both, 2, (int)ms) > 0 && both[1].revents != 0;
}

static bool
shall_stop(const tn_listen *listen)
{
    struct pollfd stop = {.fd = listen->stop_fd, .events = POLLIN};

    return poll(&stop, 1, 0) > 0;
}

/* Runs SQL text whose results do not matter; false when it failed or took too long. */
static bool
run_bounded(const tn_listen *listen, PGconn *conn, const char *sql)
{
    const int64_t deadline_ms = tn_clock_ms() + ANSWER_MAX_MS;
    bool is_fine = PQsendQuery(conn, sql) == 1;

    while (is_fine) {
        PGresult *result;

        if (PQisBusy(conn)) {
            is_fine = tn_clock_ms() < deadline_ms && !shall_stop(listen);
            if (wait_for_input(listen, conn, deadline_ms - tn_clock_ms()))
                is_fine = PQconsumeInput(conn) == 1;
            continue;
        }
        result = PQgetResult(conn);
        if (result == NULL)
            return true;
        is_fine =
            PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;
        PQclear(result);
    }
    return false;
}

static void
tell(const tn_listen *listen, PGconn *conn)
{
    PGnotify *notify;

    while ((notify = PQnotifies(conn)) != NULL) {
        listen->options.on_notify(listen->options.context, notify->relname, notify->extra);
        PQfreemem(notify);
    }
}

static void
reset(const tn_listen *listen)
{
    if (listen->options.on_reset != NULL)
        listen->options.on_reset(listen->options.context);
}

/* Listens until the connection is lost or the thread shall stop. Caches are emptied before anybody
 * may fill them again: what was notified before LISTEN is not heard. */
static void
listen_on(tn_listen *listen, PGconn *conn)
{
    reset(listen);
    atomic_store(&listen->is_connected, true);
    while (!shall_stop(listen)) {
        if (wait_for_input(listen, conn, PING_EVERY_MS)) {
            if (PQconsumeInput(conn) != 1)
                break;
        } else if (!shall_stop(listen) && !run_bounded(listen, conn, tn_sql_ping.sql)) {
            break;
        }
        tell(listen, conn);
        if (PQstatus(conn) != CONNECTION_OK)
            break;
    }
    atomic_store(&listen->is_connected, false);
    reset(listen);
}

static void *
run_thread(void *argument)
{
    tn_listen *listen = argument;
    int64_t pause_ms = PAUSE_MIN_MS;
    bool is_reported = false;

    while (!shall_stop(listen)) {
        char problem[512];
        PGconn *conn = tn_connect(listen->url, "tenon/listen", problem, sizeof problem);

        if (PQstatus(conn) == CONNECTION_OK && run_bounded(listen, conn, tn_sql_listen.sql)) {
            pause_ms = PAUSE_MIN_MS;
            is_reported = false;
            tn_log(TN_LOG_DEBUG, "db.listen.connected", );
            listen_on(listen, conn);
            if (!shall_stop(listen))
                tn_log(TN_LOG_WARN, "db.listen.lost", );
        } else if (!is_reported) {
            is_reported = true;
            tn_log(TN_LOG_WARN, "db.listen.away", TN_STR("cause", problem));
        }
        PQfinish(conn);
        (void)wait_for_input(listen, NULL, pause_ms);
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    }
    return NULL;
}

/* Signals are for the thread that waits for them, not for this one. */
static void
start_thread(tn_listen *listen)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int failed;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    failed = pthread_create(&listen->thread, &attributes, run_thread, listen);
    (void)pthread_attr_destroy(&attributes);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        tn_die("no thread to listen for notifications: error %d", failed);
}

tn_listen *
tn_listen_start(const tn_listen_options *options)
{
    tn_listen *listen = calloc(1, sizeof *listen);

    assert(options->on_notify != NULL);
    if (listen == NULL || (listen->url = strdup(options->url)) == NULL)
        tn_die("no memory to listen for notifications");
    listen->options = *options;
    listen->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listen->stop_fd < 0)
        tn_die("no eventfd to stop the listening thread");
    start_thread(listen);
    return listen;
}

void
tn_listen_stop(tn_listen *listen)
{
    if (listen == NULL)
        return;
    (void)eventfd_write(listen->stop_fd, 1);
    (void)pthread_join(listen->thread, NULL);
    (void)close(listen->stop_fd);
    free(listen->url);
    free(listen);
}

bool
tn_listen_is_connected(const tn_listen *listen)
{
    return atomic_load(&listen->is_connected);
}
