/* data/error.h: errors of the data API, in PostgREST's form and with PostgREST's statuses
 *
 *     {"code": "23505", "details": "Key (id)=(1) already exists.", "hint": null, "message": "…"}
 *
 * always these four members; the request's id is in the header X-Request-Id.
 *
 * Threads: any.
 */
#ifndef TN_DATA_ERROR_H
#define TN_DATA_ERROR_H

#include "db/error.h"
#include "http/route.h"

/* For tn_db_work.translate: PostgreSQL's own code, message, details and hint. Of what is wrong with
 * the server itself only the code is told, the words go to the log. */
const tn_error *tn_data_translate(tn_arena *arena,
                                  const tn_db_problem *problem) TN_NEVER_NULL TN_MUST_CHECK;

/* The same for a server with tenants: without details that could be of somebody else's row. */
const tn_error *tn_data_translate_guarded(tn_arena *arena,
                                          const tn_db_problem *problem) TN_NEVER_NULL TN_MUST_CHECK;

/* An error for who has shown nothing or too little, 401 with its WWW-Authenticate (RFC 6750 section
 * 3); `problem` is its error_description, or NULL when no credentials were there at all. */
const tn_error *tn_data_unauthorized(tn_arena *arena, const tn_error *error,
                                     const char *problem) TN_NEVER_NULL TN_MUST_CHECK;

/* What the router, the dispatcher and the pool say, in the words of this dialect. */
tn_error tn_data_error_told(tn_arena *arena, const tn_request *request,
                            const tn_error *error) TN_MUST_CHECK;
/* The form. Of the members of the error that counts which begins with "details":, in its place. */
void tn_data_error_append(PQExpBuffer json, const tn_error *error);

void tn_data_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                          tn_response *response);

#endif
