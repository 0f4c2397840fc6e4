-- t/sql/usage.sql: prices, costs and the counters of every day
begin;
select * from no_plan();

-- Prices
select t.act_as('tenon_platform', tenant => null);
insert into ai.prices values ('p', 'm', '2026-01-01', 1000000, 3000000), ('p', 'm', '2026-06-01', 2000000, 4000000), ('p', '*', '2026-03-01', 7, 9),
                             ('big', '*', '-infinity', 9000000000, 9000000000);
select t.act_as('authenticated');
select is((select input_price from tenon.price('p', model, at)), expected, format('%s at %s', model, at))
  from (values ('m', '2025-12-31 23:59:59+00'::timestamptz, null::bigint), ('m', '2026-01-01', 1000000), ('m', '2026-05-31 23:59:59+00', 1000000),
               ('m', '2026-06-01', 2000000), ('m', 'infinity', 2000000), ('other', '2026-02-01', null), ('other', '2026-03-01', 7)) c (model, at, expected);
select is_empty($$ select tenon.price('nobody', 'm') $$, 'a provider without prices has none');
select is(tenon.cost('p', 'm', input, output, '2026-02-01'), expected::bigint, format('%s and %s tokens', input, output))
  from (values (0, 0, 0), (1, 0, 1), (0, 1, 3), (1000000, 1000000, 4000000)) c (input, output, expected);
select is(tenon.cost('p', 'x', input, output, '2026-04-01'), expected::bigint, format('%s and %s cheap tokens: rounded up, once', input, output))
  from (values (0, 0, 0), (1, 0, 1), (1, 1, 1), (100000, 33333, 1), (100000, 33334, 2), (142857, 0, 1), (142858, 0, 2)) c (input, output, expected);
select is(tenon.cost('big', 'x', 1000000000000, 1000000000000), 18000000000000000, 'no overflow on the way');
select is(tenon.cost('nobody', 'm', 1, 1), null, 'without a price a cost is not known, which is not nothing');
select is(tenon.cost('echo', 'anything', 1000, 1000), 0::bigint, 'echo costs nothing');
select throws_ok($$ insert into ai.prices values ('p', 'm', now(), 0, 0) $$, '42501', null, 'nobody changes prices');
select throws_ok($$ select tenon.set_price('p', 'm', 0, 0) $$, '42501', null, 'also not by the function');
select t.act_as('tenon_platform', tenant => null);
select is(tenon.set_price('p', 'n', 1, 2), true, 'a first price');
select is(tenon.set_price('p', 'n', 1, 2), false, 'the same again changes nothing');
select is(tenon.set_price('p', 'n', 1, 3), true, 'another one is a new version');
select is(tenon.set_price('p', 'n', 1, 2), true, 'and back');
select is((select output_price from tenon.price('p', 'n', clock_timestamp())), 2::bigint, 'the last one is in force');
select is(count(*), 3::bigint, 'and the others are kept') from ai.prices where model = 'n';

-- Counters
select t.act_as('tenon_worker');
select tenon.record_usage(person, key, 'p', 'm', 10, 20, 30) from (values (t.person('a', 1), null::uuid), (t.person('a', 1), null), (null, null), (null, null),
    (null, t.person('b', 2)), (null, t.person('b', 2)), (t.person('a', 2), t.person('b', 2))) c (person, key) \g /dev/null
select is(array[count(*), sum(requests)], array[4, 7]::numeric[], 'one row for each of whom, also for nobody') from tenon.usage;
select tenon.record_usage(t.person('a', 1), null, 'p', 'm', 1, 2, 3, requests => 2, failed => 1, estimated => 1) \g /dev/null
select results_eq($$ select day, requests, failed, estimated, input_tokens, output_tokens, cost_micros from tenon.usage
                      where user_id = t.person('a', 1) $$,
    $$ values ((now() at time zone 'utc')::date, 4::bigint, 1::bigint, 1::bigint, 21::bigint, 42::bigint, 63::bigint) $$, 'everything adds up');
select tenon.record_usage(t.person('a', 1), null, 'p', 'free', 5, 5, null) \g /dev/null
select is(cost_micros, 0::bigint, 'what has no price is counted in tokens') from tenon.usage where model = 'free';
select t.act_as('tenon_worker', tenant => 'b');
select tenon.record_usage(t.person('b', 1), null, 'p', 'm', 1, 1, 1000) \g /dev/null

-- Who sees what
reset role;
update tenon.usage set day = day - 400 where model = 'free';
select t.act_as('authenticated');
select results_eq('select user_id, cost_micros from tenon.usage_report()', $$ values (t.person('a', 1), 63::bigint) $$, 'a person sees their own');
select is(sum(cost_micros), 0::numeric, 'of another time if asked') from tenon.usage_report(since => '2000-01-01', until => (now() - interval '1 year')::date);
select is(count(*), 1::bigint, 'which is there') from tenon.usage_report(since => '2000-01-01', until => (now() - interval '1 year')::date);
select t.act_as('agent', person => null, key => t.person('b', 2), scopes => '["usage:read"]');
select is(sum(requests), 3::numeric, 'an agent what was used with its key') from tenon.usage_report();
select t.act_as('agent', person => 1, key => t.person('b', 2), scopes => '["usage:read"]');
select is(sum(requests), 7::numeric, 'and by its person') from tenon.usage_report();
select t.act_as('agent', person => 1, key => t.person('b', 2), scopes => '["chat:read"]');
select is_empty('select * from tenon.usage_report()', 'if it has the scope');
select t.act_as('service_role');
select results_eq($$ select user_id, key_id, requests, cost_micros from tenon.usage_report(by => '{user}') $$,
    $$ values (null::uuid, null::uuid, 4::bigint, 120::bigint), (t.person('a', 1), null, 4, 63), (t.person('a', 2), null, 1, 30) $$,
    'a secret key sees its tenant''s, summed up as asked');
select results_eq($$ select tenant_id, day, user_id, key_id, provider, model, cost_micros from tenon.usage_report(by => '{}') $$,
    $$ values (null::uuid, null::date, null::uuid, null::uuid, null, null, 213::bigint) $$, 'to a single row');
select is(count(*), 2::bigint, 'and no more rows than asked') from tenon.usage_report(max_rows => 2);
select t.act_as('tenon_platform', tenant => null);
select results_eq($$ select tenant_id, cost_micros from tenon.usage_report(by => '{tenant}') $$,
    $$ values (t.tenant('b'), 1000::bigint), (t.tenant('a'), 213) $$, 'the platform sees all');
select t.act_as('anon');
select throws_ok('select * from tenon.usage_report()', '42501', null, 'and a publishable key nothing');
select t.act_as('authenticated');
select throws_ok($$ select tenon.record_usage(null, null, 'p', 'm', 0, 0, 0) $$, '42501', null, 'only the server counts');

select * from finish();
rollback;
