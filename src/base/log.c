/* base/log.c: one line, one write(2)
 *
 * The file keeps its descriptor for the life of the process: reopening puts the new file under the
 * old number with dup3(), so that a thread in the middle of a write never meets a closed or
 * foreign descriptor.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/text.h"

#define LINE_MAX_BYTES 8192
#define FIELD_MIN_BYTES 32 /* to which fields are cut at most */

static struct {
    _Atomic int fd, file_fd; /* where lines go; the file's descriptor or -1 */
    _Atomic int threshold;
    _Atomic uint64_t own_dropped;
    _Atomic uint64_t *_Atomic dropped;
} state = {.fd = STDERR_FILENO, .file_fd = -1, .threshold = TN_LOG_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

bool
tn_log_level_parse(const char *text, tn_log_level *level)
{
    for (size_t i = 0; i < TN_COUNT(level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (tn_log_level)i;
            return true;
        }
    }
    return false;
}

bool
tn_log_open(const char *path, tn_log_level threshold)
{
    int fd;

    if (path == NULL || path[0] == '\0') {
        state.fd = STDERR_FILENO;
        state.threshold = threshold;
        return true;
    }
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        return false;
    if (state.file_fd < 0) {
        state.file_fd = fd;
    } else {
        const bool moved = dup3(fd, state.file_fd, O_CLOEXEC) >= 0;

        (void)close(fd);
        if (!moved)
            return false;
    }
    state.fd = state.file_fd;
    state.threshold = threshold;
    return true;
}

void
tn_log_count_drops(_Atomic uint64_t *counter)
{
    state.dropped = counter;
}

static void
append_time(PQExpBuffer line)
{
    struct timespec now;
    struct tm utc;
    char text[32];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    appendPQExpBuffer(line, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

/* Cut between characters, with an ellipsis to show it. */
static void
append_text(PQExpBuffer line, const char *text, size_t most)
{
    size_t length = text == NULL ? 0 : strlen(text);

    if (length <= most) {
        tn_buffer_json_string(line, text);
        return;
    }
    length = most;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
        length--;
    tn_buffer_json_bytes(line, text, length);
    line->data[--line->len] = '\0'; /* the quote, which the ellipsis goes in front of */
    appendPQExpBufferStr(line, "\xE2\x80\xA6\"");
}

static void
append_field(PQExpBuffer line, const tn_log_field *field, size_t most)
{
    appendPQExpBufferChar(line, ',');
    tn_buffer_json_string(line, field->name);
    appendPQExpBufferChar(line, ':');
    switch (field->type) {
    case TN_LOG_TEXT:
        append_text(line, field->text, most);
        break;
    case TN_LOG_NUMBER:
        appendPQExpBuffer(line, "%lld", (long long)field->number);
        break;
    case TN_LOG_REAL:
        if (isfinite(field->real))
            appendPQExpBuffer(line, "%.6g", field->real);
        else
            appendPQExpBufferStr(line, "null"); /* JSON has no infinity */
        break;
    case TN_LOG_BOOL:
        appendPQExpBufferStr(line, field->number != 0 ? "true" : "false");
        break;
    }
}

static void
build_line(PQExpBuffer line, tn_log_level level, const char *event, const tn_log_field *fields,
           size_t most)
{
    resetPQExpBuffer(line);
    appendPQExpBufferStr(line, "{\"ts\":\"");
    append_time(line);
    appendPQExpBuffer(line, "\",\"level\":\"%s\",\"event\":", level_names[level]);
    append_text(line, event, most);
    for (const tn_log_field *field = fields; field->name != NULL; field++)
        if (!PQExpBufferBroken(line))
            append_field(line, field, most);
    appendPQExpBufferStr(line, "}\n");
}

/* A part of a line is worth nothing to whoever parses it, so it counts as dropped as well. */
static void
write_line(const char *text, size_t length)
{
    _Atomic uint64_t *counter = state.dropped;
    ssize_t written;

    do
        written = write(state.fd, text, length);
    while (written < 0 && errno == EINTR);
    if (written != (ssize_t)length)
        (*(counter != NULL ? counter : &state.own_dropped))++;
}

void
tn_log_write(tn_log_level level, const char *event, const tn_log_field *fields)
{
    static const char no_memory[] = "{\"level\":\"error\",\"event\":\"log.memory_missing\"}\n";
    const int saved_errno = errno; /* a log line must not disturb what it reports */
    size_t most = LINE_MAX_BYTES;
    PQExpBufferData line;

    if ((int)level < state.threshold)
        return;
    initPQExpBuffer(&line);
    build_line(&line, level, event, fields, most);
    /* Halving what a field may take cuts the longest first and leaves the short ones whole. */
    while (line.len > LINE_MAX_BYTES && most > FIELD_MIN_BYTES) {
        most /= 2;
        build_line(&line, level, event, fields, most);
    }
    if (PQExpBufferDataBroken(line))
        write_line(no_memory, sizeof(no_memory) - 1);
    else
        write_line(line.data, line.len);
    termPQExpBuffer(&line);
    errno = saved_errno;
}
