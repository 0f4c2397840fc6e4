-- t/sql/runs.sql: a message is admitted, answered, paid for; or the worker is lost
begin;
select * from no_plan();

create table t.kept (name text primary key, answer jsonb);
grant all on t.kept to public;
-- A request as the server makes it. `p` costs one micro-dollar a token.
create function t.request(more jsonb default '{}') returns jsonb language sql immutable as $$
    select '{"content": "hello there", "default": {"provider": "p", "model": "m"}, "worker_id": null, "request_id": "r",
             "providers": {"p": {"models": {"m": [1000, 100]}, "first": "m"}, "q": {"any": [1000, 200], "first": "x"}}}'::jsonb || more
$$;
create function t.admit(name text, more jsonb default '{}') returns jsonb language sql as $$
    insert into t.kept values (name, tenon.begin_run(t.request(more)))
    on conflict (name) do update set answer = excluded.answer returning answer
$$;
create function t.kept(name text, variadic path text[]) returns text language sql as $$
    select answer #>> path from t.kept k where k.name = kept.name
$$;
create function t.problem(more jsonb) returns text language plpgsql as $$ -- and undoes it, as the server does
declare
    code text;
begin
    code := coalesce(tenon.begin_run(t.request(more)) #>> '{problem,code}', 'admitted');
    raise exception using errcode = 'TT000', message = code;
exception when sqlstate 'TT000' then
    return sqlerrm;
end $$;
create function t.finish(name text, more jsonb default '{}') returns jsonb language sql as $$
    select tenon.finish_run(jsonb_build_object('run_id', t.kept(name, 'run', 'id'), 'status', 'completed', 'content', 'hi', 'finish_reason', 'stop',
        'input_tokens', 10, 'output_tokens', 5, 'calls',
        '[{"provider": "p", "model": "m", "outcome": "completed", "input_tokens": 10, "output_tokens": 5}]'::jsonb) || more)
$$;
insert into ai.prices (provider, model, input_price, output_price) values ('p', 'm', 1000000, 1000000);
grant execute on all functions in schema t to public;

-- Admitted
select t.act_as('authenticated');
select t.admit('first') \g /dev/null
select is(t.kept('first', 'chat', 'owner_id'), t.person('a', 1)::text, 'the first message opens a chat of the person');
select is(t.kept('first', 'chat', 'title'), 'hello there', 'named after it');
select is(t.kept('first', 'message', 'role'), 'user', 'the message is stored');
select is(t.kept('first', 'run', 'status'), 'running', 'and a run with it');
select is((select answer -> 'history' from t.kept), '[{"role": "user", "content": "hello there"}]', 'this is what the provider is sent');
select is(t.problem(jsonb_build_object('chat_id', t.kept('first', 'chat', 'id'))), 'run_in_progress', 'one run at a time');
select is(t.problem('{"chat_id": "00000000-0000-7000-8000-00000000ffff"}'), 'chat_not_found', 'a chat that is not there');
select t.act_as('authenticated', person => 2);
select is(t.problem(jsonb_build_object('chat_id', t.kept('first', 'chat', 'id'))), 'chat_not_found', 'and one of somebody else sound alike');
select t.act_as('service_role', tenant => 'b');
select is(t.problem(jsonb_build_object('chat_id', t.kept('first', 'chat', 'id'))), 'chat_not_found', 'and one of another tenant');
select t.act_as('agent', scopes => '["chat:read"]');
select throws_ok('select tenon.begin_run(t.request())', '42501', null, 'an agent that may only read sends nothing');
select is(t.problem(jsonb_build_object('chat_id', t.kept('first', 'chat', 'id'))), 'chat_not_found', 'also into a chat that it sees');
select t.act_as('anon');
select throws_ok('select tenon.begin_run(t.request())', '42501', null, 'nor does a publishable key');

-- Finished
select t.act_as('authenticated');
select throws_ok('select tenon.finish_run(''{}'')', '42501', null, 'nobody finishes runs but the server');
select t.act_as('tenon_worker');
select is(t.finish('first') #>> '{reply,content}', 'hi', 'the reply is stored');
select results_eq('select status, input_tokens, output_tokens, cost_micros from ai.runs', $$ values ('completed', 10, 5, 15::bigint) $$, 'the run is done, and what it cost is known');
select results_eq('select provider_name, cost_micros from ai.model_calls', $$ values ('p', 15::bigint) $$, 'the call is a row');
select results_eq('select user_id, requests, cost_micros from tenon.usage', $$ values (t.person('a', 1), 1::bigint, 15::bigint) $$, 'and is counted');
select is(t.finish('first', '{"content": "again"}') #>> '{reply,content}', 'hi', 'finishing twice does nothing the second time');
select is(requests, 1::bigint, 'and counts nothing') from tenon.usage;
select is(t.finish('first', '{"run_id": "00000000-0000-7000-8000-00000000ffff"}'), null, 'a run that is not there');
select t.act_as('tenon_worker', tenant => 'b');
select is(t.finish('first'), null, 'or is another tenant''s');

-- Going on, and idempotency
select t.act_as('authenticated');
select t.admit('second', jsonb_build_object('chat_id', t.kept('first', 'chat', 'id'), 'content', 'and then?', 'idempotency_key', 'k', 'request_hash', 'aa')) \g /dev/null
select is(jsonb_array_length((select answer -> 'history' from t.kept where name = 'second')), 3, 'the next message goes with what was said before');
select is(tenon.begin_run(t.request('{"idempotency_key": "k", "request_hash": "aa"}')) #>> '{replay,run,id}', t.kept('second', 'run', 'id'),
    'the same key gives the same run, also while it is running');
select is(t.problem('{"idempotency_key": "k", "request_hash": "bb"}'), 'idempotency_key_reused', 'with another request it is refused');
select t.act_as('authenticated', person => 2);
select is(t.problem('{"idempotency_key": "k", "request_hash": "aa"}'), 'admitted', 'everybody has their own keys');

-- Budgets
reset role;
select tenon.set_budget(t.tenant('a'), 'user', t.person('a', 2), 'day', 150) \g /dev/null
select t.act_as('authenticated', person => 2);
select t.admit('paid') \g /dev/null
select cmp_ok(reserved_micros, '>=', 100::bigint, 'what the run can cost at most is reserved') from tenon.budgets;
select is(t.problem('{}'), 'budget_exceeded', 'a second one does not fit');
select is(t.problem('{"provider": "q", "model": "x"}'), 'price_unknown', 'nor one without a price');
select t.act_as('authenticated');
select is(t.problem('{}'), 'admitted', 'others have no cap');
select t.act_as('tenon_worker');
select t.finish('paid') \g /dev/null
select is(array[spent_micros, reserved_micros], array[15, 0]::bigint[], 'settled to what it cost') from tenon.budgets;
select is_empty('select from tenon.reservations', 'and nothing is held');

-- A worker is lost
reset role;
insert into tenon.workers (id, host, pid, pool, heartbeat_at) values
    ('00000000-0000-7000-8000-000000000001', 'h', 1, 'api', now()), ('00000000-0000-7000-8000-000000000002', 'h', 2, 'api', now() - interval '1 minute');
select t.act_as('authenticated', person => 2);
select t.admit('lost', '{"worker_id": "00000000-0000-7000-8000-000000000002"}') \g /dev/null
reset role;
update ai.runs set started_at = now() - interval '1 minute' where status = 'running';
update ai.runs set worker_id = '00000000-0000-7000-8000-000000000001' where id = t.kept('second', 'run', 'id')::uuid;
select t.act_as('tenon_worker');
insert into ai.run_chunks (run_id, position, content) select t.kept('lost', 'run', 'id')::uuid, p, c from (values (7, ' there'), (0, 'I think')) x (p, c);
select t.act_as('tenon_worker', tenant => null);
select is(tenon.fail_lost_runs(), 1, 'the reaper finds the run of a worker that gives no sign of life, in any tenant');
select t.act_as('tenon_worker');
select results_eq($$ select r.status, r.error_code, m.content, m.status from ai.runs r join ai.messages m on m.id = r.reply_id where r.id = t.kept('lost', 'run', 'id')::uuid $$,
    $$ values ('failed', 'run_interrupted', 'I think there', 'failed') $$, 'and keeps what it has said');
select is(reserved_micros, 0::bigint, 'and gives back what it held') from tenon.budgets;
select is(status, 'running', 'the run of a live worker goes on') from ai.runs where id = t.kept('second', 'run', 'id')::uuid;
select t.act_as('tenon_worker', tenant => null);
select is(tenon.fail_lost_runs('00000000-0000-7000-8000-000000000001'), 1, 'until that one is known to be gone');

-- Cancelled
select t.act_as('authenticated');
select t.admit('third') \g /dev/null
select t.act_as('authenticated', person => 2);
select is(tenon.cancel_run(t.kept('third', 'run', 'id')::uuid), null, 'a stranger cancels nothing');
select t.act_as('agent', scopes => '["chat:read"]');
select is(tenon.cancel_run(t.kept('third', 'run', 'id')::uuid), null, 'nor does an agent that may only read');
select t.act_as('authenticated');
select is(tenon.cancel_run(t.kept('third', 'run', 'id')::uuid) ->> 'id', t.kept('third', 'run', 'id'), 'the owner does');
select isnt(cancelled_at, null, 'and it is written down') from ai.runs where id = t.kept('third', 'run', 'id')::uuid;

select * from finish();
rollback;
