-- 0003: what calls cost, what was used, and what may still be spent
--
-- Money is integer micro-dollars, days and months are UTC. Three things that never mix:
--   ai.prices       what a token costs, from when on. Never changed, only added to.
--   tenon.usage     what was used, per day. Raw counts are kept, so a month can be priced again.
--   tenon.budgets   what may be spent. Held by reservations while calls are under way.
--
-- The functions that write are for the server: call them as tenon_worker, or from a `security definer` function of
-- tenon_owner. No request role may execute them.

-- Prices. One row per version; `*` as model is the price of every model of the provider that has none of its own.
create table ai.prices (
    provider     text        not null check (provider <> ''),
    model        text        not null check (model <> ''),
    valid_from   timestamptz not null default now(),
    input_price  bigint      not null check (input_price >= 0),  -- micro-dollars per million tokens
    output_price bigint      not null check (output_price >= 0),
    created_at   timestamptz not null default now(),
    primary key (provider, model, valid_from)
);
comment on table ai.prices is 'What a million tokens cost, in micro-dollars, from a moment on.';
select tenon.close('ai.prices');
create policy everybody_reads on ai.prices for select using (true);
grant select on ai.prices to authenticated, agent, service_role, tenon_worker;

-- `echo` calls nobody.
insert into ai.prices (provider, model, valid_from, input_price, output_price) values ('echo', '*', '-infinity', 0, 0);

-- The price at a moment: the model's own, or else its provider's; no row when there is neither.
create function tenon.price(provider text, model text, at timestamptz default now()) returns setof ai.prices
    language sql stable rows 1 set search_path = ''
as $$
    select p.* from ai.prices p
     where p.provider = price.provider and p.model in (price.model, '*') and p.valid_from <= price.at
     order by p.model = price.model desc, p.valid_from desc
     limit 1
$$;
comment on function tenon.price(text, text, timestamptz) is 'The price of a model at a moment.';

-- What a call cost, rounded up once, so that never a part of a micro-dollar is lost. Null when there is no price. numeric inside, because
-- tokens times price may pass 2^63 on the way.
-- plpgsql, as it is called for every message and so keeps its plan.
create function tenon.cost(provider text, model text, input_tokens bigint, output_tokens bigint, at timestamptz default now())
    returns bigint
    language plpgsql stable set search_path = ''
as $$
#variable_conflict use_variable
begin
    return (select ceil((input_tokens::numeric * p.input_price + output_tokens::numeric * p.output_price) / 1000000)::bigint
              from ai.prices p
             where p.provider = provider and p.model in (model, '*') and p.valid_from <= at
             order by p.model = model desc, p.valid_from desc
             limit 1);
end $$;
comment on function tenon.cost(text, text, bigint, bigint, timestamptz) is 'What tokens cost, in micro-dollars, rounded up.';

-- A new version, if it differs from the one in force; so it may be called with the whole configuration at every start.
-- Says whether there is a new one.
create function tenon.set_price(provider text, model text, input_price bigint, output_price bigint) returns boolean
    language plpgsql volatile set search_path = ''
as $$
#variable_conflict use_variable
begin
    -- Two processes that start at once must not both find the old price. The moment is taken after waiting, and not
    -- with now(), so that versions follow one another also within one transaction.
    perform pg_advisory_xact_lock(hashtextextended('tenon.set_price', 0));
    if exists (select from ai.prices p
                where p.provider = provider and p.model = model and p.input_price = input_price and p.output_price = output_price
                  and p.valid_from = (select max(q.valid_from) from ai.prices q
                                       where q.provider = provider and q.model = model and q.valid_from <= clock_timestamp())) then
        return false;
    end if;
    insert into ai.prices values (provider, model, clock_timestamp(), input_price, output_price);
    return true;
end $$;
comment on function tenon.set_price(text, text, bigint, bigint) is 'Gives a model a new price from now on.';

-- Usage: one row per day and who and what. user_id and key_id are no foreign keys: the bill outlives the person.
create table tenon.usage (
    tenant_id     uuid    not null default tenon.tenant_id() references tenon.tenants (id),
    id            uuid    not null default tenon.uuid7(),
    day           date    not null default (now() at time zone 'utc')::date,
    user_id       uuid,
    key_id        uuid,
    provider      text    not null,
    model         text    not null,
    requests      bigint  not null default 0 check (requests >= 0),
    failed        bigint  not null default 0 check (failed between 0 and requests),
    estimated     bigint  not null default 0 check (estimated between 0 and requests), -- requests whose tokens we had to estimate
    input_tokens  bigint  not null default 0 check (input_tokens >= 0),
    output_tokens bigint  not null default 0 check (output_tokens >= 0),
    cost_micros   bigint  not null default 0 check (cost_micros >= 0),
    primary key (tenant_id, id),
    constraint usage_one_per_day unique nulls not distinct (tenant_id, day, user_id, key_id, provider, model)
);
comment on table tenon.usage is 'Calls, tokens and cost per tenant, day, user, key, provider and model.';
create index usage_by_user on tenon.usage (tenant_id, user_id, day) where user_id is not null;
select tenon.isolate('tenon.usage', scope => 'usage');
create policy own on tenon.usage for select to authenticated using (user_id = (select auth.uid()));
-- an agent sees what it used, and what the person used for whom it acts
create policy own_as_agent on tenon.usage for select to agent
    using (user_id = (select auth.uid()) or key_id = (select tenon.key_id()));
grant select on tenon.usage to authenticated, agent, service_role;
grant select, insert, update on tenon.usage to tenon_worker;

-- Adds one or more calls to today's row.
create function tenon.record_usage(user_id uuid, key_id uuid, provider text, model text, input_tokens bigint, output_tokens bigint,
                                   cost_micros bigint, requests bigint default 1, failed bigint default 0,
                                   estimated bigint default 0) returns void
    language plpgsql volatile set search_path = ''
as $$
#variable_conflict use_column
begin
    insert into tenon.usage as u (user_id, key_id, provider, model, requests, failed, estimated, input_tokens, output_tokens, cost_micros)
    values (record_usage.user_id, record_usage.key_id, record_usage.provider, record_usage.model, record_usage.requests,
            record_usage.failed, record_usage.estimated, record_usage.input_tokens, record_usage.output_tokens,
            coalesce(record_usage.cost_micros, 0))
    on conflict on constraint usage_one_per_day do update
       set requests      = u.requests + excluded.requests,
           failed        = u.failed + excluded.failed,
           estimated     = u.estimated + excluded.estimated,
           input_tokens  = u.input_tokens + excluded.input_tokens,
           output_tokens = u.output_tokens + excluded.output_tokens,
           cost_micros   = u.cost_micros + excluded.cost_micros;
end $$;
comment on function tenon.record_usage(uuid, uuid, text, text, bigint, bigint, bigint, bigint, bigint, bigint)
    is 'Counts calls in the row of today.';

-- For GET /api/usage. Row security decides whose: a person sees their own, a secret key its tenant's, the platform all. `by` names the
-- columns to keep apart (tenant, day, user, key, provider, model); the others are summed up and null.
create function tenon.usage_report(since date default null, until date default null,
                                   by text[] default '{tenant,day,user,key,provider,model}', max_rows integer default 1000)
    returns table (tenant_id uuid, day date, user_id uuid, key_id uuid, provider text, model text, requests bigint, failed bigint,
                   estimated bigint, input_tokens bigint, output_tokens bigint, cost_micros bigint)
    language sql stable set search_path = ''
as $$
    select case when 'tenant' = any (by) then u.tenant_id end, case when 'day' = any (by) then u.day end,
           case when 'user' = any (by) then u.user_id end, case when 'key' = any (by) then u.key_id end,
           case when 'provider' = any (by) then u.provider end, case when 'model' = any (by) then u.model end,
           sum(u.requests)::bigint, sum(u.failed)::bigint, sum(u.estimated)::bigint,
           sum(u.input_tokens)::bigint, sum(u.output_tokens)::bigint, sum(u.cost_micros)::bigint
      from tenon.usage u
     where u.day between coalesce(since, date_trunc('month', now() at time zone 'utc')::date)
                     and coalesce(until, (now() at time zone 'utc')::date)
     group by 1, 2, 3, 4, 5, 6
     order by 2 desc, 12 desc, 1, 3, 4, 5, 6
     limit max_rows
$$;
comment on function tenon.usage_report(date, date, text[], integer) is 'Usage as the caller may see it, this month unless told otherwise.';

-- Budgets. At every instant spent + reserved ≤ cap, as far as it is in our hands: a call is admitted only when what it can cost at most
-- fits below every cap that applies, and that is what the caller has to reserve (all input, and as much output as it will
-- allow). Two things can still pass a cap, and both are written down as they are, because money that is gone must not be
-- forgotten: a provider that charges more than was reserved, and an operator who lowers a cap below what is spent.
-- Nothing is admitted then until the period ends.
--
-- Money counts in the period in which it is settled. A new period begins with nothing spent and with the reservations
-- that are still open, so the rule also holds across midnight.
create table tenon.budgets (
    tenant_id       uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id              uuid        not null default tenon.uuid7(),
    subject         text        not null check (subject in ('tenant', 'user', 'key')),
    subject_id      uuid        check ((subject_id is null) = (subject = 'tenant')),
    period          text        not null check (period in ('day', 'month', 'total')),
    period_start    date        not null,
    cap_micros      bigint      not null check (cap_micros >= 0),
    spent_micros    bigint      not null default 0 check (spent_micros >= 0),
    reserved_micros bigint      not null default 0 check (reserved_micros >= 0),
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint budgets_one_per_period unique nulls not distinct (tenant_id, subject, subject_id, period)
);
comment on table tenon.budgets is 'Caps on spending, of a tenant, a user or a key, per day, per month or for all time.';
select tenon.isolate('tenon.budgets', scope => 'usage');
create policy own on tenon.budgets for select to authenticated, agent
    using ((subject = 'user' and subject_id = (select auth.uid())) or (subject = 'key' and subject_id = (select tenon.key_id())));
grant select on tenon.budgets to authenticated, agent, service_role;
grant select, update on tenon.budgets to tenon_worker;

-- What a run holds of a budget until it is settled. run_id is a row of ai.runs, which 0004 makes.
create table tenon.reservations (
    tenant_id     uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    run_id        uuid        not null,
    budget_id     uuid        not null,
    amount_micros bigint      not null check (amount_micros >= 0),
    created_at    timestamptz not null default now(),
    primary key (tenant_id, run_id, budget_id),
    foreign key (tenant_id, budget_id) references tenon.budgets (tenant_id, id) on delete cascade
);
comment on table tenon.reservations is 'What runs that are under way may still spend.';
create index reservations_by_budget on tenon.reservations (tenant_id, budget_id);
select tenon.isolate('tenon.reservations');
grant select, insert, update, delete on tenon.reservations to tenon_worker;

-- The first day of the period that holds this moment.
create function tenon.period_start(period text, at timestamptz default now()) returns date
    language sql immutable parallel safe
    return case period when 'day'   then (at at time zone 'utc')::date
                       when 'month' then date_trunc('month', at at time zone 'utc')::date
                       when 'total' then '-infinity'::date end;

-- When spending may begin again; null for a budget of all time.
create function tenon.period_end(period text, at timestamptz default now()) returns timestamptz
    language sql immutable parallel safe
    return case period when 'day'   then (date_trunc('day', at at time zone 'utc') + interval '1 day') at time zone 'utc'
                       when 'month' then (date_trunc('month', at at time zone 'utc') + interval '1 month') at time zone 'utc' end;

-- Sets aside what a run may cost at most, in every budget that applies to it; several times for one run adds up. Returns null when
-- it is admitted. Else nothing is written, and the answer says which cap is in the way:
--   {"code": "budget_exceeded", "subject", "subject_id", "period", "cap_micros", "spent_micros", "reserved_micros",
--    "requested_micros", "resets_at"}
--   {"code": "price_unknown", …}   when amount is null (tenon.cost() knew no price) and there is a cap: what cannot be
--                                  counted is not spent. Without a budget a null amount is admitted.
-- The budgets are locked in the order of their ids, here and in settle(), so calls at once wait and do not deadlock. The lock
-- lasts until the transaction ends: reserve late in it.
create function tenon.reserve(run uuid, for_user uuid, for_key uuid, amount bigint) returns jsonb
    language plpgsql volatile set search_path = ''
as $$
declare
    budget tenon.budgets;
    ids uuid[];
    today constant timestamptz := clock_timestamp(); -- not now(): the lock may have been waited for across midnight
begin
    if amount < 0 then
        raise exception 'a reservation of % micro-dollars', amount using errcode = 'invalid_parameter_value';
    end if;
    for budget in
        select * from tenon.budgets b
         where b.tenant_id = tenon.tenant_id()
           and (b.subject = 'tenant' or (b.subject = 'user' and b.subject_id = for_user)
                                     or (b.subject = 'key' and b.subject_id = for_key))
         order by b.id for update
    loop
        if budget.period_start < tenon.period_start(budget.period, today) then
            budget.spent_micros := 0;
        end if;
        if amount is null or budget.spent_micros + budget.reserved_micros + amount > budget.cap_micros then
            return jsonb_build_object(
                'code', case when amount is null then 'price_unknown' else 'budget_exceeded' end,
                'subject', budget.subject, 'subject_id', budget.subject_id, 'period', budget.period,
                'cap_micros', budget.cap_micros, 'spent_micros', budget.spent_micros,
                'reserved_micros', budget.reserved_micros, 'requested_micros', amount,
                'resets_at', tenon.period_end(budget.period, today));
        end if;
        ids := ids || budget.id;
    end loop;

    -- only when all of them have room
    update tenon.budgets b
       set spent_micros = case when b.period_start < tenon.period_start(b.period, today) then 0 else b.spent_micros end,
           period_start = greatest(b.period_start, tenon.period_start(b.period, today)),
           reserved_micros = b.reserved_micros + amount,
           updated_at = now()
     where b.tenant_id = tenon.tenant_id() and b.id = any (ids);
    insert into tenon.reservations as r (run_id, budget_id, amount_micros)
    select run, unnest(ids), amount
    on conflict (tenant_id, run_id, budget_id) do update set amount_micros = r.amount_micros + excluded.amount_micros;
    return null;
end $$;
comment on function tenon.reserve(uuid, uuid, uuid, bigint) is 'Sets aside what a run may cost at most; null, or the cap in the way.';

-- Turns what a run has reserved into what it really cost, all of it, also when that is more. Null for actual means unknown, and then
-- the whole reservation counts as spent. The second call for a run finds nothing and does nothing, so a worker that
-- finishes late and the reaper cannot both count it. Returns whether there was a reservation. A transaction that settles many runs
-- may meet another one in the middle: then PostgreSQL ends one of them, so better one run per transaction.
create function tenon.settle(run uuid, actual bigint) returns boolean
    language plpgsql volatile set search_path = ''
as $$
declare
    locked uuid[];
    today timestamptz;
    settled boolean := false;
begin
    if actual < 0 then
        raise exception 'a cost of % micro-dollars', actual using errcode = 'invalid_parameter_value';
    end if;
    loop
        -- First the locks, in the order of reserve(). Then a new statement, which sees what those did whom we waited for. And once more
        -- if somebody has reserved for this run meanwhile: a budget that is not locked yet must not be written here.
        locked := array(
            select b.id from tenon.budgets b
             where (b.tenant_id, b.id) in (select r.tenant_id, r.budget_id from tenon.reservations r where r.run_id = run)
             order by b.id for update);
        exit when locked = '{}';
        today := clock_timestamp();
        with held as (
            delete from tenon.reservations r where r.run_id = run and r.budget_id = any (locked)
            returning r.tenant_id, r.budget_id, r.amount_micros)
        update tenon.budgets b
           set reserved_micros = b.reserved_micros - held.amount_micros,
               spent_micros = coalesce(actual, held.amount_micros)
                              + case when b.period_start < tenon.period_start(b.period, today) then 0 else b.spent_micros end,
               period_start = greatest(b.period_start, tenon.period_start(b.period, today)),
               updated_at = now()
          from held
         where b.tenant_id = held.tenant_id and b.id = held.budget_id;
        settled := settled or found;
    end loop;
    return settled;
end $$;
comment on function tenon.settle(uuid, bigint) is 'Turns a run''s reservation into what it cost.';

create function tenon.release(run uuid) returns boolean
    language sql volatile set search_path = ''
as $$
    select tenon.settle(run, 0)
$$;
comment on function tenon.release(uuid) is 'Gives back what a run has reserved and did not spend.';

-- A cap, new or changed, by the operator (as tenon_platform). A new one begins with what the period has cost so far.
create function tenon.set_budget(tenant uuid, subject text, subject_id uuid, period text, cap_micros bigint) returns tenon.budgets
    language sql volatile set search_path = ''
as $$
    insert into tenon.budgets as b (tenant_id, subject, subject_id, period, period_start, cap_micros, spent_micros)
    values (set_budget.tenant, set_budget.subject, set_budget.subject_id, set_budget.period,
            tenon.period_start(set_budget.period), set_budget.cap_micros,
            (select coalesce(sum(u.cost_micros), 0) from tenon.usage u
              where u.tenant_id = set_budget.tenant and u.day >= tenon.period_start(set_budget.period)
                and case set_budget.subject when 'user' then u.user_id = set_budget.subject_id
                                            when 'key' then u.key_id = set_budget.subject_id
                                            else true end))
    on conflict on constraint budgets_one_per_period do update set cap_micros = excluded.cap_micros, updated_at = now()
    returning *
$$;
comment on function tenon.set_budget(uuid, text, uuid, text, bigint) is 'Sets a cap.';

-- Budgets as the caller may see them, as of now: a period that has begun since the last call has nothing spent yet.
create function tenon.budget_report()
    returns table (tenant_id uuid, subject text, subject_id uuid, period text, cap_micros bigint, spent_micros bigint,
                   reserved_micros bigint, resets_at timestamptz)
    language sql stable set search_path = ''
as $$
    select b.tenant_id, b.subject, b.subject_id, b.period, b.cap_micros,
           case when b.period_start < tenon.period_start(b.period) then 0 else b.spent_micros end,
           b.reserved_micros, tenon.period_end(b.period)
      from tenon.budgets b
     order by b.tenant_id, b.subject, b.subject_id, b.period
$$;
comment on function tenon.budget_report() is 'Caps and what is spent and reserved of them, as the caller may see them.';

revoke execute on all functions in schema tenon from public;
grant execute on function tenon.price(text, text, timestamptz), tenon.cost(text, text, bigint, bigint, timestamptz),
    tenon.usage_report(date, date, text[], integer), tenon.budget_report(), tenon.period_start(text, timestamptz),
    tenon.period_end(text, timestamptz) to authenticated, agent, service_role, tenon_worker;
grant execute on function tenon.record_usage(uuid, uuid, text, text, bigint, bigint, bigint, bigint, bigint, bigint),
    tenon.reserve(uuid, uuid, uuid, bigint), tenon.settle(uuid, bigint), tenon.release(uuid) to tenon_worker;
