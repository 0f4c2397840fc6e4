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

-- name: request_answers_sweep
select tenon.sweep_request_answers()

-- name: contact
select 0
