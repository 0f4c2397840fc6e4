-- t/sql/hooks.sql: what hooks of the app are told by the database, and what the role they run as may do
begin;
select * from no_plan();
grant execute on all functions in schema t to public;

select t.act_as('tenon_worker', tenant => 'a');
insert into auth.users (email) values ('quiet@a.example');
select is_empty($$ select 1 from tenon.outbox where channel = 'hook' $$, 'without a hook nobody is told');
do $$ begin perform set_config('tenon.tell_new_users', 'on', true); end $$;
insert into auth.users (email) values ('told@a.example');
select results_eq($$ select o.kind, u.email::text, o.recipient = u.id::text
                       from tenon.outbox o join auth.users u on u.id = o.user_id where o.channel = 'hook' $$,
    $$ values ('after_user_created', 'told@a.example', true) $$, 'with one, of each account that is made');
update auth.users set email = 'changed@a.example' where email = 'told@a.example';
select is((select count(*)::int from tenon.outbox where channel = 'hook'), 1, 'and of nothing else');
delete from auth.users where email = 'changed@a.example';
select is_empty($$ select 1 from tenon.outbox where channel = 'hook' $$, 'an account that is gone needs no telling');
select t.act_as('tenon_worker', tenant => 'b');
insert into auth.users (email) values ('told@b.example');
select is((select count(*)::int from tenon.outbox where channel = 'hook'), 1, 'in the tenant of the account');

-- a function of the app, as the server runs it
reset role;
set local role tenon_owner;
do $$ begin perform set_config('tenon.tenant_id', t.tenant('a')::text, true); end $$;
create table public.plans (name text not null);
do $$ begin perform tenon.protect('public.plans'); end $$;
create policy hooks on public.plans to supabase_auth_admin using (true) with check (true);
grant select, insert on public.plans to supabase_auth_admin;
insert into public.plans (tenant_id, name) values (t.tenant('a'), 'gold');
do $$ begin perform set_config('tenon.tenant_id', t.tenant('b')::text, true); end $$;
insert into public.plans (tenant_id, name) values (t.tenant('b'), 'lead');
select t.act_as('supabase_auth_admin', tenant => 'a');
select results_eq('select name from public.plans', array['gold'], 'it reads what it may, of its tenant');
select lives_ok($$ insert into public.plans (name) values ('silver') $$, 'and writes into its tenant');
select throws_ok($$ insert into public.plans (tenant_id, name) values (t.tenant('b'), 'tin') $$, '42501', null, 'but into no other');
select throws_ok('select 1 from auth.users', '42501', null, 'it sees no accounts');
select throws_ok('select 1 from auth.sessions', '42501', null, 'no sessions');
select throws_ok('select 1 from tenon.outbox', '42501', null, 'and no messages');
select throws_ok('create table public.mine ()', '42501', null, 'it makes nothing');
do $$ begin perform set_config('tenon.tenant_id', '', true); end $$;
select is_empty('select 1 from public.plans', 'without a tenant there is nothing');
select * from finish();
rollback;
