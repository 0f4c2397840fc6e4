/* objects/clamd.c: zINSTREAM: pieces with their length in front, and one line that answers */
#include "objects/clamd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define PIECE 65536
#define REPLY_MAX 1024
#define COMMAND "zINSTREAM"

struct conversation {
    tn_arena *arena;
    int socket;
    int64_t deadline_ms;
    const char *problem;
};

static bool
fail(struct conversation *talk, const char *what)
{
    if (talk->problem == NULL)
        talk->problem = tn_arena_printf(talk->arena, "%s: %s", what, strerror(errno));
    return false;
}

/* false: the time is over, or the connection. */
static bool
wait_for(struct conversation *talk, short events)
{
    struct pollfd poll_fd = {.fd = talk->socket, .events = events};

    for (;;) {
        const int64_t left = talk->deadline_ms - tn_clock_ms();
        const int ready = left <= 0 ? 0 : poll(&poll_fd, 1, left > 60000 ? 60000 : (int)left);

        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return fail(talk, "poll");
        if (tn_clock_ms() >= talk->deadline_ms) {
            errno = ETIMEDOUT;
            return fail(talk, "clamd");
        }
    }
}

/* --- connecting ------------------------------------------------------------------------------- */

static bool
connect_to(struct conversation *talk, const struct sockaddr *address, socklen_t length)
{
    int problem = 0;
    socklen_t size = sizeof(problem);

    talk->socket = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (talk->socket < 0)
        return fail(talk, "socket");
    if (connect(talk->socket, address, length) == 0)
        return true;
    if (errno != EINPROGRESS && errno != EAGAIN)
        return fail(talk, "connect");
    if (!wait_for(talk, POLLOUT))
        return false;
    if (getsockopt(talk->socket, SOL_SOCKET, SO_ERROR, &problem, &size) != 0 || problem != 0) {
        errno = problem;
        return fail(talk, "connect");
    }
    return true;
}

static bool
connect_unix(struct conversation *talk, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return fail(talk, path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    return connect_to(talk, (const struct sockaddr *)&address, sizeof(address));
}

static bool
connect_tcp(struct conversation *talk, const char *text)
{
    const char *colon = strrchr(text, ':');
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    const char *host;
    bool is_connected = false;

    if (colon == NULL) {
        talk->problem = "storage.clamd: expected unix:/path or host:port";
        return false;
    }
    host = tn_arena_bytes(talk->arena, text, (size_t)(colon - text));
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0 || found == NULL) {
        talk->problem = "storage.clamd: no such host";
        return false;
    }
    for (const struct addrinfo *at = found; at != NULL && !is_connected; at = at->ai_next) {
        if (talk->socket >= 0)
            (void)close(talk->socket);
        is_connected = connect_to(talk, at->ai_addr, at->ai_addrlen);
    }
    freeaddrinfo(found);
    return is_connected;
}

/* --- talking ---------------------------------------------------------------------------------- */

static bool
send_all(struct conversation *talk, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        const ssize_t sent = send(talk->socket, at, length, MSG_NOSIGNAL);

        if (sent > 0) {
            at += sent;
            length -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EINTR) {
            if (!wait_for(talk, POLLOUT))
                return false;
        } else {
            return fail(talk, "send");
        }
    }
    return true;
}

static bool
send_file(struct conversation *talk, int fd, int64_t size)
{
    char *piece = tn_arena_alloc(talk->arena, sizeof(uint32_t) + PIECE, 1);

    for (int64_t offset = 0; offset < size;) {
        const size_t wanted = size - offset < PIECE ? (size_t)(size - offset) : PIECE;
        const ssize_t got = pread(fd, piece + sizeof(uint32_t), wanted, (off_t)offset);
        uint32_t length;

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fail(talk, "read");
        length = htonl((uint32_t)got);
        memcpy(piece, &length, sizeof(length));
        if (!send_all(talk, piece, sizeof(length) + (size_t)got))
            return false;
        offset += got;
    }
    memset(piece, 0, sizeof(uint32_t)); /* the end */
    return send_all(talk, piece, sizeof(uint32_t));
}

/* Up to the NUL that ends it; NULL: there was none. */
static const char *
read_reply(struct conversation *talk)
{
    char *reply = tn_arena_alloc(talk->arena, REPLY_MAX + 1, 1);
    size_t length = 0;

    while (length < REPLY_MAX && memchr(reply, '\0', length) == NULL) {
        const ssize_t got = recv(talk->socket, reply + length, REPLY_MAX - length, 0);

        if (got > 0) {
            length += (size_t)got;
        } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!wait_for(talk, POLLIN))
                return NULL;
        } else {
            if (got == 0)
                errno = ECONNRESET;
            (void)fail(talk, "receive");
            return NULL;
        }
    }
    return memchr(reply, '\0', length) == NULL ? NULL : reply;
}

void
tn_clamd_read(tn_arena *arena, const char *reply, tn_clamd_answer *answer)
{
    static const char head[] = "stream: ", tail[] = " FOUND";
    const size_t length = strlen(reply), around = sizeof(head) - 1 + sizeof(tail) - 1;

    *answer = (tn_clamd_answer){.verdict = TN_VERDICT_UNKNOWN};
    if (strcmp(reply, "stream: OK") == 0) {
        answer->verdict = TN_VERDICT_CLEAN;
    } else if (length > around && tn_text_starts(reply, head) &&
               strcmp(reply + length - (sizeof(tail) - 1), tail) == 0) {
        answer->verdict = TN_VERDICT_INFECTED;
        answer->signature = tn_arena_bytes(arena, reply + sizeof(head) - 1, length - around);
        if (!tn_text_is_utf8(answer->signature, length - around))
            answer->signature = "unnamed";
    } else {
        answer->problem = tn_text_is_utf8(reply, length) ? tn_text_excerpt(arena, reply, 200)
                                                         : "a reply that is no text";
    }
}

void
tn_clamd_ask(tn_arena *arena, const char *address, int64_t timeout_ms, int fd, int64_t size,
             tn_clamd_answer *answer)
{
    struct conversation talk = {
        .arena = arena, .socket = -1, .deadline_ms = tn_clock_ms() + timeout_ms};
    const char *reply = NULL;

    *answer = (tn_clamd_answer){.verdict = TN_VERDICT_UNKNOWN};
    if (tn_text_starts(address, "unix:") ? connect_unix(&talk, address + 5)
                                         : connect_tcp(&talk, address)) {
        /* It may answer, and hang up, before it has everything: what it has said counts. */
        (void)(send_all(&talk, COMMAND, sizeof(COMMAND)) && send_file(&talk, fd, size));
        reply = read_reply(&talk);
    }
    if (reply != NULL)
        tn_clamd_read(arena, reply, answer);
    else
        answer->problem = talk.problem == NULL ? "no answer" : talk.problem;
    if (reply != NULL && answer->verdict == TN_VERDICT_CLEAN && talk.problem != NULL) {
        answer->verdict = TN_VERDICT_UNKNOWN; /* of a part */
        answer->problem = talk.problem;
    }
    if (talk.socket >= 0)
        (void)close(talk.socket);
}
