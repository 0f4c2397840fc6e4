-- t/sql/sessions.sql: people sign up, sign in and exchange refresh tokens
begin;
select * from no_plan();

create function t.session(n integer) returns uuid language sql immutable as $$
    select ('00000000-0000-7000-8000-00000000e' || lpad(n::text, 3, '0'))::uuid
$$;
create function t.opening(n integer) returns auth.new_session language sql as $$
    select row(t.session(n), 'hash ' || n, 'agent', '127.0.0.1', 0)::auth.new_session
$$;
create function t.refresh(n integer, counter bigint, presented text, successor text, reuse_s bigint default 0) returns text language sql as $$
    select concat_ws(' ', r.outcome, r.counter) from auth.refresh_session(t.session(n), counter, presented, successor,
        row(reuse_s, 0, false)::auth.refresh_rules, 'agent', '127.0.0.1') r
$$;
create function t.sign_up(address text, metadata jsonb, autoconfirm boolean, n integer) returns text language sql as $$
    select r.outcome from auth.sign_up(row('email', address, 'code', '\x00', 60, 60, null, null, null)::auth.message, 'hash', metadata, autoconfirm, t.opening(n)) r
$$;
grant execute on all functions in schema t to public;

select t.act_as('tenon_worker');
select is(t.sign_up('new@example.com', '{"n": 1}', true, 1), 'session', 'a sign-up that is confirmed at once is signed in');
select results_eq($$ select u.email, i.provider, s.id, r.revoked from auth.users u join auth.identities i on i.user_id = u.id join auth.sessions s on s.user_id = u.id
                       join auth.refresh_tokens r on r.session_id = s.id where u.email = 'new@example.com' $$,
    $$ values ('new@example.com', 'email', t.session(1), false) $$, 'with an identity, a session and a refresh token');
select is(t.sign_up('new@example.com', '{}', true, 2), 'user_already_exists', 'once');
select is(t.sign_up('new@example.com', '{}', false, 2), 'fabricated', 'and where that may not be told, it is not');
select is(t.sign_up('later@example.com', '{}', false, 2), 'user', 'one that awaits confirmation');
select is(t.sign_up('later@example.com', '{}', false, 2), 'over_email_send_rate_limit', 'is not asked again within a minute');
select is(count(*), 1::bigint, 'and has one code') from auth.one_time_tokens;
select t.act_as('tenon_worker', tenant => 'b');
select is(t.sign_up('new@example.com', '{}', true, 3), 'session', 'in another tenant the address is free');
select is(t.refresh(1, 0, 'hash 1', 'x'), 'refresh_token_not_found', 'and the session of this one is not there');

select t.act_as('tenon_worker');
create temporary table who as select id from auth.users where email = 'new@example.com';
select is(outcome, 'session', 'a right password') from who, auth.sign_in(who.id, 'hash', 'better hash', false, t.opening(4));
select is(outcome, 'invalid_credentials', 'that was changed meanwhile') from who, auth.sign_in(who.id, 'hash', null, false, t.opening(5));
update auth.users set banned_until = now() + interval '1 day' where email = 'new@example.com';
select is(outcome, 'user_banned', 'somebody who is banned') from who, auth.sign_in(who.id, 'better hash', null, false, t.opening(5));
select is(t.refresh(1, 0, 'hash 1', 'x'), 'user_banned', 'does not refresh either');
update auth.users set banned_until = null where email = 'new@example.com';
select is(outcome, 'email_not_confirmed', 'somebody who is not confirmed') from auth.users u, auth.sign_in(u.id, 'hash', null, false, t.opening(5)) where u.email = 'later@example.com';

-- Rotation
select is(t.refresh(1, 0, 'hash 1', 'second'), 'session 1', 'a refresh token is exchanged for the next');
select is(t.refresh(1, 0, 'hash 1', 'second'), 'session 1', 'the same again, because the answer was lost: the next once more');
select is(t.refresh(1, 1, 'second', 'third'), 'session 2', 'the next in turn');
select is(count(*) filter (where not revoked), 1::bigint, 'one is in force at a time') from auth.refresh_tokens where session_id = t.session(1);
select is(t.refresh(1, 7, 'never made', 'x'), 'refresh_token_not_found', 'one with a counter that was not reached yet');
update auth.refresh_tokens set updated_at = now() - interval '1 hour' where session_id = t.session(1);
select is(t.refresh(1, 0, 'hash 1', 'second', 10), 'refresh_token_already_used', 'an old one: somebody has a copy');
select is(count(*) filter (where not revoked), 0::bigint, 'so all of the session end') from auth.refresh_tokens where session_id = t.session(1);
select is(t.refresh(1, 2, 'third', 'fourth'), 'refresh_token_already_used', 'the newest too');
select is(t.refresh(4, 0, 'hash 4', 'x'), 'session 1', 'other sessions of the person go on');
update auth.sessions set not_after = now() where id = t.session(4);
select is(t.refresh(4, 1, 'x', 'y'), 'session_expired', 'until they end');

-- Nobody but the server
select t.act_as('authenticated');
select throws_ok('select from auth.' || name, '42501', null, 'no request reads auth.' || name)
  from unnest(array['users', 'identities', 'sessions', 'refresh_tokens', 'mfa_amr_claims', 'one_time_tokens']) name;
select throws_ok($$ select auth.sign_in(auth.uid(), 'x', null, false, null) $$, '42501', null, 'or signs anybody in');

select * from finish();
rollback;
