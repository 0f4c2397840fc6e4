/* auth/auth.h: the door of the auth area: accounts and sessions, in the dialect of Supabase Auth
 *
 * Threads: any.
 */
#ifndef TN_AUTH_AUTH_H
#define TN_AUTH_AUTH_H

#include "base/config.h"
#include "base/error.h"
#include "db/database.h"
#include "http/route.h"

extern const tn_area tn_auth_area; /* /auth/v1 */

/* Makes a person who is confirmed at once, as the operator, in a session of tenon_admin, and gives
 * them as the auth API shows them. `metadata` is a JSON object as text, or NULL. 400
 * `validation_failed` for an address that is none, 422 `weak_password`, 422 `email_exists`. */
const tn_error *tn_auth_create_user(tn_session *session, tn_arena *arena, const tn_config *config,
                                    const char *tenant_id, const char *email, const char *password,
                                    const char *metadata, const char **user) TN_MUST_CHECK;

/* Gives a person a new password and ends their sessions, in the same kind of session. 404
 * `user_not_found`, 422 `weak_password`. */
const tn_error *tn_auth_set_password(tn_session *session, tn_arena *arena, const tn_config *config,
                                     const char *tenant_id, const char *user_id,
                                     const char *password) TN_MUST_CHECK;

#endif
