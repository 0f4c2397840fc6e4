/* auth/flow.h: sign-ins that leave, into a mailbox or to another provider, and come back
 *
 * With a challenge (PKCE, RFC 7636) they come back with a code, which is worth a session only to
 * whoever knows the challenge's verifier; without one, with the session itself in the fragment of
 * the URL (the implicit flow). The state of a flow is a row of auth.flow_state:
 *
 *     auth.begin_flow(…)     makes it; its id is OAuth's `state`
 *     auth.return_to_flow(…) a provider sends somebody back: once
 *     auth.issue_code(…)     says who it was, and which code will fetch the session
 *     POST /token?grant_type=pkce redeems the code: once
 *
 * A code is a random UUID; the database has its SHA-256 alone.
 *
 * Threads: any.
 */
#ifndef TN_AUTH_FLOW_H
#define TN_AUTH_FLOW_H

#include "identity/ctx.h"

/* Both NULL: the implicit flow. `method` is in lower case. */
typedef struct tn_challenge {
    const char *challenge, *method;
} tn_challenge;

/* What a request says of it; NULL and "" are absent. 400 `validation_failed` for half of it,
 * another method than s256 and plain, a challenge that is not RFC 7636 section 4.2's. */
const tn_error *tn_flow_challenge(const tn_ctx *c, const char *challenge, const char *method,
                                  tn_challenge *out) TN_MUST_CHECK;

typedef struct tn_flow_code {
    const char *code, *hash;
} tn_flow_code;

tn_flow_code tn_flow_code_new(tn_arena *arena);
const char *tn_flow_code_hash(tn_arena *arena, const char *code) TN_NEVER_NULL;

/* A provider's token, or whatever else a flow keeps in a column of type bytea ("\x…"): sealed for
 * this tenant. Opening gives NULL for what is not ours; sealing NULL gives NULL. */
const char *tn_flow_seal(const tn_ctx *c, const tn_uuid *tenant, const char *text) TN_MUST_CHECK;
const char *tn_flow_open(const tn_ctx *c, const tn_uuid *tenant, const char *sealed) TN_MUST_CHECK;

/* Whose a flow is that comes back by its id (OAuth's state), and whose a link is, by the hash of
 * its token. When nobody's: the tenant of the query's `apikey`, else data.default_tenant, so that
 * there is always one to ask in; `tenant` is empty when there is not even that. */
const tn_error *tn_flow_tenant(tn_ctx *c, const char *state, tn_uuid *tenant) TN_MUST_CHECK;
const tn_error *tn_flow_link_tenant(tn_ctx *c, const char *hash, tn_uuid *tenant) TN_MUST_CHECK;

/* --- the way back of a browser ------------------------------------------------------------------
 *
 * `to` has passed tn_auth_redirect(). Status is 303 for links in mails and 302 for providers. */

/* What a browser brings home: members of the fragment beside those of the session. NULL: none. */
typedef struct tn_flow_extras {
    const char *type; /* of a link: "signup" */
    const char *provider_token, *provider_refresh_token;
} tn_flow_extras;

/* The session in the fragment. */
const tn_error *tn_flow_land_session(tn_ctx *c, int status, const char *to, const char *claims,
                                     const char *refresh_token,
                                     const tn_flow_extras *extras) TN_MUST_CHECK;

/* ?code=… */
const tn_error *tn_flow_land_code(tn_ctx *c, int status, const char *to,
                                  const char *code) TN_MUST_CHECK;

/* An error in the fragment, and with `in_query` in the query as well. Its `reason` is OAuth's word
 * for it; NULL: by its status. */
const tn_error *tn_flow_land_error(tn_ctx *c, int status, const char *to, const tn_error *error,
                                   bool in_query);

/* #message=…, and with `in_query` also ?message=… */
const tn_error *tn_flow_land_message(tn_ctx *c, int status, const char *to, const char *message,
                                     bool in_query);

#endif
