-- t/sql/teams.sql: teams, who may do what in them, what policies learn of them, and that there is always an owner
begin;
select * from no_plan();

-- As the server asks: the outcome, or the code of the error. `n` is a person of tenant a, null the secret key.
create function t.who(n integer) returns auth.team_caller language sql as $$
    select row(case when n is not null then t.person('a', n) end, null, '127.0.0.1')::auth.team_caller
$$;
create function t.team(slug text) returns uuid language sql security definer as $$
    select id from auth.teams where teams.slug = team.slug and tenant_id = t.tenant('a')
$$;
create function t.roles(team text) returns text language sql security definer as $$
    select string_agg(m.user_id::text || ' ' || m.role, ', ' order by m.user_id)
      from auth.team_members m where m.team_id = t.team(roles.team)
$$;
create function t.code(statement text) returns text language plpgsql as $$
declare
    result text;
begin
    execute statement into result;
    return result;
exception when others then
    get stacked diagnostics result = constraint_name;
    return sqlstate || ' ' || result;
end $$;
create function t.person_is(n integer) returns text language sql as $$ select t.person('a', n)::text $$;
create function t.plan(statement text) returns text language plpgsql as $$
declare
    line text;
    lines text := '';
begin
    for line in execute 'explain ' || statement loop
        lines := lines || line || E'\n';
    end loop;
    return lines;
end $$;
create function t.limits(per_hour integer default 9, ttl_s integer default 3600) returns auth.team_limits language sql as $$
    select row(10, per_hour, ttl_s)::auth.team_limits
$$;
create function t.invitation(hash text) returns uuid language sql security definer as $$
    select id from auth.team_invitations where token_hash = hash
$$;
grant execute on all functions in schema t to public;

insert into auth.users (tenant_id, id, email, email_confirmed_at)
select t.tenant('a'), t.person('a', n), 'a' || n || '@example.com', now() from generate_series(3, 6) n;
update auth.users set email_confirmed_at = now();

-- --- making and changing

select t.act_as('tenon_worker');
select is(r.outcome, 'ok', 'somebody makes a team') from auth.create_team(t.who(1), null, 'acme', 'Acme', null, 2) r;
select is(t.roles('acme'), t.person_is(1) || ' owner', 'and owns it');
select is(r.outcome, 'team_slug_taken', 'a slug is there once') from auth.create_team(t.who(2), null, 'acme', 'Other', null, 2) r;
select is(r.outcome, 'ok', 'without one it comes from the name') from auth.create_team(t.who(1), null, null, '  Größe & Co. ', null, 2) r;
select is(t.team('gr-e-co') is not null, true, 'in plain letters');
select is(r.outcome, 'too_many_teams', 'nobody owns more than they may') from auth.create_team(t.who(1), null, 'third', 'Third', null, 2) r;
select matches(r.answer ->> 'slug', '^acme-[0-9a-f]{8}$', 'one that is taken gets something behind it')
  from auth.create_team(t.who(2), null, null, 'ACME', null, 9) r;
select is(r.outcome, 'ok', 'the secret key makes one for somebody') from auth.create_team(t.who(null), t.person('a', 2), 'made', 'Made', '{"x": 1}', 0) r;
select is(t.roles('made'), t.person_is(2) || ' owner', 'who owns it');
select is(r.outcome, 'team_person_not_found', 'not for a person of another tenant')
  from auth.create_team(t.who(null), t.person('b', 1), 'foreign', 'Foreign', null, 9) r;
select is(r.outcome, 'ok', 'an owner renames it') from auth.update_team(t.who(1), t.team('acme'), null, 'Acme Inc', null) r;
select is(r.answer ->> 'name', 'Acme Inc', 'as is told') from auth.read_team(t.who(1), t.team('acme')) r;
select is(r.outcome, 'team_slug_taken', 'not to what another is called') from auth.update_team(t.who(1), t.team('acme'), 'made', null, null) r;
select is(r.outcome, 'team_not_found', 'who is not in it learns nothing') from auth.read_team(t.who(2), t.team('acme')) r;
select is(r.outcome, 'team_not_found', 'as for one that is not there') from auth.read_team(t.who(2), t.person('a', 1)) r;

select is(r.answer #>> '{teams,0,slug}', 'acme', 'people list theirs') from auth.list_teams(t.who(1), null, 0, 50) r;
select is(jsonb_array_length(r.answer -> 'teams'), expected, what)
  from (values (1, null, 2, 'and no others'), (1, 2, 2, 'whoever they ask for'), (null, null, 4, 'the secret key lists all'), (null, 2, 2, 'or somebody''s'))
       x (caller, whose, expected, what), auth.list_teams(t.who(caller), case when whose is not null then t.person('a', whose) end, 0, 50) r;

-- --- members

select is(r.outcome, 'ok', 'the secret key adds ' || role) from (values (3, 'admin'), (4, 'member'), (5, 'admin')) x (n, role),
       auth.add_team_member(t.who(null), t.team('acme'), t.person('a', n), role, 10) r;
select is(r.outcome, 'not_admin', 'an owner cannot, without asking them') from auth.add_team_member(t.who(1), t.team('acme'), t.person('a', 2), 'member', 10) r;
select is(r.outcome, 'too_many_team_members', 'a team has a ceiling') from auth.add_team_member(t.who(null), t.team('acme'), t.person('a', 2), 'member', 4) r;
select is(r.outcome, 'team_member_exists', 'nobody is in it twice') from auth.add_team_member(t.who(null), t.team('acme'), t.person('a', 4), 'member', 10) r;
select is(jsonb_array_length(r.answer -> 'members'), 4, 'members see each other') from auth.list_team_members(t.who(4), t.team('acme'), 0, 50) r;
select is(jsonb_array_length(r.answer -> 'members'), 1, 'page by page') from auth.list_team_members(t.who(4), t.team('acme'), 3, 3) r;

select is(r.outcome, expected, what) from (values
    (4, 4, 'admin', 'team_role_insufficient', 'a member makes nobody anything, not even themselves'),
    (3, 3, 'owner', 'team_role_insufficient', 'an admin does not raise themselves'),
    (3, 4, 'owner', 'team_role_insufficient', 'nor others above themselves'),
    (3, 1, 'member', 'team_role_insufficient', 'an admin does not touch an owner'),
    (3, 4, 'admin', 'ok', 'an admin makes admins'),
    (3, 4, 'member', 'ok', 'and takes it back'),
    (3, 4, 'nonsense', 'team_role_not_found', 'a role must exist'),
    (1, 2, 'member', 'team_member_not_found', 'of somebody who is not in it'),
    (2, 4, 'member', 'team_not_found', 'by somebody who is not in it')) x (caller, whom, role, expected, what),
    auth.set_team_role(t.who(caller), t.team('acme'), t.person('a', whom), role) r;
select is(t.code(format('select outcome from auth.set_team_role(t.who(1), %L, %L, ''admin'')', t.team('acme'), t.person('a', 1))), 'PT409 team_needs_owner',
    'the last owner stays one');
select is(t.code(format('select outcome from auth.remove_team_member(t.who(1), %L, %L)', t.team('acme'), t.person('a', 1))), 'PT409 team_needs_owner',
    'and does not leave');
select is(t.code(format('select outcome from auth.set_team_role(t.who(null), %L, %L, ''admin'')', t.team('acme'), t.person('a', 1))), 'PT409 team_needs_owner',
    'not by the secret key either');
select is(r.outcome, 'team_role_insufficient', 'an admin does not remove an owner') from auth.remove_team_member(t.who(3), t.team('acme'), t.person('a', 1)) r;
select is(r.outcome, 'team_role_insufficient', 'a member removes nobody') from auth.remove_team_member(t.who(4), t.team('acme'), t.person('a', 3)) r;
select is(r.outcome, 'ok', 'an admin removes an admin') from auth.remove_team_member(t.who(3), t.team('acme'), t.person('a', 5)) r;
select is(r.outcome, 'ok', 'a member leaves') from auth.remove_team_member(t.who(4), t.team('acme'), t.person('a', 4)) r;
select is(r.outcome, 'team_role_insufficient', 'an admin does not delete the team') from auth.delete_team(t.who(3), t.team('acme')) r;
select is(r.outcome, 'ok', 'an owner makes another owner') from auth.set_team_role(t.who(1), t.team('acme'), t.person('a', 3), 'owner') r;
select is(r.outcome, 'ok', 'and may leave then') from auth.remove_team_member(t.who(1), t.team('acme'), t.person('a', 1)) r;
select is(t.roles('acme'), t.person_is(3) || ' owner', 'one is left');
select is(t.code('delete from auth.team_members where role = ''owner'''), 'PT409 team_needs_owner', 'whatever is done to the table itself');

-- --- roles of the tenant's own

select is(r.outcome, 'ok', 'the secret key defines ' || name) from (values ('editor', 50), ('viewer', 5)) x (name, rank), auth.define_team_role(t.who(null), name, rank) r;
select is(r.outcome, 'not_admin', 'people do not') from auth.define_team_role(t.who(3), 'mine', 70) r;
select is(r.outcome, 'team_role_built_in', 'the three stay') from auth.define_team_role(t.who(null), 'admin', 10) r;
select is(t.outcome('insert into auth.team_roles (name, rank) values (''super'', 90)'), '23514', 'none of them is as good as admin');
select is(r.answer -> 'roles' ->> 1, '{"name": "admin", "rank": 80}', 'they are listed') from auth.list_team_roles(t.who(4)) r;
select is(r.outcome, 'ok', 'people have them') from (values (4, 'editor'), (5, 'viewer')) x (n, role), auth.add_team_member(t.who(null), t.team('acme'), t.person('a', n), role, 10) r;
select is(r.outcome, 'team_role_in_use', 'one that somebody has stays') from auth.remove_team_role(t.who(null), 'editor') r;
select is(r.outcome, 'team_role_not_found', 'one that is not there') from auth.remove_team_role(t.who(null), 'nothing') r;

-- --- what policies learn

select t.act_as('authenticated', person => 4);
select set_eq('select auth.team_ids()', array[t.team('acme')], 'one''s teams');
select results_eq($$ select role, auth.has_team_role(t.team('acme'), role), t.team('acme') in (select auth.team_ids(role))
                       from unnest(array['owner', 'admin', 'editor', 'viewer', 'member']) role $$,
    $$ values ('owner', false, false), ('admin', false, false), ('editor', true, true), ('viewer', false, false), ('member', true, true) $$,
    'an editor ranks above member, and is no viewer');
select is(auth.has_team_role(t.team('made'), 'member'), false, 'another team');
select isnt(auth.has_team_role(t.team('acme'), null), true, 'no role is not held');
select t.act_as('authenticated', person => 5);
select is(auth.has_team_role(t.team('acme'), 'member'), false, 'a viewer ranks below member');
select set_eq('select auth.team_ids()', array[t.team('acme')], 'and is in the team');
select t.act_as('authenticated', person => 3);
select is(auth.has_team_role(t.team('acme'), role), expected, 'an owner as ' || role)
  from (values ('owner', true), ('admin', true), ('member', true), ('editor', false)) x (role, expected);
select set_eq('select slug from auth.teams', array['acme'], 'people read the rows of their own teams');
select is(t.outcome('select from auth.team_members'), '42501', 'and no others');
select is(t.outcome('update auth.teams set name = ''x'''), '42501', 'and change none');
select t.act_as('anon');
select is_empty('select auth.team_ids()', 'nobody has no teams');
select t.act_as('agent', person => 4, scopes => '[]');
select set_eq('select auth.team_ids()', array[t.team('acme')], 'an agent is in the teams of its person');
select is_empty('select 1 from auth.teams', 'and reads their rows only with the scope');
select t.act_as('agent', person => 4, scopes => '["teams:read"]');
select isnt_empty('select 1 from auth.teams', 'as here');
select t.act_as('authenticated', tenant => 'b', person => 1);
do $$ begin perform set_config('request.jwt.claims', jsonb_build_object('sub', t.person('a', 3))::text, true); end $$;
select is_empty('select auth.team_ids() union all select id from auth.teams', 'nothing of another tenant, whoever one says one is');

-- --- rows of a team

set local role tenon_owner;
do $$ begin perform set_config('tenon.tenant_id', t.tenant('a')::text, true); end $$;
create table public.docs (id bigint generated always as identity primary key, team_id uuid not null, body text);
create table public.plans (id bigint generated always as identity primary key, org uuid, body text);
create table public.notes (id bigint generated always as identity primary key, team_id text);
select lives_ok($$ select tenon.protect_team('public.docs') $$, 'a table of a team''s rows');
select lives_ok($$ select tenon.protect_team('public.docs') $$, 'twice');
select lives_ok($$ select tenon.protect_team('public.plans', 'org', writes => 'admin') $$, 'with another column, changed by admins');
select throws_ok($$ select tenon.protect_team('public.notes') $$, '42703', null, 'the column is a uuid');
select is((select count(*) from pg_constraint where conrelid = 'public.docs'::regclass and confrelid = 'auth.teams'::regclass), 1::bigint, 'has one key to the teams');
select is((select count(*) from pg_indexes where tablename = 'docs' and indexdef like '%(tenant_id, team_id)'), 1::bigint, 'and one index');

select t.act_as('authenticated', person => 4);
select lives_ok($$ insert into docs (team_id, body) values (t.team('acme'), 'one') $$, 'a member adds rows');
select throws_ok($$ insert into docs (team_id) values (t.team('made')) $$, '42501', null, 'not to another team');
select throws_ok($$ update docs set team_id = t.team('made') $$, '42501', null, 'and gives none away');
select is(t.outcome('insert into plans (org) values (t.team(''acme''))'), '42501', 'what admins change, members do not');
select t.act_as('authenticated', person => 3);
select is(t.outcome('insert into plans (org) values (t.team(''acme''))'), 'rows 1', 'and owners do');
select is(t.outcome('update docs set body = ''two'''), 'rows 1', 'members change each other''s rows');
select t.act_as('authenticated', person => 2);
select is_empty('select 1 from docs', 'others see none');
select is(t.outcome('delete from docs'), 'rows 0', 'and delete none');
select t.act_as('agent', person => 4, scopes => '["data:docs:read"]');
select isnt_empty('select 1 from docs', 'an agent of a member reads');
select is(t.outcome('delete from docs'), 'rows 0', 'and without the scope changes nothing');
select t.act_as('service_role');
select isnt_empty('select 1 from docs', 'the secret key sees the rows of all teams');
select throws_ok($$ insert into docs (team_id) values (t.person('a', 1)) $$, '23503', null, 'rows belong to teams that exist');

-- membership is looked up and not believed
select t.act_as('tenon_worker');
select is(r.outcome, 'ok', 'a member is removed') from auth.remove_team_member(t.who(3), t.team('acme'), t.person('a', 4)) r;
select t.act_as('authenticated', person => 4);
select is_empty('select 1 from docs', 'and is out with the next statement');

-- the ids are found once, and the rows by index
set local role tenon_owner;
insert into public.docs (team_id) select id from auth.teams, generate_series(1, 2000) where slug in ('acme', 'made');
analyze public.docs;
select t.act_as('authenticated', person => 4);
set local enable_seqscan = off;
select matches(t.plan('select * from docs'), 'Index Cond: .*team_id = ANY', 'they are an index condition');
select matches(t.plan('select * from docs'), 'InitPlan', 'found before the rows');
set local enable_seqscan = on;

-- --- the token

reset role;
select t.act_as('tenon_worker');
select is(auth.team_claims(t.person('a', 3)), jsonb_build_array(jsonb_build_object('id', t.team('acme'), 'role', 'owner')), 'the token names team and role');
select is(auth.team_claims(t.person('a', 4)), '[]', 'or that there is none');
insert into auth.teams (slug, name) select 's' || n, 'S' from generate_series(1, 60) n;
insert into auth.team_roles (name, rank) values (repeat('x', 40), 1);
insert into auth.team_members (team_id, user_id, role) select id, t.person('a', 4), case when slug < 's5' then repeat('x', 40) else 'member' end from auth.teams where slug ~ '^s\d';
select cmp_ok(jsonb_array_length(auth.team_claims(t.person('a', 4))), '<=', 50, 'of many it names some');
select cmp_ok(octet_length(auth.team_claims(t.person('a', 4))::text), '<=', 4096, 'in 4 KiB');
select is(auth.claims(u, t.person('a', 1), 'aal1', '[]') -> 'teams', auth.team_claims(u.id), 'the claims have them') from auth.users u where id = t.person('a', 3);
delete from auth.teams where slug ~ '^s\d';

-- --- invitations

select is(r.outcome, expected, what) from (values
    (3, 'a4@example.com', 'editor', 'h1', 'ok', 'an owner invites an address'),
    (3, 'a4@example.com', 'member', 'h2', 'team_invitation_exists', 'once'),
    (3, 'a5@example.com', 'member', 'h3', 'team_member_exists', 'not who is in it'),
    (5, 'x@example.com', 'member', 'h4', 'team_role_insufficient', 'a member invites nobody'),
    (2, 'x@example.com', 'member', 'h5', 'team_not_found', 'a stranger even less'),
    (3, 'x@example.com', 'nonsense', 'h6', 'team_role_not_found', 'a role must exist')) x (caller, address, role, hash, expected, what),
    auth.invite_to_team(t.who(caller), t.team('acme'), address, role, hash, '\x00', t.limits()) r;
select results_eq($$ select recipient, kind, user_id from tenon.outbox $$, $$ values ('a4@example.com', 'team_invitation', null::uuid) $$, 'one mail is on its way');
select is(r.outcome, 'over_invitation_rate_limit', 'so many in an hour')
  from auth.invite_to_team(t.who(3), t.team('acme'), 'y@example.com', 'member', 'h7', '\x00', t.limits(per_hour => 1)) r;
select is(r.outcome, 'ok', 'the secret key is not counted')
  from auth.invite_to_team(t.who(null), t.team('acme'), 'y@example.com', 'admin', 'h8', '\x00', t.limits(per_hour => 0)) r;
select is(r.answer -> 'invitations' -> 0 ->> 'email', 'a4@example.com', 'an owner sees it') from auth.list_team_invitations(t.who(3), t.team('acme'), 0, 50) r;
select is(r.outcome, 'team_role_insufficient', 'a member does not') from auth.list_team_invitations(t.who(5), t.team('acme'), 0, 50) r;
select is(r.answer, '{"team": "Acme Inc", "role": "editor", "inviter": "a3@example.com"}', 'what the mail says')
  from auth.describe_team_letter(t.who(3), t.team('acme'), 'editor', null) r;
select is(r.outcome, 'team_not_found', 'is not for strangers') from auth.describe_team_letter(t.who(2), t.team('acme'), 'editor', null) r;
select is(r.outcome, expected, what) from (values
    (6, 'h1', 'team_invitation_for_another', 'the link is for one address'),
    (4, 'h0', 'team_invitation_not_found', 'a link that nobody sent'),
    (4, 'h1', 'ok', 'who has the address joins'),
    (4, 'h1', 'team_invitation_not_found', 'once')) x (caller, hash, expected, what),
    auth.accept_team_invitation(t.who(caller), hash, 10) r;
select alike(t.roles('acme'), '%' || t.person_is(4) || ' editor%', 'as what they were asked');

select is(r.outcome, 'ok', 'another') from auth.invite_to_team(t.who(3), t.team('acme'), 'a6@example.com', 'member', 'i1', '\x00', t.limits()) r;
select is(r.outcome, 'over_email_send_rate_limit', 'is not sent twice in a minute') from auth.resend_team_invitation(t.who(3), t.team('acme'), t.invitation('i1'), 'i2', '\x00', t.limits()) r;
update auth.team_invitations set sent_at = sent_at - interval '2 minutes';
select is(r.outcome, 'ok', 'later it is') from auth.resend_team_invitation(t.who(3), t.team('acme'), t.invitation('i1'), 'i2', '\x00', t.limits()) r;
select is(r.outcome, 'team_invitation_not_found', 'and the first link is dead') from auth.accept_team_invitation(t.who(6), 'i1', 10) r;
update auth.users set email_confirmed_at = null where id = t.person('a', 6);
select is(r.outcome, 'email_not_confirmed', 'an address that is only claimed does not do') from auth.accept_team_invitation(t.who(6), 'i2', 10) r;
update auth.users set email_confirmed_at = now() where id = t.person('a', 6);
update auth.team_invitations set expires_at = now() where token_hash = 'i2';
select is(r.outcome, 'team_invitation_expired', 'a late one') from auth.accept_team_invitation(t.who(6), 'i2', 10) r;
select is(r.outcome, 'ok', 'makes room for another') from auth.invite_to_team(t.who(3), t.team('acme'), 'a6@example.com', 'member', 'i3', '\x00', t.limits()) r;
select is(r.outcome, 'team_not_found', 'others do not revoke it') from auth.revoke_team_invitation(t.who(2), t.team('acme'), t.invitation('i3')) r;
select is(r.outcome, 'ok', 'who invites may revoke') from auth.revoke_team_invitation(t.who(3), t.team('acme'), t.invitation('i3')) r;
select is(r.outcome, 'team_invitation_not_found', 'what was revoked is dead') from auth.accept_team_invitation(t.who(6), 'i3', 10) r;
select is(r.outcome, 'ok', 'and another') from auth.invite_to_team(t.who(3), t.team('acme'), 'a6@example.com', 'member', 'i4', '\x00', t.limits()) r;
select is(r.outcome, 'ok', 'with the link alone one declines') from auth.decline_team_invitation(t.who(null), 'i4') r;
select is(r.outcome, 'team_invitation_not_found', 'for good') from auth.accept_team_invitation(t.who(6), 'i4', 10) r;

-- who can invite no more, has invited nobody
select is(r.outcome, 'ok', 'an admin') from auth.set_team_role(t.who(3), t.team('acme'), t.person('a', 5), 'admin') r;
select is(r.outcome, 'ok', 'invites') from auth.invite_to_team(t.who(5), t.team('acme'), 'a6@example.com', 'admin', 'j1', '\x00', t.limits()) r;
select is(r.outcome, 'ok', 'and is removed') from auth.remove_team_member(t.who(3), t.team('acme'), t.person('a', 5)) r;
select is(r.outcome, 'team_invitation_not_found', 'so is the invitation') from auth.accept_team_invitation(t.who(6), 'j1', 10) r;

select is(r.outcome, 'ok', 'an owner deletes a team') from auth.delete_team(t.who(1), t.team('gr-e-co')) r;
select is(t.team('gr-e-co'), null, 'and it is gone');

-- --- accounts that are no more

update auth.users set banned_until = now() + interval '1 day' where id = t.person('a', 6);
select is((auth.read_team(t.who(6), t.team('acme'))).outcome, 'user_banned', 'somebody banned does nothing');
update auth.users set banned_until = null, is_anonymous = true where id = t.person('a', 6);
select is((auth.create_team(t.who(6), null, 'anon', 'Anon', null, 9)).outcome, 'no_authorization', 'somebody anonymous makes no team');
select is((auth.read_team(row(t.person('a', 3), t.person('a', 3), null)::auth.team_caller, t.team('acme'))).outcome, 'session_not_found', 'a session that has ended');
select is((auth.read_team(row(t.person('b', 1), null, null)::auth.team_caller, t.team('acme'))).outcome, 'user_not_found', 'somebody of another tenant');

select is(t.roles('acme'), t.person_is(3) || ' owner, ' || t.person_is(4) || ' editor', 'an owner and an editor');
delete from auth.users where id = t.person('a', 3);
select is(t.roles('acme'), t.person_is(4) || ' owner', 'when the owner''s account ends, the next one owns the team');
update auth.users set deleted_at = now() where id = t.person('a', 4);
select is(t.team('acme'), null, 'and when nobody is left, it ends');
reset role;
select is((select count(*) from public.docs where team_id <> t.team('made')), 0::bigint, 'with its rows');
select t.act_as('tenon_worker');
select set_eq($$ select payload #>> '{traits,user_id}' from auth.audit_log_entries where payload ->> 'action' = 'team_owner_succeeded' $$, array[t.person_is(4)], 'the log has it');
select isnt_empty($$ select 1 from auth.audit_log_entries where payload ->> 'action' = 'team_role_changed' and payload ->> 'log_type' = 'team'
                      and payload ->> 'actor_id' = t.person_is(3) and ip_address = '127.0.0.1' $$, 'and who changed what');

-- also from nowhere: the platform is in no tenant
reset role;
select t.act_as('tenon_platform', tenant => null);
delete from auth.users where id = t.person('a', 2);
reset role;
select is(t.team('made'), null, 'an account that the operator deletes takes its teams with it');

select * from finish();
rollback;
