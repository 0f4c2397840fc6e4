-- init.sql: the roles, and what only a superuser may do in the database
--
-- `tenon init` runs this as a superuser, connected to the database that is to be Tenon's, twice: before the migrations
-- (they need the roles) and after them (the event trigger needs its function). It is idempotent, so running it again,
-- in this database or in another one of the same cluster, is harmless and mends what has drifted. Plain SQL without psql's
-- own commands: it goes through libpq in one piece. Passwords of the two logins are set by the caller and are not here.
--
--   tenon_owner          no login. Owns the database, its schemas and everything in them.
--   tenon_admin          the login of people and of `tenon migrate`; becomes tenon_owner as it connects.
--   tenon_authenticator  the workers' login. Can do nothing until it becomes one of the roles below.
--   anon, authenticated, agent, service_role
--                        the roles of requests, named as in Supabase. None bypasses row security.
--   tenon_worker         the server's own bookkeeping inside one tenant. Does not bypass row security either.
--   tenon_platform       the operator's command and platform keys: the only one that sees across tenants.
--   supabase_auth_admin  hooks that are functions of the app run as this one, as in Supabase. It owns nothing and is granted nothing
--                        but what the app gives it, and row security holds for it.

set client_min_messages = warning;

do $$
declare
    name text;
begin
    -- Roles belong to the cluster: who initialises another database of it at this moment waits until this one is through.
    lock table pg_catalog.pg_authid in share row exclusive mode;
    foreach name in array array['tenon_owner', 'tenon_admin', 'tenon_authenticator', 'anon', 'authenticated', 'agent',
                                'service_role', 'tenon_worker', 'tenon_platform', 'supabase_auth_admin'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = name) then
            execute format('create role %I', name);
        end if;
    end loop;
end $$;

-- Stated in full each time: a role of this name that was there before (another Supabase-like system in the same cluster)
-- must not keep a BYPASSRLS it had.
alter role tenon_owner         nologin inherit   nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role tenon_admin         login   noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role tenon_authenticator login   noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role anon                nologin inherit   nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role authenticated       nologin inherit   nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role agent               nologin inherit   nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role service_role        nologin inherit   nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role tenon_worker        nologin inherit   nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role tenon_platform      nologin inherit   nosuperuser nocreatedb nocreaterole noreplication bypassrls;
alter role supabase_auth_admin nologin inherit   nosuperuser nocreatedb nocreaterole noreplication nobypassrls;

grant anon, authenticated, agent, service_role, tenon_worker, tenon_platform, supabase_auth_admin to tenon_authenticator;
-- tenon_admin does not inherit, so policies written `to agent` say nothing about the owner's login; but it may try them
-- out with `set role authenticated`, as people do in psql.
grant tenon_owner, tenon_platform, tenon_worker, anon, authenticated, agent, service_role, supabase_auth_admin to tenon_admin;
-- What people are allowed, agents that act for them are: by policy and by grant. The restrictive policies of each table narrow it down to
-- the agent's scopes, and whose rows they are follows from auth.uid(). See 0013_agents.sql.
grant authenticated to agent;
-- So that a migration may give a function to tenon_platform. No power is added: an owner could lift row security anyway.
grant tenon_platform to tenon_owner;
alter role tenon_admin set role = 'tenon_owner';

-- Settings of ours that have no server code behind them may be stored (`alter database … set`) only by whom we allow it.
grant set on parameter tenon.tenant_id, tenon.auto_protect, tenon.protected_schemas to tenon_owner, tenon_admin;

-- The database. Extensions live in a schema of their own, on everybody's path, where SQL written for Supabase looks
-- for them: plain `crypt()` and `extensions.crypt()` both work.
do $$
declare
    wanted text;
begin
    execute format('alter database %I owner to tenon_owner', current_database());
    execute format('alter database %I set search_path = "$user", public, extensions', current_database());

    create schema if not exists extensions authorization tenon_owner;
    -- pgcrypto always; the others where this machine has them
    create extension if not exists pgcrypto with schema extensions;
    foreach wanted in array array['uuid-ossp', 'vector'] loop
        if exists (select from pg_catalog.pg_available_extensions where pg_available_extensions.name = wanted) then
            execute format('create extension if not exists %I with schema extensions', wanted);
        end if;
    end loop;
end $$;

alter schema public owner to tenon_owner;
alter schema extensions owner to tenon_owner;
revoke create on schema public from public;
grant usage on schema public, extensions
    to anon, authenticated, agent, service_role, tenon_worker, tenon_platform, supabase_auth_admin;

-- As Supabase has it: sequences and functions of the app's own schema are open, tables are decided by their policies.
-- Tables get their grants from tenon.protect(), so that nothing is granted on a table that is not protected.
alter default privileges for role tenon_owner in schema public
    grant usage, select on sequences to anon, authenticated, agent, service_role;
alter default privileges for role tenon_owner grant select, insert, update, delete on tables to tenon_platform;
alter default privileges for role tenon_owner grant usage, select on sequences to tenon_platform;
alter default privileges for role tenon_owner grant execute on functions to tenon_platform;

-- Every table that is created in a protected schema is protected: see tenon.auto_protect() in 0005_data.sql. Only a superuser may
-- create an event trigger, hence here; the function comes with the migrations, hence the condition. Made anew each time, so
-- that it is switched on and has the tags of this version.
do $$
begin
    if to_regprocedure('tenon.auto_protect()') is not null then
        drop event trigger if exists tenon_auto_protect;
        create event trigger tenon_auto_protect on ddl_command_end
            when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE SCHEMA', 'ALTER TABLE', 'CREATE INDEX', 'ALTER POLICY')
            execute function tenon.auto_protect();
    end if;
    if to_regprocedure('tenon.keep_walls()') is not null then
        drop event trigger if exists tenon_keep_walls;
        create event trigger tenon_keep_walls on sql_drop execute function tenon.keep_walls();
    end if;
    -- Told of whatever changes the catalog: see 0005_data.sql.
    if to_regprocedure('tenon.notify_catalog()') is not null then
        drop event trigger if exists tenon_notify_catalog;
        create event trigger tenon_notify_catalog on ddl_command_end execute function tenon.notify_catalog();
        drop event trigger if exists tenon_notify_catalog_drop;
        create event trigger tenon_notify_catalog_drop on sql_drop execute function tenon.notify_catalog();
    end if;
end $$;

-- Hooks read tables of the app, whose walls and defaults ask for the tenant with the caller's rights. Here and not in a migration,
-- which could not make the role where it is not there yet.
do $$
begin
    if to_regprocedure('tenon.tenant_id()') is not null then
        grant execute on function tenon.tenant_id() to supabase_auth_admin;
    end if;
end $$;

reset client_min_messages;
