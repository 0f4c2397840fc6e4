-- db/queries.sql: what the room asks for itself: the frame of every transaction, and migrations

-- name: begin_read_only
begin read only

-- name: begin_read_write
-- Not `begin read write`: that is an error on a standby, where plain BEGIN lets reads through.
begin

-- name: commit_later
-- A crash may lose the last moments of such a transaction, never tear it.
set local synchronous_commit = off

-- name: isolation_repeatable_read
set transaction isolation level repeatable read

-- name: isolation_serializable
set transaction isolation level serializable

-- name: context   $1 role … $9 request id, $10 to $12 limits in milliseconds
-- All of it local to the transaction. The limits too, so that nothing is left on a connection that a
-- pooler hands to somebody else. The first column becomes the role; the others need no right to set.
select set_config('role', $1, true),
       set_config('tenon.tenant_id', $2, true),
       set_config('request.jwt.claims', $3, true),
       set_config('request.headers', $4, true),
       set_config('request.method', $5, true),
       set_config('request.path', $6, true),
       set_config('tenon.key_id', $7, true),
       set_config('tenon.scopes', $8, true),
       set_config('tenon.request_id', $9, true),
       set_config('statement_timeout', $10, true),
       set_config('lock_timeout', $11, true),
       set_config('idle_in_transaction_session_timeout', $12, true)

-- name: context_more   as context, then $13 cookies, $14 search path or null for the login's
-- What a function has said of its answer is taken back, also where it said so for the whole session.
select set_config('search_path', $14, true),
       set_config('response.headers', '', true),
       set_config('response.status', '', true),
       set_config('request.cookies', $13, true),
       set_config('role', $1, true),
       set_config('tenon.tenant_id', $2, true),
       set_config('request.jwt.claims', $3, true),
       set_config('request.headers', $4, true),
       set_config('request.method', $5, true),
       set_config('request.path', $6, true),
       set_config('tenon.key_id', $7, true),
       set_config('tenon.scopes', $8, true),
       set_config('tenon.request_id', $9, true),
       set_config('statement_timeout', $10, true),
       set_config('lock_timeout', $11, true),
       set_config('idle_in_transaction_session_timeout', $12, true)

-- name: context_all   as context_more, then $15 time zone or null, $16 settings as JSON or null
-- Columns are computed from left to right, so the settings come first, with the rights of the login, also where the transaction has
-- had a role before.
select set_config('role', 'none', true),
       (select count(set_config(s.key, s.value, true)) from json_each_text($16::json) as s),
       case when $15::text is not null then set_config('TimeZone', $15, true) end,
       case when $14::text is not null then set_config('search_path', $14, true) end,
       set_config('response.headers', '', true),
       set_config('response.status', '', true),
       set_config('request.cookies', $13, true),
       set_config('role', $1, true),
       set_config('tenon.tenant_id', $2, true),
       set_config('request.jwt.claims', $3, true),
       set_config('request.headers', $4, true),
       set_config('request.method', $5, true),
       set_config('request.path', $6, true),
       set_config('tenon.key_id', $7, true),
       set_config('tenon.scopes', $8, true),
       set_config('tenon.request_id', $9, true),
       set_config('statement_timeout', $10, true),
       set_config('lock_timeout', $11, true),
       set_config('idle_in_transaction_session_timeout', $12, true)

-- name: constraints_now
-- What COMMIT would find out, for a transaction that is not committed.
set constraints all immediate

-- name: commit
commit

-- name: rollback
rollback

-- name: forget   and the name of a prepared statement in quotes
deallocate

-- name: listen
listen tenon;
listen pgrst;

-- name: ping
select 1

-- name: migration_lock
-- Held by the session: whoever migrates at the same time waits, and then finds nothing to do.
select pg_advisory_lock(hashtextextended('tenon.migrations', 0))

-- name: migration_unlock
select pg_advisory_unlock(hashtextextended('tenon.migrations', 0))

-- name: migration_prepare
-- Several statements, without parameters. Policies are for tenon_owner and for those who look (doctor).
begin;
set local client_min_messages = warning;
create schema if not exists tenon;
create table if not exists tenon.migrations (
    number     integer     primary key,
    file       text        not null,
    sha256     text        not null check (sha256 ~ '^[0-9a-f]{64}$'),
    applied_at timestamptz not null default now(),
    ms         bigint      not null
);
comment on table tenon.migrations is 'The files of sql/migrations that have run, each with its SHA-256.';
alter table tenon.migrations enable row level security, force row level security;
drop policy if exists tenon_owner_login on tenon.migrations;
create policy tenon_owner_login on tenon.migrations to tenon_owner using (true) with check (true);
commit;

-- name: migration_exists
select to_regclass('tenon.migrations') is not null

-- name: migration_list
select number, file, sha256 from tenon.migrations order by number

-- name: migration_begin
reset all;
begin;

-- name: app_migration_exists
select to_regclass('tenon.app_migrations') is not null

-- name: app_migration_list
select number, file, sha256 from tenon.app_migrations order by number

-- name: app_migration_record   $1 number, $2 file, $3 sha256, $4 milliseconds
insert into tenon.app_migrations (number, file, sha256, ms) values ($1::bigint, $2, $3, $4::bigint)

-- name: migration_record   $1 number, $2 file, $3 sha256, $4 milliseconds
insert into tenon.migrations (number, file, sha256, ms) values ($1::integer, $2, $3, $4::bigint)

-- name: catalog_begin
-- Names are written out with their schema then, so that they mean the same on any search_path; and pg_temp comes last, where no
-- temporary table can stand in for a catalog. Compiling a query of that size would cost more than it takes.
select set_config('search_path', 'pg_catalog, pg_temp', true), set_config('jit', 'off', true)

-- name: catalog_time_zones
-- Reads hundreds of files, so it is asked once in the life of a process.
select name from pg_timezone_names order by name collate "C"

-- name: catalog_read   $1 the exposed schemas, an array
-- All of the catalog as seen at one moment: kind, JSON and, of views, their parsed query.
with recursive
exposed as materialized (
    select n.oid from pg_namespace n where n.nspname = any ($1::text[])
),
-- The relations of these schemas and what their views rest on, wherever that is: keys reach through views.
reached (oid) as (
    select c.oid from pg_class c join exposed e on e.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'f')
    union
    select d.refobjid
      from reached b
      join pg_rewrite r on r.ev_class = b.oid and r.rulename = '_RETURN'
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
     where d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class
),
relations as materialized (
    select c.oid, c.relname, c.relkind, c.relnamespace, n.nspname, c.relowner, c.relacl, c.reltype, c.reloptions,
           c.relrowsecurity, c.relforcerowsecurity, c.relispartition, e.oid is not null as is_exposed
      from reached b
      join pg_class c on c.oid = b.oid
      join pg_namespace n on n.oid = c.relnamespace
      left join exposed e on e.oid = n.oid
     where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't' and n.nspname not in ('pg_catalog', 'information_schema')
),
roles as materialized (
    select r.oid, r.rolname from pg_roles r where pg_has_role(session_user, r.oid, 'member') and r.rolname !~ '^pg_'
),
-- Functions of the exposed schemas, and those elsewhere that make a relationship: one argument, a row of ours.
functions as materialized (
    select p.oid, p.proname, p.pronamespace, n.nspname, p.proowner, p.proacl, p.prorettype, p.proretset, p.prorows, p.provolatile,
           p.prosecdef, p.proconfig, p.pronargs, p.pronargdefaults, p.proargnames, p.proargmodes, p.proargtypes, p.provariadic,
           coalesce(p.proallargtypes, p.proargtypes::oid[]) as types, e.oid is not null as is_exposed
      from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace
      left join exposed e on e.oid = n.oid
     where p.prokind = 'f'
       and (e.oid is not null
            or (p.pronargs = 1 and n.nspname not in ('pg_catalog', 'information_schema')
                and p.proargtypes[0] in (select r.reltype from relations r where r.is_exposed)))
       and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype, 'language_handler'::regtype,
                                'fdw_handler'::regtype, 'index_am_handler'::regtype, 'table_am_handler'::regtype, 'tsm_handler'::regtype)
       and 'internal'::regtype::oid <> all (p.proargtypes::oid[])
),
-- Domains lead to what they are made of; `row` is the relation or composite type in the end.
used_types (oid) as (
    select a.atttypid from pg_attribute a join relations r on r.oid = a.attrelid where a.attnum > 0 and not a.attisdropped
    union
    select unnest(f.types) from functions f
    union
    select f.prorettype from functions f
    union
    select t.oid from pg_type t join exposed e on e.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
     where t.typtype = 'e' or c.relkind = 'c'
),
composites as materialized ( -- types of the exposed schemas, and of rows that functions return and that are no relation of ours
    select c.oid from pg_class c join exposed e on e.oid = c.relnamespace where c.relkind = 'c'
    union
    select t.typrelid
      from functions f
      join pg_type r on r.oid = f.prorettype
      join pg_type t on t.oid = case r.typtype when 'd' then r.typbasetype else r.oid end
     where t.typtype = 'c' and t.typrelid not in (select c.oid from relations c)
),
all_types (oid) as (
    select u.oid from used_types u
    union
    select a.atttypid from pg_attribute a join composites c on c.oid = a.attrelid where a.attnum > 0 and not a.attisdropped
),
bases (oid, base, modifier) as (
    select u.oid, u.oid, -1 from all_types u
    union all
    select b.oid, t.typbasetype, t.typtypmod from bases b join pg_type t on t.oid = b.base where t.typtype = 'd'
),
-- Arrays without names, because there are so many of them: catalog_read.c has the same order.
columns as materialized (
    select a.attrelid, json_agg(json_build_array(
               a.attnum, a.attname, a.atttypid::bigint, format_type(a.atttypid, a.atttypmod), a.atttypmod, a.attnotnull,
               a.attidentity, a.attgenerated,
               case when a.attidentity <> '' then 'nextval(' || quote_literal(s.objid::regclass::text) || '::regclass)'
                    when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
               t.description) order by a.attnum) as list
      from pg_attribute a
      left join pg_attrdef d on a.atthasdef and d.adrelid = a.attrelid and d.adnum = a.attnum
      left join pg_depend s on a.attidentity <> '' and s.classid = 'pg_class'::regclass and s.refclassid = 'pg_class'::regclass
                           and s.refobjid = a.attrelid and s.refobjsubid = a.attnum and s.deptype = 'i'
      left join pg_description t on t.classoid = 'pg_class'::regclass and t.objoid = a.attrelid and t.objsubid = a.attnum
     where a.attnum > 0 and not a.attisdropped and (a.attrelid in (select r.oid from relations r) or a.attrelid in (select c.oid from composites c))
     group by a.attrelid
),
-- Most relations have the same owner and grants, and so most functions: what roles may do is asked once for each kind.
relation_grants as materialized (
    select r.oid, dense_rank() over (order by r.relnamespace, r.relowner, r.relacl::text, g.own) as number
      from relations r
      left join lateral (select r.oid as own from pg_attribute a where a.attrelid = r.oid and a.attacl is not null limit 1) g on true
     where r.is_exposed
),
function_grants as materialized (
    select f.oid, dense_rank() over (order by f.pronamespace, f.proowner, f.proacl::text) as number from functions f
)
select 'type' as kind, json_build_object(
           'oid', b.oid::bigint, 'text', format_type(b.oid, null), 'base', format_type(b.base, null), 'modifier', b.modifier, 'base_oid', b.base::bigint,
           'domain', b.oid <> b.base, 'default', o.typdefault, 'not_null', o.typnotnull, 'relation', t.typrelid::bigint,
           'array', e.oid is not null, 'kind', coalesce(e.typtype, t.typtype), 'schema', coalesce(en.nspname, tn.nspname),
           'name', coalesce(e.typname, t.typname), 'to_json', f.to_json, 'from_json', f.from_json, 'from_text', f.from_text,
           'labels', (select json_agg(l.enumlabel order by l.enumsortorder) from pg_enum l where l.enumtypid = coalesce(e.oid, t.oid))) as json,
       null::text as tree
  from bases b
  join pg_type o on o.oid = b.oid
  join pg_type t on t.oid = b.base and t.typtype <> 'd'
  join pg_namespace tn on tn.oid = t.typnamespace
  left join pg_type e on e.oid = t.typelem and t.typlen = -1 and t.typcategory = 'A'
  left join pg_namespace en on en.oid = e.typnamespace
  left join lateral ( -- implicit casts of a domain, which PostgreSQL itself never takes
           select max(c.castfunc::regproc::text) filter (where c.castsource = b.oid and c.casttarget = 'json'::regtype) as to_json,
                  max(c.castfunc::regproc::text) filter (where c.casttarget = b.oid and c.castsource = 'json'::regtype) as from_json,
                  max(c.castfunc::regproc::text) filter (where c.casttarget = b.oid and c.castsource = 'text'::regtype) as from_text
             from pg_cast c
            where (c.castsource = b.oid or c.casttarget = b.oid) and c.castcontext = 'i' and c.castmethod = 'f') f on b.oid <> b.base
union all
select 'grants', json_build_object('number', g.number, 'roles', (
           select json_agg(json_build_array(
                      r.rolname,
                      p.usage and has_table_privilege(r.oid, g.oid, 'select'), p.usage and has_table_privilege(r.oid, g.oid, 'insert'),
                      p.usage and has_table_privilege(r.oid, g.oid, 'update'), p.usage and has_table_privilege(r.oid, g.oid, 'delete'),
                      p.usage and has_any_column_privilege(r.oid, g.oid, 'select'),
                      p.usage and has_any_column_privilege(r.oid, g.oid, 'insert'),
                      p.usage and has_any_column_privilege(r.oid, g.oid, 'update')) order by r.rolname collate "C")
             from roles r
            cross join lateral (select has_schema_privilege(r.oid, c.relnamespace, 'usage') as usage from pg_class c where c.oid = g.oid) p)), null
  from (select number, min(oid) as oid from relation_grants group by number) g
union all
select 'execute', json_build_object('number', g.number, 'roles', (
           select json_agg(r.rolname order by r.rolname collate "C")
             from roles r join pg_proc p on p.oid = g.oid
            where has_schema_privilege(r.oid, p.pronamespace, 'usage') and has_function_privilege(r.oid, g.oid, 'execute'))), null
  from (select number, min(oid) as oid from function_grants group by number) g
union all
select 'relation', json_build_object(
           'oid', r.oid::bigint, 'schema', r.nspname, 'name', r.relname, 'kind', r.relkind, 'exposed', r.is_exposed,
           'row_type', r.reltype::bigint,
           'partition', r.relispartition, 'grants', g.number, 'comment', obj_description(r.oid, 'pg_class'),
           'secured', r.relrowsecurity, 'forced', r.relforcerowsecurity,
           'walled', exists (select from pg_policy p where p.polrelid = r.oid and p.polname = 'tenon_tenant' and not p.polpermissive),
           'owner', o.rolname, 'quoted', format('%I.%I', r.nspname, r.relname), 'owner_unbound', o.rolsuper or o.rolbypassrls,
           'owner_calls', exists (select from roles where pg_has_role(roles.oid, r.relowner, 'usage')),
           'invoker', coalesce((select i.option_value::boolean from pg_options_to_table(r.reloptions) i where i.option_name = 'security_invoker'), false),
           'updatable', case when r.relkind in ('r', 'p') then 28 when r.relkind in ('v', 'f') and r.is_exposed then pg_relation_is_updatable(r.oid, true) else 0 end,
           'columns', c.list,
           'keys', (select json_agg(json_build_object(
                               'primary', i.indisprimary, 'immediate', i.indimmediate, 'columns', (i.indkey::int2[])[0:i.indnkeyatts - 1],
                               'constraint', exists (select from pg_constraint k where k.conindid = i.indexrelid and k.conrelid = i.indrelid and k.contype in ('p', 'u')))
                               order by i.indisprimary desc, i.indexrelid)
                      from pg_index i
                     where i.indrelid = r.oid and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null),
           'rests_on', case when r.relkind in ('v', 'm') then (
                       select json_agg(distinct d.refobjid::bigint)
                         from pg_rewrite w
                         join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
                        where w.ev_class = r.oid and w.rulename = '_RETURN' and d.refobjid <> r.oid) end), null
  from relations r
  join pg_roles o on o.oid = r.relowner
  left join columns c on c.attrelid = r.oid
  left join relation_grants g on g.oid = r.oid
union all
select 'view', json_build_object('oid', r.oid::bigint), w.ev_action::text
  from relations r join pg_rewrite w on w.ev_class = r.oid and w.rulename = '_RETURN'
 where r.relkind in ('v', 'm')
union all
select 'key', json_build_object('name', k.conname, 'from', k.conrelid::bigint, 'to', k.confrelid::bigint, 'from_columns', k.conkey,
                                'to_columns', k.confkey), null
  from pg_constraint k
  join relations c on c.oid = k.conrelid
  join relations p on p.oid = k.confrelid
 where k.contype = 'f' and k.conparentid = 0 and not c.relispartition
union all
select 'composite', json_build_object('oid', c.oid::bigint, 'columns', l.list), null
  from composites c join columns l on l.attrelid = c.oid
union all
select 'function', json_build_object(
           'schema', f.nspname, 'name', f.proname, 'exposed', f.is_exposed, 'execute', g.number, 'comment', obj_description(f.oid, 'pg_proc'),
           'returns', f.prorettype::bigint, 'text', format_type(f.prorettype, null), 'set', f.proretset, 'rows', f.prorows::bigint,
           'volatility', f.provolatile, 'definer', f.prosecdef, 'config', f.proconfig, 'defaults', f.pronargdefaults,
           'arguments', (select json_agg(json_build_array(coalesce(f.proargnames[a.position], ''), a.type::bigint, format_type(a.type, null),
                                                          coalesce(f.proargmodes[a.position], 'i')) order by a.position)
                           from unnest(f.types) with ordinality as a (type, position))), null
  from functions f
  join function_grants g on g.oid = f.oid
union all
select 'role', json_build_object('name', r.rolname, 'settings', (
           select json_object_agg(name, value)
             from (select distinct on (name) split_part(o, '=', 1) as name, substr(o, strpos(o, '=') + 1) as value
                     from pg_db_role_setting s
                    cross join lateral unnest(s.setconfig) as o
                     cross join lateral (select split_part(o, '=', 1) as name) as n
                    where s.setrole = r.oid and s.setdatabase in (0, (select d.oid from pg_database d where d.datname = current_database()))
                      and exists (select from pg_settings v where v.name = n.name and v.context = 'user')
                    order by name, s.setdatabase desc) as latest)), null
  from roles r
 where exists (select from pg_db_role_setting s where s.setrole = r.oid)
