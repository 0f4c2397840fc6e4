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
-- for one. The role is that of the claims, since it is the worker who claims keys for everybody, whatever roles the operator has made.
-- The claims are read as text, because a bare PostgREST's tokens have subjects that are no uuid.
create function tenon.caller_hash() returns text
    language sql stable set search_path = ''
as $$
    select encode(sha256(convert_to(jsonb_build_array(
               c.role, c.subject, case when c.subject is null or c.role = 'agent' then tenon.key_id() end)::text, 'UTF8')), 'hex')
      from (select auth.jwt() ->> 'role', auth.jwt() ->> 'sub') as c (role, subject)
$$;
comment on function tenon.caller_hash() is 'Tells callers of a tenant apart, role, person and key in one.';

-- The first statement of a write with an Idempotency-Key, as tenon_worker with the caller's tenant, claims and key. `hash` is the SHA-256 of
-- what makes the request what it is. Whoever comes with the same key while another does the work waits until that has committed or rolled
-- back, no longer than lock_timeout (55P03).
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

-- Whom a request may be: our own four, and what the operator has granted to the workers' login beside them.
create function tenon.request_roles() returns table (oid oid, rolname name)
    language sql stable set search_path = ''
as $$
    select r.oid, r.rolname from pg_catalog.pg_roles r
     where r.rolname in ('anon', 'authenticated', 'agent', 'service_role')
        or r.rolname not in ('tenon_authenticator', 'tenon_worker', 'tenon_platform')
           and exists (select from pg_catalog.pg_roles a
                        where a.rolname = 'tenon_authenticator' and not a.rolsuper and pg_has_role(a.oid, r.oid, 'member'))
$$;
comment on function tenon.request_roles() is 'The roles that requests may have.';

-- What the app's developer has migrated, as tenon.migrations is for our own: `tenon migrate --app`.
create table tenon.app_migrations (
    number     bigint      primary key,
    file       text        not null,
    sha256     text        not null check (sha256 ~ '^[0-9a-f]{64}$'),
    applied_at timestamptz not null default now(),
    ms         bigint      not null
);
comment on table tenon.app_migrations is 'The app''s own migrations that have run, each with its SHA-256.';
select tenon.close('tenon.app_migrations');

-- What is unique in people's own tables is so within a tenant. They write `sku text unique`; over all tenants that would keep the second
-- tenant from having a 'theme', and tell it that another one has. So every unique constraint, unique index and, where PostgreSQL can
-- compare a uuid in such an index (btree_gist), exclusion constraint of a protected table gets the tenant_id in front, under its own name
-- and with all else that it says. Left as they are: the primary key, because people's foreign keys refer to it; what has a tenant_id;
-- and what a foreign key or the table's replica identity refers to. docs/decisions/0012-unique-within-a-tenant.md
create function tenon.bind_uniques(target regclass) returns void
    language plpgsql set search_path = '' set tenon.auto_protect = 'off'
as $$
declare
    key record;
    beginning text;
    timing text;
begin
    for key in
        select i.indexrelid::regclass::text as index, x.relname as name, x.relkind, m.amname, k.conname, k.contype,
               pg_get_indexdef(i.indexrelid) as index_text, pg_get_constraintdef(k.oid) as constraint_text,
               case when k.contype = 'u' then concat(' with (' || array_to_string(x.reloptions, ', ') || ')') end as options,
               (select s.spcname from pg_catalog.pg_tablespace s where s.oid = x.reltablespace) as tablespace,
               coalesce(obj_description(k.oid, 'pg_constraint'), obj_description(x.oid, 'pg_class')) as description
          from pg_catalog.pg_index i
          join pg_catalog.pg_class x on x.oid = i.indexrelid
          join pg_catalog.pg_am m on m.oid = x.relam
          join pg_catalog.pg_class t on t.oid = target and t.relnamespace::regnamespace::text not in ('tenon', 'auth', 'ai', 'storage')
          left join pg_catalog.pg_constraint k on k.conindid = i.indexrelid and k.conrelid = target and k.contype in ('u', 'x')
         where i.indrelid = target and (i.indisunique or i.indisexclusion)
           and not i.indisprimary and not i.indisreplident and not x.relispartition and i.indisvalid
           and exists (select from pg_catalog.pg_policy p where p.polrelid = target and p.polname = 'tenon_tenant')
           and not exists (select from unnest(i.indkey::int2[]) with ordinality as c (number, position)
                             join pg_catalog.pg_attribute a on a.attrelid = target and a.attnum = c.number
                            where c.position <= i.indnkeyatts and a.attname = 'tenant_id')
           and not exists (select from pg_catalog.pg_constraint f where f.contype = 'f' and f.conindid = i.indexrelid)
           and (k.contype is distinct from 'x'
                or pg_indexam_has_property(x.relam, 'can_multi_col')
                   and exists (select from pg_catalog.pg_opclass o
                                where o.opcmethod = x.relam and o.opcintype = 'uuid'::regtype and o.opcdefault))
    loop
        if key.contype is null then
            beginning := format('CREATE UNIQUE INDEX %I ON %s%s USING %I (', key.name,
                                case key.relkind when 'I' then 'ONLY ' else '' end, target, key.amname);
            if not starts_with(key.index_text, beginning) then
                raise exception 'no place for the tenant_id in: %', key.index_text;
            end if;
            execute format('drop index %s', key.index);
            execute format('create unique index %I on %s using %I (tenant_id, ', key.name, target, key.amname)
                    || substr(key.index_text, char_length(beginning) + 1);
            if key.description is not null then
                execute format('comment on index %s is %L', key.index, key.description);
            end if;
        else
            timing := substring(key.constraint_text from '(?: DEFERRABLE| INITIALLY DEFERRED)+$');
            execute format('alter table %s drop constraint %I, add constraint %I ', target, key.conname, key.conname)
                    || regexp_replace(
                           regexp_replace(left(key.constraint_text, char_length(key.constraint_text) - char_length(coalesce(timing, ''))),
                                          '^(UNIQUE (NULLS NOT DISTINCT )?\()', '\1tenant_id, '),
                           '^(EXCLUDE USING \S+ \()', '\1tenant_id WITH =, ')
                    || concat(key.options, timing);
            if key.description is not null then
                execute format('comment on constraint %I on %s is %L', key.conname, target, key.description);
            end if;
        end if;
        if key.tablespace is not null then
            execute format('alter index %s set tablespace %I', key.index, key.tablespace);
        end if;
    end loop;
end $$;
comment on function tenon.bind_uniques(regclass) is 'Takes tenant_id into what is unique in a protected table.';

-- As in 0001, and keys to people: `references auth.users` becomes (tenant_id, user_id) to (tenant_id, id). Otherwise whoever has come by the
-- id of another tenant's person could name them, and where that id is the primary key, be there before them.
-- docs/decisions/0024-people-are-named-within-a-tenant.md
create or replace function tenon.bind_references(target regclass) returns void
    language plpgsql set search_path = '' set tenon.auto_protect = 'off'
as $$
declare
    key record;
begin
    for key in
        select k.*, k.conrelid::regclass as child, k.confrelid::regclass as parent,
               pairs.child_columns, pairs.parent_columns, pairs.parent_numbers, emptied.columns as emptied_columns
          from pg_catalog.pg_constraint k
         cross join lateral (
               select string_agg(quote_ident(a.attname), ', ' order by u.position) as child_columns,
                      string_agg(quote_ident(b.attname), ', ' order by u.position) as parent_columns,
                      array_agg(b.attnum order by b.attnum) as parent_numbers,
                      bool_or(a.attname = 'tenant_id') as bound
                 from unnest(k.conkey, k.confkey) with ordinality as u (child_number, parent_number, position)
                 join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.child_number
                 join pg_catalog.pg_attribute b on b.attrelid = k.confrelid and b.attnum = u.parent_number) as pairs
         cross join lateral (
               select string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns
                 from pg_catalog.pg_attribute a
                where a.attrelid = k.conrelid and a.attnum = any (coalesce(k.confdelsetcols, k.conkey))) as emptied
         where k.contype = 'f' and k.conparentid = 0 and target in (k.conrelid, k.confrelid) and not pairs.bound
           and k.confupdtype in ('a', 'r', 'c') and (k.confmatchtype = 's' or cardinality(k.conkey) = 1)
           and 2 = (select count(*) from pg_catalog.pg_policy p -- a key to itself has one end
                     where p.polname = 'tenon_tenant' and p.polrelid in (k.conrelid, k.confrelid))
                   + (k.conrelid = k.confrelid)::integer
    loop
        if not exists (select from pg_catalog.pg_index i
                        where i.indrelid = key.confrelid and i.indisunique and i.indimmediate and i.indpred is null and i.indexprs is null
                          and (select array_agg(n order by n) from unnest(i.indkey::int2[]) with ordinality as x (n, position)
                                where position <= i.indnkeyatts)
                              = (select array_agg(a.attnum order by a.attnum) from pg_catalog.pg_attribute a
                                  where a.attrelid = key.confrelid
                                    and (a.attname = 'tenant_id' or a.attnum = any (key.parent_numbers)))) then
            execute format('create unique index on %s (tenant_id, %s)', key.parent, key.parent_columns);
        end if;
        execute format('alter table %s drop constraint %I', key.child, key.conname);
        execute format('alter table %s add constraint %I foreign key (tenant_id, %s) references %s (tenant_id, %s)',
                       key.child, key.conname, key.child_columns, key.parent, key.parent_columns)
            || case key.confupdtype when 'a' then '' when 'r' then ' on update restrict' when 'c' then ' on update cascade' end
            || case key.confdeltype
                   when 'a' then '' when 'r' then ' on delete restrict' when 'c' then ' on delete cascade'
                   when 'n' then format(' on delete set null (%s)', key.emptied_columns)
                   when 'd' then format(' on delete set default (%s)', key.emptied_columns) end
            || case when key.condeferrable then ' deferrable' else '' end
            || case when key.condeferred then ' initially deferred' else '' end
            || case when key.convalidated then '' else ' not valid' end;
    end loop;
end $$;

-- As in 0001, and what is unique.
create or replace function tenon.protect(target regclass, owner text default null, scope text default null) returns void
    language plpgsql set search_path = '' set tenon.auto_protect = 'off'
as $$
declare
    table_name text;
    tenant_type regtype;
    tenant_default boolean;
    owner_type regtype;
    primary_key text;
    sequence regclass;
begin
    select c.relname into table_name from pg_catalog.pg_class c where c.oid = target and c.relkind in ('r', 'p');
    if not found then
        raise exception '% is not a table', target
            using errcode = 'wrong_object_type', hint = 'Views: create them with (security_invoker = true).';
    end if;

    select a.atttypid, a.atthasdef into tenant_type, tenant_default
      from pg_catalog.pg_attribute a where a.attrelid = target and a.attname = 'tenant_id' and not a.attisdropped;
    if tenant_type is null then
        begin
            execute format('alter table %s add column tenant_id uuid not null default tenon.tenant_id()', target);
        exception when not_null_violation then
            raise exception '% has rows, and they would belong to no tenant', target
                using errcode = 'not_null_violation', hint = 'Say whose they are: set tenon.tenant_id = ''…'', and try again.';
        end;
    elsif tenant_type <> 'uuid'::regtype then
        raise exception 'the column tenant_id of % is %, not uuid', target, tenant_type
            using errcode = 'datatype_mismatch',
                  hint = 'This name says which tenant a row belongs to. Rename the column, or set tenon.auto_protect = off first.';
    else
        execute format('alter table %s alter column tenant_id set not null', target);
        if not tenant_default then
            execute format('alter table %s alter column tenant_id set default tenon.tenant_id()', target);
        end if;
    end if;
    if not exists (select from pg_catalog.pg_index i
                     join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
                    where i.indrelid = target and a.attname = 'tenant_id' and i.indpred is null) then
        -- with the primary key behind it, because that is what foreign keys will refer to
        select string_agg(quote_ident(a.attname), ', ' order by k.position) into primary_key
          from pg_catalog.pg_index i
         cross join unnest(i.indkey::int2[]) with ordinality as k (number, position)
          join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
         where i.indrelid = target and i.indisprimary and k.position <= i.indnkeyatts;
        execute format(case when primary_key is null then 'create index on %s (tenant_id)'
                            else 'create unique index on %s (tenant_id, %s)' end, target, primary_key);
    end if;

    perform tenon.isolate(target, coalesce(scope, 'data:' || table_name), worker => false);
    if owner is not null then
        select a.atttypid into owner_type
          from pg_catalog.pg_attribute a where a.attrelid = target and a.attname = owner and a.attnum > 0 and not a.attisdropped;
        if not found then
            raise exception '% has no column %', target, owner using errcode = 'undefined_column';
        end if;
        perform tenon.set_policy(target, 'tenon_owner', format(
            'to authenticated, agent using (%1$I = (select auth.uid())%2$s) with check (%1$I = (select auth.uid())%2$s)',
            owner, case when owner_type = 'uuid'::regtype then '' else '::' || owner_type::text end));
    end if;

    perform tenon.bind_references(target);
    perform tenon.bind_uniques(k.id) -- of the tables it refers to as well: no key needs them as they were any more
       from (select target as id
              union select f.confrelid from pg_catalog.pg_constraint f where f.conrelid = target and f.contype = 'f') as k;

    execute format('grant select, insert, update, delete on %s to anon, authenticated, agent, service_role, tenon_platform', target);
    for sequence in -- of serial columns; identity columns need no grant
        select d.objid::regclass from pg_catalog.pg_depend d
          join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
         where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
           and d.refobjid = target and d.deptype = 'a' loop
        execute format('grant usage, select on sequence %s to anon, authenticated, agent, service_role, tenon_platform', sequence);
    end loop;
end $$;

-- These are DDL themselves, and need nobody who looks after it.
alter function tenon.isolate(regclass, text, boolean) set tenon.auto_protect = 'off';
alter function tenon.set_policy(regclass, text, text) set tenon.auto_protect = 'off';

-- Whether a protected table is one no longer: that is refused, where it happens by accident. Whoever means it says so first, with
-- tenon.auto_protect = off.
create function tenon.check_wall(target regclass) returns void
    language plpgsql stable set search_path = ''
as $$
declare
    problem constant text := (
        select case when not c.relrowsecurity then 'row security cannot be disabled'
                    when not c.relforcerowsecurity then 'row security cannot be lifted for its owner'
                    when not exists (select from pg_catalog.pg_attribute a
                                      where a.attrelid = c.oid and a.attname = 'tenant_id' and a.atttypid = 'uuid'::regtype and a.attnotnull
                                        and not a.attisdropped) then 'its tenant_id must stay, of type uuid and not null'
                    when not exists (select from pg_catalog.pg_attribute a
                                      where a.attrelid = c.oid and a.attname = 'tenant_id' and a.atthasdef) then 'its tenant_id must keep its default'
                    when not exists (select from pg_catalog.pg_policy p
                                      where p.polrelid = c.oid and p.polname = 'tenon_tenant' and not p.polpermissive and p.polcmd = '*'
                                        and p.polroles = array[0::oid]
                                        and pg_get_expr(p.polqual, c.oid) = '(tenant_id = ( SELECT tenon.tenant_id() AS tenant_id))'
                                        and pg_get_expr(p.polwithcheck, c.oid) = '(tenant_id = ( SELECT tenon.tenant_id() AS tenant_id))')
                    then 'its policy tenon_tenant must stay as it is' end
          from pg_catalog.pg_class c where c.oid = target);
begin
    if problem is not null then
        raise exception '% is protected: %', target, problem
            using errcode = 'object_not_in_prerequisite_state',
                  detail = 'It keeps the rows of different tenants apart. Within a tenant, policies decide who sees which rows.',
                  hint = 'If the table is to be open for all tenants: set tenon.auto_protect = off, and try again.';
    end if;
end $$;

-- What spans all tenants in a protected table although nobody may have meant it, for whoever is typing: one tenant's value is taken for
-- all others, and they are told so. `tenon doctor` names the same. With `only_new`: of what this transaction has made.
create function tenon.warn_of_shared(target regclass, only_new boolean) returns void
    language plpgsql set search_path = ''
as $$
declare
    shared record;
begin
    for shared in
        select format('the primary key (%s) of %s is one for all tenants: a value that one has, no other can have', k.columns, target) as problem,
               format('Let the database make it (generated always as identity, or uuid default gen_random_uuid()), or: primary key (tenant_id, %s)',
                      k.columns) as way_out
          from pg_catalog.pg_index i
         cross join lateral (
               select string_agg(quote_ident(a.attname), ', ' order by n.position) as columns,
                      bool_or(a.attname = 'tenant_id' or a.attidentity <> '' or a.atthasdef or a.atttypid = 'uuid'::regtype
                              or exists (select from pg_catalog.pg_constraint f
                                           join pg_catalog.pg_policy p on p.polrelid = f.confrelid and p.polname = 'tenon_tenant'
                                          where f.contype = 'f' and f.conrelid = target and a.attnum = any (f.conkey))) as made
                 from unnest(i.indkey::int2[]) with ordinality as n (number, position)
                 join pg_catalog.pg_attribute a on a.attrelid = target and a.attnum = n.number
                where n.position <= i.indnkeyatts) as k
         where i.indrelid = target and i.indisprimary and not k.made
           and (not only_new or age(i.xmin) <= age(pg_current_xact_id()::xid))
           and not exists (select from pg_catalog.pg_class c where c.oid = target and c.relispartition)
        union all
        select format('the exclusion constraint %I of %s is one for all tenants: what one has keeps others out', k.conname, target),
               case when exists (select from pg_catalog.pg_opclass o
                                   join pg_catalog.pg_class x on x.oid = k.conindid and x.relam = o.opcmethod
                                  where o.opcintype = 'uuid'::regtype and o.opcdefault)
                    then 'Name the tenant in it: tenant_id with ='
                    else 'create extension btree_gist; then select tenon.protect(' || quote_literal(target) || ');' end
          from pg_catalog.pg_constraint k
         where k.conrelid = target and k.contype = 'x'
           and (not only_new or age(k.xmin) <= age(pg_current_xact_id()::xid))
           and not exists (select from pg_catalog.pg_attribute a
                            where a.attrelid = target and a.attname = 'tenant_id' and a.attnum = any (k.conkey))
    loop
        raise warning '%', shared.problem using hint = shared.way_out;
    end loop;
end $$;
comment on function tenon.warn_of_shared(regclass, boolean) is 'Warns of keys of a protected table that span all tenants.';

-- As in 0001, and after it:
--   ALTER TABLE    of a table that is protected: its foreign keys, what is unique in it, and that its wall still stands; of one that has
--                  just come here from a schema that is not protected: all of tenon.protect()
--   CREATE INDEX   on a protected table: what is unique in it
--   ALTER POLICY   that the wall still stands
-- So are tables of other schemas that tenon.protect() was called for; those of a protected schema that were made while
-- tenon.auto_protect was off stay as they are.
create or replace function tenon.auto_protect() returns event_trigger
    language plpgsql set search_path = ''
as $$
declare
    protected constant text[] := regexp_split_to_array(
        coalesce(nullif(current_setting('tenon.protected_schemas', true), ''), 'public'), '\s*,\s*');
    changed record;
begin
    if lower(current_setting('tenon.auto_protect', true)) in ('off', 'false', 'no', '0') then
        return;
    end if;
    for changed in
        select distinct on (c.oid) c.oid::regclass as target,
               case when command.command_tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') then 'made'
                    when exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid and p.polname = 'tenon_tenant')
                         or command.classid = 'pg_catalog.pg_policy'::regclass then 'changed'
                    -- A table and its place in a schema are written down in the same moment: unless they were not, it was moved.
                    when exists (select from pg_catalog.pg_depend d
                                  where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.objsubid = 0
                                    and d.refclassid = 'pg_catalog.pg_namespace'::regclass
                                    and age(d.xmin) <= age(pg_current_xact_id()::xid)
                                    and not exists (select from pg_catalog.pg_attribute a
                                                     where a.attrelid = c.oid and a.attnum = -1 and a.xmin = d.xmin and a.cmin = d.cmin))
                    then 'moved' end as state
          from pg_catalog.pg_event_trigger_ddl_commands() as command
          left join pg_catalog.pg_index i on i.indexrelid = command.objid and command.classid = 'pg_catalog.pg_class'::regclass
          left join pg_catalog.pg_policy altered on altered.oid = command.objid and command.classid = 'pg_catalog.pg_policy'::regclass
          join pg_catalog.pg_class c
            on c.oid = coalesce(i.indrelid, altered.polrelid,
                                case command.classid when 'pg_catalog.pg_class'::regclass then command.objid end)
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where command.command_tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE INDEX', 'ALTER POLICY')
           and (altered.oid is null or altered.polname = 'tenon_tenant'
                or pg_get_expr(altered.polqual, c.oid) = '(tenant_id = ( SELECT tenon.tenant_id() AS tenant_id))')
           and c.relkind in ('r', 'p')
           and c.relpersistence <> 't'
           and (n.nspname = any (protected)
                or n.nspname not in ('tenon', 'auth', 'ai', 'storage') -- protected one by one
                   and exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid and p.polname = 'tenon_tenant'))
           and not command.in_extension
           and not (c.relispartition and exists (
               select from pg_catalog.pg_inherits i join pg_catalog.pg_class parent on parent.oid = i.inhparent
                where i.inhrelid = c.oid and not parent.relrowsecurity))
         order by c.oid, command.command_tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') desc
    loop
        if changed.state in ('made', 'moved') then
            perform tenon.protect(changed.target);
        elsif changed.state = 'changed' then
            perform tenon.check_wall(changed.target);
            perform tenon.bind_references(changed.target);
            perform tenon.bind_uniques(changed.target);
        end if;
        if changed.state is not null and tg_tag <> all (array['CREATE INDEX', 'ALTER POLICY']) then
            perform tenon.warn_of_shared(changed.target, changed.state = 'changed');
        end if;
    end loop;
end $$;
comment on function tenon.auto_protect() is 'Protects every table as it is created in one of tenon.protected_schemas, and keeps it so.';

-- After a DROP of whatever kind: a wall that went while its table stayed.
create function tenon.keep_walls() returns event_trigger
    language plpgsql set search_path = ''
as $$
declare
    bare regclass;
begin
    if lower(current_setting('tenon.auto_protect', true)) in ('off', 'false', 'no', '0') then
        return;
    end if;
    for bare in
        select to_regclass(format('%I.%I', dropped.address_names[1], dropped.address_names[2]))
          from pg_catalog.pg_event_trigger_dropped_objects() as dropped
         where dropped.object_type = 'policy' and dropped.address_names[3] = 'tenon_tenant'
           and dropped.address_names[1] not in ('tenon', 'auth', 'ai', 'storage')
    loop
        if bare is not null then
            perform tenon.check_wall(bare);
        end if;
    end loop;
end $$;
comment on function tenon.keep_walls() is 'Refuses to drop the policy that keeps the tenants of a table apart.';

grant usage on schema tenon to public;
revoke execute on all functions in schema tenon from public;
grant execute on function tenon.fail(integer, text, text, text, text) to public;
grant execute on function tenon.claim_request(text, bytea, interval), tenon.keep_answer(text, integer, jsonb, text)
    to tenon_worker;
grant execute on function tenon.sweep_request_answers() to tenon_worker;
