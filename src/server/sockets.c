/* server/sockets.c: sockets, pid file and folder of a running server */
#include "server/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "server/systemd.h"

#define BACKLOG 4096 /* bounded by net.core.somaxconn */

const char *
tn_run_path(tn_arena *arena, const tn_config *config, const char *file)
{
    return tn_arena_printf(arena, "%s/%s", config->server.run_dir, file);
}

static const char *
open_folder(tn_arena *arena, const char *path)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return tn_arena_printf(arena, "cannot make the folder %s (server.run_dir): %s", path,
                               strerror(errno));
    return NULL;
}

/* The workers' user owns the socket, so that nginx, which runs as the same, may connect. */
static const char *
give_to_user(tn_arena *arena, const char *path, const char *user)
{
    const struct passwd *account;

    if (geteuid() != 0 || *user == '\0')
        return NULL;
    account = getpwnam(user);
    if (account == NULL)
        return tn_arena_printf(arena, "there is no user %s (server.user)", user);
    if (chown(path, account->pw_uid, account->pw_gid) != 0)
        return tn_arena_printf(arena, "cannot give %s to %s: %s", path, user, strerror(errno));
    return NULL;
}

static const char *
listen_at(tn_arena *arena, const char *path, const char *user, int *socket_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = -1;

    if (strlen(path) >= sizeof(address.sun_path))
        return tn_arena_printf(arena,
                               "the path of the socket %s is too long: at most %zu bytes; choose a "
                               "shorter server.run_dir",
                               path, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    (void)unlink(path); /* ours, since we hold the pid file */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(path, 0660) != 0 || listen(fd, BACKLOG) != 0) {
        const char *problem = strerror(errno);

        if (fd >= 0)
            (void)close(fd);
        return tn_arena_printf(arena, "cannot listen at %s: %s", path, problem);
    }
    *socket_fd = fd;
    return give_to_user(arena, path, user);
}

const char *
tn_sockets_open(tn_arena *arena, const tn_config *config, int sockets[TN_POOLS])
{
    for (size_t i = 0; i < TN_POOLS; i++) {
        const char *problem;

        sockets[i] = tn_systemd_socket(tn_pools[i].socket);
        if (sockets[i] >= 0) {
            (void)fcntl(sockets[i], F_SETFL, O_NONBLOCK);
            continue;
        }
        problem = listen_at(arena, tn_run_path(arena, config, tn_pools[i].socket),
                            config->server.user, &sockets[i]);
        if (problem != NULL)
            return problem;
    }
    return NULL;
}

void
tn_sockets_refuse(const int sockets[TN_POOLS])
{
    for (size_t i = 0; i < TN_POOLS; i++)
        if (tn_systemd_socket(tn_pools[i].socket) < 0)
            (void)shutdown(sockets[i], SHUT_RDWR);
}

void
tn_sockets_remove(tn_arena *arena, const tn_config *config)
{
    for (size_t i = 0; i < TN_POOLS; i++)
        if (tn_systemd_socket(tn_pools[i].socket) < 0)
            (void)unlink(tn_run_path(arena, config, tn_pools[i].socket));
}

const char *
tn_pid_file_take(tn_arena *arena, const tn_config *config)
{
    const char *path = tn_run_path(arena, config, "tenon.pid");
    const struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const char *problem = open_folder(arena, config->server.run_dir), *text;
    int fd;

    if (problem != NULL)
        return problem;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return tn_arena_printf(arena, "cannot write %s: %s", path, strerror(errno));
    if (fcntl(fd, F_SETLK, &whole) != 0) {
        (void)close(fd);
        return tn_arena_printf(arena, "already running (%s is locked by process %d)", path,
                               tn_pid_file_holder(config->server.run_dir));
    }
    text = tn_arena_printf(arena, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, text, strlen(text)) < 0)
        return tn_arena_printf(arena, "cannot write %s: %s", path, strerror(errno));
    return NULL; /* the descriptor stays open, and the lock with it */
}

int
tn_pid_file_holder(const char *run_dir)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char *path;
    int fd, pid = 0;

    if (asprintf(&path, "%s/tenon.pid", run_dir) < 0)
        return 0;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
        pid = lock.l_pid;
    if (fd >= 0)
        (void)close(fd);
    free(path);
    return pid;
}
