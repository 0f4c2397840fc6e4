-- chat/queries.sql: as the caller unless it says otherwise; row security picks the rows, so no query asks whose they are

-- A page is read with one row more, which only tells whether there is a next one.
-- The planner does not trust coalesce() below row security and would not use the index with it, hence the selects around it.
-- name: chat_list   $1 limit, $2 archived, $3 before: microseconds since 1970 or null, $4 before: id or null
select jsonb_build_object(
           'chats', coalesce(jsonb_agg(tenon.chat_json(page.c) || jsonb_build_object('running_run_id', (
               select r.id from ai.runs as r
                where r.tenant_id = (page.c).tenant_id and r.conversation_id = (page.c).id and r.status = 'running'))
               order by page.updated_at desc, page.id desc), '[]') - $1::integer,
           'next', case when count(*) > $1::integer then (array_agg(
               floor(extract(epoch from page.updated_at) * 1000000)::bigint || '.' || page.id
               order by page.updated_at desc, page.id desc))[$1::integer] end)
  from (select c, c.updated_at, c.id
          from ai.conversations as c
         where c.archived = $2::boolean
           and (c.updated_at, c.id) < (
                   (select coalesce('epoch'::timestamptz + $3::bigint * interval '1 microsecond',
                                    (select b.updated_at from ai.conversations as b where b.id = $4::uuid), 'infinity')),
                   (select coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')))
         order by c.updated_at desc, c.id desc
         limit $1::integer + 1) as page

-- The active branch of a conversation that never branched is all it has, in the order of ids. Only the others are walked,
-- message by message (`limit 1` keeps the planner from joining the whole conversation at each step).
-- name: chat_read   $1 id, $2 limit, $3 after: message or null, $4 all branches?
with recursive chat as materialized (
    select c from ai.conversations as c where c.id = $1::uuid
), branch as (
    select m.id, m.parent_id, 1 as depth
      from chat
      join ai.messages as m on m.id = (chat.c).head_id
     where (chat.c).branched and not $4::boolean
     union all
    select m.id, m.parent_id, b.depth + 1
      from branch as b
     cross join lateral (select n.id, n.parent_id from ai.messages as n where n.id = b.parent_id limit 1) as m
), page as (
    (select m, m.id as place, 0 as depth
       from chat
       join ai.messages as m on m.conversation_id = $1::uuid
      where (not (chat.c).branched or $4::boolean)
        and m.id > (select coalesce($3::uuid, '00000000-0000-0000-0000-000000000000'))
      order by m.id
      limit $2::integer + 1)
     union all
    select m, '00000000-0000-0000-0000-000000000000', p.depth
      from (select b.id, b.depth
              from branch as b
             where $3::uuid is null or b.depth < (select a.depth from branch as a where a.id = $3::uuid)
             order by b.depth desc
             limit $2::integer + 1) as p
     cross join lateral (select n from ai.messages as n where n.id = p.id limit 1) as m (m)
)
select jsonb_build_object(
           'chat', tenon.chat_json(chat.c) || jsonb_build_object('running_run_id', (
               select r.id from ai.runs as r
                where r.tenant_id = (chat.c).tenant_id and r.conversation_id = (chat.c).id and r.status = 'running')),
           'messages', p.messages - $2::integer,
           'next', case when p.count > $2::integer then p.last end)
  from chat
 cross join (select coalesce(jsonb_agg(tenon.message_json(page.m) order by page.depth desc, page.place), '[]') as messages,
                    count(*) as count,
                    (array_agg((page.m).id order by page.depth desc, page.place))[$2::integer] as last
               from page) as p

-- Whether there is such a chat, and how it looks now: null when it has no message $9.
-- name: chat_update   $1 id, $2 title, $3 provider, $4 model, $5 set system?, $6 system, $7 archived, $8 metadata, $9 head; null: keep
with changed as (
    update ai.conversations as c
       set title = coalesce($2, c.title), provider = coalesce($3, c.provider), model = coalesce($4, c.model),
           system = case when $5::boolean then $6 else c.system end, archived = coalesce($7::boolean, c.archived),
           metadata = coalesce($8::jsonb, c.metadata), head_id = coalesce($9::uuid, c.head_id), updated_at = now()
     where c.id = $1::uuid
       and ($9::uuid is null or exists (select from ai.messages as m where m.conversation_id = c.id and m.id = $9::uuid))
    returning c
)
select exists (select from ai.conversations as c where c.id = $1::uuid),
       (select tenon.chat_json(changed.c) from changed)

-- name: chat_delete   $1 id
delete from ai.conversations where id = $1::uuid returning id

-- name: run_begin   $1 request: see tenon.begin_run()
select tenon.begin_run($1::jsonb)

-- name: run_withdraw   $1 run
select tenon.withdraw_run($1::uuid)

-- name: run_finish   $1 report: see tenon.finish_run(); as tenon_worker
select tenon.finish_run($1::jsonb)

-- What came since the last time; answers whether somebody wants the run to stop, for the case that nobody could be notified.
-- name: run_flush   $1 run, $2 bytes before it, $3 text; as tenon_worker
with kept as (
    insert into ai.run_chunks as k (run_id, position, content)
    select r.id, $2::bigint, $3 from ai.runs as r where r.id = $1::uuid and r.status = 'running'
        on conflict (tenant_id, run_id, position) do update set content = excluded.content
)
select r.cancelled_at is not null from ai.runs as r where r.id = $1::uuid

-- How far a run is: its status, the whole answer once it has ended, and while it runs the text from about $2 bytes on, with the number of
-- bytes before that.
-- name: run_state   $1 run, $2 bytes that are known already
select r.status, case when r.status <> 'running' then tenon.run_answer(r) end, k.position, k.content
  from ai.runs as r
  left join lateral (
       select min(c.position) as position, string_agg(c.content, '' order by c.position) as content
         from ai.run_chunks as c
        where c.run_id = r.id and r.status = 'running' and c.position + octet_length(c.content) > $2::bigint) as k on true
 where r.id = $1::uuid

-- name: run_read   $1 run
select jsonb_build_object(
           'run', tenon.run_json(r),
           'tool_calls', (select coalesce(jsonb_agg(tenon.tool_call_json(t) order by t.id), '[]')
                            from ai.tool_calls as t where t.run_id = r.id))
  from ai.runs as r
 where r.id = $1::uuid

-- What the event `run` tells.
-- name: run_begun   $1 run
select tenon.run_answer(r) - 'reply' from ai.runs as r where r.id = $1::uuid

-- name: run_cancel   $1 run
select tenon.cancel_run($1::uuid)

-- No row: no such run, or its conversation is deleted. The same call_id again adds what was not known before.
-- name: tool_call_record   $1 run, $2 call id or null, $3 name, $4 type, $5 arguments, $6 result, $7 error
insert into ai.tool_calls as t (run_id, conversation_id, owner_id, call_id, name, type, arguments, result, error, status, finished_at)
select r.id, r.conversation_id, r.owner_id, coalesce($2, 'call_' || tenon.uuid7()), $3, coalesce($4, 'function'), $5::jsonb, $6::jsonb, $7::text,
       case when $7::text is not null then 'failed' when $6::jsonb is not null then 'completed' else 'requested' end,
       case when $7::text is not null or $6::jsonb is not null then now() end
  from ai.runs as r
 where r.id = $1::uuid and r.conversation_id is not null
    on conflict (tenant_id, run_id, call_id) do update
   set name = excluded.name, arguments = coalesce(excluded.arguments, t.arguments), result = coalesce(excluded.result, t.result),
       error = excluded.error, finished_at = coalesce(excluded.finished_at, t.finished_at),
       status = case when excluded.status = 'requested' then t.status else excluded.status end
returning tenon.tool_call_json(t), xmax = 0

-- name: usage_read   $1 since, $2 until, $3 columns to keep apart, $4 limit, $5 show tenants?
select jsonb_build_object(
           'usage', (select coalesce(jsonb_agg(to_jsonb(u) - case when $5::boolean then '' else 'tenant_id' end), '[]')
                       from tenon.usage_report($1::date, $2::date, $3::text[], $4::integer) as u),
           'budgets', (select coalesce(jsonb_agg(to_jsonb(b) - case when $5::boolean then '' else 'tenant_id' end), '[]')
                         from tenon.budget_report() as b))
