/* data/header.h: header fields that SQL of the app gives to answers
 *
 * Names are tokens (RFC 9110 section 5.6.2), values have no control characters (section 5.5), both
 * are bounded, and those that would tell nginx or FastCGI something (X-Accel-Redirect, Status,
 * Content-Length …) are refused: a function of the app answers clients and commands no server.
 *
 * Threads: any.
 */
#ifndef TN_DATA_HEADER_H
#define TN_DATA_HEADER_H

#include "base/arena.h"
#include "base/json.h"
#include "http/response.h"

#define TN_SQL_HEADERS_MAX 32

/* {"X-A": "1", …} → name, value, …, NULL. An object without members gives none. */
bool tn_headers_of_object(tn_arena *arena, json_object *object,
                          const char *const **headers) TN_MUST_CHECK;

/* [{"X-A": "1"}, …], one member each; the text is that of the setting response.headers. */
bool tn_headers_of_list(tn_arena *arena, const char *text,
                        const char *const **headers) TN_MUST_CHECK;

/* Sets the field in the answer, in the place of any of that name. */
void tn_header_replace(tn_response *response, const char *name, const char *value);

/* Sets fields as the functions above give them: they take the place of all that the answer has of
 * their names. Two of one name are two (Set-Cookie); of Content-Type the last one counts. */
void tn_headers_replace(tn_response *response, const char *const *headers);

/* Text as part of an address in a header field: all but unreserved characters (RFC 3986 section
 * 2.3) percent-encoded. */
void tn_header_append_encoded(PQExpBuffer buffer, const char *text);

#endif
