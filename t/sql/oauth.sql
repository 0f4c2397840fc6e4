-- t/sql/oauth.sql: whose account a visitor of a provider gets
begin;
select * from no_plan();

create function t.visitor(subject text, email text, verified boolean default true, provider text default 'acme', signup boolean default true,
                          optional boolean default false, autoconfirm boolean default false) returns auth.visitor language sql as $$
    select row(provider, subject, jsonb_build_object('sub', subject, 'email', email, 'email_verified', verified), email, verified, optional, signup, autoconfirm,
               row('email', email, 'hash of ' || email, '\x00', 60, 60, null, null, null)::auth.message, '\x01', '127.0.0.1')::auth.visitor
$$;
create function t.admit(v auth.visitor) returns text language plpgsql as $$
declare
    r record;
begin
    r := auth.admit_visitor(v);
    return concat_ws(' ', r.outcome, (select concat_ws(' ', u.email, u.email_confirmed_at is not null) from auth.users u where u.id = r.person));
end $$;
create function t.person_at(address text) returns uuid language sql as $$ select id from auth.users where email = address $$;
create function t.opening(n integer) returns auth.new_session language sql as $$
    select row(('00000000-0000-7000-8000-00000000d' || lpad(n::text, 3, '0'))::uuid, 'hash ' || n, 'agent', '127.0.0.1', 0)::auth.new_session
$$;
grant execute on all functions in schema t to public;

select t.act_as('tenon_worker');
select is(t.admit(t.visitor('1', 'one@example.com')), 'person one@example.com t', 'somebody new, with a verified address');
select is(t.admit(t.visitor('1', 'moved@example.com', false)), 'person one@example.com t', 'is known by their id from then on, whatever address they have there');
select is(count(*), 1::bigint, 'one identity') from auth.identities where provider_id = '1';
select is(raw_app_meta_data, '{"provider": "acme", "providers": ["acme"]}', 'app_metadata names the provider') from auth.users where email = 'one@example.com';
select is(t.admit(t.visitor('1', 'one@example.com', provider => 'other')), 'person one@example.com t', 'another provider has verified the same address: the same person');
select is(raw_app_meta_data -> 'providers', '["acme", "other"]', 'who has two now') from auth.users where email = 'one@example.com';
select is(t.admit(t.visitor('evil', 'one@example.com', false, 'third')), 'provider_email_needs_verification', 'a third has not verified it: nobody');
select is(t.admit(t.visitor('evil', 'one@example.com', false, 'third', autoconfirm => true)), 'provider_email_needs_verification', 'not even where new people need no mail');
select is(t.admit(t.visitor('evil', 'one@example.com', false, 'third', optional => true)), 'person f', 'where no address is needed: a person of their own, without one');
select is(t.admit(t.visitor('2', null)), 'email_address_not_provided', 'no address');
select is(t.admit(t.visitor('2', 'two@example.com', signup => false)), 'signup_disabled', 'nobody new while sign-ups are closed');
select is(t.admit(t.visitor('3', 'three@example.com', false)), 'provider_email_needs_verification three@example.com f', 'a new address that is not verified');
select is(count(*), 1::bigint, 'is written to') from tenon.outbox where recipient = 'three@example.com' and kind = 'confirmation';
select is(t.admit(t.visitor('3', 'three@example.com', false)), 'provider_email_needs_verification three@example.com f', 'and has to wait');
select is(t.admit(t.visitor('3', 'three@example.com')), 'person three@example.com t', 'until somebody has verified it');
select is(t.admit(t.visitor('4', 'four@example.com', false, autoconfirm => true)), 'person four@example.com t', 'where new people need no mail, they do not');

-- An account made in wait for its owner
insert into auth.users (email, encrypted_password, raw_user_meta_data) values ('waiting@example.com', 'hash', '{"plan": "evil"}');
insert into auth.identities (provider_id, user_id, identity_data, provider) select 'evil', id, '{"email": "waiting@example.com"}', 'github' from auth.users where email = 'waiting@example.com';
insert into auth.sessions (user_id) select id from auth.users where email = 'waiting@example.com';
insert into auth.webauthn_credentials (user_id, credential_id, public_key, algorithm) select id, '\x01', '\x02', -7 from auth.users where email = 'waiting@example.com';
insert into tenon.agents (name, user_id, scopes, expires_at) select 'sleeper', id, '["data:*"]', now() + interval '1 day' from auth.users where email = 'waiting@example.com';
select is(t.admit(t.visitor('5', 'waiting@example.com')), 'person waiting@example.com t', 'an account that nobody has confirmed is joined');
select results_eq($$ select encrypted_password, raw_user_meta_data ? 'plan', (select array_agg(provider) from auth.identities i where i.user_id = u.id),
                            (select count(*) from auth.sessions s where s.user_id = u.id), (select count(*) from auth.webauthn_credentials k where k.user_id = u.id),
                            (select count(*) from tenon.agents a where a.user_id = u.id and a.revoked_at is null) from auth.users u where email = 'waiting@example.com' $$,
                  $$ values (null::text, false, array['acme'], 0::bigint, 0::bigint, 0::bigint) $$, 'and nothing of what was prepared is left');

-- Linking
select is(auth.link_visitor(t.person_at('four@example.com'), t.visitor('5', 'waiting@example.com')), 'identity_already_exists', 'an identity belongs to one person');
select is(auth.link_visitor(t.person_at('four@example.com'), t.visitor('44', 'elsewhere@example.com', provider => 'other')), 'person', 'a free one is added');
select is(t.person_at('elsewhere@example.com'), null, 'and changes no address');
select is(auth.link_visitor(t.person('a', 9), t.visitor('99', 'x@example.com')), 'user_not_found', 'nobody to add it to');

-- Unlinking
create temporary table id as select i.id, i.provider, i.user_id from auth.identities i where i.user_id in (t.person_at('four@example.com'), t.person_at('waiting@example.com'));
select is(auth.unlink_identity(user_id, id, null, null), 'single_identity_not_deletable', 'the last one stays') from id where user_id = t.person_at('waiting@example.com');
select is(auth.unlink_identity(t.person_at('three@example.com'), id, null, null), 'identity_not_found', 'and so does a stranger''s') from id where user_id = t.person_at('waiting@example.com');
select is(auth.unlink_identity(user_id, id, null, null), 'done', 'one of two goes') from id where provider = 'acme' and user_id = t.person_at('four@example.com');
select is(raw_app_meta_data, '{"provider": "other", "providers": ["other"]}', 'and its provider') from auth.users where id in (select user_id from id where provider = 'other');
select is(email, 'elsewhere@example.com', 'the address is that of the other identity, which is verified') from auth.users where id in (select user_id from id where provider = 'other');

-- Flows
select is(outcome, 'session', 'without a challenge, a session') from auth.sign_in_visitor(auth.begin_flow('acme', 'oauth', null, null, 'x'), null, t.visitor('1', 'one@example.com'), t.opening(1), 'code 1', null, null);
select is(outcome, 'code', 'with one, a code') from auth.sign_in_visitor(auth.begin_flow('acme', 'oauth', 'challenge', 'plain', 'x'), null, t.visitor('1', 'one@example.com'), t.opening(2), 'code 2', '\x02', '\x03');
select is(outcome || access::text || refresh::text, 'session\x02\x03', 'which is worth a session and the provider''s tokens') from auth.redeem_code('code 2', 'challenge', 'x', 300, t.opening(3));
select is(authentication_method, 'oauth', 'by oauth') from auth.mfa_amr_claims where session_id = (t.opening(3)).id;
select is(outcome, 'flow_state_not_found', 'once') from auth.redeem_code('code 2', 'challenge', 'x', 300, t.opening(4));

-- Walls
select t.act_as('tenon_worker', tenant => 'b');
select is(t.admit(t.visitor('1', 'one@example.com')), 'person one@example.com t', 'in another tenant they are somebody else');
select is(count(*), 1::bigint, 'with an account there') from auth.users where email = 'one@example.com';
select t.act_as('authenticated');
select throws_ok($$ select auth.admit_visitor(t.visitor('1', 'one@example.com')) $$, '42501', null, 'nobody but the server says who somebody is');
select throws_ok($$ select auth.link_visitor(t.person('a', 1), t.visitor('1', 'one@example.com')) $$, '42501', null, 'nor adds identities');
select * from finish();
rollback;
