/* images/sandbox.c: seccomp, limits, namespaces */
#include "images/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define OUTPUT_MAX (INT64_C(64) << 20)
#define FILES_MAX 16
#define FILTER_MAX 4096 /* instructions; the kernel's own limit */

static struct sock_filter instructions[FILTER_MAX];
static struct sock_fprog filter = {.filter = instructions};
static int64_t own_bytes; /* of address space, before anything is read */

static const int allowed[] = {
    SCMP_SYS(brk),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fadvise64),
    SCMP_SYS(fstat),
    SCMP_SYS(futex),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(lseek),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sysinfo),
    SCMP_SYS(time),
    SCMP_SYS(uname),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};

/* Libraries ask, are told no, and go on. */
static const int denied[] = {
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(get_mempolicy),
    SCMP_SYS(getcwd),
    SCMP_SYS(getrlimit),
    SCMP_SYS(ioctl),
    SCMP_SYS(lstat),
    SCMP_SYS(membarrier),
    SCMP_SYS(memfd_create),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(openat2),
    SCMP_SYS(prlimit64),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_setscheduler),
    SCMP_SYS(setpriority),
    SCMP_SYS(stat),
    SCMP_SYS(statfs),
    SCMP_SYS(statx),
};

static bool
add_rules(scmp_filter_ctx rules)
{
    const uint32_t no = SCMP_ACT_ERRNO(EACCES);
    bool ok = true;

    for (size_t i = 0; i < TN_COUNT(allowed); i++)
        ok = seccomp_rule_add(rules, SCMP_ACT_ALLOW, allowed[i], 0) == 0 && ok;
    for (size_t i = 0; i < TN_COUNT(denied); i++)
        ok = seccomp_rule_add(rules, no, denied[i], 0) == 0 && ok;
    return ok;
}

/* What depends on an argument: yes where it is so, and no, or the end, where it is not. */
static const struct condition {
    int call;
    bool ends; /* else it is denied as above */
    struct scmp_arg_cmp is, is_not;
} conditions[] = {
    {SCMP_SYS(mmap), true, {.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC}, {0}},
    {SCMP_SYS(mprotect), true, {.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC}, {0}},
    {SCMP_SYS(clone),
     true,
     {.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = CLONE_THREAD, .datum_b = CLONE_THREAD},
     {0}},
    {SCMP_SYS(newfstatat), /* fstat() of the C library */
     false,
     {.arg = 3, .op = SCMP_CMP_EQ, .datum_a = AT_EMPTY_PATH},
     {.arg = 3, .op = SCMP_CMP_NE, .datum_a = AT_EMPTY_PATH}},
    {SCMP_SYS(prctl),
     false,
     {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = PR_SET_NAME},
     {.arg = 0, .op = SCMP_CMP_NE, .datum_a = PR_SET_NAME}},
    {SCMP_SYS(fcntl),
     false,
     {.arg = 1, .op = SCMP_CMP_EQ, .datum_a = F_GETFL},
     {.arg = 1, .op = SCMP_CMP_NE, .datum_a = F_GETFL}},
};

static bool
add_conditions(scmp_filter_ctx rules)
{
    bool ok = true;

    for (size_t i = 0; i < TN_COUNT(conditions); i++) {
        const struct condition *one = &conditions[i];

        ok = seccomp_rule_add_array(rules, SCMP_ACT_ALLOW, one->call, 1, &one->is) == 0 && ok;
        if (!one->ends)
            ok = seccomp_rule_add_array(rules, SCMP_ACT_ERRNO(EACCES), one->call, 1,
                                        &one->is_not) == 0 &&
                 ok;
    }
    /* Its flags are in memory, where a filter cannot look; the C library then takes clone(). */
    return seccomp_rule_add(rules, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 && ok;
}

/* As the kernel wants it, once: children need neither memory nor system calls for it, and load it
 * by prctl(), which is allowed wherever we are ourselves confined. */
static bool
compile(scmp_filter_ctx rules)
{
    const int fd = memfd_create("filter", MFD_CLOEXEC);
    ssize_t length = -1;

    if (fd < 0)
        return false;
    if (seccomp_export_bpf(rules, fd) == 0)
        length = pread(fd, instructions, sizeof(instructions), 0);
    (void)close(fd);
    if (length <= 0 || (size_t)length == sizeof(instructions))
        return false;
    filter.len = (unsigned short)((size_t)length / sizeof(instructions[0]));
    return true;
}

static int64_t
address_space(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long pages = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld", &pages) != 1) // NOLINT(cert-err34-c): the kernel's own number
        pages = 0;
    (void)fclose(file);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

/* When memory is short, these go before anything else does. */
static void
volunteer(void)
{
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)!write(fd, "1000", 4);
    (void)close(fd);
}

bool
tn_sandbox_prepare(void)
{
    scmp_filter_ctx rules = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool ok;

    if (rules == NULL)
        return false;
    ok = add_rules(rules) && add_conditions(rules) && compile(rules);
    seccomp_release(rules);
    own_bytes = address_space();
    volunteer();
    /* One of them needs the other where we are nobody; where neither may be had, the filter does.
     */
    if (unshare(CLONE_NEWNET | CLONE_NEWIPC) != 0)
        (void)unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC);
    return ok && own_bytes > 0;
}

static bool
limit(__rlimit_resource_t resource, int64_t value, int64_t hard)
{
    const struct rlimit both = {.rlim_cur = (rlim_t)value, .rlim_max = (rlim_t)hard};

    return setrlimit(resource, &both) == 0;
}

bool
tn_sandbox_enter(const tn_image_limits *limits, int last_fd)
{
#ifndef TN_ASAN /* whose shadow is terabytes */
    const int64_t memory = own_bytes + (limits->memory_mib << 20);

    if (!limit(RLIMIT_AS, memory, memory))
        return false;
#endif
    if (!limit(RLIMIT_CPU, limits->timeout_s, limits->timeout_s + 1) ||
        !limit(RLIMIT_FSIZE, OUTPUT_MAX, OUTPUT_MAX) ||
        !limit(RLIMIT_NOFILE, FILES_MAX, FILES_MAX) || !limit(RLIMIT_CORE, 0, 0))
        return false;
    (void)close_range((unsigned)last_fd + 1, ~0U, 0);
    (void)alarm((unsigned)limits->timeout_s);
    return prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}
