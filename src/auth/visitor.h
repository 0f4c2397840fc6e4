/* auth/visitor.h: people who come from a provider: by a browser's way there and back, or with an id
 * token that an app brings
 *
 *     GET /authorize            a flow begins, and the browser goes to the provider (authorize.c)
 *     GET or POST /callback     it comes back with a code (callback.c)
 *     grant_type=id_token       an app has an id token already (id_token_grant.c)
 *     /user/identities/…        somebody who is signed in adds or removes one (identity.c)
 *
 * All of them end in auth.sign_in_visitor() (0010_oauth.sql), which decides whose account it is.
 * The provider is asked before that, with no database connection held.
 *
 * Threads: any.
 */
#ifndef TN_AUTH_VISITOR_H
#define TN_AUTH_VISITOR_H

#include "auth/area.h"
#include "oauth/provider.h"

typedef struct tn_visit {
    tn_uuid tenant;
    const tn_oauth_provider *provider;
    const tn_oauth_profile *profile;
    const char *flow;   /* NULL: an app brought an id token */
    const char *target; /* who links, with an id token; NULL: nobody, or as the flow says */
    const char *code_hash, *access, *refresh; /* for the flow; tokens are sealed */
} tn_visit;

enum { TN_VISIT_OUTCOME, TN_VISIT_USER, TN_VISIT_CLAIMS };

/* Asks the before_user_created hook about new people, and then the database. Row 0 has outcome
 * (`session` or `code`), user and claims; every other outcome is an error. */
const tn_error *tn_visit_end(tn_ctx *c, const tn_visit *visit, const tn_auth_opening *opening,
                             const tn_rows **rows) TN_MUST_CHECK;

/* 404 `manual_linking_disabled` while auth.manual_linking is off. */
const tn_error *tn_visit_may_link(const tn_ctx *c) TN_MUST_CHECK;

/* Where providers send people back to. */
const char *tn_visit_callback_url(const tn_ctx *c) TN_NEVER_NULL;

/* Begins a flow out of the query, and gives where the browser goes. `target` is who links, or NULL.
 */
const tn_error *tn_visit_depart(tn_ctx *c, const tn_uuid *tenant, const char *target,
                                const char **url) TN_MUST_CHECK;

/* POST /token?grant_type=id_token */
const tn_error *tn_auth_grant_by_id_token(tn_ctx *c, json_object *body);

const tn_error *tn_auth_authorize(tn_ctx *c);
const tn_error *tn_auth_callback(tn_ctx *c);
const tn_error *tn_auth_identity_authorize(tn_ctx *c);
const tn_error *tn_auth_identity_delete(tn_ctx *c);

#endif
