-- What the auth area asks, as tenon_worker in one tenant. What takes more than a statement is a function of 0002_auth.sql.

-- name: auth_user_get   $1 user, $2 session or null; the hot one: one plan, everything inlined
select auth.user_object(u, i.list, f.list), u.banned_until > now(), $2::uuid is null or s.id is not null
  from auth.users as u
  left join auth.sessions as s
    on s.tenant_id = u.tenant_id and s.id = $2::uuid and s.user_id = u.id and coalesce(s.not_after > now(), true)
  left join lateral (select jsonb_agg(auth.identity_object(k) order by k.created_at, k.id) as list
                       from auth.identities as k where k.tenant_id = u.tenant_id and k.user_id = u.id) as i on true
  left join lateral (select jsonb_agg(auth.factor_object(k) order by k.created_at, k.id) as list
                       from auth.mfa_factors as k where k.tenant_id = u.tenant_id and k.user_id = u.id) as f on true
 where u.id = $1::uuid;

-- name: auth_password_find   $1 address, $2 by phone
select u.id, u.encrypted_password
  from auth.users as u
 where u.email = $1 and not $2::boolean and not u.is_sso_user and u.deleted_at is null
 union all
select u.id, u.encrypted_password
  from auth.users as u
 where u.phone = $1 and $2::boolean and u.phone <> '' and u.deleted_at is null;

-- name: auth_sign_in   $1 user, $2 the hash that was checked, $3 a better one or null, $4 by phone, $5 session, $6 hash of its refresh token, $7 user agent, $8 address, $9 lifetime
select r.outcome, r.user_object, r.claims
  from auth.sign_in($1, $2, $3, $4, row($5, $6, $7, $8, $9)::auth.new_session) as r;

-- name: auth_refresh   $1 session, $2 counter, $3 hash of the token, $4 hash of the next, $5 reuse interval, $6 inactivity, $7 single session, $8 user agent, $9 address
select r.outcome, r.user_object, r.claims, r.counter
  from auth.refresh_session($1, $2, $3, $4, row($5, $6, $7)::auth.refresh_rules, $8, $9) as r;

-- What follows takes a message as $1 … $9: channel, address, hash, letter, lifetime, interval, challenge, its method, where to.

-- name: auth_sign_up   $10 hash of the password, $11 metadata, $12 confirmed at once, $13 session, $14 hash of its refresh token, $15 user agent, $16 address, $17 lifetime
select r.outcome, r.failure, null, r.user_object, r.claims
  from auth.sign_up(row($1, $2, $3, $4, $5, $6, $7, $8, $9)::auth.message, $10, $11, $12, row($13, $14, $15, $16, $17)::auth.new_session) as r;

-- name: auth_ask_code   $10 metadata, $11 makes people, $12 who are let in, $13 confirmed at once, $14 address
select r.outcome, r.failure, r.message
  from auth.ask_code(row($1, $2, $3, $4, $5, $6, $7, $8, $9)::auth.message, $10, $11, $12, $13, $14) as r;

-- name: auth_ask_recovery   $10 address
select r.outcome, r.failure, r.message from auth.ask_recovery(row($1, $2, $3, $4, $5, $6, $7, $8, $9)::auth.message, $10) as r;

-- name: auth_ask_again   $10 address
select r.outcome, r.failure, r.message from auth.ask_again(row($1, $2, $3, $4, $5, $6, $7, $8, $9)::auth.message, $10) as r;

-- name: auth_change_find   $1 e-mail address or phone number now; what it shall become
select u.id, nullif(u.email_change, ''), nullif(u.phone_change, '')
  from auth.users as u
 where (u.email = $1 and not u.is_sso_user or u.phone = $1 and u.phone <> '') and u.deleted_at is null;

-- name: auth_change_again   $1 … $9 the message to the new address, $10 person or null, $11 the old one as well, $12 its hash, $13 its letter, $14 address
select r.outcome, r.failure, r.message
  from auth.ask_change_again(row($1, $2, $3, $4, $5, $6, $7, $8, $9)::auth.message, $10, $11, $12, $13, $14) as r;

-- name: auth_redeem_token   $1 type, $2 hash, $3 address or null, $4 session, $5 hash of its refresh token, $6 user agent, $7 address, $8 lifetime, $9 hash of a code or null, $10 a code is wanted, $11 both addresses confirm a change, $12 notice to the old one
select r.outcome, r.user_object, r.claims, r.has_flow
  from auth.redeem_token($1, $2, $3, row($4, $5, $6, $7, $8)::auth.new_session, $9, $10, $11, $12) as r;

-- name: auth_redeem_code   $1 hash, $2 verifier, $3 its SHA-256, $4 how long it is good, $5 session, $6 hash of its refresh token, $7 user agent, $8 address, $9 lifetime
select r.outcome, r.user_object, r.claims, r.access, r.refresh
  from auth.redeem_code($1, $2, $3, $4, row($5, $6, $7, $8, $9)::auth.new_session) as r;

-- name: auth_tenant_of_token   $1 hash; as tenon_authenticator, like the next
select tenon.tenant_of_token($1);

-- name: auth_tenant_of_flow   $1 id
select tenon.tenant_of_flow($1::uuid);

-- name: auth_logout   $1 user, $2 session or null, $3 scope, $4 address; the columns of auth_user_get without the first
with person as (
    select u.tenant_id, u.id, u.banned_until > now() as is_banned,
           $2::uuid is null or exists (select from auth.sessions as s
                                        where s.tenant_id = u.tenant_id and s.id = $2::uuid and s.user_id = u.id) as is_live
      from auth.users as u where u.id = $1::uuid),
gone as (
    delete from auth.sessions as s using person as p
     where s.tenant_id = p.tenant_id and s.user_id = p.id and p.is_live
       and case $3 when 'global' then true when 'local' then s.id = $2::uuid else s.id is distinct from $2::uuid end)
select case when p.is_live then auth.audit('logout', p.id, null, $4::inet) end, p.is_banned, p.is_live from person as p;

-- name: auth_sessions_end   $1 user
delete from auth.sessions as s where s.user_id = $1::uuid;

-- name: auth_user_create   $1 tenant, $2 address, $3 hash, $4 metadata; the operator's, as tenon_owner
select auth.create_user($1::uuid, $2, $3, $4::jsonb);

-- name: auth_password_set   $1 tenant, $2 user, $3 hash; the operator's
with person as (
    update auth.users as u set encrypted_password = $3, updated_at = now()
     where u.tenant_id = $1::uuid and u.id = $2::uuid and u.deleted_at is null
    returning u.tenant_id, u.id),
gone as (
    delete from auth.sessions as s using person as p where s.tenant_id = p.tenant_id and s.user_id = p.id)
select p.id from person as p;

-- Second factors and passkeys (0011_factors.sql). $1 is the person and $2 the session; the first columns are the outcome and, where
-- there can be any, the seconds to wait.

-- name: auth_factor_enroll   $3 factor, $4 type, $5 name, $6 sealed secret, $7 phone number, $8 how many at most, $9 address
select r.outcome, null, r.account from auth.enroll_factor($1, $2, $3, $4, $5, $6, $7, $8, $9) as r;

-- name: auth_factor_find   $3 factor
select r.outcome, null, r.kind, r.status, r.number, r.account, r.label, r.credentials from auth.find_factor($1, $2, $3) as r;

-- name: auth_factor_challenge   $3 factor, $4 challenge, $5 address, $6 hash of the code, $7 sealed message, $8 what a key shall sign
select r.outcome, r.seconds, r.expires_at from auth.challenge_factor($1, $2, $3, $4, $5, $6, $7, $8) as r;

-- name: auth_factor_attempt   $3 factor, $4 challenge, $5 address
select r.outcome, r.seconds, r.kind, r.secret, r.code, r.data, r.counter, r.public_key, r.algorithm
  from auth.attempt_factor($1, $2, $3, $4, $5) as r;

-- name: auth_factor_verify   $3 factor, $4 challenge, $5 address, $6 step, $7 hash of the refresh token, $8 its counter, $9 sealed notice
select r.outcome, null, r.user_object, r.claims from auth.verify_factor($1, $2, $3, $4, $5, $6, null, $7, $8, $9) as r;

-- name: auth_factor_verify_key   $3 factor, $4 challenge, $5 address, $6 hash of the refresh token, $7 its counter, $8 … $16 the answer, $17 sealed notice
select r.outcome, null, r.user_object, r.claims
  from auth.verify_factor($1, $2, $3, $4, $5, null, row($8, $9, $10, $11, $12, $13, $14, $15, $16)::auth.webauthn_answer, $6, $7, $17) as r;

-- name: auth_factor_unenroll   $3 factor, $4 address, $5 sealed notice
select r.outcome from auth.unenroll_factor($1, $2, $3, $4, $5) as r;

-- name: auth_factor_reject   $1 person, $2 address
select auth.reject_factor($1, $2);

-- name: auth_recovery_codes_generate   $3 in place of others, $4 name, $5 hashes, $6 how many factors at most, $7 address, $8 sealed notice
select r.outcome, null, r.answer from auth.generate_recovery_codes($1, $2, $3, $4, $5, $6, $7, $8) as r;

-- name: auth_recovery_codes_count
select r.outcome, null, r.answer from auth.count_recovery_codes($1, $2) as r;

-- name: auth_recovery_codes_drop   $3 address
select r.outcome, null, r.answer from auth.drop_recovery_codes($1, $2, $3) as r;

-- name: auth_recovery_code_attempt   $3 hash
select r.outcome, r.seconds, r.factor, r.is_right, r.counter from auth.attempt_recovery_code($1, $2, $3) as r;

-- name: auth_recovery_code_redeem   $3 factor, $4 hash, $5 hash of the refresh token, $6 its counter, $7 address
select r.outcome, null, r.user_object, r.claims from auth.redeem_recovery_code($1, $2, $3, $4, $5, $6, $7) as r;

-- name: auth_passkey_begin   $3 challenge, $4 what the key shall sign, $5 how many at most
select r.outcome, null, r.expires_at, r.account, r.label, r.credentials from auth.begin_passkey($1, $2, $3, $4, $5) as r;

-- name: auth_passkey_challenge   $1 challenge, $2 what the key shall sign
insert into auth.webauthn_challenges (id, challenge_type, session_data) values ($1, 'authentication', $2)
returning floor(extract(epoch from expires_at))::bigint;

-- name: auth_passkey_take   $1 challenge, $2 person or null, $3 the key's name for itself
select r.outcome, null, r.data, r.owner, r.public_key, r.algorithm from auth.take_passkey_challenge($1, $2, $3) as r;

-- name: auth_passkey_register   $3 … $11 the answer, $12 how many at most, $13 address, $14 sealed notice
select r.outcome, null, r.passkey
  from auth.register_passkey($1, $2, row($3, $4, $5, $6, $7, $8, $9, $10, $11)::auth.webauthn_answer, $12, $13, $14) as r;

-- name: auth_passkey_sign_in   $1 person, $2 key's name, $3 its counter, $4 backed up, $5 counts as two factors, $6 session, $7 hash of its refresh token, $8 user agent, $9 address, $10 lifetime
select r.outcome, null, r.user_object, r.claims
  from auth.sign_in_with_passkey($1, row($2, null, null, $3, null, null, null, $4, null)::auth.webauthn_answer, $5,
                                 row($6, $7, $8, $9, $10)::auth.new_session) as r;

-- name: auth_passkey_list
select r.outcome, null, r.passkeys from auth.list_passkeys($1, $2) as r;

-- name: auth_passkey_rename   $3 passkey, $4 name, $5 address
select r.outcome, null, r.answer from auth.rename_passkey($1, $2, $3, $4, $5) as r;

-- name: auth_passkey_drop   $3 passkey, $4 address, $5 sealed notice
select r.outcome from auth.drop_passkey($1, $2, $3, $4, $5) as r;

-- Teams (0012). $1 person or null, $2 session or null, $3 address are row($1, $2, $3)::auth.team_caller everywhere.

-- name: team_list   $4 whose or null, $5 rows to leave out, $6 to give
select r.outcome, r.answer from auth.list_teams(row($1, $2, $3)::auth.team_caller, $4, $5, $6) as r;

-- name: team_create   $4 owner or null, $5 slug or null, $6 name, $7 metadata or null, $8 how many one person may own
select r.outcome, r.answer from auth.create_team(row($1, $2, $3)::auth.team_caller, $4, $5, $6, $7, $8) as r;

-- name: team_read   $4 team
select r.outcome, r.answer from auth.read_team(row($1, $2, $3)::auth.team_caller, $4) as r;

-- name: team_update   $4 team, $5 slug, $6 name, $7 metadata, each null to keep
select r.outcome, r.answer from auth.update_team(row($1, $2, $3)::auth.team_caller, $4, $5, $6, $7) as r;

-- name: team_delete   $4 team
select r.outcome, r.answer from auth.delete_team(row($1, $2, $3)::auth.team_caller, $4) as r;

-- name: team_role_list
select r.outcome, r.answer from auth.list_team_roles(row($1, $2, $3)::auth.team_caller) as r;

-- name: team_role_define   $4 role, $5 rank
select r.outcome, r.answer from auth.define_team_role(row($1, $2, $3)::auth.team_caller, $4, $5) as r;

-- name: team_role_delete   $4 role
select r.outcome, r.answer from auth.remove_team_role(row($1, $2, $3)::auth.team_caller, $4) as r;

-- name: team_member_list   $4 team, $5 rows to leave out, $6 to give
select r.outcome, r.answer from auth.list_team_members(row($1, $2, $3)::auth.team_caller, $4, $5, $6) as r;

-- name: team_member_add   $4 team, $5 whom, $6 role, $7 how many a team may have
select r.outcome, r.answer from auth.add_team_member(row($1, $2, $3)::auth.team_caller, $4, $5, $6, $7) as r;

-- name: team_member_update   $4 team, $5 whose, $6 role
select r.outcome, r.answer from auth.set_team_role(row($1, $2, $3)::auth.team_caller, $4, $5, $6) as r;

-- name: team_member_delete   $4 team, $5 whom
select r.outcome, r.answer from auth.remove_team_member(row($1, $2, $3)::auth.team_caller, $4, $5) as r;

-- name: team_invitation_list   $4 team, $5 rows to leave out, $6 to give
select r.outcome, r.answer from auth.list_team_invitations(row($1, $2, $3)::auth.team_caller, $4, $5, $6) as r;

-- name: team_letter   $4 team, $5 role or null, $6 invitation or null
select r.outcome, r.answer from auth.describe_team_letter(row($1, $2, $3)::auth.team_caller, $4, $5, $6) as r;

-- name: team_invitation_create   $4 team, $5 address, $6 role, $7 hash of the token, $8 letter, $9 members at most, $10 invitations per hour, $11 lifetime
select r.outcome, r.answer
  from auth.invite_to_team(row($1, $2, $3)::auth.team_caller, $4, $5, $6, $7, $8, row($9, $10, $11)::auth.team_limits) as r;

-- name: team_invitation_resend   $4 team, $5 invitation, $6 hash of the token, $7 letter, $8 members at most, $9 invitations per hour, $10 lifetime
select r.outcome, r.answer
  from auth.resend_team_invitation(row($1, $2, $3)::auth.team_caller, $4, $5, $6, $7, row($8, $9, $10)::auth.team_limits) as r;

-- name: team_invitation_revoke   $4 team, $5 invitation
select r.outcome, r.answer from auth.revoke_team_invitation(row($1, $2, $3)::auth.team_caller, $4, $5) as r;

-- name: team_invitation_accept   $4 hash of the token, $5 members at most
select r.outcome, r.answer from auth.accept_team_invitation(row($1, $2, $3)::auth.team_caller, $4, $5) as r;

-- name: team_invitation_decline   $4 hash of the token
select r.outcome, r.answer from auth.decline_team_invitation(row($1, $2, $3)::auth.team_caller, $4) as r;

-- Accounts as an admin manages them (0009_users.sql).

-- name: auth_admin_list   $1 filter, $2 column, $3 direction, $4 how many to leave out, $5 how many to give
select r.users, r.total from auth.list_users($1, $2, $3, $4, $5) as r;

-- name: auth_admin_create   $1 attributes, $2 address
select r.outcome, r.user_object from auth.admin_create_user($1, $2) as r;

-- name: auth_admin_get   $1 user
select auth.describe_user($1);

-- name: auth_admin_update   $1 user, $2 attributes, $3 address
select r.outcome, r.user_object from auth.admin_update_user($1, $2, $3) as r;

-- name: auth_admin_delete   $1 user, $2 softly, $3 address
select auth.admin_delete_user($1, $2, $3);

-- name: auth_admin_factors   $1 user
select auth.list_factors($1);

-- name: auth_admin_factor_update   $1 user, $2 factor, $3 name or null, $4 number or null, $5 address
select auth.admin_update_factor($1, $2, $3, $4, $5);

-- name: auth_admin_factor_delete   $1 user, $2 factor, $3 address
select auth.admin_delete_factor($1, $2, $3);

-- Agents: $1 the person who asks, or null for the secret key, $2 session or null. What is wrong with the input is a JSON text in `result`.

-- name: agent_create   $3 for whom or null, $4 name, $5 scopes, $6 lifetime in seconds, $7 requests per minute, $8 budget, $9 longest lifetime, $10 agents of one person, $11 address, $12 letter
select r.outcome, r.result, r.result #>> '{}' from auth.create_agent($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) as r;

-- name: agent_list   $3 how many, $4 the last id of the page before or null
select r.outcome, r.result from auth.list_agents($1, $2, $3, $4) as r;

-- name: agent_show   $3 agent
select r.outcome, r.result from auth.show_agent($1, $2, $3) as r;

-- name: agent_update   $3 agent, $4 name, $5 scopes, $6 lifetime in seconds from now, $7 requests per minute (0: any), $8 budget, $9 longest lifetime, $10 how many in force at most, $11 address; null keeps
select r.outcome, r.result, r.result #>> '{}' from auth.update_agent($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) as r;

-- name: agent_revoke   $3 agent, $4 address
select r.outcome, r.result from auth.revoke_agent($1, $2, $3, $4) as r;

-- name: agent_activity   $3 agent, $4 how many, $5 the last id of the page before or null
select r.outcome, r.result from auth.agent_activity($1, $2, $3, $4, $5) as r;

-- name: agent_key_create   $3 agent, $4 name, $5 scopes, $6 lifetime in seconds, $7 hash in hexadecimal, $8 hint, $9 address
select r.outcome, r.result from auth.create_agent_key($1, $2, $3, $4, $5, $6, $7, $8, $9) as r;

-- name: agent_key_revoke   $3 agent, $4 key, $5 address
select r.outcome, r.result from auth.revoke_agent_key($1, $2, $3, $4, $5) as r;

-- name: token_exchange   $1 claims of the subject's token, $2 agent or null, $3 its scopes or null, $4 who asks when there is no agent, $5 scopes that are wanted or null, $6 address
select r.outcome, r.problem, r.claims, r.ends_at from auth.exchange_token($1, $2, $3, $4, $5, $6) as r;

-- People who come from a provider (visitor.c).

-- name: visitor_depart   $1 provider, $2 challenge or null, $3 its method, $4 where to in the end, $5 sealed, $6 who links or null, $7 invite token or null
select auth.begin_flow($1, 'oauth', $2, $3, $4, $5, $6, $7);

-- name: visitor_return   $1 state, $2 its lifetime
select case when r.outcome = 'flow' and (r.state).authentication_method <> 'oauth' then 'bad_oauth_state' else r.outcome end,
       (r.state).provider_type, (r.state).code_challenge is null, (r.state).redirect_to, (r.state).sealed
  from auth.return_to_flow($1, $2) as r;

-- name: visitor_known   $1 provider, $2 subject, $3 address or null, $4 whether it is verified, $5 flow or null; for the hook: no new person comes of it
select auth.knows_visitor(row($1, $2, null, $3, $4, null, null, null, null, null, null)::auth.visitor)
    or exists (select from auth.flow_state f where f.id = $5::uuid and f.linking_target_id is not null);

-- name: visitor_sign_in   $1 flow or null, $2 who links or null, $3 provider, $4 subject, $5 profile, $6 address or null, $7 verified, $8 email_optional, $9 signup, $10 autoconfirm, $11 to $19 auth.message, $20 notice, $21 client's address, $22 to $26 auth.new_session, $27 hash of the code, $28 and $29 sealed tokens
select r.outcome, r.user_object, r.claims, r.failure
  from auth.sign_in_visitor($1, $2,
           row($3, $4, $5, $6, $7, $8, $9, $10, row($11, $12, $13, $14, $15, $16, $17, $18, $19)::auth.message, $20, $21)::auth.visitor,
           row($22, $23, $24, $25, $26)::auth.new_session, $27, $28, $29) as r;

-- name: identity_unlink   $1 user, $2 identity, $3 notice, $4 address
select auth.unlink_identity($1, $2, $3, $4);

-- name: auth_admin_sessions   $1 user
select auth.list_sessions(u.id, null) from auth.users as u where u.id = $1::uuid;

-- name: auth_invite   $1 attributes, $2 hash of the token, $3 letter, $4 lifetime, $5 address
select r.outcome, r.user_object from auth.invite($1, $2, $3, $4, $5) as r;

-- name: auth_generate_link   $1 type, $2 attributes, $3 new address or null, $4 hash of the token, $5 lifetime, $6 notice or null, $7 address
select r.outcome, r.user_object, r.made from auth.generate_link($1, $2, $3, $4, $5, $6, $7) as r;

-- name: auth_audit_read   $1 person or null, $2 field or null, $3 what it has, $4 how many to leave out, $5 how many to give
select r.entries, r.total from auth.read_audit($1, $2, $3, $4, $5) as r;

-- Accounts as their people manage them (0009_users.sql).

-- name: auth_person_check   $1 user, $2 session or null; the columns of auth_user_get without the first
select null, u.banned_until > now(), $2::uuid is null or s.id is not null
  from auth.users as u
  left join auth.sessions as s
    on s.tenant_id = u.tenant_id and s.id = $2::uuid and s.user_id = u.id and coalesce(s.not_after > now(), true)
 where u.id = $1::uuid;

-- name: auth_account_find   $1 user, $2 session or null, $3 address or null, $4 number or null that they want; see auth/account.h
select null, u.banned_until > now(), $2::uuid is null or s.id is not null,
       coalesce(u.email, ''), coalesce(u.phone, ''), nullif(u.encrypted_password, ''), u.is_anonymous,
       coalesce(s.aal, 'aal1') = 'aal1' and auth.has_second_factor(u.id),
       coalesce(s.created_at < now() - interval '1 day', true), coalesce(s.created_at > now() - interval '10 minutes', false),
       exists (select from auth.mfa_amr_claims as a
                where a.tenant_id = s.tenant_id and a.session_id = s.id and a.authentication_method in ('recovery', 'otp', 'magiclink')),
       auth.is_email_taken($3, u.id), auth.is_phone_taken($4, u.id)
  from auth.users as u
  left join auth.sessions as s
    on s.tenant_id = u.tenant_id and s.id = $2::uuid and s.user_id = u.id and coalesce(s.not_after > now(), true)
 where u.id = $1::uuid;

-- name: auth_user_update   $1 user, $2 session or null, $3 change, $4 address
select r.outcome, r.user_object from auth.update_user($1, $2, $3, $4) as r;

-- name: auth_reauthenticate   $1 user, $2 recipient, $3 hash of the code, $4 letter, $5 lifetime, $6 interval, $7 address
select auth.expect_nonce($1, $2, $3, $4, $5, $6, $7);

-- name: auth_user_delete   $1 user, $2 hash of the password that was right or null, $3 hash of the code or null, $4 address
select auth.delete_account($1, $2, $3, $4);

-- name: auth_sessions_list   $1 user, $2 session or null
select auth.list_sessions($1, $2);

-- name: auth_session_end   $1 user, $2 session, $3 who ends it or null, $4 address
select auth.end_session($1, $2, $3, $4);

-- name: auth_export_note   $1 user, $2 address
select auth.audit('user_exported', $1::uuid, null, $2::inet);

-- name: auth_export_account   $1 user
select auth.export_account($1);

-- name: auth_export_allowed   as the person: an error where their role may not
select auth.export_rows() limit 0;

-- name: auth_export_rows   as the person
select auth.export_rows();

-- name: auth_admin_passkeys   $1 person
select auth.admin_passkeys($1);

-- name: auth_admin_passkey_delete   $1 person, $2 passkey, $3 address
select auth.admin_delete_passkey($1, $2, $3);
