-- t/sql/walls.sql: the rules that every table, key, policy and function of ours obeys, read from the catalog
begin;
select * from no_plan();

select isnt_empty('select 1 from t.ours where has_tenant', 'there are tables to test');

-- Tables

select is_empty($$ select name from t.ours where not (relrowsecurity and relforcerowsecurity) $$,
    'row security is enabled and forced on every table');

select is_empty($$
    select o.name from t.ours o
     where o.has_tenant and not exists (
           select from pg_policy p
            where p.polrelid = o.id and not p.polpermissive and p.polcmd = '*' and p.polroles = array[0::oid]
              and pg_get_expr(p.polqual, p.polrelid) = '(tenant_id = ( SELECT tenon.tenant_id() AS tenant_id))'
              and pg_get_expr(p.polwithcheck, p.polrelid) = '(tenant_id = ( SELECT tenon.tenant_id() AS tenant_id))') $$,
    'every tenant table has the restrictive policy of the tenant, for all commands and everybody');

select is_empty($$
    select o.name from t.ours o
      join pg_attribute a on a.attrelid = o.id and a.attname = 'tenant_id'
      left join pg_attrdef d on d.adrelid = o.id and d.adnum = a.attnum
     where not (a.attnotnull and a.atttypid = 'uuid'::regtype
                and pg_get_expr(d.adbin, d.adrelid) is not distinct from 'tenon.tenant_id()') $$,
    'tenant_id is uuid, not null, and by default the tenant of the transaction');

select is_empty($$
    select o.name from t.ours o left join pg_index i on i.indrelid = o.id and i.indisprimary
     where o.has_tenant and o.schema <> 'public' and o.name not in ('auth.users', 'storage.objects')
       and (select a.attname from pg_attribute a where a.attrelid = o.id and a.attnum = i.indkey[0]) is distinct from 'tenant_id' $$,
    'tenant_id is first in the primary key of each of our tables');

select is_empty($$
    select o.name from t.ours o where o.has_tenant and o.schema <> 'public' and not exists (
        select from t.keys k where k.child = o.id and k.parent = 'tenon.tenants'::regclass and k.child_column = 'tenant_id')
       and not exists ( -- or through the key of another tenant table
        select from t.keys k join t.ours p on p.id = k.parent
         where k.child = o.id and k.child_column = 'tenant_id' and k.parent_column = 'tenant_id' and k.parent <> k.child) $$,
    'the tenant of every row exists');

-- Foreign keys are checked without row security, so each has to say it itself, also those to auth.users.
select is_empty($$
    select k.child::regclass, k.name from t.keys k
      join t.ours child on child.id = k.child join t.ours parent on parent.id = k.parent
     where child.has_tenant and parent.has_tenant
     group by k.child, k.name
    having not bool_or(k.child_column = 'tenant_id' and k.parent_column = 'tenant_id') $$,
    'every foreign key between tenant tables contains tenant_id');

select is_empty($$
    select k.conrelid::regclass, k.conname from pg_constraint k join t.ours o on o.id = k.conrelid
     where k.contype = 'f' and o.has_tenant and k.confdeltype in ('n', 'd') and k.confdelsetcols is null
       and k.conkey @> array[(select attnum from pg_attribute where attrelid = k.conrelid and attname = 'tenant_id')] $$,
    'no `on delete set null` would empty the tenant_id as well: say `set null (column)`');

-- An index knows no row security: what is unique over all tenants tells that another one's value exists. Ours that span them hold random
-- numbers that nobody else knows.
create table public.walled (id bigint generated always as identity primary key, code text unique, exclude using btree (code with =));
create unique index on public.walled (lower(code)) where code <> '';
select results_eq($$
    select i.indexrelid::regclass::text from pg_index i join t.ours o on o.id = i.indrelid
     where o.has_tenant and (i.indisunique or i.indisexclusion) and not (o.schema = 'public' and i.indisprimary)
       and not exists (select from pg_attribute a where a.attrelid = o.id and a.attname = 'tenant_id'
                          and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
     order by 1 $$, array['auth.users_pkey', 'storage.objects_pkey', 'storage.s3_keys_access_key_id_key', 'tenon.keys_hash_key'],
    'what is unique in a tenant table is so within a tenant');
drop table public.walled;

-- Roles and grants

select is_empty($$
    select rolname from pg_roles
     where rolname in ('anon', 'authenticated', 'agent', 'service_role', 'tenon_worker', 'tenon_authenticator', 'tenon_admin', 'tenon_owner', 'supabase_auth_admin')
       and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication) $$,
    'nobody but the platform bypasses row security');
select is_empty($$
    select r.rolname, above.rolname from pg_roles r, pg_roles above
     where r.rolname in ('anon', 'authenticated', 'agent', 'service_role', 'tenon_worker', 'supabase_auth_admin') and above.oid <> r.oid
       and pg_has_role(r.oid, above.oid, 'member') and not (r.rolname = 'agent' and above.rolname = 'authenticated') $$,
    'no request role may become another, but agents have what people have');
select is((select string_agg(rolname, ' ' order by rolname) from pg_roles where rolname ~ '^tenon' and rolbypassrls), 'tenon_platform',
    'the platform does');
select is_empty($$
    select r, s.nspname from unnest(array['anon', 'authenticated', 'agent', 'service_role', 'tenon_worker', 'tenon_authenticator', 'supabase_auth_admin']) r,
           pg_namespace s where s.nspname !~ '^(pg_|t$)' and has_schema_privilege(r, s.oid, 'create') $$,
    'no request role may create anything');
select is_empty($$
    select o.name, r, p from t.ours o, unnest(array['anon', 'authenticated', 'agent', 'service_role', 'tenon_worker', 'tenon_authenticator', 'supabase_auth_admin']) r,
           unnest(array['truncate', 'references', 'trigger']) p where has_table_privilege(r, o.id, p) $$,
    'nobody may truncate, which row security does not see');
select is_empty($$
    select o.name, r, p from t.ours o, unnest(array['anon', 'authenticated', 'agent', 'service_role', 'supabase_auth_admin']) r,
           unnest(array['insert', 'update', 'delete']) p
     where not o.has_tenant and (has_table_privilege(r, o.id, p) or p <> 'delete' and has_any_column_privilege(r, o.id, p)) $$,
    'no request role may write into a table that belongs to no tenant');
select is_empty($$
    select o.name from t.ours o where has_table_privilege('tenon_authenticator', o.id, 'select, insert, update, delete') $$,
    'the workers'' login itself sees no table');
select is_empty($$
    select o.name from t.ours o where has_table_privilege('supabase_auth_admin', o.id, 'select, insert, update, delete')
    union all
    select p.oid::regprocedure::text from pg_proc p
     where p.pronamespace in ('tenon'::regnamespace, 'auth'::regnamespace, 'ai'::regnamespace, 'storage'::regnamespace)
       and p.oid::regprocedure::text not in ('tenon.tenant_id()', 'tenon.fail(integer,text,text,text,text)')
       and has_function_privilege('supabase_auth_admin', p.oid, 'execute') $$,
    'a hook sees no table of ours, and of our functions only which tenant it is and how to refuse');
select is_empty($$
    select o.name from t.ours o where not has_table_privilege('tenon_platform', o.id, 'select') $$,
    'the platform may read every table');

-- Policies. A function that is not in a (select …) is called for every row. Those that ask about the row itself have to be: which other row
-- a file belongs to, and only for files that belong to one.

select is_empty($$
    with rules as (
        select tablename, policyname, unnest(array[qual, with_check]) as rule from pg_policies
         where schemaname in ('tenon', 'auth', 'ai', 'storage', 'public'))
    select tablename, policyname from rules
     where policyname not in ('tenon_attached', 'seen_with_row', 'added_by_editor', 'dropped_by_editor')
       and regexp_replace(rule, '\( SELECT [a-z_.]+\([^()]*\) AS \w+\)', '', 'g') ~ '(auth|tenon|storage)\.\w+\(|current_setting\(' $$,
    'policies call functions once per query: (select f())');
-- Agents inherit what is granted to `authenticated`: so this holds for every table that people reach, by whatever grant. For people's own
-- tables as well, of before and after, and for those that were protected while something else was called for.
create table public.reached (id bigint generated always as identity primary key);
create table public.reached_later (id bigint generated always as identity primary key, parent bigint references public.reached);
create view t.unscoped as
    select o.name, c from t.ours o, unnest(array['select', 'insert', 'update', 'delete']) c
     where (has_table_privilege('agent', o.id, c) or c <> 'delete' and has_any_column_privilege('agent', o.id, c))
       and not exists (select from pg_policies p
                        where format('%I.%I', p.schemaname, p.tablename)::regclass = o.id and p.permissive = 'RESTRICTIVE'
                          and p.cmd in ('ALL', upper(c)) and ('agent' = any (p.roles) or 'public' = any (p.roles))
                          and concat(p.qual, p.with_check) ~ 'has_scope|scoped_buckets|auth\.role|false');
select is_empty('select * from t.unscoped', 'whatever an agent may do to a table needs a scope');
select set_eq($$ select p.policyname, p.cmd from pg_policies p where p.tablename = 'reached' and p.policyname like 'tenon_agent%' $$,
    $$ values ('tenon_agent_reads'::name, 'SELECT'), ('tenon_agent_adds', 'INSERT'), ('tenon_agent_edits', 'UPDATE'), ('tenon_agent_drops', 'DELETE') $$,
    'with one policy for each command');
drop policy tenon_agent_edits on public.reached_later;
select results_eq('select name, c from t.unscoped', $$ values ('reached_later', 'update') $$, 'a policy that is gone is missed');
drop table public.reached_later, public.reached;
select is_empty($$
    select o.name, p.polname from t.ours o join pg_policy p on p.polrelid = o.id
     where p.polpermissive and o.schema <> 'public' and 'agent'::regrole = any (p.polroles) and not 'authenticated'::regrole = any (p.polroles)
       and p.polname <> 'own_as_agent' $$,
    'no policy of ours gives an agent what it does not give a person, but a service account''s own usage');

-- Functions

create view t.functions as
    select p.oid, p.oid::regprocedure::text as name, p.prosecdef, p.proconfig, p.proacl, l.lanname, p.prosrc, p.proowner::regrole::text as owner
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
     where n.nspname in ('tenon', 'auth', 'ai', 'storage');
select is_empty($$ select name from t.functions where prosecdef and not coalesce('search_path=""' = any (proconfig), false) $$,
    'definer functions have an empty search path');
select is_empty($$ select name from t.functions where prosecdef and owner not in ('tenon_owner', 'tenon_platform') $$,
    'definer functions are the owner''s or the platform''s, never a superuser''s');
select is_empty($$
    select name from t.functions f
     where f.prosrc <> '' and not coalesce('search_path=""' = any (f.proconfig), false) $$,
    'all functions have an empty search path or a standard body, where names are bound for good');
select is(string_agg(distinct name, ', '), 'tenon.fail(integer,text,text,text,text)',
          'no function of ours is for everybody but the one that can only fail: each is granted by name')
  from (select name from t.functions, aclexplode(proacl) a where a.grantee = 0 union select name from t.functions where proacl is null) f;
select ok(not prosecdef and provolatile = 'v' and prosrc !~* '\y(select|insert|update|delete|execute|perform)\y', 'and that it does nothing else can be read')
  from pg_proc where oid = 'tenon.fail(integer,text,text,text,text)'::regprocedure;
select is_empty($$
    select f.name, r from t.functions f, unnest(array['anon', 'authenticated', 'agent', 'service_role']) r
     where f.prosecdef and f.owner = 'tenon_platform' and has_function_privilege(r, f.oid, 'execute') $$,
    'no request role may call a function that sees all tenants');
select is_empty($$
    select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('v', 'm') and n.nspname in ('tenon', 'auth', 'ai', 'storage')
       and not coalesce('security_invoker=true' = any (c.reloptions), false) $$,
    'views look with the eyes of who asks');
select is_empty($$
    select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('tenon', 'auth', 'ai', 'storage') and c.relkind in ('r', 'p', 'v', 'S') and c.relowner <> 'tenon_owner'::regrole $$,
    'everything belongs to tenon_owner');
select is_empty($$ select o.name from t.ours o where o.schema <> 'public' and obj_description(o.id, 'pg_class') is null $$,
    'every table says what it is for');

select * from finish();
rollback;
