/* base/buffer.h: libpq's string builder, the one way we build text
 *
 * This is the only file that includes PQExpBuffer's header: Debian keeps it under internal/, and it
 * wants pg_attribute_printf() defined first. A buffer that could not grow is "broken"
 * (PQExpBufferBroken()); tn_arena_buffer() callers hand the text on through tn_buffer_text(), which
 * ends the process then, as every failed allocation does.
 *
 * Threads: one at a time.
 */
#ifndef TN_BASE_BUFFER_H
#define TN_BASE_BUFFER_H

#include <stdarg.h> /* PostgreSQL 17's header uses va_list and bool without these */
#include <stdbool.h>
#include <stddef.h>

#ifndef pg_attribute_printf
#define pg_attribute_printf(text, first) __attribute__((format(gnu_printf, text, first)))
#endif
#include <postgresql/internal/pqexpbuffer.h>

#include "base/attributes.h"

/* The text built so far, NUL-terminated. Lives until the buffer changes. */
const char *tn_buffer_text(PQExpBuffer buffer) TN_NEVER_NULL;

/* Appends `text` as a JSON string with its quotes (RFC 8259 section 7); NULL becomes null.
 * Bytes that are not valid UTF-8 become U+FFFD, so the result is always valid JSON. */
void tn_buffer_json_string(PQExpBuffer buffer, const char *text);
void tn_buffer_json_bytes(PQExpBuffer buffer, const char *text, size_t length);

/* Appends `text` as a value in a query or a form: what is not unreserved (RFC 3986 section 2.3) is
 * escaped. */
void tn_buffer_url_value(PQExpBuffer buffer, const char *text);

/* Appends an SQL identifier: "name", with quotes in it doubled. */
void tn_buffer_identifier(PQExpBuffer buffer, const char *name);

/* Appends an array of texts as PostgreSQL writes them, every element in quotes, so that none is
 * taken for a null or loses its blanks. */
void tn_buffer_array(PQExpBuffer buffer, const char *const *values, size_t count);

#endif
