-- 0001: who is asking, tenants, keys, and the walls between tenants
--
-- Migrations run as tenon_owner (the login tenon_admin becomes it), each in one transaction, after sql/init.sql.
--
-- The pattern for a table of a tenant, in this and every later migration:
--
--     create table ai.things (
--         tenant_id uuid not null default tenon.tenant_id() references tenon.tenants (id),
--         id        uuid not null default tenon.uuid7(),
--         …,
--         primary key (tenant_id, id)                                  -- tenant_id first, in every foreign key too
--     );
--     select tenon.isolate('ai.things', scope => 'chat');              -- row security and the policies all tables share
--     create policy owner on ai.things to authenticated, agent using (…) with check (…);  -- who else may do what
--     grant select, insert on ai.things to authenticated, agent, service_role;            -- and who may at all
--
-- and at the end of the file
--
--     revoke execute on all functions in schema ai, tenon from public;    -- then grant each function to whom it is for,
--     grant execute on function … to authenticated, …;                    -- by name: nothing of ours is granted to public
--
-- t/sql/isolation.sql walks the catalog and fails for a table or function that leaves any of this out.

do $$
begin
    if current_user <> 'tenon_owner' then
        raise exception 'migrations run as tenon_owner, not as %', current_user
            using hint = 'Connect as tenon_admin, or say: set role tenon_owner.';
    end if;
end $$;

create schema if not exists tenon;
create schema if not exists auth;
create schema if not exists ai;
create schema if not exists storage;

-- The name alone opens nothing: tables and functions have their own grants.
grant usage on schema tenon, auth, ai, storage to anon, authenticated, agent, service_role, tenon_worker, tenon_platform;
grant usage on schema tenon to tenon_authenticator;

-- Who is asking. Every transaction sets these with set_config(…, true); an empty string means not set, because that is what
-- a setting falls back to after the transaction that set it. Nothing set, nobody there: no tenant, no rows. A value that is no
-- uuid is an error, not an empty answer: it is always a bug of the caller.
--
-- They are single expressions in standard bodies: the planner inlines them, and no search_path can redirect them.

create function tenon.tenant_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('tenon.tenant_id', true), '')::uuid;
comment on function tenon.tenant_id() is 'The tenant of this transaction, null outside one. In policies: (select tenon.tenant_id()).';

create function auth.jwt() returns jsonb
    language sql stable parallel safe
    return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
comment on function auth.jwt() is 'The claims of the caller''s token.';

create function auth.uid() returns uuid
    language sql stable parallel safe
    return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid;
comment on function auth.uid() is 'The id of the person who is asking, null for keys. In policies: (select auth.uid()).';

create function auth.role() returns text
    language sql stable parallel safe
    return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role', '');
comment on function auth.role() is 'The role in the caller''s token.';

create function auth.email() returns text
    language sql stable parallel safe
    return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email', '');
comment on function auth.email() is 'The address in the caller''s token.';

create function tenon.key_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('tenon.key_id', true), '')::uuid;
comment on function tenon.key_id() is 'The API key that is asking, null without one.';

-- Scopes narrow agents and nobody else; so this is asked in policies `to agent` only. `functions:invoke:*` covers
-- every scope that begins with `functions:invoke:`. There is no scope that covers all: `*` alone means nothing.
create function tenon.has_scope(wanted text) returns boolean
    language sql stable parallel safe
    return exists (
        select from jsonb_array_elements_text(nullif(current_setting('tenon.scopes', true), '')::jsonb) as held (scope)
         where held.scope = wanted
            or (held.scope like '%:*' and starts_with(wanted, left(held.scope, -1)))
    );
comment on function tenon.has_scope(text) is 'Whether the agent that is asking holds this scope.';

-- RFC 9562, version 7: 48 bits of milliseconds, then 12 bits of the fraction of a millisecond (its section 6.2, method 3), so that
-- rows of one transaction sort as they were made, then 62 random bits. The random half of a version 4 has its variant bits right.
create function tenon.uuid7() returns uuid
    language plpgsql volatile parallel safe set search_path = ''
as $$
declare
    us constant bigint := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
begin
    return encode(int8send(((us / 1000) << 16) | 28672 | (us % 1000) * 4096 / 1000)
                  || substring(uuid_send(gen_random_uuid()) from 9), 'hex')::uuid;
end $$;
comment on function tenon.uuid7() is 'A new identifier that sorts by the time it was made.';

-- The walls. What follows makes the policies that all tables have in common. They are named tenon_… so that they never collide
-- with the policies people write for their own tables.

-- A function here because dropping first is what makes calling protect() twice harmless.
create function tenon.set_policy(target regclass, name text, rule text) returns void
    language plpgsql set search_path = '' set client_min_messages = warning
as $$
begin
    execute format('drop policy if exists %I on %s', name, target);
    execute format('create policy %I on %s %s', name, target, rule);
end $$;

-- Row security, on and forced, and the shared policies of a table that has a tenant_id:
--   restrictive  tenon_tenant                     every row, for everybody but tenon_platform
--   restrictive  tenon_agent_{reads,adds,edits,drops}   agents, by `<scope>:read` and `<scope>:write`; one per command, because
--                                                 a single one with `using` for reading would let a reading agent delete
--   permissive   tenon_owner_login                the owner in psql, and functions defined by the owner
--   permissive   tenon_service                    a tenant's secret key
--   permissive   tenon_worker                     the server's own bookkeeping, on our tables
-- Policies say which rows; nothing is granted here.
create function tenon.isolate(target regclass, scope text default null, worker boolean default true) returns void
    language plpgsql set search_path = ''
as $$
declare
    reads  constant text := format('(select tenon.has_scope(%L))', scope || ':read');
    writes constant text := format('(select tenon.has_scope(%L))', scope || ':write');
begin
    execute format('alter table %s enable row level security, force row level security', target);

    perform tenon.set_policy(target, 'tenon_tenant',
        'as restrictive using (tenant_id = (select tenon.tenant_id())) with check (tenant_id = (select tenon.tenant_id()))');
    if scope is not null then
        perform tenon.set_policy(target, 'tenon_agent_reads', 'as restrictive for select to agent using (' || reads || ')');
        perform tenon.set_policy(target, 'tenon_agent_adds', 'as restrictive for insert to agent with check (' || writes || ')');
        perform tenon.set_policy(target, 'tenon_agent_edits', 'as restrictive for update to agent using (' || writes || ')');
        perform tenon.set_policy(target, 'tenon_agent_drops', 'as restrictive for delete to agent using (' || writes || ')');
    end if;

    perform tenon.set_policy(target, 'tenon_owner_login', 'to tenon_owner using (true) with check (true)');
    perform tenon.set_policy(target, 'tenon_service', 'to service_role using (true) with check (true)');
    if worker then
        perform tenon.set_policy(target, 'tenon_worker', 'to tenon_worker using (true) with check (true)');
    end if;
end $$;
comment on function tenon.isolate(regclass, text, boolean) is 'Row security and the shared policies for a table with a tenant_id.';

-- The same for tables that belong to no tenant (prices, signing keys): closed to all but the owner, the server's own role and the platform.
create function tenon.close(target regclass) returns void
    language plpgsql set search_path = ''
as $$
begin
    execute format('alter table %s enable row level security, force row level security', target);
    perform tenon.set_policy(target, 'tenon_owner_login', 'to tenon_owner using (true) with check (true)');
    perform tenon.set_policy(target, 'tenon_worker', 'to tenon_worker using (true) with check (true)');
end $$;
comment on function tenon.close(regclass) is 'Row security for a table without a tenant_id.';

-- Foreign keys are checked without row security: one that says only `conversation_id` would let a tenant point to the rows of another,
-- and learn which there are. So each foreign key between two protected tables, from or to this one, is made anew under its name with
-- tenant_id in front, on both sides. What it does on delete stays, as does when it is checked. Left as they are: keys to
-- auth.users(id), whose ids nobody can guess, and two rarities that cannot be said with tenant_id in them (`on update set …`
-- and `match full` of several columns).
create function tenon.bind_references(target regclass) returns void
    language plpgsql set search_path = ''
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
           and k.confrelid <> coalesce(to_regclass('auth.users'), 0)
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
comment on function tenon.bind_references(regclass) is 'Takes tenant_id into the foreign keys between protected tables.';

-- All of it for somebody's own table: the tenant_id if there is none, the policies, the grants that Supabase's tables have by default
-- (so that policies decide), and with `owner` a policy by which people see and change their own rows. The primary key stays as it
-- is. Agents need `data:<table>:read` and `data:<table>:write`, or another scope if one is given.
--
-- No foreign key to tenon.tenants: the value comes from the transaction's context and the policy checks it, and a second lookup for
-- every row of a bulk load would be paid by everybody.
create function tenon.protect(target regclass, owner text default null, scope text default null) returns void
    language plpgsql set search_path = ''
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

    execute format('grant select, insert, update, delete on %s to anon, authenticated, agent, service_role, tenon_platform', target);
    for sequence in -- of serial columns; identity columns need no grant
        select d.objid::regclass from pg_catalog.pg_depend d
          join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
         where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
           and d.refobjid = target and d.deptype = 'a' loop
        execute format('grant usage, select on sequence %s to anon, authenticated, agent, service_role, tenon_platform', sequence);
    end loop;
end $$;
comment on function tenon.protect(regclass, text, text) is 'Puts a table of one''s own behind the walls between tenants.';

-- Runs after every CREATE TABLE, CREATE TABLE AS and SELECT INTO, also within CREATE SCHEMA; the event trigger itself is made by
-- sql/init.sql. So a table that somebody types into psql is isolated and closed from its first second. Left alone: tables outside the
-- protected schemas (also temporary ones), those of extensions, and partitions of a table that is not protected itself.
-- After ALTER TABLE it only looks at foreign keys, and only of tables that are protected: what was made while
-- tenon.auto_protect was off stays as it is. (Its own ALTER TABLEs come by here as well, and find nothing left to do.)
create function tenon.auto_protect() returns event_trigger
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
        select c.oid::regclass as target, command.command_tag
          from pg_catalog.pg_event_trigger_ddl_commands() as command
          join pg_catalog.pg_class c on c.oid = command.objid
         where command.classid = 'pg_catalog.pg_class'::regclass
           and command.command_tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE')
           and c.relkind in ('r', 'p')
           and c.relpersistence <> 't'
           and command.schema_name = any (protected)
           and not command.in_extension
           and not (c.relispartition and exists (
               select from pg_catalog.pg_inherits i join pg_catalog.pg_class parent on parent.oid = i.inhparent
                where i.inhrelid = c.oid and not parent.relrowsecurity))
    loop
        if changed.command_tag = 'ALTER TABLE' then
            perform tenon.bind_references(changed.target);
        else
            perform tenon.protect(changed.target);
        end if;
    end loop;
end $$;
comment on function tenon.auto_protect() is 'Protects every table as it is created in one of tenon.protected_schemas.';

-- A function that must see all tenants: few, and each only looks up one thing. It needs `set search_path = ''`.
create function tenon.run_as_platform(target regprocedure) returns void
    language plpgsql set search_path = ''
as $$
declare
    home constant name := (select n.nspname from pg_catalog.pg_proc p
                             join pg_catalog.pg_namespace n on n.oid = p.pronamespace where p.oid = target);
begin
    -- the new owner needs CREATE for this one moment
    execute format('grant create on schema %I to tenon_platform', home);
    execute format('alter function %s security definer', target);
    execute format('alter function %s owner to tenon_platform', target);
    execute format('revoke create on schema %I from tenon_platform', home);
end $$;
comment on function tenon.run_as_platform(regprocedure) is 'Lets a function see across tenants, whoever calls it.';

-- Tenants. A name must not look like an id, since settings and commands take either.
create table tenon.tenants (
    id         uuid        primary key default tenon.uuid7(),
    name       text        not null unique
                           check (name ~ '^[[:alnum:]]([[:alnum:] ._-]{0,98}[[:alnum:]._-])?$')
                           check (name !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'),
    status     text        not null default 'active' check (status in ('active', 'suspended')),
    settings   jsonb       not null default '{}' check (jsonb_typeof(settings) = 'object'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table tenon.tenants is 'The customers, workspaces or sites that must never see each other.';
alter table tenon.tenants enable row level security, force row level security;
create policy tenant on tenon.tenants as restrictive
    using (id = (select tenon.tenant_id())) with check (id = (select tenon.tenant_id()));
create policy own on tenon.tenants for select to tenon_owner, tenon_worker, service_role using (true);
grant select on tenon.tenants to tenon_worker, service_role;

-- Keys, by the hash of 32 random bytes: the key itself is shown once and stored nowhere. The unique hash is the one index that does not
-- begin with the tenant, because a key is what tells us the tenant. 0002 adds the foreign key of user_id, once there are users.
create table tenon.keys (
    tenant_id    uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id           uuid        not null default tenon.uuid7(),
    kind         text        not null check (kind in ('publishable', 'secret', 'agent')),
    name         text        not null check (char_length(name) between 1 and 200),
    hash         bytea       not null unique check (octet_length(hash) = 32),
    hint         text        not null check (char_length(hint) = 4), -- the key's last characters, to tell keys apart
    scopes       jsonb       check (jsonb_typeof(scopes) = 'array'),
    user_id      uuid,                                               -- the person for whom an agent acts
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,                                        -- to the minute
    created_at   timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint scoped_and_expiring check (
        case kind when 'agent' then scopes is not null and expires_at is not null
                  else scopes is null and user_id is null end)
);
comment on table tenon.keys is 'API keys of a tenant. Only their SHA-256 is stored.';
create index keys_by_user on tenon.keys (tenant_id, user_id) where user_id is not null;
select tenon.isolate('tenon.keys');

create table tenon.platform_keys (
    id           uuid        primary key default tenon.uuid7(),
    name         text        not null check (char_length(name) between 1 and 200),
    hash         bytea       not null unique check (octet_length(hash) = 32),
    hint         text        not null check (char_length(hint) = 4),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    created_at   timestamptz not null default now()
);
comment on table tenon.platform_keys is 'The operator''s keys, which belong to no tenant and see all of them.';
select tenon.close('tenon.platform_keys');

-- The processes that are alive. Runs name the worker that does them, so that the reaper knows which runs nobody does any more.
create table tenon.workers (
    id           uuid        primary key default tenon.uuid7(),
    host         text        not null,
    pid          integer     not null,
    pool         text        not null,
    started_at   timestamptz not null default now(),
    heartbeat_at timestamptz not null default now()
);
comment on table tenon.workers is 'Processes of the server, each with the time it last gave a sign of life.';
create index workers_by_heartbeat on tenon.workers (heartbeat_at);
select tenon.close('tenon.workers');
grant select, insert, update, delete on tenon.workers to tenon_worker;

-- `next` is published before it signs, `previous` still verifies after it has been replaced.
create table tenon.signing_keys (
    kid               text        primary key check (char_length(kid) between 1 and 200),
    alg               text        not null check (alg in ('ES256')),
    public_jwk        jsonb       not null check (jsonb_typeof(public_jwk) = 'object'),
    private_encrypted bytea       not null,
    status            text        not null default 'next' check (status in ('next', 'active', 'previous', 'retired')),
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now()
);
comment on table tenon.signing_keys is 'Keys that sign access tokens; the private halves are encrypted with the server''s own key.';
create unique index signing_keys_one_active on tenon.signing_keys (status) where status = 'active';
create unique index signing_keys_one_next on tenon.signing_keys (status) where status = 'next';
select tenon.close('tenon.signing_keys');
grant select on tenon.signing_keys to tenon_worker;

-- What workers ask before they know the tenant, as tenon_authenticator.

-- The key with this hash, or no row. A revoked key is not found, exactly like one that never was. An expired key is found, with its
-- expires_at, and a key of a suspended tenant with tenant_status: the caller checks both (it has to anyway, because it keeps the
-- answer for a while) and can say which it was. last_used_at moves at most once a minute, and never makes a request wait.
create function tenon.find_key(key_hash bytea)
    returns table (id uuid, tenant_id uuid, kind text, role text, scopes jsonb, user_id uuid, expires_at timestamptz, tenant_status text)
    language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
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
    return query
        select k.id, k.tenant_id, k.kind,
               case k.kind when 'publishable' then 'anon' when 'secret' then 'service_role' else 'agent' end,
               k.scopes, k.user_id, k.expires_at, t.status
          from tenon.keys k join tenon.tenants t on t.id = k.tenant_id
         where k.hash = key_hash and k.revoked_at is null
         union all
        select k.id, null, 'platform', 'tenon_platform', null, null, k.expires_at, null
          from tenon.platform_keys k
         where k.hash = key_hash and k.revoked_at is null;
end $$;
comment on function tenon.find_key(bytea) is 'The key with this SHA-256: its tenant and what it may become.';

-- A tenant by name or id.
create function tenon.find_tenant(wanted text) returns table (id uuid, name text, status text)
    language sql stable security definer set search_path = ''
as $$
    select t.id, t.name, t.status from tenon.tenants t where t.name = wanted or t.id::text = lower(wanted)
$$;
comment on function tenon.find_tenant(text) is 'The tenant with this name or id.';

select tenon.run_as_platform('tenon.find_key(bytea)');
select tenon.run_as_platform('tenon.find_tenant(text)');

-- Ends a key of whichever kind, as tenon_platform. Returns whether there was such a key, in force until now.
create function tenon.revoke_key(key_id uuid) returns boolean
    language sql volatile set search_path = ''
as $$
    with tenant_key as (
        update tenon.keys set revoked_at = now() where id = key_id and revoked_at is null returning 1),
    platform_key as (
        update tenon.platform_keys set revoked_at = now() where id = key_id and revoked_at is null returning 1)
    select exists (select from tenant_key union all select from platform_key)
$$;

-- What processes keep in memory is dropped when it changes. One channel, `tenon`; the payload says what:
--   key:<hex of the hash>   keys:reload   signing_keys   tenant:<id>
create function tenon.notify_key() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    if tg_op <> 'INSERT' then
        perform pg_notify('tenon', 'key:' || encode(old.hash, 'hex'));
    end if;
    if tg_op <> 'DELETE' then -- also a new one: "no such key" may have been kept
        perform pg_notify('tenon', 'key:' || encode(new.hash, 'hex'));
    end if;
    return null;
end $$;

create function tenon.notify_tenant() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    perform pg_notify('tenon', 'tenant:' || coalesce(new.id, old.id));
    return null;
end $$;

create function tenon.notify() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    perform pg_notify('tenon', tg_argv[0]);
    return null;
end $$;

-- Not for last_used_at: it changes all day and nobody keeps it.
create trigger notify after insert or delete or update of tenant_id, kind, hash, scopes, user_id, expires_at, revoked_at
    on tenon.keys for each row execute function tenon.notify_key();
create trigger notify after insert or delete or update of hash, expires_at, revoked_at
    on tenon.platform_keys for each row execute function tenon.notify_key();
create trigger notify_all after truncate on tenon.keys execute function tenon.notify('keys:reload');
create trigger notify_all after truncate on tenon.platform_keys execute function tenon.notify('keys:reload');
create trigger notify after insert or update or delete on tenon.tenants for each row execute function tenon.notify_tenant();
create trigger notify after insert or update or delete or truncate
    on tenon.signing_keys execute function tenon.notify('signing_keys');

-- Functions are for everybody when they are made. Ours are for those who need them; tenon_platform may call them all
-- (default privileges in sql/init.sql), and tenon.protect() and its helpers are for the owner.
revoke execute on all functions in schema tenon, auth from public;
grant execute on function tenon.tenant_id(), tenon.key_id(), tenon.has_scope(text), tenon.uuid7(), auth.jwt(), auth.uid(),
    auth.role(), auth.email() to anon, authenticated, agent, service_role, tenon_worker;
grant execute on function tenon.find_key(bytea), tenon.find_tenant(text) to tenon_authenticator;
