/* ai/event_stream.h: server-sent events, read as they come in (WHATWG HTML section 9.2.6)
 *
 * Takes bytes in any pieces; the events do not depend on where the pieces were cut
 * (t/fuzz/event_stream.c). Lines end with LF, CR or CRLF; a byte order mark at the start, comments,
 * `id`, `retry` and unknown fields are passed over; an event that the end of the input cuts off is
 * none.
 *
 * Threads: one at a time.
 */
#ifndef TN_AI_EVENT_STREAM_H
#define TN_AI_EVENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

typedef struct tn_event_stream tn_event_stream;

/* `name` is "" when the event has none, `data` is NUL-terminated and may hold NUL; both live until
 * the function returns. False stops. */
typedef bool (*tn_event_taker)(void *context, const char *name, const char *data, size_t length);

typedef enum tn_event_outcome {
    TN_EVENTS_FINE,
    TN_EVENTS_STOPPED,
    TN_EVENTS_TOO_LARGE
} tn_event_outcome;

/* Lines and events of more than `max` bytes are too large. */
tn_event_stream *tn_event_stream_new(tn_arena *arena, size_t max, tn_event_taker take,
                                     void *context) TN_NEVER_NULL TN_MUST_CHECK;

/* Anything but FINE is final. */
tn_event_outcome tn_event_stream_feed(tn_event_stream *stream, const char *bytes,
                                      size_t length) TN_MUST_CHECK;

#endif
