-- 0006: what the whole of the auth dialect rests on: the audit log, messages to people, tokens sent once, flows that leave and return
--
-- Names of tables and columns are Supabase's where it has them; each table has a tenant_id in front (0001). Secrets that must be shown
-- or sent again (a code on its way into a mail, a provider's token) are sealed by the server: bytea that the database cannot read.

-- Which agent is asking, beside the person for whom it acts: the claim `act` (RFC 8693 section 4.1), believed of agents only.
create function tenon.agent_id() returns uuid
    language sql stable parallel safe
    return case when auth.role() = 'agent' then nullif(auth.jwt() -> 'act' ->> 'sub', '')::uuid end;
comment on function tenon.agent_id() is 'The agent that is asking, null for people and other keys.';

-- Who did what to an account. Rows are only ever added; the sweeper drops old ones.
create table auth.audit_log_entries (
    tenant_id   uuid         not null default tenon.tenant_id() references tenon.tenants (id),
    instance_id uuid,
    id          uuid         not null default tenon.uuid7(),
    payload     jsonb        not null check (jsonb_typeof(payload) = 'object'),
    created_at  timestamptz  not null default now(),
    ip_address  varchar(64)  not null default '',
    primary key (tenant_id, id)
);
comment on table auth.audit_log_entries is 'What happened to accounts, who did it, and through which agent.';
create index audit_log_entries_by_actor on auth.audit_log_entries (tenant_id, (payload ->> 'actor_id'), created_at);
create index audit_log_entries_by_age on auth.audit_log_entries (tenant_id, created_at);
select tenon.isolate('auth.audit_log_entries');
grant select, insert on auth.audit_log_entries to tenon_worker;

-- One entry, in the transaction of what it tells. `actor` is the person who acts; null for the operator and secret keys, who are told
-- apart by `traits`. The names of actions are Supabase's; ours beside them are `agent_…`, `team_…`, `session_revoked`,
-- `recovery_codes_generated`, `passkey_…`.
create function auth.audit(action text, actor uuid, traits jsonb default null, address inet default null) returns void
    language sql volatile set search_path = ''
as $$
    insert into auth.audit_log_entries (payload, ip_address)
    select jsonb_strip_nulls(jsonb_build_object(
               'actor_id', coalesce(actor, '00000000-0000-0000-0000-000000000000'),
               'actor_username', coalesce(nullif(u.email, ''), nullif(u.phone, ''), case when actor is null then auth.role() else '' end),
               'actor_name', u.raw_user_meta_data ->> 'full_name',
               'actor_via_sso', coalesce(u.is_sso_user, false),
               'agent_id', tenon.agent_id(),
               'agent_name', case when tenon.agent_id() is not null then jsonb_path_query_first(auth.jwt(), '$.act.**.name') #>> '{}' end,
               'key_id', tenon.key_id(),
               'action', action,
               'log_type', case
                   when action in ('login', 'logout', 'invite_accepted') then 'account'
                   when action in ('user_signedup', 'user_invited', 'user_deleted') or action like 'team\_%' then 'team'
                   when action in ('token_revoked', 'token_refreshed', 'token_exchanged', 'session_revoked') then 'token'
                   when action like 'factor\_%' or action like 'passkey\_%'
                        or action in ('challenge_created', 'verification_attempted', 'recovery_codes_generated') then 'factor'
                   when action like 'agent\_%' then 'agent'
                   when action like 'identity\_%' then 'identity'
                   else 'user' end,
               'traits', traits)),
           coalesce(host(address), '')
      from (values (1)) as one (row)
      left join auth.users as u on u.tenant_id = tenon.tenant_id() and u.id = actor
$$;
comment on function auth.audit(text, uuid, jsonb, inet) is 'Writes what happened into the audit log.';

-- A flow that leaves (to another provider, or into a mailbox) and comes back: Proof Key for Code Exchange (RFC 7636), and what to do then.
-- `id` is the `state` of OAuth. One that has been used is kept until it is swept, so that a replay can be told from a guess.
create table auth.flow_state (
    tenant_id                uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id                       uuid        not null default gen_random_uuid(),
    user_id                  uuid,                               -- once it is known who came back
    auth_code                text,                               -- SHA-256 of it, in hexadecimal
    code_challenge_method    text        check (code_challenge_method in ('s256', 'plain')), -- null: the implicit flow
    code_challenge           text,
    provider_type            text        not null,               -- `email`, `github` …
    provider_access_token    bytea,                              -- sealed, like the next two
    provider_refresh_token   bytea,
    sealed                   bytea,                              -- nonce and verifier of our own request to the provider
    authentication_method    text        not null,               -- the claim `amr` of the session to come: `email/signup`, `oauth` …
    redirect_to              text        not null default '',
    linking_target_id        uuid,                               -- the person who adds an identity
    invite_token             text,
    auth_code_issued_at      timestamptz,
    used_at                  timestamptz,
    created_at               timestamptz not null default now(),
    updated_at               timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade,
    foreign key (tenant_id, linking_target_id) references auth.users (tenant_id, id) on delete cascade
);
comment on table auth.flow_state is 'Sign-ins that are on their way through a provider or a mailbox.';
create unique index flow_state_by_code on auth.flow_state (tenant_id, auth_code);
create index flow_state_by_id on auth.flow_state (id); -- it comes back without a tenant
create index flow_state_by_user on auth.flow_state (tenant_id, user_id);
create index flow_state_by_target on auth.flow_state (tenant_id, linking_target_id);
create index flow_state_by_age on auth.flow_state (created_at);
select tenon.isolate('auth.flow_state');
grant select, insert, update, delete on auth.flow_state to tenon_worker;

-- Tokens sent once, from now on with an end and a count of wrong guesses. What is stored is the SHA-256 of what the link carries, and
-- that is a keyed hash of the code, which only the server can make: neither can be had from the other's table.
alter table auth.one_time_tokens
    add column expires_at    timestamptz not null default now() + interval '1 hour',
    add column attempts      smallint    not null default 0,
    add column flow_state_id uuid,
    add foreign key (tenant_id, flow_state_id) references auth.flow_state (tenant_id, id) on delete set null (flow_state_id);
create index one_time_tokens_by_flow on auth.one_time_tokens (tenant_id, flow_state_id);

-- Replaces what was sent before for the same purpose.
create function auth.expect_token(person uuid, purpose auth.one_time_token_type, hash text, address text, lifetime_s bigint,
                                  flow uuid default null) returns void
    language sql volatile set search_path = ''
as $$
    insert into auth.one_time_tokens (user_id, token_type, token_hash, relates_to, expires_at, flow_state_id)
    values (person, purpose, hash, address, now() + lifetime_s * interval '1 second', flow)
    on conflict (tenant_id, user_id, token_type)
        do update set token_hash = excluded.token_hash, relates_to = excluded.relates_to, expires_at = excluded.expires_at,
                      flow_state_id = excluded.flow_state_id, attempts = 0, created_at = now(), updated_at = now()
$$;
comment on function auth.expect_token(uuid, auth.one_time_token_type, text, text, bigint, uuid) is 'What a person is about to be sent.';

-- Messages to people, written in the transaction that causes them and sent by the jobs process: who asks cannot tell by the time whether
-- anybody was written to, a mail server that is slow holds nobody up, and nothing is sent that was rolled back.
create table tenon.outbox (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id         uuid        not null default tenon.uuid7(),
    channel    text        not null check (channel in ('email', 'sms', 'hook')),
    kind       text        not null check (kind ~ '^[a-z_]{1,64}$'), -- of its template: `confirmation`, `recovery` …
    recipient  text        not null check (char_length(recipient) between 1 and 320),
    user_id    uuid,
    sealed     bytea       not null,                             -- codes, links and other variables
    attempts   smallint    not null default 0,
    due_at     timestamptz not null default now(),
    expires_at timestamptz not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
comment on table tenon.outbox is 'Mails and text messages that wait to be sent.';
create index outbox_by_due on tenon.outbox (due_at);
create index outbox_by_user on tenon.outbox (tenant_id, user_id);
select tenon.isolate('tenon.outbox');
grant select, insert, update, delete on tenon.outbox to tenon_worker;
create trigger notify after insert on tenon.outbox execute function tenon.notify('outbox');

-- Returns the message's id.
create function tenon.post_message(channel text, kind text, recipient text, person uuid, sealed bytea, lifetime_s bigint) returns uuid
    language sql volatile set search_path = ''
as $$
    insert into tenon.outbox (channel, kind, recipient, user_id, sealed, expires_at)
    values (channel, kind, recipient, person, sealed, now() + lifetime_s * interval '1 second')
    returning id
$$;
comment on function tenon.post_message(text, text, text, uuid, bytea, bigint) is 'Puts a message into the outbox.';

revoke execute on function tenon.agent_id(), auth.audit(text, uuid, jsonb, inet),
    auth.expect_token(uuid, auth.one_time_token_type, text, text, bigint, uuid),
    tenon.post_message(text, text, text, uuid, bytea, bigint) from public;
grant execute on function tenon.agent_id() to anon, authenticated, agent, service_role, tenon_worker;
grant execute on function auth.audit(text, uuid, jsonb, inet),
    auth.expect_token(uuid, auth.one_time_token_type, text, text, bigint, uuid),
    tenon.post_message(text, text, text, uuid, bytea, bigint) to tenon_worker;
