-- t/sql/notify.sql: what tells the processes that something they keep in memory has changed
--
-- Notifications arrive outside of transactions, where a test cannot ask for them; so the trigger functions write them down here.
begin;
select plan(30);
create function pg_temp.heard(statement text) returns text[]
    language plpgsql
as $$
declare
    before constant bigint := (select count(*) from t.heard);
begin
    execute statement;
    return (select array_agg(payload order by n) from t.heard where n > before);
end $$;
delete from tenon.signing_keys; -- those that tenon init has made
create table t.heard (n bigint generated always as identity, payload text);
do $$ -- the functions as they are, but for whom they tell
declare
    f record;
begin
    for f in select pg_get_functiondef(p.oid) as definition from pg_proc p
              where p.oid in ('tenon.notify_key()'::regprocedure, 'tenon.notify_tenant()'::regprocedure, 'tenon.notify()'::regprocedure) loop
        execute replace(f.definition, 'perform pg_notify(''tenon'', ', 'insert into t.heard (payload) values (');
    end loop;
end $$;
select is(pg_temp.heard($$ insert into tenon.keys (tenant_id, kind, name, hash, hint) values (t.tenant('a'), 'secret', 'x', sha256('n'), 'nnnn') $$),
    array['key:' || encode(sha256('n'), 'hex')], 'a new key: it may have been unknown until now');
select is(pg_temp.heard($$ update tenon.keys set last_used_at = now() $$), null, 'a key that is used: nothing');
select is(pg_temp.heard($$ update tenon.keys set revoked_at = now() $$), array_fill('key:' || encode(sha256('n'), 'hex'), array[2]), 'a key that is revoked');
select is(pg_temp.heard($$ delete from tenon.keys $$), array['key:' || encode(sha256('n'), 'hex')], 'a key that is deleted');
select is(pg_temp.heard($$ truncate tenon.keys cascade $$), array['keys:reload'], 'all keys');
select is(pg_temp.heard($$ update tenon.tenants set status = 'suspended' where id = t.tenant('a') $$), array['tenant:' || t.tenant('a')], 'a tenant');
select is(pg_temp.heard($$ insert into tenon.signing_keys (kid, alg, public_jwk, private_encrypted) values ('1', 'ES256', '{}', '') $$),
    array['signing_keys'], 'a signing key');
select is(pg_temp.heard($$ update tenon.signing_keys set status = 'active' $$), array['signing_keys'], 'a rotation');

-- The catalog: `tenon` and `pgrst` are told with one statement, so one of them is written down here.
reset role;
create function t.hear(channel text, message text) returns void
    language sql
as $$ insert into t.heard (payload) select message where channel = 'tenon' $$;
do $$
begin
    execute replace(pg_get_functiondef('tenon.notify_catalog()'::regprocedure), 'pg_catalog.pg_notify(', 't.hear(');
end $$;
-- several times for one statement, where protecting a table is more DDL: PostgreSQL sends equal ones once
select is((select array_agg(distinct h) from unnest(pg_temp.heard(statement)) h), array['catalog'], statement) from (values
    ('create table public.n (id int primary key, a int)'),
    ('alter table public.n add b int'),
    ('create unique index on public.n (a)'),
    ('comment on column public.n.a is ''x'''),
    ('grant select on public.n to anon'),
    ('revoke select on public.n from anon'),
    ('create policy p on public.n using (true)'),
    ('create function public.nf() returns int language sql return 1'),
    ('grant execute on function public.nf() to anon'),
    ('create view public.nv as select * from public.n'),
    ('alter schema public owner to tenon_owner'),
    ('alter default privileges in schema public grant select on tables to anon'),
    ('create type public.nt as enum (''a'')'),
    ('drop type public.nt'),
    ('drop function public.nf()'),
    ('drop policy p on public.n'),
    ('drop table public.n cascade'),
    ('create materialized view public.nm as select 1')) s (statement);
select is(pg_temp.heard(statement), null, statement || ': nothing') from (values
    ('create temporary table nothing (id int primary key, a text unique)'),
    ('drop table nothing'),
    ('refresh materialized view public.nm'),
    ('analyze public.nm')) s (statement);
select * from finish();
rollback;
