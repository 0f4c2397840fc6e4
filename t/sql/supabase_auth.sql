-- t/sql/supabase_auth.sql: SQL as people have it from Supabase's guides: profiles, seeds, triggers on auth.users, foreign keys to it
begin;
select * from no_plan();

set local role tenon_owner;
do $$ begin perform set_config('tenon.tenant_id', t.tenant('a')::text, true); end $$;

-- "Managing User Data": a profile per user
create table public.profiles (
    id uuid not null references auth.users on delete cascade,
    first_name text,
    last_name text,
    email text,
    primary key (id)
);
alter table public.profiles enable row level security;
create policy "Public profiles are viewable by everyone." on profiles for select using (true);
create policy "Users can insert their own profile." on profiles for insert with check ((select auth.uid()) = id);
create policy "Users can update own profile." on profiles for update using ((select auth.uid()) = id);
grant select on public.profiles to anon, authenticated;

create function public.handle_new_user() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.profiles (id, first_name, last_name, email)
  values (new.id, new.raw_user_meta_data ->> 'first_name', new.raw_user_meta_data ->> 'last_name', new.email);
  return new;
end;
$$;
create trigger on_auth_user_created after insert on auth.users for each row execute procedure public.handle_new_user();

-- "Sync the address": on update of a column, and only when it changes
create function public.handle_update_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  update public.profiles set email = new.email where id = new.id;
  return new;
end $$;
create trigger on_auth_user_updated after update of email on auth.users for each row
    when (old.email is distinct from new.email) execute procedure public.handle_update_user();

-- "Do something once the address is confirmed"
create table public.welcomes (user_id uuid references auth.users (id) on delete cascade, at timestamptz default now());
create function public.handle_confirmed() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.welcomes (user_id) values (new.id);
  return new;
end $$;
create trigger on_auth_user_confirmed after update on auth.users for each row
    when (old.email_confirmed_at is null and new.email_confirmed_at is not null) execute procedure public.handle_confirmed();

create table public.farewells (user_id uuid, email text);
create function public.handle_deleted() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.farewells (user_id, email) values (old.id, old.email);
  return old;
end $$;
create trigger on_auth_user_deleted before delete on auth.users for each row execute procedure public.handle_deleted();

-- A seed.sql as it is passed around
select lives_ok($seed$
insert into auth.users (
    instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, recovery_sent_at, last_sign_in_at,
    raw_app_meta_data, raw_user_meta_data, created_at, updated_at, confirmation_token, email_change, email_change_token_new, recovery_token
) (
    select '00000000-0000-0000-0000-000000000000', uuid('aaaaaaaa-0000-4000-8000-00000000000' || n), 'authenticated', 'authenticated',
           'user' || n || '@example.com', crypt('password123', gen_salt('bf', 4)), current_timestamp, current_timestamp, current_timestamp,
           '{"provider":"email","providers":["email"]}', '{"first_name": "Ada", "last_name": "Lovelace"}', current_timestamp, current_timestamp,
           '', '', '', ''
      from generate_series(1, 3) n
)
$seed$, 'people are seeded');
select lives_ok($seed$
insert into auth.identities (id, user_id, provider_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
select gen_random_uuid(), id, id, format('{"sub":"%s","email":"%s"}', id::text, email)::jsonb, 'email', current_timestamp, current_timestamp, current_timestamp
  from auth.users where email like 'user%@example.com'
$seed$, 'and their identities');
select lives_ok($seed$
insert into auth.users (id, email) values ('bbbbbbbb-0000-4000-8000-000000000001', 'bare@example.com')
    on conflict (id) do nothing
$seed$, 'the least that says who somebody is');
select lives_ok($seed$
insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip, tag)
values (gen_random_uuid(), 'bbbbbbbb-0000-4000-8000-000000000001', now(), now(), 'aal1', 'seed', '127.0.0.1', null)
$seed$, 'a session');

select results_eq('select first_name, last_name, email, tenant_id from public.profiles where email = ''user2@example.com''',
    $$ values ('Ada', 'Lovelace', 'user2@example.com', t.tenant('a')) $$, 'the trigger has made their profiles, in the tenant');
select ok(encrypted_password = crypt('password123', encrypted_password), 'the hash is what crypt() made')
  from auth.users where email = 'user1@example.com';
select is((select count(*) from auth.identities where email = 'user1@example.com'), 1::bigint, 'the identity''s address is generated');
select is((select confirmed_at from auth.users where email = 'user1@example.com'), current_timestamp, 'confirmed_at is generated');

-- Bcrypt signs in: what the server asks for, and what it does when the password was right
select t.act_as('tenon_worker');
select is((auth.sign_in(u.id, u.encrypted_password, '$argon2id$better', false, row(tenon.uuid7(), 'hash of it', 'agent', '127.0.0.1', 0)::auth.new_session)).outcome,
    'session', 'somebody seeded signs in') from auth.users u where u.email = 'user1@example.com';
select is((select encrypted_password from auth.users where email = 'user1@example.com'), '$argon2id$better', 'and has our hash from then on');

-- The server's own doings run their triggers
select is((r).outcome, 'user', 'an admin makes somebody') from auth.admin_create_user('{"email": "made@example.com", "user_metadata": {"first_name": "Grace"}}', null) r;
select auth.confirm_email(id) from auth.users where email = 'made@example.com';
select is((r).outcome, 'user', 'and gives them another address')
  from auth.users u, auth.admin_update_user(u.id, '{"email": "moved@example.com"}', null) r where u.email = 'made@example.com';
set local role tenon_owner;
select results_eq($$ select first_name, email from public.profiles where email = 'moved@example.com' $$, $$ values ('Grace', 'moved@example.com') $$,
    'the profile follows');
select is((select count(*) from public.welcomes), 1::bigint, 'a trigger on confirmation runs once');

-- Keys to auth.users are checked within the tenant, and go along
select throws_ok($$ insert into public.welcomes (user_id) values (t.person('b', 1)) $$, '23503', null, 'nobody of another tenant can be referred to');
delete from auth.users where email = 'moved@example.com';
select is((select count(*) from public.welcomes) + (select count(*) from public.profiles where email = 'moved@example.com'), 0::bigint, 'on delete cascade');
select is((select email from public.farewells), 'moved@example.com', 'a trigger before delete');
select t.act_as('tenon_worker');
select ok(auth.admin_delete_user('aaaaaaaa-0000-4000-8000-000000000003', false, null), 'and when the API deletes');
set local role tenon_owner;
select is((select count(*) from public.farewells), 2::bigint, 'too');

-- Policies as they are written for Supabase
select t.act_as('authenticated');
select isnt_empty('select 1 from public.profiles', 'the policy opens profiles');
select throws_ok('select 1 from auth.users', '42501', null, 'auth.users is closed to people');
select t.act_as('authenticated', 'b');
select is_empty('select 1 from public.profiles where email like ''user%''', 'another tenant sees none of it');

select * from finish();
