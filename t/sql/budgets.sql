-- t/sql/budgets.sql: what is settled and reserved never passes a cap
begin;
select * from no_plan();

create function t.run(n integer) returns uuid language sql immutable
    return ('00000000-0000-7000-8000-0000000f' || lpad(n::text, 4, '0'))::uuid;
create function t.money(wanted_subject text default 'tenant', wanted_period text default 'total') returns text language sql
    return (select spent_micros || ' spent, ' || reserved_micros || ' reserved of ' || cap_micros
              from tenon.budgets where tenant_id = t.tenant('a') and subject = wanted_subject and period = wanted_period);

-- Without a budget everything is admitted, and nothing is held.
select t.act_as('tenon_worker');
select is(tenon.reserve(t.run(1), t.person('a', 1), null, 1000000000), null, 'no budget, no cap');
select is(tenon.reserve(t.run(1), null, null, null), null, 'and a price that is not known is no matter');
select is_empty('select from tenon.reservations', 'and nothing is held');
select is(tenon.settle(t.run(1), 5), false, 'and there is nothing to settle');

-- One budget
reset role;
select tenon.set_budget(t.tenant('a'), 'tenant', null, 'total', 100) \g /dev/null
select tenon.set_budget(t.tenant('b'), 'tenant', null, 'total', 5) \g /dev/null
select t.act_as('tenon_worker');
select is(tenon.reserve(t.run(1), null, null, 60), null, 'what fits is admitted');
select is(t.money(), '0 spent, 60 reserved of 100', 'and reserved');
select is(tenon.reserve(t.run(2), null, null, 41) - 'subject_id',
    '{"code": "budget_exceeded", "subject": "tenant", "period": "total", "cap_micros": 100, "spent_micros": 0, "reserved_micros": 60, "requested_micros": 41, "resets_at": null}',
    'what does not fit is refused, and why is said');
select is(t.money(), '0 spent, 60 reserved of 100', 'and leaves nothing behind');
select is(tenon.reserve(t.run(2), null, null, 40), null, 'to the last micro-dollar');
select is(tenon.reserve(t.run(3), null, null, 0), null, 'what costs nothing still fits');
select is(tenon.reserve(t.run(4), null, null, 1) ->> 'code', 'budget_exceeded', 'and nothing else');
select is(tenon.reserve(t.run(4), null, null, null) ->> 'code', 'price_unknown', 'what cannot be counted is not spent');
select throws_ok('select tenon.reserve(t.run(4), null, null, -1)', '22023', null, 'a reservation is not negative');
select throws_ok('select tenon.settle(t.run(1), -1)', '22023', null, 'nor is a cost');
select is(tenon.settle(t.run(1), 10), true, 'settled');
select is(t.money(), '10 spent, 40 reserved of 100', 'to what it cost');
select is(tenon.settle(t.run(1), 10), false, 'a second time, by a reaper, there is nothing to do');
select is(t.money(), '10 spent, 40 reserved of 100', 'and nothing is counted twice');
select is(tenon.release(t.run(2)), true, 'released');
select is(t.money(), '10 spent, 0 reserved of 100', 'and nothing was spent');
select is(tenon.release(t.run(2)), false, 'once');
select is(tenon.release(t.run(99)), false, 'a run that is not there');
select tenon.reserve(t.run(5), null, null, 20), tenon.reserve(t.run(5), null, null, 15) \g /dev/null
select is(t.money(), '10 spent, 35 reserved of 100', 'a run may reserve more on its way');
select tenon.settle(t.run(5), null) \g /dev/null
select is(t.money(), '45 spent, 0 reserved of 100', 'what a run cost is not known: all it had reserved');
select tenon.reserve(t.run(6), null, null, 5), tenon.settle(t.run(6), 70) \g /dev/null
select is(t.money(), '115 spent, 0 reserved of 100', 'a provider took more than was reserved: it is written down as it is');
select is(tenon.reserve(t.run(7), null, null, 0) ->> 'code', 'budget_exceeded', 'and nothing more is admitted');
reset role;
select tenon.set_budget(t.tenant('a'), 'tenant', null, 'total', 200) \g /dev/null
select is(t.money(), '115 spent, 0 reserved of 200', 'a cap is raised');
select is(spent_micros + reserved_micros, 0::bigint, 'another tenant''s budget was not touched') from tenon.budgets where tenant_id = t.tenant('b');

-- Several at once: all must have room
select tenon.set_budget(t.tenant('a'), 'user', t.person('a', 1), 'total', 50),
       tenon.set_budget(t.tenant('a'), 'key', t.run(1000), 'total', 20) \g /dev/null
select t.act_as('tenon_worker');
select is(tenon.reserve(t.run(8), t.person('a', 1), t.run(1000), 30) ->> 'subject', 'key', 'the smallest is in the way');
select is(t.money('user'), '0 spent, 0 reserved of 50', 'and nothing is held of the others');
select is(tenon.reserve(t.run(8), t.person('a', 1), null, 30), null, 'without the key there is room');
select is(array[t.money('user'), t.money('tenant'), t.money('key')],
    array['0 spent, 30 reserved of 50', '115 spent, 30 reserved of 200', '0 spent, 0 reserved of 20'], 'in each that applies');
select is(tenon.reserve(t.run(9), t.person('a', 2), null, 55), null, 'another person has no budget of their own');
select is(tenon.reserve(t.run(10), t.person('a', 1), null, 1) ->> 'subject', 'tenant', 'but the tenant''s');
select tenon.settle(t.run(8), 12), tenon.release(t.run(9)) \g /dev/null
select is(array[t.money('user'), t.money('tenant')], array['12 spent, 0 reserved of 50', '127 spent, 0 reserved of 200'], 'settled in each');

-- Periods
select is(tenon.period_start(period, '2026-03-31 23:30+00'), expected, 'the ' || period || ' begins')
  from (values ('day', '2026-03-31'::date), ('month', '2026-03-01'), ('total', '-infinity')) p (period, expected);
select is(tenon.period_end(period, '2026-12-31 23:30+00'), expected, 'the ' || period || ' ends')
  from (values ('day', '2027-01-01 00:00+00'::timestamptz), ('month', '2027-01-01 00:00+00'), ('total', null)) p (period, expected);
select set_config('timezone', 'Pacific/Kiritimati', true) \g /dev/null
select is(tenon.period_start('month', '2026-03-31 23:30+00'), '2026-03-01', 'in UTC, wherever the server is');
select is(tenon.period_end('day', '2026-12-31 23:30+00'), '2027-01-01 00:00+00', 'to the end');
reset role;
delete from tenon.budgets;
select tenon.set_budget(t.tenant('a'), 'tenant', null, 'day', 100) \g /dev/null
select t.act_as('tenon_worker');
select tenon.reserve(t.run(11), null, null, 30), tenon.reserve(t.run(12), null, null, 30), tenon.settle(t.run(12), 25) \g /dev/null
reset role;
update tenon.budgets set period_start = period_start - 1; -- all that was yesterday
select t.act_as('tenon_worker');
select is(spent_micros || ' ' || reserved_micros, '0 30', 'a new day is shown with nothing spent') from tenon.budget_report();
select is(tenon.reserve(t.run(13), null, null, 71) ->> 'spent_micros', '0', 'and begins with nothing spent, but with what is still reserved');
select is(tenon.reserve(t.run(13), null, null, 70), null, 'up to the cap');
select is(t.money('tenant', 'day'), '0 spent, 100 reserved of 100', 'which it is now');
reset role;
update tenon.budgets set period_start = period_start - 1;
select t.act_as('tenon_worker');
select tenon.settle(t.run(11), 20) \g /dev/null
select is(t.money('tenant', 'day'), '20 spent, 70 reserved of 100', 'what is settled today is spent today');
select is(period_start, (now() at time zone 'utc')::date, 'which the budget then knows') from tenon.budgets;

-- A new budget knows what the period has cost so far
select tenon.record_usage(t.person('a', 1), null, 'p', 'm', 1, 1, 40), tenon.record_usage(t.person('a', 2), t.run(1000), 'p', 'm', 1, 1, 2) \g /dev/null
reset role;
select is((tenon.set_budget(t.tenant('a'), subject, id, period, 100)).spent_micros, spent::bigint, format('%s per %s', subject, period))
  from (values ('tenant', null, 'total', 42), ('tenant', null, 'month', 42), ('user', t.person('a', 1), 'day', 40),
               ('key', t.run(1000), 'month', 2)) b (subject, id, period, spent);

-- Who sees and who changes them
select t.act_as('authenticated');
select results_eq('select subject, subject_id from tenon.budgets', format($$ values ('user', %L::uuid) $$, t.person('a', 1)), 'a person sees their own');
select throws_ok('update tenon.budgets set cap_micros = 1', '42501', null, 'and changes none');
select throws_ok('select tenon.reserve(t.run(1), null, null, 1)', '42501', null, 'nor reserves');
select throws_ok('select tenon.release(t.run(13))', '42501', null, 'nor releases');
select throws_ok('select tenon.settle(t.run(13), 0)', '42501', null, 'nor settles');
select t.act_as('agent', key => t.run(1000), person => null, scopes => '["usage:read"]');
select results_eq('select subject, subject_id from tenon.budgets', format($$ values ('key', %L::uuid) $$, t.run(1000)), 'an agent sees its key''s');
select t.act_as('agent', key => t.run(1000));
select is_empty('select 1 from tenon.budgets', 'if it has the scope');
select t.act_as('service_role');
select is(count(*), 5::bigint, 'a secret key sees all of its tenant') from tenon.budgets;
select throws_ok('update tenon.budgets set cap_micros = 1', '42501', null, 'and changes none: caps are the operator''s');
select throws_ok($$ select tenon.set_budget(t.tenant('a'), 'tenant', null, 'day', 1) $$, '42501', null, 'also not by the function');

-- Any sequence. Two people, a key, caps and amounts at random; after each step the books are compared with a plain list of what should
-- be open and spent, and no cap is passed.
reset role;
delete from tenon.budgets;
create function t.any_sequence(seed double precision, steps integer) returns text
    language plpgsql
as $$
declare
    step integer;
    this uuid;
    person uuid;
    its_key uuid;
    amount bigint;
    actual bigint;
    answer jsonb;
    wrong text;
    refused integer := 0;
begin
    perform setseed(seed);
    delete from tenon.budgets;
    create temporary table if not exists open (run uuid, who uuid, key uuid, amount bigint, spent bigint);
    delete from open;
    perform tenon.set_budget(t.tenant('a'), b.subject, b.id, b.period, (random() * 300)::bigint)
       from (values ('tenant', null, 'total'), ('tenant', null, 'day'), ('user', t.person('a', 1), 'month'), ('user', t.person('a', 2), 'day'),
                    ('key', t.run(1000), 'total')) b (subject, id, period)
      where random() < 0.7 or b.period = 'total'; -- these fill up for sure
    update tenon.budgets set spent_micros = 0;
    perform set_config('tenon.tenant_id', t.tenant('a')::text, true);
    for step in 1 .. steps loop
        if random() < 0.6 then
            this := t.run((random() * 20)::integer);
            select o.who, o.key into person, its_key from open o where o.run = this and o.spent is null;
            if not found then -- a run stays with its caller
                person := case (random() * 2)::integer when 0 then t.person('a', 1) when 1 then t.person('a', 2) end;
                its_key := case when random() < 0.5 then t.run(1000) end;
            end if;
            amount := (random() * 60)::bigint;
            answer := tenon.reserve(this, person, its_key, amount);
            if answer is null then
                insert into open values (this, person, its_key, amount, null);
            else
                refused := refused + 1;
                if amount + (answer ->> 'spent_micros')::bigint + (answer ->> 'reserved_micros')::bigint <= (answer ->> 'cap_micros')::bigint then
                    return format('step %s: refused although there was room: %s', step, answer);
                end if;
            end if;
        else
            select o.run, o.who, o.key, sum(o.amount) into this, person, its_key, amount
              from open o where o.spent is null group by o.run, o.who, o.key order by random() limit 1;
            continue when not found;
            if random() < 0.3 then
                actual := 0;
                perform tenon.release(this);
            else
                actual := (random() * amount)::bigint; -- never more than what is reserved: then no cap may be passed
                perform tenon.settle(this, actual);
            end if;
            delete from open o where o.run = this and o.spent is null;
            insert into open values (this, person, its_key, 0, actual);
        end if;
        select format('step %s: %s per %s: %s spent, %s reserved of %s; expected %s and %s', step, b.subject, b.period, b.spent_micros,
                      b.reserved_micros, b.cap_micros, s.spent, s.reserved) into wrong
          from tenon.budgets b
          cross join lateral (select coalesce(sum(o.spent), 0) as spent, coalesce(sum(o.amount) filter (where o.spent is null), 0) as reserved
                                from open o
                               where b.subject = 'tenant' or b.subject = 'user' and b.subject_id = o.who
                                  or b.subject = 'key' and b.subject_id = o.key) s
         where b.tenant_id = t.tenant('a')
           and (b.spent_micros <> s.spent or b.reserved_micros <> s.reserved or b.spent_micros + b.reserved_micros > b.cap_micros);
        if found then
            return wrong;
        end if;
    end loop;
    return case when refused > 0 then 'held' else 'nothing was ever refused' end;
end $$;
delete from tenon.usage;
select is(t.any_sequence(n / 20.0, 150), 'held', 'sequence ' || n) from generate_series(1, 20) n;

select * from finish();
rollback;
