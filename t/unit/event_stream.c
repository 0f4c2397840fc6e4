/* t/unit/event_stream.c: ai/event_stream.c: events out of bytes, wherever the bytes are cut */
#include "ai/event_stream.h"

#include <string.h>

#include "base/buffer.h"
#include "t/unit/unit.h"

#define MAX 64

/* Events are noted as [name|data]. */
static bool
note(void *context, const char *name, const char *data, size_t length)
{
    PQExpBuffer events = context;

    appendPQExpBuffer(events, "[%s|", name);
    appendBinaryPQExpBuffer(events, data, length);
    appendPQExpBufferChar(events, ']');
    return strcmp(name, "stop") != 0;
}

static const struct {
    const char *bytes, *events;
    tn_event_outcome outcome;
} cases[] = {
    {"", "", TN_EVENTS_FINE},
    {"data: a\n\n", "[|a]", TN_EVENTS_FINE},
    {"data:a\n\n", "[|a]", TN_EVENTS_FINE},
    {"data:  a\n\n", "[| a]", TN_EVENTS_FINE},
    {"data: a\ndata: b\n\n", "[|a\nb]", TN_EVENTS_FINE},
    {"data\n\n", "[|]", TN_EVENTS_FINE},
    {"data\ndata\n\n", "[|\n]", TN_EVENTS_FINE},
    {"event: x\ndata: a\n\ndata: b\n\n", "[x|a][|b]", TN_EVENTS_FINE},
    {"event: x\nevent: y\ndata: a\n\n", "[y|a]", TN_EVENTS_FINE},
    {"event: x\n\ndata: a\n\n", "[|a]", TN_EVENTS_FINE}, /* without data there is no event */
    {"data: a\r\n\r\ndata: b\r\n\r\n", "[|a][|b]", TN_EVENTS_FINE},
    {"data: a\r\rdata: b\r\r", "[|a][|b]", TN_EVENTS_FINE},
    {"data: a\n\r\ndata: b\r\n\n", "[|a][|b]", TN_EVENTS_FINE},
    {"\xEF\xBB\xBF"
     "data: a\n\n",
     "[|a]", TN_EVENTS_FINE},
    {"\xEF\xBB\xBF\xEF\xBB\xBF"
     "data: a\n\n",
     "", TN_EVENTS_FINE}, /* one mark, not two */
    {": a comment\n:\ndata: a\n\n", "[|a]", TN_EVENTS_FINE},
    {"id: 1\nretry: 5\nother: x\nDATA: no\ndata: a\n\n", "[|a]", TN_EVENTS_FINE},
    {"data: a: b\n\n", "[|a: b]", TN_EVENTS_FINE},
    {"data: a", "", TN_EVENTS_FINE},
    {"data: a\n", "", TN_EVENTS_FINE},
    {"\n\n\r\r\n\ndata: a\n\n\n\n", "[|a]", TN_EVENTS_FINE},
    {"event: stop\ndata: a\n\ndata: b\n\n", "[stop|a]", TN_EVENTS_STOPPED},
    {"data: 0123456789012345678901234567890123456789012345678901234567890123\n\n", "",
     TN_EVENTS_TOO_LARGE},
    {"data: 01234567890123456789012345678901234567890\ndata: 0123456789012345678901234567890\n\n",
     "", TN_EVENTS_TOO_LARGE},
    {":0123456789012345678901234567890123456789012345678901234567890123456789", "",
     TN_EVENTS_TOO_LARGE},
};

/* Feeds in pieces of `size` bytes. */
static tn_event_outcome
feed(const char *bytes, size_t length, size_t size, PQExpBuffer events)
{
    tn_arena *arena = tn_arena_new();
    tn_event_stream *stream = tn_event_stream_new(arena, MAX, note, events);
    tn_event_outcome outcome = TN_EVENTS_FINE;

    for (size_t at = 0; at < length && outcome == TN_EVENTS_FINE; at += size)
        outcome = tn_event_stream_feed(stream, bytes + at, length - at < size ? length - at : size);
    tn_arena_free(arena);
    return outcome;
}

static void
events_do_not_depend_on_the_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++)
        for (size_t size = 1; size <= strlen(cases[i].bytes) + 1; size++) {
            PQExpBuffer events = createPQExpBuffer();

            TN_CASE("case %zu in pieces of %zu", i, size);
            TN_CHECK(feed(cases[i].bytes, strlen(cases[i].bytes), size, events) ==
                     cases[i].outcome);
            TN_CHECK_TEXT(tn_buffer_text(events), cases[i].events);
            destroyPQExpBuffer(events);
        }
}

static void
nul_is_a_byte_like_others(void **state)
{
    PQExpBuffer events = createPQExpBuffer();

    (void)state;
    assert_int_equal(feed("data: a\0b\n\n", 11, 3, events), TN_EVENTS_FINE);
    assert_int_equal(events->len, 6);
    assert_memory_equal(events->data, "[|a\0b]", 6);
    destroyPQExpBuffer(events);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_do_not_depend_on_the_cuts),
        cmocka_unit_test(nul_is_a_byte_like_others),
    };

    return tn_unit_run("event_stream", tests, TN_COUNT(tests));
}
