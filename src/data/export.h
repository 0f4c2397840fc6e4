/* data/export.h: answers of any size as CSV or NDJSON, in constant memory
 *
 * Up to 256 KiB are collected, and what fits is answered like everything else: Content-Length,
 * Content-Range, 206 and 416. What is larger goes out row by row as PostgreSQL gives it. Then a
 * failure cuts the connection, so that a client never takes a part for the whole.
 *
 * An export holds its database connection until nginx has taken the last row, and nginx takes what
 * a slow client does not (fastcgi_max_temp_file_size). How many large ones a process sends at once
 * is limited, so that its other requests find a connection.
 *
 * Threads: one request, one thread.
 * Errors:  those of reading; 503 too_many_exports.
 */
#ifndef TN_DATA_EXPORT_H
#define TN_DATA_EXPORT_H

#include "data/request.h"

/* Rows of a relation or of a function that returns a set, asked for by GET as CSV or NDJSON. */
bool tn_data_is_export(const tn_data_request *r, const tn_data_plan *plan);

const tn_error *tn_data_export(tn_data_request *r, const tn_data_plan *plan) TN_MUST_CHECK;

#endif
