/* auth/form.h: bodies as forms (application/x-www-form-urlencoded), which OAuth's token endpoint
 * takes
 *
 * Threads: any; no state.
 */
#ifndef TN_AUTH_FORM_H
#define TN_AUTH_FORM_H

#include "identity/ctx.h"

/* Does the request say that its body is a form? */
bool tn_auth_form_is(const tn_request *request);

/* The form as a JSON object of texts, as if it had been sent as JSON. A name that is there more
 * than once becomes a list, which most fields refuse (RFC 6749 section 3.2). 400
 * `validation_failed` for a form that is malformed or has more than 64 members. */
const tn_error *tn_auth_form_read(tn_ctx *c, json_object **object) TN_MUST_CHECK;

#endif
