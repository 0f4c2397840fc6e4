-- t/sql/factors.sql: second factors, recovery codes and passkeys in the database
begin;
select * from no_plan();

create function t.session(n integer) returns uuid language sql immutable as $$
    select ('00000000-0000-7000-8000-00000000e' || lpad(n::text, 3, '0'))::uuid
$$;
create function t.factor(n integer) returns uuid language sql immutable as $$
    select ('00000000-0000-7000-8000-00000000f' || lpad(n::text, 3, '0'))::uuid
$$;
create function t.me() returns uuid language sql immutable as $$ select t.person('a', 1) $$;
create function t.open(n integer, method text default 'password') returns void language sql as $$
    select auth.open_session(t.me(), row(t.session(n), 'hash ' || n, 'agent', '192.0.2.1', 0)::auth.new_session, method)
$$;
create function t.enroll(n integer, session integer, name text, kind auth.factor_type default 'totp', phone text default null) returns text language sql as $$
    select r.outcome from auth.enroll_factor(t.me(), t.session(session), t.factor(n), kind, name, 'sealed', phone, 3, '192.0.2.1') r
$$;
create function t.ask(n integer, session integer, address inet default '192.0.2.1') returns text language sql as $$
    select r.outcome from auth.challenge_factor(t.me(), t.session(session), t.factor(n), t.factor(n + 100), address, null, null, null) r
$$;
create function t.attempt(n integer, session integer, address inet default '192.0.2.1') returns text language sql as $$
    select r.outcome from auth.attempt_factor(t.me(), t.session(session), t.factor(n), t.factor(n + 100), address) r
$$;
create function t.verify(n integer, session integer, step bigint, counter bigint default 2, address inet default '192.0.2.1') returns text language sql as $$
    select r.outcome from auth.verify_factor(t.me(), t.session(session), t.factor(n), t.factor(n + 100), address, step, null, 'new ' || session || counter, counter, '\x00') r
$$;
create function t.answer(credential bytea, counter bigint, key bytea default null) returns auth.webauthn_answer language sql immutable as $$
    select row(credential, key, case when key is not null then -7 end, counter, null, case when key is not null then '[]'::jsonb end, false, false,
               case when key is not null then 'none' end)::auth.webauthn_answer
$$;
create function t.sign_in(credential bytea, counter bigint, n integer, twice boolean default false) returns text language sql as $$
    select concat_ws(' ', r.outcome, r.claims ->> 'aal') from auth.sign_in_with_passkey(t.me(), t.answer(credential, counter), twice,
        row(t.session(n), 'hash ' || n, 'agent', '192.0.2.1', 0)::auth.new_session) r
$$;
grant execute on all functions in schema t to public;

select t.act_as('tenon_worker');
select t.open(1), t.open(2);

-- Enrolment
select is(t.enroll(1, 9, 'a'), 'session_not_found', 'a session that is not there enrolls nothing');
select is(t.enroll(1, 1, 'a'), 'enrolled', 'a factor');
select is(t.enroll(2, 1, 'a'), 'mfa_factor_name_conflict', 'of that name there is one');
select is(t.enroll(2, 1, ''), 'enrolled', 'one without a name');
select is(t.enroll(3, 1, ''), 'mfa_factor_name_conflict', 'and no second one');
select is(t.enroll(3, 1, 'phone', 'phone', '491'), 'enrolled', 'a telephone');
select is(t.enroll(4, 1, 'again', 'phone', '491'), 'enrolled', 'the same again takes its place');
select is(t.enroll(5, 1, 'b'), 'too_many_enrolled_mfa_factors', 'three are enough here');
update auth.mfa_factors set created_at = now() - interval '6 minutes' where id in (t.factor(2), t.factor(4));
select is(t.enroll(5, 1, 'b'), 'enrolled', 'what was given up makes room');
update auth.users set is_anonymous = true where id = t.me();
select is(t.enroll(6, 1, 'x'), 'no_authorization', 'nobody anonymous');
update auth.users set is_anonymous = false where id = t.me();

-- Challenge and verification
select is(t.ask(1, 1), 'challenged', 'a challenge');
select is(t.attempt(1, 1, '192.0.2.2'), 'mfa_ip_address_mismatch', 'is answered from where it was asked for');
select is(t.attempt(5, 1), 'mfa_challenge_not_found', 'by the factor that was asked');
select is(t.attempt(1, 1), 'attempt', 'an answer');
select is(attempts, 1, 'counts before it is known') from auth.mfa_factors where id = t.factor(1);
select is(t.verify(1, 1, 100), 'session', 'a right one');
select results_eq($$ select s.aal::text, s.factor_id, s.refresh_token_counter, s.refresh_token_floor from auth.sessions s where s.user_id = t.me() $$,
    $$ values ('aal2', t.factor(1), 2::bigint, 2::bigint) $$, 'raises the session, and the others end');
select results_eq($$ select token, parent from auth.refresh_tokens where user_id = t.me() $$, $$ values ('new 12', null::text) $$, 'with a refresh token that has no parent');
select ok(r.claims ->> 'aal' = 'aal2' and r.claims @> '{"amr": [{"method": "totp"}]}', 'the token says so')
  from auth.describe_session(t.session(1)) r;
select is(outcome, 'refresh_token_already_used', 'the token from before opens nothing')
  from auth.refresh_session(t.session(1), 0, 'hash 1', 'x', row(3600, 0, false)::auth.refresh_rules, 'agent', '192.0.2.1');
select is(outcome, 'session', 'and harms nothing')
  from auth.refresh_session(t.session(1), 2, 'new 12', 'third', row(0, 0, false)::auth.refresh_rules, 'agent', '192.0.2.1');
select is(array_agg(status::text), '{verified}', 'other factors of the kind that were never verified are gone') from auth.mfa_factors where user_id = t.me();
select is(t.attempt(1, 1), 'mfa_ip_address_mismatch', 'a challenge is good once');
delete from auth.mfa_challenges;
select is(t.ask(1, 1), 'challenged', 'another challenge');
select is(t.verify(1, 1, 100, 9), 'mfa_verification_failed', 'the code of the same step is not good again');
select is(t.verify(1, 1, 99, 9), 'mfa_verification_failed', 'nor that of an earlier one');
select is(t.verify(1, 1, 101, 3), 'conflict', 'a session that has gone on meanwhile');
select is(t.verify(1, 1, 101, 9), 'session', 'the next');
select is(attempts, 0, 'after which attempts count anew') from auth.mfa_factors where id = t.factor(1);

delete from auth.mfa_challenges;
select t.ask(1, 1);
select is(string_agg(t.attempt(1, 1), ' '), 'attempt attempt attempt attempt attempt blocked', 'five attempts') from generate_series(1, 6);
select ok(blocked_until between now() + interval '29 seconds' and now() + interval '31 seconds', 'half a minute') from auth.mfa_factors where id = t.factor(1);
update auth.mfa_factors set blocked_until = now() - interval '1 second', attempts = 30 where id = t.factor(1);
select is(t.attempt(1, 1), 'attempt', 'one more when it is over');
select is(blocked_until - now(), interval '1 hour', 'then longer, an hour at most') from auth.mfa_factors where id = t.factor(1);
update auth.mfa_factors set blocked_until = null, attempts = 0;
update auth.mfa_challenges set created_at = now() - interval '5 minutes';
select is(t.attempt(1, 1), 'mfa_challenge_expired', 'after five minutes');

-- A session of one factor
select t.open(3);
select is(t.enroll(6, 3, 'c'), 'insufficient_aal', 'who has a factor needs it to enroll another');
select is(outcome, 'insufficient_aal_for_factor', 'and to take it away') from auth.unenroll_factor(t.me(), t.session(3), t.factor(1), null, null);

-- Recovery codes
select is(outcome, 'insufficient_aal', 'codes are made with both factors') from auth.generate_recovery_codes(t.me(), t.session(3), false, 'codes', '{x,y}', 3, null, '\x00');
select is(outcome, 'generated', 'codes') from auth.generate_recovery_codes(t.me(), t.session(1), false, 'codes', '{x,y}', 3, null, '\x00');
select is(outcome, 'mfa_verified_factor_exists', 'once') from auth.generate_recovery_codes(t.me(), t.session(1), false, 'codes', '{x,y}', 3, null, '\x00');
create temporary table codes as select id from auth.mfa_factors where factor_type = 'recovery_code';
select is(is_right, true, 'one of them') from auth.attempt_recovery_code(t.me(), t.session(3), 'x');
select is(outcome, 'session', 'opens the session') from codes, auth.redeem_recovery_code(t.me(), t.session(3), codes.id, 'x', 'after x', 2, null);
select is(outcome, 'mfa_verification_failed', 'once') from codes, auth.redeem_recovery_code(t.me(), t.session(3), codes.id, 'x', 'after x 2', 4, null);
select is(array_agg(authentication_method order by updated_at, authentication_method), '{mfa/recovery_code,password}', 'as the session says')
  from auth.mfa_amr_claims where session_id = t.session(3);
select is(answer - 'id', '{"type": "recovery_code", "total": 2, "remaining": 1}', 'and one is left') from auth.count_recovery_codes(t.me(), t.session(3));
select is(outcome, 'mfa_recovery_codes_sole_factor', 'they are never the only factor') from auth.unenroll_factor(t.me(), t.session(1), t.factor(1), null, null);
select is(outcome, 'generated', 'new ones') from auth.generate_recovery_codes(t.me(), t.session(1), true, '', '{z}', 3, null, '\x00');
select is(is_right, false, 'end the old ones') from auth.attempt_recovery_code(t.me(), t.session(3), 'y');
select is(outcome, 'dropped', 'gone') from auth.drop_recovery_codes(t.me(), t.session(3), null);
select is(aal, 'aal2', 'who came in by one has proven a factor all the same') from auth.sessions where id = t.session(3);
select is(outcome, 'dropped', 'then the factor may go') from auth.unenroll_factor(t.me(), t.session(1), t.factor(1), null, '\x00');
select ok(r.claims ->> 'aal' = 'aal1' and not r.claims @> '{"amr": [{"method": "totp"}]}', 'and the session is one of one factor') from auth.describe_session(t.session(1)) r;
select ok(not r.user_object ? 'factors', 'without factors') from auth.describe_session(t.session(1)) r;

-- What the operator deletes
insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status) values
    (t.factor(30), t.me(), 'last', 'totp', 'verified'), (t.factor(31), t.me(), 'codes', 'recovery_code', 'verified');
update auth.sessions set aal = 'aal2', factor_id = t.factor(30) where id = t.session(1);
delete from auth.mfa_factors where id = t.factor(30);
select is(aal::text, 'aal1', 'takes the second factor from sessions too') from auth.sessions where id = t.session(1);
select is_empty($$ select from auth.mfa_factors where user_id = t.me() $$, 'and recovery codes do not stay alone');

-- Passkeys and security keys
select is(outcome, 'registered', 'a passkey') from auth.register_passkey(t.me(), t.session(1), t.answer('\x01', 0, '\x02'), 2, null, '\x00');
select is(outcome, 'webauthn_credential_exists', 'once') from auth.register_passkey(t.me(), t.session(1), t.answer('\x01', 0, '\x02'), 2, null, '\x00');
select is(outcome, 'registered', 'another') from auth.register_passkey(t.me(), t.session(1), t.answer('\x03', 5, '\x02'), 2, null, '\x00');
select is(outcome, 'too_many_passkeys', 'and no more') from auth.register_passkey(t.me(), t.session(1), t.answer('\x04', 0, '\x02'), 2, null, '\x00');
update auth.users set email_confirmed_at = now() where id = t.me();
select is(t.sign_in('\x01', 0, 20), 'session aal1', 'one that does not count');
select is(t.sign_in('\x01', 0, 21), 'session aal1', 'signs in again');
select is(t.sign_in('\x03', 5, 22), 'webauthn_verification_failed', 'one that counts must have gone on');
select is(t.sign_in('\x03', 6, 22, true), 'session aal2', 'and may count as two factors');
select is(t.sign_in('\x03', 0, 23), 'webauthn_verification_failed', 'to count no more is to go backwards');
update auth.users set banned_until = now() + interval '1 hour' where id = t.me();
select is(t.sign_in('\x01', 0, 24), 'user_banned', 'who is banned stays outside');
update auth.users set banned_until = null where id = t.me();
select t.act_as('tenon_worker', tenant => 'b');
select is(data, null, 'another tenant has no such key') from auth.take_passkey_challenge(t.factor(1), null, '\x01');
select is(outcome, 'session_not_found', 'nor such a session') from auth.list_passkeys(t.person('b', 1), t.session(1));
select is(auth.passkeys_of(t.me()), '[]', 'nor such a person');

-- Nobody but the server
select t.act_as('authenticated');
select throws_ok('select from auth.' || name, '42501', null, 'no request reads auth.' || name)
  from unnest(array['mfa_factors', 'mfa_challenges', 'mfa_recovery_codes', 'webauthn_credentials', 'webauthn_challenges']) name;
select throws_ok($$ select auth.raise_session(auth.uid(), null, null, 'totp', 'x', 9) $$, '42501', null, 'or raises a session');

select * from finish();
rollback;
