/* auth/agent.h: agents of people and of tenants, their keys, and tokens that are exchanged for them
 *
 * docs/agents.md. What an agent may do is decided in SQL (0013_agents.sql); here requests become
 * calls of its functions, and their outcomes answers.
 *
 * Threads: any; no state.
 */
#ifndef TN_AUTH_AGENT_H
#define TN_AUTH_AGENT_H

#include "auth/area.h"

/* Who manages agents: a person their own, the tenant's secret key all of its. */
typedef struct tn_agent_caller {
    tn_uuid tenant_id;
    const char *user_id, *session_id; /* parameters of SQL; NULL: the secret key */
    const char *extra;                /* members for the end of the answer, or NULL */
} tn_agent_caller;

/* 401, 403 for whoever is neither. Whether person and session still live is SQL's to say. */
const tn_error *tn_agent_caller_read(tn_ctx *c, tn_agent_caller *caller) TN_MUST_CHECK;

/* Runs one of the functions that give `outcome, result` and answers with the result, or with the
 * error that the outcome names. */
const tn_error *tn_agent_answer(tn_ctx *c, const tn_agent_caller *caller, int status,
                                const tn_statement *statement, const char *const *parameters,
                                size_t count) TN_MUST_CHECK;

/* agent.c */
const tn_error *tn_agent_create(tn_ctx *c);
const tn_error *tn_agent_list(tn_ctx *c);
const tn_error *tn_agent_show(tn_ctx *c);
const tn_error *tn_agent_update(tn_ctx *c);
const tn_error *tn_agent_revoke(tn_ctx *c);
const tn_error *tn_agent_activity(tn_ctx *c);

/* agent_key.c */
const tn_error *tn_agent_key_create(tn_ctx *c);
const tn_error *tn_agent_key_revoke(tn_ctx *c);

/* exchange.c: the grant of RFC 8693. Its errors have the form of RFC 6749 section 5.2. */
#define TN_GRANT_EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
const tn_error *tn_auth_exchange(tn_ctx *c, json_object *body);

#endif
