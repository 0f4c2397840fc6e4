-- t/sql/flows.sql: codes, links and flows: what each is good for, how often, and what is left of them
begin;
select * from no_plan();

create function t.session(n integer) returns uuid language sql immutable as $$
    select ('00000000-0000-7000-8000-00000000e' || lpad(n::text, 3, '0'))::uuid
$$;
create function t.opening(n integer) returns auth.new_session language sql as $$
    select row(t.session(n), 'hash ' || n, 'agent', '127.0.0.1', 0)::auth.new_session
$$;
create function t.message(address text, hash text, challenge text default null) returns auth.message language sql as $$
    select row(case when address ~ '@' then 'email' else 'sms' end, address, hash, '\x00', 60, 60, challenge, case when challenge <> '' then 's256' end,
               'https://app.example.com')::auth.message
$$;
create function t.redeem(kind text, hash text, address text, n integer, code text default null, wants boolean default false) returns text language sql as $$
    select r.outcome from auth.redeem_token(kind, hash, address, t.opening(n), code, wants, true, null) r
$$;
create function t.refresh(n integer, inactive_s bigint, single boolean) returns text language sql as $$
    select r.outcome from auth.refresh_session(t.session(n), 0, 'hash ' || n, 'next ' || n, row(10, inactive_s, single)::auth.refresh_rules, 'agent', '127.0.0.1') r
$$;
create function t.ask(address text, hash text, creates boolean default true, joins boolean default true, autoconfirm boolean default false) returns text language sql as $$
    select r.outcome || coalesce(' ' || (r.failure ->> 'code'), '') from auth.ask_code(t.message(address, hash), '{}', creates, joins, autoconfirm, '127.0.0.1') r
$$;
grant execute on all functions in schema t to public;

select t.act_as('tenon_worker');

-- A sign-up, its message and its token
select is(r.outcome, 'user', 'a sign-up awaits confirmation') from auth.sign_up(t.message('ada@example.com', 'h1', 'challenge'), 'secret', '{}', false, t.opening(1)) r;
select results_eq($$ select o.channel, o.kind, o.recipient, k.token_type::text, k.token_hash, f.authentication_method, f.code_challenge
                       from tenon.outbox o join auth.users u on u.id = o.user_id join auth.one_time_tokens k on k.user_id = u.id join auth.flow_state f on f.id = k.flow_state_id $$,
    $$ values ('email', 'confirmation', 'ada@example.com', 'confirmation_token', 'h1', 'email/signup', 'challenge') $$,
    'a letter is posted, its token expected, and the flow waits');
select t.act_as('tenon_worker', tenant => 'b');
select is(t.redeem('signup', 'h1', null, 2), 'otp_expired', 'in another tenant the link is nothing');
select t.act_as('tenon_worker');
select is(t.redeem('recovery', 'h1', null, 2), 'otp_expired', 'nor is it of another type');
select is(t.redeem('sms', 'h1', null, 2), 'otp_expired', 'or side');
select is(t.redeem('signup', 'h1', 'bob@example.com', 2), 'otp_expired', 'or for another address');
select is(t.redeem('signup', 'h1', null, 2, 'code hash', true), 'code', 'followed, it gives the flow a code');
select is(t.redeem('signup', 'h1', null, 2, 'code hash', true), 'otp_expired', 'once');
select ok(u.email_confirmed_at is not null, 'and confirms the address') from auth.users u where u.email = 'ada@example.com';

-- The code of a flow
select is(r.outcome, 'flow_state_not_found', 'a code that nobody has') from auth.redeem_code('other', 'v', 'challenge', 300, t.opening(3)) r;
select is(r.outcome, 'bad_code_verifier', 'the wrong verifier') from auth.redeem_code('code hash', 'challenge', 'other', 300, t.opening(3)) r;
select is(r.outcome, 'flow_state_expired', 'too late') from auth.redeem_code('code hash', 'v', 'challenge', -1, t.opening(3)) r;
select is(r.outcome || ' ' || (r.claims #>> '{amr,0,method}'), 'session email/signup', 'the right one') from auth.redeem_code('code hash', 'v', 'challenge', 300, t.opening(3)) r;
select is(r.outcome, 'flow_state_not_found', 'is good once') from auth.redeem_code('code hash', 'v', 'challenge', 300, t.opening(3)) r;

-- A flow through a provider
create temporary table flow as select auth.begin_flow('github', 'oauth', null, null, 'https://app.example.com') as id;
select is(r.outcome || ' ' || (r.state).provider_type, 'flow github', 'a provider sends somebody back') from flow, auth.return_to_flow(flow.id) r;
select is(r.outcome, 'flow_state_already_used', 'once') from flow, auth.return_to_flow(flow.id) r;
select is(r.outcome, 'bad_oauth_state', 'a state of nobody') from auth.return_to_flow(gen_random_uuid()) r;
select is(r.outcome, 'bad_oauth_state', 'or one that is too old') from auth.return_to_flow(auth.begin_flow('github', 'oauth', null, null, ''), -1) r;
select ok(auth.issue_code(flow.id, u.id, 'another', '\x01', '\x02'), 'it is given a code') from flow, auth.users u where u.email = 'ada@example.com';
select ok(not auth.issue_code(flow.id, u.id, 'a third'), 'and no other') from flow, auth.users u where u.email = 'ada@example.com';
select is(r.outcome, 'bad_code_verifier', 'which without a challenge is worth nothing') from auth.redeem_code('another', '', '', 300, t.opening(4)) r;
update auth.flow_state f set code_challenge = 'c', code_challenge_method = 's256' from flow where f.id = flow.id;
select is(concat_ws(' ', r.outcome, r.access, r.refresh), 'session \x01 \x02', 'with one it gives the provider''s tokens, sealed') from auth.redeem_code('another', 'v', 'c', 300, t.opening(4)) r;
select is(concat(f.provider_access_token, f.provider_refresh_token, f.auth_code), '', 'which are kept no longer') from auth.flow_state f, flow where f.id = flow.id;

-- Who asks for a code
select is(t.ask('nobody@example.com', 'x', creates => false), 'otp_disabled', 'somebody new who may not sign up');
select is(t.ask('nobody@example.com', 'x', joins => false), 'sent', 'or whom nobody lets in: no word of it');
select is_empty($$ select from auth.users where email = 'nobody@example.com' $$, 'and nobody is there');
select is((select count(*) from tenon.outbox), 1::bigint, 'nor a letter');
select is((select count(*) from auth.flow_state), 3::bigint, 'nor a flow') from auth.pretend(t.message('nobody@example.com', 'x', 'challenge'));
select is(t.ask('eve@example.com', 'h2'), 'sent', 'somebody new is let in');
select is(t.ask('eve@example.com', 'h3'), 'over_email_send_rate_limit', 'and not sent another at once');
select is(t.redeem('email', 'h2', 'eve@example.com', 5), 'session', 'the code signs in');
select is(t.ask('eve@example.com', 'h4'), 'sent', 'then a code is sent to sign in by');
select is(t.redeem('signup', 'h4', 'eve@example.com', 6), 'otp_expired', 'which is none for a sign-up');
select is(t.redeem('magiclink', 'h4', 'eve@example.com', 6), 'session', 'but for a sign-in');
select is(t.ask('4930111', 'h5', autoconfirm => true), 'sent', 'a number that counts as confirmed at once');
select is(o.channel || ' ' || o.kind, 'sms magiclink', 'is sent a code all the same') from tenon.outbox o where o.recipient = '4930111';
select is(t.redeem('sms', 'h5', '4930111', 7), 'session', 'and signs in by it');

-- Guesses
update auth.users set recovery_sent_at = null;
select is(r.outcome, 'sent', 'a recovery') from auth.ask_recovery(t.message('eve@example.com', 'h6'), null) r;
do $$ begin perform t.redeem('recovery', 'wrong', 'eve@example.com', 8) from generate_series(1, 12); end $$;
select is(attempts, 10::smallint, 'wrong guesses are counted up to ten') from auth.one_time_tokens where token_hash = 'h6';
select is(t.redeem('recovery', 'h6', 'eve@example.com', 8), 'otp_expired', 'and then the right one is none');
select is(t.redeem('recovery', 'h6', null, 8), 'otp_expired', 'nor the link');

-- What ends a session
update auth.users set banned_until = null;
select is(t.refresh(3, 0, false), 'session', 'a session that nothing ends');
update auth.sessions set refreshed_at = now() - interval '1 hour', created_at = now() - interval '2 hours' where id = t.session(4);
select is(t.refresh(4, 3599, false), 'session_expired', 'one that was not refreshed for too long');
select is(t.refresh(4, 3601, false), 'session', 'or just not');
update auth.sessions set created_at = now() - interval '1 hour' where id = t.session(5);
select is(t.refresh(5, 0, true), 'session_expired', 'one of which there is a newer');
select is(t.refresh(6, 0, true), 'session', 'the newest');
update auth.sessions set not_after = now() where id = t.session(6);
select is(t.refresh(5, 0, true), 'session', 'and one whose successor is over');

-- Across tenants there are two questions, and a broom
select ok(not has_function_privilege(r, f, 'execute'), r || ' does not call ' || f)
  from unnest(array['anon', 'authenticated', 'agent', 'service_role']) r,
       unnest(array['tenon.tenant_of_token(text)', 'tenon.tenant_of_flow(uuid)', 'tenon.sweep_flows()', 'auth.person_at(text, text)',
                    'auth.issue_code(uuid, uuid, text, bytea, bytea)', 'auth.redeem_code(text, text, text, bigint, auth.new_session)']) f;
grant select on flow to public;
select t.act_as('tenon_authenticator', tenant => null);
select is(tenon.tenant_of_flow(id), t.tenant('a'), 'whose flow it is') from flow;
select is(tenon.tenant_of_flow(gen_random_uuid()), null::uuid, 'or nobody''s');
select is(tenon.tenant_of_token('h6'), t.tenant('a'), 'whose link it is');
select is(tenon.tenant_of_token('nobody''s'), null::uuid, 'or nobody''s');
select t.act_as('tenon_worker');
update auth.flow_state set created_at = now() - interval '2 days', updated_at = now() - interval '2 days';
update auth.one_time_tokens set expires_at = now() - interval '2 days';
select cmp_ok(tenon.sweep_flows(), '>=', 4::bigint, 'what is old is swept');
select is_empty('select from auth.flow_state', 'flows');
select is_empty('select from auth.one_time_tokens', 'and codes');

select * from finish();
rollback;
