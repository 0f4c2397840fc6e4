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

-- name: context_more   as context, then $13 cookies, $14 search path, $15 time zone, $16 settings as JSON
-- Columns are computed from left to right, so the settings come first, with the rights of the login.
select case when $16::text is not null
            then (select count(set_config(s.key, s.value, true)) from json_each_text($16::json) as s) end,
       case when $14::text is not null then set_config('search_path', $14, true) end,
       case when $15::text is not null then set_config('TimeZone', $15, true) end,
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

-- name: migration_record   $1 number, $2 file, $3 sha256, $4 milliseconds
insert into tenon.migrations (number, file, sha256, ms) values ($1::integer, $2, $3, $4::bigint)
