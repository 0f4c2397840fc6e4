-- t/sql/storage_attach.sql: files that belong to rows: seen by whoever sees the row, gone when it is gone
begin;
select * from no_plan();
select from set_config('storage.operation', 'storage.object.upload', true); -- as the server says before it writes rows of files

set role tenon_owner;
create table public.posts (id bigint generated always as identity primary key, author uuid default auth.uid(), public boolean not null default false,
    parent bigint references public.posts on delete cascade);
create policy readers on public.posts for select to authenticated using (author = (select auth.uid()) or public);
create policy writers on public.posts to authenticated using (author = (select auth.uid())) with check (author = (select auth.uid()));
create table public.pages (id uuid primary key default gen_random_uuid(), "Sl'ug" text);
create table public."odd ""name" (tenant_id uuid not null default tenon.tenant_id(), "the 'key" text, primary key (tenant_id, "the 'key"));
create policy all_of_it on public."odd ""name" to anon, authenticated using (true) with check (true);
create table public.pairs (tenant_id uuid not null default tenon.tenant_id(), one int, two int, primary key (tenant_id, one, two));
create view public.posts_view with (security_invoker = true) as select * from public.posts;
create policy own on storage.objects to authenticated using (bucket_id = 'docs' and owner_id = (select auth.uid()::text))
    with check (bucket_id = 'docs' and owner_id = (select auth.uid()::text));
select lives_ok($$ select storage.follow_rows('public.pages'), storage.follow_rows('public.pages') $$, 'a migration may prepare a table');
select throws_ok($$ select storage.follow_rows('public.pairs') $$, '42809', null, 'one with a key');
reset role;

create function t.put(name text) returns void language sql as $$
    insert into storage.objects (bucket_id, name, owner_id, version, size) values ('docs', name, auth.uid()::text, gen_random_uuid(), 10) $$;
create function t.attach(name text, row_key bigint) returns void language sql as $$
    select storage.attach('docs', name, 'public.posts', row_key::text) $$;
create function t.names() returns setof text language sql as $$ select name from storage.objects order by name $$;
create function t.trash() returns bigint language sql as $$ select count(*) from storage.trash $$;

select t.act_as('service_role');
insert into storage.buckets (id, name) values ('docs', 'docs'), ('other', 'other');
select t.act_as('service_role', tenant => 'b');
insert into storage.buckets (id, name) values ('docs', 'docs');

-- Attaching

select t.act_as('authenticated');
insert into public.posts (public) values (true), (false);
select t.put('open.txt'), t.put('closed.txt'), t.put('own.txt');
select t.act_as('authenticated', person => 2);
select is_empty('select * from t.names()', 'another person sees no files');
insert into public.posts default values;
select t.put('two.txt');
select t.act_as('authenticated');
select lives_ok($$ select t.attach('open.txt', 1), t.attach('closed.txt', 2) $$, 'the owner of file and row attaches');
select lives_ok($$ select t.attach('open.txt', 1) $$, 'twice is once');
select lives_ok($$ select storage.attach(id, 'public.posts', '01') from storage.objects where name = 'open.txt' $$, 'and 01 is 1');
select results_eq($$ select target::text, row_key from storage.attachments order by 2 $$, $$ values ('posts', '1'), ('posts', '2') $$,
    'what hangs where is there to be read');
select is((select updated_at from storage.objects where name = 'open.txt'), (select created_at from storage.objects where name = 'open.txt'),
    'a file does not change by it');

select t.act_as('authenticated', person => 2);
select results_eq('select * from t.names()', array['open.txt', 'two.txt'], 'who may see the row may see the file');
select results_eq('select name from storage.search(null, ''docs'')', array['open.txt', 'two.txt'], 'also in lists');
select results_eq('select row_key from storage.attachments', array['1'], 'and only what is attached to rows one sees is told');
select is_empty($$ update storage.objects set metadata = '{}' where name = 'open.txt' returning 1 $$, 'but not change it');
select is_empty($$ delete from storage.attachments returning 1 $$, 'nor detach it');
select is(storage.detach('docs', 'open.txt', 'public.posts', '1'), false, 'nor by the function');
select throws_ok($$ select t.attach('open.txt', 3) $$, '42501', null, 'nor attach another''s file to an own row');
select throws_ok($$ select t.attach('closed.txt', 3) $$, 'P0002', null, 'one that is not seen is not there');
select throws_ok($$ insert into storage.attachments (object_id, target, row_key) select id, 'public.posts', '3' from storage.objects where name = 'open.txt' $$,
    '42501', null, 'nor by hand');
select throws_ok($$ select t.attach('two.txt', 2) $$, '42501', null, 'nor an own file to a row that is not seen');
select throws_ok($$ select t.attach('two.txt', 1000) $$, '42501', null, 'or not there, which is the same');
select lives_ok($$ select t.attach('two.txt', 1) $$, 'an own file to a row that is seen');
select throws_ok($$ update storage.attachments set row_key = '2' $$, '42501', null, 'what is attached is not turned to another row');
select t.act_as('authenticated');
select results_eq('select * from t.names()', array['closed.txt', 'open.txt', 'own.txt', 'two.txt'], 'so the other one sees that');
select is(storage.detach('docs', 'two.txt', 'public.posts', '1'), false, 'and does not detach it, their row or not');
select t.act_as('authenticated', person => 2);
select is(storage.detach('docs', 'two.txt', 'public.posts', '1'), true, 'whose file it is does');
select t.act_as('authenticated');
select results_eq('select * from t.names()', array['closed.txt', 'open.txt', 'own.txt'], 'and it is seen no more');
select t.act_as('anon');
select is_empty('select * from t.names()', 'nobody sees what hangs on rows that nobody sees');

-- A row that stops being seen takes its files along; so does one that comes into sight
select t.act_as('authenticated');
update public.posts set public = not public;
select t.act_as('authenticated', person => 2);
select results_eq('select * from t.names()', array['closed.txt', 'two.txt'], 'the row decides at any moment');
select t.act_as('authenticated');
update public.posts set public = not public;

-- Agents

select t.act_as('agent', person => 2, scopes => '["storage:docs:read", "data:posts:read"]');
select results_eq('select * from t.names()', array['open.txt', 'two.txt'], 'an agent with both scopes sees what its person sees');
select t.act_as('agent', person => 2, scopes => '["storage:docs:read"]');
select results_eq('select * from t.names()', array['two.txt'], 'without the scope for the table there is no row, so no file');
select t.act_as('agent', person => 2, scopes => '["storage:other:read", "data:*"]');
select is_empty('select * from t.names()', 'without the scope for the bucket there is no file');
select t.act_as('agent', scopes => '["storage:docs:read", "data:posts:read"]');
select throws_ok($$ select t.attach('own.txt', 1) $$, '42501', null, 'who may read attaches nothing');
select is(storage.detach('docs', 'open.txt', 'public.posts', '1'), false, 'and detaches nothing');
select t.act_as('agent', scopes => '["storage:docs:*", "data:posts:read"]');
select lives_ok($$ select t.attach('own.txt', 2) $$, 'who may write the bucket and read the table does');
select is(storage.detach('docs', 'own.txt', 'public.posts', '2'), true, 'both');

-- Tenants

select t.act_as('authenticated');
select id as theirs from storage.objects where name = 'open.txt' \gset
select t.act_as('authenticated', tenant => 'b');
select is_empty('select * from t.names()', 'another tenant sees nothing');
insert into public.posts (public) values (true);
select t.put('b.txt');
select throws_ok($$ select t.attach('b.txt', 1) $$, '42501', null, 'nor attaches to a row of another');
select t.act_as('service_role', tenant => 'b');
select throws_ok($$ select t.attach('b.txt', 1) $$, '23503', null, 'not even its secret key');
select throws_ok(format($$ select storage.attach(%L::uuid, 'public.posts', (select max(id)::text from public.posts)) $$, :'theirs'), '23503', null,
    'nor takes a file of another');
select lives_ok($$ select t.attach('b.txt', (select id from public.posts)) $$, 'its own it does');

-- What cannot be attached to

select t.act_as('service_role');
select throws_ok($$ select storage.attach('docs', 'own.txt', 'public.pairs', '1') $$, '42809', null, 'a key of two columns');
select throws_ok($$ select storage.attach('docs', 'own.txt', 'public.posts_view', '1') $$, '42809', null, 'a view');
select throws_ok($$ select storage.attach('docs', 'own.txt', 'pg_catalog.pg_class', '1') $$, '42809', null, 'a table of nobody');
select throws_ok($$ select storage.attach('docs', 'own.txt', 'storage.objects', (select id::text from storage.objects limit 1)) $$, '42809', null, 'another file');
select throws_ok($$ select storage.attach('docs', 'own.txt', 'public.posts', 'one') $$, '22P02', null, 'what is no key');
select throws_ok($$ select storage.attach('docs', 'own.txt', 'public.posts', '1000') $$, '23503', null, 'a row that is not there');
select throws_ok($$ select storage.attach('docs', 'none.txt', 'public.posts', '1') $$, 'P0002', null, 'a file that is not there');
select throws_ok($$ select storage.attach(null, 'public.posts', '1') $$, '23502', null, 'no file');

-- Names and keys that need quoting

insert into public."odd ""name" ("the 'key") values ($$it's "1"; drop table x --$$);
select lives_ok($$ select storage.attach('docs', 'own.txt', 'public."odd ""name"', $q$it's "1"; drop table x --$q$) $$, 'odd names');
select t.act_as('anon');
select results_eq('select * from t.names()', array['own.txt'], 'are no obstacle, and nobody sees what everybody sees');
select t.act_as('service_role');
update public."odd ""name" set "the 'key" = 'new key';
select results_eq($$ select row_key from storage.attachments where target = 'public."odd ""name"'::regclass $$, array['new key'], 'a key that changes takes the file along');

-- Several rows, and the end of them

insert into public.pages default values;
select lives_ok($$ select storage.attach('docs', 'own.txt', 'public.pages', (select id::text from public.pages)) $$, 'a file may belong to rows of several tables');
delete from public."odd ""name";
select is_empty($$ select from storage.objects where name = 'own.txt' having count(*) <> 1 $$, 'and stays until the last of them');
select t.act_as('anon');
select is_empty('select * from t.names()', 'seen by those who see one that is left');
select t.act_as('service_role');
delete from public.pages;
select is_empty($$ select from storage.objects where name = 'own.txt' $$, 'has gone');
reset role;
select is(t.trash(), 1::bigint, 'and its bytes are in the trash');
select is_empty($$ select from storage.attachments where target = 'public.pages'::regclass $$, 'with what said so');

select t.act_as('authenticated');
insert into public.posts (parent) values (2);
select t.put('child.txt');
select t.attach('child.txt', (select max(id) from public.posts where parent = 2));
delete from public.posts where id = 2;
select results_eq('select * from t.names()', array['open.txt'], 'a row goes, and those that it takes along, and all their files');
select t.act_as('service_role');
select is((select sum(objects) from storage.usage where owner_id = t.person('a', 1)::text), 1::numeric, 'and they are counted no more');

-- One who may delete the row need not have rights on the file
select t.act_as('authenticated', person => 2);
select t.attach('two.txt', 1);
select t.act_as('authenticated');
delete from public.posts where id = 1;
select t.act_as('service_role');
select is_empty('select * from t.names()', 'the file of another goes with the row');

-- A file that is deleted is attached no more
select t.act_as('authenticated');
insert into public.posts (public) values (true);
select t.put('short.txt');
select t.attach('short.txt', (select max(id) from public.posts));
set local storage.allow_delete_query = 'true';
delete from storage.objects where name = 'short.txt';
set local storage.allow_delete_query = '';
select t.act_as('service_role');
select is_empty('select from storage.attachments', 'nor is there an attachment without a file');

-- Moving and detaching
select t.act_as('authenticated');
select t.put('moved.txt');
select t.attach('moved.txt', (select max(id) from public.posts));
update storage.objects set name = 'elsewhere.txt', bucket_id = 'docs' where name = 'moved.txt';
select t.act_as('authenticated', person => 2);
select results_eq('select * from t.names()', array['elsewhere.txt'], 'a file that is moved stays where it hangs');
select t.act_as('authenticated');
select is(storage.detach('docs', 'elsewhere.txt', 'public.posts', (select max(id) from public.posts)::text), true, 'detached');
delete from public.posts;
select results_eq('select * from t.names()', array['elsewhere.txt'], 'it outlives the row');

-- All rows at once, those of all tenants
insert into public.posts (public) values (true);
select t.attach('elsewhere.txt', (select max(id) from public.posts));
reset role;
set role tenon_owner;
truncate public.posts;
reset role;
select is_empty($$ select from storage.objects where name in ('elsewhere.txt', 'b.txt') $$, 'truncating deletes the files as well');

-- A table that is gone is seen by nobody
select t.act_as('authenticated');
insert into public.posts (public) values (true);
select t.put('left.txt');
select t.attach('left.txt', (select max(id) from public.posts));
reset role;
set role tenon_owner;
drop table public.posts cascade;
reset role;
select t.act_as('authenticated', person => 2);
select is_empty('select * from t.names()', 'a table that is gone shows nothing');
select t.act_as('authenticated');
select results_eq('select * from t.names()', array['left.txt'], 'and its files are their owner''s');

-- Partitions
reset role;
set role tenon_owner;
create table public.logs (id bigint generated always as identity, tenant_id uuid not null default tenon.tenant_id(), primary key (tenant_id, id)) partition by hash (tenant_id);
create table public.logs_0 partition of public.logs for values with (modulus 1, remainder 0);
create policy everybody on public.logs to authenticated using (true) with check (true);
create policy everybody on public.logs_0 to authenticated using (true) with check (true);
reset role;
select t.act_as('authenticated');
insert into public.logs default values;
select lives_ok($$ select storage.attach('docs', 'left.txt', 'public.logs', '1') $$, 'a partitioned table');
select t.act_as('authenticated', person => 2);
select results_eq('select * from t.names()', array['left.txt'], 'is one table');
delete from public.logs_0;
select t.act_as('service_role');
select is_empty('select * from t.names()', 'whichever part of it the row is deleted from');

select * from finish();
rollback;
