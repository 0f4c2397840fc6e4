-- t/sql/fail.sql: how statements of the data API say that they must not have happened
begin;
select plan(12);
create type t.failure as (state text, code text, message text, details text, hint text);
create function t.failure(statement text) returns t.failure
    language plpgsql
as $$
declare
    f t.failure;
begin
    execute statement;
    return null;
exception when others then
    get stacked diagnostics f.state = returned_sqlstate, f.code = constraint_name, f.message = message_text,
                            f.details = pg_exception_detail, f.hint = pg_exception_hint;
    return f;
end $$;
-- a role of the operator's own, of which we know nothing
create role stranger;
grant usage on schema t to stranger;
set role stranger;
select is(t.failure($$ select tenon.fail(406, 'PGRST116', 'm', 'd', 'h') $$), row ('PT406', 'PGRST116', 'm', 'd', 'h')::t.failure, 'everything is told');
select is(t.failure($$ select tenon.fail(406, 'PGRST116', 'm', 'd') $$), row ('PT406', 'PGRST116', 'm', 'd', '')::t.failure, 'no hint');
select is(t.failure($$ select tenon.fail(406, 'PGRST116', 'm', null, 'h') $$), row ('PT406', 'PGRST116', 'm', '', 'h')::t.failure, 'no details');
select is(t.failure($$ select tenon.fail(500, 'PGRST116', '') $$), row ('PT500', 'PGRST116', '', '', '')::t.failure, 'neither');
select is(t.failure($$ select case when count(*) <> 1 then tenon.fail(406, 'x', format('%s rows', count(*))) end from generate_series(1, 2) $$),
    row ('PT406', 'x', '2 rows', '', '')::t.failure, 'a statement that finds out at its end');
select is(t.failure($$ select case when count(*) <> 1 then tenon.fail(406, 'x', 'constant') end from generate_series(1, 1) $$), null, 'and one that finds nothing wrong');
select is((t.failure($$ with r as (select count(*) as n from generate_series(1, 2)) select n from r where n < 2 or tenon.fail(400, 'x', 'm') is null $$)).state, 'PT400', 'as a condition');
select throws_ok('select tenon.tenant_id()', '42501', null, 'nothing else of ours is open to such a role');
select throws_ok('select from tenon.tenants', '42501', null, 'no table either');
select throws_ok($$ select tenon.claim_request('k', sha256('x')) $$, '42501', null, 'nor what others were answered');
reset role;
grant anon to stranger;
select set_config('tenon.tenant_id', t.tenant('a')::text, true) \g /dev/null
set role stranger;
select is(tenon.tenant_id(), t.tenant('a'), 'unless it is made a member of one that has more');
select throws_ok($$ select tenon.claim_request('k', sha256('x')) $$, '42501', null, 'what others were answered is still the server''s business');
select * from finish();
rollback;
