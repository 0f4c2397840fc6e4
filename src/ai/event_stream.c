/* ai/event_stream.c: an incremental parser; state is the line so far and the event so far */
#include "ai/event_stream.h"

#include <string.h>

#include "base/buffer.h"

struct tn_event_stream {
    tn_event_taker take;
    void *context;
    size_t max;
    PQExpBuffer line, name, data;
    bool has_data;     /* a data line came, also an empty one */
    bool after_return; /* the last byte was CR: a LF now belongs to it */
    bool at_start;     /* of the stream: a byte order mark may come */
    tn_event_outcome outcome;
};

tn_event_stream *
tn_event_stream_new(tn_arena *arena, size_t max, tn_event_taker take, void *context)
{
    tn_event_stream *stream = tn_arena_alloc(arena, 1, sizeof(*stream));

    *stream = (tn_event_stream){
        .take = take,
        .context = context,
        .max = max,
        .line = tn_arena_buffer(arena),
        .name = tn_arena_buffer(arena),
        .data = tn_arena_buffer(arena),
        .at_start = true,
    };
    return stream;
}

static void
end_event(tn_event_stream *stream)
{
    if (stream->has_data && !stream->take(stream->context, tn_buffer_text(stream->name),
                                          tn_buffer_text(stream->data), stream->data->len))
        stream->outcome = TN_EVENTS_STOPPED;
    stream->has_data = false;
    resetPQExpBuffer(stream->name);
    resetPQExpBuffer(stream->data);
}

static bool
is_field(const char *line, size_t length, const char *field)
{
    return strlen(field) == length && memcmp(line, field, length) == 0;
}

static void
take_line(tn_event_stream *stream)
{
    const char *line = tn_buffer_text(stream->line);
    size_t length = stream->line->len, name_length, skip;
    const char *colon;

    if (stream->at_start && length >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) {
        line += 3;
        length -= 3;
    }
    stream->at_start = false;
    if (length == 0) {
        end_event(stream);
        return;
    }
    colon = memchr(line, ':', length);
    name_length = colon == NULL ? length : (size_t)(colon - line);
    skip = colon == NULL ? length : name_length + 1;
    if (skip < length && line[skip] == ' ')
        skip++;
    if (is_field(line, name_length, "data")) {
        if (stream->has_data)
            appendPQExpBufferChar(stream->data, '\n');
        appendBinaryPQExpBuffer(stream->data, line + skip, length - skip);
        stream->has_data = true;
        if (stream->data->len > stream->max)
            stream->outcome = TN_EVENTS_TOO_LARGE;
    } else if (is_field(line, name_length, "event")) {
        resetPQExpBuffer(stream->name);
        appendBinaryPQExpBuffer(stream->name, line + skip, length - skip);
    }
}

/* How many bytes there are before the next end of a line. */
static size_t
line_part(const char *bytes, size_t length)
{
    size_t at = 0;

    while (at < length && bytes[at] != '\n' && bytes[at] != '\r')
        at++;
    return at;
}

tn_event_outcome
tn_event_stream_feed(tn_event_stream *stream, const char *bytes, size_t length)
{
    size_t at = 0;

    while (at < length && stream->outcome == TN_EVENTS_FINE) {
        const size_t part = line_part(bytes + at, length - at);

        if (part > 0) {
            stream->after_return = false;
            if (part > stream->max - stream->line->len) {
                stream->outcome = TN_EVENTS_TOO_LARGE;
                break;
            }
            appendBinaryPQExpBuffer(stream->line, bytes + at, part);
            at += part;
            continue;
        }
        if (!(bytes[at] == '\n' && stream->after_return)) {
            take_line(stream);
            resetPQExpBuffer(stream->line);
        }
        stream->after_return = bytes[at] == '\r';
        at++;
    }
    return stream->outcome;
}
