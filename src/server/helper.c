/* server/helper.c: start, watch, start again */
#include "server/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/worker.h"

#define YOUNG_MS 10000
#define BACK_OFF_MS 50
#define BACK_OFF_MAX_MS 10000
#define HOPELESS 4 /* after so many young deaths in a row nobody waits for the next one */
#define SOCKET_FD 3

/* --- where it is ------------------------------------------------------------------------------ */

static const char *
find(tn_arena *arena, const char *name)
{
    char own[4096];
    const ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
    char *slash;
    const char *path;

    if (length > 0) {
        own[length] = '\0';
        slash = strrchr(own, '/');
        *slash = '\0';
        path = tn_arena_printf(arena, "%s/%s", own, name);
        if (access(path, X_OK) == 0)
            return path;
    }
    path = tn_arena_printf(arena, "%s/%s", TN_LIBEXEC_DIR, name);
    return access(path, X_OK) == 0 ? path : NULL;
}

void
tn_helper_open(tn_helper *helper, tn_arena *arena, const char *name)
{
    int pair[2];

    *helper = (tn_helper){.path = find(arena, name), .ours = -1, .theirs = -1};
    if (helper->path == NULL) {
        tn_log(TN_LOG_WARN, "server.helper.missing", TN_STR("name", name));
        return;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        tn_die("socketpair: %s", strerror(errno));
    helper->ours = pair[0];
    helper->theirs = pair[1];
}

/* --- running ---------------------------------------------------------------------------------- */

/* In the child. */
static void
become_helper(const tn_helper *helper, const char *user)
{
    char number[] = {'0' + SOCKET_FD, '\0'};
    char path[] = "PATH=/usr/bin:/bin";
    char *const arguments[] = {tn_arena_text(tn_arena_new(), helper->path), number, NULL};
    char *const environment[] = {path, NULL};
    const pid_t master = getppid();
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    tn_worker_drop_privileges(user);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* after setuid(), which clears it */
    if (getppid() != master)
        _exit(0);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGHUP, SIG_IGN); /* the master's business, also when the terminal sends it */
    (void)signal(SIGINT, SIG_IGN);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 ||
        dup2(helper->theirs, SOCKET_FD) < 0)
        _exit(1);
    (void)fcntl(SOCKET_FD, F_SETFD, 0); /* where it had this number already */
    (void)close_range(SOCKET_FD + 1, ~0U, 0);
    (void)execve(helper->path, arguments, environment);
    _exit(127);
}

/* Those who wait for one that does not come are told so: with the message its descriptors go. */
static void
send_away(const tn_helper *helper)
{
    char nothing[1];

    while (recv(helper->theirs, nothing, sizeof(nothing), MSG_DONTWAIT) >= 0)
        continue;
}

void
tn_helper_keep(tn_helper *helper, const char *user)
{
    pid_t pid;

    if (helper->path == NULL || helper->pid != 0)
        return;
    if (helper->young_deaths >= HOPELESS)
        send_away(helper);
    if (tn_clock_ms() < helper->respawn_at_ms)
        return;
    pid = fork();
    if (pid == 0)
        become_helper(helper, user);
    if (pid < 0) {
        tn_log(TN_LOG_ERROR, "server.fork.failed", TN_STR("error", strerror(errno)));
        helper->respawn_at_ms = tn_clock_ms() + BACK_OFF_MAX_MS;
        return;
    }
    helper->pid = pid;
    helper->started_ms = tn_clock_ms();
    helper->respawn_at_ms = 0;
}

int64_t
tn_helper_due_ms(const tn_helper *helper)
{
    return helper->path != NULL && helper->pid == 0 ? helper->respawn_at_ms : 0;
}

bool
tn_helper_reap(tn_helper *helper, pid_t pid, int status)
{
    int64_t pause_ms = 0;

    if (helper->pid == 0 || pid != helper->pid)
        return false;
    helper->pid = 0;
    tn_log(TN_LOG_ERROR, "server.helper.died", TN_INT("pid", pid),
           TN_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
           TN_INT("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0));
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) { /* somebody else's doing */
        pause_ms = BACK_OFF_MS;
    } else if (tn_clock_ms() - helper->started_ms < YOUNG_MS) {
        pause_ms = (int64_t)BACK_OFF_MS << (helper->young_deaths < 8 ? helper->young_deaths : 8);
        helper->young_deaths++;
    } else {
        helper->young_deaths = 0;
    }
    helper->respawn_at_ms =
        tn_clock_ms() + (pause_ms < BACK_OFF_MAX_MS ? pause_ms : BACK_OFF_MAX_MS);
    return true;
}

void
tn_helper_stop(tn_helper *helper)
{
    helper->path = NULL; /* not again */
    if (helper->pid == 0)
        return;
    (void)kill(helper->pid, SIGKILL); /* what it was doing nobody waits for any more */
    (void)waitpid(helper->pid, NULL, 0);
    helper->pid = 0;
}
