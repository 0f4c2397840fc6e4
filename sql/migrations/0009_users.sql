-- 0009: an account through its life: changed, confirmed anew, managed by the operator, looked into, taken along, deleted
--
-- As in 0002: what one request of the auth area does in its one transaction. C has checked the input, hashed passwords, made the codes
-- and sealed the letters; outcomes are words, the area's error codes where there is one. They run as tenon_worker.

-- What was done to somebody by others: the operator's doings have no actor.
create index audit_log_entries_by_object on auth.audit_log_entries (tenant_id, (payload #>> '{traits,user_id}'), created_at);

-- Key by key; null takes a key away. There is no replacing as a whole.
create function auth.merge_metadata(held jsonb, change jsonb) returns jsonb
    language sql immutable parallel safe
    return (select coalesce(jsonb_object_agg(e.key, e.value), '{}')
              from jsonb_each(coalesce(held, '{}') || coalesce(change, '{}')) as e
             where coalesce(change -> e.key <> 'null', true));
comment on function auth.merge_metadata(jsonb, jsonb) is 'Metadata after a change in which null means: away with it.';

-- app_metadata names the providers by which a person can sign in; the first stays the first while it is one of them.
create function auth.name_providers(person uuid) returns void
    language plpgsql volatile set search_path = ''
as $$
declare
    names jsonb;
begin
    select jsonb_agg(i.provider order by i.since, i.provider) into names
      from (select k.provider, min(k.created_at) as since from auth.identities k
             where k.tenant_id = tenon.tenant_id() and k.user_id = person group by k.provider) i;
    if names is not null then
        update auth.users u
           set raw_app_meta_data = coalesce(u.raw_app_meta_data, '{}') || jsonb_build_object('providers', names,
                   'provider', case when names @> (u.raw_app_meta_data -> 'provider') then u.raw_app_meta_data -> 'provider' else names -> 0 end)
         where u.tenant_id = tenon.tenant_id() and u.id = person;
    end if;
end $$;
comment on function auth.name_providers(uuid) is 'Writes into app_metadata which identities there are.';

-- The identities that are an address of the account itself, made or brought up to date out of auth.users. Nobody is anonymous who has one.
create function auth.set_identity(person uuid, kind text) returns void
    language plpgsql volatile set search_path = ''
as $$
#variable_conflict use_column
declare
    u auth.users;
    profile jsonb;
begin
    select * into u from auth.users a where a.tenant_id = tenon.tenant_id() and a.id = person;
    profile := case kind
        when 'email' then jsonb_build_object('email', u.email, 'email_verified', u.email_confirmed_at is not null)
        else jsonb_build_object('phone', u.phone, 'phone_verified', u.phone_confirmed_at is not null) end;
    insert into auth.identities as i (provider_id, user_id, identity_data, provider)
    values (person::text, person,
            '{"email_verified": false, "phone_verified": false}' || profile || jsonb_build_object('sub', person), kind)
    on conflict (tenant_id, provider, provider_id) do update set identity_data = i.identity_data || profile, updated_at = now();
    update auth.users a
       set is_anonymous = false,
           raw_user_meta_data = case when a.raw_user_meta_data ? kind then a.raw_user_meta_data || profile else a.raw_user_meta_data end
     where a.tenant_id = tenon.tenant_id() and a.id = person;
    perform auth.name_providers(person);
end $$;
comment on function auth.set_identity(uuid, text) is 'The identity of an account''s own address or number.';

create function auth.confirm_email(person uuid) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    update auth.users u
       set email_confirmed_at = coalesce(u.email_confirmed_at, now()), updated_at = now(),
           raw_user_meta_data = coalesce(u.raw_user_meta_data, '{}') || '{"email_verified": true}'
     where u.tenant_id = tenon.tenant_id() and u.id = person and u.email <> '';
    if found then
        perform auth.set_identity(person, 'email');
    end if;
end $$;

create function auth.confirm_phone(person uuid) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    update auth.users u
       set phone_confirmed_at = coalesce(u.phone_confirmed_at, now()), updated_at = now(),
           raw_user_meta_data = coalesce(u.raw_user_meta_data, '{}') || '{"phone_verified": true}'
     where u.tenant_id = tenon.tenant_id() and u.id = person and u.phone <> '';
    if found then
        perform auth.set_identity(person, 'phone');
    end if;
end $$;

-- A notice, to whoever has an address.
create function auth.tell(person uuid, kind text, mailbox text, letter bytea) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    if mailbox <> '' and letter is not null then
        perform tenon.post_message('email', kind, mailbox, person, letter, 86400);
    end if;
end $$;

create function auth.is_email_taken(wanted text, person uuid) returns boolean
    language sql stable set search_path = ''
as $$
    select exists (select from auth.users u
                    where u.tenant_id = tenon.tenant_id() and u.email = wanted and not u.is_sso_user and u.id is distinct from person)
$$;

create function auth.is_phone_taken(wanted text, person uuid) returns boolean
    language sql stable set search_path = ''
as $$
    select exists (select from auth.users u
                    where u.tenant_id = tenon.tenant_id() and u.phone = wanted and wanted <> '' and u.id is distinct from person)
$$;

create function auth.has_second_factor(person uuid) returns boolean
    language plpgsql stable set search_path = ''
as $$
begin
    return exists (select from auth.mfa_factors f where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.status = 'verified');
end $$;

-- Whatever way an identity comes to be, clients find when it was last used; at first that is when it was made.
alter table auth.identities alter column last_sign_in_at set default now();

-- Mail addresses and numbers change when the new one has answered, and with `secure` the old one too. What will be said to the old address
-- then is written when both are known, and waits beside the token.
alter table auth.one_time_tokens add column notice bytea;

--   sent, over_email_send_rate_limit, email_exists
create function auth.expect_change(person uuid, new_email text, secure boolean, token_new text, token_current text, letter_new bytea,
                                   letter_current bytea, lifetime_s bigint, flow uuid default null, interval_s bigint default 60,
                                   notice bytea default null) returns text
    language plpgsql volatile set search_path = ''
as $$
declare
    u auth.users;
    kept bytea; -- when it is asked for once more
begin
    select * into u from auth.users a where a.tenant_id = tenon.tenant_id() and a.id = person for no key update;
    if auth.is_email_taken(new_email, person) then
        return 'email_exists';
    elsif u.email_change_sent_at > now() - interval_s * interval '1 second' then
        return 'over_email_send_rate_limit';
    end if;
    update auth.users a
       set email_change = new_email, email_change_sent_at = now(), email_change_confirm_status = 0, updated_at = now()
     where a.tenant_id = tenon.tenant_id() and a.id = person;
    if u.email_change = new_email then
        select t.notice into kept from auth.one_time_tokens t
         where t.tenant_id = tenon.tenant_id() and t.user_id = person and t.token_type::text like 'email_change_token_%' and t.notice is not null
         limit 1;
    end if;
    perform auth.expect_token(person, 'email_change_token_new', token_new, new_email, lifetime_s, flow);
    perform tenon.post_message('email', 'email_change', new_email, person, letter_new, lifetime_s);
    if secure and u.email <> '' then
        perform auth.expect_token(person, 'email_change_token_current', token_current, u.email, lifetime_s, flow);
        perform tenon.post_message('email', 'email_change', u.email, person, letter_current, lifetime_s);
    else
        delete from auth.one_time_tokens t
         where t.tenant_id = tenon.tenant_id() and t.user_id = person and t.token_type = 'email_change_token_current';
    end if;
    update auth.one_time_tokens t set notice = coalesce(expect_change.notice, kept)
     where t.tenant_id = tenon.tenant_id() and t.user_id = person and t.token_type::text like 'email_change_token_%';
    return 'sent';
end $$;
comment on function auth.expect_change(uuid, text, boolean, text, text, bytea, bytea, bigint, uuid, bigint, bytea) is 'Asks a new mail address, and the old one, to confirm.';

--   sent, over_sms_send_rate_limit, phone_exists
create function auth.expect_phone_change(person uuid, new_phone text, token text, letter bytea, lifetime_s bigint, interval_s bigint default 60,
                                         notice bytea default null) returns text
    language plpgsql volatile set search_path = ''
as $$
declare
    sent_at timestamptz;
begin
    select u.phone_change_sent_at into sent_at from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person for no key update;
    if auth.is_phone_taken(new_phone, person) then
        return 'phone_exists';
    elsif sent_at > now() - interval_s * interval '1 second' then
        return 'over_sms_send_rate_limit';
    end if;
    update auth.users u set phone_change = new_phone, phone_change_sent_at = now(), updated_at = now()
     where u.tenant_id = tenon.tenant_id() and u.id = person;
    perform auth.expect_token(person, 'phone_change_token', token, new_phone, lifetime_s);
    update auth.one_time_tokens t set notice = coalesce(expect_phone_change.notice, t.notice)
     where t.tenant_id = tenon.tenant_id() and t.user_id = person and t.token_type = 'phone_change_token';
    perform tenon.post_message('sms', 'phone_change', new_phone, person, letter, lifetime_s);
    return 'sent';
end $$;
comment on function auth.expect_phone_change(uuid, text, text, bytea, bigint, bigint, bytea) is 'Asks a new number to confirm.';

-- One of the letters has come back: its token has been found, is in force, and its person not banned. email_change_confirm_status says
-- which half was first: 1 the new address, 2 the current one; the same half twice is still one half.
--   done, half, otp_expired, email_exists, phone_exists
create function auth.confirm_change(person uuid, purpose auth.one_time_token_type, secure boolean, notice bytea, address inet) returns text
    language plpgsql volatile set search_path = ''
as $$
declare
    u auth.users;
    is_new constant boolean := purpose = 'email_change_token_new';
    kept bytea;
begin
    select * into u from auth.users a where a.tenant_id = tenon.tenant_id() and a.id = person for no key update;
    delete from auth.one_time_tokens t
     where t.tenant_id = tenon.tenant_id() and t.user_id = person and t.token_type = purpose returning t.notice into kept;

    if purpose = 'phone_change_token' then
        if coalesce(u.phone_change, '') = '' then
            return 'otp_expired';
        elsif auth.is_phone_taken(u.phone_change, person) then
            return 'phone_exists';
        end if;
        update auth.users a set phone = u.phone_change, phone_change = '', phone_confirmed_at = now(), updated_at = now()
         where a.tenant_id = tenon.tenant_id() and a.id = person;
        perform auth.confirm_phone(person);
        perform auth.tell(person, 'phone_changed', u.email, kept);
    else
        if coalesce(u.email_change, '') = '' then
            return 'otp_expired';
        elsif auth.is_email_taken(u.email_change, person) then
            return 'email_exists';
        elsif not (is_new or u.email_change_confirm_status = 1)
           or not (not is_new or u.email_change_confirm_status = 2 or not secure or coalesce(u.email, '') = '') then
            update auth.users a set email_change_confirm_status = case when is_new then 1 else 2 end, updated_at = now()
             where a.tenant_id = tenon.tenant_id() and a.id = person;
            return 'half';
        end if;
        update auth.users a
           set email = u.email_change, email_change = '', email_change_confirm_status = 0, email_confirmed_at = now(), updated_at = now()
         where a.tenant_id = tenon.tenant_id() and a.id = person;
        perform auth.confirm_email(person);
        perform auth.tell(person, 'email_changed', u.email, coalesce(kept, notice));
    end if;
    delete from auth.one_time_tokens t where t.tenant_id = tenon.tenant_id() and t.user_id = person;
    perform auth.audit('user_modified', person, jsonb_build_object('user_id', person,
        'changed', case when purpose = 'phone_change_token' then 'phone' else 'email' end), address);
    return 'done';
end $$;
comment on function auth.confirm_change(uuid, auth.one_time_token_type, boolean, bytea, inet) is 'A new address or number, once it has answered.';

-- A code that shows that it is still the person: for a new password, or the end of the account. Wrong guesses count; five are enough.
create function auth.take_nonce(person uuid, hash text) returns boolean
    language plpgsql volatile set search_path = ''
as $$
declare
    expected auth.one_time_tokens;
begin
    select * into expected from auth.one_time_tokens t
     where t.tenant_id = tenon.tenant_id() and t.user_id = person and t.token_type = 'reauthentication_token' for update;
    if expected.token_hash = hash and expected.expires_at > now() and expected.attempts < 5 then
        delete from auth.one_time_tokens t where t.tenant_id = tenon.tenant_id() and t.id = expected.id;
        update auth.users u set reauthentication_sent_at = null where u.tenant_id = tenon.tenant_id() and u.id = person;
        return true;
    end if;
    update auth.one_time_tokens t set attempts = t.attempts + 1 where t.tenant_id = tenon.tenant_id() and t.id = expected.id and t.attempts < 5;
    return false;
end $$;
comment on function auth.take_nonce(uuid, text) is 'Whether a code for reauthentication is right; it is good once.';

--   sent, email_not_confirmed, phone_not_confirmed, over_email_send_rate_limit, over_sms_send_rate_limit, and with neither address: validation_failed
create function auth.expect_nonce(person uuid, recipient text, token text, letter bytea, lifetime_s bigint, interval_s bigint, address inet)
    returns text
    language plpgsql volatile set search_path = ''
as $$
declare
    u auth.users;
    by_mail boolean;
begin
    select * into u from auth.users a where a.tenant_id = tenon.tenant_id() and a.id = person for no key update;
    by_mail := coalesce(u.email, '') <> '';
    if not by_mail and coalesce(u.phone, '') = '' then
        return 'validation_failed';
    elsif by_mail and u.email_confirmed_at is null then
        return 'email_not_confirmed';
    elsif not by_mail and u.phone_confirmed_at is null then
        return 'phone_not_confirmed';
    elsif u.reauthentication_sent_at > now() - interval_s * interval '1 second'
       or recipient is distinct from (case when by_mail then u.email else u.phone end) then
        return case when by_mail then 'over_email_send_rate_limit' else 'over_sms_send_rate_limit' end;
    end if;
    update auth.users a set reauthentication_sent_at = now() where a.tenant_id = tenon.tenant_id() and a.id = person;
    perform auth.expect_token(person, 'reauthentication_token', token, recipient, lifetime_s);
    perform tenon.post_message(case when by_mail then 'email' else 'sms' end, 'reauthentication', recipient, person, letter, lifetime_s);
    perform auth.audit('user_reauthenticate_requested', person, null, address);
    return 'sent';
end $$;

-- A password that somebody is sure to have meant: every other session ends, and what was sent before is of no use any more.
create function auth.replace_password(person uuid, hash text, kept_session uuid, notice bytea) returns void
    language plpgsql volatile set search_path = ''
as $$
declare
    mailbox text;
begin
    update auth.users u set encrypted_password = hash, updated_at = now()
     where u.tenant_id = tenon.tenant_id() and u.id = person returning u.email into mailbox;
    delete from auth.sessions s where s.tenant_id = tenon.tenant_id() and s.user_id = person and s.id is distinct from kept_session;
    delete from auth.one_time_tokens t where t.tenant_id = tenon.tenant_id() and t.user_id = person;
    perform auth.tell(person, 'password_changed', mailbox, notice);
end $$;
comment on function auth.replace_password(uuid, text, uuid, bytea) is 'A new password, and the end of all sessions but one.';

-- What a person changes about themselves. `change` has, each only where it is asked for:
--   data       metadata to merge
--   password   {hash, seen: the hash that was in force when it was checked, nonce: hash of a code, notice: letter}
--   email      {address, at_once, secure, token, token_current, letter, letter_current, lifetime_s, interval_s, notice, flow}
--   phone      {number, at_once, token, letter, lifetime_s, interval_s, notice}
--   user, or conflict, reauthentication_not_valid, email_exists, phone_exists, over_email_send_rate_limit, over_sms_send_rate_limit
-- Letters go out last, so that what is refused has not been half done: whoever is told no begins again.
create function auth.update_user(person uuid, session uuid, change jsonb, address inet, out outcome text, out user_object jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    email constant jsonb := change -> 'email';
    phone constant jsonb := change -> 'phone';
    password constant jsonb := change -> 'password';
    u auth.users;
begin
    select * into u from auth.users a where a.tenant_id = tenon.tenant_id() and a.id = person for no key update;
    outcome := case
        when not found then 'conflict'
        when password is not null and coalesce(u.encrypted_password, '') <> coalesce(password ->> 'seen', '') then 'conflict'
        when auth.is_email_taken(email ->> 'address', person) then 'email_exists'
        when auth.is_phone_taken(phone ->> 'number', person) then 'phone_exists'
        when email is not null and not (email ->> 'at_once')::boolean and u.email_change_sent_at > now() - (email ->> 'interval_s')::bigint * interval '1 second'
            then 'over_email_send_rate_limit'
        when phone is not null and not (phone ->> 'at_once')::boolean
             and u.phone_change_sent_at > now() - (phone ->> 'interval_s')::bigint * interval '1 second'
            then 'over_sms_send_rate_limit'
        when password ->> 'nonce' is not null and not auth.take_nonce(person, password ->> 'nonce') then 'reauthentication_not_valid' end;
    if outcome is not null then
        return;
    end if;

    update auth.users a set raw_user_meta_data = auth.merge_metadata(a.raw_user_meta_data, change -> 'data'), updated_at = now()
     where a.tenant_id = tenon.tenant_id() and a.id = person;
    if password is not null then
        perform auth.replace_password(person, password ->> 'hash', session, (password ->> 'notice')::bytea);
        perform auth.audit('user_updated_password', person, null, address);
    end if;
    if (email ->> 'at_once')::boolean then
        update auth.users a set email = change #>> '{email,address}', email_change = '' where a.tenant_id = tenon.tenant_id() and a.id = person;
        perform auth.confirm_email(person);
    elsif email is not null then
        outcome := auth.expect_change(person, email ->> 'address', (email ->> 'secure')::boolean, email ->> 'token', email ->> 'token_current',
            (email ->> 'letter')::bytea, (email ->> 'letter_current')::bytea, (email ->> 'lifetime_s')::bigint,
            case when email -> 'flow' is not null then
                auth.begin_flow('email', 'email_change', email #>> '{flow,challenge}', email #>> '{flow,method}', email #>> '{flow,redirect_to}') end,
            (email ->> 'interval_s')::bigint, (email ->> 'notice')::bytea);
    end if;
    if (phone ->> 'at_once')::boolean then
        update auth.users a set phone = change #>> '{phone,number}', phone_change = '' where a.tenant_id = tenon.tenant_id() and a.id = person;
        perform auth.confirm_phone(person);
        perform auth.tell(person, 'phone_changed', u.email, (phone ->> 'notice')::bytea);
    elsif phone is not null then
        outcome := auth.expect_phone_change(person, phone ->> 'number', phone ->> 'token', (phone ->> 'letter')::bytea,
            (phone ->> 'lifetime_s')::bigint, (phone ->> 'interval_s')::bigint, (phone ->> 'notice')::bytea);
    end if;
    perform auth.audit('user_modified', person, null, address);
    outcome := 'user';
    user_object := auth.describe_user(person);
end $$;
comment on function auth.update_user(uuid, uuid, jsonb, inet) is 'What a person changes about their own account.';

-- The operator's and the tenant's secret key: nobody is asked to confirm, and nothing is mailed.

-- The members are those of the API; `password` is a hash. `banned_for_s` null ends a ban.
create function auth.apply_attributes(person uuid, attributes jsonb) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    update auth.users u
       set aud = coalesce(attributes ->> 'aud', u.aud),
           role = coalesce(nullif(attributes ->> 'role', ''), u.role),
           email = coalesce(attributes ->> 'email', u.email),
           phone = coalesce(attributes ->> 'phone', u.phone),
           raw_user_meta_data = auth.merge_metadata(u.raw_user_meta_data, attributes -> 'user_metadata'),
           raw_app_meta_data = auth.merge_metadata(u.raw_app_meta_data, attributes -> 'app_metadata'),
           banned_until = case when attributes ? 'banned_for_s' then now() + (attributes ->> 'banned_for_s')::float8 * interval '1 second'
                               else u.banned_until end,
           updated_at = now()
     where u.tenant_id = tenon.tenant_id() and u.id = person;
    if attributes ? 'email' then
        perform auth.set_identity(person, 'email');
    end if;
    if attributes ? 'phone' then
        perform auth.set_identity(person, 'phone');
    end if;
    if (attributes ->> 'email_confirm')::boolean then
        perform auth.confirm_email(person);
    end if;
    if (attributes ->> 'phone_confirm')::boolean then
        perform auth.confirm_phone(person);
    end if;
end $$;

create function auth.traits_of(person uuid) returns jsonb
    language sql stable set search_path = ''
as $$
    select jsonb_strip_nulls(jsonb_build_object('user_id', u.id, 'user_email', nullif(u.email, ''), 'user_phone', nullif(u.phone, '')))
      from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person
$$;

--   user, email_exists, phone_exists, user_already_exists (the id)
create function auth.add_user(attributes jsonb, address inet, out outcome text, out person uuid)
    language plpgsql volatile set search_path = ''
as $$
begin
    person := coalesce((attributes ->> 'id')::uuid, tenon.uuid7());
    insert into auth.users (id, email, phone, encrypted_password, invited_at, raw_app_meta_data, raw_user_meta_data)
    values (person, attributes ->> 'email', attributes ->> 'phone', attributes ->> 'password', (attributes ->> 'invited_at')::timestamptz,
            jsonb_build_object('provider', case when attributes ? 'email' then 'email' else 'phone' end,
                'providers', jsonb_build_array(case when attributes ? 'email' then 'email' else 'phone' end))
            || auth.merge_metadata('{}', attributes -> 'app_metadata'),
            auth.merge_metadata('{}', attributes -> 'user_metadata'))
    on conflict do nothing;
    if found then
        perform auth.apply_attributes(person, attributes - '{email,phone,user_metadata}'::text[]);
        if attributes ? 'email' then
            perform auth.set_identity(person, 'email');
        end if;
        if attributes ? 'phone' then
            perform auth.set_identity(person, 'phone');
        end if;
        outcome := 'user';
    else
        outcome := case when auth.is_email_taken(attributes ->> 'email', null) then 'email_exists'
                        when auth.is_phone_taken(attributes ->> 'phone', null) then 'phone_exists'
                        else 'user_already_exists' end;
    end if;
end $$;

create function auth.admin_create_user(attributes jsonb, address inet, out outcome text, out user_object jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    made record;
begin
    made := auth.add_user(attributes, address);
    outcome := made.outcome;
    if outcome = 'user' then
        perform auth.audit('user_signedup', null, auth.traits_of(made.person), address);
        user_object := auth.describe_user(made.person);
    end if;
end $$;
comment on function auth.admin_create_user(jsonb, inet) is 'A person whom the operator makes.';

--   user, user_not_found, email_exists, phone_exists
create function auth.admin_update_user(person uuid, attributes jsonb, address inet, out outcome text, out user_object jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    perform from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person for no key update;
    outcome := case when not found then 'user_not_found'
                    when auth.is_email_taken(attributes ->> 'email', person) then 'email_exists'
                    when auth.is_phone_taken(attributes ->> 'phone', person) then 'phone_exists'
                    else 'user' end;
    if outcome <> 'user' then
        return;
    end if;
    perform auth.apply_attributes(person, attributes);
    if attributes ? 'password' then
        perform auth.replace_password(person, attributes ->> 'password', null, null);
    end if;
    perform auth.audit('user_modified', null, auth.traits_of(person), address);
    user_object := auth.describe_user(person);
end $$;
comment on function auth.admin_update_user(uuid, jsonb, inet) is 'What the operator changes about a person.';

-- Softly: the row stays for those that refer to it, and nothing in it tells who it was. Addresses are kept in lower case, hence hexadecimal.
create function auth.obscure_user(person uuid) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    delete from auth.sessions s where s.tenant_id = tenon.tenant_id() and s.user_id = person;
    delete from auth.one_time_tokens t where t.tenant_id = tenon.tenant_id() and t.user_id = person;
    delete from auth.flow_state f where f.tenant_id = tenon.tenant_id() and person in (f.user_id, f.linking_target_id);
    delete from auth.mfa_factors f where f.tenant_id = tenon.tenant_id() and f.user_id = person;
    delete from auth.webauthn_credentials k where k.tenant_id = tenon.tenant_id() and k.user_id = person;
    update auth.identities i
       set provider_id = encode(sha256(convert_to(person::text || i.provider_id, 'UTF8')), 'hex'), identity_data = '{}', updated_at = now()
     where i.tenant_id = tenon.tenant_id() and i.user_id = person;
    update auth.users u
       set email = encode(sha256(convert_to(person::text || nullif(u.email, ''), 'UTF8')), 'hex'),
           phone = encode(sha256(convert_to(person::text || nullif(u.phone, ''), 'UTF8')), 'hex'),
           email_change = '', phone_change = '', encrypted_password = null, raw_user_meta_data = '{}', raw_app_meta_data = '{}',
           deleted_at = now(), updated_at = now()
     where u.tenant_id = tenon.tenant_id() and u.id = person;
end $$;

create function auth.admin_delete_user(person uuid, softly boolean, address inet) returns boolean
    language plpgsql volatile set search_path = ''
as $$
declare
    traits constant jsonb := auth.traits_of(person);
begin
    if traits is null then
        return false;
    end if;
    if softly then
        perform auth.obscure_user(person) from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person and u.deleted_at is null;
    else
        delete from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person;
    end if;
    perform auth.audit('user_deleted', null, traits, address);
    return true;
end $$;
comment on function auth.admin_delete_user(uuid, boolean, inet) is 'Deletes a person, or only what tells who it is.';

-- A page of people. `by` is a column's name and `direction` asc or desc: C has seen to that.
create function auth.list_users(filter text, by name, direction text, first bigint, most bigint, out users jsonb, out total bigint)
    language plpgsql stable set search_path = ''
as $$
declare
    wanted constant text := '%' || replace(replace(replace(filter, '\', '\\'), '%', '\%'), '_', '\_') || '%';
    fits constant text := case when filter = '' then 'true'
        else '(u.email ilike $1 or u.phone like $1 or u.id::text like $1 or u.raw_user_meta_data ->> ''full_name'' ilike $1)' end;
begin
    execute 'select count(*) from auth.users u where u.tenant_id = tenon.tenant_id() and ' || fits into total using wanted;
    execute format('select coalesce(jsonb_agg(auth.user_object(p, ''[]'') order by p.%1$I %2$s nulls last, p.id %2$s), ''[]'')
                      from (select u.* from auth.users u where u.tenant_id = tenon.tenant_id() and %3$s
                             order by u.%1$I %2$s nulls last, u.id %2$s offset $2 limit $3) p',
                   by, direction, fits) into users using wanted, first, most;
end $$;
comment on function auth.list_users(text, name, text, bigint, bigint) is 'A page of the people of a tenant.';

-- Invitations, and links that somebody else sends. A link's token is of one of these kinds; verifying asks for the same.
create function auth.token_type_of(link text) returns auth.one_time_token_type
    language sql immutable parallel safe
    return case link when 'signup' then 'confirmation_token' when 'invite' then 'confirmation_token'
                     when 'magiclink' then 'recovery_token' when 'recovery' then 'recovery_token'
                     when 'email_change_current' then 'email_change_token_current'
                     when 'email_change_new' then 'email_change_token_new' end::auth.one_time_token_type;

-- The person who is to come in by a link of that kind, made where there is none.
--   user (and person), or email_exists, user_not_found
create function auth.expect_guest(link text, attributes jsonb, address inet, out outcome text, out person uuid)
    language plpgsql volatile set search_path = ''
as $$
declare
    u auth.users;
    made record;
begin
    select * into u from auth.users a
     where a.tenant_id = tenon.tenant_id() and a.email = attributes ->> 'email' and not a.is_sso_user for no key update;
    if found then
        person := u.id;
        outcome := case when link in ('signup', 'invite') and u.confirmed_at is not null then 'email_exists' else 'user' end;
        if outcome = 'user' and link = 'signup' then
            update auth.users a
               set encrypted_password = coalesce(attributes ->> 'password', a.encrypted_password),
                   raw_user_meta_data = auth.merge_metadata(a.raw_user_meta_data, attributes -> 'user_metadata')
             where a.tenant_id = tenon.tenant_id() and a.id = person;
        end if;
    elsif link in ('signup', 'invite', 'magiclink') then
        made := auth.add_user(attributes, address);
        outcome := made.outcome;
        person := made.person;
        if outcome = 'user' then
            perform auth.audit(case link when 'invite' then 'user_invited' else 'user_signedup' end, null, auth.traits_of(person), address);
        end if;
    else
        outcome := 'user_not_found';
    end if;
    if outcome = 'user' then
        update auth.users a
           set invited_at = case link when 'invite' then now() else a.invited_at end,
               confirmation_sent_at = case when link in ('signup', 'invite') or u.id is null then now() else a.confirmation_sent_at end,
               recovery_sent_at = case when link = 'recovery' or link = 'magiclink' and u.id is not null then now() else a.recovery_sent_at end,
               updated_at = now()
         where a.tenant_id = tenon.tenant_id() and a.id = person;
    end if;
end $$;

create function auth.invite(attributes jsonb, token text, letter bytea, lifetime_s bigint, address inet,
                            out outcome text, out user_object jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    guest record;
begin
    guest := auth.expect_guest('invite', attributes, address);
    outcome := guest.outcome;
    if outcome = 'user' then
        perform auth.expect_token(guest.person, 'confirmation_token', token, attributes ->> 'email', lifetime_s);
        perform tenon.post_message('email', 'invite', attributes ->> 'email', guest.person, letter, lifetime_s);
        user_object := auth.describe_user(guest.person);
    end if;
end $$;
comment on function auth.invite(jsonb, text, bytea, bigint, inet) is 'Invites somebody by mail.';

-- A link without a mail. `link` in the answer is what it has become: the magic link for somebody unknown is a sign-up's.
--   user, email_exists, user_not_found
create function auth.generate_link(link text, attributes jsonb, new_email text, token text, lifetime_s bigint, notice bytea, address inet,
                                   out outcome text, out user_object jsonb, out made text)
    language plpgsql volatile set search_path = ''
as $$
declare
    guest record;
    was_there constant boolean := auth.is_email_taken(attributes ->> 'email', null);
begin
    guest := auth.expect_guest(link, attributes, address);
    outcome := guest.outcome;
    made := case when link = 'magiclink' and not was_there then 'signup' else link end;
    if outcome = 'user' and new_email is not null then
        if auth.is_email_taken(new_email, guest.person) then
            outcome := 'email_exists';
        else -- both halves are asked for one by one, and the first half must not undo what the other has begun
            update auth.users u
               set email_change_confirm_status = case when u.email_change = new_email then u.email_change_confirm_status else 0 end,
                   email_change = new_email, email_change_sent_at = now()
             where u.tenant_id = tenon.tenant_id() and u.id = guest.person;
        end if;
    end if;
    if outcome = 'user' then
        perform auth.expect_token(guest.person, auth.token_type_of(made), token,
                                  case link when 'email_change_new' then new_email else attributes ->> 'email' end, lifetime_s);
        update auth.one_time_tokens t set notice = generate_link.notice
         where t.tenant_id = tenon.tenant_id() and t.user_id = guest.person and t.token_type = auth.token_type_of(made);
        perform auth.audit(case made when 'signup' then 'user_confirmation_requested' when 'invite' then 'user_invited'
                                     when 'recovery' then 'user_recovery_requested' when 'magiclink' then 'user_recovery_requested'
                                     else 'user_modified' end, null, auth.traits_of(guest.person), address);
        user_object := auth.describe_user(guest.person);
    end if;
end $$;
comment on function auth.generate_link(text, jsonb, text, text, bigint, bytea, inet) is 'A link as it would be mailed, for somebody else to send.';

-- Sessions, as their person sees them.

-- Only for people to tell one device from another: clients may say what they like.
create function auth.device_of(user_agent text) returns text
    language sql immutable parallel safe
    return concat_ws(' on ',
        case when user_agent ~ 'Edg[A-Za-z]*/' then 'Edge' when user_agent ~ 'OPR/|Opera' then 'Opera'
             when user_agent ~ 'SamsungBrowser/' then 'Samsung Internet' when user_agent ~ 'Firefox/|FxiOS/' then 'Firefox'
             when user_agent ~ 'Chrome/|CriOS/|Chromium/' then 'Chrome' when user_agent ~ 'Version/.*Safari/' then 'Safari'
             else nullif(left(substring(user_agent from '^[A-Za-z][A-Za-z0-9._-]*'), 40), 'Mozilla') end,
        case when user_agent ~ 'iPhone' then 'iPhone' when user_agent ~ 'iPad' then 'iPad' when user_agent ~ 'Android' then 'Android'
             when user_agent ~ 'CrOS' then 'ChromeOS' when user_agent ~ 'Windows' then 'Windows' when user_agent ~ 'Mac OS X|Macintosh' then 'macOS'
             when user_agent ~ 'Linux|X11' then 'Linux' end);
comment on function auth.device_of(text) is 'A user agent in a few words: Firefox on Linux.';

create function auth.session_object(s auth.sessions, methods jsonb, is_current boolean) returns jsonb
    language sql stable parallel safe set search_path = ''
as $$
    select jsonb_build_object(
        'id', s.id, 'device', coalesce(nullif(auth.device_of(s.user_agent), ''), 'unknown'), 'user_agent', s.user_agent, 'ip', host(s.ip),
        'created_at', auth.rfc3339(s.created_at), 'refreshed_at', auth.rfc3339(s.refreshed_at), 'not_after', auth.rfc3339(s.not_after),
        'aal', s.aal, 'amr', coalesce(methods, '[]'), 'current', is_current)
$$;

create function auth.list_sessions(person uuid, current uuid) returns jsonb
    language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(auth.session_object(s, m.list, coalesce(s.id = current, false))
                              order by coalesce(s.refreshed_at, s.created_at) desc, s.id), '[]')
      from auth.sessions s
      left join lateral (select jsonb_agg(jsonb_build_object('method', a.authentication_method,
                                                             'timestamp', floor(extract(epoch from a.updated_at))::bigint)
                                          order by a.updated_at desc) as list
                           from auth.mfa_amr_claims a where a.tenant_id = s.tenant_id and a.session_id = s.id) m on true
     where s.tenant_id = tenon.tenant_id() and s.user_id = person and coalesce(s.not_after > now(), true)
$$;
comment on function auth.list_sessions(uuid, uuid) is 'The sign-ins of a person that are in force, latest first.';

-- `actor` is who ends it: the person, or null for the operator. False: there is none, or it is somebody else's.
create function auth.end_session(person uuid, session uuid, actor uuid, address inet) returns boolean
    language plpgsql volatile set search_path = ''
as $$
begin
    delete from auth.sessions s where s.tenant_id = tenon.tenant_id() and s.user_id = person and s.id = session;
    if not found then
        return false;
    end if;
    perform auth.audit('session_revoked', actor, jsonb_build_object('user_id', person, 'session_id', session), address);
    return true;
end $$;
comment on function auth.end_session(uuid, uuid, uuid, inet) is 'Ends one sign-in of a person.';

-- Factors, as the operator handles them for a person who has lost theirs. Null: there is no such person, or no such factor of theirs.

create function auth.list_factors(person uuid) returns jsonb
    language plpgsql stable set search_path = ''
as $$
begin
    return (select coalesce((select jsonb_agg(auth.factor_object(f) order by f.created_at, f.id)
                               from auth.mfa_factors f where f.tenant_id = u.tenant_id and f.user_id = u.id), '[]')
              from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person);
end $$;

create function auth.admin_update_factor(person uuid, factor uuid, name text, number text, address inet) returns jsonb
    language plpgsql volatile set search_path = ''
as $$
declare
    seen jsonb;
begin
    update auth.mfa_factors f
       set friendly_name = coalesce(name, f.friendly_name),
           phone = case when f.factor_type::text = 'phone' then coalesce(number, f.phone) else f.phone end, updated_at = now()
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.id = factor
    returning auth.factor_object(f) into seen;
    if seen is not null then
        perform auth.audit('factor_updated', null, auth.traits_of(person) || jsonb_build_object('factor_id', factor), address);
    end if;
    return seen;
end $$;

create function auth.admin_delete_factor(person uuid, factor uuid, address inet) returns jsonb
    language plpgsql volatile set search_path = ''
as $$
declare
    seen jsonb;
begin
    delete from auth.mfa_factors f
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.id = factor
    returning auth.factor_object(f) into seen;
    if seen is not null then
        perform auth.audit('factor_deleted', null, auth.traits_of(person) || jsonb_build_object('factor_id', factor), address);
    end if;
    return seen;
end $$;

-- The audit log, read and kept for a while.

create function auth.audit_object(e auth.audit_log_entries) returns jsonb
    language sql stable parallel safe
    return jsonb_build_object('id', e.id, 'payload', e.payload, 'created_at', auth.rfc3339(e.created_at), 'ip_address', e.ip_address);

-- What a person did, what an agent did for them, and what others did to their account; with `person` null: everything. `field` is one of
-- author, action, type, ip, or a name out of the payload; null: whatever.
create function auth.read_audit(person uuid, field text, wanted text, first bigint, most bigint, out entries jsonb, out total bigint)
    language plpgsql stable set search_path = ''
as $$
declare
    pattern constant text := '%' || replace(replace(replace(wanted, '\', '\\'), '%', '\%'), '_', '\_') || '%';
    fits constant text := case
        when person is not null then '(e.payload ->> ''actor_id'' = $1::text or e.payload #>> ''{traits,user_id}'' = $1::text)'
        when field is null then 'true'
        when field = 'author' then '(e.payload ->> ''actor_username'' ilike $2 or e.payload ->> ''actor_name'' ilike $2)'
        when field = 'action' then 'e.payload ->> ''action'' ilike $2'
        when field = 'type' then 'e.payload ->> ''log_type'' ilike $2'
        when field = 'ip' then 'e.ip_address ilike $2'
        else format('e.payload ->> %L = $3', field) end;
begin
    execute 'select count(*) from auth.audit_log_entries e where e.tenant_id = tenon.tenant_id() and ' || fits
       into total using person, pattern, wanted;
    execute 'select coalesce(jsonb_agg(auth.audit_object(p::auth.audit_log_entries) order by p.created_at desc, p.id desc), ''[]'')
               from (select e.* from auth.audit_log_entries e where e.tenant_id = tenon.tenant_id() and ' || fits || '
                      order by e.created_at desc, e.id desc offset $4 limit $5) p'
       into entries using person, pattern, wanted, first, most;
end $$;
comment on function auth.read_audit(uuid, text, text, bigint, bigint) is 'A page of the audit log, latest first.';

-- Tenant by tenant and in small bites, so that the index finds them and no lock is held long.
create function tenon.sweep_audit(keep_days integer) returns bigint
    language sql volatile set search_path = ''
as $$
    with old as (
        delete from auth.audit_log_entries e
         using tenon.tenants t
         cross join lateral (select o.id from auth.audit_log_entries o
                              where o.tenant_id = t.id and o.created_at < now() - keep_days * interval '1 day'
                              order by o.created_at limit 5000) as bite
         where keep_days > 0 and e.tenant_id = t.id and e.id = bite.id
        returning 1)
    select count(*) from old
$$;
comment on function tenon.sweep_audit(integer) is 'Deletes entries of the audit log that are older than this; 0 keeps them for ever.';
select tenon.run_as_platform('tenon.sweep_audit(integer)');

-- The end of an account, by its person. What happened stays in the log, without a name; so does usage, which never had one.

create function auth.forget_name(person uuid) returns void
    language sql volatile security definer set search_path = ''
as $$
    update auth.audit_log_entries e
       set payload = (e.payload - '{actor_username,actor_name}'::text[]) #- '{traits,user_email}' #- '{traits,user_phone}'
     where e.tenant_id = tenon.tenant_id() and (e.payload ->> 'actor_id' = person::text or e.payload #>> '{traits,user_id}' = person::text)
$$;
comment on function auth.forget_name(uuid) is 'Takes a person''s name and addresses out of the audit log.';

-- `seen` is the hash of a password that was right a moment ago.
--   deleted, conflict, reauthentication_not_valid
create function auth.delete_account(person uuid, seen text, nonce text, address inet) returns text
    language plpgsql volatile set search_path = ''
as $$
begin
    perform from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person
       and coalesce(seen = u.encrypted_password, true) for update;
    if not found then
        return 'conflict';
    elsif nonce is not null and not auth.take_nonce(person, nonce) then
        return 'reauthentication_not_valid';
    end if;
    perform auth.audit('user_deleted', person, jsonb_build_object('user_id', person), address);
    delete from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person;
    perform auth.forget_name(person);
    return 'deleted';
end $$;
comment on function auth.delete_account(uuid, text, text, inet) is 'Deletes an account and all that belongs to it.';

-- A person's data, taken along: pieces of one JSON object without its braces, each piece small.

-- `query` gives one column of jsonb. What comes first within an object has no comma in front.
create function auth.export_list(comma text, name text, query text, person uuid) returns setof text
    language plpgsql stable set search_path = ''
as $$
begin
    return next comma || to_json(name) || ':[';
    return query execute 'select case when row_number() over () > 1 then '','' else '''' end || q.item::text from (' || query || ') q (item)'
        using person;
    return next ']';
end $$;

create function auth.export_account(person uuid) returns setof text
    language plpgsql stable set search_path = ''
as $$
begin
    return next '"exported_at":' || to_json(auth.rfc3339(now())) || ',"account":' || auth.describe_user(person);
    return query select auth.export_list(',', 'sessions', 'select jsonb_array_elements(auth.list_sessions($1, null))', person);
    return query select auth.export_list(',', 'factors', 'select jsonb_array_elements(auth.list_factors($1))', person);
    return query select auth.export_list(',', 'passkeys', 'select jsonb_array_elements(auth.passkeys_of($1))', person);
    return query select auth.export_list(',', 'teams', 'select auth.team_object(t, m.role)
        from auth.team_members m join auth.teams t on t.tenant_id = m.tenant_id and t.id = m.team_id
        where m.tenant_id = tenon.tenant_id() and m.user_id = $1 order by m.created_at, t.id', person);
    return query select auth.export_list(',', 'audit', 'select auth.audit_object(e) from auth.audit_log_entries e
        where e.tenant_id = tenon.tenant_id() and (e.payload ->> ''actor_id'' = $1::text or e.payload #>> ''{traits,user_id}'' = $1::text)
        order by e.created_at, e.id', person);
    return query select auth.export_list(',', 'usage', 'select to_jsonb(u) - ''tenant_id'' from tenon.usage u
        where u.tenant_id = tenon.tenant_id() and u.user_id = $1', person);
end $$;
comment on function auth.export_account(uuid) is 'What the server itself holds about a person.';

-- As the person, under row security: conversations, and every row that they may see and that refers to them by a key to auth.users. It does
-- not share auth.export_list(), which runs whatever it is given and is not for people.
create function auth.export_rows() returns setof text
    language plpgsql stable set search_path = ''
as $$
declare
    me constant uuid := auth.uid();
    mine constant text := ' k where k.conversation_id in (select c.id from ai.conversations c where c.owner_id = $1)';
    part record;
    has_tables boolean := false;
begin
    for part in
        select p.name, p.query, false as is_table
          from (values ('conversations', 'select to_jsonb(c) - ''tenant_id'' from ai.conversations c where c.owner_id = $1'),
                       ('messages', 'select to_jsonb(k) - ''tenant_id'' from ai.messages' || mine),
                       ('tool_calls', 'select to_jsonb(k) - ''tenant_id'' from ai.tool_calls' || mine)) as p (name, query)
         union all
        select n.nspname || '.' || t.relname,
               format('select to_jsonb(r) from (select %s from %I.%I where %s) r', c.columns, n.nspname, t.relname, k.keys), true
          from pg_catalog.pg_class t
          join pg_catalog.pg_namespace n on n.oid = t.relnamespace and n.nspname not in ('auth', 'tenon', 'ai', 'storage')
          cross join lateral (
              select string_agg(format('%I', a.attname), ', ' order by a.attnum) as columns from pg_catalog.pg_attribute a
               where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.attname <> 'tenant_id'
                 and pg_catalog.has_column_privilege(t.oid, a.attnum, 'select')) c
          cross join lateral (
              select string_agg(distinct format('%I = $1', a.attname), ' or ') as keys
                from pg_catalog.pg_constraint f
                cross join unnest(f.conkey, f.confkey) as pair (here, there)
                join pg_catalog.pg_attribute a on a.attrelid = f.conrelid and a.attnum = pair.here
                join pg_catalog.pg_attribute b on b.attrelid = f.confrelid and b.attnum = pair.there and b.attname = 'id'
               where f.conrelid = t.oid and f.contype = 'f' and f.confrelid = 'auth.users'::regclass
                 and pg_catalog.has_column_privilege(t.oid, a.attnum, 'select')) k
         where t.relkind in ('r', 'p') and not t.relispartition and c.columns is not null and k.keys is not null
           and pg_catalog.has_schema_privilege(n.oid, 'usage')
         order by is_table, name
    loop
        return next case when part.is_table and not has_tables then ',"tables":{' else ',' end || to_json(part.name) || ':[';
        return query execute 'select case when row_number() over () > 1 then '','' else '''' end || q.item::text from (' || part.query || ') q (item)'
            using me;
        return next ']';
        has_tables := part.is_table;
    end loop;
    return next case when has_tables then '}' else ',"tables":{}' end;
end $$;
comment on function auth.export_rows() is 'What a person may see of what belongs to them, as JSON.';

do $$
declare
    ours text; -- what this file has made
begin
    for ours in
        select p.oid::regprocedure::text from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
         where n.nspname = 'auth' and p.proname in (
            'merge_metadata', 'name_providers', 'set_identity', 'confirm_email', 'confirm_phone', 'is_email_taken', 'is_phone_taken',
            'has_second_factor', 'tell', 'expect_change', 'expect_phone_change', 'confirm_change', 'take_nonce', 'expect_nonce', 'replace_password',
            'update_user', 'apply_attributes', 'traits_of', 'add_user', 'admin_create_user', 'admin_update_user', 'obscure_user',
            'admin_delete_user', 'list_users', 'token_type_of', 'expect_guest', 'invite', 'generate_link', 'device_of', 'session_object',
            'list_sessions', 'end_session', 'list_factors', 'admin_update_factor', 'admin_delete_factor', 'audit_object', 'read_audit',
            'forget_name', 'delete_account', 'export_list', 'export_account', 'export_rows')
    loop
        execute format('revoke execute on function %s from public', ours);
        execute format('grant execute on function %s to tenon_worker', ours);
    end loop;
end $$;
revoke execute on function tenon.sweep_audit(integer) from public;
grant execute on function tenon.sweep_audit(integer) to tenon_worker;
-- Their own rows, as they may see them anyway.
grant execute on function auth.export_rows() to authenticated, service_role;
