-- t/sql/users.sql: 0009: changes of an account, how they are confirmed, who may do what to whom, and what is left in the end
begin;
select * from no_plan();

create function t.pending(n integer default 1) returns text language sql security definer as $$
    select concat_ws(' ', u.email, nullif(u.email_change, ''), u.email_change_confirm_status, coalesce((select string_agg(token_type::text, ' ' order by token_type)
        from auth.one_time_tokens k where k.user_id = u.id), 'none')) from auth.users u where u.id = t.person('a', n)
$$;
create function t.posted() returns text language sql security definer as $$
    select string_agg(kind || ' ' || recipient, ', ' order by recipient, kind) from tenon.outbox
$$;
create function t.latest() returns text language sql security definer as $$
    select payload ->> 'action' from auth.audit_log_entries order by id desc limit 1
$$;
create function t.ask(secure boolean default true, wait_s bigint default 0, address text default 'new@example.com') returns text language sql as $$
    select auth.expect_change(t.person('a', 1), address, secure, 'new', 'current', '\x01', '\x02', 60, null, wait_s)
$$;
create function t.confirm(half text, secure boolean default true) returns text language sql as $$
    select auth.confirm_change(t.person('a', 1), ('email_change_token_' || half)::auth.one_time_token_type, secure, '\x03', '127.0.0.1')
$$;
grant execute on all functions in schema t to public;
update auth.users set email = 'one@example.com', email_confirmed_at = now(), encrypted_password = 'hash', raw_user_meta_data = '{"email": "one@example.com"}'
 where id = t.person('a', 1);
update auth.users set email = 'two@example.com' where id = t.person('a', 2);
delete from tenon.outbox;

select t.act_as('tenon_worker');

-- Metadata
select is(auth.merge_metadata('{"a": 1, "b": {"c": 2}}', '{"b": {"d": null}, "a": null, "e": []}'), '{"b": {"d": null}, "e": []}', 'key by key; null takes away');
select is(auth.merge_metadata(null, null), '{}', 'nothing and nothing');

-- A new address
savepoint asked;
select is(t.ask(), 'sent', 'a change is asked for');
select is(t.posted(), 'email_change new@example.com, email_change one@example.com', 'both addresses are written to');
select is(t.pending(), 'one@example.com new@example.com 0 email_change_token_new email_change_token_current', 'and both are waited for');
select is(t.ask(wait_s => 60), 'over_email_send_rate_limit', 'not twice a minute');
select is(t.ask(address => 'two@example.com'), 'email_exists', 'not somebody else''s');
select is(t.confirm('new'), 'half', 'the new one answers');
select is(t.pending(), 'one@example.com new@example.com 1 email_change_token_current', 'which is half of it');
select is(t.confirm('new'), 'half', 'and still is, when it answers again');
select is(t.confirm('current'), 'done', 'the old one answers');
select is(t.pending(), 'new@example.com 0 none', 'the address has changed');
select is((select raw_user_meta_data from auth.users where id = t.person('a', 1)), '{"email": "new@example.com", "email_verified": true}', 'in the metadata too');
select ok(t.posted() like '%email_changed one@example.com%', 'and the old one is told');
select is(t.latest(), 'user_modified', 'and so is the log');
select is(t.confirm('current'), 'otp_expired', 'then nothing is pending');
rollback to asked;

select t.act_as('tenon_worker');
select is(t.ask(), 'sent', 'again');
select is(t.confirm('current'), 'half', 'the other way round');
select is(t.ask(), 'sent', 'asking anew');
select is(t.pending(), 'one@example.com new@example.com 0 email_change_token_new email_change_token_current', 'begins anew');
select is(t.confirm('new', secure => false), 'done', 'without secure_email_change the new one is enough');
rollback to asked;

select t.act_as('tenon_worker');
select is(t.ask(secure => false), 'sent', 'not secure');
select is(t.posted(), 'email_change new@example.com', 'only the new one is written to');
select is(t.confirm('current', secure => false), 'half', 'the old one alone is never enough');
select is(t.confirm('new', secure => false), 'done', 'the new one is');
rollback to asked;

select t.act_as('tenon_worker');
select is(t.ask(), 'sent', 'and when it is taken meanwhile');
update auth.users set email = 'new@example.com' where id = t.person('a', 2);
select is(t.confirm('new'), 'email_exists', 'it is taken');
rollback to asked;

-- Somebody anonymous
reset role;
insert into auth.users (tenant_id, id, is_anonymous) values (t.tenant('a'), '00000000-0000-7000-8000-0000000a0003', true);
select t.act_as('tenon_worker');
select is((r).outcome, 'user', 'somebody anonymous asks for an address')
  from auth.update_user(t.person('a', 3), null, '{"email": {"address": "new@example.com", "at_once": false, "secure": true, "token": "n", "token_current": "c",
       "letter": "\\x01", "letter_current": "\\x02", "lifetime_s": "60", "interval_s": "60"}}', null) r;
select is(t.pending(3), 'new@example.com 0 email_change_token_new', 'which alone is waited for');
select is((select is_anonymous from auth.users where id = t.person('a', 3)), true, 'and still is nobody');
select is(auth.confirm_change(t.person('a', 3), 'email_change_token_new', true, null, null), 'done', 'once it has answered');
select results_eq($$ select u.email, u.is_anonymous, u.raw_app_meta_data, i.identity_data ->> 'email_verified' from auth.users u join auth.identities i on i.user_id = u.id
                      where u.id = t.person('a', 3) $$,
    $$ values ('new@example.com', false, '{"provider": "email", "providers": ["email"]}'::jsonb, 'true') $$, 'with an identity');
rollback to asked;

-- A new number
select t.act_as('tenon_worker');
select is(auth.expect_phone_change(t.person('a', 1), '491511', 'number', '\x01', 60), 'sent', 'a number is asked for');
select is(auth.expect_phone_change(t.person('a', 1), '491511', 'number', '\x01', 60), 'over_sms_send_rate_limit', 'not twice a minute');
select is(auth.confirm_change(t.person('a', 1), 'phone_change_token', true, null, null), 'done', 'it answers');
select is((select array[phone, phone_change] from auth.users where id = t.person('a', 1)), '{491511,""}', 'and is theirs');
select is((select raw_app_meta_data -> 'providers' from auth.users where id = t.person('a', 1)) @> '["phone"]', true, 'a way to sign in');
select is(auth.expect_phone_change(t.person('a', 2), '491511', 'number', '\x01', 60), 'phone_exists', 'and nobody else''s');
rollback to asked;

-- Codes for reauthentication
select t.act_as('tenon_worker');
select is(auth.expect_nonce(t.person('a', 1), 'one@example.com', 'right', '\x01', 60, 60, null), 'sent', 'a code is sent');
select is(auth.expect_nonce(t.person('a', 1), 'one@example.com', 'right', '\x01', 60, 60, null), 'over_email_send_rate_limit', 'not twice a minute');
select is(auth.take_nonce(t.person('a', 1), 'wrong'), false, 'a wrong one');
select is(auth.take_nonce(t.person('a', 2), 'right'), false, 'somebody else''s');
select is(auth.take_nonce(t.person('a', 1), 'right'), true, 'the right one');
select is(auth.take_nonce(t.person('a', 1), 'right'), false, 'once');
select is(auth.expect_nonce(t.person('a', 1), 'one@example.com', 'right', '\x01', 60, 0, null), 'sent', 'another');
update auth.one_time_tokens set expires_at = now();
select is(auth.take_nonce(t.person('a', 1), 'right'), false, 'too late');
rollback to asked;

-- Changes race: what was checked must still be so
select t.act_as('tenon_worker');
select is((auth.update_user(t.person('a', 1), null, '{"password": {"hash": "x", "seen": "other"}}', null)).outcome, 'conflict', 'another password by now');
select is((auth.update_user(t.person('a', 1), null, '{"password": {"hash": "x", "seen": "hash", "nonce": "y"}}', null)).outcome, 'reauthentication_not_valid',
    'a code that is wrong');
select is((auth.update_user(t.person('b', 1), null, '{"data": {"a": 1}}', null)).outcome, 'conflict', 'nobody of another tenant');
select is((select encrypted_password from auth.users where id = t.person('a', 1)), 'hash', 'nothing has happened');
select is(auth.delete_account(t.person('a', 1), 'other', null, null), 'conflict', 'nor to the account');

-- The tenant's key reaches its own tenant
select is((auth.admin_update_user(t.person('b', 1), '{"user_metadata": {"a": 1}}', null)).outcome, 'user_not_found', 'changing');
select is(auth.admin_delete_user(t.person('b', 1), false, null), false, 'deleting');
select is(auth.describe_user(t.person('b', 1)), null, 'seeing');
select is(auth.list_factors(t.person('b', 1)), null, 'factors');
select is(auth.list_sessions(t.person('b', 1), null), '[]', 'sessions');
select is((select total from auth.list_users('', 'created_at', 'desc', 0, 50)), 2::bigint, 'listing');
select is((auth.admin_create_user(jsonb_build_object('id', t.person('b', 1), 'email', 'x@example.com'), null)).outcome, 'user_already_exists', 'an id is taken for all');
select is((auth.admin_create_user('{"email": "one@example.com"}', null)).outcome, 'email_exists', 'an address in its tenant');
select t.act_as('tenon_worker', 'b');
select is((auth.admin_create_user('{"email": "one@example.com"}', null)).outcome, 'user', 'only');
rollback to asked;

-- Exports
select ok(not has_function_privilege(role, 'auth.export_list(text, text, text, uuid)', 'execute'), 'what runs any query is not for ' || role)
  from unnest(array['anon', 'authenticated', 'agent', 'service_role']) as role;

-- Devices
select is(auth.device_of(agent), device, device) from (values
    ('Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', 'Firefox on Linux'),
    ('Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0', 'Edge on Windows'),
    ('Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36', 'Chrome on Android'),
    ('Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1', 'Safari on iPad'),
    ('curl/8.5.0', 'curl'), ('node', 'node'), ('', '')) as d (agent, device);
select is(auth.device_of(null), '', 'none');

-- The end of an account, and what is left of it
insert into auth.audit_log_entries (tenant_id, payload) values
    (t.tenant('a'), jsonb_build_object('action', 'user_signedup', 'actor_id', '00000000-0000-0000-0000-000000000000', 'traits',
                                       jsonb_build_object('user_id', t.person('a', 1), 'user_email', 'one@example.com'))),
    (t.tenant('a'), jsonb_build_object('action', 'login', 'actor_id', t.person('a', 2), 'actor_username', 'two@example.com'));
select t.act_as('tenon_worker');
select is(auth.delete_account(t.person('a', 1), 'hash', null, null), 'deleted', 'an account ends');
select is_empty($$ select from auth.users where id = t.person('a', 1) $$, 'it is gone');
select is((select count(*) from auth.audit_log_entries where payload::text like '%one@example.com%'), 0::bigint, 'its name is nowhere in the log');
select is((select count(*) from auth.audit_log_entries where payload ->> 'action' = 'user_deleted' and payload ->> 'actor_id' = t.person('a', 1)::text), 1::bigint,
    'where its end is');
select isnt_empty($$ select from auth.audit_log_entries where payload ->> 'actor_username' = 'two@example.com' $$, 'others are not touched');
select throws_ok($$ update auth.audit_log_entries set payload = '{}' $$, '42501', null, 'the log cannot be written over');

-- The log is kept for so long
reset role;
update auth.audit_log_entries set created_at = now() - interval '10 days' where payload ->> 'action' = 'login';
select t.act_as('tenon_worker', 'b');
select is(tenon.sweep_audit(0), 0::bigint, 'for ever');
select is(tenon.sweep_audit(11), 0::bigint, 'longer');
select is(tenon.sweep_audit(9), 1::bigint, 'of every tenant');

select * from finish();
