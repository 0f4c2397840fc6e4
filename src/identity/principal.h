/* identity/principal.h: who is calling
 *
 * Made from the `apikey` header or a key in Authorization (tenant and ceiling) and a user's JWT
 * (the person within it), never from anything else a client says.
 *
 *   nothing            role none, no tenant
 *   publishable key    anon of its tenant
 *   key + user token   authenticated; the token's tenant must be the key's
 *   user token alone   authenticated of the token's tenant claim, or of data.default_tenant
 *   secret key         service_role of its tenant; with a user token beside it, that person
 *   agent key          agent with its scopes, acting for its user; a token beside it is ignored
 *   exchanged token    agent with the token's scopes, acting for its person (RFC 8693); signed by
 * us platform key       tenon_platform, no tenant older API key      a JWT signed with
 * auth.jwt_secret whose role is anon or service_role
 *
 * In areas with any_role (the data API) a token may also have a role of the app's own; whether it
 * can be taken is PostgreSQL's to say. In those with any_person (accounts) it is a person's.
 *
 * A key in Authorization equals one in `apikey`; where both are given and differ, the one in
 * Authorization decides within the tenant of the other, as clients of Supabase expect.
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
#include "http/route.h"
#include "identity/process.h"
#include "identity/token.h"

typedef struct tn_principal {
    unsigned role;               /* one of TN_ROLE_… */
    const char *role_name;       /* database role: "authenticated"; "none" */
    tn_uuid tenant_id;           /* empty: none */
    tn_uuid user_id;             /* empty: none */
    tn_uuid session_id;          /* from the token; empty: none */
    tn_uuid key_id;              /* of the key that admitted the caller; empty: none */
    const char *claims;          /* request.jwt.claims: JSON text */
    const char *scopes;          /* JSON array text, "" when not scoped */
    tn_uuid agent_id;            /* of the agent that is asking; empty: none */
    int64_t rate_per_minute;     /* of that agent; 0: any */
    const char *email;           /* from the token, or NULL */
    const char *aal;             /* "aal1", "aal2", or NULL */
    const tn_error *token_error; /* the bearer was there and bad: areas whose public routes ignore
                                    the bearer (auth) decide; the dispatcher refuses it elsewhere */
    tn_token_fault token_fault;  /* of token_error */
    bool has_bearer_user;        /* a valid user token was presented */
    bool subject_malformed;      /* its `sub` is no UUID */
    bool audience_foreign;       /* its `aud` is not auth.audience */
    const void *proof; /* of an area's own identify(), for its handlers: storage/s3.h; or NULL */
} tn_principal;

/* Identifies the caller, by the area's rules for tokens. A bad *key* is an error here; a bad *user
 * token* is left in token_error. */
const tn_error *tn_principal_identify(const tn_process *process, const tn_area *area,
                                      const tn_request *request, tn_arena *arena,
                                      tn_principal *who) TN_MUST_CHECK;

/* The credential of `Authorization: Bearer …` (RFC 6750 section 2.1), or NULL when there is none.
 */
const char *tn_principal_bearer(const tn_request *request, tn_arena *arena);

/* The id of data.default_tenant; empty when the setting is. 500 when it names no tenant. */
const tn_error *tn_principal_default_tenant(const tn_process *process, tn_arena *arena,
                                            tn_uuid *tenant) TN_MUST_CHECK;

bool tn_principal_is_service(const tn_principal *who);

/* The session of a person's token as a parameter of SQL; NULL when it names none. */
const char *tn_principal_session(const tn_principal *who);

/* Has the principal this scope ("chat:write")? Everyone but an agent has all. A scope of the key
 * that ends in ":*" covers every scope that begins with what is before the star. */
bool tn_principal_has_scope(const tn_principal *who, const char *scope);

#endif
