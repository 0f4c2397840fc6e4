-- t/sql/storage_put.sql: storage.put_object(): what an upload takes, what it leaves, and its conditions
begin;
select * from no_plan();
select from set_config('storage.operation', 'storage.object.upload', true); -- as the server says before it writes rows of files

select from set_config('tenon.tenant_id', t.tenant('a')::text, true);
insert into storage.buckets (tenant_id, id, name) values (t.tenant('a'), 'put', 'put'), (t.tenant('a'), 'drop', 'drop');
create policy reads on storage.objects for select to authenticated using (bucket_id = 'put');
create policy adds on storage.objects for insert to authenticated with check (bucket_id in ('put', 'drop'));
create policy edits on storage.objects for update to authenticated using (bucket_id = 'put' and name not like 'fixed/%') with check (bucket_id = 'put');

-- An upload of a file with this ETag; its row's id.
create function t.upload(bucket text, name text, etag text, upsert boolean default false, if_match text default null, if_none_match text default null,
    owner text default null, size bigint default 10, tenant_quota bigint default 0, user_quota bigint default 0) returns uuid language sql as $$
    select row_id from storage.put_object(bucket, name, gen_random_uuid(), gen_random_uuid()::text, upsert, owner, size, sha256(etag::bytea), null,
        jsonb_build_object('eTag', etag, 'size', size), null, tenant_quota, user_quota, if_match, if_none_match) $$;
create function t.etag(of text) returns text language sql as $$ select metadata ->> 'eTag' from storage.objects where name = of $$;

select t.act_as('authenticated');

-- Without upsert

create temp table first as select t.upload('put', 'a', '"1"') as id;
select is((select id from storage.objects where name = 'a'), (select id from first), 'the row has the id that is told');
select is(owner_id, t.person('a', 1)::text, 'it is the caller''s') from storage.objects where name = 'a';
select is(user_metadata, '{}', 'no metadata of the user''s are none') from storage.objects where name = 'a';
select throws_ok($$ select t.upload('put', 'a', '"2"') $$, '23505', null, 'what is there is not replaced');
select throws_ok($$ select t.upload('none', 'a', '"1"') $$, '42501', null, 'a bucket without a policy');
select isnt(t.upload('drop', 'a', '"1"'), null, 'who may not read may add');
select throws_ok($$ select t.upload('drop', 'a', '"2"', upsert => true) $$, '42501', null, 'and not replace');

-- With upsert

select is(t.upload('put', 'a', '"2"', upsert => true), (select id from first), 'replaced, it keeps its id');
select is(t.etag('a'), '"2"', 'and has the new content');
select isnt(t.upload('put', 'b', '"1"', upsert => true), null, 'what is not there is made');
select isnt(t.upload('put', 'fixed/a', '"1"', upsert => true), null, 'where nothing is, no policy for updates is asked');
select throws_ok($$ select t.upload('put', 'fixed/a', '"2"', upsert => true) $$, '42501', null, 'where something is, it is');
select is(t.etag('fixed/a'), '"1"', 'and nothing has changed');

-- Only if it is that

select is(t.upload('put', 'a', '"3"', upsert => true, if_match => '"2"'), (select id from first), 'if_match that holds');
select throws_ok($$ select t.upload('put', 'a', '"4"', upsert => true, if_match => '"2"') $$, 'PT412', null, 'if_match that does not');
select throws_ok($$ select t.upload('put', 'new', '"4"', upsert => true, if_match => '"2"') $$, 'PT404', null, 'if_match of nothing');
select throws_ok($$ select t.upload('put', 'new', '"4"', upsert => true, if_match => '*') $$, 'PT404', null, 'whatever it is');
select is(t.upload('put', 'a', '"4"', upsert => true, if_match => '*'), (select id from first), 'anything that is there');
select throws_ok($$ select t.upload('put', 'fixed/a', '"2"', upsert => true, if_match => '"1"') $$, 'PT412', null, 'what may not be edited does not match');
select is(t.etag('a'), '"4"', 'the last that held');

-- Only if it is not

select throws_ok($$ select t.upload('put', 'a', '"5"', upsert => true, if_none_match => '*') $$, 'PT412', null, 'something is there');
select isnt(t.upload('put', 'c', '"1"', upsert => true, if_none_match => '*'), null, 'nothing is there');
select isnt(t.upload('put', 'd', '"1"', if_none_match => '*'), null, 'the same without upsert');
select throws_ok($$ select t.upload('put', 'd', '"1"', if_none_match => '*') $$, 'PT412', null, 'is no duplicate, but a condition that does not hold');
select throws_ok($$ select t.upload('put', 'c', '"2"', upsert => true, if_none_match => '"1"') $$, 'PT412', null, 'it is that one');
select isnt(t.upload('put', 'c', '"2"', upsert => true, if_none_match => '"9"'), null, 'it is another one');
select is(t.etag('c'), '"2"', 'and it is replaced');

-- Quotas

select throws_ok($$ select t.upload('put', 'q', '"1"', size => 1000, user_quota => 1000) $$, 'PT413', null, 'one''s own quota');
select throws_ok($$ select t.upload('put', 'q', '"1"', size => 1000, tenant_quota => 1000) $$, 'PT413', null, 'the tenant''s quota');
select isnt(t.upload('put', 'q', '"1"', size => 100, user_quota => 1000), null, 'what fits');
select isnt(t.upload('put', 'q', '"2"', upsert => true, size => 900, user_quota => 1000), null, 'what it replaces does not count');

-- The server's own rights: somebody else's file

select t.act_as('service_role');
select isnt(t.upload('drop', 'signed', '"1"', owner => 'somebody'), null, 'by a signed URL');
select is(row(owner_id, owner), row('somebody'::text, null::uuid), 'it is whose the URL says, who need not be a UUID') from storage.objects where name = 'signed';
select throws_ok($$ select t.upload('none', 'a', '"1"') $$, '23503', null, 'a bucket that is not there');

-- What was replaced waits in the trash

set role tenon_worker;
select is(count(*), 5::bigint, 'the content of every one that was replaced') from storage.trash;

select * from finish();
rollback;
