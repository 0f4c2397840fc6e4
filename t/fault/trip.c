/* t/fault/trip.c: a library for LD_PRELOAD that ends a process, or fails a call, at the N-th step
 * that changes something
 *
 * What to do is in the file that TENON_TRIP names, which the test maps too (t/lib/trip.mjs): which
 * processes it is about, whether to count only, to kill or to fail, and at which step. Steps are
 * calls that write to disk, to PostgreSQL or to a client. Killed before step N + 1 is killed after
 * step N, so killing before each of them is enough.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OFF, COUNT, KILL, FAIL };
enum { PIDS = 8, NAMES = 4096, NAME = 16 };

struct control {
    _Atomic int mode, step, counted, done;
    int pids[PIDS];
    char names[NAMES][NAME]; /* of the steps, for a test that fails to say where */
};

static struct control *control;

__attribute__((constructor)) static void
map_control(void)
{
    const char *path = getenv("TENON_TRIP");
    const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return;
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED)
        control = NULL;
    close(fd);
}

static int
is_meant(void)
{
    const int pid = getpid();

    for (int i = 0; i < PIDS; i++)
        if (control->pids[i] == pid)
            return 1;
    return 0;
}

/* True: the call fails with `number`. 0: it never does, and is no step where something shall fail.
 */
static int
trip(const char *name, int number)
{
    int mode, step;

    if (control == NULL || (mode = atomic_load(&control->mode)) == OFF || !is_meant() ||
        (mode == FAIL && number == 0))
        return 0;
    step = atomic_fetch_add(&control->counted, 1) + 1;
    if (step < NAMES)
        strncpy(control->names[step], name, NAME - 1);
    if (mode == COUNT || step != atomic_load(&control->step))
        return 0;
    atomic_store(&control->done, 1);
    if (mode == KILL) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    errno = number;
    return 1;
}

#define REAL(name)                 \
    static __typeof__(&name) real; \
    if (real == NULL)              \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

#define WRAP(type, name, number, parameters, arguments) \
    type name parameters                                \
    {                                                   \
        REAL(name);                                     \
        if (trip(#name, number))                        \
            return -1;                                  \
        return real arguments;                          \
    }

WRAP(ssize_t, pwrite, ENOSPC, (int fd, const void *bytes, size_t length, off_t at),
     (fd, bytes, length, at))
WRAP(ssize_t, pwrite64, ENOSPC, (int fd, const void *bytes, size_t length, off_t at),
     (fd, bytes, length, at))
WRAP(ssize_t, writev, EPIPE, (int fd, const struct iovec *v, int count), (fd, v, count))
WRAP(ssize_t, sendmsg, EPIPE, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(ssize_t, sendfile, EIO, (int to, int from, off_t *at, size_t length), (to, from, at, length))
WRAP(ssize_t, sendfile64, EIO, (int to, int from, off_t *at, size_t length), (to, from, at, length))
WRAP(int, fsync, EIO, (int fd), (fd))
WRAP(int, fdatasync, EIO, (int fd), (fd))
WRAP(int, ftruncate, EIO, (int fd, off_t length), (fd, length))
WRAP(int, ftruncate64, EIO, (int fd, off_t length), (fd, length))
WRAP(int, rename, EIO, (const char *a, const char *b), (a, b))
WRAP(int, renameat, EIO, (int x, const char *a, int y, const char *b), (x, a, y, b))
WRAP(int, renameat2, ENOSPC, (int x, const char *a, int y, const char *b, unsigned flags),
     (x, a, y, b, flags))
WRAP(int, linkat, ENOSPC, (int x, const char *a, int y, const char *b, int flags),
     (x, a, y, b, flags))
WRAP(int, link, ENOSPC, (const char *a, const char *b), (a, b))
WRAP(int, unlink, EIO, (const char *a), (a))
WRAP(int, unlinkat, EIO, (int x, const char *a, int flags), (x, a, flags))
WRAP(int, mkdir, ENOSPC, (const char *a, mode_t mode), (a, mode))
WRAP(int, mkdirat, ENOSPC, (int x, const char *a, mode_t mode), (x, a, mode))
WRAP(ssize_t, copy_file_range, ENOSPC,
     (int a, off64_t *x, int b, off64_t *y, size_t length, unsigned flags),
     (a, x, b, y, length, flags))

/* To a log or a terminal it is no step. A socket is the one to nginx, and it would wait for an
 * answer that has not failed on its side. */
ssize_t
write(int fd, const void *bytes, size_t length)
{
    struct stat about;

    REAL(write);
    if (fd > 2 && control != NULL && atomic_load(&control->mode) != OFF && fstat(fd, &about) == 0 &&
        (S_ISREG(about.st_mode) || S_ISSOCK(about.st_mode)) &&
        (fcntl(fd, F_GETFL) & O_APPEND) == 0 && trip("write", S_ISSOCK(about.st_mode) ? 0 : ENOSPC))
        return -1;
    return real(fd, bytes, length);
}

/* To PostgreSQL. A connection that cannot be written to is gone for who reads from it, too. */
ssize_t
send(int fd, const void *bytes, size_t length, int flags)
{
    REAL(send);
    if (trip("send", EPIPE)) {
        shutdown(fd, SHUT_RDWR);
        errno = EPIPE;
        return -1;
    }
    return real(fd, bytes, length, flags);
}

/* openat2(2), which is how files of ours are opened. */
long
syscall(long number, ...)
{
    long a[6];
    va_list list;

    REAL(syscall);
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_openat2 && trip("openat2", ENOSPC))
        return -1;
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* nginx makes its temporary files with these. */
#define WRAP_OPEN(name, parameters, arguments, last) \
    int name parameters                              \
    {                                                \
        va_list list;                                \
        mode_t mode = 0;                             \
                                                     \
        REAL(name);                                  \
        if ((flags & O_CREAT) != 0) {                \
            va_start(list, last);                    \
            mode = va_arg(list, mode_t);             \
            va_end(list);                            \
            if (trip(#name, ENOSPC))                 \
                return -1;                           \
        }                                            \
        return real arguments;                       \
    }
WRAP_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), flags)
WRAP_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), flags)
WRAP_OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), flags)
WRAP_OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), flags)
