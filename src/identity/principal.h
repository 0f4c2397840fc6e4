/* identity/principal.h: who is calling
 *
 * Made from the `apikey` header or a key in Authorization (tenant and ceiling) and a user's JWT (the
 * person within it), never from anything else a client says.
 *
 *   nothing            role none, no tenant
 *   publishable key    anon of its tenant
 *   key + user token   authenticated; the token's tenant must be the key's
 *   user token alone   authenticated of the token's tenant claim, or of data.default_tenant
 *   secret key         service_role of its tenant; with a user token beside it, that person
 *   agent key          agent with its scopes, acting for its user
 *   platform key       tenon_platform, no tenant
 *   older API key      a JWT signed with auth.jwt_secret whose role is anon or service_role
 *
 * Threads: any. Errors: 401 `invalid_key` (unknown, revoked or expired key), `bad_jwt`,
 * `tenant_mismatch`, `tenant_required`; 403 `tenant_suspended`; 503 when the database is away.
 */
#ifndef TN_IDENTITY_PRINCIPAL_H
#define TN_IDENTITY_PRINCIPAL_H

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "base/uuid.h"
#include "http/request.h"
#include "identity/process.h"

typedef struct tn_principal {
    unsigned role;               /* one of TN_ROLE_… */
    const char *role_name;       /* database role: "authenticated" */
    tn_uuid tenant_id;           /* empty: none */
    tn_uuid user_id;             /* empty: none */
    tn_uuid session_id;          /* from the token; empty: none */
    tn_uuid key_id;              /* of the key that admitted the caller; empty: none */
    const char *claims;          /* request.jwt.claims: JSON text */
    const char *scopes;          /* JSON array text, "" when not scoped */
    const char *email;           /* from the token, or NULL */
    const char *aal;             /* "aal1", "aal2", or NULL */
    const tn_error *token_error; /* the bearer was there and bad: areas whose public routes ignore the
                                    bearer (auth) decide; the dispatcher refuses it elsewhere */
    bool has_bearer_user;        /* a valid user token was presented */
} tn_principal;

/* Identifies the caller. A bad *key* is an error here; a bad *user token* is left in token_error. */
const tn_error *tn_principal_identify(const tn_process *process, const tn_request *request,
                                      tn_arena *arena, tn_principal *who) TN_MUST_CHECK;

bool tn_principal_is_service(const tn_principal *who);

/* Has the principal this scope ("chat:write")? Everyone but an agent has all. */
bool tn_principal_has_scope(const tn_principal *who, const char *scope);

#endif
