/* images/check.c: what must not work is tried, and what must work as well */
#include "images/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vips/vips.h>

#include "base/attributes.h"
#include "images/sandbox.h"
#include "images/transform.h"

#define HELD 10 /* exit code of an attempt that was refused */
#define BROKEN 11

static const tn_image_limits limits = {
    .pixels = 1000000, .memory_mib = 256, .timeout_s = 2, .processes = 1};

/* --- attempts: each returns whether it was refused, when it returns at all -------------------- */

static bool
open_a_file(void)
{
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0;
}

static bool
write_a_file(void)
{
    return open("/tmp/tenon-image-check", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0;
}

static bool
make_a_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0;
}

static bool
connect_somewhere(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0;
}

static bool
start_a_program(void)
{
    char name[] = "/bin/true";
    char *const arguments[] = {name, NULL}, *const environment[] = {NULL};

    (void)execve(name, arguments, environment);
    return true;
}

static bool
fork_a_process(void)
{
    return fork() < 0;
}

static bool
signal_the_parent(void)
{
    return kill(getppid(), 0) != 0;
}

static bool
trace_the_parent(void)
{
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) != 0;
}

static bool
read_the_parent(void)
{
    return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) < 0;
}

static bool
run_what_it_wrote(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) == MAP_FAILED;
}

static bool
use_another_descriptor(void)
{
    return write(5, "", 0) < 0 && errno == EBADF;
}

static bool
take_more_memory(void)
{
#ifdef TN_ASAN
    return true;
#else
    return mmap(NULL, (size_t)limits.memory_mib << 21, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
#endif
}

static bool
never_end(void)
{
    volatile bool forever = true;

    while (forever)
        continue;
    return false;
}

static const struct attempt {
    const char *what;
    bool (*make)(void);
} attempts[] = {
    {"opens no file", open_a_file},
    {"makes no file", write_a_file},
    {"makes no socket", make_a_socket},
    {"reaches no network", connect_somewhere},
    {"starts no program", start_a_program},
    {"starts no process", fork_a_process},
    {"sends no signal", signal_the_parent},
    {"traces nobody", trace_the_parent},
    {"reads nobody's memory", read_the_parent},
    {"runs nothing that it has written", run_what_it_wrote},
    {"has two descriptors", use_another_descriptor},
    {"has so much memory and no more", take_more_memory},
    {"ends in time", never_end},
};

/* --- the same in a confined child ------------------------------------------------------------- */

static void
be_quiet(void)
{
    const int nothing = open("/dev/null", O_RDWR);

    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 || dup2(nothing, 2) < 0)
        _exit(BROKEN);
}

static int
wait_for(pid_t pid)
{
    int status = 0;

    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 ? status : -1;
}

static bool
holds(const struct attempt *attempt)
{
    const pid_t pid = fork();
    int status;

    if (pid == 0) {
        be_quiet();
        if (dup2(0, 3) < 0 || dup2(0, 4) < 0 || dup2(0, 5) < 0 || !tn_sandbox_enter(&limits, 4))
            _exit(BROKEN);
        _exit(attempt->make() ? HELD : BROKEN);
    }
    status = wait_for(pid);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGALRM ||
               WTERMSIG(status) == SIGXCPU;
    return WIFEXITED(status) && WEXITSTATUS(status) == HELD;
}

/* --- pictures --------------------------------------------------------------------------------- */

/* One to begin with: black, as PNG. */
static bool
draw(int output)
{
    VipsTarget *target = vips_target_new_to_descriptor(output);
    VipsImage *black = NULL;

    return target != NULL && vips_black(&black, 64, 48, "bands", 3, NULL) == 0 &&
           vips_pngsave_target(black, target, NULL) == 0;
}

static bool
converts(int source, tn_image_format format)
{
    const tn_image_job job = {.protocol = TN_IMAGE_PROTOCOL,
                              .wish = {.width = 32, .format = (int32_t)format, .quality = 80},
                              .limits = limits};
    const int output = memfd_create("output", MFD_CLOEXEC);
    const pid_t pid = fork();
    int status;

    if (pid == 0) {
        be_quiet();
        if (dup2(source, 20) < 0 || dup2(output, 21) < 0 || dup2(20, 3) < 0 || dup2(21, 4) < 0 ||
            !tn_sandbox_enter(&limits, 4))
            _exit(BROKEN);
        if (format == TN_IMAGE_ORIGIN)
            _exit(draw(4) ? HELD : BROKEN);
        (void)lseek(3, 0, SEEK_SET);
        _exit(tn_transform(&job, 3, 4).outcome == TN_IMAGE_MADE ? HELD : BROKEN);
    }
    status = wait_for(pid);
    if (format == TN_IMAGE_ORIGIN && dup2(output, source) < 0)
        status = -1;
    (void)close(output);
    return WIFEXITED(status) && WEXITSTATUS(status) == HELD;
}

static bool
say(bool ok, const char *what)
{
    (void)printf("%s - %s\n", ok ? "ok" : "not ok", what);
    (void)fflush(stdout);
    return ok;
}

int
tn_image_check(void)
{
    static const char *const formats[TN_IMAGE_FORMATS] = {"draws",      "makes JPEG", "makes PNG",
                                                          "makes WebP", "makes GIF",  "makes AVIF"};
    const int source = memfd_create("source", MFD_CLOEXEC);
    bool ok = source >= 0;

    for (size_t i = 0; i < TN_COUNT(attempts); i++)
        ok = say(holds(&attempts[i]), attempts[i].what) && ok;
    for (int format = TN_IMAGE_ORIGIN; format < TN_IMAGE_FORMATS; format++)
        ok = say(converts(source, (tn_image_format)format), formats[format]) && ok;
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
