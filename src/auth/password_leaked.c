/* auth/password_leaked.c: a search in a file, by halves where it is sorted */
#include "auth/password_leaked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/log.h"

#define SHA1_HEX 40
#define LINE_MAX_BYTES 64 /* of a sorted list: hash, colon, count and the end of the line */
#define PLAIN_MAX (16 << 20)
#define CHUNK 16384
#define PASSWORD_MAX 256 /* no password of ours is as long */

static void
report(const char *path, const char *problem)
{
    tn_log(TN_LOG_ERROR, "auth.leaked_passwords.unreadable", TN_STR("path", path),
           TN_STR("cause", problem));
}

/* Up to `size` bytes from there; how many there were. */
static size_t
read_at(int fd, off_t offset, char *bytes, size_t size)
{
    size_t got = 0;

    while (got < size) {
        const ssize_t more = pread(fd, bytes + got, size - got, offset + (off_t)got);

        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0)
            break;
        got += (size_t)more;
    }
    return got;
}

static bool
is_sorted_list(int fd)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    char line[SHA1_HEX + 2] = {0};

    if (read_at(fd, 0, line, SHA1_HEX + 1) < SHA1_HEX)
        return false;
    return strspn(line, digits) == SHA1_HEX && strchr(":\r\n", line[SHA1_HEX]) != NULL;
}

/* `low` and `high` are beginnings of lines; the line looked for begins at `low` or later, and
 * before `high`. */
static bool
search_sorted(int fd, off_t size, const char *wanted)
{
    off_t low = 0, high = size;

    while (low < high) {
        const off_t middle = low + (high - low) / 2;
        const off_t from = middle > low + LINE_MAX_BYTES ? middle - LINE_MAX_BYTES : low;
        char window[3 * LINE_MAX_BYTES + 1];
        const size_t got = read_at(fd, from, window, sizeof(window) - 1);
        size_t start = (size_t)(middle - from), end;
        int order;

        if (got <= start)
            return false;
        while (start > 0 && window[start - 1] != '\n')
            start--;
        for (end = start; end < got && window[end] != '\n'; end++)
            ;
        if (end - start < SHA1_HEX) /* no line of such a list */
            return false;
        order = strncasecmp(window + start, wanted, SHA1_HEX);
        if (order == 0)
            return true;
        if (order < 0)
            low = from + (off_t)end + 1;
        else
            high = from + (off_t)start;
    }
    return false;
}

/* Each line of a chunk; a line that goes on in the next chunk is kept at the front of it. */
static bool
search_plain(int fd, const char *wanted)
{
    const size_t length = strlen(wanted);
    char chunk[CHUNK];
    bool is_within = false; /* a line that is longer than any password */
    size_t kept = 0, got;
    off_t offset = 0;

    do {
        size_t start = 0, end;

        got = read_at(fd, offset, chunk + kept, sizeof(chunk) - kept);
        offset += (off_t)got;
        end = kept + got;
        for (size_t i = 0; i <= end; i++) {
            size_t line;

            if (i < end ? chunk[i] != '\n' : got > 0)
                continue;
            line = i - start;
            if (line > 0 && chunk[i - 1] == '\r')
                line--;
            if (!is_within && line == length && strncasecmp(chunk + start, wanted, length) == 0)
                return true;
            is_within = false;
            start = i + 1;
        }
        kept = start < end ? end - start : 0;
        if (kept > PASSWORD_MAX) {
            is_within = true;
            kept = 0;
        }
        memmove(chunk, chunk + end - kept, kept);
    } while (got > 0);
    return false;
}

static bool
search(int fd, const char *path, const char *password)
{
    uint8_t digest[TN_SHA1_SIZE];
    char wanted[2 * TN_SHA1_SIZE + 1];
    struct stat status;

    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        report(path, "it is no file");
        return false;
    }
    if (is_sorted_list(fd)) {
        tn_sha1(password, strlen(password), digest);
        tn_hex(digest, sizeof(digest), wanted);
        return search_sorted(fd, status.st_size, wanted);
    }
    if (status.st_size > PLAIN_MAX) {
        report(path, "it is larger than 16 MiB, and no sorted list of SHA-1 hashes");
        return false;
    }
    return search_plain(fd, password);
}

bool
tn_password_is_leaked(const char *path, const char *password)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_leaked;

    if (fd < 0) {
        report(path, strerrordesc_np(errno));
        return false;
    }
    is_leaked = search(fd, path, password);
    (void)close(fd);
    return is_leaked;
}
