-- 0005: what the data API asks of the database
--
-- The data API runs its statements as whatever role the request has, also roles that the operator has made and granted to
-- tenon_authenticator, of which no migration knows. One function of ours is therefore for everybody: tenon.fail(), which reads nothing,
-- writes nothing, and can do no more than `select 1/0`. The schema's name is open for it; everything else in there has its own grants.

-- Ends the transaction with an error that the data API gives out as it is: HTTP status, code, message, details and hint, the last two
-- only where they are not null. The code travels as the name of a constraint, which is what errors have for being told apart;
-- the status as the SQLSTATE PTnnn, so that people's own functions may `raise sqlstate 'PT402'` as in PostgREST.
--
-- For statements that find out at their end that they must not have happened:
--     select …, case when count(*) <> 1 then tenon.fail(406, 'PGRST116', '…', '…', null) end from …
-- Volatile, so that no planner runs it ahead of its condition; safe in parallel workers, so that nobody's plan gets worse by it.
create function tenon.fail(status integer, code text, message text, details text default null, hint text default null) returns void
    language plpgsql volatile parallel safe set search_path = ''
as $$
declare
    state constant text := 'PT' || lpad(status::text, 3, '0');
begin
    if details is null and hint is null then
        raise exception using errcode = state, constraint = code, message = message;
    elsif hint is null then
        raise exception using errcode = state, constraint = code, message = message, detail = details;
    elsif details is null then
        raise exception using errcode = state, constraint = code, message = message, hint = hint;
    else
        raise exception using errcode = state, constraint = code, message = message, detail = details, hint = hint;
    end if;
end $$;
comment on function tenon.fail(integer, text, text, text, text) is 'Ends the transaction with an error of the data API.';

-- Whoever keeps a picture of the catalog is told when it changes: our own processes (`tenon`, payload `catalog`) and, if there is
-- one, a PostgREST beside them (`pgrst`). Runs at the end of every DDL statement, grants, comments, policies and functions included; what
-- PostgreSQL itself does not report are roles and their memberships. PostgreSQL sends equal notifications of one transaction once, and
-- only if it commits. Temporary objects are nobody else's business, and refreshing a materialized view changes no catalog. That
-- somebody could not be told is no reason for the DDL to fail.
create function tenon.notify_catalog() returns event_trigger
    language plpgsql set search_path = ''
as $$
begin
    if tg_event = 'sql_drop' then
        if not exists (select from pg_catalog.pg_event_trigger_dropped_objects() as dropped where not dropped.is_temporary) then
            return;
        end if;
    elsif not exists (select from pg_catalog.pg_event_trigger_ddl_commands() as command
                       where command.schema_name is distinct from 'pg_temp' and command.command_tag <> 'REFRESH MATERIALIZED VIEW') then
        return;
    end if;
    perform pg_catalog.pg_notify('tenon', 'catalog'), pg_catalog.pg_notify('pgrst', 'reload schema');
exception when others then
    raise warning 'the catalog has changed, and nobody could be told: %', sqlerrm;
end $$;
comment on function tenon.notify_catalog() is 'Tells who keeps a picture of the catalog that it has changed.';

-- Answers to writes that came with an Idempotency-Key, kept for a day. The claim, the write and the answer are one transaction: a write that
-- fails takes its claim with it, so that it may be tried again, and an answer is there exactly if its write is.
create table tenon.request_answers (
    tenant_id       uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    idempotency_key text        not null check (char_length(idempotency_key) between 1 and 255),
    caller          text        not null, -- a hash: whom it was is nobody's business a day long
    request_hash    bytea       not null check (octet_length(request_hash) = 32),
    status          integer     check (status between 100 and 599), -- null: whoever claimed it kept no answer
    headers         jsonb       check (jsonb_typeof(headers) = 'object'),
    body            text,
    created_at      timestamptz not null default now(),
    expires_at      timestamptz not null,
    primary key (tenant_id, idempotency_key, caller)
);
comment on table tenon.request_answers is 'Answers to writes with an Idempotency-Key, for those who ask again.';
create index request_answers_by_end on tenon.request_answers (expires_at);
select tenon.isolate('tenon.request_answers');

-- Who is asking, as far as one may see another's answer: the role, the person, and the key where there is no person or an agent acts
-- for one. The claims are read as text, because a bare PostgREST's tokens have subjects that are no uuid.
create function tenon.caller_hash() returns text
    language sql stable set search_path = ''
as $$
    select encode(sha256(convert_to(jsonb_build_array(
               current_setting('role'), c.subject,
               case when c.subject is null or current_setting('role') = 'agent' then tenon.key_id() end)::text, 'UTF8')), 'hex')
      from (select auth.jwt() ->> 'sub') as c (subject)
$$;
comment on function tenon.caller_hash() is 'Tells callers of a tenant apart, role, person and key in one.';

-- The first statement of a write with an Idempotency-Key. `hash` is the SHA-256 of what makes the request what it is. Whoever comes with the
-- same key while another does the work waits until that has committed or rolled back, no longer than lock_timeout (55P03).
--   claimed    do it now, and call tenon.keep_answer() before the end of this transaction
--   answered   done before: status, headers and body are the answer
--   conflict   done before, and it was another request
--   unknown    done before, and nobody has kept the answer
create function tenon.claim_request(key text, hash bytea, keep interval default '24 hours')
    returns table (outcome text, status integer, headers jsonb, body text)
    language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    asker constant text := tenon.caller_hash();
    earlier tenon.request_answers;
begin
    loop
        insert into tenon.request_answers as a (idempotency_key, caller, request_hash, expires_at)
        values (key, asker, hash, now() + keep)
        on conflict (tenant_id, idempotency_key, caller) do update
           set request_hash = excluded.request_hash, status = null, headers = null, body = null,
               created_at = now(), expires_at = excluded.expires_at
         where a.expires_at <= now();
        if found then
            return query select 'claimed', null::integer, null::jsonb, null::text;
            return;
        end if;
        select * into earlier from tenon.request_answers a
         where a.tenant_id = tenon.tenant_id() and a.idempotency_key = key and a.caller = asker;
        exit when found; -- else the sweep has just taken it
    end loop;
    return query select case when earlier.request_hash <> hash then 'conflict' when earlier.status is null then 'unknown' else 'answered' end,
                        r.status, r.headers, r.body
                   from (select 1) as one
                   left join (select earlier.status, earlier.headers, earlier.body) as r (status, headers, body)
                          on earlier.request_hash = hash;
end $$;
comment on function tenon.claim_request(text, bytea, interval) is 'Claims an idempotency key, or gives the answer that it has had.';

-- The answer of the request that this very transaction has claimed: by that and not by the caller it is found, since the write itself
-- may have changed the claims. A body of null is an answer without one.
create function tenon.keep_answer(key text, status integer, headers jsonb, body text) returns void
    language plpgsql volatile security definer set search_path = ''
as $$
begin
    update tenon.request_answers a
       set status = keep_answer.status, headers = keep_answer.headers, body = keep_answer.body
     where a.tenant_id = tenon.tenant_id() and a.idempotency_key = key and a.status is null and a.xmin = pg_current_xact_id()::xid;
    if not found then
        raise exception 'this transaction has not claimed the idempotency key %', key using errcode = 'object_not_in_prerequisite_state';
    end if;
end $$;
comment on function tenon.keep_answer(text, integer, jsonb, text) is 'Keeps the answer to a request that this transaction has claimed.';

-- In small bites, like the other sweeps.
create function tenon.sweep_request_answers() returns bigint
    language sql volatile set search_path = ''
as $$
    with expired as (
        delete from tenon.request_answers
         where ctid = any (array(select ctid from tenon.request_answers where expires_at <= now()
                                  order by expires_at limit 5000 for update skip locked))
           and expires_at <= now()
        returning 1)
    select count(*) from expired
$$;
comment on function tenon.sweep_request_answers() is 'Deletes answers that are kept no longer.';
select tenon.run_as_platform('tenon.sweep_request_answers()');

grant usage on schema tenon to public;
revoke execute on all functions in schema tenon from public;
grant execute on function tenon.fail(integer, text, text, text, text) to public;
grant execute on function tenon.claim_request(text, bytea, interval), tenon.keep_answer(text, integer, jsonb, text)
    to anon, authenticated, agent, service_role, tenon_worker;
grant execute on function tenon.sweep_request_answers() to tenon_worker;
