-- jobs/queries.sql: as tenon_worker, without a tenant: all of these are about the whole deployment

-- name: worker_heartbeat   $1 worker, $2 host, $3 pid, $4 pool
insert into tenon.workers (id, host, pid, pool) values ($1::uuid, $2, $3::integer, $4)
    on conflict (id) do update set heartbeat_at = now()

-- name: worker_farewell   $1 worker
delete from tenon.workers where id = $1::uuid

-- name: runs_fail_worker   $1 worker
select tenon.fail_lost_runs($1::uuid)

-- name: runs_fail_silent
select tenon.fail_lost_runs()

-- name: runs_sweep
select tenon.sweep_runs()

-- name: sessions_sweep
select tenon.sweep_sessions()

-- name: flows_sweep
select tenon.sweep_flows()

-- name: audit_sweep   $1 auth.audit_keep_days
select tenon.sweep_audit($1::integer)

-- name: challenges_sweep
select tenon.sweep_challenges()

-- name: request_answers_sweep
select tenon.sweep_request_answers()

-- name: contact
select 0

-- name: settings_missing   $1 data.schemas, $2 data.pre_request, $3 addresses of hooks by setting: which of their names are nothing
with schemas as (
    select trim(given.name) as name, given.number
      from unnest(string_to_array($1, ',')) with ordinality as given (name, number)
     where trim(given.name) <> ''
)
select 'data.schemas', s.name
  from schemas as s
 where not exists (select from pg_namespace as n where n.nspname = s.name)
 union all
select 'data.pre_request', $2
 where $2 <> '' and not exists (
       select
         from pg_proc as p
         join pg_namespace as n on n.oid = p.pronamespace
        where n.nspname || '.' || p.proname =
              case when strpos($2, '.') > 0 then $2
                   else (select s.name from schemas as s order by s.number limit 1) || '.' || $2 end)
 union all
select h.setting, h.address
  from jsonb_each_text($3::jsonb) as h (setting, address)
 where starts_with(h.address, 'pg-functions://postgres/') and not exists (
       select
         from pg_proc as p
         join pg_namespace as n on n.oid = p.pronamespace
         join pg_roles as r on r.rolname = 'supabase_auth_admin'
        where 'pg-functions://postgres/' || n.nspname || '/' || p.proname = h.address and p.proargtypes[0] = 'jsonb'::regtype
          and has_function_privilege(r.oid, p.oid, 'execute') and has_schema_privilege(r.oid, n.oid, 'usage'))
