/* data/csv.h: CSV (RFC 4180) and forms as JSON arrays and objects of texts
 *
 * Threads: any.
 * Errors:  400 PGRST102.
 */
#ifndef TN_DATA_CSV_H
#define TN_DATA_CSV_H

#include "data/body.h"

/* A line of names and lines of values. NULL, quoted or not, is null; a field beyond the names is
 * dropped; all lines have as many fields as the first. Empty lines are none, a line may end with
 * LF, CR LF or CR, and a byte order mark is skipped. */
const tn_error *tn_csv_read(tn_arena *arena, const char *text, size_t length,
                            tn_payload *payload) TN_MUST_CHECK;

/* name=value&… as one object; of a repeated name the last value counts. */
const tn_error *tn_form_read(tn_arena *arena, const char *text, size_t length,
                             tn_payload *payload) TN_MUST_CHECK;

#endif
