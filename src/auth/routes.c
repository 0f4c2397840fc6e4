/* auth/routes.c: what /auth/v1 answers, and what it keeps in a process */
#include <stdlib.h>
#include <string.h>

#include "auth/agent.h"
#include "auth/area.h"
#include "auth/auth.h"
#include "auth/factor.h"
#include "auth/team.h"
#include "auth/totp.h"
#include "auth/users.h"
#include "auth/visitor.h"
#include "base/crypto.h"
#include "identity/token.h"

#define BODY_MAX 1048576

/* Everybody may call everything; whoever must be a person is told so by the handler, in the
 * dialect's own words (tn_auth_require_person()). */
static const tn_route routes[] = {
    {"POST", "/auth/v1/signup", tn_auth_sign_up, .limit = TN_LIMIT_SIGNUP, .roles = TN_ANYBODY,
     .body_max = BODY_MAX,
     .summary = "Create an account with an e-mail address, or an anonymous one"},
    {"POST", "/auth/v1/otp", tn_auth_otp, .limit = TN_LIMIT_OTP, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Send a code and a link to sign in or up by"},
    {"POST", "/auth/v1/magiclink", tn_auth_magiclink, .limit = TN_LIMIT_MAGICLINK,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "The same by e-mail alone, as older clients ask for it"},
    {"POST", "/auth/v1/recover", tn_auth_recover, .limit = TN_LIMIT_RECOVER, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Send a link to somebody who has forgotten their password"},
    {"POST", "/auth/v1/resend", tn_auth_resend, .limit = TN_LIMIT_RESEND, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Send a confirmation once more"},
    {"POST", "/auth/v1/verify", tn_auth_verify, .limit = TN_LIMIT_VERIFY, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Redeem a code, or what a link carries, for a session"},
    {"GET", "/auth/v1/verify", tn_auth_verify_link, .limit = TN_LIMIT_VERIFY, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "The link of a mail: redeem it and go to where it leads"},
    {"POST", "/auth/v1/token", tn_auth_token, .limit = TN_LIMIT_TOKEN, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Open a session by password, or refresh one"},
    {"POST", "/auth/v1/logout", tn_auth_logout, .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "End this session, all of them, or all others"},
    {"GET", "/auth/v1/user", tn_auth_user_get, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "The person whose token this is"},
    {"GET", "/auth/v1/admin/users", tn_admin_users_list, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "The people of the tenant, in pages; for secret keys, as is all of /admin"},
    {"POST", "/auth/v1/admin/users", tn_admin_users_create, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Create a person"},
    {"GET", "/auth/v1/admin/users/{id}", tn_admin_users_get, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "A person"},
    {"PUT", "/auth/v1/admin/users/{id}", tn_admin_users_update, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Change or ban a person"},
    {"DELETE", "/auth/v1/admin/users/{id}", tn_admin_users_delete, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Delete a person, or only their name"},
    {"GET", "/auth/v1/admin/users/{id}/factors", tn_admin_factors_list, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "A person's second factors"},
    {"PUT", "/auth/v1/admin/users/{id}/factors/{factor_id}", tn_admin_factors_update,
     .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Rename a second factor, or change its number"},
    {"DELETE", "/auth/v1/admin/users/{id}/factors/{factor_id}", tn_admin_factors_delete,
     .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Delete a second factor"},
    {"PUT", "/auth/v1/user", tn_auth_user_update, .limit = TN_LIMIT_USER_UPDATE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Change one's metadata, password, address or number"},
    {"DELETE", "/auth/v1/user", tn_auth_user_delete, .limit = TN_LIMIT_USER_UPDATE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Delete one's account, with all that belongs to it"},
    {"GET", "/auth/v1/user/export", tn_auth_user_export, .limit = TN_LIMIT_USER_UPDATE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .waits = true,
     .summary = "Everything that belongs to one's account, as JSON"},
    {"GET", "/auth/v1/user/audit", tn_auth_user_audit, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "What happened to one's account, in pages"},
    {"GET", "/auth/v1/reauthenticate", tn_auth_reauthenticate, .limit = TN_LIMIT_OTP,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Have a code sent that a change of password asks for"},
    {"GET", "/auth/v1/sessions", tn_auth_sessions_list, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Where one is signed in"},
    {"DELETE", "/auth/v1/sessions/{id}", tn_auth_sessions_delete, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "End one of one's sessions"},
    {"GET", "/auth/v1/admin/users/{id}/sessions", tn_admin_sessions_list, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Where a person is signed in"},
    {"DELETE", "/auth/v1/admin/users/{id}/sessions/{session_id}", tn_admin_sessions_delete,
     .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "End a session of a person"},
    {"GET", "/auth/v1/admin/audit", tn_admin_audit, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "The audit log, in pages"},
    {"POST", "/auth/v1/admin/generate_link", tn_admin_generate_link, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "A link as it would be mailed, and its code"},
    {"POST", "/auth/v1/invite", tn_admin_invite, .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Invite somebody by mail"},
    {"GET", "/auth/v1/health", tn_auth_health, .limit = TN_LIMIT_NONE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Whether this server runs, and its version"},
    {"GET", "/auth/v1/settings", tn_auth_settings, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Which ways to sign in are on"},
    {"GET", "/auth/v1/.well-known/jwks.json", tn_auth_jwks, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "The public keys that verify access tokens"},
    {"POST", "/auth/v1/factors", tn_factor_enroll, .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Begin to enroll a second factor"},
    {"DELETE", "/auth/v1/factors/{id}", tn_factor_unenroll, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Take a second factor away"},
    {"POST", "/auth/v1/factors/{id}/challenge", tn_factor_challenge, .limit = TN_LIMIT_FACTOR,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Ask a second factor for an answer"},
    {"POST", "/auth/v1/factors/{id}/verify", tn_factor_verify, .limit = TN_LIMIT_FACTOR,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Answer with a second factor, for a session of two factors"},
    {"GET", "/auth/v1/factors/recovery-codes", tn_recovery_codes_get, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "How many recovery codes are left"},
    {"POST", "/auth/v1/factors/recovery-codes", tn_recovery_codes_generate, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Make recovery codes, shown this once"},
    {"POST", "/auth/v1/factors/recovery-codes/regenerate", tn_recovery_codes_regenerate,
     .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Make recovery codes in place of those there are"},
    {"POST", "/auth/v1/factors/recovery-codes/verify", tn_recovery_code_verify,
     .limit = TN_LIMIT_FACTOR, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Use a recovery code in place of a second factor"},
    {"DELETE", "/auth/v1/factors/recovery-codes", tn_recovery_codes_drop, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Take the recovery codes away"},
    {"POST", "/auth/v1/passkeys/registration/options", tn_passkey_registration_options,
     .limit = TN_LIMIT_FACTOR, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "What the browser needs to make a passkey"},
    {"POST", "/auth/v1/passkeys/registration/verify", tn_passkey_registration_verify,
     .limit = TN_LIMIT_FACTOR, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Keep the passkey that the browser has made"},
    {"POST", "/auth/v1/passkeys/authentication/options", tn_passkey_authentication_options,
     .limit = TN_LIMIT_FACTOR, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "What the browser needs to sign in with a passkey"},
    {"POST", "/auth/v1/passkeys/authentication/verify", tn_passkey_authentication_verify,
     .limit = TN_LIMIT_FACTOR, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Open a session with a passkey"},
    {"GET", "/auth/v1/passkeys", tn_passkey_list, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "The passkeys of the person who asks"},
    {"PATCH", "/auth/v1/passkeys/{id}", tn_passkey_rename, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Rename a passkey"},
    {"DELETE", "/auth/v1/passkeys/{id}", tn_passkey_drop, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Take a passkey away"},
    {"GET", "/auth/v1/admin/users/{id}/passkeys", tn_admin_passkeys_list, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "A person's passkeys"},
    {"DELETE", "/auth/v1/admin/users/{id}/passkeys/{passkey_id}", tn_admin_passkeys_delete,
     .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Delete a person's passkey"},
    {"GET", "/auth/v1/teams", tn_team_list, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX,
     .summary = "The teams of the person who asks; of the tenant, with a secret key"},
    {"POST", "/auth/v1/teams", tn_team_create, .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Create a team"},
    {"GET", "/auth/v1/teams/roles", tn_team_role_list, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "What people can be in a team"},
    {"PUT", "/auth/v1/teams/roles/{name}", tn_team_role_define, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Define a role for teams, or give it another rank"},
    {"DELETE", "/auth/v1/teams/roles/{name}", tn_team_role_delete, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Remove a role for teams"},
    {"POST", "/auth/v1/teams/invitations/accept", tn_team_invitation_accept,
     .limit = TN_LIMIT_VERIFY, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Join a team with the token of an invitation"},
    {"POST", "/auth/v1/teams/invitations/decline", tn_team_invitation_decline,
     .limit = TN_LIMIT_VERIFY, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Decline an invitation with its token"},
    {"GET", "/auth/v1/teams/{id}", tn_team_read, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "One team"},
    {"PATCH", "/auth/v1/teams/{id}", tn_team_update, .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Change the name, slug or metadata of a team"},
    {"DELETE", "/auth/v1/teams/{id}", tn_team_delete, .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Delete a team and what belongs to it"},
    {"POST", "/auth/v1/teams/{id}/leave", tn_team_leave, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Leave a team"},
    {"GET", "/auth/v1/teams/{id}/members", tn_team_member_list, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Who is in a team"},
    {"POST", "/auth/v1/teams/{id}/members", tn_team_member_add, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Put somebody into a team, with a secret key"},
    {"PATCH", "/auth/v1/teams/{id}/members/{user_id}", tn_team_member_update,
     .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Give a member another role"},
    {"DELETE", "/auth/v1/teams/{id}/members/{user_id}", tn_team_member_delete,
     .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Remove a member"},
    {"GET", "/auth/v1/teams/{id}/invitations", tn_team_invitation_list, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Invitations that are open"},
    {"POST", "/auth/v1/teams/{id}/invitations", tn_team_invitation_create, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Invite an address into a team, by mail"},
    {"DELETE", "/auth/v1/teams/{id}/invitations/{invitation_id}", tn_team_invitation_revoke,
     .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Revoke an invitation"},
    {"POST", "/auth/v1/teams/{id}/invitations/{invitation_id}/resend", tn_team_invitation_resend,
     .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Send an invitation again, with a new link"},
    {"POST", "/auth/v1/agents", tn_agent_create, .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Create an agent that acts for oneself"},
    {"GET", "/auth/v1/agents", tn_agent_list, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX,
     .summary = "The agents of the person who asks; of the tenant, with a secret key"},
    {"GET", "/auth/v1/agents/{id}", tn_agent_show, .limit = TN_LIMIT_READ, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "One agent, with its keys and what it has spent"},
    {"PATCH", "/auth/v1/agents/{id}", tn_agent_update, .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .summary = "Change the name, scopes, end, rate or budget of an agent"},
    {"DELETE", "/auth/v1/agents/{id}", tn_agent_revoke, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Revoke an agent and all its keys"},
    {"GET", "/auth/v1/agents/{id}/activity", tn_agent_activity, .limit = TN_LIMIT_READ,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "What an agent did"},
    {"POST", "/auth/v1/agents/{id}/keys", tn_agent_key_create, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Make a key for an agent, which is shown this once"},
    {"DELETE", "/auth/v1/agents/{id}/keys/{key_id}", tn_agent_key_revoke, .limit = TN_LIMIT_WRITE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .summary = "Revoke a key of an agent"},
    {"GET", "/auth/v1/authorize", tn_auth_authorize, .limit = TN_LIMIT_AUTHORIZE,
     .roles = TN_ANYBODY, .body_max = BODY_MAX, .waits = true,
     .summary = "Go to a provider to sign in there"},
    {"GET", "/auth/v1/callback", tn_auth_callback, .limit = TN_LIMIT_AUTHORIZE, .roles = TN_ANYBODY,
     .body_max = BODY_MAX, .waits = true, .summary = "Come back from a provider"},
    {"POST", "/auth/v1/callback", tn_auth_callback, .limit = TN_LIMIT_AUTHORIZE,
     .roles = TN_ANYBODY, .body_max = 65536, .waits = true,
     .summary = "Come back from a provider that answers with a form"},
    {"GET", "/auth/v1/user/identities/authorize", tn_auth_identity_authorize,
     .limit = TN_LIMIT_AUTHORIZE, .roles = TN_ANYBODY, .body_max = BODY_MAX, .waits = true,
     .summary = "Go to a provider to add an account there to one's own"},
    {"DELETE", "/auth/v1/user/identities/{identity_id}", tn_auth_identity_delete,
     .limit = TN_LIMIT_WRITE, .roles = TN_ANYBODY, .body_max = BODY_MAX,
     .summary = "Take away a way to sign in"},
    {.method = NULL},
};

static void *
start(const tn_process *process)
{
    const char *secret = process->config->server.secret;
    tn_auth *auth = calloc(1, sizeof(*auth));

    if (auth == NULL)
        tn_die("out of memory");
    tn_derive_server_key(secret, "tenon refresh tokens", auth->refresh_key);
    tn_derive_server_key(secret, "tenon confirmations", auth->confirmation_key);
    tn_derive_server_key(secret, "tenon second factors", auth->factor_key);
    tn_derive_server_key(secret, "tenon recovery codes", auth->recovery_key);
    tn_totp_start();
    auth->arena = tn_arena_new();
    auth->issuer = tn_tokens_issuer(process->config, auth->arena);
    auth->oauth = tn_oauth_new(process->config, strcmp(process->pool, "stream") == 0
                                                    ? process->config->stream.threads
                                                    : process->config->api.threads);
    return auth;
}

static void
stop(void *state)
{
    tn_auth *auth = state;

    tn_oauth_free(auth->oauth);
    tn_arena_free(auth->arena);
    free(auth);
}

const tn_area tn_auth_area = {
    .name = "auth",
    .prefix = "/auth/v1",
    .routes = routes,
    .any_person = true,
    .cache_control = "no-store", /* accounts and tokens (RFC 6749 section 5.1) */
    .render_error = tn_auth_render_error,
    .start = start,
    .stop = stop,
};
