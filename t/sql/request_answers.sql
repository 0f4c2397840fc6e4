-- t/sql/request_answers.sql: writes with an Idempotency-Key: once, and the same answer again
begin;
select plan(30);
create function t.claim(key text, hash text, keep interval default '24 hours') returns text
    language sql
as $$
    select concat_ws(' ', c.outcome, c.status, c.headers, c.body) from tenon.claim_request(key, sha256(hash::bytea), keep) c
$$;
create function t.keep(key text, body text) returns text
    language sql
as $$
    select tenon.keep_answer(key, 201, '{"location": "/x"}', body)::text
$$;
grant execute on all functions in schema t to public;
alter function t.claim(text, text, interval) owner to tenon_worker;
alter function t.claim(text, text, interval) security definer;
alter function t.keep(text, text) owner to tenon_worker;
alter function t.keep(text, text) security definer;
grant usage on schema t to tenon_worker;

select t.act_as('authenticated');
select is(t.claim('k', 'one'), 'claimed', 'the first one does it');
select is(t.claim('k', 'one'), 'unknown', 'whoever asks before there is an answer is not told one');
select lives_ok($$ select t.keep('k', 'body') $$, 'it keeps its answer');
select is(t.claim('k', 'one'), 'answered 201 {"location": "/x"} body', 'which is there for those who ask again');
select is(t.claim('k', 'two'), 'conflict', 'the same key on another request is told so, and nothing of the answer');
select throws_ok($$ select t.keep('k', 'other') $$, '55000', null, 'an answer is kept once');
select throws_ok($$ select t.keep('never claimed', 'x') $$, '55000', null, 'and only for a key that was claimed');
select is(t.claim('empty', 'one'), 'claimed', 'another key is another request');
select lives_ok($$ select t.keep('empty', null) $$, 'an answer may have no body');
select is(t.claim('empty', 'one'), 'answered 201 {"location": "/x"}', 'and has none then');

select t.act_as('authenticated', person => 2);
select is(t.claim('k', 'one'), 'claimed', 'another person''s key is another key');
select set_config('request.jwt.claims', '{"role": "authenticated", "sub": "changed by the write"}', true) \g /dev/null
select lives_ok($$ select t.keep('k', 'mine') $$, 'whoever changes the claims on the way may still keep the answer');
select t.act_as('authenticated', person => 2);
select is(t.claim('k', 'one'), 'answered 201 {"location": "/x"} mine', 'under the name of who asked');
select t.act_as('authenticated', tenant => 'b');
select is(t.claim('k', 'one'), 'claimed', 'so is another tenant''s');
select t.act_as('service_role', key => '00000000-0000-7000-8000-00000000ee01');
select is(t.claim('k', 'one'), 'claimed', 'and a key''s');
select t.act_as('service_role', key => '00000000-0000-7000-8000-00000000ee02');
select is(t.claim('k', 'one'), 'claimed', 'and another key''s');
select t.act_as('agent', key => '00000000-0000-7000-8000-00000000ee03');
select is(t.claim('k', 'one'), 'claimed', 'and an agent''s, though it acts for a person who has used it');
select t.act_as('anon', person => null);
select set_config('request.jwt.claims', '{"role": "anon", "sub": "no uuid"}', true) \g /dev/null
select is(t.claim('k', 'one'), 'claimed', 'a subject need not be a uuid');
select throws_ok($$ select t.claim('', 'x') $$, '23514', null, 'a key is not empty');
select throws_ok($$ select t.claim(repeat('k', 256), 'x') $$, '23514', null, 'and not longer than 255 characters');
select is(t.claim(repeat('ü', 255), 'x'), 'claimed', 'of any kind');
select set_config('request.jwt.claims', '{"role": "gardener"}', true) \g /dev/null
select is(t.claim('k', 'one'), 'claimed', 'a role of the operator''s is another caller');
select throws_ok($$ select tenon.claim_request('k', '\x00') $$, '42501', null, 'it is the worker who claims');
select throws_ok($$ select tenon.keep_answer('k', 200, '{}', null) $$, '42501', null, 'and keeps');
select t.act_as('anon', tenant => null);
select throws_ok($$ select t.claim('k', 'x') $$, '42501', null, 'without a tenant there is nothing to claim');

select t.act_as('authenticated');
select is(t.claim('short', 'one', '-1 second'), 'claimed', 'kept until it expires');
select is(t.claim('short', 'two'), 'claimed', 'and then the key is free for another request');
select t.act_as('tenon_worker', tenant => null);
select is(tenon.sweep_request_answers(), 0::bigint, 'the sweep leaves alone what is kept');
select t.act_as('tenon_platform', tenant => null);
update tenon.request_answers set expires_at = now() where idempotency_key = 'k';
select t.act_as('tenon_worker', tenant => null);
select is(tenon.sweep_request_answers(), 8::bigint, 'and takes what has expired, of all tenants');
select t.act_as('authenticated');
select is(t.claim('k', 'two'), 'claimed', 'after which it is as if nothing had been');
select * from finish();
rollback;
