-- 0002: people, how they sign in, and their sessions
--
-- Names of tables and columns are Supabase's, because people's foreign keys, triggers and views name them; each has a tenant_id in
-- front. Nobody reaches these tables but tenon_worker, within one tenant, and the owner: there is no grant to a request role.
--
-- The functions are what one request of the auth area does in its one transaction: C has checked the input and done the password
-- hashing, which must not hold a connection. They run as tenon_worker and are no `security definer`. Each tells with `outcome`
-- what happened, because most outcomes are answers and not errors; the words are the area's error codes where there is one.

create type auth.aal_level as enum ('aal1', 'aal2', 'aal3');
create type auth.one_time_token_type as enum ('confirmation_token', 'reauthentication_token', 'recovery_token',
                                              'email_change_token_new', 'email_change_token_current', 'phone_change_token');

-- The key is `id` alone: people's tables say `references auth.users`. Ours reference (tenant_id, id).
create table auth.users (
    tenant_id                   uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id                          uuid        not null default tenon.uuid7() primary key,
    instance_id                 uuid,                              -- Supabase's; unused
    aud                         text        default 'authenticated' check (char_length(aud) <= 255),
    role                        text        default 'authenticated' check (char_length(role) <= 255),
    email                       text        check (char_length(email) <= 255)
                                            constraint users_email_lower_case check (email = lower(email)),
    encrypted_password          text        check (char_length(encrypted_password) <= 512), -- PHC text of argon2id
    email_confirmed_at          timestamptz,
    invited_at                  timestamptz,
    confirmation_token          text        default '',
    confirmation_sent_at        timestamptz,
    recovery_token              text        default '',
    recovery_sent_at            timestamptz,
    email_change_token_new      text        default '',
    email_change                text        default '',
    email_change_sent_at        timestamptz,
    last_sign_in_at             timestamptz,
    raw_app_meta_data           jsonb       default '{}' check (jsonb_typeof(raw_app_meta_data) = 'object'),
    raw_user_meta_data          jsonb       default '{}' check (jsonb_typeof(raw_user_meta_data) = 'object'),
    is_super_admin              boolean,
    created_at                  timestamptz default now(),
    updated_at                  timestamptz default now(),
    phone                       text,                              -- digits, without the plus sign
    phone_confirmed_at          timestamptz,
    phone_change                text        default '',
    phone_change_token          text        default '',
    phone_change_sent_at        timestamptz,
    confirmed_at                timestamptz generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
    email_change_token_current  text        default '',
    email_change_confirm_status smallint    default 0 check (email_change_confirm_status between 0 and 2),
    banned_until                timestamptz,
    reauthentication_token      text        default '',
    reauthentication_sent_at    timestamptz,
    is_sso_user                 boolean     not null default false, -- two of them may share an address
    deleted_at                  timestamptz,
    is_anonymous                boolean     not null default false,
    unique (tenant_id, id)
);
comment on table auth.users is 'The people of a tenant.';
-- On the column itself: under row security an index on lower(email) would not be used, because lower() is not leakproof.
create unique index users_by_email on auth.users (tenant_id, email) where not is_sso_user;
create unique index users_by_phone on auth.users (tenant_id, phone) where phone <> '';
create index users_by_age on auth.users (tenant_id, created_at);
select tenon.isolate('auth.users');

-- How a person can prove who they are: one row per provider. `provider_id` is the person's id there; for e-mail it is the user's own.
create table auth.identities (
    tenant_id       uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id              uuid        not null default tenon.uuid7(),
    provider_id     text        not null,
    user_id         uuid        not null,
    identity_data   jsonb       not null check (jsonb_typeof(identity_data) = 'object'),
    provider        text        not null,
    last_sign_in_at timestamptz,
    created_at      timestamptz default now(),
    updated_at      timestamptz default now(),
    email           text        generated always as (lower(identity_data ->> 'email')) stored,
    primary key (tenant_id, id),
    unique (tenant_id, provider, provider_id),
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
comment on table auth.identities is 'The ways in which a person can sign in.';
create index identities_by_user on auth.identities (tenant_id, user_id);
create index identities_by_email on auth.identities (tenant_id, email);
select tenon.isolate('auth.identities');

-- One per sign-in. Access tokens name it; deleting it ends them for the auth area, and its refresh tokens with it.
create table auth.sessions (
    tenant_id             uuid           not null default tenon.tenant_id() references tenon.tenants (id),
    id                    uuid           not null default tenon.uuid7(),
    user_id               uuid           not null,
    created_at            timestamptz    not null default now(),
    updated_at            timestamptz    not null default now(),
    factor_id             uuid,
    aal                   auth.aal_level not null default 'aal1',
    not_after             timestamptz,                           -- null: for ever
    refreshed_at          timestamptz,
    user_agent            text,
    ip                    inet,
    tag                   text,
    refresh_token_counter bigint         not null default 0,     -- of the newest refresh token
    primary key (tenant_id, id),
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
comment on table auth.sessions is 'Sign-ins that are in force.';
create index sessions_by_user on auth.sessions (tenant_id, user_id, created_at);
select tenon.isolate('auth.sessions');

-- The SHA-256 of each refresh token, in hexadecimal; the token itself can be made again by the server alone, out of the session, the
-- counter and a key that is not in the database. Revoked ones are kept for a while, to tell a late answer from a theft.
create table auth.refresh_tokens (
    tenant_id   uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id          bigint      not null generated always as identity,
    instance_id uuid,
    token       text        not null,
    user_id     uuid        not null,
    revoked     boolean     not null default false,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),               -- of a revoked one: since when
    parent      text,                                             -- the token that was exchanged for this one
    session_id  uuid        not null,
    primary key (tenant_id, id),
    unique (tenant_id, token),
    foreign key (tenant_id, session_id) references auth.sessions (tenant_id, id) on delete cascade,
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
comment on table auth.refresh_tokens is 'Hashes of refresh tokens, newest not revoked.';
create index refresh_tokens_by_session on auth.refresh_tokens (tenant_id, session_id, id);
create index refresh_tokens_by_user on auth.refresh_tokens (tenant_id, user_id);
create unique index refresh_tokens_one_active on auth.refresh_tokens (tenant_id, session_id) where not revoked;
select tenon.isolate('auth.refresh_tokens');

-- By which methods a session was opened: the claim `amr`.
create table auth.mfa_amr_claims (
    tenant_id             uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id                    uuid        not null default tenon.uuid7(),
    session_id            uuid        not null,
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now(),
    authentication_method text        not null,
    primary key (tenant_id, id),
    unique (tenant_id, session_id, authentication_method),
    foreign key (tenant_id, session_id) references auth.sessions (tenant_id, id) on delete cascade
);
comment on table auth.mfa_amr_claims is 'Authentication methods of a session.';
select tenon.isolate('auth.mfa_amr_claims');

-- What is sent to a person once and must come back, as a keyed hash.
create table auth.one_time_tokens (
    tenant_id  uuid                     not null default tenon.tenant_id() references tenon.tenants (id),
    id         uuid                     not null default tenon.uuid7(),
    user_id    uuid                     not null,
    token_type auth.one_time_token_type not null,
    token_hash text                     not null check (char_length(token_hash) > 0),
    relates_to text                     not null,                 -- the address it was made for
    created_at timestamptz              not null default now(),
    updated_at timestamptz              not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, user_id, token_type),
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
comment on table auth.one_time_tokens is 'Hashes of codes that were sent to people.';
create index one_time_tokens_by_hash on auth.one_time_tokens (tenant_id, token_hash);
select tenon.isolate('auth.one_time_tokens');

grant select, insert, update, delete
    on auth.users, auth.identities, auth.sessions, auth.refresh_tokens, auth.mfa_amr_claims, auth.one_time_tokens to tenon_worker;

-- The person for whom an agent acts.
alter table tenon.keys add constraint keys_user_id_fkey
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade;

-- How people and sessions look outside. Each is one expression, so that the planner can take it into the query.

create function auth.rfc3339(at timestamptz) returns text
    language sql stable parallel safe
    return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
comment on function auth.rfc3339(timestamptz) is 'A timestamp as the auth API writes it.';

-- Absent when null: timestamps and pending addresses. Always there: the rest. Metadata is not looked into, its nulls stay.
create function auth.user_object(u auth.users, identities jsonb) returns jsonb
    language sql stable parallel safe
    return jsonb_strip_nulls(jsonb_build_object(
               'email_confirmed_at', auth.rfc3339(u.email_confirmed_at),
               'phone_confirmed_at', auth.rfc3339(u.phone_confirmed_at),
               'confirmed_at', auth.rfc3339(u.confirmed_at),
               'invited_at', auth.rfc3339(u.invited_at),
               'confirmation_sent_at', auth.rfc3339(u.confirmation_sent_at),
               'recovery_sent_at', auth.rfc3339(u.recovery_sent_at),
               'email_change_sent_at', auth.rfc3339(u.email_change_sent_at),
               'phone_change_sent_at', auth.rfc3339(u.phone_change_sent_at),
               'reauthentication_sent_at', auth.rfc3339(u.reauthentication_sent_at),
               'last_sign_in_at', auth.rfc3339(u.last_sign_in_at),
               'banned_until', auth.rfc3339(u.banned_until),
               'deleted_at', auth.rfc3339(u.deleted_at),
               'new_email', nullif(u.email_change, ''),
               'new_phone', nullif(u.phone_change, '')))
        || jsonb_build_object(
               'id', u.id,
               'aud', coalesce(u.aud, ''),
               'role', coalesce(u.role, ''),
               'email', coalesce(u.email, ''),
               'phone', coalesce(u.phone, ''),
               'app_metadata', coalesce(u.raw_app_meta_data, '{}'),
               'user_metadata', coalesce(u.raw_user_meta_data, '{}'),
               'identities', coalesce(identities, '[]'),
               'created_at', coalesce(auth.rfc3339(u.created_at), '1970-01-01T00:00:00Z'),
               'updated_at', coalesce(auth.rfc3339(u.updated_at), '1970-01-01T00:00:00Z'),
               'is_anonymous', u.is_anonymous);
comment on function auth.user_object(auth.users, jsonb) is 'A person as the auth API shows them.';

-- Mind the names: `id` is the person's id at the provider, `identity_id` is ours.
create function auth.identity_object(i auth.identities) returns jsonb
    language sql stable parallel safe
    return jsonb_strip_nulls(jsonb_build_object(
               'last_sign_in_at', auth.rfc3339(i.last_sign_in_at),
               'created_at', auth.rfc3339(i.created_at),
               'updated_at', auth.rfc3339(i.updated_at),
               'email', i.email))
        || jsonb_build_object(
               'identity_id', i.id,
               'id', i.provider_id,
               'user_id', i.user_id,
               'identity_data', i.identity_data,
               'provider', i.provider);
comment on function auth.identity_object(auth.identities) is 'A way to sign in as the auth API shows it.';

-- The claims of an access token but iss, aud, iat and exp, which the server adds. People can make user_metadata as large as they like,
-- and a token travels in a header: past 4 KiB it is left out, and GET /user still has it.
create function auth.claims(u auth.users, session_id uuid, aal auth.aal_level, amr jsonb) returns jsonb
    language sql stable parallel safe
    return jsonb_build_object(
        'sub', u.id,
        'tenant_id', u.tenant_id,
        'session_id', session_id,
        'role', coalesce(nullif(u.role, ''), 'authenticated'),
        'email', coalesce(u.email, ''),
        'phone', coalesce(u.phone, ''),
        'app_metadata', coalesce(u.raw_app_meta_data, '{}'),
        'user_metadata', case when octet_length(u.raw_user_meta_data::text) <= 4096 then u.raw_user_meta_data else '{}' end,
        'aal', aal,
        'amr', coalesce(amr, '[]'),
        'is_anonymous', u.is_anonymous);
comment on function auth.claims(auth.users, uuid, auth.aal_level, jsonb) is 'What an access token says about its bearer.';

-- What an access token and an answer are made of, read at the end of a transaction, after all triggers.
create function auth.describe_session(session uuid, out user_object jsonb, out claims jsonb)
    language plpgsql stable set search_path = ''
as $$
begin
    select auth.user_object(u, (select jsonb_agg(auth.identity_object(i) order by i.created_at, i.id)
                                  from auth.identities i where i.tenant_id = u.tenant_id and i.user_id = u.id)),
           auth.claims(u, s.id, s.aal,
               (select jsonb_agg(jsonb_build_object('method', a.authentication_method,
                                                    'timestamp', floor(extract(epoch from a.updated_at))::bigint)
                                 order by a.updated_at desc)
                  from auth.mfa_amr_claims a where a.tenant_id = s.tenant_id and a.session_id = s.id))
      into describe_session.user_object, describe_session.claims
      from auth.sessions s join auth.users u on u.tenant_id = s.tenant_id and u.id = s.user_id
     where s.tenant_id = tenon.tenant_id() and s.id = session;
end $$;

create function auth.describe_user(person uuid) returns jsonb
    language plpgsql stable set search_path = ''
as $$
begin
    return auth.user_object(u, (select jsonb_agg(auth.identity_object(i) order by i.created_at, i.id)
                                  from auth.identities i where i.tenant_id = u.tenant_id and i.user_id = u.id))
      from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person;
end $$;

-- What a new session gets. The server makes the session's id, because the refresh token is made of it.
create type auth.new_session as (
    id           uuid,
    token        text,        -- SHA-256 of the first refresh token
    user_agent   text,
    ip           inet,
    lifetime_s   bigint       -- 0: for ever
);

create function auth.open_session(person uuid, opening auth.new_session, method text) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    insert into auth.sessions (id, user_id, not_after, user_agent, ip)
    values (opening.id, person, now() + nullif(opening.lifetime_s, 0) * interval '1 second', left(opening.user_agent, 1000), opening.ip);
    insert into auth.mfa_amr_claims (session_id, authentication_method) values (opening.id, method);
    insert into auth.refresh_tokens (token, user_id, session_id) values (opening.token, person, opening.id);
    update auth.users set last_sign_in_at = now(), updated_at = now() where tenant_id = tenon.tenant_id() and id = person;
    update auth.identities set last_sign_in_at = now(), updated_at = now()
     where tenant_id = tenon.tenant_id() and user_id = person and method = 'password' and provider = 'email';
end $$;

-- A new person, with everything else about them in the same transaction, because people hang triggers on auth.users. No `address`: an
-- anonymous person. An `address` comes in lower case, `password` as hash.
--
--   session             confirmed at once, and signed in: user_object, claims
--   user                made, or there and unconfirmed; awaits confirmation: user_object
--   user_already_exists confirmed at once would tell, and may tell
--   fabricated          there and confirmed, and nobody may learn it: a user_object that looks like a new one's
--   over_email_send_rate_limit   asked again within a minute: failure has `seconds` to wait
--   database_error      somebody's trigger or constraint said no: failure has code, message, detail, hint
create function auth.sign_up(address text, password text, metadata jsonb, autoconfirm boolean, opening auth.new_session,
                             confirmation text, out outcome text, out user_object jsonb, out claims jsonb, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    newcomer constant uuid := tenon.uuid7();
    profile constant jsonb := case when address is null then metadata
        else metadata || jsonb_build_object('sub', newcomer, 'email', address, 'email_verified', autoconfirm, 'phone_verified', false) end;
    person auth.users;
    wait_s integer;
    code text;
    hint text;
    detail text;
begin
    for attempt in 1..2 loop
        select * into person from auth.users u
         where u.tenant_id = tenon.tenant_id() and u.email = address and not u.is_sso_user;
        if found then
            exit;
        end if;
        begin
            insert into auth.users (id, email, encrypted_password, email_confirmed_at, confirmation_sent_at,
                                    raw_app_meta_data, raw_user_meta_data, is_anonymous)
            values (newcomer, address, password, case when autoconfirm and address is not null then now() end,
                    case when not autoconfirm then now() end,
                    case when address is null then '{}' else '{"provider": "email", "providers": ["email"]}'::jsonb end,
                    profile, address is null)
            on conflict do nothing
            returning * into person;
            if found then
                outcome := 'new';
                perform auth.complete_sign_up(person, profile, autoconfirm, opening, confirmation);
                -- what people deferred to the end would fail at COMMIT, where nobody could say what it was
                set constraints all immediate;
                exit;
            end if;
        exception when others then
            get stacked diagnostics code = returned_sqlstate, hint = pg_exception_hint, detail = pg_exception_detail;
            -- faults of the server itself, and what only wants to be tried again, are not the trigger's
            if left(code, 2) in ('08', '25', '40', '53', '55', '57', '58', 'XX') then
                raise;
            end if;
            outcome := 'database_error';
            failure := jsonb_strip_nulls(jsonb_build_object('code', code, 'message', sqlerrm,
                                                            'hint', nullif(hint, ''), 'detail', nullif(detail, '')));
            return;
        end;
    end loop;

    if person.id is null then -- a trigger `before insert` let it vanish
        outcome := 'database_error';
        failure := jsonb_build_object('code', 'P0001', 'message', 'a trigger on auth.users prevented the sign-up');
    elsif outcome = 'new' and autoconfirm then
        outcome := 'session';
        select d.user_object, d.claims into sign_up.user_object, sign_up.claims from auth.describe_session(opening.id) d;
    elsif outcome = 'new' then
        outcome := 'user';
        user_object := auth.describe_user(person.id);
    elsif autoconfirm then
        outcome := 'user_already_exists';
    elsif person.confirmed_at is not null then
        outcome := 'fabricated';
        person := jsonb_populate_record(null::auth.users, jsonb_build_object(
            'id', tenon.uuid7(), 'aud', 'authenticated', 'role', '', 'email', address, 'is_anonymous', false,
            'confirmation_sent_at', now(), 'created_at', now(), 'updated_at', now(),
            'raw_app_meta_data', '{"provider": "email", "providers": ["email"]}'::jsonb, 'raw_user_meta_data', metadata));
        user_object := auth.user_object(person, '[]');
    else
        wait_s := ceil(extract(epoch from person.confirmation_sent_at + interval '1 minute' - now()));
        if wait_s > 0 then
            outcome := 'over_email_send_rate_limit';
            failure := jsonb_build_object('seconds', wait_s);
        else
            outcome := 'user';
            update auth.users set confirmation_sent_at = now(), updated_at = now() where tenant_id = tenon.tenant_id() and id = person.id;
            perform auth.expect_confirmation(person.id, address, confirmation);
            user_object := auth.describe_user(person.id);
        end if;
    end if;
end $$;
comment on function auth.sign_up(text, text, jsonb, boolean, auth.new_session, text) is 'A new person, or what to answer instead.';

-- The rest of a sign-up, after the row of auth.users and its triggers.
create function auth.complete_sign_up(person auth.users, profile jsonb, autoconfirm boolean, opening auth.new_session, confirmation text)
    returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    if person.email is not null then
        insert into auth.identities (provider_id, user_id, identity_data, provider)
        values (person.id::text, person.id, profile, 'email');
    end if;
    if autoconfirm then
        perform auth.open_session(person.id, opening, case when person.email is null then 'anonymous' else 'password' end);
    else
        perform auth.expect_confirmation(person.id, person.email, confirmation);
    end if;
end $$;

create function auth.expect_confirmation(person uuid, address text, hash text) returns void
    language sql volatile set search_path = ''
as $$
    insert into auth.one_time_tokens (user_id, token_type, token_hash, relates_to)
    values (person, 'confirmation_token', hash, address)
    on conflict (tenant_id, user_id, token_type)
        do update set token_hash = excluded.token_hash, relates_to = excluded.relates_to, updated_at = now()
$$;

-- A session for somebody whose password was right a moment ago: `seen` is the hash it was checked against, and must still be in
-- force. `better` replaces it when the cost of hashing has changed since.
--   session, or invalid_credentials, user_banned, email_not_confirmed
create function auth.sign_in(person uuid, seen text, better text, opening auth.new_session,
                             out outcome text, out user_object jsonb, out claims jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    found_user auth.users;
begin
    select * into found_user from auth.users u
     where u.tenant_id = tenon.tenant_id() and u.id = person and u.encrypted_password = seen and u.deleted_at is null
       for no key update;
    outcome := case when not found then 'invalid_credentials'
                    when found_user.banned_until > now() then 'user_banned'
                    when found_user.email_confirmed_at is null then 'email_not_confirmed'
                    else 'session' end;
    if outcome = 'session' then
        if better is not null then
            update auth.users set encrypted_password = better where tenant_id = tenon.tenant_id() and id = person;
        end if;
        perform auth.open_session(person, opening, 'password');
        select d.user_object, d.claims into sign_in.user_object, sign_in.claims from auth.describe_session(opening.id) d;
    end if;
end $$;
comment on function auth.sign_in(uuid, text, text, auth.new_session) is 'A session for a person whose password has been checked.';

-- A refresh token exchanged for the next one. The server has verified that it made `presented`, for this session and with this counter;
-- `successor` is the hash of the next. The lock on the session puts simultaneous requests in a row.
--   session: user_object, claims, and `counter` of the refresh token to hand out; or
--   refresh_token_not_found, user_banned, session_expired, refresh_token_already_used
-- A token that was exchanged before gives the current one again when that came directly from it (the answer was lost on its way, or two
-- requests ran at once), or when that was only moments ago. Otherwise somebody has a copy: all tokens of the session end.
create function auth.refresh_session(session uuid, presented_counter bigint, presented text, successor text, reuse_s bigint,
                                     client text, address inet,
                                     out outcome text, out counter bigint, out user_object jsonb, out claims jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    found_session auth.sessions;
    token auth.refresh_tokens;
    active auth.refresh_tokens;
begin
    select * into found_session from auth.sessions s
     where s.tenant_id = tenon.tenant_id() and s.id = session for no key update;
    if not found or presented_counter > found_session.refresh_token_counter then
        outcome := 'refresh_token_not_found';
        return;
    end if;
    if exists (select from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = found_session.user_id
                  and u.banned_until > now()) then
        outcome := 'user_banned';
        return;
    end if;
    if found_session.not_after <= now() then
        outcome := 'session_expired';
        return;
    end if;

    select * into active from auth.refresh_tokens t
     where t.tenant_id = tenon.tenant_id() and t.session_id = session and not t.revoked;
    if active.token = presented then
        counter := presented_counter + 1;
        update auth.refresh_tokens t set revoked = true, updated_at = now()
         where t.tenant_id = tenon.tenant_id() and t.id = active.id;
        insert into auth.refresh_tokens (token, user_id, parent, session_id)
        values (successor, found_session.user_id, presented, session);
        -- an older one can only ever be answered with "used already", and its counter says that as well
        delete from auth.refresh_tokens t
         where t.tenant_id = tenon.tenant_id() and t.session_id = session and t.revoked and t.updated_at < now() - interval '1 day'
           and t.id <> active.id;
    else
        select * into token from auth.refresh_tokens t where t.tenant_id = tenon.tenant_id() and t.token = presented;
        if active.parent = presented or (active.id is not null and now() <= token.updated_at + reuse_s * interval '1 second') then
            counter := found_session.refresh_token_counter;
        else
            update auth.refresh_tokens t set revoked = true, updated_at = now()
             where t.tenant_id = tenon.tenant_id() and t.session_id = session and not t.revoked;
            outcome := 'refresh_token_already_used';
            return;
        end if;
    end if;

    update auth.sessions s
       set refreshed_at = now(), updated_at = now(), refresh_token_counter = refresh_session.counter,
           user_agent = left(client, 1000), ip = address
     where s.tenant_id = tenon.tenant_id() and s.id = session;
    outcome := 'session';
    select d.user_object, d.claims into refresh_session.user_object, refresh_session.claims from auth.describe_session(session) d;
end $$;
comment on function auth.refresh_session(uuid, bigint, text, text, bigint, text, inet) is 'The next refresh token of a session.';

-- A person made by the operator, confirmed at once, without a session; for `tenon user create`, as the owner. Null when the address
-- is taken.
create function auth.create_user(tenant uuid, address text, password text, metadata jsonb) returns jsonb
    language plpgsql volatile set search_path = ''
as $$
declare
    newcomer constant uuid := tenon.uuid7();
    profile constant jsonb := metadata || jsonb_build_object('sub', newcomer, 'email', lower(address),
                                                             'email_verified', true, 'phone_verified', false);
begin
    perform set_config('tenon.tenant_id', tenant::text, true);
    insert into auth.users (id, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data)
    values (newcomer, lower(address), password, now(), '{"provider": "email", "providers": ["email"]}', profile)
    on conflict do nothing;
    if not found then
        return null;
    end if;
    insert into auth.identities (provider_id, user_id, identity_data, provider)
    values (newcomer::text, newcomer, profile, 'email');
    return auth.describe_user(newcomer);
end $$;
comment on function auth.create_user(uuid, text, text, jsonb) is 'A confirmed person, made by the operator.';

-- By name, and not "all functions in schema auth": auth.uid() and its siblings are everybody's.
revoke execute on function
    auth.rfc3339(timestamptz), auth.user_object(auth.users, jsonb), auth.identity_object(auth.identities),
    auth.claims(auth.users, uuid, auth.aal_level, jsonb), auth.describe_session(uuid), auth.describe_user(uuid),
    auth.open_session(uuid, auth.new_session, text), auth.sign_up(text, text, jsonb, boolean, auth.new_session, text),
    auth.complete_sign_up(auth.users, jsonb, boolean, auth.new_session, text), auth.expect_confirmation(uuid, text, text),
    auth.sign_in(uuid, text, text, auth.new_session),
    auth.refresh_session(uuid, bigint, text, text, bigint, text, inet),
    auth.create_user(uuid, text, text, jsonb) from public;
grant execute on function
    auth.rfc3339(timestamptz), auth.user_object(auth.users, jsonb), auth.identity_object(auth.identities),
    auth.claims(auth.users, uuid, auth.aal_level, jsonb), auth.describe_session(uuid), auth.describe_user(uuid),
    auth.open_session(uuid, auth.new_session, text), auth.sign_up(text, text, jsonb, boolean, auth.new_session, text),
    auth.complete_sign_up(auth.users, jsonb, boolean, auth.new_session, text), auth.expect_confirmation(uuid, text, text),
    auth.sign_in(uuid, text, text, auth.new_session),
    auth.refresh_session(uuid, bigint, text, text, bigint, text, inet) to tenon_worker;
