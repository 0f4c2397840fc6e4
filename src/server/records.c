/* server/records.c: a walk over FastCGI records, and libfcgi's door to the socket */
#include "server/records.h"

#include <errno.h>
#include <fcgios.h>
#include <unistd.h>

#include "http/fcgi.h"

#define PARAMS_MAX ((size_t)16 << 20) /* above server.header_max, below what overflows */

enum { BEGIN_REQUEST = 1, PARAMS = 4 };

static _Thread_local tn_records *watched;

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool
begin_record(tn_records *records)
{
    const uint8_t *header = records->header;
    const int type = header[1], id = header[2] << 8 | header[3];

    if (header[0] != 1 || id == 0) /* id 0: a management record */
        return false;
    if (records->id == 0 && type != BEGIN_REQUEST)
        return false;
    if (records->id == 0)
        records->id = id;
    records->content = (size_t)(header[4] << 8 | header[5]);
    records->padding = header[6];
    records->is_params = type == PARAMS && id == records->id;
    if (records->is_params)
        records->params += records->content;
    return records->params <= PARAMS_MAX;
}

/* A length is a byte, or four of which the first has its high bit set. */
static size_t
length_size(uint8_t first)
{
    return (first & 0x80) != 0 ? 4 : 1;
}

static size_t
length_value(const uint8_t *at)
{
    if (length_size(at[0]) == 1)
        return at[0];
    return (size_t)(at[0] & 0x7f) << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

/* One more byte of a pair's two lengths. */
static bool
feed_length(tn_records *records, uint8_t byte)
{
    const uint8_t *lengths = records->lengths;
    size_t name_size;

    records->lengths[records->lengths_got++] = byte;
    name_size = length_size(lengths[0]);
    if (records->lengths_got <= name_size ||
        records->lengths_got < name_size + length_size(lengths[name_size]))
        return true;
    records->lengths_got = 0;
    records->pair = length_value(lengths) + length_value(lengths + name_size);
    return records->pair <= PARAMS_MAX;
}

static bool
feed_params(tn_records *records, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        size_t run = least(records->pair, length);

        if (run == 0) {
            if (!feed_length(records, *bytes))
                return false;
            run = 1;
        } else {
            records->pair -= run;
        }
        bytes += run;
        length -= run;
    }
    return true;
}

bool
tn_records_feed(tn_records *records, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        size_t run = 1;

        if (records->header_got < sizeof(records->header)) {
            records->header[records->header_got++] = *bytes;
            if (records->header_got == sizeof(records->header) && !begin_record(records))
                return false;
        } else if (records->content > 0) {
            run = least(records->content, length);
            if (records->is_params && !feed_params(records, bytes, run))
                return false;
            records->content -= run;
        } else {
            run = least(records->padding, length);
            records->padding -= run;
        }
        if (records->header_got == sizeof(records->header) &&
            records->content + records->padding == 0)
            records->header_got = 0;
        bytes += run;
        length -= run;
    }
    return true;
}

void
tn_records_watch(tn_records *records)
{
    watched = records;
}

/* libfcgi's own does the same without waiting and walk. */
int
OS_Read(int fd, char *buffer, size_t size)
{
    ssize_t got;

    if (!tn_request_wait(fd)) {
        errno = ETIMEDOUT;
        return -1;
    }
    got = read(fd, buffer, size);
    if (got > 0 && watched != NULL && !tn_records_feed(watched, (uint8_t *)buffer, (size_t)got)) {
        errno = EPROTO;
        return -1;
    }
    return (int)got;
}
