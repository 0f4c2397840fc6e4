-- 0004: conversations, their messages, and the runs that answer them
--
--   ai.conversations  a chat of one person
--   ai.messages       what was said, a tree: regenerating an answer or editing a question makes a branch
--   ai.runs           one request to answer a message, with what it used; names after OpenTelemetry's GenAI conventions
--   ai.model_calls    each try at a provider that a run made, retries and fallbacks too
--   ai.run_chunks     the text of a run under way, until it is a message
--   ai.tool_calls     tools that an app's own server ran for a run
--
-- Who writes what. People (authenticated, agent) open, rename and delete their conversations. Messages and runs come into being
-- through tenon.begin_run() only, replies and usage through tenon.finish_run(), which no request role may execute. So nobody can
-- put words into the model's mouth, or forge a run, with plain SQL. A tenant's secret key may also add messages (an import).
--
-- begin_run() runs with the rights of the caller: row security decides which conversation it finds. What the caller may not write
-- itself is done by tenon.admit_run(), which trusts nothing it is told about that and asks tenon.acts_for() again.

create table ai.conversations (
    tenant_id         uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id                uuid        not null default tenon.uuid7(),
    owner_id          uuid        default auth.uid(), -- null: of the tenant itself, made with its secret key
    title             text        check (char_length(title) between 1 and 200),
    provider          text        check (char_length(provider) between 1 and 100),
    model             text        check (char_length(model) between 1 and 200),
    system            text        check (octet_length(system) <= 262144),
    metadata          jsonb       not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    archived          boolean     not null default false,
    head_id           uuid,                            -- newest message of the active branch
    branched          boolean     not null default false, -- false: the active branch is all there is, and needs no walk
    message_count     integer     not null default 0,  -- of all branches
    last_message      text,                            -- how the newest message begins, for a sidebar
    last_message_role text,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    primary key (tenant_id, id)
);
comment on table ai.conversations is 'A chat of one user. Messages are in ai.messages.';
-- owner_id refers to auth.users without a foreign key: people may bring tokens of another issuer, whose users are not here.
create index conversations_by_owner on ai.conversations (tenant_id, owner_id, archived, updated_at desc, id desc);
create index conversations_by_time on ai.conversations (tenant_id, archived, updated_at desc, id desc);
select tenon.isolate('ai.conversations', scope => 'chat');
create policy owner on ai.conversations to authenticated, agent
    using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()));
grant select, delete,
      insert (id, title, provider, model, system, metadata, archived),
      update (title, provider, model, system, metadata, archived, head_id, updated_at) on ai.conversations to authenticated, agent;
grant select, insert, update, delete on ai.conversations to service_role, tenon_worker;

-- How many tokens a text is, where nobody has counted: four ASCII characters to one, and every other character by its length in
-- UTF-8 (a Cyrillic letter 3/4, a Chinese character 5/4). src/ai/estimate.c has the same rule. A picture is 1,024.
create function tenon.estimate_tokens(content text, parts jsonb default null) returns integer
    language sql immutable parallel safe
    return (char_length(coalesce(content, '')) + 3) / 4
         + (octet_length(coalesce(content, '')) - char_length(coalesce(content, '')) + 1) / 2
         + coalesce(jsonb_array_length(jsonb_path_query_array(parts, '$[*] ? (@.type == "image_url")')), 0) * 1024;
comment on function tenon.estimate_tokens(text, jsonb) is 'About how many tokens a message is.';

-- More it cannot be: no token is less than a byte, and pictures and the frame of a message have their limits too. For reservations.
create function tenon.bound_tokens(content text, parts jsonb default null) returns integer
    language sql immutable parallel safe
    return octet_length(coalesce(content, '')) + 16
         + coalesce(jsonb_array_length(jsonb_path_query_array(parts, '$[*] ? (@.type == "image_url")')), 0) * 4096;
comment on function tenon.bound_tokens(text, jsonb) is 'How many tokens a message is at most.';

create table ai.messages (
    tenant_id       uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id              uuid        not null default tenon.uuid7(),
    conversation_id uuid        not null,
    parent_id       uuid,
    owner_id        uuid,                  -- of the conversation; here too, so that a policy needs no second table
    run_id          uuid,                  -- of a reply: the run that made it
    role            text        not null check (role in ('user', 'assistant', 'system', 'tool')),
    content         text        not null default '',            -- the text of all parts
    parts           jsonb       check (jsonb_typeof(parts) = 'array'), -- null when the content is all there is
    model           text,
    status          text        not null default 'completed' check (status in ('completed', 'failed', 'cancelled')),
    finish_reason   text,
    input_tokens    integer     check (input_tokens >= 0),
    output_tokens   integer     check (output_tokens >= 0),
    token_estimate  integer     not null generated always as (tenon.estimate_tokens(content, parts) + 4) stored, -- 4: its frame
    metadata        jsonb       not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    created_at      timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, conversation_id, id),
    foreign key (tenant_id, conversation_id) references ai.conversations (tenant_id, id) on delete cascade,
    foreign key (tenant_id, conversation_id, parent_id) references ai.messages (tenant_id, conversation_id, id) on delete cascade
);
comment on table ai.messages is 'Messages of conversations, a tree by parent_id.';
create index messages_by_parent on ai.messages (tenant_id, conversation_id, parent_id);
alter table ai.conversations add foreign key (tenant_id, id, head_id)
    references ai.messages (tenant_id, conversation_id, id) on delete set null (head_id);
select tenon.isolate('ai.messages', scope => 'chat');
create policy owner on ai.messages for select to authenticated, agent using (owner_id = (select auth.uid()));
grant select on ai.messages to authenticated, agent;
grant select, insert on ai.messages to service_role;
grant select, insert, update on ai.messages to tenon_worker;

create table ai.runs (
    tenant_id        uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id               uuid        not null default tenon.uuid7(),
    conversation_id  uuid,                 -- null once the conversation is deleted: what a run has cost stays
    message_id       uuid,                 -- the user's message that it answers
    reply_id         uuid        not null default tenon.uuid7(), -- what its reply is called, from the beginning
    owner_id         uuid,                 -- of the conversation
    caller_id        uuid        not null, -- who asked: person, else key; its idempotency keys are its own
    key_id           uuid,
    worker_id        uuid,                 -- the process that does it: tenon.workers, whose rows go when it ends
    request_id       text,
    status           text        not null default 'running' check (status in ('running', 'completed', 'failed', 'cancelled')),
    operation_name   text        not null default 'chat',
    provider_name    text        not null,
    request_model    text        not null,
    response_model   text,
    response_id      text,
    max_tokens       integer,
    stream           boolean     not null default false,
    idempotency_key  text        check (octet_length(idempotency_key) between 1 and 255),
    request_hash     bytea,
    input_estimate   integer     not null default 0, -- of the history that was sent
    input_tokens     integer     check (input_tokens >= 0),
    output_tokens    integer     check (output_tokens >= 0),
    usage_estimated  boolean     not null default false,
    cost_micros      bigint      check (cost_micros >= 0),
    finish_reason    text,
    error_status     integer     check (error_status between 400 and 599),
    error_code       text,
    error_message    text,
    provider_status  integer,
    started_at       timestamptz not null default now(),
    first_byte_at    timestamptz,
    cancelled_at     timestamptz,          -- when somebody asked for it
    finished_at      timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, conversation_id) references ai.conversations (tenant_id, id) on delete set null (conversation_id),
    foreign key (tenant_id, message_id) references ai.messages (tenant_id, id) on delete set null (message_id)
);
comment on table ai.runs is 'Requests to a model to answer a message, and what they used.';
create unique index runs_one_at_a_time on ai.runs (tenant_id, conversation_id) where status = 'running';
create unique index runs_by_idempotency_key on ai.runs (tenant_id, caller_id, idempotency_key) where idempotency_key is not null;
create index runs_by_conversation on ai.runs (tenant_id, conversation_id, id);
create index runs_by_message on ai.runs (tenant_id, message_id);
create index runs_under_way on ai.runs (worker_id, started_at) where status = 'running'; -- for the reaper, over all tenants
create index runs_with_key on ai.runs (started_at) where idempotency_key is not null;    -- for the sweeper
alter table ai.messages add foreign key (tenant_id, run_id) references ai.runs (tenant_id, id) on delete set null (run_id);
select tenon.isolate('ai.runs', scope => 'chat');
create policy owner on ai.runs for select to authenticated, agent using (owner_id = (select auth.uid()));
grant select on ai.runs to authenticated, agent, service_role;
grant select, insert, update on ai.runs to tenon_worker;

create table ai.run_chunks (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    run_id     uuid        not null,
    position   bigint      not null check (position >= 0), -- bytes of text before it
    content    text        not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, run_id, position),
    foreign key (tenant_id, run_id) references ai.runs (tenant_id, id) on delete cascade
);
comment on table ai.run_chunks is 'The text so far of runs that are under way.';
select tenon.isolate('ai.run_chunks', scope => 'chat');
create policy owner on ai.run_chunks for select to authenticated, agent
    using (exists (select from ai.runs r
                    where r.tenant_id = run_chunks.tenant_id and r.id = run_chunks.run_id and r.owner_id = (select auth.uid())));
grant select on ai.run_chunks to authenticated, agent, service_role;
grant select, insert, update, delete on ai.run_chunks to tenon_worker;

create table ai.model_calls (
    tenant_id        uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id               uuid        not null default tenon.uuid7(),
    run_id           uuid,
    owner_id         uuid,
    key_id           uuid,
    attempt          integer     not null default 1 check (attempt > 0),
    operation_name   text        not null default 'chat',
    provider_name    text        not null,
    request_model    text        not null,
    response_model   text,
    response_id      text,
    stream           boolean     not null default false,
    outcome          text        not null check (outcome in ('completed', 'failed', 'cancelled')),
    finish_reason    text,
    http_status      integer,
    error_type       text,                 -- our code: provider_error, provider_timeout …
    error_message    text        check (char_length(error_message) <= 1000),
    input_tokens     integer     check (input_tokens >= 0),
    output_tokens    integer     check (output_tokens >= 0),
    usage_estimated  boolean     not null default false,
    cost_micros      bigint      check (cost_micros >= 0),
    time_to_first_token_ms integer,
    duration_ms      integer,
    started_at       timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, run_id) references ai.runs (tenant_id, id) on delete set null (run_id)
);
comment on table ai.model_calls is 'Every call to a provider, one row per try.';
create index model_calls_by_run on ai.model_calls (tenant_id, run_id, attempt);
select tenon.isolate('ai.model_calls', scope => 'chat');
create policy owner on ai.model_calls for select to authenticated, agent using (owner_id = (select auth.uid()));
grant select on ai.model_calls to authenticated, agent, service_role;
grant select, insert on ai.model_calls to tenon_worker;

create table ai.tool_calls (
    tenant_id       uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id              uuid        not null default tenon.uuid7(),
    conversation_id uuid        not null,
    run_id          uuid        not null,
    owner_id        uuid,
    call_id         text        not null check (char_length(call_id) between 1 and 200), -- as the model or the app names it
    name            text        not null check (char_length(name) between 1 and 200),
    type            text        not null default 'function' check (char_length(type) between 1 and 50),
    arguments       jsonb,
    result          jsonb,
    error           text        check (char_length(error) <= 10000),
    status          text        not null default 'requested' check (status in ('requested', 'completed', 'failed')),
    created_at      timestamptz not null default now(),
    finished_at     timestamptz,
    primary key (tenant_id, id),
    unique (tenant_id, run_id, call_id),
    foreign key (tenant_id, run_id) references ai.runs (tenant_id, id) on delete cascade,
    foreign key (tenant_id, conversation_id) references ai.conversations (tenant_id, id) on delete cascade
);
comment on table ai.tool_calls is 'Tools that were run for a reply, and what they gave.';
create index tool_calls_by_conversation on ai.tool_calls (tenant_id, conversation_id);
select tenon.isolate('ai.tool_calls', scope => 'chat');
create policy owner on ai.tool_calls for select to authenticated, agent using (owner_id = (select auth.uid()));
grant select on ai.tool_calls to authenticated, agent;
grant select, insert, update, delete on ai.tool_calls to service_role;

-- Whether the caller may act on what belongs to this person. For definer functions, in which row security sees the owner and not the
-- caller: the role is the one the transaction has set.
create function tenon.acts_for(owner uuid) returns boolean
    language sql stable
    return case current_setting('role', true)
               when 'authenticated' then coalesce(owner = auth.uid(), false)
               when 'agent' then coalesce(owner = auth.uid(), false) and tenon.has_scope('chat:write')
               when 'service_role' then true
               when 'tenon_worker' then true
               when 'tenon_owner' then true
               when 'tenon_platform' then true
               else false end;
comment on function tenon.acts_for(uuid) is 'Whether the caller is this person, or a key that stands above persons.';

-- The forms in which clients see rows; here, because begin_run, finish_run and chat/queries.sql all answer with them. Functions that are
-- called for every message are either single expressions, which the planner inlines, or plpgsql, which keeps its plans: a plain
-- SQL function would be planned again at every call.

create function tenon.chat_json(c ai.conversations) returns jsonb
    language sql stable
    return jsonb_build_object(
        'id', c.id, 'title', c.title, 'provider', c.provider, 'model', c.model, 'system', c.system, 'metadata', c.metadata,
        'archived', c.archived, 'owner_id', c.owner_id, 'head_id', c.head_id, 'message_count', c.message_count,
        'last_message', c.last_message, 'last_message_role', c.last_message_role,
        'created_at', c.created_at, 'updated_at', c.updated_at);

create function tenon.message_json(m ai.messages) returns jsonb
    language sql stable
    return jsonb_build_object(
        'id', m.id, 'chat_id', m.conversation_id, 'parent_id', m.parent_id, 'run_id', m.run_id, 'role', m.role,
        'content', m.content, 'parts', m.parts, 'model', m.model, 'status', m.status, 'finish_reason', m.finish_reason,
        'input_tokens', m.input_tokens, 'output_tokens', m.output_tokens, 'metadata', m.metadata, 'created_at', m.created_at);

create function tenon.run_json(r ai.runs) returns jsonb
    language sql stable
    return jsonb_build_object(
        'id', r.id, 'chat_id', r.conversation_id, 'message_id', r.message_id, 'reply_id', r.reply_id, 'status', r.status,
        'provider', r.provider_name, 'model', r.request_model, 'response_model', r.response_model,
        'finish_reason', r.finish_reason,
        'usage', jsonb_build_object('input_tokens', r.input_tokens, 'output_tokens', r.output_tokens,
                                    'cost_micros', r.cost_micros, 'estimated', r.usage_estimated),
        'error', case when r.error_code is not null then jsonb_build_object(
                     'status', r.error_status, 'code', r.error_code, 'message', r.error_message,
                     'provider_status', r.provider_status) end,
        'started_at', r.started_at, 'first_byte_at', r.first_byte_at, 'finished_at', r.finished_at);

create function tenon.tool_call_json(t ai.tool_calls) returns jsonb
    language sql stable
    return jsonb_build_object(
        'id', t.id, 'run_id', t.run_id, 'call_id', t.call_id, 'type', t.type, 'name', t.name, 'arguments', t.arguments,
        'result', t.result, 'error', t.error, 'status', t.status, 'created_at', t.created_at, 'finished_at', t.finished_at);

-- The whole answer to a message: what a replay gives, and what a finished run gives.
create function tenon.run_answer(r ai.runs) returns jsonb
    language plpgsql stable set search_path = ''
as $$
begin
    return jsonb_build_object(
        'chat', (select tenon.chat_json(c) from ai.conversations c where c.tenant_id = r.tenant_id and c.id = r.conversation_id),
        'message', (select tenon.message_json(m) from ai.messages m where m.tenant_id = r.tenant_id and m.id = r.message_id),
        'reply', (select tenon.message_json(m) from ai.messages m where m.tenant_id = r.tenant_id and m.id = r.reply_id),
        'run', tenon.run_json(r));
end $$;

-- What a sidebar shows is kept with the conversation, so that a list of chats reads no message. A person's message always becomes the
-- newest of the active branch; a reply does if the branch still ends where it belongs (a run that was given up for lost may
-- come back after the conversation has gone on).
create function tenon.count_message() returns trigger
    language plpgsql security definer set search_path = ''
as $$
begin
    update ai.conversations c
       set message_count = c.message_count + 1,
           last_message = left(regexp_replace(left(new.content, 1000), '\s+', ' ', 'g'), 200),
           last_message_role = new.role,
           head_id = case when new.role = 'user' or c.head_id is not distinct from new.parent_id then new.id else c.head_id end,
           branched = c.branched or c.head_id is distinct from new.parent_id,
           updated_at = now()
     where c.tenant_id = new.tenant_id and c.id = new.conversation_id;
    return null;
end $$;
create trigger count_message after insert on ai.messages for each row execute function tenon.count_message();

-- Somebody chooses another branch: from now on the active one has to be walked.
create function tenon.mark_branched() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    new.branched := true;
    return new;
end $$;
create trigger mark_branched before update of head_id on ai.conversations for each row
    when (old.head_id is distinct from new.head_id and new.message_count = old.message_count and not new.branched)
    execute function tenon.mark_branched();

-- A conversation that is deleted takes its run with it: whoever does it is told to stop.
create function tenon.cancel_deleted() returns trigger
    language plpgsql security definer set search_path = ''
as $$
begin
    perform pg_notify('tenon', 'cancel:' || r.id) from ai.runs r
      where r.tenant_id = old.tenant_id and r.conversation_id = old.id and r.status = 'running';
    return old;
end $$;
create trigger cancel_deleted before delete on ai.conversations for each row execute function tenon.cancel_deleted();

-- A person who is deleted takes their conversations along. As the platform, since it happens in the context of whoever deletes.
create function tenon.delete_conversations() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    delete from ai.conversations c where c.tenant_id = old.tenant_id and c.owner_id = old.id;
    return null;
end $$;
select tenon.run_as_platform('tenon.delete_conversations()');
create trigger delete_conversations after delete on auth.users for each row execute function tenon.delete_conversations();

-- The first words of a message, for a title.
create function tenon.title_of(content text) returns text
    language plpgsql immutable set search_path = ''
as $$
declare
    line constant text := btrim(regexp_replace(left(content, 400), '\s+', ' ', 'g'));
begin
    return nullif(case when char_length(line) <= 60 then line
                       else regexp_replace(left(line, 60), '\s+\S*$', '') || '…' end, '');
end $$;

-- What is sent to the provider: the branch that ends in `tip`, oldest first, as far back as it fits into so many tokens and messages.
-- The newest message is always in it, if it is a person's. It begins with a user's message, because a reply without its question confuses
-- models and is refused by some providers; messages that say nothing are left out for the same reason. The walk ends
-- where the budget does, so a long conversation costs no more than a full window.
create function tenon.history(tip uuid, token_limit bigint, message_limit integer)
    returns table (messages jsonb, token_estimate bigint, token_bound bigint)
    language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
begin
    return query
    with recursive branch as (
        select m.id, m.parent_id, m.role, 1 as depth, m.token_estimate::bigint as total
          from ai.messages m
         where m.tenant_id = (select tenon.tenant_id()) and m.id = tip
         union all
        select m.id, m.parent_id, m.role, b.depth + 1, b.total + m.token_estimate
          from branch b
         cross join lateral (select n.* from ai.messages n -- limit: so that each step is one look into an index, whatever the planner believes
                              where n.tenant_id = (select tenon.tenant_id()) and n.id = b.parent_id limit 1) m
         where b.depth < message_limit and b.total + m.token_estimate <= token_limit
    ), kept as (
        select m.role, m.content, m.parts, m.token_estimate, tenon.bound_tokens(m.content, m.parts) as bound, b.depth
          from branch b
          join ai.messages m on m.tenant_id = (select tenon.tenant_id()) and m.id = b.id
         where b.depth <= (select max(u.depth) from branch u where u.role = 'user')
           and m.role in ('user', 'assistant', 'system')
           and (m.content ~ '\S' or m.parts @? '$[*] ? (@.type == "image_url")')
    )
    select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('role', k.role, 'content', k.content, 'parts', k.parts))
                              order by k.depth desc), '[]'),
           coalesce(sum(k.token_estimate), 0)::bigint, coalesce(sum(k.bound), 0)::bigint
      from kept k;
end $$;
comment on function tenon.history(uuid, bigint, integer) is 'The messages to send to a provider, bounded by tokens.';

-- Whose idempotency keys these are: each person has their own, and so has each key that acts for nobody.
create function tenon.caller_id() returns uuid
    language sql stable
    return coalesce(auth.uid(), tenon.key_id(), '00000000-0000-0000-0000-000000000000');

-- Window and output of a model, null when it is not configured.
create function tenon.model_limits(request jsonb, provider text, model text) returns jsonb
    language sql immutable
    return coalesce(request -> 'providers' -> provider -> 'models' -> model, request -> 'providers' -> provider -> 'any');

-- Who may have to answer: the provider that was chosen, then those of the fallback list, with the model that each would use (the same
-- one where it has it, else its first) and how much it may say.
create function tenon.candidates(request jsonb, provider text, model text, output bigint)
    returns table (place bigint, provider text, model text, output bigint)
    language sql stable set search_path = ''
as $$
    select 0::bigint, candidates.provider, candidates.model, candidates.output
     union all
    select f.position, f.name, m.name, least(candidates.output, (m.limits ->> 1)::bigint)
      from jsonb_array_elements_text(coalesce(request -> 'fallback', '[]')) with ordinality as f (name, position)
      cross join lateral (select request -> 'providers' -> f.name as provider) as p
      cross join lateral (select case when p.provider -> 'models' ? candidates.model then candidates.model
                                      else coalesce(p.provider ->> 'first', candidates.model) end as name) as n
      cross join lateral (select n.name, tenon.model_limits(request, f.name, n.name) as limits) as m
     where f.name <> candidates.provider and m.limits is not null
$$;

create function tenon.problem(status integer, code text, message text, members jsonb default '{}') returns jsonb
    language sql immutable set search_path = ''
as $$
    select jsonb_build_object('problem', jsonb_build_object('status', status, 'code', code, 'message', message, 'members', members))
$$;

-- The part of begin_run() that a caller may not do itself: the message, the run, the reservation. `c` is locked by the caller.
create function tenon.admit_run(conversation uuid, request jsonb) returns jsonb
    language plpgsql volatile security definer set search_path = ''
as $$
declare
    c ai.conversations;
    m ai.messages;
    r ai.runs;
    under_way uuid;
    refusal jsonb;
    limits jsonb;
    window_tokens bigint;
    output_tokens bigint;
    system_text text;
    system_tokens bigint;
    sent jsonb;
    sent_tokens bigint;
    new_tokens bigint := 0;
    room bigint;
    candidates jsonb;
    input_bound bigint;
    at_most bigint;
    is_new constant boolean := request ->> 'content' is not null;
begin
    select * into c from ai.conversations where tenant_id = tenon.tenant_id() and id = conversation for no key update;
    if not found or not tenon.acts_for(c.owner_id) then
        return tenon.problem(404, 'chat_not_found', 'there is no such chat');
    end if;

    select id into under_way from ai.runs
     where tenant_id = c.tenant_id and conversation_id = c.id and status = 'running';
    if found then
        return tenon.problem(409, 'run_in_progress', 'this chat is still being answered', jsonb_build_object('run_id', under_way));
    end if;

    -- who answers: the request says, or the conversation, or the configuration
    r.provider_name := coalesce(request ->> 'provider', c.provider, request -> 'default' ->> 'provider');
    r.request_model := coalesce(request ->> 'model', c.model, request -> 'default' ->> 'model');
    limits := tenon.model_limits(request, r.provider_name, r.request_model);
    if limits is null and request ->> 'model' is null then -- what the conversation began with is not configured any more
        r.provider_name := request -> 'default' ->> 'provider';
        r.request_model := request -> 'default' ->> 'model';
        limits := tenon.model_limits(request, r.provider_name, r.request_model);
    end if;
    if limits is null then
        return tenon.problem(400, 'model_not_found', format('no provider is configured for the model %s', r.request_model));
    end if;
    window_tokens := (limits ->> 0)::bigint;
    output_tokens := least((limits ->> 1)::bigint, window_tokens / 2);
    system_text := coalesce(request ->> 'system', c.system);
    system_tokens := case when system_text is null then 0 else tenon.estimate_tokens(system_text) + 4 end;

    -- where the message hangs in the tree
    if request -> 'parent_id' is null then
        m.parent_id := c.head_id; -- not mentioned
    else
        m.parent_id := (request ->> 'parent_id')::uuid; -- null: a new beginning
    end if;
    if m.parent_id is not null or not is_new then
        select * into m from ai.messages
         where tenant_id = c.tenant_id and conversation_id = c.id and id = m.parent_id;
        if not found and is_new then
            return tenon.problem(404, 'message_not_found', 'this chat has no message with the id in parent_id');
        elsif not is_new and (not found or m.role <> 'user') then
            return tenon.problem(400, 'validation_failed',
                                 'content is missing; to answer a message again, name a user''s message in parent_id');
        elsif is_new then
            m.parent_id := m.id;
        end if;
    end if;
    if is_new then
        new_tokens := tenon.estimate_tokens(request ->> 'content', nullif(request -> 'parts', 'null')) + 4;
    end if;
    if new_tokens + system_tokens > window_tokens - output_tokens then
        return tenon.problem(413, 'content_too_large', format(
            'the message is longer than the model %s can read (%s tokens)', r.request_model, window_tokens - output_tokens));
    end if;

    -- Estimates are rough, so a tenth of the room stays free.
    room := (window_tokens - output_tokens) * 9 / 10 - system_tokens - new_tokens;
    select h.messages, h.token_estimate, h.token_bound into sent, sent_tokens, input_bound
      from tenon.history(case when is_new then m.parent_id else m.id end, room,
                         coalesce((request ->> 'history_messages')::integer, 1000) - is_new::integer) as h;
    if is_new then
        sent := sent || jsonb_strip_nulls(jsonb_build_object('role', 'user', 'content', request -> 'content', 'parts', request -> 'parts'));
        input_bound := input_bound + tenon.bound_tokens(request ->> 'content', nullif(request -> 'parts', 'null'));
    end if;

    -- Refused or not is known before anything is written, and late, because other calls of this tenant wait for its budgets from here on.
    if system_text is not null then
        input_bound := input_bound + tenon.bound_tokens(system_text);
    end if;
    -- Reserved is what the dearest of those can cost at most who may have to answer in the end; unknown, if the price of one is.
    r.id := coalesce((request ->> 'run_id')::uuid, tenon.uuid7());
    r.max_tokens := output_tokens;
    r.input_estimate := sent_tokens + new_tokens + system_tokens;
    candidates := jsonb_build_array(jsonb_build_array(r.provider_name, r.request_model, r.max_tokens));
    at_most := tenon.cost(r.provider_name, r.request_model, least(input_bound, window_tokens), r.max_tokens);
    if jsonb_array_length(coalesce(request -> 'fallback', '[]')) > 0 then
        select jsonb_agg(jsonb_build_array(x.provider, x.model, x.output) order by x.place),
               case when count(x.cost) = count(*) then max(x.cost) end
          into candidates, at_most
          from (select f.*, tenon.cost(f.provider, f.model, input_bound, f.output) as cost
                  from tenon.candidates(request, r.provider_name, r.request_model, output_tokens) as f) as x;
    end if;
    refusal := tenon.reserve(r.id, c.owner_id, tenon.key_id(), at_most);
    if refusal is not null then
        return tenon.problem(402, refusal ->> 'code', case refusal ->> 'code'
                   when 'price_unknown' then format('there is a budget, and no price is known for the model %s', r.request_model)
                   else format('the %s budget (%s) has no room for this request', refusal ->> 'subject', refusal ->> 'period') end,
               refusal - 'code');
    end if;

    if is_new then
        insert into ai.messages (conversation_id, parent_id, owner_id, role, content, parts, metadata)
        values (c.id, m.parent_id, c.owner_id, 'user', request ->> 'content', nullif(request -> 'parts', 'null'),
                coalesce(nullif(request -> 'metadata', 'null'), '{}'))
        returning * into m;
    else
        update ai.conversations set head_id = m.id, updated_at = now() where tenant_id = c.tenant_id and id = c.id;
    end if;
    insert into ai.runs (id, conversation_id, message_id, owner_id, caller_id, key_id, worker_id, request_id, provider_name, request_model,
                         max_tokens, stream, idempotency_key, request_hash, input_estimate)
    values (r.id, c.id, m.id, c.owner_id, tenon.caller_id(), tenon.key_id(), (request ->> 'worker_id')::uuid, request ->> 'request_id',
            r.provider_name, r.request_model, r.max_tokens, coalesce((request ->> 'stream')::boolean, false),
            request ->> 'idempotency_key', decode(request ->> 'request_hash', 'hex'), r.input_estimate)
    returning * into r;

    select * into c from ai.conversations where tenant_id = c.tenant_id and id = c.id;
    return jsonb_build_object('chat', tenon.chat_json(c), 'message', tenon.message_json(m), 'run', tenon.run_json(r),
                              'candidates', candidates, 'input_estimate', r.input_estimate, 'system', system_text, 'history', sent);
end $$;
comment on function tenon.admit_run(uuid, jsonb) is 'Stores a message and the run that shall answer it.';

-- Admits a message. The request, as src/chat/run.c makes it:
--   chat_id           null: a new chat
--   content, parts    null content: answer the message parent_id again
--   parent_id         absent: go on at the end of the active branch; null: a new beginning
--   title, model, provider, system, metadata       model and provider both or neither
--   default           {"provider", "model"}
--   providers         {"<provider>": {"models": {"<model>": [window, output]}, "first": "<model>", "any": [window, output]}}
--                     first: of its models, absent without a list; any: for models that are not listed, absent when only those are served
--   fallback          ["<provider>"], asked in this order when the first cannot answer
--   run_id, history_messages, idempotency_key, request_hash (hex), worker_id, request_id, stream
-- The answer is one of
--   {"problem": {"status", "code", "message", "members"}}   and nothing has been written
--   {"replay": <answer of a run>}                           the same request came before; its run may still be running
--   {"chat", "message", "run", "candidates": [[provider, model, max_tokens]], "input_estimate", "system",
--    "history": [{"role", "content", "parts"}]}
create function tenon.begin_run(request jsonb) returns jsonb
    language plpgsql volatile set search_path = ''
as $$
declare
    r ai.runs;
    chat uuid := (request ->> 'chat_id')::uuid;
    answer jsonb;
begin
    if request ->> 'idempotency_key' is not null then
        -- of two that come at once the second waits here, and then finds the run of the first
        perform pg_advisory_xact_lock(hashtextextended(
            concat_ws(' ', 'run', tenon.tenant_id(), tenon.caller_id(), request ->> 'idempotency_key'), 0));
        select * into r from ai.runs
         where tenant_id = tenon.tenant_id() and caller_id = tenon.caller_id()
           and idempotency_key = request ->> 'idempotency_key';
        if found then
            if r.request_hash is distinct from decode(request ->> 'request_hash', 'hex') then
                return tenon.problem(422, 'idempotency_key_reused', 'this Idempotency-Key came with another request before');
            end if;
            return jsonb_build_object('replay', tenon.run_answer(r));
        end if;
    end if;

    if chat is null then
        insert into ai.conversations (title, provider, model, system)
        values (coalesce(request ->> 'title', tenon.title_of(request ->> 'content')),
                coalesce(request ->> 'provider', request -> 'default' ->> 'provider'),
                coalesce(request ->> 'model', request -> 'default' ->> 'model'), request ->> 'system')
        returning id into chat;
    else
        perform from ai.conversations where tenant_id = tenon.tenant_id() and id = chat for no key update;
        if not found then
            return tenon.problem(404, 'chat_not_found', 'there is no such chat');
        end if;
    end if;

    answer := tenon.admit_run(chat, request);
    if answer ? 'problem' and request ->> 'chat_id' is null then
        delete from ai.conversations where tenant_id = tenon.tenant_id() and id = chat;
    end if;
    return answer;
end $$;
comment on function tenon.begin_run(jsonb) is 'Admits a message: stores it, opens a run, reserves its budget, gives the history.';

-- Ends a run, in one transaction: the reply, the calls to providers, usage, money. As tenon_worker, or for a run that was lost as the
-- platform. The report, as src/chat/run.c makes it:
--   run_id, status (completed, failed, cancelled), content
--   provider, model            who answered in the end
--   response_model, response_id, finish_reason, input_tokens, output_tokens, usage_estimated, first_byte_at
--   error                      {"status", "code", "message", "provider_status"} or null
--   calls                      [{"provider", "model", "response_model", "response_id", "outcome", "finish_reason", "http_status", "error_type",
--                                "error_message", "input_tokens", "output_tokens", "usage_estimated", "time_to_first_token_ms",
--                                "duration_ms", "started_at"}]
-- Called twice it does nothing the second time, so it may be repeated when it is unknown whether a commit arrived. One exception: what
-- the reaper gave up for lost (run_interrupted) may still be finished by a worker that was only cut off from the database.
-- Then the reply is kept after all, and what it cost is counted.
create function tenon.finish_run(report jsonb) returns jsonb
    language plpgsql volatile set search_path = ''
as $$
declare
    r ai.runs;
    late boolean;
    cost bigint;
begin
    -- the conversation first, as everybody does who locks both
    perform from ai.conversations c
      where c.tenant_id = tenon.tenant_id()
        and c.id = (select x.conversation_id from ai.runs x
                     where x.tenant_id = tenon.tenant_id() and x.id = (report ->> 'run_id')::uuid)
      for no key update;
    select * into r from ai.runs x where x.tenant_id = tenon.tenant_id() and x.id = (report ->> 'run_id')::uuid for update;
    if not found then
        return null;
    end if;
    late := r.status = 'failed' and r.error_code = 'run_interrupted' and report -> 'error' ->> 'code' is distinct from 'run_interrupted';
    if r.status <> 'running' and not late then
        return tenon.run_answer(r);
    end if;

    r.provider_name := coalesce(report ->> 'provider', r.provider_name);
    r.request_model := coalesce(report ->> 'model', r.request_model);
    r.input_tokens := (report ->> 'input_tokens')::integer;
    r.output_tokens := (report ->> 'output_tokens')::integer;
    r.usage_estimated := coalesce((report ->> 'usage_estimated')::boolean, false);
    cost := case when coalesce(r.input_tokens, r.output_tokens) is null then 0
                 else tenon.cost(r.provider_name, r.request_model, coalesce(r.input_tokens, 0), coalesce(r.output_tokens, 0), r.started_at) end;

    update ai.runs x
       set status = report ->> 'status', provider_name = r.provider_name, request_model = r.request_model,
           response_model = report ->> 'response_model', response_id = report ->> 'response_id',
           finish_reason = report ->> 'finish_reason', input_tokens = r.input_tokens, output_tokens = r.output_tokens,
           usage_estimated = r.usage_estimated, cost_micros = cost,
           error_status = (report -> 'error' ->> 'status')::integer, error_code = report -> 'error' ->> 'code',
           error_message = report -> 'error' ->> 'message', provider_status = (report -> 'error' ->> 'provider_status')::integer,
           first_byte_at = (report ->> 'first_byte_at')::timestamptz, finished_at = now()
     where x.tenant_id = r.tenant_id and x.id = r.id
    returning * into r;

    if r.conversation_id is not null and r.message_id is not null and (r.status = 'completed' or report ->> 'content' <> '') then
        insert into ai.messages as m (id, conversation_id, parent_id, owner_id, run_id, role, content, model, status, finish_reason,
                                      input_tokens, output_tokens)
        values (r.reply_id, r.conversation_id, r.message_id, r.owner_id, r.id, 'assistant', coalesce(report ->> 'content', ''),
                coalesce(r.response_model, r.request_model), r.status, r.finish_reason, r.input_tokens, r.output_tokens)
        on conflict (tenant_id, id) do update
           set content = excluded.content, model = excluded.model, status = excluded.status, finish_reason = excluded.finish_reason,
               input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens;
    end if;
    delete from ai.run_chunks k where k.tenant_id = r.tenant_id and k.run_id = r.id;

    insert into ai.model_calls (run_id, owner_id, key_id, attempt, operation_name, provider_name, request_model, response_model, response_id,
                                stream, outcome, finish_reason, http_status, error_type, error_message, input_tokens, output_tokens,
                                usage_estimated, cost_micros, time_to_first_token_ms, duration_ms, started_at)
    select r.id, r.owner_id, r.key_id, k.position, r.operation_name, k.call ->> 'provider', k.call ->> 'model',
           k.call ->> 'response_model', k.call ->> 'response_id', true, k.call ->> 'outcome', k.call ->> 'finish_reason',
           (k.call ->> 'http_status')::integer, k.call ->> 'error_type', left(k.call ->> 'error_message', 1000),
           (k.call ->> 'input_tokens')::integer, (k.call ->> 'output_tokens')::integer,
           coalesce((k.call ->> 'usage_estimated')::boolean, false),
           tenon.cost(k.call ->> 'provider', k.call ->> 'model', (k.call ->> 'input_tokens')::bigint,
                      (k.call ->> 'output_tokens')::bigint, r.started_at),
           (k.call ->> 'time_to_first_token_ms')::integer, (k.call ->> 'duration_ms')::integer,
           coalesce((k.call ->> 'started_at')::timestamptz, now())
      from jsonb_array_elements(coalesce(nullif(report -> 'calls', 'null'), '[]')) with ordinality as k (call, position);

    perform tenon.record_usage(r.owner_id, r.key_id, r.provider_name, r.request_model, coalesce(r.input_tokens, 0)::bigint,
                               coalesce(r.output_tokens, 0)::bigint, cost, case when late then 0 else 1 end,
                               case when r.status = 'failed' and not late then 1 else 0 end,
                               case when r.usage_estimated and not late then 1 else 0 end);
    if not tenon.settle(r.id, cost) and late and cost > 0 then
        -- the reaper has released it; take it again, and if there is no room left the usage above still says what it was
        perform tenon.reserve(r.id, r.owner_id, r.key_id, cost);
        perform tenon.settle(r.id, cost);
    end if;
    return tenon.run_answer(r);
end $$;
comment on function tenon.finish_run(jsonb) is 'Ends a run: reply, provider calls, usage, money.';

-- Asks for a run to be stopped. Every process hears it; the one that does the run stops it and stores what there is.
create function tenon.cancel_run(run uuid) returns jsonb
    language plpgsql volatile security definer set search_path = ''
as $$
declare
    r ai.runs;
begin
    select * into r from ai.runs x where x.tenant_id = tenon.tenant_id() and x.id = run;
    if not found or not tenon.acts_for(r.owner_id) then
        return null;
    end if;
    if r.status = 'running' then
        update ai.runs x set cancelled_at = coalesce(x.cancelled_at, now())
         where x.tenant_id = r.tenant_id and x.id = r.id returning * into r;
        perform pg_notify('tenon', 'cancel:' || r.id);
    end if;
    return tenon.run_json(r);
end $$;
comment on function tenon.cancel_run(uuid) is 'Asks for a run to be stopped; null when the caller has no such run.';

-- Takes back what begin_run() did, as if it had never been asked: for a worker whose connection broke while COMMIT was on its way, and who
-- has told its client that nothing is known. So the client may send the message again, with the same Idempotency-Key too, and it is there
-- once. What one transaction wrote has one now(), which tells a message and a chat that were made for this run from older ones.
create function tenon.withdraw_run(run uuid) returns boolean
    language plpgsql volatile security definer set search_path = ''
as $$
declare
    r ai.runs;
    m ai.messages;
begin
    perform from ai.conversations c
      where c.tenant_id = tenon.tenant_id()
        and c.id = (select x.conversation_id from ai.runs x where x.tenant_id = tenon.tenant_id() and x.id = run)
      for no key update;
    select * into r from ai.runs x where x.tenant_id = tenon.tenant_id() and x.id = run for update;
    if not found or r.status <> 'running' then
        return false;
    end if;
    perform tenon.release(r.id);
    delete from ai.runs x where x.tenant_id = r.tenant_id and x.id = r.id;
    delete from ai.conversations c where c.tenant_id = r.tenant_id and c.id = r.conversation_id and c.created_at = r.started_at;
    delete from ai.messages x
     where x.tenant_id = r.tenant_id and x.id = r.message_id and x.created_at = r.started_at
    returning * into m;
    if found then
        update ai.conversations c
           set head_id = m.parent_id, message_count = c.message_count - 1, last_message_role = before.role,
               last_message = left(regexp_replace(left(before.content, 1000), '\s+', ' ', 'g'), 200)
          from (select 1) as always
          left join ai.messages before on before.tenant_id = m.tenant_id and before.id = m.parent_id
         where c.tenant_id = m.tenant_id and c.id = m.conversation_id;
    end if;
    return true;
end $$;
comment on function tenon.withdraw_run(uuid) is 'Undoes the admission of a run that was never begun.';

-- The reaper. Runs of a worker that is known to be gone; without one, runs whose worker has given no sign of life for so long, and
-- runs that are older than any can be (their worker lives and knows nothing of them, since it lost the database as they began).
-- What they have said so far is kept, and their reservations are released. Returns how many there were.
create function tenon.fail_lost_runs(worker uuid default null, silence interval default '20 seconds') returns integer
    language plpgsql volatile set search_path = ''
as $$
declare
    lost record;
    failed integer := 0;
begin
    for lost in
        select x.tenant_id, x.id from ai.runs x
         where x.status = 'running'
           and case when worker is not null then x.worker_id = worker
                    else x.started_at < now() - silence
                         and (x.started_at < now() - interval '2 hours'
                              or not exists (select from tenon.workers w
                                              where w.id = x.worker_id and w.heartbeat_at > now() - silence)) end
         limit 1000
    loop
        perform set_config('tenon.tenant_id', lost.tenant_id::text, true);
        perform tenon.finish_run(jsonb_build_object(
            'run_id', lost.id, 'status', 'failed', 'finish_reason', 'error',
            'content', (select coalesce(string_agg(k.content, '' order by k.position), '') from ai.run_chunks k
                         where k.tenant_id = lost.tenant_id and k.run_id = lost.id),
            'error', jsonb_build_object('status', 502, 'code', 'run_interrupted', -- not 503: the same request again gives the same answer
                                        'message', 'the process that was answering ended before the reply was complete')));
        failed := failed + 1;
    end loop;
    perform set_config('tenon.tenant_id', '', true);
    return failed;
end $$;
comment on function tenon.fail_lost_runs(uuid, interval) is 'Fails the runs that nobody does any more.';

-- What is kept for a while only. In small bites, so that no lock is held long; returns how many rows it touched.
create function tenon.sweep_runs() returns bigint
    language sql volatile set search_path = ''
as $$
    with forgotten as (
        update ai.runs set idempotency_key = null, request_hash = null
         where (tenant_id, id) in (select tenant_id, id from ai.runs
                                    where idempotency_key is not null and started_at < now() - interval '24 hours'
                                      and status <> 'running'
                                    order by started_at limit 5000)
        returning 1),
    chunks as ( -- of runs that had ended when a late flush arrived
        delete from ai.run_chunks k
         where k.created_at < now() - interval '1 hour'
           and exists (select from ai.runs r where r.tenant_id = k.tenant_id and r.id = k.run_id and r.status <> 'running')
        returning 1),
    workers as (
        delete from tenon.workers where heartbeat_at < now() - interval '1 hour' returning 1)
    select (select count(*) from forgotten) + (select count(*) from chunks) + (select count(*) from workers)
$$;
comment on function tenon.sweep_runs() is 'Forgets idempotency keys after a day, and what workers left behind.';

-- Sessions that are over, tokens that can be nobody's late answer any more, and codes that nobody has come back with.
create function tenon.sweep_sessions() returns bigint
    language sql volatile set search_path = ''
as $$
    with sessions as (
        delete from auth.sessions where not_after < now() - interval '1 day' returning 1),
    tokens as (
        delete from auth.refresh_tokens where revoked and updated_at < now() - interval '30 days' returning 1),
    codes as (
        delete from auth.one_time_tokens where created_at < now() - interval '7 days' returning 1)
    select (select count(*) from sessions) + (select count(*) from tokens) + (select count(*) from codes)
$$;
comment on function tenon.sweep_sessions() is 'Deletes sessions and tokens that are of no use any more.';

select tenon.run_as_platform('tenon.sweep_sessions()');
select tenon.run_as_platform('tenon.fail_lost_runs(uuid, interval)');
select tenon.run_as_platform('tenon.sweep_runs()');

revoke execute on function tenon.estimate_tokens(text, jsonb), tenon.bound_tokens(text, jsonb), tenon.acts_for(uuid), tenon.chat_json(ai.conversations),
    tenon.message_json(ai.messages), tenon.run_json(ai.runs), tenon.tool_call_json(ai.tool_calls), tenon.run_answer(ai.runs),
    tenon.count_message(), tenon.mark_branched(), tenon.cancel_deleted(), tenon.delete_conversations(), tenon.title_of(text),
    tenon.history(uuid, bigint, integer), tenon.model_limits(jsonb, text, text), tenon.candidates(jsonb, text, text, bigint),
    tenon.problem(integer, text, text, jsonb), tenon.caller_id(), tenon.admit_run(uuid, jsonb), tenon.begin_run(jsonb),
    tenon.finish_run(jsonb), tenon.withdraw_run(uuid), tenon.cancel_run(uuid), tenon.fail_lost_runs(uuid, interval), tenon.sweep_runs(),
    tenon.sweep_sessions() from public;
grant execute on function tenon.estimate_tokens(text, jsonb), tenon.chat_json(ai.conversations), tenon.message_json(ai.messages),
    tenon.run_json(ai.runs), tenon.tool_call_json(ai.tool_calls), tenon.run_answer(ai.runs)
    to authenticated, agent, service_role, tenon_worker;
grant execute on function tenon.title_of(text), tenon.problem(integer, text, text, jsonb), tenon.caller_id(),
    tenon.admit_run(uuid, jsonb), tenon.begin_run(jsonb), tenon.cancel_run(uuid) to authenticated, agent, service_role;
grant execute on function tenon.finish_run(jsonb), tenon.withdraw_run(uuid), tenon.fail_lost_runs(uuid, interval), tenon.sweep_runs(),
    tenon.sweep_sessions() to tenon_worker;
