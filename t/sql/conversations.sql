-- t/sql/conversations.sql: a user sees their own conversations and no one else's
begin;
select * from no_plan();
create function t.seen() returns text language sql as $$
    select concat_ws(' ', (select count(*) from ai.conversations), (select count(*) from ai.messages), (select count(*) from ai.runs),
                          (select count(*) from ai.run_chunks), (select count(*) from ai.model_calls), (select count(*) from ai.tool_calls))
$$;

select t.act_as('authenticated');
select lives_ok($$ insert into ai.conversations (title) values ('plans') $$, 'a user opens a chat');
select is(owner_id, t.person('a', 1), 'which is theirs') from ai.conversations;
select throws_ok(format($$ insert into ai.conversations (owner_id, title) values (%L, 'x') $$, t.person('a', 2)), '42501', null, 'nobody opens one for another');
select throws_ok($$ update ai.conversations set owner_id = auth.uid() $$, '42501', null, 'or gives one away');
select throws_ok($$ update ai.conversations set message_count = 5 $$, '42501', null, 'or counts its messages');
select throws_ok($$ insert into ai.messages (conversation_id, role, content) select id, 'assistant', 'x' from ai.conversations $$, '42501', null,
    'or puts words into an assistant''s mouth');
select throws_ok($$ insert into ai.runs (caller_id, provider_name, request_model) values (auth.uid(), 'echo', 'echo') $$, '42501', null, 'or makes up a run');
select lives_ok($$ update ai.conversations set title = 'more plans', archived = true $$, 'a user renames and archives it');

select t.act_as('tenon_worker');
insert into ai.messages (conversation_id, owner_id, role, content) select id, owner_id, 'user', E'hello\n there' from ai.conversations;
insert into ai.runs (conversation_id, message_id, owner_id, caller_id, provider_name, request_model)
select conversation_id, id, owner_id, owner_id, 'echo', 'echo' from ai.messages;
insert into ai.run_chunks (run_id, position, content) select id, 0, 'so far' from ai.runs;
insert into ai.model_calls (run_id, owner_id, provider_name, request_model, outcome) select id, owner_id, 'echo', 'echo', 'completed' from ai.runs;
insert into ai.messages (conversation_id, parent_id, owner_id, run_id, role, content)
select r.conversation_id, r.message_id, r.owner_id, r.id, 'assistant', 'hello' from ai.runs r;
select t.act_as('service_role');
insert into ai.tool_calls (conversation_id, run_id, owner_id, call_id, name) select conversation_id, id, owner_id, 'c1', 'search' from ai.runs;
select results_eq('select message_count, last_message, last_message_role, branched from ai.conversations',
    $$ values (2, 'hello', 'assistant', false) $$, 'a conversation knows its newest message');

select t.act_as('authenticated');
select is(t.seen(), '1 2 1 1 1 1', 'the owner sees the chat and all that is in it');
select t.act_as('authenticated', person => 2);
select is(t.seen(), '0 0 0 0 0 0', 'another user of the tenant sees none of it');
select t.act_as('service_role', tenant => 'b', person => 1);
select is(t.seen(), '0 0 0 0 0 0', 'nor does another tenant''s secret key');
select t.act_as('service_role');
select is(t.seen(), '1 2 1 1 1 1', 'their own tenant''s sees it');
select set_config('tenon.tenant_id', '', true) \g /dev/null
select is(t.seen(), '0 0 0 0 0 0', 'without a tenant there are no rows');
select t.act_as('anon');
select throws_ok('select from ai.' || name, '42501', null, 'a publishable key alone has no business in ai.' || name)
  from unnest(array['conversations', 'messages', 'runs', 'run_chunks', 'model_calls', 'tool_calls']) name;

-- Agents: what their person may, cut down to their scopes
select t.act_as('agent', scopes => '["chat:read"]');
select is(t.seen(), '1 2 1 1 1 1', 'with chat:read an agent reads what its person may read');
select is_empty('delete from ai.conversations returning 1', 'and deletes nothing');
select is_empty($$ update ai.conversations set title = 'x' returning 1 $$, 'and renames nothing');
select throws_ok($$ insert into ai.conversations (title) values ('x') $$, '42501', null, 'and opens nothing');
select t.act_as('agent', scopes => '["chat:write", "usage:read"]');
select is(t.seen(), '0 0 0 0 0 0', 'chat:write does not read');
select t.act_as('agent', scopes => '["chat:*"]');
select isnt_empty($$ update ai.conversations set title = 'x' returning 1 $$, 'both together edit');
select t.act_as('agent', person => 2, scopes => '["chat:*"]');
select is(t.seen(), '0 0 0 0 0 0', 'for its own person only');
select t.act_as('agent', person => null, scopes => '["chat:*"]');
select is(t.seen(), '0 0 0 0 0 0', 'and for nobody without one');

-- Deleting: the conversation goes with what was said; what it has cost stays
select t.act_as('authenticated', person => 2);
select is_empty('delete from ai.conversations returning 1', 'a stranger deletes nothing');
select t.act_as('authenticated');
select isnt_empty('delete from ai.conversations returning 1', 'the owner deletes the chat');
reset role;
select is(t.seen(), '0 0 1 1 1 0', 'messages and tool calls go with it, runs and calls stay');
select is(conversation_id, null, 'and no longer say where they were') from ai.runs;

select * from finish();
rollback;
