/* server/loop.c: one epoll for all threads of a process */
#include "server/loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/attributes.h"
#include "base/log.h"
#include "server/records.h"

#define ASIDE_PER_THREAD 4
#define THREADS_KEPT 4 /* idle threads that never end */
#define IDLE_MS 10000  /* after which a further one does */
#define ACCEPT_AT_ONCE 16
#define YIELD_MS 2 /* that a full process leaves to others, so often, to accept in its stead */
#define YIELDS_MAX 25

/* A connection from nginx. It is in the list from accept to close. */
struct connection {
    struct connection *next, *previous;
    int fd;
    bool busy; /* a thread serves it; guarded by lock of the loop */
};

struct tn_loop {
    tn_loop_options options;
    int epoll, wake; /* wake: an eventfd that stays readable once the loop ends */
    pthread_mutex_t lock;
    pthread_cond_t ended;           /* a thread has ended */
    struct connection *connections; /* guarded by lock, like all below */
    int clients, threads, waiting, ending;
    int aside; /* of the threads that do not wait here: those that wait in a queue elsewhere */
    uint64_t requests;
    bool draining, stopping;
};

static _Thread_local tn_loop *this_loop; /* whose thread this is */

static void
lock(tn_loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
}

static void
unlock(tn_loop *loop)
{
    (void)pthread_mutex_unlock(&loop->lock);
}

/* --- connections ----------------------------------------------------------------------------- */

static void
close_connection(tn_loop *loop, struct connection *connection)
{
    lock(loop);
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        loop->connections = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    loop->clients--;
    unlock(loop);
    if (connection->fd >= 0)
        (void)close(connection->fd);
    free(connection);
}

static void
add_connection(tn_loop *loop, int fd)
{
    const struct timeval timeout = {.tv_sec = loop->options.io_timeout_ms / 1000,
                                    .tv_usec = loop->options.io_timeout_ms % 1000 * 1000};
    struct connection *connection = calloc(1, sizeof(*connection));
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
                                .data.ptr = connection};

    if (connection == NULL) {
        (void)close(fd);
        return;
    }
    connection->fd = fd;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    lock(loop);
    connection->next = loop->connections;
    if (connection->next != NULL)
        connection->next->previous = connection;
    loop->connections = connection;
    loop->clients++;
    unlock(loop);
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        close_connection(loop, connection);
}

/* Would so many more requests take all threads but the last, which refuses what waits long? */
static bool
is_full(tn_loop *loop, int more)
{
    bool is;

    lock(loop);
    is = loop->threads - loop->waiting - loop->aside + more >= loop->options.threads - 1;
    unlock(loop);
    return is;
}

/* Lets the other processes accept first. Whether what has come is still there, so that we have to.
 */
static bool
let_others_accept(tn_loop *loop)
{
    struct pollfd listener = {.fd = loop->options.listener, .events = POLLIN};

    for (int i = 0; i < YIELDS_MAX; i++) {
        (void)poll(NULL, 0, YIELD_MS);
        if (poll(&listener, 1, 0) <= 0)
            return false;
        if (!is_full(loop, 0))
            return true;
    }
    return true; /* they are full as well: somebody has to say so to the client */
}

/* Every process of the pool is woken by a connection (EPOLLEXCLUSIVE would wake the same one again
 * and again, until it has all streams and the others none). Who is full lets the others go first.
 */
static void
accept_connections(tn_loop *loop)
{
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        int fd;

        if (loop->options.requests_are_long && is_full(loop, i) &&
            (i > 0 || !let_others_accept(loop)))
            return; /* level-triggered: what is left wakes us again, or somebody else */
        fd = accept4(loop->options.listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            add_connection(loop, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
            tn_log(TN_LOG_ERROR, "server.accept.failed", TN_STR("error", strerror(errno)));
            (void)poll(NULL, 0, 10); /* level-triggered: do not spin until something closes */
        }
        return;
    }
}

/* Is there a request, and not the end of the connection, or nothing after all? Only what has ended
 * must be looked at: a last request may lie in front of the end. */
static enum { HAS_DATA, HAS_NOTHING, HAS_ENDED } peek(int fd, uint32_t events)
{
    char byte;
    ssize_t got;

    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == EPOLLIN)
        return HAS_DATA;
    got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0)
        return HAS_DATA;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return HAS_NOTHING;
    return HAS_ENDED;
}

/* From here on the connection may be another thread's: it is not looked at again. */
static bool
arm(tn_loop *loop, struct connection *connection, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
                                .data.ptr = connection};

    return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event) == 0;
}

/* One request on a connection that has data. Returns whether the connection is to be kept. */
static bool
serve_request(tn_loop *loop, struct connection *connection, void *thread_state, bool overloaded)
{
    tn_records records = {.id = 0};
    FCGX_Request fcgx;

    tn_records_watch(&records);
    FCGX_InitRequest(&fcgx, -1, FCGI_FAIL_ACCEPT_ON_INTR);
    fcgx.ipcFd = connection->fd;
    fcgx.keepConnection = 1; /* else FCGX_Accept_r() closes it before it has read anything */
    if (FCGX_Accept_r(&fcgx) != 0) {
        /* Not FastCGI, or cut off: libfcgi has closed the socket. */
        tn_records_watch(NULL);
        connection->fd = -1;
        return false;
    }
    loop->options.serve(loop->options.context, thread_state, &fcgx, overloaded);
    FCGX_Finish_r(&fcgx);
    tn_records_watch(NULL);
    if (fcgx.ipcFd < 0)
        connection->fd = -1;
    return fcgx.ipcFd >= 0;
}

/* --- threads --------------------------------------------------------------------------------- */

static void *run_thread(void *argument);

/* Starts one more thread, which counts as waiting from now on; the caller holds the lock. */
static bool
start_thread(tn_loop *loop) TN_REQUIRES(loop->lock)
{
    pthread_attr_t attributes;
    pthread_t thread;
    bool started;

    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, loop->options.stack_bytes);
    loop->threads++;
    loop->waiting++;
    started = pthread_create(&thread, &attributes, run_thread, loop) == 0;
    if (!started) {
        loop->threads--;
        loop->waiting--;
    }
    (void)pthread_attr_destroy(&attributes);
    return started;
}

static bool
is_at_most(const tn_loop *loop)
{
    return loop->threads - loop->aside >= loop->options.threads;
}

/* This thread stops waiting and serves `connection`; sees to it that another one waits. Returns
 * whether none does, so that whoever serves now must not take long. */
static bool
leave_waiting(tn_loop *loop, struct connection *connection)
{
    bool overloaded = false;

    lock(loop);
    connection->busy = true;
    loop->requests++;
    loop->waiting--;
    if (loop->waiting == 0 && !loop->stopping)
        overloaded = is_at_most(loop) || !start_thread(loop);
    unlock(loop);
    return overloaded;
}

bool
tn_loop_step_aside(void)
{
    tn_loop *loop = this_loop;
    bool may;

    if (loop == NULL)
        return false;
    lock(loop);
    may = loop->aside < ASIDE_PER_THREAD * loop->options.threads;
    if (may) {
        loop->aside++;
        if (loop->waiting == 0 && !loop->stopping) /* without one nobody is served meanwhile */
            (void)start_thread(loop);
    }
    unlock(loop);
    return may;
}

void
tn_loop_step_back(void)
{
    lock(this_loop);
    this_loop->aside--;
    unlock(this_loop);
}

static void
handle_connection(tn_loop *loop, struct connection *connection, uint32_t events, void *thread_state)
{
    const int fd = connection->fd;
    bool overloaded, keep = true;

    switch (peek(fd, events)) {
    case HAS_ENDED:
        close_connection(loop, connection);
        return;
    case HAS_NOTHING:
        break;
    case HAS_DATA:
        overloaded = leave_waiting(loop, connection);
        keep = serve_request(loop, connection, thread_state, overloaded);
        lock(loop);
        connection->busy = false;
        loop->waiting++;
        unlock(loop);
        break;
    }
    if (!keep || !arm(loop, connection, fd))
        close_connection(loop, connection);
}

/* May this idle thread end? It no longer waits then. */
static bool
may_end(tn_loop *loop)
{
    bool may;

    lock(loop);
    may = loop->stopping || loop->waiting > THREADS_KEPT;
    if (may) {
        loop->waiting--;
        loop->ending++;
    }
    unlock(loop);
    return may;
}

/* The last that a thread does with the loop: from here on it may be gone. */
static void
count_out(tn_loop *loop)
{
    lock(loop);
    loop->ending--;
    loop->threads--;
    (void)pthread_cond_signal(&loop->ended);
    unlock(loop);
}

static void *
run_thread(void *argument)
{
    tn_loop *loop = argument;
    void *state = loop->options.thread_start != NULL
                      ? loop->options.thread_start(loop->options.context)
                      : NULL;
    struct epoll_event event;

    this_loop = loop;
    for (;;) {
        int ready = epoll_wait(loop->epoll, &event, 1, IDLE_MS);

        if (ready == 0 || (ready > 0 && event.data.ptr == &loop->wake)) {
            if (may_end(loop))
                break;
        } else if (ready > 0 && event.data.ptr == loop) {
            accept_connections(loop);
        } else if (ready > 0) {
            handle_connection(loop, event.data.ptr, event.events, state);
        }
    }
    if (loop->options.thread_stop != NULL)
        loop->options.thread_stop(loop->options.context, state);
    count_out(loop);
    return NULL;
}

/* --- the loop -------------------------------------------------------------------------------- */

tn_loop *
tn_loop_new(const tn_loop_options *options)
{
    tn_loop *loop = FCGX_Init() == 0 ? calloc(1, sizeof(*loop)) : NULL;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = loop};
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = &loop->wake};
    bool ok;

    assert(options->threads > 0);
    if (loop == NULL)
        return NULL;
    loop->options = *options;
    (void)pthread_mutex_init(&loop->lock, NULL);
    (void)pthread_cond_init(&loop->ended, NULL);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    lock(loop);
    ok = loop->epoll >= 0 && loop->wake >= 0 &&
         epoll_ctl(loop->epoll, EPOLL_CTL_ADD, options->listener, &event) == 0 &&
         epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &wake) == 0 && start_thread(loop);
    unlock(loop);
    if (ok)
        return loop;
    free(loop); /* the process ends now, and its descriptors with it */
    return NULL;
}

void
tn_loop_drain(tn_loop *loop)
{
    bool already;

    lock(loop);
    already = loop->draining;
    loop->draining = true;
    unlock(loop);
    if (!already)
        (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->options.listener, NULL);
}

void
tn_loop_close_idle(tn_loop *loop)
{
    lock(loop);
    for (struct connection *c = loop->connections; c != NULL; c = c->next)
        if (!c->busy && c->fd >= 0)
            (void)shutdown(c->fd, SHUT_RDWR); /* wakes a thread, which finds the end */
    unlock(loop);
}

void
tn_loop_figures_read(tn_loop *loop, tn_loop_figures *figures)
{
    lock(loop);
    *figures = (tn_loop_figures){.threads = loop->threads,
                                 .busy = loop->threads - loop->waiting,
                                 .clients = loop->clients,
                                 .requests = loop->requests};
    unlock(loop);
}

bool
tn_loop_free(tn_loop *loop)
{
    const uint64_t one = 1;
    struct timespec deadline;
    bool gone;

    lock(loop);
    loop->stopping = true;
    (void)!write(loop->wake, &one, sizeof(one));
    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 1;
    while (loop->waiting > 0 || loop->ending > 0)
        if (pthread_cond_timedwait(&loop->ended, &loop->lock, &deadline) != 0)
            break;
    gone = loop->threads == 0;
    unlock(loop);
    if (!gone)
        return false; /* somebody still serves: their memory stays until the process ends */
    while (loop->connections != NULL)
        close_connection(loop, loop->connections);
    (void)close(loop->epoll);
    (void)close(loop->wake);
    (void)pthread_cond_destroy(&loop->ended);
    (void)pthread_mutex_destroy(&loop->lock);
    free(loop);
    return true;
}
