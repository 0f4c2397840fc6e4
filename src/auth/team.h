/* auth/team.h: what the files about teams share: who asks, and what came of it
 *
 * People ask with their token, and the tenant's secret key may do everything in its tenant. What
 * somebody may do in a team is the database's to say (sql/migrations/0012_teams.sql): each of its
 * functions takes the caller and gives `outcome`, `ok` or an error code, and `answer`.
 *
 * Threads: any.
 */
#ifndef TN_AUTH_TEAM_H
#define TN_AUTH_TEAM_H

#include "identity/ctx.h"

/* Parameters of SQL, as texts. */
typedef struct tn_team_caller {
    tn_uuid tenant;
    const char *person, *session; /* NULL: the secret key */
    const char *address;
} tn_team_caller;

/* 401 and 403 as everywhere under /auth/v1; agents are refused: they work with a team's rows and
 * not on the team. */
const tn_error *tn_team_caller_read(tn_ctx *c, tn_team_caller *caller) TN_MUST_CHECK;

/* The first three parameters of a query: row($1, $2, $3)::auth.team_caller. */
#define TN_TEAM_CALLER(caller) (caller).person, (caller).session, (caller).address

/* Runs a function of 0012 and gives its answer, a JSON text; an outcome that is not `ok` is the
 * error. */
const tn_error *tn_team_query(tn_ctx *c, const tn_team_caller *caller, tn_access access,
                              const tn_statement *statement, const char *const *parameters,
                              size_t count, const char **answer) TN_MUST_CHECK;

/* The same, and responds with the answer. */
const tn_error *tn_team_respond(tn_ctx *c, const tn_team_caller *caller, tn_access access,
                                const tn_statement *statement, const char *const *parameters,
                                size_t count) TN_MUST_CHECK;

/* A {name} of the path; what is no UUID is not found, with this code and message. */
const tn_error *tn_team_path(tn_ctx *c, tn_uuid *team) TN_MUST_CHECK;
const tn_error *tn_team_path_member(tn_ctx *c, tn_uuid *person) TN_MUST_CHECK;
const tn_error *tn_team_path_invitation(tn_ctx *c, tn_uuid *invitation) TN_MUST_CHECK;

/* --- handlers --------------------------------------------------------------------------------- */

const tn_error *tn_team_list(tn_ctx *c);
const tn_error *tn_team_create(tn_ctx *c);
const tn_error *tn_team_read(tn_ctx *c);
const tn_error *tn_team_update(tn_ctx *c);
const tn_error *tn_team_delete(tn_ctx *c);

const tn_error *tn_team_role_list(tn_ctx *c);
const tn_error *tn_team_role_define(tn_ctx *c);
const tn_error *tn_team_role_delete(tn_ctx *c);

const tn_error *tn_team_member_list(tn_ctx *c);
const tn_error *tn_team_member_add(tn_ctx *c);
const tn_error *tn_team_member_update(tn_ctx *c);
const tn_error *tn_team_member_delete(tn_ctx *c);
const tn_error *tn_team_leave(tn_ctx *c);

const tn_error *tn_team_invitation_list(tn_ctx *c);
const tn_error *tn_team_invitation_create(tn_ctx *c);
const tn_error *tn_team_invitation_resend(tn_ctx *c);
const tn_error *tn_team_invitation_revoke(tn_ctx *c);
const tn_error *tn_team_invitation_accept(tn_ctx *c);
const tn_error *tn_team_invitation_decline(tn_ctx *c);

#endif
