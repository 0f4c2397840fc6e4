-- t/sql/chat.sql: what admits a message, what ends a run, and that nobody can forge either
begin;
select * from no_plan();

-- A request as the server makes it; `more` over it.
create function t.request(more jsonb default '{}') returns jsonb
    language sql immutable
    return jsonb_build_object('chat_id', null, 'content', 'hello there', 'default', '{"provider": "echo", "model": "echo"}'::jsonb,
                              'providers', '{"echo": {"models": {}, "first": "echo", "any": [2000, 200]},
                                             "paid": {"models": {"large": [1000, 100], "small": [100, 20]}, "first": "large"}}'::jsonb,
                              'fallback', '[]'::jsonb) || more;
create function t.admit(more jsonb default '{}') returns jsonb
    language sql volatile
    return tenon.begin_run(t.request(more));
-- Ends a run as the server does, and goes back to being who one was.
create function t.finish(run text, more jsonb default '{}') returns jsonb
    language plpgsql volatile
as $$
declare
    before text := current_setting('role');
    answer jsonb;
begin
    perform set_config('role', 'tenon_worker', true);
    answer := tenon.finish_run(jsonb_build_object('run_id', run, 'status', 'completed', 'content', 'a reply', 'finish_reason', 'stop',
                                                  'input_tokens', 10, 'output_tokens', 5, 'calls', '[]'::jsonb) || more);
    perform set_config('role', before, true);
    return answer;
end $$;
create temporary table kept (name text primary key, value jsonb);
grant all on kept to public;

-- The rule of estimates, as src/ai/estimate.c has it (t/unit/estimate.c holds the same table).
select is(tenon.estimate_tokens(content), expected, format('%L is about %s tokens', left(content, 20), expected))
  from (values ('', 0), ('a', 1), ('four', 1), ('fives', 2), ('é', 2), ('日本語', 4), ('🎉', 3), ('hello мир', 5), (repeat('x', 400), 100)) as c (content, expected);
select is(tenon.estimate_tokens('', '[{"type": "image_url"}, {"type": "text"}]'), 1024, 'a picture is 1,024');
select is(tenon.estimate_tokens(null), 0, 'nothing is nothing');

-- Titles
select is(tenon.title_of(content), expected, format('the title of %L', left(content, 30)))
  from (values ('hello', 'hello'), (E'  two\n lines ', 'two lines'), ('', null), (E' \n ', null),
               (repeat('word ', 30), rtrim(repeat('word ', 12)) || '…'), (repeat('x', 100), repeat('x', 60) || '…')) as c (content, expected);

-- A first message
select t.act_as('authenticated', person => 1) \g /dev/null
insert into kept select 'one', t.admit() \g /dev/null
select is(value -> 'chat' ->> 'title', 'hello there', 'a chat is named after its first message') from kept where name = 'one';
select is(value -> 'chat' ->> 'owner_id', t.person('a', 1)::text, 'and belongs to who sent it') from kept where name = 'one';
select is(value -> 'run' ->> 'status', 'running', 'a run is open') from kept where name = 'one';
select is(value -> 'history', '[{"role": "user", "content": "hello there"}]', 'the history is the message') from kept where name = 'one';
select is(value -> 'candidates', '[["echo", "echo", 200]]', 'the default provider answers') from kept where name = 'one';
select is(value -> 'chat' ->> 'head_id', value -> 'message' ->> 'id', 'the message is the head') from kept where name = 'one';

-- One run at a time
select is(t.admit(jsonb_build_object('chat_id', value -> 'chat' -> 'id')) -> 'problem' ->> 'code', 'run_in_progress', 'a second message has to wait')
  from kept where name = 'one';
select is(t.admit(jsonb_build_object('chat_id', value -> 'chat' -> 'id')) -> 'problem' -> 'members' ->> 'run_id', value -> 'run' ->> 'id',
          'and is told for which run') from kept where name = 'one';
select is(count(*), 1::bigint, 'it was not stored') from ai.messages;

-- The end
insert into kept select 'two', t.finish(value -> 'run' ->> 'id') from kept where name = 'one' \g /dev/null
select is(value -> 'run' ->> 'status', 'completed', 'a run ends') from kept where name = 'two';
select is(value -> 'reply' ->> 'content', 'a reply', 'with a reply') from kept where name = 'two';
select is(value -> 'reply' ->> 'id', value -> 'run' ->> 'reply_id', 'whose id was known from the beginning') from kept where name = 'two';
select is(value -> 'chat' -> 'message_count', '2', 'the sidebar counts it') from kept where name = 'two';
select is(value -> 'chat' ->> 'last_message', 'a reply', 'and shows it') from kept where name = 'two';
select is(t.finish(value -> 'run' ->> 'id', '{"content": "another", "output_tokens": 500}') -> 'reply' ->> 'content', 'a reply', 'a second end changes nothing')
  from kept where name = 'one';
select results_eq('select requests, input_tokens, output_tokens from tenon.usage', $$ values (1::bigint, 10::bigint, 5::bigint) $$, 'and it is counted once');

-- The tree
select t.act_as('authenticated', person => 1) \g /dev/null
insert into kept select 'three', t.admit(jsonb_build_object('chat_id', value -> 'chat' -> 'id', 'content', 'and then?')) from kept where name = 'two' \g /dev/null
select is(value -> 'message' ->> 'parent_id', (select value -> 'reply' ->> 'id' from kept where name = 'two'), 'one goes on at the head')
  from kept where name = 'three';
select is(jsonb_path_query_array(value -> 'history', '$[*].content'), '["hello there", "a reply", "and then?"]', 'with what was said before')
  from kept where name = 'three';
select is(t.finish(value -> 'run' ->> 'id') -> 'run' ->> 'status', 'completed', 'answered') from kept where name = 'three';
select is((select branched from ai.conversations), false, 'so far nothing has branched');

insert into kept select 'again', t.admit(jsonb_build_object('chat_id', value -> 'chat' -> 'id', 'content', null, 'parent_id', value -> 'message' -> 'id'))
  from kept where name = 'one' \g /dev/null
select is(value -> 'message' ->> 'id', (select value -> 'message' ->> 'id' from kept where name = 'one'), 'to answer again makes no new message')
  from kept where name = 'again';
select is(jsonb_array_length(value -> 'history'), 1, 'and sends what came before it only') from kept where name = 'again';
select is((t.finish(value -> 'run' ->> 'id', '{"content": "a better one"}') -> 'reply' ->> 'parent_id'), value -> 'message' ->> 'id', 'the reply is a sibling')
  from kept where name = 'again';
select is((select branched from ai.conversations), true, 'now it has branched');
select is(t.admit(jsonb_build_object('chat_id', value -> 'chat' -> 'id', 'content', null, 'parent_id', value -> 'reply' -> 'id')) -> 'problem' ->> 'code',
          'validation_failed', 'a reply cannot be answered by the model') from kept where name = 'two';
select is(t.admit(jsonb_build_object('chat_id', value -> 'chat' -> 'id', 'content', null)) -> 'problem' ->> 'code', 'validation_failed', 'nothing to answer')
  from kept where name = 'two';
select is(t.admit(jsonb_build_object('chat_id', value -> 'chat' -> 'id', 'parent_id', tenon.uuid7())) -> 'problem' ->> 'code', 'message_not_found', 'no such parent')
  from kept where name = 'two';
insert into kept select 'root', t.admit(jsonb_build_object('chat_id', value -> 'chat' -> 'id', 'parent_id', null, 'content', 'from the start')) from kept where name = 'two' \g /dev/null
select is(value -> 'message' -> 'parent_id', 'null', 'a null parent is a new beginning') from kept where name = 'root';
select is(jsonb_array_length(value -> 'history'), 1, 'with no history') from kept where name = 'root';

-- Idempotency
insert into kept select 'key', t.admit('{"idempotency_key": "k", "request_hash": "00ff"}') \g /dev/null
select is(t.admit('{"idempotency_key": "k", "request_hash": "00ff"}') -> 'replay' -> 'run' ->> 'id', value -> 'run' ->> 'id', 'the same key is the same run')
  from kept where name = 'key';
select is(t.admit('{"idempotency_key": "k", "request_hash": "00fe"}') -> 'problem' ->> 'code', 'idempotency_key_reused', 'with another request it is refused');
select t.finish(value -> 'run' ->> 'id') from kept where name = 'key' \g /dev/null
select is(t.admit('{"idempotency_key": "k", "request_hash": "00ff"}') -> 'replay' -> 'reply' ->> 'content', 'a reply', 'later it gives the answer');
select t.act_as('authenticated', person => 2) \g /dev/null
select ok(t.admit('{"idempotency_key": "k", "request_hash": "00ff"}') ? 'history', 'another person has keys of their own');

-- Others
select is(t.admit(jsonb_build_object('chat_id', value -> 'chat' -> 'id')) -> 'problem' ->> 'code', 'chat_not_found', 'another''s chat is not there')
  from kept where name = 'one';
select is(tenon.admit_run((value -> 'chat' ->> 'id')::uuid, t.request()) -> 'problem' ->> 'code', 'chat_not_found', 'also when one asks the inner function')
  from kept where name = 'one';
select is(tenon.cancel_run((value -> 'run' ->> 'id')::uuid), null, 'and another''s run cannot be cancelled') from kept where name = 'root';
select t.act_as('authenticated', tenant => 'b', person => 1) \g /dev/null
select is(t.admit(jsonb_build_object('chat_id', value -> 'chat' -> 'id')) -> 'problem' ->> 'code', 'chat_not_found', 'nor from another tenant')
  from kept where name = 'one';
select is(tenon.cancel_run((value -> 'run' ->> 'id')::uuid), null, 'nor its run') from kept where name = 'root';
select t.act_as('agent', person => 1, scopes => '["chat:read"]') \g /dev/null
select is(tenon.cancel_run((value -> 'run' ->> 'id')::uuid), null, 'an agent that may only read cancels nothing') from kept where name = 'root';
select is(tenon.admit_run((value -> 'chat' ->> 'id')::uuid, t.request()) -> 'problem' ->> 'code', 'chat_not_found', 'and sends nothing') from kept where name = 'key';
select throws_ok('select t.admit()', '42501', null, 'and opens nothing');
select t.act_as('agent', person => 1, scopes => '["chat:write", "chat:read"]') \g /dev/null
select is(tenon.cancel_run((value -> 'run' ->> 'id')::uuid) ->> 'status', 'running', 'one that may write does: the run is asked to stop') from kept where name = 'root';
select t.act_as('service_role') \g /dev/null
select isnt(cancelled_at, null, 'that is on record') from ai.runs where id = (select (value -> 'run' ->> 'id')::uuid from kept where name = 'root');

-- Forging
select t.act_as('authenticated', person => 1) \g /dev/null
select is(t.outcome(statement), '42501', 'not allowed: ' || statement) from (values
    ($$ insert into ai.messages (conversation_id, role, content) select id, 'assistant', 'I promise' from ai.conversations $$),
    ($$ insert into ai.messages (conversation_id, owner_id, role, content) select id, owner_id, 'user', 'x' from ai.conversations $$),
    ($$ update ai.messages set content = 'other words' $$),
    ($$ delete from ai.messages $$),
    ($$ insert into ai.runs (conversation_id, caller_id, provider_name, request_model) select id, owner_id, 'echo', 'echo' from ai.conversations $$),
    ($$ update ai.runs set cost_micros = 0 $$),
    ($$ delete from ai.runs $$),
    ($$ insert into ai.model_calls (provider_name, request_model, outcome) values ('echo', 'echo', 'completed') $$),
    ($$ update ai.model_calls set cost_micros = 0 $$),
    ($$ insert into ai.run_chunks (run_id, position, content) select id, 0, 'x' from ai.runs $$),
    ($$ insert into ai.tool_calls (conversation_id, run_id, call_id, name) select conversation_id, id, 'c', 'n' from ai.runs $$),
    ($$ insert into ai.conversations (owner_id) values (t.person('a', 2)) $$),
    ($$ update ai.conversations set owner_id = t.person('a', 2) $$),
    ($$ update ai.conversations set message_count = 0 $$),
    ($$ select tenon.finish_run('{}') $$),
    ($$ select tenon.reserve(tenon.uuid7(), null, null, 0) $$),
    ($$ select tenon.settle(tenon.uuid7(), 0) $$),
    ($$ select tenon.record_usage(null, null, 'echo', 'echo', 1, 1, 0) $$),
    ($$ select tenon.fail_lost_runs() $$),
    ($$ select tenon.sweep_runs() $$),
    ($$ select tenon.count_message() $$)) as forgery (statement);
select is(t.outcome($$ update ai.conversations set head_id = (select id from ai.messages where conversation_id <> conversations.id limit 1) where title is not null $$),
          '23503', 'the head is a message of the same chat');
select lives_ok($$ update ai.conversations set title = 'mine' $$, 'what one may change, one may');
select t.act_as('authenticated', person => 2) \g /dev/null
select is(count(*), 0::bigint, 'others see nothing of it') from ai.messages where owner_id = t.person('a', 1);
select t.act_as('anon') \g /dev/null
select throws_ok('select 1 from ai.messages', '42501', null, 'and who is nobody sees nothing at all');
select throws_ok('select t.admit()', '42501', null, 'and sends nothing');

-- The history is bounded
reset role;
select set_config('tenon.tenant_id', t.tenant('a')::text, true) \g /dev/null
insert into ai.conversations (id, owner_id) values ('00000000-0000-7000-8000-0000000c0001', t.person('a', 1));
insert into ai.messages (id, conversation_id, parent_id, owner_id, role, content)
select ('00000000-0000-7000-8000-00000001' || lpad(n::text, 4, '0'))::uuid, '00000000-0000-7000-8000-0000000c0001',
       case when n > 1 then ('00000000-0000-7000-8000-00000001' || lpad((n - 1)::text, 4, '0'))::uuid end, t.person('a', 1),
       case n % 2 when 1 then 'user' else 'assistant' end, rpad(n::text, 24) -- 6 tokens and the frame: 10
  from generate_series(1, 40) as n;
create function t.history(tokens bigint, messages integer) returns text
    language sql stable
    return (select string_agg(btrim(m ->> 'content'), ' ' order by place)
              from tenon.history('00000000-0000-7000-8000-000000010040', tokens, messages), jsonb_array_elements(messages) with ordinality as m (m, place));
select is(t.history(100000, 1000), (select string_agg(n::text, ' ' order by n) from generate_series(1, 40) as n), 'all of it, oldest first');
select is(t.history(60, 1000), '35 36 37 38 39 40', 'as many tokens as fit');
select is(t.history(59, 1000), '37 38 39 40', 'the oldest turn goes first, and it begins with a question');
select is(t.history(100000, 3), '39 40', 'or as many messages');
select is(t.history(10, 1000), null, 'a reply without its question is nothing');
insert into ai.messages (id, conversation_id, parent_id, owner_id, role, content, status)
values ('00000000-0000-7000-8000-000000010041', '00000000-0000-7000-8000-0000000c0001', '00000000-0000-7000-8000-000000010040', t.person('a', 1), 'user', 'and', 'completed'),
       ('00000000-0000-7000-8000-000000010042', '00000000-0000-7000-8000-0000000c0001', '00000000-0000-7000-8000-000000010041', t.person('a', 1), 'assistant', '', 'failed');
select t.act_as('authenticated', person => 1) \g /dev/null
insert into kept select 'long', t.admit('{"chat_id": "00000000-0000-7000-8000-0000000c0001", "content": "now", "provider": "paid", "model": "small", "system": "Be brief."}') \g /dev/null
select is(jsonb_path_query_array(value -> 'history', '$[*].content'), jsonb_build_array(rpad('37', 24), rpad('38', 24), rpad('39', 24), rpad('40', 24), 'and', 'now'),
          'window, less output, a tenth, the system prompt and the message; what says nothing is left out') from kept where name = 'long';
select is(value ->> 'system', 'Be brief.', 'the system prompt stays') from kept where name = 'long';
select is(t.admit(jsonb_build_object('provider', 'paid', 'model', 'small', 'content', repeat('long ', 80))) -> 'problem' ->> 'code', 'content_too_large',
          'what does not fit alone is refused');
select is(t.admit('{"provider": "paid", "model": "huge"}') -> 'problem' ->> 'code', 'model_not_found', 'as is a model that is not configured');
select is(t.admit('{"fallback": ["paid", "echo"]}') -> 'candidates', '[["echo", "echo", 200], ["paid", "large", 100]]', 'who may have to answer');

-- Money
reset role;
insert into ai.prices (provider, model, valid_from, input_price, output_price) values ('paid', 'large', '-infinity', 1000000, 2000000);
select tenon.set_budget(t.tenant('b'), 'tenant', null, 'day', 1000) \g /dev/null
select t.act_as('authenticated', tenant => 'b', person => 1) \g /dev/null
insert into kept select 'paid', t.admit('{"provider": "paid", "model": "large"}') \g /dev/null
select t.act_as('service_role', tenant => 'b') \g /dev/null
select is(reserved_micros, 227::bigint, 'what it can cost at most is reserved: a token for each byte of input, and all of the output') from tenon.budgets where tenant_id = t.tenant('b') and period = 'day';
select t.finish(value -> 'run' ->> 'id') from kept where name = 'paid' \g /dev/null
select results_eq($$ select spent_micros, reserved_micros from tenon.budgets where period = 'day' $$, 'values (20::bigint, 0::bigint)', 'what it did cost is settled');
select is(cost_micros, 20::bigint, 'and stays with the run') from ai.runs where id = (select (value -> 'run' ->> 'id')::uuid from kept where name = 'paid');
select t.act_as('authenticated', tenant => 'b', person => 1) \g /dev/null
select is(t.admit('{"provider": "paid", "model": "small", "title": "refused"}') -> 'problem' ->> 'code', 'price_unknown', 'what cannot be counted is not spent');
reset role;
select tenon.set_budget(t.tenant('b'), 'tenant', null, 'day', 100) \g /dev/null
select t.act_as('authenticated', tenant => 'b', person => 1) \g /dev/null
select is(t.admit('{"provider": "paid", "model": "large", "title": "refused"}') -> 'problem' -> 'status', '402', 'a budget without room refuses');
select is(t.admit('{"fallback": ["paid"], "title": "refused"}') -> 'problem' ->> 'code', 'budget_exceeded', 'also when only a fallback would cost so much');
select is(count(*), 0::bigint, 'and leaves no chat behind') from ai.conversations where title = 'refused';

-- Runs that nobody does any more
select t.act_as('authenticated', person => 2) \g /dev/null
insert into kept select 'lost', t.admit('{"worker_id": "00000000-0000-7000-8000-00000000dead"}') \g /dev/null
insert into kept select 'alive', t.admit('{"worker_id": "00000000-0000-7000-8000-00000000cafe"}') \g /dev/null
select set_config('role', 'tenon_worker', true) \g /dev/null
insert into tenon.workers (id, host, pid, pool) values ('00000000-0000-7000-8000-00000000cafe', 'here', 1, 'stream');
insert into ai.run_chunks (run_id, position, content) select (value -> 'run' ->> 'id')::uuid, p, c from kept, (values (0, 'so '), (3, 'far')) as x (p, c) where name = 'lost';
select set_config('tenon.tenant_id', '', true) \g /dev/null
select is(tenon.fail_lost_runs('00000000-0000-7000-8000-00000000dead'), 1, 'the runs of a dead worker are failed, from outside any tenant');
select t.act_as('service_role') \g /dev/null
select results_eq($$ select r.status, r.error_code, m.content, m.status from ai.runs r left join ai.messages m on m.id = r.reply_id
                      where r.id in (select (value -> 'run' ->> 'id')::uuid from kept where name in ('lost', 'alive')) order by r.id $$,
                  $$ values ('failed', 'run_interrupted', 'so far', 'failed'), ('running', null, null, null) $$, 'with the text so far; the others run on');
select is(count(*), 0::bigint, 'no chunks are left') from ai.run_chunks where run_id = (select (value -> 'run' ->> 'id')::uuid from kept where name = 'lost');
select is(t.finish(value -> 'run' ->> 'id', '{"content": "so far so good"}') -> 'reply' ->> 'content', 'so far so good', 'one that was only cut off may still end well')
  from kept where name = 'lost';
reset role;
update ai.runs set started_at = now() - interval '1 minute' where id = (select (value -> 'run' ->> 'id')::uuid from kept where name = 'alive');
select is(tenon.fail_lost_runs(), 0, 'who gives signs of life is left alone');
update tenon.workers set heartbeat_at = now() - interval '21 seconds' where id = '00000000-0000-7000-8000-00000000cafe';
select is(tenon.fail_lost_runs(), 1, 'who is silent for 20 seconds is not');

-- Deleting
select t.act_as('authenticated', person => 1) \g /dev/null
select lives_ok($$ delete from ai.conversations where id = '00000000-0000-7000-8000-0000000c0001' $$, 'a chat can be deleted while it is answered');
select t.act_as('service_role') \g /dev/null
select is(count(*), 0::bigint, 'its messages go along') from ai.messages where conversation_id = '00000000-0000-7000-8000-0000000c0001';
select is(t.finish(value -> 'run' ->> 'id') -> 'run' ->> 'status', 'completed', 'the run ends all the same') from kept where name = 'long';
select results_eq($$ select conversation_id, message_id, input_tokens from ai.runs where id = (select (value -> 'run' ->> 'id')::uuid from kept where name = 'long') $$,
                  'values (null::uuid, null::uuid, 10)', 'and what it used stays');
reset role;
select set_config('tenon.tenant_id', '', true) \g /dev/null
set local role tenon_platform;
delete from auth.users where id = t.person('a', 2);
reset role;
select is(count(*), 0::bigint, 'a person who is deleted takes their chats along') from ai.conversations where owner_id = t.person('a', 2);

-- What is kept for a while only
update ai.runs set started_at = now() - interval '25 hours' where idempotency_key = 'k';
select ok(tenon.sweep_runs() > 0, 'idempotency keys are forgotten after a day');
select is(count(*), 0::bigint, 'all of them that are so old') from ai.runs where idempotency_key = 'k' and status <> 'running';

select * from finish();
rollback;
