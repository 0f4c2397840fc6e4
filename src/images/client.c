/* images/client.c: a job is sent, and its verdict waited for */
#include "images/images.h"

#include <errno.h>
#include <poll.h>
#include <stdalign.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"

#define RETRY_AFTER_S 5
#define TRIES 2 /* tenon-image may end while it has the job; the master starts another one */

typedef enum ending { VERDICT, GONE, TOO_LATE } ending;

const char *
tn_image_content_type(tn_image_format format)
{
    static const char *const types[TN_IMAGE_FORMATS] = {
        [TN_IMAGE_ORIGIN] = "application/octet-stream",
        [TN_IMAGE_JPEG] = "image/jpeg",
        [TN_IMAGE_PNG] = "image/png",
        [TN_IMAGE_WEBP] = "image/webp",
        [TN_IMAGE_GIF] = "image/gif",
        [TN_IMAGE_AVIF] = "image/avif",
    };

    return types[format];
}

/* --- sending ---------------------------------------------------------------------------------- */

/* The queue of the socket holds some hundred jobs; when it is full, it is waited for. */
static bool
send_job(int socket, const tn_image_job *job, const int fds[3], int64_t deadline_ms)
{
    alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {0};
    tn_image_job copy = *job;
    struct iovec bytes = {.iov_base = &copy, .iov_len = sizeof(copy)};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(header), fds, 3 * sizeof(int));
    for (;;) {
        struct pollfd room = {.fd = socket, .events = POLLOUT};
        const int64_t left_ms = deadline_ms - tn_clock_ms();

        if (sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return true;
        if ((errno != EAGAIN && errno != EINTR && errno != ETOOMANYREFS) || left_ms <= 0)
            return false;
        (void)poll(&room, 1, (int)(left_ms < 100 ? left_ms : 100));
    }
}

static ending
wait_for_verdict(int reply, int64_t deadline_ms, tn_image_verdict *verdict)
{
    for (;;) {
        struct pollfd answer = {.fd = reply, .events = POLLIN};
        const int64_t left_ms = deadline_ms - tn_clock_ms();
        const int ready = left_ms > 0 ? poll(&answer, 1, (int)left_ms) : 0;

        if (ready == 0)
            return TOO_LATE;
        if (ready < 0)
            continue;
        return recv(reply, verdict, sizeof(*verdict), MSG_DONTWAIT) == (ssize_t)sizeof(*verdict)
                   ? VERDICT
                   : GONE;
    }
}

static ending
ask_once(int socket, const tn_image_job *job, const int descriptors[2], int64_t deadline_ms,
         tn_image_verdict *verdict)
{
    int pair[2];
    ending result = TOO_LATE;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return GONE;
    if (send_job(socket, job, (int[3]){descriptors[0], descriptors[1], pair[1]}, deadline_ms)) {
        (void)close(pair[1]);
        result = wait_for_verdict(pair[0], deadline_ms, verdict);
    } else {
        (void)close(pair[1]);
    }
    (void)close(pair[0]);
    return result;
}

/* Both files as they were before. */
static bool
rewind_both(const int descriptors[2])
{
    return lseek(descriptors[0], 0, SEEK_SET) == 0 && lseek(descriptors[1], 0, SEEK_SET) == 0 &&
           ftruncate(descriptors[1], 0) == 0;
}

/* --- errors ----------------------------------------------------------------------------------- */

static const tn_error *
unavailable(tn_arena *arena, const char *why)
{
    tn_error *error = tn_error_new(arena, 503, "images_unavailable", "Try again in a moment.",
                                   "no image can be transformed at present: %s", why);

    error->retry_after_s = RETRY_AFTER_S;
    return error;
}

static const tn_error *
refusal(tn_arena *arena, const tn_image_job *job, const tn_image_verdict *verdict)
{
    switch ((tn_image_outcome)verdict->outcome) {
    case TN_IMAGE_NOT_AN_IMAGE:
        return tn_error_new(arena, 400, "InvalidRequest",
                            "JPEG, PNG, WebP, GIF, AVIF and HEIC can be transformed.",
                            "The object is not an image that can be transformed");
    case TN_IMAGE_TOO_MANY_PIXELS:
        return tn_error_new(arena, 400, "InvalidRequest", NULL,
                            "The image is too large: it has more than %lld pixels",
                            (long long)job->limits.pixels);
    case TN_IMAGE_BROKEN:
        return tn_error_new(arena, 400, "InvalidRequest", NULL,
                            "The image is damaged or not complete");
    case TN_IMAGE_TOO_EXPENSIVE:
        tn_log(TN_LOG_WARN, "images.process_ended",
               TN_STR("request_id", tn_arena_label_text(arena)), TN_INT("end", verdict->end));
        return tn_error_new(arena, 400, "InvalidRequest", NULL,
                            "The image needs more memory or time than is given, or cannot be read");
    case TN_IMAGE_MADE:
    case TN_IMAGE_REFUSED:
    case TN_IMAGE_FAULT:
    case TN_IMAGE_OUTCOMES:
    default:
        return tn_error_internal(arena, "images.failed", "tenon-image: outcome %d",
                                 verdict->outcome);
    }
}

const tn_error *
tn_image_make(tn_arena *arena, int socket, const tn_image_job *job, int source, int output,
              tn_image_format *made)
{
    const int64_t deadline_ms = tn_clock_ms() + 3000 * job->limits.timeout_s;
    const int descriptors[2] = {source, output};
    tn_image_verdict verdict = {.outcome = TN_IMAGE_FAULT};
    ending result = GONE;

    for (int i = 0; i < TRIES && result == GONE; i++) {
        if (!rewind_both(descriptors))
            return tn_error_internal(arena, "images.failed", "rewind: %s", strerror(errno));
        result = ask_once(socket, job, descriptors, deadline_ms, &verdict);
    }
    if (result == TOO_LATE)
        return unavailable(arena, "too many others are waiting");
    if (result == GONE)
        return unavailable(arena, "tenon-image does not run");
    if (verdict.outcome != TN_IMAGE_MADE || verdict.format <= TN_IMAGE_ORIGIN ||
        verdict.format >= TN_IMAGE_FORMATS)
        return refusal(arena, job, &verdict);
    *made = (tn_image_format)verdict.format;
    return NULL;
}
