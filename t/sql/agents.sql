-- t/sql/agents.sql: agents have what their person has, within their scopes, their time and their budget
begin;
select * from no_plan();

-- Scopes
select is(tenon.scope_covers(held, wanted), covers, format('%s covers %s: %s', held, wanted, covers))
  from (values ('data:notes:read', 'data:notes:read', true), ('data:*', 'data:notes:read', true), ('data:notes:*', 'data:notes:read', true),
               ('data:*', 'data:notes:*', true), ('data:notes:read', 'data:*', false), ('data:notes:*', 'data:notesx:read', false),
               ('*', 'data:notes:read', false), ('data*', 'data:notes:read', false), ('data:%:*', 'data:notes:read', false),
               ('data:notes:*', 'data:notes', false), ('Data:*', 'data:notes:read', false)) c (held, wanted, covers);
select is(tenon.expand_scopes(given), expanded, format('%s stands for %s', given, expanded))
  from (values ('["ai:chat"]'::jsonb, '["ai:chat", "chat:read", "chat:write"]'::jsonb), ('["ai:*"]', '["ai:*", "chat:read", "chat:write"]'),
               ('["ai:images"]', '["ai:images"]'), ('[]', '[]'), (null, null)) c (given, expanded);
select is(tenon.intersect_scopes(one, other), common, format('%s and %s', one, other))
  from (values ('["data:*"]'::jsonb, '["data:notes:read", "chat:read"]'::jsonb, '["data:notes:read"]'::jsonb),
               ('["data:notes:read"]', '["data:*"]', '["data:notes:read"]'), ('["data:notes:*"]', '["data:*"]', '["data:notes:*"]'),
               ('["chat:read"]', '["data:*"]', '[]'), ('["data:*"]', '[]', '[]'), ('["data:*"]', null, '["data:*"]'), (null, '["data:*"]', '["data:*"]'))
       c (one, other, common);
select is(tenon.scopes_within('["data:notes:read", "data:x:*"]', '["data:*"]'), true, 'within');
select is(tenon.scopes_within('["data:notes:read", "chat:read"]', '["data:*"]'), false, 'all of them must be');
select is(tenon.scopes_within('["data:*"]', '["data:notes:read"]'), false, 'no wider');
select is(tenon.malformed_scope(scopes) is null, fine, format('%s is well formed: %s', scopes, fine))
  from (values ('["data:notes:read", "data:*", "functions:invoke:*", "ai:chat", "data:Bücher:read"]'::jsonb, true), ('[]', true), ('["*"]', false), ('["data"]', false),
               ('["data:"]', false), ('[":x"]', false), ('["data:*:read"]', false), ('["data:a b"]', false), ('["data:a\"b"]', false), ('["Data:x"]', false),
               ('[1]', false), ('[null]', false), ('{}', false), ('null', false), ('["data:a\\b"]', false), ('["data::x"]', false),
               ((select jsonb_agg('data:t' || n || ':read') from generate_series(1, 101) n), false)) c (scopes, fine);

select t.act_as('agent', scopes => '["ai:chat", "data:notes:*"]');
select is(tenon.has_scope('chat:write'), true, 'ai:chat is chat:write');
select is(tenon.has_scope('data:notes:write'), true, 'a star');
select is(tenon.has_scope('usage:read'), false, 'and no more');
select t.act_as('agent');
select is(tenon.has_scope('chat:read'), false, 'without scopes there is none');
reset role;

-- The person's rights, narrowed
set role tenon_owner;
create table public.papers (id bigint generated always as identity primary key, owner uuid default auth.uid(), body text);
create policy owner on public.papers to authenticated using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
create policy quiet on public.papers as restrictive for select to authenticated using (body <> 'loud');
reset role;
select t.act_as('authenticated');
insert into public.papers (body) values ('one'), ('loud');
select t.act_as('authenticated', person => 2);
insert into public.papers (body) values ('another''s');
select t.act_as('agent', scopes => '["data:papers:read"]');
select results_eq('select body from public.papers', array['one'], 'a policy to authenticated is the agent''s as well, and so is a restrictive one');
select throws_ok($$ insert into public.papers (body) values ('x') $$, '42501', null, 'with a scope to read it writes nothing');
select is_empty($$ update public.papers set body = 'x' returning 1 $$, 'nor changes');
select is_empty($$ delete from public.papers returning 1 $$, 'nor deletes');
select t.act_as('agent', scopes => '["data:papers:write"]');
select is_empty('select 1 from public.papers', 'with a scope to write it reads nothing');
select lives_ok($$ insert into public.papers (body) values ('x') $$, 'and writes');
select throws_ok(format($$ insert into public.papers (body, owner) values ('x', %L) $$, t.person('a', 2)), '42501', null, 'as its person and nobody else');
select t.act_as('agent', person => null, scopes => '["data:*"]');
select is_empty('select 1 from public.papers', 'who acts for nobody has nobody''s rows');
select t.act_as('agent', tenant => 'b', scopes => '["data:*"]');
select is_empty('select 1 from public.papers', 'nor has another tenant''s agent');
select throws_ok('select from tenon.agents', '42501', null, 'agents are not there to be read');
select throws_ok('select from tenon.keys', '42501', null, 'nor are keys');
select throws_ok('select from auth.users', '42501', null, 'nor are people');
reset role;

-- Keys
create function t.agent(name text, tenant text default 'a', person integer default 1, scopes jsonb default '["data:*"]', ends timestamptz default now() + interval '1 day')
    returns uuid language sql as $$
    insert into tenon.agents (tenant_id, name, user_id, scopes, expires_at, rate_per_minute)
    values (t.tenant(tenant), name, case when person is not null then t.person(tenant, person) end, scopes, ends, 7) returning id $$;
create function t.key(agent uuid, secret text, own_scopes jsonb default null, ends timestamptz default null) returns uuid language sql as $$
    insert into tenon.keys (tenant_id, kind, name, hash, hint, agent_id, scopes, expires_at)
    select a.tenant_id, 'agent', 'k', sha256(secret::bytea), 'hint', a.id, own_scopes, ends from tenon.agents a where a.id = agent returning id $$;
create temporary table made as select t.agent('helper') as helper, t.agent('cron', person => null, scopes => '["ai:chat"]') as cron;
grant select on made to public;
select t.key(helper, 'wide'), t.key(helper, 'narrow', '["data:papers:read", "chat:read"]', now() + interval '1 hour'), t.key(cron, 'cron') from made \g /dev/null
select results_eq($$ select k.scopes, k.user_id, k.expires_at, k.agent_id, k.rate_per_minute, k.person_status, k.claims - 'user_metadata' - 'app_metadata' - 'phone' - 'teams'
                       from tenon.find_key(sha256('wide')) k $$,
    $$ select '["data:*"]'::jsonb, t.person('a', 1), now() + interval '1 day', helper, 7, 'active',
              jsonb_build_object('sub', t.person('a', 1), 'role', 'agent', 'email', 'a1@example.com', 'tenant_id', t.tenant('a'), 'is_anonymous', false,
                                 'act', jsonb_build_object('sub', helper, 'name', 'helper')) from made $$,
    'a key is its agent, and its claims are the person''s without how they signed in');
select results_eq($$ select k.scopes, k.expires_at from tenon.find_key(sha256('narrow')) k $$,
    $$ values ('["data:papers:read"]'::jsonb, now() + interval '1 hour') $$, 'a key may be narrower and shorter, and no wider');
select results_eq($$ select k.scopes, k.user_id, k.person_status, k.claims from tenon.find_key(sha256('cron')) k $$,
    $$ select '["ai:chat", "chat:read", "chat:write"]'::jsonb, null::uuid, null, jsonb_build_object('role', 'agent', 'tenant_id', t.tenant('a'),
              'act', jsonb_build_object('sub', cron, 'name', 'cron')) from made $$, 'an agent of nobody has no person');
update auth.users set banned_until = now() + interval '1 hour' where id = t.person('a', 1);
select is((select k.person_status from tenon.find_key(sha256('wide')) k), 'banned', 'a ban is told');
update auth.users set banned_until = null, deleted_at = now() where id = t.person('a', 1);
select is_empty($$ select from tenon.find_key(sha256('wide')) $$, 'who is deleted has no agents');
update auth.users set deleted_at = null where id = t.person('a', 1);
savepoint revoked;
update tenon.agents set revoked_at = now() where id = (select helper from made);
select is_empty($$ select from tenon.find_key(sha256('wide')) $$, 'an agent that is revoked has no keys');
rollback to revoked;
delete from tenon.agents where name = 'helper';
select is_empty($$ select from tenon.keys where hash in (sha256('wide'), sha256('narrow')) $$, 'they go with it');
rollback to revoked;

insert into tenon.keys (tenant_id, kind, name, hash, hint, scopes, user_id, expires_at)
values (t.tenant('b'), 'agent', 'older', sha256('older'), 'hint', '["data:x:read"]', t.person('b', 1), now() + interval '1 day');
select results_eq($$ select k.scopes, k.user_id, a.name from tenon.find_key(sha256('older')) k join tenon.agents a on a.tenant_id = k.tenant_id and a.id = k.agent_id $$,
    $$ values ('["data:x:read"]'::jsonb, t.person('b', 1), 'older') $$, 'a key that names no agent makes one');
select throws_ok(format($$ insert into tenon.keys (tenant_id, kind, name, hash, hint, agent_id, expires_at) values (%L, 'agent', 'x', sha256('1'), 'hint', %L, now()) $$, t.tenant('b'), helper),
    '23503', null, 'no key of another tenant''s agent') from made;
select throws_ok(format($$ insert into tenon.keys (tenant_id, kind, name, hash, hint, agent_id) values (%L, 'secret', 'x', sha256('1'), 'hint', %L) $$, t.tenant('a'), helper),
    '23514', null, 'a secret key is no agent''s') from made;
select throws_ok($$ select t.agent('x', scopes => '{}') $$, '23514', null, 'scopes are a list');
select throws_ok($$ insert into tenon.agents (tenant_id, name, user_id, expires_at) values (t.tenant('a'), 'x', t.person('b', 1), now()) $$, '23503', null, 'nor a person of another tenant''s');

-- Who is asking
create function t.hash_as(claims jsonb) returns text language plpgsql as $$
begin
    perform set_config('request.jwt.claims', claims::text, true);
    return tenon.caller_hash();
end $$;
select set_config('request.jwt.claims', jsonb_build_object('role', 'agent', 'act', jsonb_build_object('sub', helper, 'name', 'helper'))::text, true) from made \g /dev/null
select is(tenon.agent_id(), helper, 'the agent of the claim act') from made;
select set_config('request.jwt.claims', jsonb_build_object('role', 'authenticated', 'act', jsonb_build_object('sub', helper))::text, true) from made \g /dev/null
select is(tenon.agent_id(), null, 'believed of agents only');
select set_config('request.jwt.claims', '{"role": "agent", "act": {"sub": "key:00000000-0000-7000-8000-00000000000a"}}', true) \g /dev/null
select is(tenon.agent_id(), null, 'a key that exchanged a token is none');
select set_config('request.jwt.claims', '{"role": "agent"}', true) \g /dev/null
select is(tenon.agent_id(), null, 'nor is nobody');

select is(count(distinct t.hash_as(claims)), 5::bigint, 'answers that are kept are of one agent and one scope each, and not their person''s')
  from (values ('{"role": "authenticated", "sub": "p"}'::jsonb), ('{"role": "agent", "sub": "p", "act": {"sub": "1"}}'), ('{"role": "agent", "sub": "p", "act": {"sub": "2"}}'),
               ('{"role": "agent", "sub": "p", "act": {"sub": "1"}, "scope": "data:*"}'), ('{"role": "agent", "sub": "p", "act": {"sub": "1"}, "scope": "data:x:read"}')) c (claims);

-- Money
create function t.as_agent(agent uuid, role text) returns void language sql as $$
    select set_config('request.jwt.claims', jsonb_build_object('role', 'agent', 'sub', t.person('a', 1), 'act', jsonb_build_object('sub', agent))::text, true),
           set_config('tenon.tenant_id', t.tenant('a')::text, true), set_config('tenon.scopes', '["usage:read"]', true), set_config('role', role, true) $$ \g /dev/null
select t.act_as('tenon_worker');
select auth.set_agent_budget(helper, '{"period": "day", "cap_micros": 100}') from made;
select t.as_agent(helper, 'tenon_worker') from made;
select is(tenon.reserve(t.person('a', 1), t.person('a', 1), null, 60), null, 'within the agent''s budget');
select is(tenon.reserve(t.person('a', 2), t.person('a', 1), null, 60) ->> 'subject', 'agent', 'and no further');
select is(tenon.reserve(t.person('a', 2), t.person('a', 1), null, null) ->> 'code', 'price_unknown', 'what cannot be counted is not spent');
select t.as_agent(cron, 'tenon_worker') from made;
select is(tenon.reserve(t.person('a', 2), t.person('a', 1), null, 60), null, 'another agent of the same person has none');
select t.as_agent(helper, 'agent') from made;
select results_eq('select subject, spent_micros, reserved_micros from tenon.budgets', $$ values ('agent', 0::bigint, 60::bigint) $$, 'an agent sees its own');
select t.as_agent(cron, 'agent') from made;
select is_empty('select from tenon.budgets', 'and no other''s');
select t.act_as('tenon_worker');
select is(tenon.settle(t.person('a', 1), 50), true, 'settled');
select is(auth.agent_object(a) -> 'budget' ->> 'spent_micros', '50', 'and shown') from tenon.agents a, made where a.id = helper;
select t.as_agent(helper, 'tenon_worker') from made;
insert into ai.runs (id, owner_id, caller_id, provider_name, request_model, cost_micros) values (t.person('b', 1), t.person('a', 1), t.person('a', 1), 'echo', 'echo', 30);
select is(agent_id, helper, 'a run knows whose it was') from ai.runs r, made where r.id = t.person('b', 1);
select t.act_as('tenon_worker');
select is(tenon.reserve(t.person('b', 1), null, null, 60) ->> 'subject', 'agent', 'also for who settles it later, without the agent''s claims');
select auth.set_agent_budget(helper, '{"period": "month", "cap_micros": 100}') from made;
select results_eq($$ select b.period, b.spent_micros from tenon.budgets b, made where b.subject_id = helper $$, $$ values ('month', 30::bigint) $$, 'a new cap counts what its runs have cost');
select auth.set_agent_budget(helper, 'null') from made;
select is_empty($$ select from tenon.budgets b, made where b.subject_id = helper $$, 'or there is none');

-- Token exchange
reset role;
insert into auth.sessions (tenant_id, id, user_id) values (t.tenant('a'), t.person('c', 1), t.person('a', 1));
create function t.exchange(subject jsonb, actor uuid, scopes jsonb, wanted jsonb) returns text language sql as $$
    select coalesce(r.outcome || ': ' || r.problem, r.claims ->> 'scope') from auth.exchange_token(
        jsonb_build_object('sub', t.person('a', 1), 'role', 'authenticated', 'session_id', t.person('c', 1)) || subject, actor, scopes, 'client', wanted, null) r $$;
select t.act_as('tenon_worker');
select is(t.exchange('{}', helper, '["data:*"]', '["data:x:read", "data:y:*"]'), 'data:x:read data:y:*', 'narrower') from made;
select is(t.exchange('{}', helper, '["data:*"]', null), 'data:*', 'all that the agent has') from made;
select is(t.exchange('{}', null, null, '["data:x:read"]'), 'data:x:read', 'by oneself');
select matches(t.exchange(subject, case when agent then helper end, scopes, wanted), refusal, why)
  from made, (values ('{}'::jsonb, true, '["data:*"]'::jsonb, '["chat:read"]'::jsonb, '^invalid_scope', 'wider than the agent'),
                     ('{}', true, '["data:*"]', '["*"]', '^invalid_scope', 'malformed'),
                     ('{}', false, null, null, '^invalid_scope', 'nothing asked for, and no agent'),
                     ('{"role": "agent", "scope": "data:x:read", "act": {"sub": "client"}}', true, '["data:*"]', '["data:y:read"]', '^invalid_scope', 'wider than the token'),
                     (jsonb_build_object('sub', t.person('a', 2)), true, '["data:*"]', null, '^invalid_request', 'another''s agent, or session'),
                     (jsonb_build_object('sub', t.person('b', 1), 'session_id', null), false, null, '["data:x:read"]', '^invalid_request', 'nobody of this tenant'),
                     (jsonb_build_object('session_id', t.person('c', 2)), false, null, '["data:x:read"]', '^invalid_request', 'a session that is over'),
                     ('{"role": "agent", "scope": "data:x:read", "act": {"sub": "1", "act": {"sub": "2", "act": {"sub": "3", "act": {"sub": "4"}}}}}', false, null, null, 'too often', 'a chain has an end'))
       c (subject, agent, scopes, wanted, refusal, why);
select is(t.exchange('{"role": "agent", "scope": "data:x:read data:z:read", "act": {"sub": "client"}}', helper, '["data:x:*", "data:y:*"]', null), 'data:x:read', 'a chain has what all have') from made;

reset role;
create function t.token(actor text, more jsonb default '{}') returns jsonb language sql as $$
    select jsonb_build_object('sub', t.person('a', 1), 'session_id', t.person('c', 1), 'scope', 'data:papers:read chat:read', 'role', 'agent', 'act', jsonb_build_object('sub', actor)) || more $$;
select t.act_as('tenon_authenticator', tenant => null);
select results_eq($$ select d.scopes, d.agent_id, d.rate_per_minute, d.person_status, d.claims ->> 'role', d.claims ->> 'email' from made, tenon.find_delegation(t.tenant('a'), t.token(helper::text)) d $$,
    $$ select '["data:papers:read"]'::jsonb, helper, 7, 'active', 'agent', 'a1@example.com' from made $$, 'a token allows what its agent still has');
select results_eq($$ select d.scopes, d.agent_id from tenon.find_delegation(t.tenant('a'), t.token('client')) d $$,
    $$ values ('["data:papers:read", "chat:read"]'::jsonb, null::uuid) $$, 'one without an agent what it says');
select is_empty(format('select from tenon.find_delegation(%L, %L)', t.tenant(tenant), token), why)
  from made, lateral (values ('b', t.token(helper::text), 'in another tenant it is nothing'), ('a', t.token(gen_random_uuid()::text), 'an agent that is not there'),
                     ('a', t.token(helper::text, jsonb_build_object('sub', t.person('a', 2))), 'an agent that acts for another'),
                     ('a', t.token(helper::text, jsonb_build_object('session_id', gen_random_uuid())), 'a session that is over'),
                     ('a', t.token('key:' || gen_random_uuid()), 'a key that is not there'), ('a', t.token(helper::text) - 'act', 'nobody acts'), ('a', t.token(helper::text) - 'scope', 'no scope'),
                     ('a', t.token('client', jsonb_build_object('act', jsonb_build_object('sub', 'client', 'act', jsonb_build_object('sub', gen_random_uuid())))), 'nor is there one before it'))
       c (tenant, token, why);
select t.act_as('service_role');
select throws_ok($$ select from tenon.find_delegation(t.tenant('a'), '{}') $$, '42501', null, 'nobody else looks them up');

-- The log
reset role;
select set_config('request.jwt.claims', jsonb_build_object('role', 'agent', 'sub', t.person('a', 1), 'act', jsonb_build_object('sub', helper, 'name', 'helper'))::text, true),
       set_config('tenon.tenant_id', t.tenant('a')::text, true), set_config('role', 'tenon_worker', true) from made \g /dev/null
select auth.record_agent_request(t.person('a', 1), '{"method": "GET", "status": 200}', '127.0.0.1');
select results_eq($$ select e.agent_id, e.payload ->> 'actor_username', e.payload ->> 'agent_name', e.payload ->> 'action', e.payload -> 'traits' ->> 'status'
                       from auth.audit_log_entries e, made where e.agent_id = helper $$,
    $$ select helper, 'a1@example.com', 'helper', 'agent_request', '200' from made $$, 'person U through agent A did X');
select is(jsonb_array_length((auth.agent_activity(t.person('a', 1), null, helper, 10, null)).result -> 'activity'), 1, 'the person reads it') from made;
select is((auth.agent_activity(t.person('a', 2), null, helper, 10, null)).outcome, 'agent_not_found', 'and nobody else') from made;

-- Managing them
reset role;
update auth.users set email_confirmed_at = now();
create function t.create_agent(caller uuid, for_person uuid default null, name text default 'x', scopes jsonb default '["data:*"]', lifetime_s bigint default 60, budget jsonb default null)
    returns text language sql as $$
    select coalesce(r.outcome, r.result ->> 'user_id', 'nobody''s') from auth.create_agent(caller, null, for_person, name, scopes, lifetime_s, null, budget, 3600, 2, null, 'sealed') r $$;
select t.act_as('tenon_worker');
select is(t.create_agent(caller, for_person, name, scopes, lifetime_s, budget), expected, why)
  from (values (t.person('a', 2), null::uuid, 'x', '["data:*"]'::jsonb, 60::bigint, null::jsonb, t.person('a', 2)::text, 'for oneself'),
               (t.person('a', 2), t.person('a', 1), 'x', '["data:*"]', 60, null, 'not_admin', 'for nobody else'),
               (null, t.person('a', 1), 'x', '["data:*"]', 60, null, t.person('a', 1)::text, 'the secret key for anybody'),
               (null, null, 'x', '["data:*"]', 60, null, 'nobody''s', 'and for nobody'),
               (null, t.person('b', 1), 'x', '["data:*"]', 60, null, 'user_not_found', 'of its tenant'),
               (t.person('b', 1), null, 'x', '["data:*"]', 60, null, 'user_not_found', 'a person of another tenant is nobody here'),
               (t.person('a', 2), null, 'x', '["*"]', 60, null, 'validation_failed', 'scopes are well formed'),
               (t.person('a', 2), null, 'x', '["data:*"]', 3601, null, 'validation_failed', 'its life has an end'),
               (t.person('a', 2), null, 'x', '["data:*"]', 0, null, 'validation_failed', 'and a beginning'),
               (t.person('a', 2), null, null, '["data:*"]', 60, null, 'validation_failed', 'it has a name'),
               (t.person('a', 2), null, 'x', '["data:*"]', 60, '{"period": "day"}', 'validation_failed', 'a budget has a cap'),
               (t.person('a', 2), null, 'x', '["data:*"]', 60, '{"period": "day", "cap_micros": 5}', t.person('a', 2)::text, 'a second one'),
               (t.person('a', 2), null, 'x', '["data:*"]', 60, null, 'too_many_agents', 'and no third')) c (caller, for_person, name, scopes, lifetime_s, budget, expected, why);
select is(count(*), 3::bigint, 'and each time the person is told') from tenon.outbox where kind = 'agent_created' and recipient in ('a1@example.com', 'a2@example.com');
reset role;
update auth.users set is_anonymous = true where id = t.person('a', 2);
select is(auth.agent_caller_problem(t.person('a', 2), null), 'no_authorization', 'who has no account has no agents') from (select t.act_as('tenon_worker')) x;
select is(auth.agent_caller_problem(t.person('a', 1), gen_random_uuid()), 'session_not_found', 'nor who has no session');
reset role;
update auth.users set banned_until = now() + interval '1 hour' where id = t.person('a', 1);
select is(auth.agent_caller_problem(t.person('a', 1), null), 'user_banned', 'nor who is banned');
select is_empty($$
    select p.oid::regprocedure, r from pg_proc p, unnest(array['anon', 'authenticated', 'agent', 'service_role']) r
     where p.pronamespace in ('auth'::regnamespace, 'tenon'::regnamespace) and p.proname ~ 'agent|delegation|exchange_token' and p.proname <> 'agent_id'
       and has_function_privilege(r, p.oid, 'execute') $$, 'no request calls what manages agents');
select * from finish();
rollback;
