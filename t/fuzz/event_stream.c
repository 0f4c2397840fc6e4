/* t/fuzz/event_stream.c: the same events wherever the bytes are cut, and none of them too large */
#include "ai/event_stream.h"

#include <string.h>

#include "base/buffer.h"
#include "t/fuzz/fuzz.h"

#define MAX 256

static bool
note(void *context, const char *name, const char *data, size_t length)
{
    PQExpBuffer events = context;

    assert(strlen(name) <= MAX && length <= MAX && data[length] == '\0');
    assert(memchr(name, '\n', strlen(name)) == NULL);
    appendPQExpBuffer(events, "%zu %s|", strlen(name), name);
    appendPQExpBuffer(events, "%zu ", length);
    appendBinaryPQExpBuffer(events, data, length);
    return true;
}

/* The first byte chooses the cuts. */
int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer one = tn_arena_buffer(arena), two = tn_arena_buffer(arena);
    tn_event_stream *whole = tn_event_stream_new(arena, MAX, note, one);
    tn_event_stream *pieces = tn_event_stream_new(arena, MAX, note, two);
    const char *text = (const char *)bytes + 1;
    const size_t size = length == 0 ? 1 : bytes[0] % 7 + 1;
    tn_event_outcome first, second = TN_EVENTS_FINE;

    if (length == 0) {
        tn_arena_free(arena);
        return 0;
    }
    length--;
    first = tn_event_stream_feed(whole, text, length);
    for (size_t at = 0; at < length && second == TN_EVENTS_FINE; at += size)
        second = tn_event_stream_feed(pieces, text + at, length - at < size ? length - at : size);
    assert(first == second);
    assert(one->len == two->len && memcmp(one->data, two->data, one->len) == 0);
    tn_arena_free(arena);
    return 0;
}
