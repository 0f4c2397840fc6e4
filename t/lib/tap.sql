-- t/lib/tap.sql: what the tests in t/sql share: pgTAP, two tenants with two people each, and the schema `t`
--
-- psql reads this, as a superuser and in a fresh migrated database, before the test file. It commits, so that a test may reconnect to
-- find a session in which nothing has been set yet.
--
--   t.act_as(role, tenant => 'a', person => 1, scopes => '["chat:read"]')   become somebody, until the transaction ends
--   t.tenant('a'), t.person('a', 1)                                         their ids
--   t.outcome(statement, row)             what a statement comes to: 'rows 3' or its SQLSTATE. Leaves nothing behind.
--   t.fill()                              a row of each tenant in every table that has a tenant_id, found in t.rows

\set QUIET on
set client_min_messages = warning;
drop schema if exists t cascade;
create schema t;
create extension if not exists pgtap with schema t;
grant usage on schema t to public;
-- for those who reconnect
select format('alter database %I set search_path = "$user", public, extensions, t', current_database()) \gexec
select format('alter database %I set client_min_messages = warning', current_database()) \gexec
set search_path = "$user", public, extensions, t;

create function t.tenant(name text) returns uuid
    language sql immutable
    return ('00000000-0000-7000-8000-00000000000' || name)::uuid;

create function t.person(tenant text, number integer) returns uuid
    language sql immutable
    return ('00000000-0000-7000-8000-0000000' || tenant || '000' || number)::uuid;

-- Sets what the server sets. `person` is left out of the claims for those who are nobody: anon and keys.
create function t.act_as(role text, tenant text default 'a', person integer default 1, scopes text default '', key uuid default null)
    returns void
    language plpgsql
as $$
declare
    claims jsonb := jsonb_build_object('role', role);
begin
    if role in ('authenticated', 'agent') and person is not null then
        claims := claims || jsonb_build_object('sub', t.person(tenant, person), 'email', tenant || person || '@example.com');
    end if;
    perform set_config('request.jwt.claims', claims::text, true), set_config('tenon.scopes', scopes, true),
            set_config('tenon.tenant_id', coalesce(t.tenant(tenant)::text, ''), true),
            set_config('tenon.key_id', coalesce(key::text, ''), true), set_config('role', role, true);
end $$;

create function t.outcome(statement text, given jsonb default null) returns text
    language plpgsql
as $$
declare
    touched bigint;
begin
    execute statement using given;
    get diagnostics touched = row_count;
    raise exception using errcode = 'TT000', message = touched; -- to undo it
exception
    when sqlstate 'TT000' then return 'rows ' || sqlerrm;
    when others then return sqlstate;
end $$;

-- Tables, by the catalog and not by a list: what is there is tested.

create view t.ours as -- every table in a schema of ours or the app's; a partition is a table too
    select c.oid as id, c.oid::regclass::text as name, n.nspname as schema, c.relrowsecurity, c.relforcerowsecurity, c.relispartition,
           exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as has_tenant
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and n.nspname in ('tenon', 'auth', 'ai', 'storage', 'public');

create view t.keys as -- every foreign key between them, one row per pair of columns
    select k.conname as name, k.conrelid as child, k.confrelid as parent, a.attname as child_column, b.attname as parent_column,
           bool_and(a.attnotnull) over (partition by k.oid) as required, -- one null in it, and nothing is checked
           exists (select from pg_index i where i.indrelid = k.conrelid and i.indisprimary and a.attnum = any (i.indkey))
           or exists (select from pg_constraint o where o.conrelid = k.conrelid and o.contype = 'f' and o.oid <> k.oid
                         and a.attnum = any (o.conkey)) as shared -- with the primary key or another foreign key
      from pg_constraint k
      cross join unnest(k.conkey, k.confkey) as pair (child_number, parent_number)
      join pg_attribute a on a.attrelid = k.conrelid and a.attnum = pair.child_number
      join pg_attribute b on b.attrelid = k.confrelid and b.attnum = pair.parent_number
     where k.contype = 'f' and k.conparentid = 0;

-- Columns whose checks ask for more than the generator can guess. $1 is the tenant's id, and what the row has so far is $2.
create table t.overrides (tab text, col text, expression text, primary key (tab, col));
insert into t.overrides values
    ('tenon.keys', 'hint', $$'abcd'$$), -- of an agent, because that is the kind that points to a person
    ('tenon.keys', 'kind', $$'agent'$$),
    ('tenon.keys', 'scopes', $$'[]'::jsonb$$),
    ('tenon.keys', 'expires_at', $$now()$$),
    ('tenon.budgets', 'subject_id', $$null$$),
    ('auth.webauthn_credentials', 'algorithm', $$-7$$),
    ('auth.mail_templates', 'kind', $$'recovery'$$),
    ('auth.mail_templates', 'language', $$'en'$$),
    ('auth.mail_templates', 'text', $$'words'$$),
    ('tenon.outbox', 'kind', $$'recovery'$$),
    ('storage.s3_keys', 'access_key_id', $$'TNS3' || translate(upper(left(md5(random()::text), 16)), '0189', 'WXYZ')$$),
    ('storage.s3_keys', 'kind', $$'user'$$),
    ('storage.s3_keys', 'agent_id', $$null$$),
    ('storage.attachments', 'target', $$'auth.users'::regclass$$), -- the row has to be there
    ('storage.attachments', 'row_key', $$(select id::text from auth.users where tenant_id = $1 limit 1)$$);

create table t.rows (tab regclass, tenant uuid, content jsonb, primary key (tab, tenant));

-- A value for a column that needs one: the first one that a check allows, or else a plain one of its type.
create function t.value(target regclass, wanted name, tenant uuid, so_far jsonb) returns jsonb
    language plpgsql
as $$
declare
    a pg_attribute := (select a from pg_attribute a where a.attrelid = target and a.attname = wanted);
    kind pg_type := (select y from pg_type y where y.oid = (select coalesce(nullif(x.typbasetype, 0), x.oid) from pg_type x where x.oid = a.atttypid));
    expression text := (select o.expression from t.overrides o where o.tab = target::text and o.col = wanted);
    result jsonb;
begin
    if expression is not null then
        execute 'select to_jsonb(x.v) from (select ' || expression || ' as v) x' into result using tenant, so_far;
        return coalesce(result, 'null');
    end if;
    select to_jsonb(m[1]) into result
      from pg_constraint k cross join regexp_matches(pg_get_constraintdef(k.oid), 'ARRAY\[''([^'']*)''') as m
     where k.conrelid = target and k.contype = 'c' and k.conkey = array[a.attnum] limit 1;
    return coalesce(result, case
        when kind.typtype = 'e' then (select to_jsonb(e.enumlabel) from pg_enum e where e.enumtypid = kind.oid order by e.enumsortorder limit 1)
        when kind.typcategory = 'A' then '[]'
        when kind.typname = 'uuid' then to_jsonb(gen_random_uuid())
        when kind.typname in ('text', 'varchar', 'bpchar', 'name') then to_jsonb('x' || md5(random()::text))
        when kind.typname in ('int2', 'int4', 'int8', 'numeric', 'float4', 'float8') then '1'
        when kind.typname = 'bool' then 'false'
        when kind.typname in ('json', 'jsonb') then '{}'
        when kind.typname = 'bytea' then to_jsonb(sha256(random()::text::bytea))
        when kind.typname = 'inet' then '"127.0.0.1"'
        when kind.typname in ('date', 'timestamp', 'timestamptz') then to_jsonb(now())
    end);
end $$;

-- Inserts the row of one tenant: keys to other tables point to that tenant's rows there, what has a default or may be null is left,
-- the rest comes from t.value().
create function t.add_row(target regclass, owner uuid) returns void
    language plpgsql
as $$
declare
    made jsonb := jsonb_build_object('tenant_id', owner);
    col record;
    names text;
begin
    for col in select k.child_column, r.content -> k.parent_column as v from t.keys k
                 join t.rows r on r.tab = k.parent and r.tenant = owner
                where k.child = target and k.parent <> target and k.child_column <> 'tenant_id' loop
        made := made || jsonb_build_object(col.child_column, col.v);
    end loop;
    for col in select a.attname from pg_attribute a
                where a.attrelid = target and a.attnum > 0 and not a.attisdropped and a.attidentity = '' and a.attgenerated = ''
                  and (a.attnotnull and not a.atthasdef
                       or exists (select from t.overrides o where o.tab = target::text and o.col = a.attname))
                order by a.attnum loop
        if not made ? col.attname or exists (select from t.overrides o where o.tab = target::text and o.col = col.attname) then
            made := made || jsonb_build_object(col.attname, t.value(target, col.attname, owner, made));
        end if;
    end loop;
    select string_agg(quote_ident(k), ', ') into names from jsonb_object_keys(made) k;
    execute format('insert into %1$s as x (%2$s) select %2$s from jsonb_populate_record(null::%1$s, $1) returning to_jsonb(x)',
                   target, names) into made using made;
    insert into t.rows values (target, owner, made);
end $$;

-- One row of a and one of b in every tenant table, those that are referred to first. A table that cannot be filled is an error: help
-- the generator with a line in t.overrides.
create function t.fill() returns void
    language plpgsql
as $$
declare
    todo regclass[] := (select array_agg(o.id order by o.name) from t.ours o
                         where o.has_tenant and not o.relispartition and not exists (select from t.rows r where r.tab = o.id));
    next regclass;
    who uuid;
begin
    while cardinality(todo) > 0 loop
        -- the table with the fewest rows still to come that it could or must point to
        select c into next from unnest(todo) as c
         order by (select count(*) from t.keys k where k.child = c and k.parent <> c and k.required and k.child_column <> 'tenant_id' and k.parent = any (todo)),
                  (select count(*) from t.keys k where k.child = c and k.parent <> c and k.child_column <> 'tenant_id' and k.parent = any (todo)),
                  c::text limit 1;
        foreach who in array array[t.tenant('a'), t.tenant('b')] loop
            begin
                perform set_config('tenon.tenant_id', who::text, true);
                perform t.add_row(next, who);
            exception when others then
                raise exception 'cannot make a row for %: %', next, sqlerrm
                    using errcode = sqlstate, hint = 'Add what its checks ask for to t.overrides in t/lib/tap.sql.';
            end;
        end loop;
        todo := array_remove(todo, next);
    end loop;
end $$;

grant select on all tables in schema t to public;

-- Two tenants, a and b, with two people each.
insert into tenon.tenants (id, name) values (t.tenant('a'), 'a'), (t.tenant('b'), 'b');
do $$
begin
    if to_regclass('auth.users') is not null then
        insert into auth.users (tenant_id, id, email)
        select t.tenant(name), t.person(name, number), name || number || '@example.com'
          from unnest(array['a', 'b']) as name, generate_series(1, 2) as number;
        insert into t.rows
        select 'auth.users', u.tenant_id, to_jsonb(u) from auth.users u where u.id in (t.person('a', 1), t.person('b', 1));
    end if;
end $$;
