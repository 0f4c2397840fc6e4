-- 0008: sign-ups that are confirmed, codes and links that are sent, and sign-ins that leave and come back
--
-- Who asks for a message may not learn whether anybody has the address: each function below does the same for addresses that somebody
-- has and that nobody has, down to what is written (auth.pretend). The server has made code, link and letter before it asks, for every
-- case; which of them is posted is decided here.

alter table auth.one_time_tokens
    -- asked for by somebody who said no password: the one that is there may be a stranger's, and goes when this is redeemed
    add column clears_password boolean not null default false;
create index one_time_tokens_by_address on auth.one_time_tokens (tenant_id, relates_to);
create index one_time_tokens_by_link on auth.one_time_tokens (token_hash); -- it comes back without a tenant

-- What the server has prepared to send. `challenge` is null in the implicit flow.
create type auth.message as (
    channel          text,    -- email, sms
    address          text,    -- in lower case; digits. Null: somebody anonymous, who is sent nothing
    hash             text,    -- SHA-256 of what the link carries
    sealed           bytea,   -- the letter
    lifetime_s       bigint,
    interval_s       bigint,  -- not more often than this
    challenge        text,
    challenge_method text,
    redirect_to      text
);

-- Flows

create function auth.begin_flow(provider text, method text, challenge text, challenge_method text, redirect_to text,
                                sealed bytea default null, target uuid default null, invite text default null) returns uuid
    language sql volatile set search_path = ''
as $$
    insert into auth.flow_state (provider_type, authentication_method, code_challenge, code_challenge_method, redirect_to,
                                 sealed, linking_target_id, invite_token)
    values (provider, method, challenge, challenge_method, coalesce(redirect_to, ''), sealed, target, invite)
    returning id
$$;
comment on function auth.begin_flow(text, text, text, text, text, bytea, uuid, text) is 'A sign-in that leaves and will come back.';

-- A provider sends somebody back, which happens once: two requests at the same time are put in a row by the lock.
--   flow, with `state`; bad_oauth_state: nobody's, or too old; flow_state_already_used
create function auth.return_to_flow(flow uuid, lifetime_s bigint default 300, out outcome text, out state auth.flow_state)
    language plpgsql volatile set search_path = ''
as $$
begin
    select f.* into state from auth.flow_state f where f.tenant_id = tenon.tenant_id() and f.id = flow for no key update;
    outcome := case when not found or state.created_at + lifetime_s * interval '1 second' < now() then 'bad_oauth_state'
                    when state.used_at is not null or state.auth_code is not null then 'flow_state_already_used'
                    else 'flow' end;
    if outcome = 'flow' then
        update auth.flow_state f set used_at = now(), updated_at = now() where f.tenant_id = tenon.tenant_id() and f.id = flow;
    else
        state := null;
    end if;
end $$;
comment on function auth.return_to_flow(uuid, bigint) is 'The flow that a provider sends back, once.';

-- Who it was, and what fetches the session. False: the flow is gone, or has had its code.
create function auth.issue_code(flow uuid, person uuid, code_hash text, access bytea default null, refresh bytea default null) returns boolean
    language plpgsql volatile set search_path = ''
as $$
begin
    update auth.flow_state f
       set user_id = person, auth_code = code_hash, auth_code_issued_at = now(), updated_at = now(),
           provider_access_token = access, provider_refresh_token = refresh
     where f.tenant_id = tenon.tenant_id() and f.id = flow and f.auth_code_issued_at is null;
    return found;
end $$;
comment on function auth.issue_code(uuid, uuid, text, bytea, bytea) is 'Gives a flow its code.';

-- The code and the verifier of its challenge for a session, once. `verifier_s256` is base64url of the verifier's SHA-256.
--   session: user_object, claims, the provider's tokens; or flow_state_not_found, flow_state_expired, bad_code_verifier, user_banned
create function auth.redeem_code(code_hash text, verifier text, verifier_s256 text, lifetime_s bigint, opening auth.new_session,
                                 out outcome text, out user_object jsonb, out claims jsonb,
                                 out access bytea, out refresh bytea)
    language plpgsql volatile set search_path = ''
as $$
declare
    flow auth.flow_state;
begin
    select f.* into flow from auth.flow_state f
     where f.tenant_id = tenon.tenant_id() and f.auth_code = code_hash and f.user_id is not null for no key update;
    outcome := case
        when not found then 'flow_state_not_found'
        when flow.auth_code_issued_at + lifetime_s * interval '1 second' < now() then 'flow_state_expired'
        when flow.code_challenge is distinct from case flow.code_challenge_method when 'plain' then verifier else verifier_s256 end
            then 'bad_code_verifier'
        when exists (select from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = flow.user_id and u.banned_until > now())
            then 'user_banned'
        else 'session' end;
    if outcome <> 'session' then
        return;
    end if;
    access := flow.provider_access_token;
    refresh := flow.provider_refresh_token;
    update auth.flow_state f
       set auth_code = null, used_at = coalesce(f.used_at, now()), updated_at = now(), provider_access_token = null, provider_refresh_token = null
     where f.tenant_id = tenon.tenant_id() and f.id = flow.id;
    perform auth.open_session(flow.user_id, opening, flow.authentication_method);
    perform auth.audit('login', flow.user_id, jsonb_build_object('provider', flow.provider_type), opening.ip);
    select d.user_object, d.claims into redeem_code.user_object, redeem_code.claims from auth.describe_session(opening.id) d;
end $$;
comment on function auth.redeem_code(text, text, text, bigint, auth.new_session) is 'A session for the code of a flow.';

-- Messages

-- How long somebody has to wait who was sent something at `sent_at`, in seconds.
create function auth.wait_s(sent_at timestamptz, interval_s bigint) returns integer
    language sql stable
    return greatest(0, ceil(extract(epoch from sent_at + interval_s * interval '1 second' - now()))::integer);
comment on function auth.wait_s(timestamptz, bigint) is 'Seconds until the next message may be sent.';

-- A code or link for a person. `method` is that of the session which its flow ends in.
create function auth.post(person uuid, kind text, purpose auth.one_time_token_type, method text, m auth.message,
                          clears boolean default false) returns uuid
    language plpgsql volatile set search_path = ''
as $$
declare
    flow uuid;
begin
    if m.challenge is not null then
        flow := auth.begin_flow('email', method, m.challenge, m.challenge_method, m.redirect_to);
    end if;
    perform auth.expect_token(person, purpose, m.hash, m.address, m.lifetime_s, flow);
    update auth.one_time_tokens o set clears_password = clears
     where o.tenant_id = tenon.tenant_id() and o.user_id = person and o.token_type = purpose and o.clears_password <> clears;
    update auth.users u
       set confirmation_sent_at = case purpose when 'confirmation_token' then now() else u.confirmation_sent_at end,
           recovery_sent_at = case purpose when 'recovery_token' then now() else u.recovery_sent_at end,
           updated_at = now()
     where u.tenant_id = tenon.tenant_id() and u.id = person;
    return tenon.post_message(m.channel, kind, m.address, person, m.sealed, m.lifetime_s);
end $$;
comment on function auth.post(uuid, text, auth.one_time_token_type, text, auth.message, boolean) is 'Sends a person a code and a link.';

-- As much writing as auth.post(), and nothing of it stays: for an address that nobody has. Returns an id that names nothing.
create function auth.pretend(m auth.message) returns uuid
    language plpgsql volatile set search_path = ''
as $$
declare
    message uuid;
    flow uuid;
begin
    if m.challenge is not null then
        flow := auth.begin_flow('email', 'pretend', m.challenge, m.challenge_method, m.redirect_to);
        delete from auth.flow_state f where f.tenant_id = tenon.tenant_id() and f.id = flow;
    end if;
    for row in 1..2 loop -- the message, and what stands for its token
        message := tenon.post_message(m.channel, 'nothing', m.address, null, m.sealed, m.lifetime_s);
        delete from tenon.outbox o where o.tenant_id = tenon.tenant_id() and o.id = message;
    end loop;
    return message;
end $$;
comment on function auth.pretend(auth.message) is 'Takes as long as sending somebody a message.';

-- Who has this address, locked until the transaction ends: requests for one person are put in a row.
create function auth.person_at(channel text, address text) returns auth.users
    language plpgsql volatile set search_path = ''
as $$
declare
    person auth.users;
begin
    if channel = 'sms' then
        select u.* into person from auth.users u
         where u.tenant_id = tenon.tenant_id() and u.phone = address and u.phone <> '' and u.deleted_at is null for no key update;
    else
        select u.* into person from auth.users u
         where u.tenant_id = tenon.tenant_id() and u.email = address and not u.is_sso_user and u.deleted_at is null for no key update;
    end if;
    return person;
end $$;
comment on function auth.person_at(text, text) is 'The person with this address.';

-- Sign-up

-- A new person with their identity, in one subtransaction with everything that people hang on auth.users; or who has the address.
-- What `opening` or `kind` asks for belongs to it: a session, or a message of that kind.
create function auth.add_person(m auth.message, password text, metadata jsonb, confirmed boolean, kind text, opening auth.new_session,
                                out person auth.users, out is_new boolean, out message uuid, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    newcomer constant uuid := tenon.uuid7();
    provider constant text := case m.channel when 'sms' then 'phone' else 'email' end;
    profile constant jsonb := case when m.address is null then metadata
        else metadata || jsonb_build_object('sub', newcomer, provider, m.address, 'email_verified', confirmed and provider = 'email',
                                            'phone_verified', confirmed and provider = 'phone') end;
    code text;
    hint text;
    detail text;
begin
    is_new := false;
    for attempt in 1..2 loop
        if m.address is not null then
            person := auth.person_at(m.channel, m.address);
            exit when person.id is not null;
        end if;
        begin
            insert into auth.users (id, email, phone, encrypted_password, email_confirmed_at, phone_confirmed_at,
                                    raw_app_meta_data, raw_user_meta_data, is_anonymous)
            values (newcomer, case provider when 'email' then m.address end, case provider when 'phone' then m.address end, password,
                    case when confirmed and provider = 'email' and m.address is not null then now() end,
                    case when confirmed and provider = 'phone' then now() end,
                    case when m.address is null then '{}'
                         else jsonb_build_object('provider', provider, 'providers', jsonb_build_array(provider)) end,
                    profile, m.address is null)
            on conflict do nothing
            returning * into person;
            if found then
                is_new := true;
                message := auth.complete_sign_up(person, profile, m, kind, opening);
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
            failure := jsonb_strip_nulls(jsonb_build_object('code', code, 'message', sqlerrm,
                                                            'hint', nullif(hint, ''), 'detail', nullif(detail, '')));
            return;
        end;
    end loop;
    if person.id is null then -- a trigger `before insert` let it vanish
        failure := jsonb_build_object('code', 'P0001', 'message', 'a trigger on auth.users prevented the sign-up');
    end if;
end $$;
comment on function auth.add_person(auth.message, text, jsonb, boolean, text, auth.new_session) is 'A new person, or who has the address.';

-- The rest of a sign-up, after the row of auth.users and its triggers. Without opening a message, and only then.
create function auth.complete_sign_up(person auth.users, profile jsonb, m auth.message, kind text, opening auth.new_session) returns uuid
    language plpgsql volatile set search_path = ''
as $$
declare
    provider constant text := case when person.is_anonymous then 'anonymous' when m.channel = 'sms' then 'phone' else 'email' end;
    traits constant jsonb := jsonb_build_object('provider', provider);
begin
    if not person.is_anonymous then
        insert into auth.identities (provider_id, user_id, identity_data, provider) values (person.id::text, person.id, profile, provider);
    end if;
    if person.confirmed_at is null and not person.is_anonymous then
        perform auth.audit('user_confirmation_requested', person.id, traits, opening.ip);
    else
        perform auth.audit('user_signedup', person.id, traits, opening.ip);
    end if;
    if kind is null then
        perform auth.open_session(person.id, opening, case when person.is_anonymous then 'anonymous' else 'password' end);
        perform auth.audit('login', person.id, traits, opening.ip);
        return null;
    end if;
    return auth.post(person.id, kind, case kind when 'confirmation' then 'confirmation_token'::auth.one_time_token_type else 'recovery_token' end,
                     case kind when 'confirmation' then 'email/signup' else 'magiclink' end, m, person.encrypted_password is null);
end $$;

-- A new person who has said a password, or nobody in particular: no address makes somebody anonymous. `password` is a hash.
--
--   session             confirmed at once, and signed in: user_object, claims
--   user                made, or there and unconfirmed; awaits confirmation: user_object
--   user_already_exists confirmed at once would tell, and may tell
--   fabricated          there and confirmed, and nobody may learn it: a user_object that looks like a new one's
--   over_email_send_rate_limit, over_sms_send_rate_limit   asked again too soon: failure has `seconds` to wait
--   database_error      somebody's trigger or constraint said no: failure has code, message, detail, hint
drop function auth.sign_up(text, text, jsonb, boolean, auth.new_session, text);
drop function auth.complete_sign_up(auth.users, jsonb, boolean, auth.new_session, text);
drop function auth.expect_confirmation(uuid, text, text);
create function auth.sign_up(m auth.message, password text, metadata jsonb, autoconfirm boolean, opening auth.new_session,
                             out outcome text, out user_object jsonb, out claims jsonb, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    provider constant text := case m.channel when 'sms' then 'phone' else 'email' end;
    added record;
    person auth.users;
begin
    select * into added from auth.add_person(m, password, metadata, autoconfirm, case when not autoconfirm then 'confirmation' end, opening);
    person := added.person;
    failure := added.failure;
    if failure is not null then
        outcome := 'database_error';
    elsif added.is_new and autoconfirm then
        outcome := 'session';
        select d.user_object, d.claims into sign_up.user_object, sign_up.claims from auth.describe_session(opening.id) d;
    elsif added.is_new then
        outcome := 'user';
        user_object := auth.describe_user(person.id);
    elsif autoconfirm then
        outcome := 'user_already_exists';
        perform auth.audit('user_repeated_signup', person.id, jsonb_build_object('provider', provider), opening.ip);
    elsif (case m.channel when 'sms' then person.phone_confirmed_at else person.email_confirmed_at end) is not null then
        outcome := 'fabricated';
        perform auth.audit('user_repeated_signup', person.id, jsonb_build_object('provider', provider), opening.ip);
        perform auth.pretend(m);
        perform auth.pretend(m); -- a new account writes about twice as much as a message
        user_object := auth.fabricate_user(m, provider, metadata);
    else
        select r.outcome, r.failure into sign_up.outcome, sign_up.failure from auth.confirm_again(person, m, false, opening.ip) r;
        if outcome = 'sent' then
            outcome := 'user';
            user_object := auth.describe_user(person.id);
            if person.invited_at is not null then -- whoever asks need not be who was invited
                user_object := user_object || '{"user_metadata": {}, "identities": []}';
            end if;
        end if;
    end if;
end $$;
comment on function auth.sign_up(auth.message, text, jsonb, boolean, auth.new_session) is 'A new person, or what to answer instead.';

-- A person who is not there, as a new one would look.
create function auth.fabricate_user(m auth.message, provider text, metadata jsonb) returns jsonb
    language sql volatile set search_path = ''
as $$
    select auth.user_object(jsonb_populate_record(null::auth.users, jsonb_build_object(
        'id', tenon.uuid7(), 'aud', 'authenticated', 'role', '', provider, m.address, 'is_anonymous', false,
        'confirmation_sent_at', now(), 'created_at', now(), 'updated_at', now(),
        'raw_app_meta_data', jsonb_build_object('provider', provider, 'providers', jsonb_build_array(provider)),
        'raw_user_meta_data', metadata)), '[]')
$$;

-- The code that confirms an address, sent once more.
--   sent, with `message`; or over_email_send_rate_limit, over_sms_send_rate_limit, with `failure`
create function auth.confirm_again(person auth.users, m auth.message, clears boolean, ip inet,
                                   out outcome text, out message uuid, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    select r.outcome, r.failure into confirm_again.outcome, confirm_again.failure from auth.hold_back(person.confirmation_sent_at, m) r;
    if outcome = 'sent' then
        message := auth.post(person.id, 'confirmation', 'confirmation_token', 'email/signup', m, clears);
        perform auth.audit('user_confirmation_requested', person.id,
                           jsonb_build_object('provider', case m.channel when 'sms' then 'phone' else 'email' end), ip);
    end if;
end $$;

-- May something be sent to somebody who was sent something at `sent_at`?
create function auth.hold_back(sent_at timestamptz, m auth.message, out outcome text, out failure jsonb)
    language plpgsql stable set search_path = ''
as $$
declare
    seconds constant integer := coalesce(auth.wait_s(sent_at, m.interval_s), 0);
begin
    outcome := case when seconds = 0 then 'sent' when m.channel = 'sms' then 'over_sms_send_rate_limit' else 'over_email_send_rate_limit' end;
    if seconds > 0 then
        failure := jsonb_build_object('seconds', seconds);
    end if;
end $$;

-- Codes and links for those who ask. Each gives sent, with `message`, whether or not anybody has the address; or over_…_send_rate_limit
-- with `failure`.

-- To sign in by, or up where `joins`; with `creates` false who is new is told so (otp_disabled), as upstream's clients expect. Also
-- database_error.
create function auth.ask_code(m auth.message, metadata jsonb, creates boolean, joins boolean, autoconfirm boolean, ip inet,
                              out outcome text, out message uuid, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    person auth.users := auth.person_at(m.channel, m.address);
    added record;
begin
    if person.id is null and not creates then
        outcome := 'otp_disabled';
        return;
    end if;
    if person.id is null and joins then
        select * into added from auth.add_person(m, null, metadata, autoconfirm, case when autoconfirm then 'magiclink' else 'confirmation' end,
                                                 row(null, null, null, ip, null)::auth.new_session);
        if added.failure is not null then
            outcome := 'database_error';
            failure := added.failure;
            return;
        elsif added.is_new then
            outcome := 'sent';
            message := added.message;
            return;
        end if;
        person := added.person;
    end if;
    if person.id is null then
        outcome := 'sent';
        message := auth.pretend(m);
        perform auth.audit('user_recovery_requested', null, null, ip);
    elsif (case m.channel when 'sms' then person.phone_confirmed_at else person.email_confirmed_at end) is null then
        select r.* into outcome, message, failure from auth.confirm_again(person, m, true, ip) r;
    else
        select r.* into outcome, failure from auth.hold_back(person.recovery_sent_at, m) r;
        if outcome = 'sent' then
            message := auth.post(person.id, 'magiclink', 'recovery_token', 'magiclink', m);
            perform auth.audit('user_recovery_requested', person.id, null, ip);
            if creates and joins then -- somebody new would have been written as well
                perform auth.pretend(m);
            end if;
        end if;
    end if;
end $$;
comment on function auth.ask_code(auth.message, jsonb, boolean, boolean, boolean, inet) is 'A code to sign in by.';

create function auth.ask_recovery(m auth.message, ip inet, out outcome text, out message uuid, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    person auth.users := auth.person_at(m.channel, m.address);
begin
    if person.id is null then
        outcome := 'sent';
        message := auth.pretend(m);
        perform auth.audit('user_recovery_requested', null, null, ip);
        return;
    end if;
    select r.* into outcome, failure from auth.hold_back(person.recovery_sent_at, m) r;
    if outcome = 'sent' then
        message := auth.post(person.id, 'recovery', 'recovery_token', 'recovery', m);
        perform auth.audit('user_recovery_requested', person.id, null, ip);
    end if;
end $$;
comment on function auth.ask_recovery(auth.message, inet) is 'A link for somebody who has forgotten their password.';

create function auth.ask_again(m auth.message, ip inet, out outcome text, out message uuid, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    person auth.users := auth.person_at(m.channel, m.address);
begin
    if (case m.channel when 'sms' then person.phone_confirmed_at else person.email_confirmed_at end) is null and person.id is not null then
        select r.* into outcome, message, failure from auth.confirm_again(person, m, false, ip) r;
    else
        outcome := 'sent';
        message := auth.pretend(m);
        perform auth.audit('user_confirmation_requested', null, null, ip);
    end if;
end $$;
comment on function auth.ask_again(auth.message, inet) is 'The code that confirms an address, once more.';

-- The letters of a change of address that is pending, once more. `m` goes to the new one, and with `is_secure` the other letter to the
-- old one; null for `person`: nobody has the address, or nothing is pending.
create function auth.ask_change_again(m auth.message, person uuid, is_secure boolean, old_hash text, old_sealed bytea, ip inet,
                                      out outcome text, out message uuid, out failure jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    flow uuid;
begin
    message := tenon.uuid7();
    if person is null then
        perform auth.pretend(m);
        perform auth.audit('user_confirmation_requested', null, null, ip);
        outcome := 'sent';
        return;
    elsif m.channel = 'sms' then
        outcome := auth.expect_phone_change(person, m.address, m.hash, m.sealed, m.lifetime_s);
    else
        if m.challenge is not null then
            flow := auth.begin_flow('email', 'email_change', m.challenge, m.challenge_method, m.redirect_to);
        end if;
        outcome := auth.expect_change(person, m.address, is_secure, m.hash, old_hash, m.sealed, old_sealed, m.lifetime_s, flow);
    end if;
    if outcome like 'over\_%' then
        failure := jsonb_build_object('seconds', greatest(1, (
            select auth.wait_s(case m.channel when 'sms' then u.phone_change_sent_at else u.email_change_sent_at end, m.interval_s)
              from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person)));
    else
        outcome := 'sent'; -- that somebody else has the address by now is nobody's business here
        perform auth.audit('user_confirmation_requested', person, null, ip);
    end if;
end $$;
comment on function auth.ask_change_again(auth.message, uuid, boolean, text, bytea, inet) is 'The letters of a change of address, once more.';

-- Codes and links that come back

-- A token redeemed, once: by its `hash`, and with `address` as a code for this address. `kind` is the dialect's type of verification.
-- `code_hash` is null where nobody could use a code; `wants_code` says that the link was made with a challenge.
--
--   session      user_object, claims
--   code         the flow has been given the code with this hash
--   half         the first of two confirmations of a new e-mail address; has_flow tells how to say so
--   otp_expired  wrong, too old, used, guessed at too often, nobody's: one answer for all
--   user_banned, flow_state_not_found, email_exists, phone_exists
--
-- Wrong codes are counted on what the address was sent: after ten it is dead.
create function auth.redeem_token(kind text, hash text, address text, opening auth.new_session, code_hash text, wants_code boolean,
                                  secure boolean, notice bytea,
                                  out outcome text, out user_object jsonb, out claims jsonb, out has_flow boolean)
    language plpgsql volatile set search_path = ''
as $$
declare
    types constant auth.one_time_token_type[] := case kind
        when 'signup' then '{confirmation_token}' when 'invite' then '{confirmation_token}'
        when 'magiclink' then '{recovery_token}' when 'recovery' then '{recovery_token}'
        when 'email' then '{confirmation_token, recovery_token}' when 'sms' then '{confirmation_token, recovery_token}'
        when 'email_change' then '{email_change_token_new, email_change_token_current}' when 'phone_change' then '{phone_change_token}' end;
    by_phone constant boolean := kind in ('sms', 'phone_change');
    found_token auth.one_time_tokens;
    person auth.users;
begin
    -- people before tokens, as everywhere, so that nobody waits in a circle
    perform from auth.users u
      where u.tenant_id = tenon.tenant_id()
        and u.id = any (array(select o.user_id from auth.one_time_tokens o
                               where o.tenant_id = tenon.tenant_id() and o.token_type = any (types)
                                 and case when address is null then o.token_hash = hash else o.relates_to = address end))
      order by u.id for no key update;
    select o.* into found_token from auth.one_time_tokens o
     where o.tenant_id = tenon.tenant_id() and o.token_hash = hash and o.token_type = any (types) and (o.relates_to !~ '@') = by_phone
       and (address is null or o.relates_to = address) and o.expires_at > now() and o.attempts < 10;
    if found then
        select u.* into person from auth.users u
         where u.tenant_id = tenon.tenant_id() and u.id = found_token.user_id and u.deleted_at is null
           -- whose address has changed since has what was sent to the old one no more
           and (found_token.token_type not in ('confirmation_token', 'recovery_token') or found_token.relates_to in (u.email, u.phone));
    end if;
    has_flow := found_token.flow_state_id is not null;
    if person.id is null then
        outcome := 'otp_expired';
        update auth.one_time_tokens o set attempts = least(o.attempts + 1, 10), updated_at = now()
         where o.tenant_id = tenon.tenant_id() and o.relates_to = address and o.token_type = any (types);
        perform pg_logical_emit_message(true, 'tenon', ''); -- so that COMMIT writes also where there was nothing to count
    elsif person.banned_until > now() then
        outcome := 'user_banned';
    elsif wants_code and not has_flow then
        outcome := 'flow_state_not_found';
    else
        outcome := auth.accept_token(found_token, person, secure, notice, opening.ip);
    end if;
    if outcome = 'done' and code_hash is not null and has_flow then
        outcome := case when auth.issue_code(found_token.flow_state_id, person.id, code_hash) then 'code' else 'flow_state_not_found' end;
    elsif outcome = 'done' then
        outcome := 'session';
        perform auth.open_session(person.id, opening, 'otp');
        perform auth.audit('login', person.id, jsonb_build_object('provider', case when by_phone then 'phone' else 'email' end), opening.ip);
        select d.user_object, d.claims into redeem_token.user_object, redeem_token.claims from auth.describe_session(opening.id) d;
    end if;
end $$;
comment on function auth.redeem_token(text, text, text, auth.new_session, text, boolean, boolean, bytea) is 'What a code or a link is good for.';

-- What somebody who has shown a token has proven: the address is theirs. Done, or what auth.confirm_change() says.
create function auth.accept_token(token auth.one_time_tokens, person auth.users, secure boolean, notice bytea, ip inet) returns text
    language plpgsql volatile set search_path = ''
as $$
declare
    by_phone constant boolean := token.relates_to !~ '@';
    was_confirmed constant boolean := case when by_phone then person.phone_confirmed_at else person.email_confirmed_at end is not null;
begin
    if token.token_type not in ('confirmation_token', 'recovery_token') then
        return auth.confirm_change(person.id, token.token_type, secure, notice, ip);
    end if;
    if by_phone then
        perform auth.confirm_phone(person.id);
    else
        perform auth.confirm_email(person.id);
    end if;
    if not was_confirmed then
        -- Who made the account need not be who has the address now proven. A password that nobody has said to this person is not theirs.
        update auth.users u set encrypted_password = null, updated_at = now()
         where u.tenant_id = tenon.tenant_id() and u.id = person.id and u.encrypted_password is not null
           and person.confirmed_at is null and (token.clears_password or token.token_type = 'recovery_token');
        perform auth.audit(case when person.invited_at is not null then 'invite_accepted' else 'user_signedup' end, person.id,
                           jsonb_build_object('provider', case when by_phone then 'phone' else 'email' end), ip);
    end if;
    delete from auth.one_time_tokens o where o.tenant_id = tenon.tenant_id() and o.user_id = person.id;
    return 'done';
end $$;

-- Whose something is that comes back without a tenant; asked by tenon_authenticator. A suspended tenant has nothing.
create function tenon.tenant_of_token(hash text) returns uuid
    language sql stable set search_path = ''
as $$
    select o.tenant_id from auth.one_time_tokens o join tenon.tenants t on t.id = o.tenant_id and t.status = 'active' where o.token_hash = hash limit 1
$$;
create function tenon.tenant_of_flow(flow uuid) returns uuid
    language sql stable set search_path = ''
as $$
    select f.tenant_id from auth.flow_state f join tenon.tenants t on t.id = f.tenant_id and t.status = 'active' where f.id = flow limit 1
$$;
select tenon.run_as_platform('tenon.tenant_of_token(text)');
select tenon.run_as_platform('tenon.tenant_of_flow(uuid)');
comment on function tenon.tenant_of_token(text) is 'The tenant that a link leads to.';
comment on function tenon.tenant_of_flow(uuid) is 'The tenant that a sign-in left from.';

-- Flows that nobody has come back to, or so long ago that a replay tells nobody anything, and codes that are too old. In small bites.
create function tenon.sweep_flows() returns bigint
    language sql volatile set search_path = ''
as $$
    with flows as (
        delete from auth.flow_state f
         where (f.tenant_id, f.id) in (select o.tenant_id, o.id from auth.flow_state o
                                        where o.created_at < now() - interval '1 day' and o.updated_at < now() - interval '1 day'
                                          and not exists (select from auth.one_time_tokens t
                                                           where t.tenant_id = o.tenant_id and t.flow_state_id = o.id and t.expires_at > now())
                                        order by o.created_at limit 5000)
        returning 1),
    codes as (
        delete from auth.one_time_tokens t
         where (t.tenant_id, t.id) in (select o.tenant_id, o.id from auth.one_time_tokens o
                                        where o.expires_at < now() - interval '1 day' limit 5000)
        returning 1)
    select (select count(*) from flows) + (select count(*) from codes)
$$;
comment on function tenon.sweep_flows() is 'Deletes flows and codes that are of no use any more.';
select tenon.run_as_platform('tenon.sweep_flows()');
revoke execute on function tenon.sweep_flows() from public;
grant execute on function tenon.sweep_flows() to tenon_worker;

-- Sessions

-- A session for somebody whose password was right a moment ago: `seen` is the hash it was checked against, and must still be in
-- force. `better` replaces it when the cost of hashing has changed since.
--   session, or invalid_credentials, user_banned, email_not_confirmed, phone_not_confirmed
drop function auth.sign_in(uuid, text, text, auth.new_session);
create function auth.sign_in(person uuid, seen text, better text, by_phone boolean, opening auth.new_session,
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
                    when by_phone and found_user.phone_confirmed_at is null then 'phone_not_confirmed'
                    when not by_phone and found_user.email_confirmed_at is null then 'email_not_confirmed'
                    else 'session' end;
    if outcome = 'session' then
        if better is not null then
            update auth.users set encrypted_password = better where tenant_id = tenon.tenant_id() and id = person;
        end if;
        perform auth.open_session(person, opening, 'password');
        perform auth.audit('login', person, jsonb_build_object('provider', case when by_phone then 'phone' else 'email' end), opening.ip);
        select d.user_object, d.claims into sign_in.user_object, sign_in.claims from auth.describe_session(opening.id) d;
    end if;
end $$;
comment on function auth.sign_in(uuid, text, text, boolean, auth.new_session) is 'A session for a person whose password has been checked.';

-- What a session may be refreshed by. Both 0 and false: nothing ends it but its own end.
create type auth.refresh_rules as (
    reuse_s    bigint,
    inactive_s bigint,  -- 0: never too long
    is_single  boolean  -- only the newest session of a person
);

-- Why a session cannot be refreshed any more, or null.
create function auth.session_end(s auth.sessions, rules auth.refresh_rules) returns text
    language plpgsql stable set search_path = ''
as $$
begin
    if exists (select from auth.users u where u.tenant_id = s.tenant_id and u.id = s.user_id and u.banned_until > now()) then
        return 'user_banned';
    elsif s.not_after <= now()
          or (rules.inactive_s > 0 and coalesce(s.refreshed_at, s.created_at) + rules.inactive_s * interval '1 second' <= now())
          or (rules.is_single and exists (
                select from auth.sessions o
                 where o.tenant_id = s.tenant_id and o.user_id = s.user_id and (o.created_at, o.id) > (s.created_at, s.id)
                   and coalesce(o.not_after > now(), true))) then
        return 'session_expired';
    end if;
    return null;
end $$;
comment on function auth.session_end(auth.sessions, auth.refresh_rules) is 'Why a session is over.';

-- A refresh token exchanged for the next one. The server has verified that it made `presented`, for this session and with this counter;
-- `successor` is the hash of the next. The lock on the session puts simultaneous requests in a row.
--   session: user_object, claims, and `counter` of the refresh token to hand out; or
--   refresh_token_not_found, user_banned, session_expired, refresh_token_already_used
-- A token that was exchanged before gives the current one again when that came directly from it (the answer was lost on its way, or two
-- requests ran at once), or when that was only moments ago. Otherwise somebody has a copy: all tokens of the session end.
drop function auth.refresh_session(uuid, bigint, text, text, bigint, text, inet);
create function auth.refresh_session(session uuid, presented_counter bigint, presented text, successor text, rules auth.refresh_rules,
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
    outcome := auth.session_end(found_session, rules);
    if outcome is not null then
        return;
    end if;
    -- From before the last second factor was proven (0011). Another tab may have been on its way with it, so it is no sign of theft, but
    -- it must not come to share in that factor either.
    if presented_counter < found_session.refresh_token_floor then
        outcome := 'refresh_token_already_used';
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
        perform auth.audit('token_revoked', found_session.user_id, null, address);
    else
        select * into token from auth.refresh_tokens t where t.tenant_id = tenon.tenant_id() and t.token = presented;
        if active.parent = presented or (active.id is not null and now() <= token.updated_at + rules.reuse_s * interval '1 second') then
            counter := found_session.refresh_token_counter;
        else
            update auth.refresh_tokens t set revoked = true, updated_at = now()
             where t.tenant_id = tenon.tenant_id() and t.session_id = session and not t.revoked;
            perform auth.audit('token_revoked', found_session.user_id, '{"reason": "reuse"}', address);
            outcome := 'refresh_token_already_used';
            return;
        end if;
    end if;

    update auth.sessions s
       set refreshed_at = now(), updated_at = now(), refresh_token_counter = refresh_session.counter,
           user_agent = left(client, 1000), ip = address
     where s.tenant_id = tenon.tenant_id() and s.id = session;
    perform auth.audit('token_refreshed', found_session.user_id, null, address);
    outcome := 'session';
    select d.user_object, d.claims into refresh_session.user_object, refresh_session.claims from auth.describe_session(session) d;
end $$;
comment on function auth.refresh_session(uuid, bigint, text, text, auth.refresh_rules, text, inet) is 'The next refresh token of a session.';

revoke execute on function
    auth.begin_flow(text, text, text, text, text, bytea, uuid, text), auth.return_to_flow(uuid, bigint),
    auth.issue_code(uuid, uuid, text, bytea, bytea), auth.redeem_code(text, text, text, bigint, auth.new_session),
    auth.wait_s(timestamptz, bigint), auth.post(uuid, text, auth.one_time_token_type, text, auth.message, boolean),
    auth.pretend(auth.message), auth.person_at(text, text),
    auth.add_person(auth.message, text, jsonb, boolean, text, auth.new_session),
    auth.complete_sign_up(auth.users, jsonb, auth.message, text, auth.new_session),
    auth.sign_up(auth.message, text, jsonb, boolean, auth.new_session), auth.fabricate_user(auth.message, text, jsonb),
    auth.confirm_again(auth.users, auth.message, boolean, inet), auth.hold_back(timestamptz, auth.message),
    auth.ask_code(auth.message, jsonb, boolean, boolean, boolean, inet), auth.ask_recovery(auth.message, inet),
    auth.ask_again(auth.message, inet), auth.ask_change_again(auth.message, uuid, boolean, text, bytea, inet),
    auth.redeem_token(text, text, text, auth.new_session, text, boolean, boolean, bytea),
    auth.accept_token(auth.one_time_tokens, auth.users, boolean, bytea, inet),
    tenon.tenant_of_token(text), tenon.tenant_of_flow(uuid),
    auth.sign_in(uuid, text, text, boolean, auth.new_session), auth.session_end(auth.sessions, auth.refresh_rules),
    auth.refresh_session(uuid, bigint, text, text, auth.refresh_rules, text, inet) from public;
grant execute on function
    auth.begin_flow(text, text, text, text, text, bytea, uuid, text), auth.return_to_flow(uuid, bigint),
    auth.issue_code(uuid, uuid, text, bytea, bytea), auth.redeem_code(text, text, text, bigint, auth.new_session),
    auth.wait_s(timestamptz, bigint), auth.post(uuid, text, auth.one_time_token_type, text, auth.message, boolean),
    auth.pretend(auth.message), auth.person_at(text, text),
    auth.add_person(auth.message, text, jsonb, boolean, text, auth.new_session),
    auth.complete_sign_up(auth.users, jsonb, auth.message, text, auth.new_session),
    auth.sign_up(auth.message, text, jsonb, boolean, auth.new_session), auth.fabricate_user(auth.message, text, jsonb),
    auth.confirm_again(auth.users, auth.message, boolean, inet), auth.hold_back(timestamptz, auth.message),
    auth.ask_code(auth.message, jsonb, boolean, boolean, boolean, inet), auth.ask_recovery(auth.message, inet),
    auth.ask_again(auth.message, inet), auth.ask_change_again(auth.message, uuid, boolean, text, bytea, inet),
    auth.redeem_token(text, text, text, auth.new_session, text, boolean, boolean, bytea),
    auth.accept_token(auth.one_time_tokens, auth.users, boolean, bytea, inet),
    auth.sign_in(uuid, text, text, boolean, auth.new_session), auth.session_end(auth.sessions, auth.refresh_rules),
    auth.refresh_session(uuid, bigint, text, text, auth.refresh_rules, text, inet) to tenon_worker;
grant execute on function tenon.tenant_of_token(text), tenon.tenant_of_flow(uuid) to tenon_authenticator;
