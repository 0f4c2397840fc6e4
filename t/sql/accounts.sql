-- t/sql/accounts.sql: what an app hangs on auth.users: triggers, keys, and what they see
begin;
select * from no_plan();

create function t.opening(n integer) returns auth.new_session language sql as $$
    select row(('00000000-0000-7000-8000-00000000f' || lpad(n::text, 3, '0'))::uuid, 'hash ' || n, 'agent', '127.0.0.1', 0)::auth.new_session
$$;
create function t.message(address text) returns auth.message language sql as $$
    select row('email', address, 'code', '\x00', 60, 60, null, null, null)::auth.message
$$;
create function t.sign_up(address text, n integer, metadata jsonb default '{}') returns text language sql as $$
    select concat_ws(' ', r.outcome, r.failure ->> 'code', r.failure ->> 'message', r.failure ->> 'hint')
      from auth.sign_up(t.message(address), 'hash', metadata, true, t.opening(n)) r
$$;
create function t.people(pattern text) returns bigint language sql security definer as $$
    select count(*) from auth.users where email like pattern
$$;
grant execute on all functions in schema t to public;

-- As in every tutorial for Supabase: a profile per user, written by a trigger, gone with the user.
set local role tenon_owner;
do $$ begin perform set_config('tenon.tenant_id', t.tenant('a')::text, true); end $$;
create table public.profiles (
    id uuid primary key references auth.users on delete cascade,
    full_name text,
    email text
);
create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if new.raw_user_meta_data ->> 'full_name' = 'refuse' then
        raise exception 'nobody of that name' using hint = 'Choose another.';
    elsif new.raw_user_meta_data ->> 'full_name' = 'teapot' then
        raise sqlstate 'PT418' using message = 'a teapot';
    end if;
    insert into public.profiles (id, full_name, email) values (new.id, new.raw_user_meta_data ->> 'full_name', new.email);
    update auth.users set raw_app_meta_data = raw_app_meta_data || '{"plan": "free"}' where id = new.id;
    return new;
end $$;
create trigger on_auth_user_created after insert on auth.users for each row execute procedure public.handle_new_user();

select t.act_as('tenon_worker');
select is(r.outcome, 'session', 'a sign-up runs the trigger')
  from auth.sign_up(t.message('ada@example.com'), 'hash', '{"full_name": "Ada"}', true, t.opening(1)) r;
select is(r.user_object #>> '{app_metadata,plan}', 'free', 'and shows what the trigger has changed'),
       is(r.claims #>> '{app_metadata,plan}', 'free', 'the token too')
  from auth.describe_session((t.opening(1)).id) r;
set local role tenon_owner;
select results_eq($$ select p.full_name, p.email, p.tenant_id from public.profiles p $$,
    $$ values ('Ada', 'ada@example.com', t.tenant('a')) $$, 'the profile is there, in the tenant');

select t.act_as('tenon_worker');
select is(t.sign_up('no@example.com', 2, '{"full_name": "refuse"}'), 'database_error P0001 nobody of that name Choose another.',
    'what a trigger raises is the answer');
select is(t.sign_up('no@example.com', 2, '{"full_name": "teapot"}'), 'database_error PT418 a teapot', 'a status of its own as well');
select is(t.people('no@%'), 0::bigint, 'and nothing has happened');
select is((select count(*) from auth.sessions where id = (t.opening(2)).id), 0::bigint, 'to sessions either');

set local role tenon_owner;
alter table public.profiles add constraint short_names check (char_length(full_name) <= 5);
select t.act_as('tenon_worker');
select alike(t.sign_up('no@example.com', 2, '{"full_name": "Adelaide"}'), 'database_error 23514 %', 'a constraint that is broken');
set local role tenon_owner;
create function public.never() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger never before insert on auth.users for each row execute function public.never();
select t.act_as('tenon_worker');
select alike(t.sign_up('no@example.com', 2), 'database_error P0001 %', 'a trigger that lets the row vanish');
set local role tenon_owner;
drop trigger never on auth.users;
create function public.later() returns trigger language plpgsql as $$ begin raise exception 'at the end'; end $$;
create constraint trigger later after insert on auth.users deferrable initially deferred for each row execute function public.later();
select t.act_as('tenon_worker');
select is(t.sign_up('no@example.com', 2), 'database_error P0001 at the end', 'and one that was put off to the end');
set local role tenon_owner;
drop trigger later on auth.users;

-- Rules of the table itself
select throws_ok($$ insert into auth.users (email) values ('Ada@Example.com') $$, '23514', null, 'addresses are kept in lower case');
select throws_ok($$ insert into auth.users (email) values ('ada@example.com') $$, '23505', null, 'one of each in a tenant');
select lives_ok($$ insert into auth.users (email, is_sso_user) values ('ada@example.com', true) $$, 'but for those of another directory');
select lives_ok($$ insert into auth.users (email) select null from generate_series(1, 3) $$, 'and for those without any');
select throws_ok($$ insert into auth.users (raw_user_meta_data) values ('[]') $$, '23514', null, 'metadata is an object');
select is((select confirmed_at from auth.users where email = 'ada@example.com' and not is_sso_user),
          (select email_confirmed_at from auth.users where email = 'ada@example.com' and not is_sso_user), 'confirmed_at follows');

-- What is shown of a person
select is(auth.user_object(u, null) - '{id,aud,role,email,phone,app_metadata,user_metadata,identities,created_at,updated_at,is_anonymous}'::text[],
    '{}'::jsonb, 'what is not set is not shown') from auth.users u where u.id = t.person('a', 1);
select is(auth.user_object(jsonb_populate_record(u, '{"raw_user_meta_data": {"a": null}}'), null) -> 'user_metadata', '{"a": null}',
    'a null in metadata stays') from auth.users u where u.id = t.person('a', 1);
select is(auth.rfc3339('2026-08-07 07:55:12.123456+02'), '2026-08-07T05:55:12.123456Z', 'times are UTC');
select is(auth.claims(jsonb_populate_record(u, jsonb_build_object('raw_user_meta_data', jsonb_build_object('a', repeat('x', 5000)))), null, 'aal1', null)
          -> 'user_metadata', '{}', 'metadata that is too large is left out of tokens') from auth.users u where u.id = t.person('a', 1);

-- The operator
select is(auth.create_user(t.tenant('b'), 'Ada@Example.com', 'hash', '{"full_name": "B"}') ->> 'email', 'ada@example.com', 'a person for tenant b');
select is(auth.create_user(t.tenant('b'), 'ada@example.com', 'hash', '{}'), null, 'only once');
select is((select tenant_id from public.profiles where full_name = 'B'), t.tenant('b'), 'whose profile is there too');

-- The end
do $$ begin perform set_config('tenon.tenant_id', t.tenant('a')::text, true); end $$;
delete from auth.users where email = 'ada@example.com' and not is_sso_user;
select is_empty($$ select from public.profiles where full_name = 'Ada' $$, 'the profile goes with the person');
select is((select count(*) from auth.identities) + (select count(*) from auth.sessions) + (select count(*) from auth.refresh_tokens)
          + (select count(*) from auth.mfa_amr_claims), 0::bigint, 'and so does everything of theirs');

select * from finish();
