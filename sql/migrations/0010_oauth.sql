-- 0010: people who sign in with the account that they have elsewhere
--
-- The server has asked the other side and checked what it said (src/oauth); here it is decided whose account that is. An account is
-- joined only by an address that both sides have verified: ours by a mail of our own, or, while auth.autoconfirm is on, by trust.

-- Somebody who comes from a provider.
create type auth.visitor as (
    provider       text,
    subject        text,          -- their id there
    profile        jsonb,         -- identity_data
    email          text,          -- in lower case; null: none
    verified       boolean,       -- by the provider
    email_optional boolean,       -- settings: may come without a verified address,
    signup         boolean,       -- may be new,
    autoconfirm    boolean,       -- needs no mail
    confirmation   auth.message,  -- prepared for an address that is to be confirmed
    notice         bytea,         -- to the person, when a way to sign in has been added
    ip             inet
);

-- Is there somebody whom this visitor would become? Only for hooks, which are asked about new people.
create function auth.knows_visitor(v auth.visitor) returns boolean
    language sql stable set search_path = ''
as $$
    select exists (select from auth.identities i
                    where i.tenant_id = tenon.tenant_id() and i.provider = v.provider and i.provider_id = v.subject)
        or exists (select from auth.users u
                    where v.verified and u.tenant_id = tenon.tenant_id() and u.email = v.email and not u.is_sso_user
                      and (u.email_confirmed_at is not null or u.phone_confirmed_at is null))
$$;
comment on function auth.knows_visitor(auth.visitor) is 'Whether a visitor has an account here.';

-- An account whose address nobody has confirmed may have been made by somebody else, in wait for its owner: whatever could open it goes.
create function auth.empty_account(person uuid) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    update auth.users u
       set encrypted_password = null, raw_user_meta_data = '{}', phone = null, phone_change = '', email_change = '',
           email_change_confirm_status = 0, invited_at = null, updated_at = now()
     where u.tenant_id = tenon.tenant_id() and u.id = person;
    delete from auth.identities i where i.tenant_id = tenon.tenant_id() and i.user_id = person;
    delete from auth.sessions s where s.tenant_id = tenon.tenant_id() and s.user_id = person;
    delete from auth.one_time_tokens t where t.tenant_id = tenon.tenant_id() and t.user_id = person;
    delete from auth.mfa_factors f where f.tenant_id = tenon.tenant_id() and f.user_id = person;
    delete from auth.webauthn_credentials k where k.tenant_id = tenon.tenant_id() and k.user_id = person;
    update tenon.agents a set revoked_at = now(), updated_at = now()
     where a.tenant_id = tenon.tenant_id() and a.user_id = person and a.revoked_at is null;
end $$;
comment on function auth.empty_account(uuid) is 'Takes away every way into an account.';

-- The account that has the visitor's verified address, locked, ready to be joined; or null. Where the address was never confirmed but a
-- number was, the account is somebody's who uses it: it keeps everything but the address, which has turned out to be another's.
create function auth.account_to_join(v auth.visitor) returns auth.users
    language plpgsql volatile set search_path = ''
as $$
declare
    person auth.users;
begin
    select u.* into person from auth.users u
     where v.verified and u.tenant_id = tenon.tenant_id() and u.email = v.email and not u.is_sso_user and u.deleted_at is null
       for no key update;
    if person.id is null or person.email_confirmed_at is not null or person.banned_until > now() then
        return person;
    elsif person.phone_confirmed_at is not null then
        update auth.users u set email = null, updated_at = now() where u.tenant_id = tenon.tenant_id() and u.id = person.id;
        delete from auth.identities i
         where i.tenant_id = tenon.tenant_id() and i.user_id = person.id and i.provider = 'email';
        delete from auth.one_time_tokens t
         where t.tenant_id = tenon.tenant_id() and t.user_id = person.id and t.relates_to = v.email;
        perform auth.name_providers(person.id);
        return null;
    end if;
    perform auth.empty_account(person.id);
    update auth.users u set email_confirmed_at = now() where u.tenant_id = tenon.tenant_id() and u.id = person.id;
    return person;
end $$;
comment on function auth.account_to_join(auth.visitor) is 'Whose verified address a visitor has.';

-- The identity itself, made or brought up to date, and what the account shows of it.
create function auth.set_visitor_identity(person uuid, v auth.visitor, shows boolean) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    insert into auth.identities as i (provider_id, user_id, identity_data, provider, last_sign_in_at)
    values (v.subject, person, v.profile, v.provider, now())
    on conflict (tenant_id, provider, provider_id)
        do update set identity_data = i.identity_data || excluded.identity_data, last_sign_in_at = now(), updated_at = now();
    if shows then
        update auth.users u set raw_user_meta_data = coalesce(u.raw_user_meta_data, '{}') || v.profile, updated_at = now()
         where u.tenant_id = tenon.tenant_id() and u.id = person;
    end if;
    perform auth.name_providers(person);
end $$;

-- A new person, in a subtransaction with everything that people hang on auth.users. Nobody new, and no failure: the address was taken
-- at this very moment.
create function auth.add_visitor(v auth.visitor, address text, confirmed boolean, out person uuid, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    code text;
    hint text;
    detail text;
begin
    insert into auth.users (email, email_confirmed_at, raw_app_meta_data, raw_user_meta_data)
    values (address, case when confirmed and address is not null then now() end,
            jsonb_build_object('provider', v.provider, 'providers', jsonb_build_array(v.provider)), v.profile)
    on conflict do nothing
    returning id into person;
    if person is not null then
        perform auth.set_visitor_identity(person, v, false);
        perform auth.audit('user_signedup', person, jsonb_build_object('provider', v.provider), v.ip);
        -- what people deferred to the end would fail at COMMIT, where nobody could say what it was
        set constraints all immediate;
    end if;
exception when others then
    get stacked diagnostics code = returned_sqlstate, hint = pg_exception_hint, detail = pg_exception_detail;
    -- faults of the server itself, and what only wants to be tried again, are not the trigger's
    if left(code, 2) in ('08', '25', '40', '53', '55', '57', '58', 'XX') then
        raise;
    end if;
    person := null;
    failure := jsonb_strip_nulls(jsonb_build_object('code', code, 'message', sqlerrm,
                                                    'hint', nullif(hint, ''), 'detail', nullif(detail, '')));
end $$;

-- A mail to somebody whose address the provider has not verified, at most one a minute.
create function auth.ask_visitor_to_confirm(person uuid, v auth.visitor) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    perform from auth.users u
      where u.tenant_id = tenon.tenant_id() and u.id = person and u.email = v.email and u.email_confirmed_at is null
        and coalesce(u.confirmation_sent_at, '-infinity') <= now() - (v.confirmation).interval_s * interval '1 second';
    if found then
        perform auth.post(person, 'confirmation', 'confirmation_token', 'email/signup', v.confirmation);
        perform auth.audit('user_confirmation_requested', person, jsonb_build_object('provider', v.provider), v.ip);
    else
        perform auth.pretend(v.confirmation);
    end if;
end $$;

-- Somebody who has signed in with this identity before. An address that nobody has confirmed gets into no token: neither one that this
-- identity came with, nor another.
--   person, user_banned, provider_email_needs_verification, email_address_not_provided
create function auth.welcome_back(who uuid, v auth.visitor) returns text
    language plpgsql volatile set search_path = ''
as $$
declare
    person auth.users;
begin
    select u.* into person from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = who for no key update;
    if person.banned_until > now() then
        return 'user_banned';
    elsif person.email_confirmed_at is null and person.phone_confirmed_at is null then
        if v.verified or v.autoconfirm and v.email = person.email then
            if coalesce(person.email, '') <> '' then
                perform auth.empty_account(who);
            end if;
            update auth.users u
               set (email, email_confirmed_at) = (select case when not taken then v.email end, case when not taken then now() end
                                                    from auth.is_email_taken(v.email, who) as taken)
             where u.tenant_id = tenon.tenant_id() and u.id = who;
            perform auth.audit('user_signedup', who, jsonb_build_object('provider', v.provider), v.ip);
        elsif coalesce(person.email, '') <> '' or not v.email_optional then
            perform auth.set_visitor_identity(who, v, true);
            if v.email is null then
                return 'email_address_not_provided';
            end if;
            perform auth.ask_visitor_to_confirm(who, v);
            return 'provider_email_needs_verification';
        end if;
    end if;
    perform auth.set_visitor_identity(who, v, true);
    return 'person';
end $$;

-- Whose account it is, made if need be.
--   person; or signup_disabled, user_banned, email_address_not_provided, provider_email_needs_verification, database_error with `failure`
create function auth.admit_visitor(v auth.visitor, out outcome text, out person uuid, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    account auth.users;
    address text;
begin
    -- two first sign-ins of the same account come one after the other
    perform pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'visitor', tenon.tenant_id(), v.provider, v.subject), 0));
    for attempt in 1..3 loop
        select i.user_id into person from auth.identities i
         where i.tenant_id = tenon.tenant_id() and i.provider = v.provider and i.provider_id = v.subject;
        if found then
            outcome := auth.welcome_back(person, v);
            return;
        end if;
        account := auth.account_to_join(v);
        if account.banned_until > now() then
            outcome := 'user_banned';
            return;
        elsif account.id is not null then
            outcome := 'person';
            person := account.id;
            perform auth.set_visitor_identity(person, v, true);
            perform auth.audit('identity_linked', person, jsonb_build_object('provider', v.provider), v.ip);
            if account.email_confirmed_at is not null and v.notice is not null then
                perform tenon.post_message('email', 'identity_linked', account.email, person, v.notice, 86400);
            end if;
            return;
        end if;

        outcome := case when not v.signup then 'signup_disabled'
                        when v.email is null and not v.email_optional then 'email_address_not_provided'
                        when v.verified or v.email_optional or v.autoconfirm and not auth.is_email_taken(v.email, null) then 'person'
                        else 'provider_email_needs_verification' end;
        if outcome in ('signup_disabled', 'email_address_not_provided') then
            return;
        elsif outcome = 'provider_email_needs_verification' and auth.is_email_taken(v.email, null) then
            perform auth.pretend(v.confirmation);
            return;
        end if;
        -- an address that nobody has verified is nobody's: tokens do not say it
        address := case when v.verified or v.autoconfirm and not v.email_optional
                             or outcome = 'provider_email_needs_verification' then v.email end;
        select a.person, a.failure into admit_visitor.person, admit_visitor.failure
          from auth.add_visitor(v, address, v.verified or v.autoconfirm) a;
        if failure is not null then
            outcome := 'database_error';
            return;
        elsif person is not null then
            if outcome = 'provider_email_needs_verification' then
                perform auth.ask_visitor_to_confirm(person, v);
            end if;
            return;
        end if;
    end loop;
    outcome := 'database_error';
    failure := jsonb_build_object('code', 'P0001', 'message', 'a trigger on auth.users prevented the sign-up');
end $$;
comment on function auth.admit_visitor(auth.visitor) is 'The account of somebody who comes from a provider.';

-- An identity for somebody who is signed in.
--   person; or identity_already_exists, user_not_found, user_banned, email_exists
create function auth.link_visitor(target uuid, v auth.visitor) returns text
    language plpgsql volatile set search_path = ''
as $$
declare
    person auth.users;
begin
    perform pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'visitor', tenon.tenant_id(), v.provider, v.subject), 0));
    select u.* into person from auth.users u
     where u.tenant_id = tenon.tenant_id() and u.id = target and u.deleted_at is null for no key update;
    if person.id is null then
        return 'user_not_found';
    elsif person.banned_until > now() then
        return 'user_banned';
    elsif exists (select from auth.identities i
                   where i.tenant_id = tenon.tenant_id() and i.provider = v.provider and i.provider_id = v.subject) then
        return 'identity_already_exists';
    elsif coalesce(person.email, '') = '' and v.verified then
        if auth.is_email_taken(v.email, target) then
            return 'email_exists';
        end if;
        update auth.users u set email = v.email, email_confirmed_at = now() where u.tenant_id = tenon.tenant_id() and u.id = target;
    end if;
    perform auth.set_visitor_identity(target, v, person.is_anonymous);
    update auth.users u set is_anonymous = false, updated_at = now() where u.tenant_id = tenon.tenant_id() and u.id = target;
    perform auth.audit('identity_linked', target, jsonb_build_object('provider', v.provider), v.ip);
    if person.email_confirmed_at is not null and v.notice is not null then
        perform tenon.post_message('email', 'identity_linked', person.email, target, v.notice, 86400);
    end if;
    return 'person';
end $$;
comment on function auth.link_visitor(uuid, auth.visitor) is 'Adds an identity to an account.';

-- The end of a sign-in with a provider. With `flow` it came through a browser: its challenge decides between session and code. Without,
-- an app has brought an id token; `target` is who links then.
--   session with user_object and claims, code; or what auth.admit_visitor() and auth.link_visitor() say
create function auth.sign_in_visitor(flow uuid, target uuid, v auth.visitor, opening auth.new_session, code_hash text,
                                     access bytea, refresh bytea,
                                     out outcome text, out user_object jsonb, out claims jsonb, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    state auth.flow_state;
    person uuid;
begin
    if flow is not null then
        select f.* into state from auth.flow_state f where f.tenant_id = tenon.tenant_id() and f.id = flow;
    end if;
    person := coalesce(target, state.linking_target_id);
    if person is not null then
        outcome := auth.link_visitor(person, v);
    else
        select a.outcome, a.person, a.failure into sign_in_visitor.outcome, person, sign_in_visitor.failure from auth.admit_visitor(v) a;
    end if;
    if outcome <> 'person' then
        return;
    elsif state.code_challenge is not null then
        outcome := case when auth.issue_code(flow, person, code_hash, access, refresh) then 'code' else 'flow_state_already_used' end;
    else
        outcome := 'session';
        perform auth.open_session(person, opening, 'oauth');
        perform auth.audit('login', person, jsonb_build_object('provider', v.provider), v.ip);
        select d.user_object, d.claims into sign_in_visitor.user_object, sign_in_visitor.claims from auth.describe_session(opening.id) d;
    end if;
end $$;
comment on function auth.sign_in_visitor(uuid, uuid, auth.visitor, auth.new_session, text, bytea, bytea)
    is 'A session, or a code, for somebody who comes from a provider.';

-- One way to sign in less; never the last one. An account whose address came with it gets the address of another identity that is
-- verified, or has none.
--   done; or identity_not_found, single_identity_not_deletable, email_conflict_identity_not_deletable
create function auth.unlink_identity(person uuid, identity uuid, notice bytea, ip inet) returns text
    language plpgsql volatile set search_path = ''
as $$
declare
    u auth.users;
    gone auth.identities;
    next_email text;
begin
    select a.* into u from auth.users a where a.tenant_id = tenon.tenant_id() and a.id = person for no key update;
    select i.* into gone from auth.identities i
     where i.tenant_id = tenon.tenant_id() and i.id = identity and i.user_id = person;
    if not found then
        return 'identity_not_found';
    elsif not exists (select from auth.identities i
                       where i.tenant_id = tenon.tenant_id() and i.user_id = person and i.id <> identity) then
        return 'single_identity_not_deletable';
    end if;
    delete from auth.identities i where i.tenant_id = tenon.tenant_id() and i.id = identity;

    if gone.provider = 'phone' then
        update auth.users a set phone = null, phone_confirmed_at = null where a.tenant_id = tenon.tenant_id() and a.id = person;
    elsif gone.email = u.email and not exists (select from auth.identities i
             where i.tenant_id = tenon.tenant_id() and i.user_id = person and i.email = u.email) then
        select i.email into next_email from auth.identities i
         where i.tenant_id = tenon.tenant_id() and i.user_id = person and i.email <> '' and i.identity_data ->> 'email_verified' = 'true'
         order by auth.is_email_taken(i.email, person), i.created_at limit 1;
        if auth.is_email_taken(next_email, person) then
            raise exception using errcode = 'PT422', constraint = 'email_conflict_identity_not_deletable',
                message = 'Unable to unlink identity due to email conflict';
        end if;
        update auth.users a set email = next_email, email_confirmed_at = case when next_email is not null then now() end
         where a.tenant_id = tenon.tenant_id() and a.id = person;
    end if;
    update auth.users a
       set encrypted_password = case when gone.provider = 'email' and coalesce(a.phone, '') = '' then null else a.encrypted_password end,
           updated_at = now()
     where a.tenant_id = tenon.tenant_id() and a.id = person;
    perform auth.name_providers(person);
    perform auth.audit('identity_unlinked', person, jsonb_build_object('provider', gone.provider, 'identity_id', gone.id), ip);
    if u.email_confirmed_at is not null and notice is not null then
        perform tenon.post_message('email', 'identity_unlinked', u.email, person, notice, 86400);
    end if;
    return 'done';
end $$;
comment on function auth.unlink_identity(uuid, uuid, bytea, inet) is 'Takes an identity away from an account.';

revoke execute on function
    auth.knows_visitor(auth.visitor), auth.empty_account(uuid), auth.account_to_join(auth.visitor),
    auth.set_visitor_identity(uuid, auth.visitor, boolean), auth.add_visitor(auth.visitor, text, boolean),
    auth.ask_visitor_to_confirm(uuid, auth.visitor), auth.welcome_back(uuid, auth.visitor), auth.admit_visitor(auth.visitor),
    auth.link_visitor(uuid, auth.visitor),
    auth.sign_in_visitor(uuid, uuid, auth.visitor, auth.new_session, text, bytea, bytea),
    auth.unlink_identity(uuid, uuid, bytea, inet) from public;
grant execute on function
    auth.knows_visitor(auth.visitor), auth.empty_account(uuid), auth.account_to_join(auth.visitor),
    auth.set_visitor_identity(uuid, auth.visitor, boolean), auth.add_visitor(auth.visitor, text, boolean),
    auth.ask_visitor_to_confirm(uuid, auth.visitor), auth.welcome_back(uuid, auth.visitor), auth.admit_visitor(auth.visitor),
    auth.link_visitor(uuid, auth.visitor),
    auth.sign_in_visitor(uuid, uuid, auth.visitor, auth.new_session, text, bytea, bytea),
    auth.unlink_identity(uuid, uuid, bytea, inet) to tenon_worker;
