/* mail/maildir.c: a mail into a folder, whole or not at all (https://cr.yp.to/proto/maildir.html)
 *
 * Written under tmp/, brought to disk, renamed into new/: who reads there never sees half a mail.
 * Names are unique by time, process and random bytes. Lines end in LF, as mail readers have it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto.h"
#include "mail/transport.h"

/* What the operator's command makes as root belongs to whom the folder above belongs to: the
 * workers go on with it. */
static bool
make_folder(tn_arena *arena, const char *path)
{
    struct stat above;

    if (mkdir(path, 0700) != 0)
        return errno == EEXIST;
    if (geteuid() != 0)
        return true;
    return stat(tn_arena_printf(arena, "%s/..", path), &above) == 0 &&
           chown(path, above.st_uid, above.st_gid) == 0;
}

static bool
make_maildir(tn_arena *arena, const char *folder)
{
    return make_folder(arena, folder) &&
           make_folder(arena, tn_arena_printf(arena, "%s/tmp", folder)) &&
           make_folder(arena, tn_arena_printf(arena, "%s/cur", folder)) &&
           make_folder(arena, tn_arena_printf(arena, "%s/new", folder));
}

static const char *
unique_name(tn_arena *arena)
{
    struct timespec now;
    uint8_t random[8];
    char hex[2 * sizeof(random) + 1], host[256] = "";

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gethostname(host, sizeof(host) - 1);
    for (char *c = host; *c != '\0'; c++)
        if (*c == '/' || *c == ':')
            *c = '_';
    tn_random(random, sizeof(random));
    tn_hex(random, sizeof(random), hex);
    return tn_arena_printf(arena, "%lld.M%06ldP%dR%s.%s", (long long)now.tv_sec, now.tv_nsec / 1000,
                           (int)getpid(), hex, host);
}

static bool
write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t written = write(fd, bytes, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

static bool
write_file(tn_arena *arena, const char *path, const tn_envelope *envelope)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    char *lines = tn_arena_bytes(arena, envelope->bytes, envelope->length);
    size_t length = 0;
    bool is_written;

    if (fd < 0)
        return false;
    for (size_t i = 0; i < envelope->length; i++)
        if (lines[i] != '\r')
            lines[length++] = lines[i];
    is_written = write_all(fd, lines, length) && fsync(fd) == 0;
    return close(fd) == 0 && is_written;
}

static bool
sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_synced = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        (void)close(fd);
    return is_synced;
}

void
tn_maildir_deliver(const char *folder, tn_arena *arena, const tn_envelope *envelope,
                   tn_sending *sending)
{
    const char *name = unique_name(arena);
    const char *tmp = tn_arena_printf(arena, "%s/tmp/%s", folder, name);
    const char *new = tn_arena_printf(arena, "%s/new/%s", folder, name);

    sending->stage = "mail";
    if (!make_maildir(arena, folder)) {
        sending->problem = tn_arena_printf(arena, "cannot make the maildir: %s", strerror(errno));
        return;
    }
    if (!write_file(arena, tmp, envelope) || rename(tmp, new) != 0) {
        sending->problem = tn_arena_printf(arena, "cannot write the mail: %s", strerror(errno));
        (void)unlink(tmp);
        return;
    }
    sending->is_accepted = sync_folder(tn_arena_printf(arena, "%s/new", folder));
    if (!sending->is_accepted)
        sending->problem = tn_arena_printf(arena, "cannot sync the maildir: %s", strerror(errno));
}
