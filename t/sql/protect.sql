-- t/sql/protect.sql: tables that people make themselves: protected by the event trigger and by tenon.protect()
begin;
select * from no_plan();
create function t.message(statement text) returns text language plpgsql as $$
begin
    execute statement;
    return 'no error';
exception when others then
    return sqlerrm;
end $$;
select t.act_as('tenon_owner');

-- As typed into psql, with nothing said about tenants.
create table conversations (id bigint generated always as identity primary key);
create table messages (id bigint generated always as identity primary key, conversation_id bigint references conversations(id), role text not null, content text not null, created_at timestamptz not null default now());
select results_eq($$ select name, relrowsecurity, relforcerowsecurity, has_tenant from t.ours where schema = 'public' order by name $$,
    $$ values ('conversations', true, true, true), ('messages', true, true, true) $$, 'a new table has row security, forced, and a tenant');
select col_not_null('public', 'messages', 'tenant_id', 'the tenant must be there');
select col_is_pk('public', 'messages', 'id', 'the primary key stays as it is');
select policies_are('public', 'messages', array['tenon_tenant', 'tenon_owner_login', 'tenon_service', 'tenon_agent_reads',
    'tenon_agent_adds', 'tenon_agent_edits', 'tenon_agent_drops'], 'and these policies');
select policy_roles_are('public', 'messages', 'tenon_service', array['service_role']);
select is(array_agg(p.permissive order by p.policyname), array['RESTRICTIVE', 'RESTRICTIVE', 'RESTRICTIVE', 'RESTRICTIVE', 'PERMISSIVE', 'PERMISSIVE', 'RESTRICTIVE'],
    'those of the tenant and of agents restrict') from pg_policies p where schemaname = 'public' and tablename = 'messages';

insert into conversations default values;
insert into messages (conversation_id, role, content) select id, 'user', 'hello' from conversations;
select is(tenant_id, t.tenant('a'), 'the tenant is filled in from the context') from messages;

create temporary table a_conversation as select id from conversations;
grant select on a_conversation to public;

select t.act_as('service_role');
select is(content, 'hello', 'the tenant''s secret key sees it') from messages;
select lives_ok($$ insert into messages (role, content) values ('user', 'from the server') $$, 'and writes');
select t.act_as('service_role', tenant => 'b');
select is_empty('select 1 from messages', 'another tenant''s does not');
select is_empty('delete from messages returning 1', 'nor deletes');
select throws_ok(format($$ insert into messages (role, content, tenant_id) values ('user', 'x', %L) $$, t.tenant('a')), '42501', null, 'nor writes into it');
select t.act_as('authenticated');
select is_empty('select 1 from messages', 'a person sees nothing until a policy is written');
select throws_ok($$ insert into messages (role, content) values ('user', 'x') $$, '42501', null, 'and writes nothing');
select t.act_as('anon');
select is_empty('select 1 from messages', 'neither does the publishable key');
select t.act_as('agent', scopes => '["data:messages:read", "data:messages:write"]');
select is_empty('select 1 from messages', 'nor an agent');

-- SQL written for Supabase
select t.act_as('tenon_owner');
create table todos (id uuid primary key default gen_random_uuid(), user_id uuid not null default auth.uid(), title text, done boolean default false);
alter table todos enable row level security;
create policy "Individuals can manage their own todos" on todos for all using (auth.uid() = user_id);
select t.act_as('authenticated');
select lives_ok($$ insert into todos (title) values ('mine') $$, 'a Supabase policy lets a person write');
select results_eq('select title from todos', $$ values ('mine') $$, 'and read their own');
select t.act_as('authenticated', person => 2);
select is_empty('select 1 from todos', 'and nobody else''s');
select throws_ok(format('insert into todos (user_id) values (%L)', t.person('a', 1)), '42501', null, 'nor write for them');
select t.act_as('authenticated', tenant => 'b');
select set_config('request.jwt.claims', jsonb_build_object('sub', t.person('a', 1))::text, true) \g /dev/null
select is_empty('select 1 from todos', 'the same person in another tenant sees nothing');

-- Agents: the person's rights and the agent's scopes, whichever is less
select t.act_as('agent');
select is_empty('select 1 from todos', 'without a scope an agent sees nothing of the person''s');
select t.act_as('agent', scopes => '["data:todos:read"]');
select isnt_empty('select 1 from todos', 'with the scope to read it sees what the person sees');
select is_empty('update todos set done = true returning 1', 'and updates nothing');
select is_empty('delete from todos returning 1', 'and deletes nothing');
select throws_ok($$ insert into todos (title) values ('x') $$, '42501', null, 'and adds nothing');
select t.act_as('agent', scopes => '["data:todos:write"]');
select is_empty('select 1 from todos', 'the scope to write does not read');
select lives_ok($$ insert into todos (title) values ('agent''s') $$, 'and adds');
select t.act_as('agent', person => 2, scopes => '["data:todos:*"]');
select is_empty('select 1 from todos', 'all scopes do not make it another person');

-- The commonest trigger of all: a profile for everybody who signs up
select t.act_as('tenon_owner');
create table public.profiles (id uuid not null references auth.users on delete cascade primary key, email text, full_name text);
create policy "Public profiles are viewable by everyone." on public.profiles for select using (true);
create policy "Users can update own profile." on public.profiles for update using ((select auth.uid()) = id);
create function public.handle_new_user() returns trigger set search_path = '' as $$
begin
    insert into public.profiles (id, email, full_name) values (new.id, new.email, new.raw_user_meta_data ->> 'full_name');
    return new;
end;
$$ language plpgsql security definer;
create trigger on_auth_user_created after insert on auth.users for each row execute procedure public.handle_new_user();
select t.act_as('tenon_worker');
insert into auth.users (id, email, raw_user_meta_data) values (t.person('a', 9), 'a9@example.com', '{"full_name": "A Nine"}');
select t.act_as('anon');
select results_eq('select email, full_name, tenant_id from profiles', $$ values ('a9@example.com', 'A Nine', t.tenant('a')) $$,
    'a trigger on auth.users fills a table of profiles, in the person''s tenant');
select t.act_as('anon', tenant => 'b');
select is_empty('select 1 from profiles', 'everyone means everyone in the tenant');
select t.act_as('authenticated', person => 9);
select isnt_empty($$ update profiles set full_name = 'Nine' returning 1 $$, 'a person changes their own profile');
select t.act_as('authenticated', person => 1);
select is_empty($$ update profiles set full_name = 'One' returning 1 $$, 'and nobody else''s');
select t.act_as('tenon_worker');
delete from auth.users where id = t.person('a', 9);
reset role;
select is_empty('select 1 from public.profiles', 'a profile goes with its person');

-- protect() with an owner and a scope, and again
select t.act_as('tenon_owner');
create table notes (id serial primary key, author uuid, body text);
select tenon.protect('public.notes', owner => 'author', scope => 'notes');
select tenon.protect('public.notes', owner => 'author', scope => 'notes');
select is(count(*), 8::bigint, 'calling protect() twice is harmless') from pg_policies where tablename = 'notes';
select is(count(*), 2::bigint, 'one index for the tenant beside the primary key') from pg_indexes where tablename = 'notes';
select t.act_as('authenticated');
select lives_ok($$ insert into notes (author, body) values (auth.uid(), 'mine') $$, 'the owner writes, serial numbers included');
select throws_ok($$ insert into notes (author, body) values (gen_random_uuid(), 'x') $$, '42501', null, 'only their own');
select t.act_as('authenticated', person => 2);
select is_empty('select 1 from notes', 'others see nothing');
select t.act_as('agent', scopes => '["notes:read"]');
select isnt_empty('select 1 from notes', 'the owner''s agent reads with the scope that was named');
select t.act_as('agent', scopes => '["data:notes:read"]');
select is_empty('select 1 from notes', 'and not with the one that was not');
select t.act_as('tenon_owner');
create table by_name (person text, body text);
select tenon.protect('by_name', owner => 'person');
select t.act_as('authenticated');
select lives_ok($$ insert into by_name values (auth.uid()::text, 'x') $$, 'the owner''s column may be text');
select isnt_empty('select 1 from by_name', 'and is compared as text');
select t.act_as('tenon_owner');
select throws_ok($$ select tenon.protect('notes', owner => 'nobody') $$, '42703', 'public.notes has no column nobody', 'an owner that is no column');
create view some_view as select 1 as x;
select throws_ok($$ select tenon.protect('some_view') $$, '42809', 'public.some_view is not a table', 'a view is no table');
select t.act_as('authenticated');
select throws_ok($$ select tenon.protect('notes') $$, '42501', null, 'protecting is for the owner of a table');

-- Foreign keys between such tables
select is(pg_get_constraintdef(oid), 'FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations(tenant_id, id)', 'a foreign key takes the tenant in')
  from pg_constraint where conname = 'messages_conversation_id_fkey';
select t.act_as('service_role', tenant => 'b');
select throws_ok($$ insert into messages (conversation_id, role, content) select max(id), 'x', 'x' from pg_temp.a_conversation $$, '23503', null,
    'nobody points to a row of another tenant');
select throws_ok($$ insert into messages (conversation_id, role, content) values (999999, 'x', 'x') $$, '23503',
    (select t.message($$ insert into messages (conversation_id, role, content) select max(id), 'x', 'x' from pg_temp.a_conversation $$)),
    'which sounds just like pointing to nothing');
select t.act_as('tenon_owner');
select lives_ok($$ insert into messages (conversation_id, role, content) select max(id), 'x', 'x' from conversations $$, 'to one of one''s own they do');
-- made before they were protected, because now a key cannot refer to what is unique within a tenant without naming the tenant
select set_config('tenon.auto_protect', 'off', true) \g /dev/null
create table parents (id int primary key, code text unique, a int, b int, unique (a, b));
create table children (
    id int primary key, up int references children,
    p1 int references parents on delete cascade on update cascade,
    p2 int references parents (id) on delete set null,
    p3 text default 'none' references parents (code) on delete set default deferrable initially deferred,
    a int, b int, foreign key (b, a) references parents (b, a) on delete set null (b) deferrable,
    p4 int references parents on delete restrict on update restrict,
    odd int references parents on update set null,
    full_a int, full_b int, foreign key (full_a, full_b) references parents (a, b) match full,
    full_one int references parents match full,
    person uuid references auth.users on delete cascade);
select set_config('tenon.auto_protect', 'on', true) \g /dev/null
select tenon.protect('parents'), tenon.protect('children') \g /dev/null
select results_eq($$ select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'children'::regclass and contype = 'f' order by 1 $$, $$ values
    ('FOREIGN KEY (full_a, full_b) REFERENCES parents(a, b) MATCH FULL'),
    ('FOREIGN KEY (odd) REFERENCES parents(id) ON UPDATE SET NULL'),
    ('FOREIGN KEY (tenant_id, b, a) REFERENCES parents(tenant_id, b, a) ON DELETE SET NULL (b) DEFERRABLE'),
    ('FOREIGN KEY (tenant_id, full_one) REFERENCES parents(tenant_id, id)'),
    ('FOREIGN KEY (tenant_id, p1) REFERENCES parents(tenant_id, id) ON UPDATE CASCADE ON DELETE CASCADE'),
    ('FOREIGN KEY (tenant_id, p2) REFERENCES parents(tenant_id, id) ON DELETE SET NULL (p2)'),
    ('FOREIGN KEY (tenant_id, p3) REFERENCES parents(tenant_id, code) ON DELETE SET DEFAULT (p3) DEFERRABLE INITIALLY DEFERRED'),
    ('FOREIGN KEY (tenant_id, p4) REFERENCES parents(tenant_id, id) ON UPDATE RESTRICT ON DELETE RESTRICT'),
    ('FOREIGN KEY (tenant_id, person) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE'),
    ('FOREIGN KEY (tenant_id, up) REFERENCES children(tenant_id, id)') $$, 'and keep what they say');
insert into parents values (1, 'none', 1, 1), (2, 'two', 2, 2);
insert into children (id, p1, p2, p3, a, b) values (1, 1, 2, 'two', 2, 2);
delete from parents where id = 2;
set constraints all immediate;
select results_eq('select p1, p2, p3, a, b, tenant_id from children', $$ values (1, null::int, 'none', 2, null::int, t.tenant('a')) $$, 'and do it');
select is(count(distinct i.indkey::text), 3::bigint, 'a parent has an index with the tenant for each of its keys')
  from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] where indrelid = 'parents'::regclass and a.attname = 'tenant_id';

-- Keys to people, in the forms of the tutorials
create table members (
    id uuid references auth.users on delete cascade, primary key (id),
    invited_by uuid references auth.users (id) on delete set null,
    helper uuid constraint helped_by references auth.users deferrable initially deferred,
    seat int);
select results_eq($$ select format('%s: %s', conname, pg_get_constraintdef(oid)) collate "default" from pg_constraint where conrelid = 'members'::regclass and contype = 'f' order by 1 $$, $$ values
    ('helped_by: FOREIGN KEY (tenant_id, helper) REFERENCES auth.users(tenant_id, id) DEFERRABLE INITIALLY DEFERRED'),
    ('members_id_fkey: FOREIGN KEY (tenant_id, id) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE'),
    ('members_invited_by_fkey: FOREIGN KEY (tenant_id, invited_by) REFERENCES auth.users(tenant_id, id) ON DELETE SET NULL (invited_by)') $$,
    'keys to auth.users take the tenant in');
alter table members add column added uuid references auth.users;
select is(pg_get_constraintdef(oid), 'FOREIGN KEY (tenant_id, added) REFERENCES auth.users(tenant_id, id)', 'also with a column that comes later')
  from pg_constraint where conname = 'members_added_fkey';
select t.act_as('tenon_worker');
insert into auth.users (id, email) values (t.person('a', 7), 'a7@example.com'), (t.person('a', 8), 'a8@example.com');
select t.act_as('service_role', tenant => 'b');
select throws_ok(format('insert into members (id) values (%L)', t.person('a', 7)), '23503', null, 'nobody names another tenant''s person');
select is(replace(t.message(format('insert into members (id) values (%L)', t.person('a', 7))), t.person('a', 7)::text, '…'),
          replace(t.message(format('insert into members (id) values (%L)', t.person('a', 5))), t.person('a', 5)::text, '…'),
          'which sounds just like naming nobody');
select t.act_as('service_role');
select lives_ok(format('insert into members (id, invited_by) values (%L, %L), (%L, %L)', t.person('a', 7), t.person('a', 8), t.person('a', 8), t.person('a', 7)),
    'and their place is free for them');
select t.act_as('tenon_worker');
delete from auth.users where id = t.person('a', 8);
select t.act_as('tenon_owner');
select results_eq('select id, invited_by, tenant_id from members', $$ values (t.person('a', 7), null::uuid, t.tenant('a')) $$, 'who goes takes along what is to go, and no more');

create table later (id int primary key, parent int);
insert into later values (1, 1);
alter table later add constraint later_fk foreign key (parent) references parents not valid;
select is(pg_get_constraintdef(oid), 'FOREIGN KEY (tenant_id, parent) REFERENCES parents(tenant_id, id) NOT VALID', 'also when it is added later')
  from pg_constraint where conname = 'later_fk';
select lives_ok('alter table later validate constraint later_fk', 'and is checked later');
select lives_ok('alter table later drop constraint later_fk', 'and goes by its name');
alter table later add column second int references parents;
select is(pg_get_constraintdef(oid), 'FOREIGN KEY (tenant_id, second) REFERENCES parents(tenant_id, id)', 'or comes with a new column')
  from pg_constraint where conname = 'later_second_fkey';
create table sliced (id int, k int, parent int references parents, primary key (id, k)) partition by list (k);
create table sliced_1 partition of sliced for values in (1);
create table to_sliced (id int, k int, foreign key (id, k) references sliced);
select is(count(*), 2::bigint, 'from and to partitioned tables') from pg_constraint
 where conrelid in ('sliced'::regclass, 'to_sliced'::regclass) and contype = 'f' and conparentid = 0 and pg_get_constraintdef(oid) like '%(tenant_id, %(tenant_id, %';
insert into sliced values (1, 1, 1);
select lives_ok('insert into to_sliced values (1, 1)', 'which still work');
select set_config('tenon.auto_protect', 'off', true) \g /dev/null
create table open_parent (id int primary key);
create table open_child (id int primary key references open_parent);
select set_config('tenon.auto_protect', 'on', true) \g /dev/null
alter table open_child add column x int references parents;
select is(count(*), 0::bigint, 'keys of tables that are not protected are left alone') from pg_constraint
 where conrelid = 'open_child'::regclass and contype = 'f' and pg_get_constraintdef(oid) like '%tenant_id%';
select tenon.protect('open_child'), tenon.protect('open_parent') \g /dev/null
select is(count(*), 2::bigint, 'until both ends are') from pg_constraint
 where conrelid = 'open_child'::regclass and contype = 'f' and pg_get_constraintdef(oid) like '%(tenant_id, %(tenant_id, %';

-- What is unique
reset role;
create extension if not exists btree_gist with schema extensions;
select t.act_as('tenon_owner');
create function pg_temp.uniques(target text) returns setof text
    language sql
as $$
    select u.said from (
        select coalesce(pg_get_constraintdef(k.oid), regexp_replace(pg_get_indexdef(i.indexrelid), '^.*? USING', 'INDEX USING')) || ' ' || x.relname as said
          from pg_index i join pg_class x on x.oid = i.indexrelid left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('u', 'x')
         where i.indrelid = target::regclass and (i.indisunique or i.indisexclusion) and not i.indisprimary) u order by u.said collate "C"
$$;
create table products (
    id bigint generated always as identity primary key, sku text unique, "odd ""name""" text,
    a int, b int, at tstzrange, constraint "a, (b)" unique (b, a),
    constraint late unique (a) deferrable initially deferred,
    constraint included unique (a) include (b) with (fillfactor = 70),
    constraint nulls_too unique nulls not distinct (a),
    constraint has_it unique (a, tenant_id), tenant_id uuid default tenon.tenant_id(),
    constraint no_overlap exclude using gist (a with =, at with &&) where (a > 0) deferrable);
create unique index "an ""index""" on products ("odd ""name""");
create unique index by_expression on products (lower(sku) desc nulls last, a) include (b) nulls not distinct with (fillfactor = 80) where sku like 'USING btree (%';
create unique index if not exists by_expression on products (a);
create index not_unique on products (a);
alter table products add constraint added unique (sku, a), add column code uuid unique default gen_random_uuid();
select results_eq($$ select pg_temp.uniques('products') $$, $$ values
    ('EXCLUDE USING gist (tenant_id WITH =, a WITH =, at WITH &&) WHERE ((a > 0)) DEFERRABLE no_overlap'),
    ('INDEX USING btree (tenant_id, "odd ""name""") an "index"'),
    ('INDEX USING btree (tenant_id, id) products_tenant_id_id_idx'),
    ('INDEX USING btree (tenant_id, lower(sku) DESC NULLS LAST, a) INCLUDE (b) NULLS NOT DISTINCT WITH (fillfactor=''80'') WHERE (sku ~~ ''USING btree (%''::text) by_expression'),
    ('UNIQUE (a, tenant_id) has_it'),
    ('UNIQUE (tenant_id, a) DEFERRABLE INITIALLY DEFERRED late'),
    ('UNIQUE (tenant_id, a) INCLUDE (b) included'),
    ('UNIQUE (tenant_id, b, a) a, (b)'),
    ('UNIQUE (tenant_id, code) products_code_key'),
    ('UNIQUE (tenant_id, sku) products_sku_key'),
    ('UNIQUE (tenant_id, sku, a) added'),
    ('UNIQUE NULLS NOT DISTINCT (tenant_id, a) nulls_too') $$, 'what is unique is so within a tenant, under its own name, and else as it was said');
select is(reloptions, array['fillfactor=70'], 'storage parameters too') from pg_class where relname = 'included';
select t.act_as('service_role');
insert into products (sku, a) values ('theme', 1);
select throws_ok($$ insert into products (sku, a) values ('theme', 2) $$, '23505', null, 'it is unique there');
select t.act_as('service_role', tenant => 'b');
select lives_ok($$ insert into products (sku, a) values ('theme', 1) $$, 'and another tenant may have the same');
select t.act_as('tenon_owner');
alter table products drop constraint late;
select t.act_as('service_role', tenant => 'b');
select lives_ok($$ insert into products (sku, a) values ('theme', 3) on conflict (tenant_id, sku) do update set a = 4 $$, 'on conflict names the tenant too');
select t.act_as('tenon_owner');
create table referred (code text unique, id int primary key);
select lives_ok('create table referring (code text, tenant_id uuid default tenon.tenant_id(), foreign key (tenant_id, code) references referred (tenant_id, code))',
    'a foreign key can refer to it with the tenant');
select throws_ok('create table referring_2 (code text references referred (code))', '42830', null, 'and not without');
create table own_parent (code text unique, up text references own_parent (code));
select set_eq($$ select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'own_parent'::regclass and contype in ('u', 'f') $$,
    array['UNIQUE (tenant_id, code)', 'FOREIGN KEY (tenant_id, up) REFERENCES own_parent(tenant_id, code)'], 'unless it is to the table itself');
create table identified (code text not null);
select set_config('tenon.auto_protect', 'off', true) \g /dev/null
create unique index identity_index on identified (code);
alter table identified replica identity using index identity_index;
create unique index outsiders_index on identified (code);
create table outsider (code text references identified (code));
select set_config('tenon.auto_protect', 'on', true) \g /dev/null
alter table identified add column x int;
select set_has($$ select pg_temp.uniques('identified') $$, $$ values ('INDEX USING btree (code) identity_index'), ('INDEX USING btree (tenant_id, code) outsiders_index') $$,
    'what other things hang on is left alone');
create table parted (id int, k int, code text, unique (code, k)) partition by list (k);
create table parted_1 partition of parted for values in (1);
create unique index parted_index on parted (k, id);
select results_eq($$ select pg_temp.uniques('parted_1') $$, $$ values ('INDEX USING btree (tenant_id, k, id) parted_1_tenant_id_k_id_idx'),
    ('UNIQUE (tenant_id, code, k) parted_1_tenant_id_code_k_key') $$, 'partitioned tables and their partitions');
select lives_ok('alter table products drop constraint products_sku_key', 'constraints go by their names');
select lives_ok('drop index "an ""index"""', 'and indexes');
select set_config('tenon.auto_protect', 'off', true) \g /dev/null
create table late_one (sku text unique);
comment on constraint late_one_sku_key on late_one is 'said';
create unique index late_index on late_one (sku);
comment on index late_index is 'said too';
select set_config('tenon.auto_protect', 'on', true) \g /dev/null
select tenon.protect('late_one') \g /dev/null
select results_eq($$ select pg_temp.uniques('late_one') $$, $$ values ('INDEX USING btree (tenant_id, sku) late_index'), ('UNIQUE (tenant_id, sku) late_one_sku_key') $$,
    'tenon.protect() does it as well');
select is(obj_description('late_index'::regclass), 'said too', 'comments stay');
select is(obj_description(oid, 'pg_constraint'), 'said', 'on constraints too') from pg_constraint where conname = 'late_one_sku_key';
select is(pg_get_constraintdef(oid), 'UNIQUE (hash)', 'our own tables are as they are') from pg_constraint where conname = 'keys_hash_key';

-- The wall stays up
select throws_ok('alter table products disable row level security', '55000', 'public.products is protected: row security cannot be disabled',
    'row security cannot be switched off by accident');
select throws_ok('alter table products no force row level security', '55000', 'public.products is protected: row security cannot be lifted for its owner', 'nor lifted for the owner');
select throws_ok('drop policy tenon_tenant on products', '55000', 'public.products is protected: its policy tenon_tenant must stay as it is', 'the wall cannot be dropped');
select throws_ok('alter policy tenon_tenant on products using (true)', '55000', null, 'nor opened');
select throws_ok('alter policy tenon_tenant on products with check (true)', '55000', null, 'for writing either');
select throws_ok('alter policy tenon_tenant on products to anon', '55000', null, 'nor put up for a few only');
select throws_ok('alter policy tenon_tenant on products rename to x', '55000', null, 'nor renamed');
select throws_ok('alter table products drop column tenant_id cascade', '55000', null, 'nor lose what it looks at');
select throws_ok('alter table products alter column tenant_id drop not null', '55000', null, 'nor let that be nobody''s');
select throws_ok('alter table products alter column tenant_id drop default', '55000', 'public.products is protected: its tenant_id must keep its default', 'nor be asked for');
select throws_ok('alter table products rename column tenant_id to x', '55000', null, 'nor hide it');
select throws_ok('drop function tenon.tenant_id() cascade', '55000', null, 'nor lose its function');
select lives_ok('create policy mine on products using (true); alter policy mine on products using (false); drop policy mine on products', 'other policies are free');
select lives_ok('alter table products rename to goods; alter table goods rename to products; alter table products add z int', 'so is the rest');
select lives_ok('drop table referring; drop table referred', 'and a table can be dropped');
select set_config('tenon.auto_protect', 'off', true) \g /dev/null
select lives_ok('alter table products disable row level security; drop policy tenon_tenant on products', 'whoever means it says tenon.auto_protect = off');
select set_config('tenon.auto_protect', 'on', true) \g /dev/null
select lives_ok('alter table products add y int', 'and is left alone from then on');
select is(relrowsecurity, false, 'for good') from pg_class where oid = 'products'::regclass;
drop table products;

-- Moved into a protected schema
create schema elsewhere;
create table elsewhere.mover (id int primary key, sku text unique);
select is(relrowsecurity, false, 'a table of another schema') from pg_class where oid = 'elsewhere.mover'::regclass;
alter table elsewhere.mover set schema public;
select is(relrowsecurity and relforcerowsecurity and has_tenant, true, 'is protected when it moves into a protected one') from t.ours where name = 'mover';
select set_eq($$ select pg_temp.uniques('mover') $$, array['UNIQUE (tenant_id, sku) mover_sku_key', 'INDEX USING btree (tenant_id, id) mover_tenant_id_id_idx'], 'with what is unique in it');

create table elsewhere.chosen (id int primary key);
select tenon.protect('elsewhere.chosen') \g /dev/null
create unique index chosen_index on elsewhere.chosen (lower(id::text));
select matches(pg_get_indexdef('elsewhere.chosen_index'::regclass), '\(tenant_id, ', 'a table of another schema that was protected one by one is looked after as well');
select throws_ok('alter table elsewhere.chosen disable row level security', '55000', null, 'and keeps its wall');
select throws_ok('drop policy tenon_tenant on elsewhere.chosen', '55000', null, 'all of it');

-- A column of that name that is there already
select t.act_as('tenon_owner');
create table with_tenant (tenant_id uuid, x int);
select is(has_tenant and relforcerowsecurity, true, 'a tenant_id of one''s own is used') from t.ours where name = 'with_tenant';
insert into with_tenant (x) values (1);
select is(tenant_id, t.tenant('a'), 'and filled in') from with_tenant;
select throws_ok('create table with_other (tenant_id bigint)', '42804', 'the column tenant_id of public.with_other is bigint, not uuid',
    'a tenant_id that means something else is refused, not ignored');

-- All ways to make a table
create table copied as select * from notes;
select is(relrowsecurity and relforcerowsecurity and has_tenant, true, 'create table as') from t.ours where name = 'copied';
create table computed as select n from generate_series(1, 3) n;
select is(array_agg(distinct tenant_id), array[t.tenant('a')], 'the rows of create table as belong to the tenant of the context') from computed;
select n into into_table from generate_series(1, 2) n;
select is(relrowsecurity and relforcerowsecurity, true, 'select into') from t.ours where name = 'into_table';
create table liked (like notes including all);
select is(relrowsecurity and relforcerowsecurity, true, 'create table like') from t.ours where name = 'liked';
create unlogged table quick (x int);
select is(relrowsecurity and relforcerowsecurity, true, 'an unlogged table') from t.ours where name = 'quick';
create table if not exists notes (x int);
select is(count(*), 8::bigint, 'create table if not exists, and it exists: nothing changes') from pg_policies where tablename = 'notes';
create table if not exists computed as select 1 as n;
create table child () inherits (notes);
select is(relrowsecurity and relforcerowsecurity, true, 'a child by inheritance') from t.ours where name = 'child';
create table events (at timestamptz not null, what text) partition by range (at);
create table events_2026 partition of events for values from ('2026-01-01') to ('2027-01-01');
create table events_rest partition of events default partition by list (what);
create table events_rest_x partition of events_rest default;
select is(count(*), 4::bigint, 'a partitioned table and each of its partitions')
  from t.ours where name ~ '^events' and relrowsecurity and relforcerowsecurity and has_tenant;
insert into events values ('2026-05-05', 'x'), ('2025-05-05', 'y');
select t.act_as('service_role', tenant => 'b');
select is_empty('select 1 from events union all select 1 from events_2026 union all select 1 from events_rest_x',
    'a partition is no way around the wall');
select t.act_as('tenon_owner');
select lives_ok('create temporary table mine (x int)', 'temporary tables are left alone');
select is(relrowsecurity, false, 'and have no row security') from pg_class where oid = 'mine'::regclass;
create schema app;
create table app.plain (x int);
select is(relrowsecurity, false, 'so are other schemas') from pg_class where oid = 'app.plain'::regclass;
select set_config('tenon.protected_schemas', 'public , app', true) \g /dev/null
create table app.guarded (x int);
select is(relrowsecurity, true, 'unless they are named in tenon.protected_schemas') from pg_class where oid = 'app.guarded'::regclass;
select set_config('tenon.protected_schemas', 'Odd name', true) \g /dev/null
create schema "Odd name" create table "Ta'ble ""x""" (id int);
select is(relrowsecurity, true, 'and are made in one go') from pg_class where oid = '"Odd name"."Ta''ble ""x"""'::regclass;
create table "Odd name"."Ta'ble ""y""" (id serial, "user ""id""" uuid);
select lives_ok($$ select tenon.protect('"Odd name"."Ta''ble ""y"""', owner => 'user "id"') $$, 'names may hold anything');
select set_config('tenon.protected_schemas', '', true) \g /dev/null

-- Switched off
select set_config('tenon.auto_protect', 'off', true) \g /dev/null
create table bare (x int);
create table bare_parted (x int) partition by list (x);
select is(relrowsecurity or has_tenant, false, 'tenon.auto_protect = off leaves tables as they were written') from t.ours where name = 'bare';
insert into bare values (1);
select set_config('tenon.auto_protect', 'on', true) \g /dev/null
create table bare_part partition of bare_parted for values in (1);
select is(relrowsecurity or has_tenant, false, 'a partition of a table that is not protected is not either') from t.ours where name = 'bare_part';

-- Without a tenant
select set_config('tenon.tenant_id', '', true) \g /dev/null
select lives_ok('create table without_tenant (x int)', 'an empty table needs no tenant');
select throws_ok('insert into without_tenant values (1)', '42501', null, 'a row does');
select throws_ok('create table of_nobody as select 1 as x', '23502', 'public.of_nobody has rows, and they would belong to no tenant',
    'create table as does, and says so');
select throws_ok($$ select tenon.protect('bare') $$, '23502', 'public.bare has rows, and they would belong to no tenant', 'so does protecting a table that has rows');
select is_empty($$ select 1 from t.ours where name in ('of_nobody', 'with_other') $$, 'what is refused is not there');

-- Tables of a superuser
reset role;
create table of_superuser (x serial);
select is(relrowsecurity and relforcerowsecurity, true, 'a superuser''s tables are protected too') from t.ours where name = 'of_superuser';
select set_config('tenon.tenant_id', t.tenant('a')::text, true) \g /dev/null
insert into of_superuser default values;
select t.act_as('service_role', tenant => 'b');
select is_empty('select 1 from of_superuser', 'from other tenants');
reset role;
create extension "tablefunc" with schema public;
select pass('extensions can be created');

select * from finish();
rollback;
