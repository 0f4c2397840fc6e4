/* server/records.h: what may come in on a FastCGI connection, looked at before libfcgi sees it
 *
 * libfcgi trusts whoever writes to its socket: two lengths whose sum does not fit end the process
 * (its assert), and so do FCGI_GET_VALUES records without a name or with many. nginx sends none of
 * this; a socket that anything else reaches must not be a way to stop all workers. libfcgi reads
 * through its exported OS_Read(), which is defined here in its place: every byte passes by, whole
 * records or not, and costs no further system call.
 *
 * Threads: a request is read by the thread that serves it.
 * Errors:  what must not come in is the end of the connection, as if it had been cut off.
 */
#ifndef TN_SERVER_RECORDS_H
#define TN_SERVER_RECORDS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a request is (FastCGI specification 1.0, sections 3.3 and 3.4); zeroed at its beginning. */
typedef struct tn_records {
    uint8_t header[8], lengths[8]; /* of the record and of the name-value pair that have begun */
    unsigned header_got, lengths_got;
    size_t content, padding, pair; /* bytes that are still to come */
    size_t params;                 /* bytes of all parameters so far */
    int id;                        /* of the request; 0: it has not begun */
    bool is_params;
} tn_records;

/* The next bytes. Returns false when libfcgi must not see them. */
bool tn_records_feed(tn_records *records, const uint8_t *bytes, size_t length);

/* What this thread reads through libfcgi from now on belongs to that request; NULL: to none. */
void tn_records_watch(tn_records *records);

#endif
