/* server/systemd.c: readiness, watchdog and socket activation */
#include "server/systemd.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/text.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

int
tn_systemd_socket(const char *name)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    int64_t number;

    if (pid == NULL || count == NULL || names == NULL || !tn_text_int(pid, 1, INT32_MAX, &number) ||
        number != getpid() || !tn_text_int(count, 1, 64, &number))
        return -1;
    for (int fd = FIRST_FD; fd < FIRST_FD + number; fd++) {
        const size_t length = strcspn(names, ":");

        if (length == strlen(name) && memcmp(names, name, length) == 0) {
            (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
            return fd;
        }
        names += length;
        names += *names == ':';
    }
    return -1;
}

void
tn_systemd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path != NULL ? strlen(path) : 0;
    int fd;

    if (length == 0 || length >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, length);
    if (*path == '@') /* the abstract namespace */
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    (void)close(fd);
}

int64_t
tn_systemd_watchdog_ms(void)
{
    const char *text = getenv("WATCHDOG_USEC");
    int64_t us;

    return text != NULL && tn_text_int(text, 1, INT64_MAX, &us) ? us / 2000 : 0;
}
