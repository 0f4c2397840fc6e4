/* images/pool.c: tenon-image: takes jobs from a socket and gives each to a process of its own
 *
 * It has libvips loaded and touches no picture itself: what reads one is a fork of it that lives
 * for this one job, confined by sandbox.c. Started by tenon's master with the socket's number as
 * its argument; it ends with the master.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "images/check.h"
#include "images/protocol.h"
#include "images/sandbox.h"
#include "images/transform.h"

#define EXIT_MADE 64   /* and the format */
#define EXIT_UNMADE 96 /* and the outcome */
#define SOURCE_FD 3
#define OUTPUT_FD 4
#define GRACE_MS 1000 /* after its own alarm */

struct descriptors {
    int source, output, reply;
};

struct running {
    pid_t pid; /* 0: this place is free */
    int reply;
    int64_t deadline_ms;
};

struct pool {
    int jobs, children; /* the socket, a signalfd */
    int count, limit;
    struct running running[TN_IMAGE_PROCESSES_MAX];
};

static int64_t
now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- one job ---------------------------------------------------------------------------------- */

/* In the child. */
static void
work(const tn_image_job *job, const struct descriptors *fds)
{
    sigset_t none;
    tn_image_verdict verdict;
    int nothing, source, output;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* out of the way of the numbers that they get */
    source = fcntl(fds->source, F_DUPFD, OUTPUT_FD + 1);
    output = fcntl(fds->output, F_DUPFD, OUTPUT_FD + 1);
    nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 || dup2(nothing, 2) < 0 ||
        dup2(source, SOURCE_FD) < 0 || dup2(output, OUTPUT_FD) < 0 ||
        !tn_sandbox_enter(&job->limits, OUTPUT_FD))
        _exit(EXIT_UNMADE + TN_IMAGE_FAULT);
    verdict = tn_transform(job, SOURCE_FD, OUTPUT_FD);
    _exit(verdict.outcome == TN_IMAGE_MADE ? EXIT_MADE + verdict.format
                                           : EXIT_UNMADE + verdict.outcome);
}

static tn_image_verdict
verdict_of(int status)
{
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

    if (code > EXIT_MADE && code < EXIT_MADE + TN_IMAGE_FORMATS)
        return (tn_image_verdict){.outcome = TN_IMAGE_MADE, .format = code - EXIT_MADE};
    if (code > EXIT_UNMADE && code < EXIT_UNMADE + TN_IMAGE_OUTCOMES)
        return (tn_image_verdict){.outcome = code - EXIT_UNMADE};
    return (tn_image_verdict){.outcome = TN_IMAGE_TOO_EXPENSIVE,
                              .end = WIFSIGNALED(status) ? WTERMSIG(status) : -code};
}

static void
answer(int reply, const tn_image_verdict *verdict)
{
    (void)send(reply, verdict, sizeof(*verdict), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(reply);
}

static bool
is_sane(const tn_image_job *job)
{
    const tn_image_wish *wish = &job->wish;
    const tn_image_limits *limits = &job->limits;

    return job->protocol == TN_IMAGE_PROTOCOL && wish->width >= 0 && wish->height >= 0 &&
           wish->width <= TN_IMAGE_SIDE_MAX && wish->height <= TN_IMAGE_SIDE_MAX &&
           wish->fit >= 0 && wish->fit <= TN_IMAGE_FILL && wish->format >= 0 &&
           wish->format < TN_IMAGE_FORMATS && wish->quality >= 1 && wish->quality <= 100 &&
           limits->pixels > 0 && limits->memory_mib > 0 && limits->memory_mib <= 65536 &&
           limits->timeout_s > 0 && limits->timeout_s <= 600 && limits->processes > 0 &&
           limits->processes <= TN_IMAGE_PROCESSES_MAX;
}

static struct running *
free_place(struct pool *pool)
{
    size_t i = 0;

    while (pool->running[i].pid != 0)
        i++;
    return &pool->running[i];
}

static void
begin(struct pool *pool, const tn_image_job *job, const struct descriptors *fds)
{
    tn_image_verdict verdict = {.outcome = TN_IMAGE_REFUSED};
    struct running *place;
    pid_t pid;

    if (!is_sane(job)) {
        answer(fds->reply, &verdict);
        return;
    }
    pool->limit = (int)job->limits.processes;
    pid = fork();
    if (pid == 0)
        work(job, fds);
    if (pid < 0) {
        verdict.outcome = TN_IMAGE_FAULT;
        answer(fds->reply, &verdict);
        return;
    }
    place = free_place(pool);
    *place = (struct running){.pid = pid,
                              .reply = fds->reply,
                              .deadline_ms = now_ms() + job->limits.timeout_s * 1000 + GRACE_MS};
    pool->count++;
}

/* --- jobs ------------------------------------------------------------------------------------- */

/* Whoever wanted it may have given up while it waited. */
static bool
is_wanted(int reply)
{
    struct pollfd peer = {.fd = reply};

    return poll(&peer, 1, 0) == 0;
}

static void
take_job(struct pool *pool)
{
    tn_image_job job;
    struct descriptors fds = {-1, -1, -1};
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fds))];
    struct iovec bytes = {.iov_base = &job, .iov_len = sizeof(job)};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    const ssize_t length = recvmsg(pool->jobs, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    const struct cmsghdr *header;

    if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
        _exit(0); /* nobody is there any more */
    header = length < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len != CMSG_LEN(sizeof(fds)))
        return; /* not from tenon */
    memcpy(&fds, CMSG_DATA(header), sizeof(fds));
    if (length != (ssize_t)sizeof(job))
        job.protocol = 0;
    if (is_wanted(fds.reply))
        begin(pool, &job, &fds);
    else
        (void)close(fds.reply);
    (void)close(fds.source);
    (void)close(fds.output);
}

/* --- the watch -------------------------------------------------------------------------------- */

static void
end(struct pool *pool, pid_t pid, int status)
{
    const tn_image_verdict verdict = verdict_of(status);

    for (size_t i = 0; i < TN_IMAGE_PROCESSES_MAX; i++)
        if (pool->running[i].pid == pid) {
            answer(pool->running[i].reply, &verdict);
            pool->running[i].pid = 0;
            pool->count--;
        }
}

static void
reap(struct pool *pool)
{
    struct signalfd_siginfo ignored;
    int status;
    pid_t pid;

    while (read(pool->children, &ignored, sizeof(ignored)) > 0)
        continue;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        end(pool, pid, status);
}

/* Too late, or for nobody any more. */
static void
kill_needless(struct pool *pool)
{
    const int64_t now = now_ms();

    for (size_t i = 0; i < TN_IMAGE_PROCESSES_MAX; i++) {
        const struct running *one = &pool->running[i];

        if (one->pid != 0 && (now >= one->deadline_ms || !is_wanted(one->reply)))
            (void)kill(one->pid, SIGKILL);
    }
}

static void
watch(struct pool *pool)
{
    struct pollfd fds[2] = {{.fd = pool->children, .events = POLLIN},
                            {.fd = pool->jobs, .events = POLLIN}};

    for (;;) {
        const bool has_room = pool->count < pool->limit;

        if (poll(fds, has_room ? 2 : 1, pool->count > 0 ? 500 : -1) < 0 && errno != EINTR)
            return;
        reap(pool);
        kill_needless(pool);
        if (has_room && (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
            take_job(pool);
        fds[1].revents = 0;
    }
}

/* --- start ------------------------------------------------------------------------------------ */

static bool
prepare(const char *program)
{
    pthread_attr_t attributes;

    (void)mallopt(M_ARENA_MAX, 1); /* each more takes 64 MiB of what a child may have */
    if (pthread_getattr_default_np(&attributes) == 0) {
        (void)pthread_attr_setstacksize(&attributes, 1 << 20);
        (void)pthread_setattr_default_np(&attributes);
        (void)pthread_attr_destroy(&attributes);
    }
    if (!tn_transform_start(program)) {
        (void)fprintf(stderr, "tenon-image: libvips does not start\n");
        return false;
    }
    if (!tn_sandbox_prepare()) {
        (void)fprintf(stderr, "tenon-image: there is no seccomp here\n");
        return false;
    }
    return true;
}

static int
serve(int jobs)
{
    struct pool pool = {.jobs = jobs, .limit = 1};
    sigset_t children;

    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    (void)sigprocmask(SIG_SETMASK, &children, NULL);
    pool.children = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    if (pool.children < 0)
        return EXIT_FAILURE;
    watch(&pool);
    return EXIT_FAILURE;
}

int
main(int count, char **arguments)
{
    if (count != 2) {
        (void)fprintf(stderr,
                      "tenon-image: tenon starts it; --check tries whether it would work\n");
        return 64;
    }
    if (!prepare(arguments[0]))
        return EXIT_FAILURE;
    if (strcmp(arguments[1], "--check") == 0)
        return tn_image_check();
    return serve((int)strtol(arguments[1], NULL, 10));
}
