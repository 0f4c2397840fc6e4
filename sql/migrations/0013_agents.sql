-- 0013: agents: credentials that can never do more than the person they act for
--
--   tenon.agents   who it is, for whom it acts, what it may do, until when, how often, and through tenon.budgets for how much
--   tenon.keys     keys `tna_…` belong to an agent; it may have several, so that they can be exchanged one by one
--
-- What an agent may do is the person's rights ∩ its scopes ∩ what is left of its budget, and it is the database that says so:
--   the person's rights   role `agent` is a member of `authenticated` (sql/init.sql), and auth.uid() and the other claims are the
--                         person's as they are now: what the policies give the person, they give the agent
--   its scopes            the restrictive policies tenon_agent_* of every table (0001)
--   its budget            tenon.reserve(), which knows the agent by its claim `act`
-- Keys and exchanged tokens are looked up here for each request: revocation, ban, an expiry, a role in a team hold from the next one on.
--
-- docs/decisions/0025-agents-inherit-the-role-of-people.md

-- Scopes ------------------------------------------------------------------------------------------

create function tenon.scope_covers(held text, wanted text) returns boolean
    language sql immutable parallel safe
    return held = wanted or (held like '%:*' and starts_with(wanted, left(held, -1)));
comment on function tenon.scope_covers(text, text) is 'Whether who holds the one scope has the other: data:* covers data:notes:read.';

-- Names for several scopes, and the only place that knows them. `ai:chat` is all that a conversation takes.
create function tenon.expand_scopes(scopes jsonb) returns jsonb
    language sql immutable parallel safe
    return case when exists (select from jsonb_array_elements_text(scopes) as held (scope) where tenon.scope_covers(held.scope, 'ai:chat'))
                then scopes || '["chat:read", "chat:write"]' else scopes end;
comment on function tenon.expand_scopes(jsonb) is 'Scopes with what their names stand for.';

create or replace function tenon.has_scope(wanted text) returns boolean
    language sql stable parallel safe
    return exists (
        select from jsonb_array_elements_text(tenon.expand_scopes(nullif(current_setting('tenon.scopes', true), '')::jsonb)) as held (scope)
         where tenon.scope_covers(held.scope, wanted));

-- What both lists allow; a list that is null allows everything.
create function tenon.intersect_scopes(one jsonb, other jsonb) returns jsonb
    language sql immutable set search_path = ''
as $$
    select case when one is null or other is null then coalesce(one, other)
                else (select coalesce(jsonb_agg(distinct case when tenon.scope_covers(x, y) then y else x end), '[]')
                        from jsonb_array_elements_text(one) as x, jsonb_array_elements_text(other) as y
                       where tenon.scope_covers(x, y) or tenon.scope_covers(y, x)) end
$$;
comment on function tenon.intersect_scopes(jsonb, jsonb) is 'The scopes that both lists allow.';

create function tenon.scopes_within(wanted jsonb, held jsonb) returns boolean
    language sql immutable set search_path = ''
as $$
    select not exists (select from jsonb_array_elements_text(wanted) as w
                        where not exists (select from jsonb_array_elements_text(held) as h where tenon.scope_covers(h, w)))
$$;
comment on function tenon.scopes_within(jsonb, jsonb) is 'Whether a list of scopes allows nothing that the other does not.';

-- Words with colons between them, the last one a star perhaps: `data:notes:read`, `storage:*`. Null, or the first one that is not so.
-- Neither blanks nor quotes nor backslashes, so that each of them fits into an OAuth scope (RFC 6749 section 3.3).
create function tenon.malformed_scope(scopes jsonb) returns text
    language sql immutable set search_path = ''
as $$
    select case when jsonb_typeof(scopes) is distinct from 'array' then 'not a list'
                when jsonb_array_length(scopes) > 100 then 'more than 100'
                else (select left(item::text, 200) from jsonb_array_elements(scopes) as item
                       where jsonb_typeof(item) <> 'string' or char_length(item #>> '{}') > 200
                          or item #>> '{}' !~ '^[a-z][a-z0-9_]*(:[^[:space:][:cntrl:]":*\\]+)*:(\*|[^[:space:][:cntrl:]":*\\]+)$'
                       limit 1) end
$$;
comment on function tenon.malformed_scope(jsonb) is 'The first scope that is not formed like one, or null.';

-- Agents ------------------------------------------------------------------------------------------

create table tenon.agents (
    tenant_id       uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id              uuid        not null default tenon.uuid7(),
    name            text        not null check (char_length(name) between 1 and 200),
    user_id         uuid,                                      -- for whom it acts; null: a service account
    scopes          jsonb       not null default '[]' check (jsonb_typeof(scopes) = 'array'),
    rate_per_minute integer     check (rate_per_minute between 1 and 1000000),
    created_by      uuid,                                      -- the person who made it; null: the tenant's secret key, or the operator
    expires_at      timestamptz not null,
    revoked_at      timestamptz,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade,
    foreign key (tenant_id, created_by) references auth.users (tenant_id, id) on delete set null (created_by)
);
comment on table tenon.agents is 'Programs that act for a person, or for the tenant, within scopes, a time, a rate and a budget.';
create index agents_by_user on tenon.agents (tenant_id, user_id, id);
create index agents_by_maker on tenon.agents (tenant_id, created_by) where created_by is not null;
select tenon.isolate('tenon.agents');
grant select, insert, update on tenon.agents to tenon_worker;

-- A key has the scopes of its agent, or with scopes of its own those of them that the agent has too.
alter table tenon.keys add column agent_id uuid;
alter table tenon.keys add foreign key (tenant_id, agent_id) references tenon.agents (tenant_id, id) on delete cascade;
create index keys_by_agent on tenon.keys (tenant_id, agent_id) where agent_id is not null;
grant select, insert, update on tenon.keys to tenon_worker;

-- A key of an agent that names none gets one with its name, scopes, person and end; so older statements go on working.
create function tenon.complete_agent_key() returns trigger
    language plpgsql set search_path = ''
as $$
declare
    agent tenon.agents;
begin
    if new.agent_id is not null then
        select * into agent from tenon.agents a where a.tenant_id = new.tenant_id and a.id = new.agent_id;
        new.expires_at := coalesce(new.expires_at, agent.expires_at);
        new.user_id := coalesce(new.user_id, agent.user_id);
    elsif jsonb_typeof(new.scopes) = 'array' and new.expires_at is not null then
        insert into tenon.agents (tenant_id, name, user_id, scopes, expires_at)
        values (new.tenant_id, new.name, new.user_id, new.scopes, new.expires_at)
        returning id into new.agent_id;
        new.scopes := null;
    end if;
    return new;
end $$;
create trigger complete_agent_key before insert on tenon.keys for each row when (new.kind = 'agent')
    execute function tenon.complete_agent_key();

alter table tenon.keys drop constraint scoped_and_expiring;

-- Keys that were there before: an agent each. As the platform, since they are of all tenants.
create function tenon.adopt_agent_keys() returns void
    language plpgsql set search_path = ''
as $$
declare
    key tenon.keys;
    adopted uuid;
begin
    for key in select * from tenon.keys k where k.kind = 'agent' and k.agent_id is null for update loop
        insert into tenon.agents (tenant_id, name, user_id, scopes, expires_at, revoked_at, created_at)
        values (key.tenant_id, key.name, key.user_id, key.scopes, key.expires_at, key.revoked_at, key.created_at)
        returning id into adopted;
        update tenon.keys k set agent_id = adopted, scopes = null where k.tenant_id = key.tenant_id and k.id = key.id;
    end loop;
end $$;
select tenon.run_as_platform('tenon.adopt_agent_keys()');
select tenon.adopt_agent_keys();
drop function tenon.adopt_agent_keys();

alter table tenon.keys add constraint scoped_and_expiring check (
    case kind when 'agent' then agent_id is not null and expires_at is not null
              else agent_id is null and scopes is null and user_id is null end);

-- Who is asking ---------------------------------------------------------------------------------------

-- As in 0006: the newest agent of the chain `act`, which pays and answers for what is done. Others in it are keys that have passed the token on
-- (`key:…`) and never stand in for the agent; a token that a person narrowed without an agent names them alone.
create or replace function tenon.agent_id() returns uuid
    language sql stable parallel safe
    return case when auth.role() = 'agent' then
        (jsonb_path_query_first(auth.jwt(), '$.act.** ? (@.sub like_regex "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$").sub') #>> '{}')::uuid end;

-- As in 0005. Agents that share a person and the key that admits their tokens are not one another, nor is a token a wider one of its agent.
create or replace function tenon.caller_hash() returns text
    language sql stable set search_path = ''
as $$
    select encode(sha256(convert_to(jsonb_build_array(
               c.role, c.subject, case when c.subject is null or c.role = 'agent' then tenon.key_id() end)::text
               || case when c.role = 'agent' then jsonb_build_array(auth.jwt() -> 'act', auth.jwt() -> 'scope')::text else '' end, 'UTF8')), 'hex')
      from (select auth.jwt() ->> 'role', auth.jwt() ->> 'sub') as c (role, subject)
$$;

-- The claims of who acts for a person: the person's as they are now, and none that says how a person has proved who they are. So rows
-- for which a policy asks for a second factor (`aal`) are closed to agents, whatever the person's session has.
create function auth.agent_claims(person auth.users, act jsonb) returns jsonb
    language sql stable set search_path = ''
as $$
    select auth.claims(person, null, 'aal1', '[]') - array['session_id', 'aal', 'amr'] || jsonb_build_object('role', 'agent', 'act', act)
$$;
comment on function auth.agent_claims(auth.users, jsonb) is 'What the token of an agent says that acts for a person.';

-- Agents have what `authenticated` has. That is the person's own as long as this is their role, or the tenant's secret key's, which has it as
-- well; whoever was given another one has less, or something else, and nobody acts for them.
create function auth.agent_may_act_for(person auth.users) returns boolean
    language sql immutable
    return coalesce(nullif(person.role, ''), 'authenticated') in ('authenticated', 'service_role');
comment on function auth.agent_may_act_for(auth.users) is 'Whether the rights of agents are within those of this person.';

-- As in 0001. Of an agent's key: the agent must be in force, and `scopes`, `user_id` and `expires_at` are what both say. `person_status` is
-- `active`, `banned`, or null without a person; who is deleted has no keys. `claims` are what request.jwt.claims shall be.
drop function tenon.find_key(bytea);
create function tenon.find_key(key_hash bytea)
    returns table (id uuid, tenant_id uuid, kind text, role text, scopes jsonb, user_id uuid, expires_at timestamptz, tenant_status text,
                   agent_id uuid, rate_per_minute integer, person_status text, claims jsonb)
    language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    key tenon.keys;
    agent tenon.agents;
    person auth.users;
    act jsonb;
begin
    if current_setting('transaction_read_only') = 'off' then
        update tenon.keys set last_used_at = now()
         where ctid = (select k.ctid from tenon.keys k
                        where k.hash = key_hash and k.revoked_at is null
                          and (k.last_used_at is null or k.last_used_at < now() - interval '1 minute')
                          for no key update skip locked);
        update tenon.platform_keys set last_used_at = now()
         where ctid = (select k.ctid from tenon.platform_keys k
                        where k.hash = key_hash and k.revoked_at is null
                          and (k.last_used_at is null or k.last_used_at < now() - interval '1 minute')
                          for no key update skip locked);
    end if;
    select * into key from tenon.keys k where k.hash = key_hash and k.revoked_at is null;
    if key.kind = 'agent' then
        select * into agent from tenon.agents a where a.tenant_id = key.tenant_id and a.id = key.agent_id and a.revoked_at is null;
        select * into person from auth.users u
         where u.tenant_id = key.tenant_id and u.id = agent.user_id and u.deleted_at is null and auth.agent_may_act_for(u);
        if agent.id is null or agent.user_id is distinct from person.id then
            return;
        end if;
        perform set_config('tenon.tenant_id', key.tenant_id::text, true); -- for what auth.claims() reads
        act := jsonb_build_object('sub', agent.id, 'name', agent.name);
    end if;
    return query
        select key.id, key.tenant_id, key.kind,
               case key.kind when 'publishable' then 'anon' when 'secret' then 'service_role' else 'agent' end,
               tenon.expand_scopes(tenon.intersect_scopes(agent.scopes, key.scopes)), agent.user_id, least(key.expires_at, agent.expires_at),
               t.status, agent.id, agent.rate_per_minute,
               case when person.banned_until > now() then 'banned' when person.id is not null then 'active' end,
               case when person.id is not null then auth.agent_claims(person, act)
                    when agent.id is not null then jsonb_build_object('role', 'agent', 'tenant_id', key.tenant_id, 'act', act) end
          from tenon.tenants t where t.id = key.tenant_id
         union all
        select k.id, null, 'platform', 'tenon_platform', null, null, k.expires_at, null, null, null, null, null
          from tenon.platform_keys k
         where k.hash = key_hash and k.revoked_at is null;
end $$;
comment on function tenon.find_key(bytea) is 'The key with this SHA-256: its tenant and what it may become.';
select tenon.run_as_platform('tenon.find_key(bytea)');

-- Whether everybody whom an exchanged token names still stands behind it: the person, their session, and each one of the chain `act`
-- (RFC 8693 section 4.1): agents that are in force and act for this person or for nobody, and `key:<id>` that is not revoked. No row: not so.
-- `scopes` are those of the token that its agents have today.
create function tenon.find_delegation(tenant uuid, token jsonb)
    returns table (scopes jsonb, agent_id uuid, rate_per_minute integer, person_status text, claims jsonb)
    language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    person auth.users;
    actor jsonb := token -> 'act';
    agent tenon.agents;
    first tenon.agents;
    allowed jsonb := to_jsonb(string_to_array(nullif(token ->> 'scope', ''), ' '));
begin
    select * into person from auth.users u
     where u.tenant_id = tenant and u.id = (token ->> 'sub')::uuid and u.deleted_at is null and auth.agent_may_act_for(u);
    if not found or actor is null or allowed is null
       or token ? 'session_id' and not exists (
           select from auth.sessions s
            where s.tenant_id = tenant and s.id = (token ->> 'session_id')::uuid and s.user_id = person.id
              and coalesce(s.not_after > now(), true)) then
        return;
    end if;
    while actor is not null loop
        if actor ->> 'sub' like 'key:%' then
            if not exists (select from tenon.keys k
                            where k.tenant_id = tenant and k.id = substr(actor ->> 'sub', 5)::uuid and k.revoked_at is null
                              and coalesce(k.expires_at > now(), true)) then
                return;
            end if;
        elsif actor ->> 'sub' <> 'client' then
            select * into agent from tenon.agents a
             where a.tenant_id = tenant and a.id = (actor ->> 'sub')::uuid and a.revoked_at is null and a.expires_at > now()
               and coalesce(a.user_id = person.id, true);
            if not found then
                return;
            end if;
            allowed := tenon.intersect_scopes(allowed, tenon.expand_scopes(agent.scopes));
            if first.id is null then
                first := agent;
            end if;
        end if;
        actor := actor -> 'act';
    end loop;
    perform set_config('tenon.tenant_id', tenant::text, true); -- for what auth.claims() reads
    return query
        select tenon.expand_scopes(allowed), first.id, first.rate_per_minute,
               case when person.banned_until > now() then 'banned' else 'active' end,
               token || auth.agent_claims(person, token -> 'act');
end $$;
comment on function tenon.find_delegation(uuid, jsonb) is 'Whether an exchanged token still holds, and what it allows today.';
select tenon.run_as_platform('tenon.find_delegation(uuid, jsonb)');

-- Money -----------------------------------------------------------------------------------------------

alter table tenon.budgets drop constraint budgets_subject_check,
    add constraint budgets_subject_check check (subject in ('tenant', 'user', 'key', 'agent'));
drop policy own on tenon.budgets;
create policy own on tenon.budgets for select to authenticated, agent
    using ((subject = 'user' and subject_id = (select auth.uid())) or (subject = 'key' and subject_id = (select tenon.key_id()))
           or (subject = 'agent' and subject_id = (select tenon.agent_id())));
grant insert, delete on tenon.budgets to tenon_worker;
-- Prices are no tenant's, but what authenticated may read an agent reads with a scope.
create policy tenon_agent_reads on ai.prices as restrictive for select to agent
    using ((select tenon.has_scope('chat:read')) or (select tenon.has_scope('usage:read')));

-- Which agent asked for a run: by all its keys, and by tokens that were exchanged for it.
alter table ai.runs add column agent_id uuid;
alter table ai.runs alter column agent_id set default tenon.agent_id();
create index runs_by_agent on ai.runs (tenant_id, agent_id, started_at) where agent_id is not null;

-- As in 0003, and of the agent whose run it is.
create or replace function tenon.reserve(run uuid, for_user uuid, for_key uuid, amount bigint) returns jsonb
    language plpgsql volatile set search_path = ''
as $$
declare
    budget tenon.budgets;
    ids uuid[];
    today constant timestamptz := clock_timestamp(); -- not now(): the lock may have been waited for across midnight
    for_agent constant uuid := coalesce((select x.agent_id from ai.runs x where x.tenant_id = tenon.tenant_id() and x.id = run),
                                        tenon.agent_id());
begin
    if amount < 0 then
        raise exception 'a reservation of % micro-dollars', amount using errcode = 'invalid_parameter_value';
    end if;
    for budget in
        select * from tenon.budgets b
         where b.tenant_id = tenon.tenant_id()
           and (b.subject = 'tenant' or (b.subject = 'user' and b.subject_id = for_user)
                                     or (b.subject = 'key' and b.subject_id = for_key)
                                     or (b.subject = 'agent' and b.subject_id = for_agent))
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

-- As in 0003, and an agent's.
create or replace function tenon.set_budget(tenant uuid, subject text, subject_id uuid, period text, cap_micros bigint) returns tenon.budgets
    language sql volatile set search_path = ''
as $$
    insert into tenon.budgets as b (tenant_id, subject, subject_id, period, period_start, cap_micros, spent_micros)
    values (set_budget.tenant, set_budget.subject, set_budget.subject_id, set_budget.period,
            tenon.period_start(set_budget.period), set_budget.cap_micros,
            case set_budget.subject
                when 'agent' then (select coalesce(sum(r.cost_micros), 0) from ai.runs r
                                    where r.tenant_id = set_budget.tenant and r.agent_id = set_budget.subject_id
                                      and r.started_at >= tenon.period_start(set_budget.period)::timestamp at time zone 'utc')
                else (select coalesce(sum(u.cost_micros), 0) from tenon.usage u
                       where u.tenant_id = set_budget.tenant and u.day >= tenon.period_start(set_budget.period)
                         and case set_budget.subject when 'user' then u.user_id = set_budget.subject_id
                                                     when 'key' then u.key_id = set_budget.subject_id
                                                     else true end) end)
    on conflict on constraint budgets_one_per_period do update set cap_micros = excluded.cap_micros, updated_at = now()
    returning *
$$;

-- What agents did ---------------------------------------------------------------------------------------

-- Beside the payload, because under row security no index on an expression of it would be used.
alter table auth.audit_log_entries add column agent_id uuid;
alter table auth.audit_log_entries alter column agent_id set default tenon.agent_id();
create index audit_log_entries_by_agent on auth.audit_log_entries (tenant_id, agent_id, id) where agent_id is not null;

-- What the API does, as tenon_worker ------------------------------------------------------------------------
--
-- `caller` is the person who asks, with their session; null: the tenant's secret key, whose all of its agents are. `outcome` is null when
-- it is done, and else the error code.

create function auth.agent_caller_problem(caller uuid, session uuid) returns text
    language plpgsql stable set search_path = ''
as $$
declare
    person auth.users;
begin
    if caller is null then
        return null;
    end if;
    select * into person from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = caller and u.deleted_at is null;
    return case when not found then 'user_not_found'
                when person.banned_until > now() then 'user_banned'
                when session is not null and not exists (
                    select from auth.sessions s
                     where s.tenant_id = tenon.tenant_id() and s.id = session and s.user_id = caller
                       and coalesce(s.not_after > now(), true)) then 'session_not_found'
                when person.is_anonymous then 'no_authorization' end;
end $$;

-- Agents and their keys outlive the session, so whoever has a second factor makes them in one that has seen it.
create function auth.agent_maker_problem(caller uuid, session uuid) returns text
    language sql stable set search_path = ''
as $$
    select coalesce(auth.agent_caller_problem(caller, session),
                    case when caller is not null and auth.has_second_factor(caller)
                              and not exists (select from auth.sessions s
                                               where s.tenant_id = tenon.tenant_id() and s.id = session and s.user_id = caller
                                                 and s.aal <> 'aal1') then 'insufficient_aal' end)
$$;

create function auth.agent_key_object(k tenon.keys) returns jsonb
    language sql stable
    return jsonb_build_object('id', k.id, 'name', k.name, 'hint', k.hint, 'scopes', k.scopes, 'created_at', auth.rfc3339(k.created_at),
                              'expires_at', auth.rfc3339(k.expires_at), 'revoked_at', auth.rfc3339(k.revoked_at),
                              'last_used_at', auth.rfc3339(k.last_used_at));

-- `infinity` has no form in RFC 3339, and is null.
create function auth.agent_object(a tenon.agents) returns jsonb
    language plpgsql stable set search_path = ''
as $$
begin
    return jsonb_build_object(
        'id', a.id, 'name', a.name, 'user_id', a.user_id, 'scopes', a.scopes, 'rate_per_minute', a.rate_per_minute,
        'budget', (select jsonb_build_object(
                              'period', b.period, 'cap_micros', b.cap_micros, 'reserved_micros', b.reserved_micros,
                              'spent_micros', case when b.period_start < tenon.period_start(b.period) then 0 else b.spent_micros end,
                              'resets_at', auth.rfc3339(tenon.period_end(b.period)))
                     from tenon.budgets b
                    where b.tenant_id = a.tenant_id and b.subject = 'agent' and b.subject_id = a.id
                    order by b.updated_at desc limit 1),
        'state', case when a.revoked_at is not null then 'revoked' when a.expires_at <= now() then 'expired' else 'active' end,
        'created_by', a.created_by, 'created_at', auth.rfc3339(a.created_at), 'updated_at', auth.rfc3339(a.updated_at),
        'expires_at', case when isfinite(a.expires_at) then auth.rfc3339(a.expires_at) end, 'revoked_at', auth.rfc3339(a.revoked_at),
        'last_used_at', auth.rfc3339((select e.created_at from auth.audit_log_entries e
                                       where e.tenant_id = a.tenant_id and e.agent_id = a.id order by e.id desc limit 1)));
end $$;
comment on function auth.agent_object(tenon.agents) is 'An agent as the API shows it.';

-- What is wrong with what somebody wants of an agent, in words; null: nothing. `budget` is {period, cap_micros}, or null.
create function auth.agent_problem(scopes jsonb, lifetime_s bigint, longest_s bigint, budget jsonb) returns text
    language sql immutable set search_path = ''
as $$
    select case
        when scopes is not null and tenon.malformed_scope(scopes) is not null
            then format('scopes is a list such as ["data:notes:read", "ai:chat"]; this is not one: %s', tenon.malformed_scope(scopes))
        when lifetime_s < 1 or lifetime_s > longest_s then format('expires_in is a number of seconds, at most %s', longest_s)
        when coalesce(jsonb_typeof(budget), 'null') = 'null' then null
        when jsonb_typeof(budget) <> 'object' or budget - array['period', 'cap_micros'] <> '{}'
             or budget ->> 'period' is null or budget ->> 'period' not in ('day', 'month', 'total')
             or jsonb_typeof(budget -> 'cap_micros') is distinct from 'number' or budget ->> 'cap_micros' !~ '^[0-9]{1,18}$'
            then 'budget is {"period": "day", "month" or "total", "cap_micros": micro-dollars}' end
$$;

-- One cap of an agent, in the place of those that it has had; a budget of null takes them away.
create function auth.set_agent_budget(agent uuid, budget jsonb) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    delete from tenon.budgets b
     where b.tenant_id = tenon.tenant_id() and b.subject = 'agent' and b.subject_id = agent
       and b.period is distinct from budget ->> 'period';
    if budget ->> 'period' is not null then
        perform tenon.set_budget(tenon.tenant_id(), 'agent', agent, budget ->> 'period', (budget ->> 'cap_micros')::bigint);
    end if;
end $$;

-- Whether this person has so many agents in force. The lock on the person makes those who count at the same time wait for each other.
create function auth.has_agents(person uuid, so_many bigint) returns boolean
    language plpgsql volatile set search_path = ''
as $$
begin
    perform from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person for no key update;
    return so_many <= (select count(*) from tenon.agents a
                        where a.tenant_id = tenon.tenant_id() and a.user_id = person and a.revoked_at is null and a.expires_at > now());
end $$;

-- A new agent: of the person who asks, or with the secret key of whoever is named, or of nobody. The person is told by `letter`.
create function auth.create_agent(caller uuid, session uuid, for_person uuid, agent_name text, wanted jsonb, lifetime_s bigint, rate integer,
                                  budget jsonb, longest_s bigint, at_most bigint, address inet, letter bytea,
                                  out outcome text, out result jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    made tenon.agents;
    owner constant uuid := coalesce(caller, for_person);
    problem constant text := coalesce(auth.agent_problem(wanted, lifetime_s, longest_s, budget),
                                      case when wanted is null then 'scopes is missing' when agent_name is null then 'name is missing'
                                           when agent_name ~ '[[:cntrl:]]' then 'name is one line' end);
begin
    outcome := auth.agent_maker_problem(caller, session);
    if outcome is not null then
        return;
    elsif problem is not null then
        outcome := 'validation_failed';
        result := to_jsonb(problem);
        return;
    elsif caller <> for_person then
        outcome := 'not_admin';
        return;
    elsif owner is not null then
        perform from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = owner and u.deleted_at is null;
        if not found then
            outcome := 'user_not_found';
            return;
        elsif caller is not null and auth.has_agents(owner, at_most) then
            outcome := 'too_many_agents';
            return;
        end if;
    end if;
    insert into tenon.agents (name, user_id, scopes, rate_per_minute, created_by, expires_at)
    values (agent_name, owner, wanted, rate, caller, now() + lifetime_s * interval '1 second')
    returning * into made;
    perform auth.set_agent_budget(made.id, budget);
    perform auth.audit('agent_created', caller, jsonb_build_object('agent_id', made.id, 'agent_name', made.name, 'user_id', made.user_id,
                                                                   'scopes', made.scopes), address);
    perform auth.post_notice(owner, 'agent_created', letter);
    result := auth.agent_object(made);
end $$;

-- One's own agent, or with the secret key any of the tenant.
create function auth.find_agent(caller uuid, session uuid, wanted uuid, out outcome text, out agent tenon.agents)
    language plpgsql volatile set search_path = ''
as $$
begin
    outcome := auth.agent_caller_problem(caller, session);
    if outcome is null then
        select * into agent from tenon.agents a
         where a.tenant_id = tenon.tenant_id() and a.id = wanted and (caller is null or a.user_id = caller) for no key update;
        if not found then
            outcome := 'agent_not_found';
        end if;
    end if;
end $$;

create function auth.list_agents(caller uuid, session uuid, max_rows bigint, after uuid, out outcome text, out result jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    outcome := auth.agent_caller_problem(caller, session);
    if outcome is null then
        select jsonb_build_object('agents', coalesce(jsonb_agg(auth.agent_object(a) order by a.id desc), '[]')) into result
          from (select * from tenon.agents x
                 where x.tenant_id = tenon.tenant_id() and (caller is null or x.user_id = caller) and (after is null or x.id < after)
                 order by x.id desc limit max_rows) as a;
    end if;
end $$;

-- With its keys, and what it has used.
create function auth.show_agent(caller uuid, session uuid, wanted uuid, out outcome text, out result jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    one record;
begin
    one := auth.find_agent(caller, session, wanted);
    outcome := one.outcome;
    if outcome is null then
        result := auth.agent_object(one.agent)
            || (select jsonb_build_object('keys', coalesce(jsonb_agg(auth.agent_key_object(k) order by k.created_at, k.id), '[]'))
                  from tenon.keys k where k.tenant_id = tenon.tenant_id() and k.agent_id = wanted)
            || (select jsonb_build_object('usage', jsonb_build_object(
                    'runs', count(*), 'input_tokens', coalesce(sum(r.input_tokens), 0), 'output_tokens', coalesce(sum(r.output_tokens), 0),
                    'cost_micros', coalesce(sum(r.cost_micros), 0)))
                  from ai.runs r where r.tenant_id = tenon.tenant_id() and r.agent_id = wanted);
    end if;
end $$;

-- What is null stays as it is; a budget of JSON's null takes the budget away, a rate of 0 the rate. One that had expired counts as a new one.
create function auth.update_agent(caller uuid, session uuid, wanted uuid, new_name text, new_scopes jsonb, lifetime_s bigint, rate integer,
                                  budget jsonb, longest_s bigint, at_most bigint, address inet, out outcome text, out result jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    one record;
    changed tenon.agents;
    problem constant text := coalesce(auth.agent_problem(new_scopes, lifetime_s, longest_s, budget),
                                      case when new_name ~ '[[:cntrl:]]' then 'name is one line' end);
begin
    one := auth.find_agent(caller, session, wanted);
    changed := one.agent;
    outcome := coalesce(one.outcome, auth.agent_maker_problem(caller, session), case when problem is not null then 'validation_failed'
                                            when changed.revoked_at is not null then 'agent_revoked' end);
    result := to_jsonb(problem);
    if outcome is null and changed.expires_at <= now() and caller is not null then
        outcome := case when auth.has_agents(caller, at_most) then 'too_many_agents' end;
    end if;
    if outcome is null then
        update tenon.agents a
           set name = coalesce(new_name, a.name), scopes = coalesce(new_scopes, a.scopes),
               rate_per_minute = case when rate = 0 then null else coalesce(rate, a.rate_per_minute) end,
               expires_at = coalesce(now() + lifetime_s * interval '1 second', a.expires_at), updated_at = now()
         where a.tenant_id = tenon.tenant_id() and a.id = wanted returning * into changed;
        if lifetime_s is not null then -- keys that ended with it still do
            update tenon.keys k set expires_at = changed.expires_at
             where k.tenant_id = tenon.tenant_id() and k.agent_id = wanted and k.expires_at = (one.agent).expires_at;
        end if;
        if budget is not null then
            perform auth.set_agent_budget(wanted, budget);
        end if;
        perform auth.audit('agent_updated', caller, jsonb_build_object('agent_id', wanted, 'agent_name', changed.name,
                                                                       'scopes', changed.scopes), address);
        result := auth.agent_object(changed);
    end if;
end $$;

create function auth.revoke_agent(caller uuid, session uuid, wanted uuid, address inet, out outcome text, out result jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    one record;
    ended tenon.agents;
begin
    one := auth.find_agent(caller, session, wanted);
    ended := one.agent;
    outcome := one.outcome;
    if outcome is null and ended.revoked_at is null then
        update tenon.agents a set revoked_at = now(), updated_at = now()
         where a.tenant_id = tenon.tenant_id() and a.id = wanted returning * into ended;
        perform auth.audit('agent_revoked', caller, jsonb_build_object('agent_id', wanted, 'agent_name', ended.name), address);
    end if;
    if outcome is null then
        result := auth.agent_object(ended);
    end if;
end $$;

create function auth.create_agent_key(caller uuid, session uuid, wanted uuid, key_name text, key_scopes jsonb, lifetime_s bigint,
                                      key_hash text, key_hint text, address inet, out outcome text, out result jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    one record;
    owner tenon.agents;
    made tenon.keys;
begin
    one := auth.find_agent(caller, session, wanted);
    owner := one.agent;
    outcome := coalesce(one.outcome, auth.agent_maker_problem(caller, session),
        case when owner.revoked_at is not null then 'agent_revoked'
             when key_scopes is not null and (tenon.malformed_scope(key_scopes) is not null
                                              or not tenon.scopes_within(key_scopes, tenon.expand_scopes(owner.scopes))) then 'agent_scopes_too_wide'
             when 20 <= (select count(*) from tenon.keys k
                          where k.tenant_id = tenon.tenant_id() and k.agent_id = wanted and k.revoked_at is null and k.expires_at > now())
             then 'too_many_agent_keys' end);
    if outcome is null then
        insert into tenon.keys (kind, name, hash, hint, scopes, agent_id, expires_at)
        values ('agent', coalesce(key_name, owner.name), decode(key_hash, 'hex'), key_hint, key_scopes, wanted,
                least(now() + lifetime_s * interval '1 second', owner.expires_at))
        returning * into made;
        perform auth.audit('agent_key_created', caller, jsonb_build_object('agent_id', wanted, 'agent_name', owner.name,
                                                                           'key_id', made.id), address);
        result := auth.agent_key_object(made) || jsonb_build_object('agent_id', wanted);
    end if;
end $$;

create function auth.revoke_agent_key(caller uuid, session uuid, wanted uuid, key_id uuid, address inet, out outcome text, out result jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    one record;
    ended tenon.keys;
begin
    one := auth.find_agent(caller, session, wanted);
    outcome := one.outcome;
    if outcome is not null then
        return;
    end if;
    update tenon.keys k set revoked_at = now()
     where k.tenant_id = tenon.tenant_id() and k.agent_id = wanted and k.id = revoke_agent_key.key_id and k.revoked_at is null
    returning * into ended;
    if found then
        perform auth.audit('agent_key_revoked', caller, jsonb_build_object('agent_id', wanted, 'key_id', ended.id), address);
        result := auth.agent_key_object(ended) || jsonb_build_object('agent_id', wanted);
    else
        outcome := 'agent_key_not_found';
    end if;
end $$;

-- What it did, newest first; `before` is the last id of the page before.
create function auth.agent_activity(caller uuid, session uuid, wanted uuid, max_rows bigint, before uuid, out outcome text, out result jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    one record;
begin
    one := auth.find_agent(caller, session, wanted);
    outcome := one.outcome;
    if outcome is null then
        select jsonb_build_object('activity', coalesce(jsonb_agg(
                   jsonb_build_object('id', e.id, 'at', auth.rfc3339(e.created_at), 'action', e.payload ->> 'action',
                                      'user_id', nullif(e.payload ->> 'actor_id', '00000000-0000-0000-0000-000000000000'),
                                      'key_id', e.payload ->> 'key_id', 'ip_address', e.ip_address)
                   || coalesce(e.payload -> 'traits', '{}') order by e.id desc), '[]')) into result
          from (select * from auth.audit_log_entries x
                 where x.tenant_id = tenon.tenant_id() and x.agent_id = wanted and (before is null or x.id < before)
                 order by x.id desc limit max_rows) as e;
    end if;
end $$;

-- One request of an agent, when it is over.
create function auth.record_agent_request(person uuid, request jsonb, address inet) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    perform auth.audit('agent_request', person, request, address);
end $$;
comment on function auth.record_agent_request(uuid, jsonb, inet) is 'Writes down what an agent asked for, and what it got.';

-- Token exchange (RFC 8693). `subject` are the claims of the person's token, or of one that was exchanged before; `actor` the agent that will
-- use the new one, with the scopes that its credential has, or null, and then `client` names whose key asks. The new token allows what is
-- wanted, which must be within what the actor and the subject's token have; nothing wanted is all of that.
--   outcome null   claims, all but iss, aud, iat and exp; ends_at, when the agent's own time is over
--   invalid_request, invalid_scope   and `problem` in words
create function auth.exchange_token(subject jsonb, actor uuid, actor_scopes jsonb, client text, wanted jsonb, address inet,
                                    out outcome text, out problem text, out claims jsonb, out ends_at bigint)
    language plpgsql volatile set search_path = ''
as $$
declare
    person auth.users;
    agent tenon.agents;
    before constant jsonb := case when subject ->> 'role' = 'agent'
                                  then tenon.expand_scopes(to_jsonb(string_to_array(coalesce(subject ->> 'scope', ''), ' '))) end;
    allowed constant jsonb := tenon.intersect_scopes(before, actor_scopes);
    scopes constant jsonb := coalesce(wanted, allowed);
    act jsonb;
begin
    select * into person from auth.users u
     where u.tenant_id = tenon.tenant_id() and u.id = (subject ->> 'sub')::uuid and u.deleted_at is null;
    select * into agent from tenon.agents a
     where a.tenant_id = tenon.tenant_id() and a.id = actor and a.revoked_at is null and a.expires_at > now();
    problem := case
        when person.id is null then 'the person of the subject_token does not exist any more'
        when person.banned_until > now() then 'the person of the subject_token is banned'
        when not auth.agent_may_act_for(person) then 'nobody acts for a person of this role'
        when subject ->> 'session_id' is not null and not exists (
            select from auth.sessions s
             where s.tenant_id = tenon.tenant_id() and s.id = (subject ->> 'session_id')::uuid and s.user_id = person.id
               and coalesce(s.not_after > now(), true)) then 'the session of the subject_token is over'
        when actor is not null and agent.id is null then 'the agent of the actor_token is revoked or has expired'
        when agent.user_id <> person.id then 'the agent of the actor_token acts for somebody else'
        when jsonb_array_length(jsonb_path_query_array(subject, '$.**.act.sub')) >= 4 then 'the token has been exchanged too often' end;
    outcome := case when problem is not null then 'invalid_request' end;
    if outcome is null and (scopes is null or scopes = '[]') then
        outcome := 'invalid_scope';
        problem := 'say with `scope` what the new token may do';
    elsif outcome is null and (tenon.malformed_scope(scopes) is not null
                               or allowed is not null and not tenon.scopes_within(wanted, allowed)) then
        outcome := 'invalid_scope';
        problem := 'the scope is malformed, or wider than that of the actor_token or the subject_token';
    end if;
    if outcome is not null then
        return;
    end if;
    act := jsonb_strip_nulls(jsonb_build_object('sub', coalesce(agent.id::text, client), 'name', agent.name, 'act', subject -> 'act'));
    claims := auth.agent_claims(person, act)
        || jsonb_build_object('jti', gen_random_uuid(), 'scope', (select string_agg(s, ' ') from jsonb_array_elements_text(scopes) as s))
        || case when subject ? 'session_id' then jsonb_build_object('session_id', subject -> 'session_id') else '{}' end;
    ends_at := case when isfinite(agent.expires_at) then floor(extract(epoch from agent.expires_at))::bigint end;
    perform auth.audit('token_exchanged', person.id,
                       jsonb_strip_nulls(jsonb_build_object('agent_id', agent.id, 'agent_name', agent.name, 'client', act ->> 'sub',
                                                            'scope', claims -> 'scope', 'jti', claims -> 'jti')), address);
end $$;
comment on function auth.exchange_token(jsonb, uuid, jsonb, text, jsonb, inet) is 'The claims of a narrower token for one piece of work.';

revoke execute on function
    tenon.scope_covers(text, text), tenon.expand_scopes(jsonb), tenon.intersect_scopes(jsonb, jsonb), tenon.scopes_within(jsonb, jsonb),
    tenon.malformed_scope(jsonb), tenon.complete_agent_key(), tenon.find_key(bytea), tenon.find_delegation(uuid, jsonb),
    auth.agent_may_act_for(auth.users), auth.agent_maker_problem(uuid, uuid), auth.has_agents(uuid, bigint),
    auth.agent_claims(auth.users, jsonb), auth.agent_caller_problem(uuid, uuid), auth.agent_key_object(tenon.keys),
    auth.agent_object(tenon.agents), auth.agent_problem(jsonb, bigint, bigint, jsonb), auth.set_agent_budget(uuid, jsonb),
    auth.create_agent(uuid, uuid, uuid, text, jsonb, bigint, integer, jsonb, bigint, bigint, inet, bytea), auth.find_agent(uuid, uuid, uuid),
    auth.list_agents(uuid, uuid, bigint, uuid), auth.show_agent(uuid, uuid, uuid),
    auth.update_agent(uuid, uuid, uuid, text, jsonb, bigint, integer, jsonb, bigint, bigint, inet), auth.revoke_agent(uuid, uuid, uuid, inet),
    auth.create_agent_key(uuid, uuid, uuid, text, jsonb, bigint, text, text, inet), auth.revoke_agent_key(uuid, uuid, uuid, uuid, inet),
    auth.agent_activity(uuid, uuid, uuid, bigint, uuid), auth.record_agent_request(uuid, jsonb, inet),
    auth.exchange_token(jsonb, uuid, jsonb, text, jsonb, inet) from public;
grant execute on function tenon.scope_covers(text, text), tenon.expand_scopes(jsonb)
    to anon, authenticated, agent, service_role, tenon_worker; -- for tenon.has_scope()
grant execute on function tenon.find_key(bytea), tenon.find_delegation(uuid, jsonb) to tenon_authenticator;
grant execute on function
    tenon.intersect_scopes(jsonb, jsonb), tenon.scopes_within(jsonb, jsonb), tenon.malformed_scope(jsonb), tenon.complete_agent_key(),
    tenon.set_budget(uuid, text, uuid, text, bigint),
    auth.agent_may_act_for(auth.users), auth.agent_maker_problem(uuid, uuid), auth.has_agents(uuid, bigint),
    auth.agent_claims(auth.users, jsonb), auth.agent_caller_problem(uuid, uuid), auth.agent_key_object(tenon.keys),
    auth.agent_object(tenon.agents), auth.agent_problem(jsonb, bigint, bigint, jsonb), auth.set_agent_budget(uuid, jsonb),
    auth.create_agent(uuid, uuid, uuid, text, jsonb, bigint, integer, jsonb, bigint, bigint, inet, bytea), auth.find_agent(uuid, uuid, uuid),
    auth.list_agents(uuid, uuid, bigint, uuid), auth.show_agent(uuid, uuid, uuid),
    auth.update_agent(uuid, uuid, uuid, text, jsonb, bigint, integer, jsonb, bigint, bigint, inet), auth.revoke_agent(uuid, uuid, uuid, inet),
    auth.create_agent_key(uuid, uuid, uuid, text, jsonb, bigint, text, text, inet), auth.revoke_agent_key(uuid, uuid, uuid, uuid, inet),
    auth.agent_activity(uuid, uuid, uuid, bigint, uuid), auth.record_agent_request(uuid, jsonb, inet),
    auth.exchange_token(jsonb, uuid, jsonb, text, jsonb, inet) to tenon_worker;
