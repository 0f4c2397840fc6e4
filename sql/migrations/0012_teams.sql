-- 0012: teams: organisations inside a tenant, who belongs to them, and who is asked to join
--
-- What a request may do is decided here and not in C: every function takes who is asking (auth.team_caller), looks up what they are in the
-- team while it holds the team's row, and tells with `outcome` what came of it: `ok`, or an error code. A team that is not the
-- caller's is `team_not_found`, exactly like one that does not exist.
--
-- Roles have a rank. Who asks may do to others what their own rank allows: touch whoever ranks no higher, give what ranks no higher.

-- The three that every tenant has, and those that it defines. The three come with the tenant's first team.
create table auth.team_roles (
    tenant_id   uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    name        text        not null check (name ~ '^[a-z][a-z0-9_]{0,39}$'),
    rank        smallint    not null,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    primary key (tenant_id, name),
    constraint rank_of_name check (
        case name when 'owner' then rank = 100 when 'admin' then rank = 80 when 'member' then rank = 20 else rank between 1 and 79 end)
);
comment on table auth.team_roles is 'What somebody can be in a team, the tenant''s own roles included.';
select tenon.isolate('auth.team_roles');

create table auth.teams (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id         uuid        not null default tenon.uuid7(),
    slug       text        not null check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name       text        not null check (char_length(name) between 1 and 100 and name !~ '[[:cntrl:]]'),
    metadata   jsonb       not null default '{}'
                           check (jsonb_typeof(metadata) = 'object' and octet_length(metadata::text) <= 16384),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, slug)
);
comment on table auth.teams is 'Organisations inside a tenant.';
create index teams_by_age on auth.teams (tenant_id, created_at);
select tenon.isolate('auth.teams', scope => 'teams');

create table auth.team_members (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    team_id    uuid        not null,
    user_id    uuid        not null,
    role       text        not null default 'member',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, team_id, user_id),
    foreign key (tenant_id, team_id) references auth.teams (tenant_id, id) on delete cascade,
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade,
    foreign key (tenant_id, role) references auth.team_roles (tenant_id, name)
);
comment on table auth.team_members is 'Who belongs to a team, and as what.';
create index team_members_by_user on auth.team_members (tenant_id, user_id, team_id) include (role); -- what every policy asks
create index team_members_by_role on auth.team_members (tenant_id, role);
select tenon.isolate('auth.team_members');

-- Those that are over are kept for a month, because the limit per hour counts them. Whose inviter is gone are gone as well.
create table auth.team_invitations (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id         uuid        not null default tenon.uuid7(),
    team_id    uuid,                                                     -- null: of a team that is gone, see auth.delete_team()
    email      text        not null check (email = lower(email) and char_length(email) between 3 and 255),
    role       text        not null default 'member',
    token_hash text        not null check (char_length(token_hash) > 0), -- SHA-256 of what the link carries, in hexadecimal
    invited_by uuid,                                                     -- null: the tenant's secret key
    status     text        not null default 'pending' check (status in ('pending', 'accepted', 'declined', 'revoked')),
    sends      smallint    not null default 1,
    sent_at    timestamptz not null default now(),
    expires_at timestamptz not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, team_id) references auth.teams (tenant_id, id) on delete cascade,
    foreign key (tenant_id, invited_by) references auth.users (tenant_id, id) on delete cascade,
    foreign key (tenant_id, role) references auth.team_roles (tenant_id, name)
);
comment on table auth.team_invitations is 'Whom a team has asked to join, by address.';
create unique index team_invitations_by_token on auth.team_invitations (tenant_id, token_hash);
create unique index team_invitations_one_pending on auth.team_invitations (tenant_id, team_id, email) where status = 'pending';
create index team_invitations_by_inviter on auth.team_invitations (tenant_id, invited_by, created_at);
create index team_invitations_by_role on auth.team_invitations (tenant_id, role);
select tenon.isolate('auth.team_invitations');

grant select, insert, update, delete on auth.team_roles, auth.teams, auth.team_members, auth.team_invitations to tenon_worker;

-- --- what holds whatever is done ---------------------------------------------------------------------------------------------------

create function auth.define_team_roles() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    insert into auth.team_roles (tenant_id, name, rank)
    values (new.tenant_id, 'owner', 100), (new.tenant_id, 'admin', 80), (new.tenant_id, 'member', 20)
    on conflict do nothing;
    return new;
end $$;
create trigger roles before insert on auth.teams for each row execute function auth.define_team_roles();

-- A team has an owner as long as it exists. Whoever takes the last one away is told so, but for the end of an account, which nothing holds
-- up: then the member who ranks highest, and has been there longest, is the owner; and a team with nobody left ends. The lock puts
-- owners who leave at once in a row, and each then sees what the one before has done.
--
-- As tenon_platform, because accounts also end at the hands of those who are in no tenant.
create function auth.keep_team_owner() returns trigger
    language plpgsql set search_path = ''
as $$
declare
    heir uuid;
begin
    perform from auth.teams t where t.tenant_id = old.tenant_id and t.id = old.team_id for no key update;
    if not found -- it ends as a whole
       or exists (select from auth.team_members m
                   where m.tenant_id = old.tenant_id and m.team_id = old.team_id and m.role = 'owner') then
        return null;
    end if;
    if exists (select from auth.users u where u.tenant_id = old.tenant_id and u.id = old.user_id and u.deleted_at is null) then
        raise exception using errcode = 'PT409', constraint = 'team_needs_owner', message = 'A team needs an owner',
            hint = 'Make somebody else an owner first, or delete the team.';
    end if;
    select m.user_id into heir
      from auth.team_members m join auth.team_roles r on r.tenant_id = m.tenant_id and r.name = m.role
     where m.tenant_id = old.tenant_id and m.team_id = old.team_id
     order by r.rank desc, m.created_at, m.user_id limit 1;
    if found then
        update auth.team_members m set role = 'owner', updated_at = now()
         where m.tenant_id = old.tenant_id and m.team_id = old.team_id and m.user_id = heir;
    else
        delete from auth.teams t where t.tenant_id = old.tenant_id and t.id = old.team_id;
    end if;
    if old.tenant_id = tenon.tenant_id() then
        perform auth.audit(case when heir is null then 'team_deleted' else 'team_owner_succeeded' end, null,
                           jsonb_build_object('team_id', old.team_id, 'former_owner', old.user_id, 'user_id', heir));
    end if;
    return null;
end $$;
select tenon.run_as_platform('auth.keep_team_owner()');
create trigger owner_leaves after delete on auth.team_members
    for each row when (old.role = 'owner') execute function auth.keep_team_owner();
create trigger owner_steps_down after update of role on auth.team_members
    for each row when (old.role = 'owner' and new.role <> 'owner') execute function auth.keep_team_owner();

-- An account that is deleted without its row being so leaves its teams as well.
create function auth.leave_teams() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    delete from auth.team_members m where m.tenant_id = new.tenant_id and m.user_id = new.id;
    delete from auth.team_invitations i where i.tenant_id = new.tenant_id and i.invited_by = new.id;
    return null;
end $$;
select tenon.run_as_platform('auth.leave_teams()');
create trigger leave_teams after update of deleted_at on auth.users
    for each row when (old.deleted_at is null and new.deleted_at is not null) execute function auth.leave_teams();

-- --- what policies ask -------------------------------------------------------------------------------------------------------------
--
-- They look into the table and not into the token: who was removed from a team is out with the next statement, not with the next token.
-- The token says the same for clients and for other services, which cannot look here; so what it says may be as old as it is.

create function auth.team_ids() returns setof uuid
    language sql stable security definer parallel safe rows 10 set search_path = ''
as $$
    select m.team_id from auth.team_members m where m.tenant_id = tenon.tenant_id() and m.user_id = auth.uid()
$$;
comment on function auth.team_ids() is 'The teams of the person who is asking. In policies: team_id = any (array(select auth.team_ids())).';

-- The rank that a role of ours asks for; null for those that a tenant defines, which are asked for by name.
create function auth.team_rank(role text) returns smallint
    language sql immutable parallel safe
    return case role when 'owner' then 100 when 'admin' then 80 when 'member' then 20 end::smallint;

create function auth.team_ids(role text) returns setof uuid
    language sql stable security definer parallel safe rows 10 set search_path = ''
as $$
    select m.team_id
      from auth.team_members m
     where m.tenant_id = tenon.tenant_id() and m.user_id = auth.uid()
       and (m.role = team_ids.role
            or (select r.rank from auth.team_roles r where r.tenant_id = m.tenant_id and r.name = m.role) >= auth.team_rank(team_ids.role))
$$;
comment on function auth.team_ids(text) is
    'The teams in which the person who is asking has this role; of owner, admin and member also a higher one.';

create function auth.has_team_role(team uuid, role text) returns boolean
    language sql stable security definer parallel safe set search_path = ''
as $$
    select exists (
        select from auth.team_members m
         where m.tenant_id = tenon.tenant_id() and m.user_id = auth.uid() and m.team_id = team
           and (m.role = has_team_role.role
                or (select r.rank from auth.team_roles r where r.tenant_id = m.tenant_id and r.name = m.role)
                   >= auth.team_rank(has_team_role.role)))
$$;
comment on function auth.has_team_role(uuid, text) is
    'Whether the person who is asking has this role in the team; of owner, admin and member also a higher one.';

-- People see their own teams, so that a view of the app's can show their names and the data API can embed them. Agents need teams:read.
create policy members on auth.teams for select to authenticated, agent using (id = any (array(select auth.team_ids())));
grant select on auth.teams to authenticated, agent, service_role;

-- tenon.protect(), the key to auth.teams if there is none, and policies by which a team's members see its rows and `writes` or better
-- change them. Null: every member. What is said in `reads` holds for whoever writes as well, since nobody changes what they do not see.
create function tenon.protect_team(target regclass, team text default 'team_id', reads text default null, writes text default null,
                                   scope text default null) returns void
    language plpgsql set search_path = ''
as $$
declare
    mine constant text := '(%I = any (array(select auth.team_ids(%s))))';
    seen constant text := format(mine, team, coalesce(quote_literal(reads), ''));
    changed constant text := format(mine, team, coalesce(quote_literal(writes), ''));
    team_number smallint;
begin
    perform tenon.protect(target, scope => protect_team.scope);
    select a.attnum into team_number from pg_catalog.pg_attribute a
     where a.attrelid = target and a.attname = team and a.attnum > 0 and not a.attisdropped and a.atttypid = 'uuid'::regtype;
    if not found then
        raise exception '% has no column % of type uuid', target, team using errcode = 'undefined_column';
    end if;
    if not exists (select from pg_catalog.pg_constraint k
                    where k.contype = 'f' and k.conrelid = target and k.confrelid = 'auth.teams'::regclass and team_number = any (k.conkey)) then
        execute format('alter table %s add foreign key (tenant_id, %I) references auth.teams (tenant_id, id) on delete cascade', target, team);
    end if;
    if not exists (select from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = target and a.attnum = i.indkey[0]
                    where i.indrelid = target and i.indpred is null and a.attname = 'tenant_id' and i.indkey[1] = team_number) then
        execute format('create index on %s (tenant_id, %I)', target, team);
    end if;
    perform tenon.set_policy(target, 'tenon_team_reads', 'for select to authenticated, agent using ' || seen);
    perform tenon.set_policy(target, 'tenon_team_adds', 'for insert to authenticated, agent with check ' || changed);
    perform tenon.set_policy(target, 'tenon_team_edits', 'for update to authenticated, agent using ' || changed || ' with check ' || changed);
    perform tenon.set_policy(target, 'tenon_team_drops', 'for delete to authenticated, agent using ' || changed);
end $$;
comment on function tenon.protect_team(regclass, text, text, text, text) is 'tenon.protect() for rows that belong to a team.';

-- --- what the token says -----------------------------------------------------------------------------------------------------------

-- [{"id", "role"}], the oldest memberships first, 50 of them or 4 KiB at most: a token travels in a header.
create function auth.team_claims(person uuid) returns jsonb
    language plpgsql stable set search_path = ''
as $$
begin
    return (
        select coalesce(jsonb_agg(e.entry order by e.place), '[]')
          from (select s.entry, row_number() over joined as place, sum(octet_length(s.entry::text) + 2) over joined as size
                  from (select jsonb_build_object('id', m.team_id, 'role', m.role) as entry, m.created_at, m.team_id
                          from auth.team_members m
                         where m.tenant_id = tenon.tenant_id() and m.user_id = person
                         order by m.created_at, m.team_id limit 50) as s
                window joined as (order by s.created_at, s.team_id)) as e
         where e.size <= 4096);
end $$;
comment on function auth.team_claims(uuid) is 'The claim `teams` of a person''s token.';

-- As in 0002, with `teams`.
create or replace function auth.claims(u auth.users, session_id uuid, aal auth.aal_level, amr jsonb) returns jsonb
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
        'is_anonymous', u.is_anonymous,
        'teams', auth.team_claims(u.id));

-- --- who is asking -----------------------------------------------------------------------------------------------------------------

-- The caller of the functions below. No person: the tenant's secret key, which may do everything in its tenant.
create type auth.team_caller as (
    person  uuid,
    session uuid,
    address inet
);

-- `ok`, or what is wrong with the account or the session of the caller.
create function auth.check_team_caller(caller auth.team_caller) returns text
    language plpgsql stable set search_path = ''
as $$
begin
    if caller.person is null then
        return 'ok';
    end if;
    return coalesce((
        select case when u.banned_until > now() then 'user_banned'
                    when u.is_anonymous then 'no_authorization'
                    when caller.session is not null and not exists (
                         select from auth.sessions s
                          where s.tenant_id = u.tenant_id and s.id = caller.session and s.user_id = u.id
                            and coalesce(s.not_after > now(), true)) then 'session_not_found'
                    else 'ok' end
          from auth.users u
         where u.tenant_id = tenon.tenant_id() and u.id = caller.person and u.deleted_at is null), 'user_not_found');
end $$;

-- The team, and the caller's rank in it, which must be `needed`. With `locks` nobody else changes the team meanwhile.
create function auth.enter_team(caller auth.team_caller, team uuid, needed integer, locks boolean,
                                out outcome text, out rank integer, out role text, out entered auth.teams)
    language plpgsql volatile set search_path = ''
as $$
begin
    outcome := auth.check_team_caller(caller);
    if outcome <> 'ok' then
        return;
    end if;
    if locks then
        perform from auth.teams t where t.tenant_id = tenon.tenant_id() and t.id = team for no key update;
    end if;
    select t.* into entered from auth.teams t where t.tenant_id = tenon.tenant_id() and t.id = team;
    if found and caller.person is null then
        rank := 1000;
    elsif found then
        select r.rank, m.role into enter_team.rank, enter_team.role
          from auth.team_members m join auth.team_roles r on r.tenant_id = m.tenant_id and r.name = m.role
         where m.tenant_id = tenon.tenant_id() and m.team_id = team and m.user_id = caller.person;
    end if;
    outcome := case when enter_team.rank is null then 'team_not_found'
                    when enter_team.rank < needed then 'team_role_insufficient'
                    else 'ok' end;
end $$;

create function auth.audit_team(action text, caller auth.team_caller, team uuid, traits jsonb default '{}') returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    perform auth.audit(action, caller.person, jsonb_build_object('team_id', team) || traits, caller.address);
end $$;

create function auth.team_object(t auth.teams, role text) returns jsonb
    language sql stable parallel safe
    return jsonb_build_object('id', t.id, 'slug', t.slug, 'name', t.name, 'metadata', t.metadata, 'role', role,
                              'created_at', auth.rfc3339(t.created_at), 'updated_at', auth.rfc3339(t.updated_at));

create function auth.team_member_object(m auth.team_members, u auth.users) returns jsonb
    language sql stable parallel safe
    return jsonb_build_object('user_id', m.user_id, 'role', m.role, 'email', coalesce(u.email, ''),
                              'name', coalesce(u.raw_user_meta_data ->> 'full_name', u.raw_user_meta_data ->> 'name'),
                              'created_at', auth.rfc3339(m.created_at), 'updated_at', auth.rfc3339(m.updated_at));

create function auth.team_invitation_object(i auth.team_invitations) returns jsonb
    language sql stable parallel safe
    return jsonb_build_object('id', i.id, 'team_id', i.team_id, 'email', i.email, 'role', i.role, 'invited_by', i.invited_by,
                              'sent_at', auth.rfc3339(i.sent_at), 'expires_at', auth.rfc3339(i.expires_at),
                              'created_at', auth.rfc3339(i.created_at));

-- --- teams -------------------------------------------------------------------------------------------------------------------------

-- Those of the caller; the secret key gets all, or those of `person`.
create function auth.list_teams(caller auth.team_caller, person uuid, first bigint, most bigint, out outcome text, out answer jsonb)
    language plpgsql stable set search_path = ''
as $$
declare
    whose constant uuid := coalesce(caller.person, person);
begin
    outcome := auth.check_team_caller(caller);
    if outcome = 'no_authorization' then -- anonymous people have none, which is an answer
        outcome := 'ok';
    end if;
    if outcome <> 'ok' then
        return;
    end if;
    select jsonb_build_object('teams', coalesce(jsonb_agg(x.object order by x.created_at, x.id), '[]'))
      into answer
      from (select auth.team_object(t, m.role) as object, t.created_at, t.id
              from auth.teams t
              left join auth.team_members m on m.tenant_id = t.tenant_id and m.team_id = t.id and m.user_id = whose
             where t.tenant_id = tenon.tenant_id() and (whose is null or m.user_id is not null)
             order by t.created_at, t.id limit most offset first) as x;
end $$;

-- A slug out of a name, with a few random characters behind it if it is taken.
create function auth.make_team_slug(name text) returns text
    language plpgsql volatile set search_path = ''
as $$
declare
    plain constant text := coalesce(nullif(trim(both '-' from left(regexp_replace(lower(name), '[^a-z0-9]+', '-', 'g'), 48)), ''), 'team');
begin
    if exists (select from auth.teams t where t.tenant_id = tenon.tenant_id() and t.slug = plain) then
        return plain || '-' || left(replace(gen_random_uuid()::text, '-', ''), 8);
    end if;
    return plain;
end $$;

-- `owner` is the caller; the secret key says who it is. The lock on the owner's row makes the limit hold for simultaneous requests.
create function auth.create_team(caller auth.team_caller, owner uuid, slug text, name text, metadata jsonb, most bigint,
                                 out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    whose constant uuid := coalesce(caller.person, owner);
    made auth.teams;
begin
    outcome := auth.check_team_caller(caller);
    if outcome <> 'ok' then
        return;
    end if;
    perform from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = whose and u.deleted_at is null for no key update;
    if not found then
        outcome := 'team_person_not_found';
        return;
    end if;
    if caller.person is not null and most <= (select count(*) from auth.team_members m
                                               where m.tenant_id = tenon.tenant_id() and m.user_id = whose and m.role = 'owner') then
        outcome := 'too_many_teams';
        return;
    end if;
    insert into auth.teams as t (slug, name, metadata)
    values (coalesce(create_team.slug, auth.make_team_slug(create_team.name)), create_team.name, coalesce(create_team.metadata, '{}'))
    on conflict on constraint teams_tenant_id_slug_key do nothing -- (a parameter has the column's name)
    returning * into made;
    if not found then
        outcome := 'team_slug_taken';
        return;
    end if;
    insert into auth.team_members (team_id, user_id, role) values (made.id, whose, 'owner');
    perform auth.audit_team('team_created', caller, made.id, jsonb_build_object('slug', made.slug, 'name', made.name, 'user_id', whose));
    answer := auth.team_object(made, case when caller.person is not null then 'owner' end);
end $$;

create function auth.read_team(caller auth.team_caller, team uuid, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    entry record;
begin
    select * into entry from auth.enter_team(caller, team, 0, false);
    outcome := entry.outcome;
    if outcome = 'ok' then
        answer := auth.team_object(entry.entered, entry.role);
    end if;
end $$;

-- Null keeps what there is.
create function auth.update_team(caller auth.team_caller, team uuid, slug text, name text, metadata jsonb, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    entry record;
    changed auth.teams;
begin
    select * into entry from auth.enter_team(caller, team, 80, true);
    outcome := entry.outcome;
    if outcome <> 'ok' then
        return;
    end if;
    begin
        update auth.teams t
           set slug = coalesce(update_team.slug, t.slug), name = coalesce(update_team.name, t.name),
               metadata = coalesce(update_team.metadata, t.metadata), updated_at = now()
         where t.tenant_id = tenon.tenant_id() and t.id = team
        returning * into changed;
    exception when unique_violation then
        outcome := 'team_slug_taken';
        return;
    end;
    perform auth.audit_team('team_updated', caller, team, jsonb_build_object('slug', changed.slug, 'name', changed.name));
    answer := auth.team_object(changed, entry.role);
end $$;

create function auth.delete_team(caller auth.team_caller, team uuid, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    entry record;
begin
    select * into entry from auth.enter_team(caller, team, 100, true);
    outcome := entry.outcome;
    if outcome = 'ok' then -- who has invited still has, this hour
        update auth.team_invitations i set team_id = null, email = 'gone', status = 'revoked', updated_at = now()
         where i.tenant_id = tenon.tenant_id() and i.team_id = team and i.created_at > now() - interval '1 hour';
        delete from auth.teams t where t.tenant_id = tenon.tenant_id() and t.id = team;
        perform auth.audit_team('team_deleted', caller, team, jsonb_build_object('slug', (entry.entered).slug, 'name', (entry.entered).name));
        answer := '{}';
    end if;
end $$;

-- --- members -----------------------------------------------------------------------------------------------------------------------

create function auth.list_team_members(caller auth.team_caller, team uuid, first bigint, most bigint, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    select e.outcome into list_team_members.outcome from auth.enter_team(caller, team, 0, false) e;
    if outcome <> 'ok' then
        return;
    end if;
    select jsonb_build_object('members', coalesce(jsonb_agg(x.object order by x.created_at, x.user_id), '[]'))
      into answer
      from (select auth.team_member_object(m, u) as object, m.created_at, m.user_id
              from auth.team_members m join auth.users u on u.tenant_id = m.tenant_id and u.id = m.user_id
             where m.tenant_id = tenon.tenant_id() and m.team_id = team
             order by m.created_at, m.user_id limit most offset first) as x;
end $$;

create function auth.describe_team_member(team uuid, person uuid) returns jsonb
    language plpgsql stable set search_path = ''
as $$
begin
    return (select auth.team_member_object(m, u)
              from auth.team_members m join auth.users u on u.tenant_id = m.tenant_id and u.id = m.user_id
             where m.tenant_id = tenon.tenant_id() and m.team_id = team and m.user_id = person);
end $$;

create function auth.role_rank(role text) returns integer
    language plpgsql stable set search_path = ''
as $$
begin
    return (select r.rank from auth.team_roles r where r.tenant_id = tenon.tenant_id() and r.name = role_rank.role);
end $$;

-- Without an invitation: the secret key only.
create function auth.add_team_member(caller auth.team_caller, team uuid, person uuid, role text, most bigint, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    select case when e.outcome = 'ok' and caller.person is not null then 'not_admin' else e.outcome end
      into add_team_member.outcome from auth.enter_team(caller, team, 0, true) e;
    if outcome <> 'ok' then
        return;
    end if;
    outcome := case
        when auth.role_rank(add_team_member.role) is null then 'team_role_not_found'
        when not exists (select from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person and u.deleted_at is null)
            then 'team_person_not_found'
        when exists (select from auth.team_members m
                      where m.tenant_id = tenon.tenant_id() and m.team_id = team and m.user_id = person) then 'team_member_exists'
        when most <= (select count(*) from auth.team_members m where m.tenant_id = tenon.tenant_id() and m.team_id = team)
            then 'too_many_team_members'
        else 'ok' end;
    if outcome = 'ok' then
        insert into auth.team_members (team_id, user_id, role) values (team, person, add_team_member.role);
        perform auth.audit_team('team_member_added', caller, team, jsonb_build_object('user_id', person, 'role', add_team_member.role));
        answer := auth.describe_team_member(team, person);
    end if;
end $$;

-- The invitations that somebody has sent and, being `rank` from now on, could not send any more.
create function auth.revoke_invitations_by(team uuid, person uuid, rank integer) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    update auth.team_invitations i set status = 'revoked', updated_at = now()
     where i.tenant_id = tenon.tenant_id() and i.team_id = revoke_invitations_by.team and i.invited_by = person and i.status = 'pending'
       and (revoke_invitations_by.rank < 80 or revoke_invitations_by.rank < auth.role_rank(i.role));
end $$;

create function auth.set_team_role(caller auth.team_caller, team uuid, person uuid, role text, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    entry record;
    wanted_rank constant integer := auth.role_rank(role);
    former text;
begin
    select * into entry from auth.enter_team(caller, team, 80, true);
    outcome := entry.outcome;
    if outcome <> 'ok' then
        return;
    end if;
    select m.role into former from auth.team_members m
     where m.tenant_id = tenon.tenant_id() and m.team_id = set_team_role.team and m.user_id = person;
    outcome := case when former is null then 'team_member_not_found'
                    when wanted_rank is null then 'team_role_not_found'
                    when auth.role_rank(former) > entry.rank or wanted_rank > entry.rank then 'team_role_insufficient'
                    else 'ok' end;
    if outcome = 'ok' and former <> set_team_role.role then
        update auth.team_members m set role = set_team_role.role, updated_at = now()
         where m.tenant_id = tenon.tenant_id() and m.team_id = set_team_role.team and m.user_id = person;
        perform auth.revoke_invitations_by(team, person, wanted_rank);
        perform auth.audit_team('team_role_changed', caller, team,
                                jsonb_build_object('user_id', person, 'role', set_team_role.role, 'former_role', former));
    end if;
    if outcome = 'ok' then
        answer := auth.describe_team_member(team, person);
    end if;
end $$;

-- People may always leave, but for a last owner.
create function auth.remove_team_member(caller auth.team_caller, team uuid, person uuid, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    entry record;
    is_own constant boolean := coalesce(caller.person = person, false);
    former text;
begin
    select * into entry from auth.enter_team(caller, team, case when is_own then 0 else 80 end, true);
    outcome := entry.outcome;
    if outcome <> 'ok' then
        return;
    end if;
    select m.role into former from auth.team_members m
     where m.tenant_id = tenon.tenant_id() and m.team_id = remove_team_member.team and m.user_id = person;
    outcome := case when former is null then 'team_member_not_found'
                    when auth.role_rank(former) > entry.rank then 'team_role_insufficient'
                    else 'ok' end;
    if outcome = 'ok' then
        delete from auth.team_members m
         where m.tenant_id = tenon.tenant_id() and m.team_id = remove_team_member.team and m.user_id = person;
        perform auth.revoke_invitations_by(team, person, 0);
        perform auth.audit_team(case when is_own then 'team_member_left' else 'team_member_removed' end, caller, team,
                                jsonb_build_object('user_id', person, 'role', former));
        answer := '{}';
    end if;
end $$;

-- --- invitations -------------------------------------------------------------------------------------------------------------------

-- Those that can still be accepted.
create function auth.list_team_invitations(caller auth.team_caller, team uuid, first bigint, most bigint, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    select e.outcome into list_team_invitations.outcome from auth.enter_team(caller, team, 80, false) e;
    if outcome <> 'ok' then
        return;
    end if;
    select jsonb_build_object('invitations', coalesce(jsonb_agg(x.object order by x.created_at, x.id), '[]'))
      into answer
      from (select auth.team_invitation_object(i) as object, i.created_at, i.id
              from auth.team_invitations i
             where i.tenant_id = tenon.tenant_id() and i.team_id = team and i.status = 'pending' and i.expires_at > now()
             order by i.created_at, i.id limit most offset first) as x;
end $$;

-- What the mail has to say, before it is sealed: the team's name and who invites.
create function auth.describe_team_letter(caller auth.team_caller, team uuid, role text, invitation uuid, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    entry record;
begin
    select * into entry from auth.enter_team(caller, team, 80, false);
    outcome := entry.outcome;
    if outcome = 'ok' then
        answer := jsonb_build_object(
            'team', (entry.entered).name,
            'role', coalesce(describe_team_letter.role, (select i.role from auth.team_invitations i
                                                          where i.tenant_id = tenon.tenant_id() and i.team_id = describe_team_letter.team
                                                            and i.id = invitation)),
            'inviter', coalesce((select u.email from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = caller.person), ''));
    end if;
end $$;

-- What an invitation is limited by.
create type auth.team_limits as (
    members  bigint, -- of a team
    per_hour bigint, -- invitations by one person
    ttl_s    bigint
);

create function auth.invite_to_team(caller auth.team_caller, team uuid, address text, role text, hash text, letter bytea,
                                    limits auth.team_limits, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    entry record;
    made auth.team_invitations;
    wanted_rank constant integer := auth.role_rank(role);
begin
    select * into entry from auth.enter_team(caller, team, 80, true);
    outcome := entry.outcome;
    if outcome <> 'ok' then
        return;
    end if;
    if caller.person is not null then -- who invites into several teams at once is counted all the same
        perform from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = caller.person for no key update;
    end if;
    update auth.team_invitations i set status = 'revoked', updated_at = now()
     where i.tenant_id = tenon.tenant_id() and i.team_id = invite_to_team.team and i.email = address and i.status = 'pending'
       and i.expires_at <= now();
    outcome := case
        when wanted_rank is null then 'team_role_not_found'
        when wanted_rank > entry.rank then 'team_role_insufficient'
        when exists (select from auth.team_members m join auth.users u on u.tenant_id = m.tenant_id and u.id = m.user_id
                      where m.tenant_id = tenon.tenant_id() and m.team_id = invite_to_team.team and u.email = address) then 'team_member_exists'
        when exists (select from auth.team_invitations i
                      where i.tenant_id = tenon.tenant_id() and i.team_id = invite_to_team.team and i.email = address
                        and i.status = 'pending') then 'team_invitation_exists'
        when limits.members <= (select count(*) from auth.team_members m
                                 where m.tenant_id = tenon.tenant_id() and m.team_id = invite_to_team.team) then 'too_many_team_members'
        when caller.person is not null
             and limits.per_hour <= (select count(*) from auth.team_invitations i
                                      where i.tenant_id = tenon.tenant_id() and i.invited_by = caller.person
                                        and i.created_at > now() - interval '1 hour') then 'over_invitation_rate_limit'
        else 'ok' end;
    if outcome <> 'ok' then
        return;
    end if;
    delete from auth.team_invitations i
     where i.tenant_id = tenon.tenant_id() and i.team_id = invite_to_team.team and i.status <> 'pending'
       and i.updated_at < now() - interval '30 days';
    delete from auth.team_invitations i
     where i.tenant_id = tenon.tenant_id() and i.invited_by = caller.person and i.team_id is null and i.created_at < now() - interval '1 hour';
    insert into auth.team_invitations (team_id, email, role, token_hash, invited_by, expires_at)
    values (team, address, invite_to_team.role, hash, caller.person, now() + limits.ttl_s * interval '1 second')
    returning * into made;
    perform tenon.post_message('email', 'team_invitation', address, null, letter, limits.ttl_s);
    perform auth.audit_team('team_member_invited', caller, team,
                            jsonb_build_object('invitation_id', made.id, 'email', address, 'role', made.role));
    answer := auth.team_invitation_object(made);
end $$;

-- A new link, and the end of the old one. Once a minute, and five times in all.
create function auth.resend_team_invitation(caller auth.team_caller, team uuid, invitation uuid, hash text, letter bytea,
                                            limits auth.team_limits, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    entry record;
    found_invitation auth.team_invitations;
begin
    select * into entry from auth.enter_team(caller, team, 80, true);
    outcome := entry.outcome;
    if outcome <> 'ok' then
        return;
    end if;
    select * into found_invitation from auth.team_invitations i
     where i.tenant_id = tenon.tenant_id() and i.team_id = resend_team_invitation.team and i.id = invitation and i.status = 'pending'
       for no key update;
    outcome := case when not found then 'team_invitation_not_found'
                    when auth.role_rank(found_invitation.role) > entry.rank then 'team_role_insufficient'
                    when found_invitation.sends >= 5 or found_invitation.sent_at > now() - interval '1 minute' then 'over_email_send_rate_limit'
                    else 'ok' end;
    if outcome <> 'ok' then
        return;
    end if;
    update auth.team_invitations i
       set token_hash = hash, sends = i.sends + 1, sent_at = now(), updated_at = now(),
           expires_at = now() + limits.ttl_s * interval '1 second'
     where i.tenant_id = tenon.tenant_id() and i.id = invitation
    returning * into found_invitation;
    perform tenon.post_message('email', 'team_invitation', found_invitation.email, null, letter, limits.ttl_s);
    perform auth.audit_team('team_invitation_resent', caller, team,
                            jsonb_build_object('invitation_id', invitation, 'email', found_invitation.email));
    answer := auth.team_invitation_object(found_invitation);
end $$;

create function auth.revoke_team_invitation(caller auth.team_caller, team uuid, invitation uuid, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    entry record;
    found_invitation auth.team_invitations;
begin
    select * into entry from auth.enter_team(caller, team, 80, true);
    outcome := entry.outcome;
    if outcome <> 'ok' then
        return;
    end if;
    select * into found_invitation from auth.team_invitations i
     where i.tenant_id = tenon.tenant_id() and i.team_id = revoke_team_invitation.team and i.id = invitation and i.status = 'pending'
       for no key update;
    outcome := case when not found then 'team_invitation_not_found'
                    when auth.role_rank(found_invitation.role) > entry.rank then 'team_role_insufficient'
                    else 'ok' end;
    if outcome = 'ok' then
        update auth.team_invitations i set status = 'revoked', updated_at = now()
         where i.tenant_id = tenon.tenant_id() and i.id = invitation;
        perform auth.audit_team('team_invitation_revoked', caller, team,
                                jsonb_build_object('invitation_id', invitation, 'email', found_invitation.email));
        answer := '{}';
    end if;
end $$;

-- The invitation that this token opens, with its team and itself locked, in this order.
create function auth.open_team_invitation(hash text, out outcome text, out invitation auth.team_invitations)
    language plpgsql volatile set search_path = ''
as $$
declare
    found_team uuid;
begin
    select i.team_id into found_team from auth.team_invitations i where i.tenant_id = tenon.tenant_id() and i.token_hash = hash;
    perform from auth.teams t where t.tenant_id = tenon.tenant_id() and t.id = found_team for no key update;
    select * into invitation from auth.team_invitations i
     where i.tenant_id = tenon.tenant_id() and i.token_hash = hash and i.status = 'pending' for no key update;
    outcome := case when not found then 'team_invitation_not_found'
                    when invitation.expires_at <= now() then 'team_invitation_expired'
                    else 'ok' end;
end $$;

-- Whoever has the link and the address to which it was sent. The link alone is not enough: mails are passed on.
create function auth.accept_team_invitation(caller auth.team_caller, hash text, most bigint, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    opened record;
    u auth.users;
    joined auth.teams;
begin
    outcome := auth.check_team_caller(caller);
    if outcome <> 'ok' then
        return;
    end if;
    select o.outcome, (o.invitation).* into opened from auth.open_team_invitation(hash) o;
    select * into u from auth.users x where x.tenant_id = tenon.tenant_id() and x.id = caller.person;
    outcome := case
        when opened.outcome <> 'ok' then opened.outcome
        when u.email is distinct from opened.email then 'team_invitation_for_another'
        when u.email_confirmed_at is null then 'email_not_confirmed'
        when exists (select from auth.team_members m
                      where m.tenant_id = tenon.tenant_id() and m.team_id = opened.team_id and m.user_id = u.id) then 'team_member_exists'
        when most <= (select count(*) from auth.team_members m where m.tenant_id = tenon.tenant_id() and m.team_id = opened.team_id)
            then 'too_many_team_members'
        else 'ok' end;
    if outcome <> 'ok' then
        return;
    end if;
    update auth.team_invitations i set status = 'accepted', updated_at = now() where i.tenant_id = tenon.tenant_id() and i.id = opened.id;
    insert into auth.team_members (team_id, user_id, role) values (opened.team_id, u.id, opened.role);
    perform auth.audit_team('team_invitation_accepted', caller, opened.team_id,
                            jsonb_build_object('invitation_id', opened.id, 'role', opened.role, 'invited_by', opened.invited_by));
    select * into joined from auth.teams t where t.tenant_id = tenon.tenant_id() and t.id = opened.team_id;
    answer := auth.team_object(joined, opened.role);
end $$;

-- With the link alone: who declines needs no account.
create function auth.decline_team_invitation(caller auth.team_caller, hash text, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    opened record;
begin
    select o.outcome, (o.invitation).* into opened from auth.open_team_invitation(hash) o;
    outcome := opened.outcome;
    if outcome = 'ok' then
        update auth.team_invitations i set status = 'declined', updated_at = now() where i.tenant_id = tenon.tenant_id() and i.id = opened.id;
        perform auth.audit_team('team_invitation_declined', caller, opened.team_id,
                                jsonb_build_object('invitation_id', opened.id, 'email', opened.email));
        answer := '{}';
    end if;
end $$;

-- --- roles of the tenant's own -----------------------------------------------------------------------------------------------------

create function auth.list_team_roles(caller auth.team_caller, out outcome text, out answer jsonb)
    language plpgsql stable set search_path = ''
as $$
begin
    outcome := auth.check_team_caller(caller);
    if outcome = 'ok' then
        select jsonb_build_object('roles', jsonb_agg(jsonb_build_object('name', x.name, 'rank', x.rank) order by x.rank desc, x.name))
          into answer
          from (select r.name, r.rank from auth.team_roles r where r.tenant_id = tenon.tenant_id()
                 union values ('owner', 100::smallint), ('admin', 80::smallint), ('member', 20::smallint)) as x;
    end if;
end $$;

-- Made, or given another rank, by the secret key.
create function auth.define_team_role(caller auth.team_caller, role text, rank bigint, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    outcome := case when caller.person is not null then 'not_admin' when auth.team_rank(role) is not null then 'team_role_built_in' else 'ok' end;
    if outcome = 'ok' then
        insert into auth.team_roles as r (name, rank) values (define_team_role.role, define_team_role.rank)
        on conflict (tenant_id, name) do update set rank = excluded.rank, updated_at = now();
        perform auth.audit_team('team_role_defined', caller, null, jsonb_build_object('role', role, 'rank', define_team_role.rank));
        answer := jsonb_build_object('name', role, 'rank', define_team_role.rank);
    end if;
end $$;

create function auth.remove_team_role(caller auth.team_caller, role text, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    if caller.person is not null then
        outcome := 'not_admin';
    elsif auth.team_rank(role) is not null then
        outcome := 'team_role_built_in';
    else
        begin
            delete from auth.team_invitations i
             where i.tenant_id = tenon.tenant_id() and i.role = remove_team_role.role and i.status <> 'pending';
            delete from auth.team_roles r where r.tenant_id = tenon.tenant_id() and r.name = remove_team_role.role;
            outcome := case when found then 'ok' else 'team_role_not_found' end;
        exception when foreign_key_violation then
            outcome := 'team_role_in_use';
        end;
    end if;
    if outcome = 'ok' then
        perform auth.audit_team('team_role_removed', caller, null, jsonb_build_object('role', role));
        answer := '{}';
    end if;
end $$;

-- --- who may call what -------------------------------------------------------------------------------------------------------------

revoke execute on function
    auth.define_team_roles(), auth.keep_team_owner(), auth.leave_teams(), auth.team_ids(), auth.team_rank(text), auth.team_ids(text),
    auth.has_team_role(uuid, text), tenon.protect_team(regclass, text, text, text, text), auth.team_claims(uuid),
    auth.check_team_caller(auth.team_caller), auth.enter_team(auth.team_caller, uuid, integer, boolean),
    auth.audit_team(text, auth.team_caller, uuid, jsonb), auth.team_object(auth.teams, text),
    auth.team_member_object(auth.team_members, auth.users), auth.team_invitation_object(auth.team_invitations),
    auth.list_teams(auth.team_caller, uuid, bigint, bigint), auth.make_team_slug(text),
    auth.create_team(auth.team_caller, uuid, text, text, jsonb, bigint), auth.read_team(auth.team_caller, uuid),
    auth.update_team(auth.team_caller, uuid, text, text, jsonb), auth.delete_team(auth.team_caller, uuid),
    auth.list_team_members(auth.team_caller, uuid, bigint, bigint), auth.describe_team_member(uuid, uuid), auth.role_rank(text),
    auth.add_team_member(auth.team_caller, uuid, uuid, text, bigint), auth.revoke_invitations_by(uuid, uuid, integer),
    auth.set_team_role(auth.team_caller, uuid, uuid, text), auth.remove_team_member(auth.team_caller, uuid, uuid),
    auth.list_team_invitations(auth.team_caller, uuid, bigint, bigint), auth.describe_team_letter(auth.team_caller, uuid, text, uuid),
    auth.invite_to_team(auth.team_caller, uuid, text, text, text, bytea, auth.team_limits),
    auth.resend_team_invitation(auth.team_caller, uuid, uuid, text, bytea, auth.team_limits),
    auth.revoke_team_invitation(auth.team_caller, uuid, uuid), auth.open_team_invitation(text),
    auth.accept_team_invitation(auth.team_caller, text, bigint), auth.decline_team_invitation(auth.team_caller, text),
    auth.list_team_roles(auth.team_caller), auth.define_team_role(auth.team_caller, text, bigint),
    auth.remove_team_role(auth.team_caller, text) from public;
grant execute on function auth.team_ids(), auth.team_ids(text), auth.has_team_role(uuid, text)
    to anon, authenticated, agent, service_role, tenon_worker;
grant execute on function
    auth.team_rank(text), auth.team_claims(uuid),
    auth.check_team_caller(auth.team_caller), auth.enter_team(auth.team_caller, uuid, integer, boolean),
    auth.audit_team(text, auth.team_caller, uuid, jsonb), auth.team_object(auth.teams, text),
    auth.team_member_object(auth.team_members, auth.users), auth.team_invitation_object(auth.team_invitations),
    auth.list_teams(auth.team_caller, uuid, bigint, bigint), auth.make_team_slug(text),
    auth.create_team(auth.team_caller, uuid, text, text, jsonb, bigint), auth.read_team(auth.team_caller, uuid),
    auth.update_team(auth.team_caller, uuid, text, text, jsonb), auth.delete_team(auth.team_caller, uuid),
    auth.list_team_members(auth.team_caller, uuid, bigint, bigint), auth.describe_team_member(uuid, uuid), auth.role_rank(text),
    auth.add_team_member(auth.team_caller, uuid, uuid, text, bigint), auth.revoke_invitations_by(uuid, uuid, integer),
    auth.set_team_role(auth.team_caller, uuid, uuid, text), auth.remove_team_member(auth.team_caller, uuid, uuid),
    auth.list_team_invitations(auth.team_caller, uuid, bigint, bigint), auth.describe_team_letter(auth.team_caller, uuid, text, uuid),
    auth.invite_to_team(auth.team_caller, uuid, text, text, text, bytea, auth.team_limits),
    auth.resend_team_invitation(auth.team_caller, uuid, uuid, text, bytea, auth.team_limits),
    auth.revoke_team_invitation(auth.team_caller, uuid, uuid), auth.open_team_invitation(text),
    auth.accept_team_invitation(auth.team_caller, text, bigint), auth.decline_team_invitation(auth.team_caller, text),
    auth.list_team_roles(auth.team_caller), auth.define_team_role(auth.team_caller, text, bigint),
    auth.remove_team_role(auth.team_caller, text) to tenon_worker;
