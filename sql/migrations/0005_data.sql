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

grant usage on schema tenon to public;
revoke execute on all functions in schema tenon from public;
grant execute on function tenon.fail(integer, text, text, text, text) to public;
