/* server/loop.h: connections from nginx, served by threads (DESIGN section 2, "the way out")
 *
 * Every thread of a process waits on one epoll. A connection is registered EPOLLONESHOT, so
 * whichever thread wakes serves one request on it and arms it again; the listening socket is in the
 * same epoll. So a kept connection never owns a thread. Threads are started when all are busy and
 * end when they have been idle for a while.
 *
 * Threads: tn_loop_new() to tn_loop_free() on the worker's main thread.
 */
#ifndef TN_SERVER_LOOP_H
#define TN_SERVER_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fcgiapp.h>

typedef struct tn_loop tn_loop;

typedef struct tn_loop_options {
    int listener;           /* a listening socket, non-blocking */
    int threads;            /* at most */
    size_t stack_bytes;     /* of each */
    int64_t io_timeout_ms;  /* a peer that neither sends nor takes for so long is dropped */
    bool requests_are_long; /* a process whose threads are taken lets others accept first; where
                               requests are short it is quicker to take what comes */
    /* Serves one request that libfcgi has read. `thread_state` is the thread's own. `overloaded`:
     * this is the last thread, so it must not wait for anything long. */
    void (*serve)(void *context, void *thread_state, FCGX_Request *fcgx, bool overloaded);
    void *(*thread_start)(void *context); /* thread_state; may be NULL */
    void (*thread_stop)(void *context, void *thread_state);
    void *context;
} tn_loop_options;

typedef struct tn_loop_figures {
    int threads, busy, clients;
    uint64_t requests;
} tn_loop_figures;

/* Starts the first threads. NULL with errno set when not even they could be started. */
tn_loop *tn_loop_new(const tn_loop_options *options);

/* Accepts no more connections; kept ones are served until nginx closes them. */
void tn_loop_drain(tn_loop *loop);

/* Closes the connections on which nothing is being served. */
void tn_loop_close_idle(tn_loop *loop);

void tn_loop_figures_read(tn_loop *loop, tn_loop_figures *figures);

/* A thread that serves a request and is about to wait in a queue, with neither processor nor
 * connection, steps aside: as long as it does, another one may be started in its place. false: it
 * is no thread of a loop, or so many have stepped aside as may, four times `threads`. Who has
 * stepped aside steps back when the waiting is over. */
bool tn_loop_step_aside(void);
void tn_loop_step_back(void);

/* Ends the threads that are idle; call it when no clients are left or their time is up. Threads
 * that are still serving are left to the end of the process: false then, and the loop lives on. */
bool tn_loop_free(tn_loop *loop);

#endif
