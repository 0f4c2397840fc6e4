-- t/sql/notify.sql: what tells the processes that something they keep in memory has changed
--
-- Notifications arrive outside of transactions, where a test cannot ask for them; so the trigger functions write them down here.
begin;
select plan(8);
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
select * from finish();
rollback;
