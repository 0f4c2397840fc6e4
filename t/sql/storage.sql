-- t/sql/storage.sql: files in SQL: names, policies, scopes, guards, what is thrown away and counted, and what goes with a person
begin;
select * from no_plan();

-- Names

select is(storage.foldername(name), folders, format('folders of %s', name))
  from (values ('a/b/c.tar.gz', array['a', 'b']), ('c.txt', '{}'), ('a/', '{a}'), ('a//b', array['a', '']), ('', null), (null, null)) c (name, folders);
select is(storage.filename(name), file, format('file name of %s', name))
  from (values ('a/b/c.tar.gz', 'c.tar.gz'), ('c', 'c'), ('a/', ''), (null, null)) c (name, file);
select is(storage.extension(name), extension, format('extension of %s', name))
  from (values ('a/b/c.tar.gz', 'gz'), ('a.b/c', 'c'), ('.env', 'env'), ('c.', ''), (null, null)) c (name, extension);
select is((storage.foldername('a/b'))[1], 'a', 'the first folder has the index 1');

select is(storage.operation(), null, 'outside of a request there is no operation');
select is(storage.allow_only_operation('object.list'), false, 'so none is allowed');
select storage.begin_operation('storage.object.list');
select is(storage.operation(), 'storage.object.list', 'the operation');
select is(storage.allow_only_operation(o), yes, format('%s is it: %s', o, yes))
  from (values ('storage.object.list', true), ('object.list', true), ('object.list_v2', false), ('', false), (null, false)) c (o, yes);
select is(storage.allow_any_operation(o), yes, format('%s has it: %s', o, yes))
  from (values (array['object.upload', 'object.list'], true), (array['object.upload'], false), ('{}', false), (null, false), (array['', null], false)) c (o, yes);
set local storage.allow_delete_query = '';
set local storage.operation = 'storage.object.copy'; -- without any, rows of files cannot be written

-- The app's SQL, as it comes from Supabase

set role tenon_owner;
select from set_config('tenon.tenant_id', t.tenant('a')::text, true);
insert into storage.buckets (id, name, public) values ('docs', 'docs', false), ('secret', 'secret', false) on conflict do nothing;
select lives_ok($$ insert into storage.buckets (id, name, public) values ('docs', 'docs', true) on conflict do nothing $$, 'a seed may be sown twice');
select throws_ok($$ insert into storage.buckets (id, name) values ('docs', 'docs') on conflict (id) do nothing $$, '42P10', null,
    'but not with the name of a column, which is unique within a tenant only');
select lives_ok($$ insert into storage.buckets (id, name) values ('docs', 'docs') on conflict (tenant_id, id) do nothing $$, 'with the tenant it is');
create policy "own folder" on storage.objects for all to authenticated
    using (bucket_id = 'docs' and (storage.foldername(name))[1] = (select auth.uid()::text))
    with check (bucket_id = 'docs' and (storage.foldername(name))[1] = (select auth.uid()::text));
create policy "only uploads" on storage.objects for insert to anon with check (bucket_id = 'docs' and storage.allow_only_operation('object.upload'));
create table public.albums (id bigint generated always as identity primary key, cover uuid references storage.objects (id) on delete set null,
    owner uuid default auth.uid());
create policy own on public.albums to authenticated using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
reset role;
select is(pg_get_constraintdef(oid), 'FOREIGN KEY (tenant_id, cover) REFERENCES storage.objects(tenant_id, id) ON DELETE SET NULL (cover)',
    'a key to a file takes the tenant in') from pg_constraint where conname = 'albums_cover_fkey';

create function t.put(bucket text, name text, size bigint default 10) returns uuid language sql as $$
    insert into storage.objects (bucket_id, name, owner, owner_id, version, size) values (bucket, name, auth.uid(), auth.uid()::text, gen_random_uuid(), size)
    returning id $$;
create function t.own(name text, bucket text default 'docs') returns uuid language sql as $$
    select t.put(bucket, auth.uid() || '/' || name) $$;
create function t.names() returns setof text language sql as $$ select regexp_replace(name, '^[0-9a-f-]{36}/', '') from storage.objects order by name $$;

select t.act_as('authenticated');
select lives_ok($$ select t.own('one.txt'), t.own('two.txt') $$, 'a policy lets files in');
select throws_ok($$ select t.put('docs', 'elsewhere.txt') $$, '42501', null, 'and keeps others out');
select throws_ok($$ select t.own('one.txt', 'secret') $$, '42501', null, 'by bucket, too');
select throws_ok($$ select t.own('one.txt') $$, '23505', null, 'a name is one file''s');
select is(owner_id, t.person('a', 1)::text, 'whose it is') from storage.objects where name like '%/one.txt';
select is(path_tokens[2], 'one.txt', 'the path in pieces') from storage.objects where name like '%/one.txt';
insert into public.albums (cover) select id from storage.objects where name like '%/two.txt';
select t.act_as('authenticated', person => 2);
select is_empty('select * from t.names()', 'another person sees nothing');
select t.act_as('authenticated', tenant => 'b');
select is_empty('select * from t.names()', 'nor another tenant');
select throws_ok($$ select t.own('one.txt') $$, '23503', null, 'which has no such bucket');
select t.act_as('anon');
select throws_ok($$ insert into storage.objects (bucket_id, name) values ('docs', 'x') $$, '42501', null, 'a policy may ask for the operation');
select storage.begin_operation('storage.object.upload');
select lives_ok($$ insert into storage.objects (bucket_id, name) values ('docs', 'x') $$, 'and gets it');
select is_empty('select * from t.names()', 'who may add need not see');
set local storage.allow_delete_query = '';
set local storage.operation = 'storage.object.copy'; -- without any, rows of files cannot be written

-- Agents, by the bucket

select t.act_as('agent', scopes => '["storage:docs:read"]');
select results_eq('select * from t.names()', array['one.txt', 'two.txt'], 'an agent reads its person''s files');
select throws_ok($$ select t.own('agent.txt') $$, '42501', null, 'and writes none');
select is_empty($$ update storage.objects set metadata = '{}' returning 1 $$, 'nor changes one');
select t.act_as('agent', scopes => '["storage:docs:write"]');
select is_empty('select * from t.names()', 'with a scope to write it reads nothing');
select lives_ok($$ insert into storage.objects (bucket_id, name) values ('docs', auth.uid() || '/agent.txt') $$, 'and writes');
select t.act_as('agent', scopes => '["storage:secret:*"]');
select is_empty('select * from t.names()', 'another bucket is another scope');
select t.act_as('agent', scopes => '["storage:*"]');
select results_eq('select * from t.names()', array['agent.txt', 'one.txt', 'two.txt'], 'a star is all buckets');
select t.act_as('agent', scopes => '["data:*"]');
select is_empty('select * from t.names()', 'and other scopes are none');

-- Deleting

select t.act_as('authenticated');
select throws_like($$ delete from storage.objects $$, 'Direct deletion from storage tables is not allowed.%', 'not by accident');
select throws_ok($$ delete from storage.buckets $$, '42501', null, 'nor buckets');
set local storage.allow_delete_query = 'true';
select lives_ok($$ delete from storage.objects where name like '%/two.txt' $$, 'but whoever says so');
set local storage.allow_delete_query = '';
select results_eq('select cover from public.albums', array[null::uuid], 'what refers to the file knows');
reset role;
select is(count(*), 1::bigint, 'and its bytes wait in the trash') from storage.trash where tenant_id = t.tenant('a');
select t.act_as('authenticated');
update storage.objects set version = gen_random_uuid() where name like '%/one.txt';
reset role;
select is(count(*), 2::bigint, 'as those that were replaced') from storage.trash where tenant_id = t.tenant('a');
select t.act_as('authenticated');
update storage.objects set metadata = '{"a": 1}' where name like '%/one.txt';
reset role;
select is(count(*), 2::bigint, 'and no others') from storage.trash where tenant_id = t.tenant('a');

-- Counting

create function t.used(who text) returns text language sql as $$
    select sum(bytes) || ' in ' || sum(objects) from storage.usage where tenant_id = t.tenant('a') and owner_id = who $$;
select is(t.used(t.person('a', 1)::text), '10 in 1', 'what is there counts');
select is(t.used(''), '0 in 2', 'also what is nobody''s');
update storage.objects set size = 25 where name like '%/one.txt' and tenant_id = t.tenant('a');
select is(t.used(t.person('a', 1)::text), '25 in 1', 'as large as it is');
update storage.objects set owner_id = t.person('a', 2) where name like '%/one.txt' and tenant_id = t.tenant('a');
select is(t.used(t.person('a', 1)::text) || ', ' || t.used(t.person('a', 2)::text), '0 in 0, 25 in 1', 'and whose it is');
update storage.objects set owner_id = t.person('a', 1) where name like '%/one.txt' and tenant_id = t.tenant('a');

-- Quotas: null and 0 are none

create function t.fits(who text, tenant_default bigint, user_default bigint) returns text
    language plpgsql as $$
begin
    perform storage.check_quota(who, tenant_default, user_default);
    return 'fits';
exception when sqlstate 'PT413' then return sqlerrm;
end $$;
select t.act_as('authenticated');
select is(t.fits(auth.uid()::text, tenant_limit, user_limit), answer, format('%s and %s: %s', tenant_limit, user_limit, answer))
  from (values (null::bigint, null::bigint, 'fits'), (0, 0, 'fits'), (25, 25, 'fits'), (24, null, 'The storage quota of this tenant is used up'),
               (null, 24, 'Your storage quota is used up'), (100, 24, 'Your storage quota is used up')) c (tenant_limit, user_limit, answer);
select is(t.fits(null, 100, 1), 'fits', 'nobody has no quota of their own');
select is(t.fits(t.person('a', 2)::text, 100, 1), 'fits', 'everybody their own');
select t.act_as('service_role', tenant => 'b');
select is(t.fits(null, 1, 1), 'fits', 'as every tenant');
reset role;
insert into storage.quotas (tenant_id, tenant_bytes, user_bytes) values (t.tenant('a'), 24, null);
select t.act_as('authenticated');
select is(t.fits(auth.uid()::text, 1000, 0), 'The storage quota of this tenant is used up', 'one of the tenant''s own');
reset role;
update storage.quotas set tenant_bytes = 1000, user_bytes = 24;
select t.act_as('authenticated');
select is(t.fits(auth.uid()::text, 1, 1000), 'Your storage quota is used up', 'or for each person, goes before the deployment''s');
reset role;

-- Whoever deletes, with or without a tenant, the books are kept
select from set_config('tenon.tenant_id', '', true);
set role tenon_platform;
delete from storage.objects where name like '%/agent.txt';
reset role;
select is(t.used(''), '0 in 1', 'the platform''s deletions count as well');

-- People

select t.act_as('tenon_worker');
select is(('{' || string_agg(piece, '') || '}')::jsonb -> 'files', '[]', 'who has no files takes none along') from auth.export_account(t.person('a', 2)) piece;
select t.act_as('authenticated', person => 2);
select from t.own('theirs.txt');
select t.act_as('tenon_worker');
select results_eq(format($$ select f ->> 'bucket', f ->> 'name', f ->> 'size', f ->> 'created_at' is not null from
        (select ('{' || string_agg(piece, '') || '}')::jsonb as all_of_it from auth.export_account(%L) piece) e, jsonb_array_elements(e.all_of_it -> 'files') f $$,
        t.person('a', 1)),
    format($$ values ('docs', '%s/one.txt', '25', true) $$, t.person('a', 1)), 'a person''s files are named in what they take along');
select is(auth.delete_account(t.person('a', 1), null, null, null), 'deleted', 'an account is deleted');
reset role;
select is(t.used(t.person('a', 1)::text), '0 in 0', 'its files are');
select is(count(*), 3::bigint, 'and their bytes are in the trash') from storage.trash where tenant_id = t.tenant('a');
select is(t.used(t.person('a', 2)::text), '10 in 1', 'those of others stay');
select t.act_as('tenon_worker');
select is(auth.admin_delete_user(t.person('a', 2), true, null), true, 'who is deleted softly');
reset role;
select is(t.used(t.person('a', 2)::text), '10 in 1', 'leaves their files');
delete from auth.users where id = t.person('a', 2);
select is(t.used(t.person('a', 2)::text), '0 in 0', 'and whichever way a person goes, they go as well');

-- Bytes that are lost: the row stays, and gets them again

create table t.lost (name text, id uuid, version text);
select t.act_as('service_role');
insert into storage.objects (bucket_id, name, version, size) select 'docs', 'lost/' || n, gen_random_uuid(), 10 from unnest(array['back', 'deleted', 'replaced']) n;
reset role;
insert into t.lost select regexp_replace(name, '^lost/', ''), id, version from storage.objects where name like 'lost/%';
create function t.lose(lost_name text) returns boolean language sql as $$
    select storage.lose_object(t.tenant('a'), id, version, 'missing') from t.lost where name = lost_name $$;
create function t.restore(lost_name text) returns boolean language sql as $$
    select storage.restore_object(t.tenant('a'), id, version) from t.lost where name = lost_name $$;
create function t.in_trash(lost_name text) returns boolean language sql as $$
    select exists (select from storage.trash x join t.lost l on l.version = x.version where l.name = lost_name) $$;
grant select on t.lost to tenon_platform;
select from set_config('tenon.tenant_id', '', true);
set role tenon_platform;
select is(storage.lose_object(t.tenant('a'), id, 'another version', 'missing'), false, 'a row that has changed is left alone') from t.lost where name = 'back';
select is(t.lose(name), true, 'a row loses its bytes') from t.lost;
select is(t.lose('back'), false, 'once');
select results_eq($$ select l.name, o.version, o.size from t.lost l join storage.objects o on o.id = l.id order by 1 $$,
    $$ values ('back', null, 0::bigint), ('deleted', null, 0), ('replaced', null, 0) $$, 'and stays, with its id');
select is(t.in_trash('back'), false, 'the bytes are not thrown away');
select is(storage.names_version(t.tenant('a'), version), true, 'and not nobody''s') from t.lost where name = 'back';
delete from storage.objects where name = 'lost/deleted';
select is(t.in_trash('deleted'), true, 'unless the row is deleted');
select from set_config('tenon.tenant_id', t.tenant('a')::text, true);
update storage.objects set version = gen_random_uuid(), size = 7 where name = 'lost/replaced';
select from set_config('tenon.tenant_id', '', true);
select is(t.in_trash('replaced'), true, 'or gets others');
select is(t.restore('replaced'), false, 'then it keeps those');
select is(t.restore('back'), true, 'whose bytes are back');
select results_eq($$ select o.version = l.version, o.size from t.lost l join storage.objects o on o.id = l.id where l.name = 'back' $$, $$ values (true, 10::bigint) $$, 'is as before');
select is(t.in_trash('back'), false, 'its bytes are not in the trash');
select is_empty('select 1 from storage.lost_objects', 'and nothing is noted any more');
select is(t.lose('back'), true, 'lost again');
update storage.buckets set encrypted = true where id = 'docs';
select is(t.restore('back'), false, 'bytes that are not encrypted do not come back into an encrypted bucket');
update storage.buckets set encrypted = false where id = 'docs';
reset role;
select is(t.used(''), '7 in 3', 'what is lost counts for nothing');

select * from finish();
rollback;
