-- 0011: second factors, recovery codes, passkeys
--
-- Names of tables and columns are Supabase's; what stands behind "ours" is not. Secrets are of no use to who reads these tables: those
-- of TOTP are sealed, codes are keyed hashes, and a public key proves nothing.
--
-- A verification takes two transactions, because what is between them (the arithmetic, a hook of the app's) must hold no connection. The
-- first, attempt_…(), counts the attempt before anybody knows whether it is right, so that many at once are no more guesses than as many
-- in a row. The second, verify_…(), checks again whatever can have changed, under the lock on the person.

create type auth.factor_type as enum ('totp', 'webauthn', 'phone', 'recovery_code');
create type auth.factor_status as enum ('unverified', 'verified');

create table auth.mfa_factors (
    tenant_id                    uuid               not null default tenon.tenant_id() references tenon.tenants (id),
    id                           uuid               not null default tenon.uuid7(),
    user_id                      uuid               not null,
    friendly_name                text               check (char_length(friendly_name) <= 255),
    factor_type                  auth.factor_type   not null,
    status                       auth.factor_status not null,
    created_at                   timestamptz        not null default now(),
    updated_at                   timestamptz        not null default now(),
    secret                       text,                              -- of TOTP: sealed, base64url
    phone                        text,                              -- digits, without the plus sign
    last_challenged_at           timestamptz,
    web_authn_credential         jsonb,                             -- Supabase's; unused: auth.webauthn_credentials has it
    web_authn_aaguid             uuid,
    last_webauthn_challenge_data jsonb,                             -- Supabase's; unused
    -- ours
    last_step                    bigint             not null default -1, -- of TOTP: no code up to this step is taken any more
    attempts                     integer            not null default 0, -- since the last one that was right
    blocked_until                timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
comment on table auth.mfa_factors is 'What people prove beside how they sign in.';
create index mfa_factors_by_user on auth.mfa_factors (tenant_id, user_id, created_at);
create unique index mfa_factors_by_name on auth.mfa_factors (tenant_id, user_id, friendly_name) where friendly_name <> '';
create unique index mfa_factors_one_set on auth.mfa_factors (tenant_id, user_id) where factor_type = 'recovery_code';
select tenon.isolate('auth.mfa_factors');

create table auth.mfa_challenges (
    tenant_id              uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id                     uuid        not null default tenon.uuid7(),
    factor_id              uuid        not null,
    created_at             timestamptz not null default now(),
    verified_at            timestamptz,
    ip_address             inet,                                    -- only from there it can be answered
    otp_code               text,                                    -- of a text message: keyed hash
    web_authn_session_data jsonb,                                   -- challenge and type, `create` or `request`
    primary key (tenant_id, id),
    foreign key (tenant_id, factor_id) references auth.mfa_factors (tenant_id, id) on delete cascade
);
comment on table auth.mfa_challenges is 'Questions to second factors, each answered once within five minutes.';
create index mfa_challenges_by_factor on auth.mfa_challenges (tenant_id, factor_id, created_at);
create index mfa_challenges_by_age on auth.mfa_challenges (created_at);
select tenon.isolate('auth.mfa_challenges');

create table auth.mfa_recovery_codes (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id         uuid        not null default tenon.uuid7(),
    factor_id  uuid        not null,
    code_hash  text        not null,                                -- keyed
    created_at timestamptz not null default now(),
    used_at    timestamptz,
    primary key (tenant_id, id),
    unique (tenant_id, factor_id, code_hash),
    foreign key (tenant_id, factor_id) references auth.mfa_factors (tenant_id, id) on delete cascade
);
comment on table auth.mfa_recovery_codes is 'Codes for who has lost a second factor, each good once.';
select tenon.isolate('auth.mfa_recovery_codes');

-- Without a factor: a passkey.
create table auth.webauthn_credentials (
    tenant_id        uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id               uuid        not null default tenon.uuid7(),
    user_id          uuid        not null,
    credential_id    bytea       not null check (octet_length(credential_id) between 1 and 1023),
    public_key       bytea       not null,                          -- as `algorithm` has it: x and y, modulus and exponent, or 32 bytes
    attestation_type text        not null default 'none',
    aaguid           uuid,
    sign_count       bigint      not null default 0,
    transports       jsonb       not null default '[]' check (jsonb_typeof(transports) = 'array'),
    backup_eligible  boolean     not null default false,
    backed_up        boolean     not null default false,
    friendly_name    text        not null default '' check (char_length(friendly_name) <= 120),
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now(),
    last_used_at     timestamptz,
    -- ours
    algorithm        integer     not null check (algorithm in (-7, -8, -257)), -- of COSE (RFC 9053): ES256, EdDSA, RS256
    factor_id        uuid,
    primary key (tenant_id, id),
    unique (tenant_id, credential_id),
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade,
    foreign key (tenant_id, factor_id) references auth.mfa_factors (tenant_id, id) on delete cascade
);
comment on table auth.webauthn_credentials is 'Public keys of passkeys and of security keys.';
create index webauthn_credentials_by_user on auth.webauthn_credentials (tenant_id, user_id, created_at);
create index webauthn_credentials_by_factor on auth.webauthn_credentials (tenant_id, factor_id);
select tenon.isolate('auth.webauthn_credentials');

-- Of passkeys; deleted by whatever comes back, right or wrong.
create table auth.webauthn_challenges (
    tenant_id      uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id             uuid        not null default tenon.uuid7(),
    user_id        uuid,                                            -- null: nobody knows yet who signs in
    challenge_type text        not null check (challenge_type in ('registration', 'authentication')),
    session_data   jsonb       not null,
    created_at     timestamptz not null default now(),
    expires_at     timestamptz not null default now() + interval '5 minutes',
    primary key (tenant_id, id),
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
comment on table auth.webauthn_challenges is 'What passkeys have been asked to sign.';
create index webauthn_challenges_by_user on auth.webauthn_challenges (tenant_id, user_id);
create index webauthn_challenges_by_age on auth.webauthn_challenges (created_at);
select tenon.isolate('auth.webauthn_challenges');

grant select, insert, update, delete on auth.mfa_factors, auth.mfa_challenges, auth.mfa_recovery_codes, auth.webauthn_credentials,
    auth.webauthn_challenges to tenon_worker;

-- Refresh tokens with a lower counter were made before a second factor was proven: they open nothing any more.
alter table auth.sessions add column refresh_token_floor bigint not null default 0;
create index sessions_by_factor on auth.sessions (tenant_id, factor_id) where factor_id is not null;

-- How they look outside ---------------------------------------------------------------------------

create function auth.factor_object(f auth.mfa_factors) returns jsonb
    language sql stable parallel safe
    return case when f.friendly_name <> '' then jsonb_build_object('friendly_name', f.friendly_name) else '{}' end
        || jsonb_build_object(
               'id', f.id,
               'created_at', auth.rfc3339(f.created_at),
               'updated_at', auth.rfc3339(f.updated_at),
               'status', f.status,
               'factor_type', f.factor_type,
               'phone', coalesce(f.phone, ''),
               'last_challenged_at', auth.rfc3339(f.last_challenged_at));
comment on function auth.factor_object(auth.mfa_factors) is 'A second factor as the auth API shows it.';

create function auth.passkey_object(p auth.webauthn_credentials) returns jsonb
    language sql stable parallel safe
    return jsonb_strip_nulls(jsonb_build_object(
        'id', p.id,
        'friendly_name', nullif(p.friendly_name, ''),
        'created_at', auth.rfc3339(p.created_at),
        'last_used_at', auth.rfc3339(p.last_used_at)));
comment on function auth.passkey_object(auth.webauthn_credentials) is 'A passkey as the auth API shows it.';

-- `factors` null: absent.
create function auth.user_object(u auth.users, identities jsonb, factors jsonb) returns jsonb
    language sql stable parallel safe
    return auth.user_object(u, identities)
        || case when factors is null then '{}' else jsonb_build_object('factors', factors) end;
comment on function auth.user_object(auth.users, jsonb, jsonb) is 'A person with their second factors.';

create function auth.factors_of(person uuid) returns jsonb
    language sql stable parallel safe
    return (select jsonb_agg(auth.factor_object(f) order by f.created_at, f.id)
              from auth.mfa_factors as f where f.tenant_id = tenon.tenant_id() and f.user_id = person);
comment on function auth.factors_of(uuid) is 'The second factors of a person, null when there is none.';

create or replace function auth.describe_session(session uuid, out user_object jsonb, out claims jsonb)
    language plpgsql stable set search_path = ''
as $$
begin
    select auth.user_object(u, (select jsonb_agg(auth.identity_object(i) order by i.created_at, i.id)
                                  from auth.identities i where i.tenant_id = u.tenant_id and i.user_id = u.id),
                            auth.factors_of(u.id)),
           auth.claims(u, s.id, s.aal,
               (select jsonb_agg(jsonb_build_object('method', a.authentication_method,
                                                    'timestamp', floor(extract(epoch from a.updated_at))::bigint)
                                 order by a.updated_at desc)
                  from auth.mfa_amr_claims a where a.tenant_id = s.tenant_id and a.session_id = s.id))
      into describe_session.user_object, describe_session.claims
      from auth.sessions s join auth.users u on u.tenant_id = s.tenant_id and u.id = s.user_id
     where s.tenant_id = tenon.tenant_id() and s.id = session;
end $$;

create or replace function auth.describe_user(person uuid) returns jsonb
    language plpgsql stable set search_path = ''
as $$
begin
    return auth.user_object(u, (select jsonb_agg(auth.identity_object(i) order by i.created_at, i.id)
                                  from auth.identities i where i.tenant_id = u.tenant_id and i.user_id = u.id),
                            auth.factors_of(u.id))
      from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person;
end $$;

-- Who asks ----------------------------------------------------------------------------------------

-- Second factors belong to people with a session; an anonymous account has nothing that they would protect. `locks`: for what must not
-- happen twice at once for one person.
create function auth.check_factor_caller(person uuid, session uuid, locks boolean,
                                         out outcome text, out aal auth.aal_level, out counter bigint)
    language plpgsql volatile set search_path = ''
as $$
begin
    if locks then
        perform from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person for no key update;
    end if;
    select case when u.banned_until > now() then 'user_banned'
                when s.id is null then 'session_not_found'
                when u.is_anonymous then 'no_authorization' end,
           s.aal, s.refresh_token_counter
      into check_factor_caller.outcome, check_factor_caller.aal, check_factor_caller.counter
      from auth.users u
      left join auth.sessions s on s.tenant_id = u.tenant_id and s.id = session and s.user_id = u.id and coalesce(s.not_after > now(), true)
     where u.tenant_id = tenon.tenant_id() and u.id = person and u.deleted_at is null;
    if not found then
        outcome := 'user_not_found';
    end if;
end $$;

-- What people are told by mail when it was done in their name; who has no address is told nothing.
create function auth.post_notice(person uuid, kind text, notice bytea) returns void
    language sql volatile set search_path = ''
as $$
    select tenon.post_message('email', kind, u.email, person, notice, 86400)
      from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person and u.email_confirmed_at is not null
$$;

-- All sessions of a person end: the app wants nothing to do with who is there.
create function auth.reject_factor(person uuid, address inet) returns void
    language sql volatile set search_path = ''
as $$
    delete from auth.sessions s where s.tenant_id = tenon.tenant_id() and s.user_id = person;
    select auth.audit('logout', person, '{"reason": "hook"}', address);
$$;

-- Enrolment ---------------------------------------------------------------------------------------

-- enrolled: what the authenticator calls the person; or mfa_verified_factor_exists, mfa_factor_name_conflict,
-- too_many_enrolled_mfa_factors, insufficient_aal, and those of check_factor_caller()
create function auth.enroll_factor(person uuid, session uuid, factor uuid, kind auth.factor_type, name text, sealed text, number text,
                                   most integer, address inet, out outcome text, out account text)
    language plpgsql volatile set search_path = ''
as $$
declare
    level auth.aal_level;
begin
    select c.outcome, c.aal into enroll_factor.outcome, level from auth.check_factor_caller(person, session, true) c;
    if outcome is not null then
        return;
    end if;
    -- what was begun and given up, or is begun anew
    delete from auth.mfa_factors f
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.status = 'unverified'
       and (kind = 'phone' and f.factor_type = 'phone' and f.phone = number
            or f.created_at < now() - interval '5 minutes'
               and not exists (select from auth.mfa_challenges c where c.tenant_id = f.tenant_id and c.factor_id = f.id
                                  and c.created_at >= now() - interval '5 minutes'));
    select case when bool_or(kind = 'phone' and f.factor_type = 'phone' and f.phone = number) then 'mfa_verified_factor_exists'
                when bool_or(coalesce(f.friendly_name, '') = name) then 'mfa_factor_name_conflict'
                when count(*) >= most then 'too_many_enrolled_mfa_factors'
                when bool_or(f.status = 'verified') and level < 'aal2' then 'insufficient_aal'
                else 'enrolled' end
      into enroll_factor.outcome
      from auth.mfa_factors f where f.tenant_id = tenon.tenant_id() and f.user_id = person;
    if outcome <> 'enrolled' then
        return;
    end if;
    insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, phone)
    values (factor, person, name, kind, 'unverified', sealed, number);
    perform auth.audit('factor_in_progress', person, jsonb_build_object('factor_id', factor, 'factor_type', kind), address);
    select coalesce(nullif(u.email, ''), nullif(u.phone, ''), u.id::text) into enroll_factor.account
      from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person;
end $$;
comment on function auth.enroll_factor(uuid, uuid, uuid, auth.factor_type, text, text, text, integer, inet)
    is 'A second factor that has yet to be verified.';

-- When a verified factor drops out, by whomever: sessions that rest on it are of one factor again, and recovery codes do not stay alone.
create function auth.settle_factor() returns trigger
    language plpgsql volatile set search_path = ''
as $$
begin
    delete from auth.mfa_amr_claims a
     using auth.sessions s
     where s.tenant_id = old.tenant_id and s.factor_id = old.id
       and a.tenant_id = s.tenant_id and a.session_id = s.id and a.authentication_method = auth.factor_method(old.factor_type);
    update auth.sessions s set aal = 'aal1', factor_id = null, updated_at = now()
     where s.tenant_id = old.tenant_id and s.factor_id = old.id;
    if old.factor_type <> 'recovery_code' then
        delete from auth.mfa_factors f
         where f.tenant_id = old.tenant_id and f.user_id = old.user_id and f.factor_type = 'recovery_code'
           and not exists (select from auth.mfa_factors o
                            where o.tenant_id = f.tenant_id and o.user_id = f.user_id and o.factor_type <> 'recovery_code'
                              and o.status = 'verified');
    end if;
    return null;
end $$;
create trigger settle after delete on auth.mfa_factors for each row when (old.status = 'verified') execute function auth.settle_factor();

-- The method that the claim `amr` tells.
create function auth.factor_method(kind auth.factor_type) returns text
    language sql immutable parallel safe
    return case when kind = 'totp' then 'totp' else 'mfa/' || kind::text end;

-- dropped, or insufficient_aal, mfa_factor_not_found, mfa_recovery_codes_sole_factor, and those of check_factor_caller()
create function auth.unenroll_factor(person uuid, session uuid, factor uuid, address inet, notice bytea, out outcome text)
    language plpgsql volatile set search_path = ''
as $$
declare
    level auth.aal_level;
    found_factor auth.mfa_factors;
begin
    select c.outcome, c.aal into unenroll_factor.outcome, level from auth.check_factor_caller(person, session, true) c;
    if outcome is not null then
        return;
    end if;
    select * into found_factor from auth.mfa_factors f
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.id = factor and f.factor_type <> 'recovery_code';
    outcome := case
        when not found then 'mfa_factor_not_found'
        when found_factor.status = 'verified' and level < 'aal2' then 'insufficient_aal_for_factor'
        when found_factor.status = 'verified'
             and exists (select from auth.mfa_factors f
                          where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.factor_type = 'recovery_code')
             and not exists (select from auth.mfa_factors f
                              where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.factor_type <> 'recovery_code'
                                and f.status = 'verified' and f.id <> factor) then 'mfa_recovery_codes_sole_factor'
        else 'dropped' end;
    if outcome = 'dropped' then
        delete from auth.mfa_factors f where f.tenant_id = tenon.tenant_id() and f.id = factor;
        if found_factor.status = 'verified' then
            perform auth.post_notice(person, 'factor_removed', notice);
        end if;
        perform auth.audit('factor_unenrolled', person,
                           jsonb_build_object('factor_id', factor, 'factor_status', found_factor.status, 'session_id', session), address);
    end if;
end $$;
comment on function auth.unenroll_factor(uuid, uuid, uuid, inet, bytea) is 'A person takes one of their second factors away.';

-- Challenges --------------------------------------------------------------------------------------

-- found: what a challenge is made of. `credentials` are descriptors of the keys that may answer, or, while the factor is unverified, of
-- those that are enrolled already.
create function auth.find_factor(person uuid, session uuid, factor uuid,
                                 out outcome text, out kind auth.factor_type, out status auth.factor_status, out number text,
                                 out account text, out label text, out credentials jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    select c.outcome into find_factor.outcome from auth.check_factor_caller(person, session, false) c;
    if outcome is not null then
        return;
    end if;
    select 'found', f.factor_type, f.status, f.phone, coalesce(nullif(u.email, ''), nullif(u.phone, ''), u.id::text),
           coalesce(u.raw_user_meta_data ->> 'full_name', u.raw_user_meta_data ->> 'name'),
           (select jsonb_agg(auth.credential_descriptor(k) order by k.created_at)
              from auth.webauthn_credentials k
             where k.tenant_id = f.tenant_id and k.user_id = f.user_id
               and case when f.status = 'verified' then k.factor_id = f.id else k.factor_id is not null end)
      into find_factor.outcome, find_factor.kind, find_factor.status, find_factor.number, find_factor.account, find_factor.label,
           find_factor.credentials
      from auth.mfa_factors f join auth.users u on u.tenant_id = f.tenant_id and u.id = f.user_id
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.id = factor and f.factor_type <> 'recovery_code';
    if not found then
        outcome := 'mfa_factor_not_found';
    end if;
end $$;

create function auth.credential_descriptor(k auth.webauthn_credentials) returns jsonb
    language sql stable parallel safe
    return jsonb_build_object('type', 'public-key', 'transports', k.transports,
                              'id', rtrim(translate(replace(encode(k.credential_id, 'base64'), E'\n', ''), '+/', '-_'), '='));

-- challenged: expires_at; or mfa_factor_not_found, over_sms_send_rate_limit with the seconds to wait, and those of check_factor_caller().
-- `code` and `letter` are for a factor that is a telephone, `data` for one that is a key.
create function auth.challenge_factor(person uuid, session uuid, factor uuid, challenge uuid, address inet, code text, letter bytea,
                                      data jsonb, out outcome text, out seconds integer, out expires_at bigint)
    language plpgsql volatile set search_path = ''
as $$
declare
    found_factor auth.mfa_factors;
begin
    select c.outcome into challenge_factor.outcome from auth.check_factor_caller(person, session, false) c;
    if outcome is not null then
        return;
    end if;
    select * into found_factor from auth.mfa_factors f
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.id = factor for no key update;
    if not found then
        outcome := 'mfa_factor_not_found';
        return;
    end if;
    if letter is not null then
        seconds := ceil(extract(epoch from found_factor.last_challenged_at + interval '1 minute' - now()));
        if seconds > 0 then
            outcome := 'over_sms_send_rate_limit';
            return;
        end if;
        perform tenon.post_message('sms', 'mfa', found_factor.phone, person, letter, 300);
    end if;
    delete from auth.mfa_challenges c
     where c.tenant_id = tenon.tenant_id() and c.factor_id = factor and c.created_at < now() - interval '5 minutes';
    insert into auth.mfa_challenges (id, factor_id, ip_address, otp_code, web_authn_session_data)
    values (challenge, factor, address, code, data);
    update auth.mfa_factors f set last_challenged_at = now(), updated_at = now() where f.tenant_id = tenon.tenant_id() and f.id = factor;
    perform auth.audit('challenge_created', person, jsonb_build_object('factor_id', factor, 'factor_status', found_factor.status), address);
    outcome := 'challenged';
    expires_at := floor(extract(epoch from now() + interval '5 minutes'));
end $$;
comment on function auth.challenge_factor(uuid, uuid, uuid, uuid, inet, text, bytea, jsonb) is 'A question to a second factor.';

-- good, or mfa_challenge_not_found, mfa_ip_address_mismatch (used already, or asked from elsewhere), mfa_challenge_expired
create function auth.check_challenge(c auth.mfa_challenges, address inet) returns text
    language sql stable parallel safe
    return case when c.id is null then 'mfa_challenge_not_found'
                when c.verified_at is not null or c.ip_address is distinct from address then 'mfa_ip_address_mismatch'
                when c.created_at <= now() - interval '5 minutes' then 'mfa_challenge_expired'
                else 'good' end;

-- Verification ------------------------------------------------------------------------------------

-- Counts one attempt at a code. Null, or the seconds during which there can be none: from the fifth wrong one in a row on, half a minute,
-- twice as long each time, an hour at most.
create function auth.count_attempt(factor uuid) returns integer
    language plpgsql volatile set search_path = ''
as $$
declare
    wait_s integer;
begin
    update auth.mfa_factors f
       set attempts = f.attempts + 1,
           blocked_until = case when f.attempts >= 4 then now() + least(30 * 2 ^ least(f.attempts - 4, 10), 3600) * interval '1 second' end
     where f.tenant_id = tenon.tenant_id() and f.id = factor and coalesce(f.blocked_until <= now(), true);
    if not found then
        select ceil(extract(epoch from f.blocked_until - now())) into wait_s
          from auth.mfa_factors f where f.tenant_id = tenon.tenant_id() and f.id = factor;
    end if;
    return wait_s;
end $$;

-- attempt: what the answer is compared with, and the session's counter of refresh tokens; or blocked with `seconds`,
-- mfa_factor_not_found, those of check_challenge() and check_factor_caller()
create function auth.attempt_factor(person uuid, session uuid, factor uuid, challenge uuid, address inet,
                                    out outcome text, out seconds integer, out kind auth.factor_type, out secret text, out code text,
                                    out data jsonb, out counter bigint, out public_key text, out algorithm integer)
    language plpgsql volatile set search_path = ''
as $$
declare
    found_factor auth.mfa_factors;
    found_challenge auth.mfa_challenges;
begin
    select c.outcome, c.counter into attempt_factor.outcome, attempt_factor.counter from auth.check_factor_caller(person, session, false) c;
    if outcome is not null then
        return;
    end if;
    select * into found_factor from auth.mfa_factors f
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.id = factor and f.factor_type <> 'recovery_code';
    if not found then
        outcome := 'mfa_factor_not_found';
        return;
    end if;
    select * into found_challenge from auth.mfa_challenges c
     where c.tenant_id = tenon.tenant_id() and c.factor_id = factor and c.id = challenge;
    outcome := auth.check_challenge(found_challenge, address);
    if outcome <> 'good' then
        return;
    end if;
    kind := found_factor.factor_type;
    secret := found_factor.secret;
    code := found_challenge.otp_code;
    data := found_challenge.web_authn_session_data;
    if kind = 'webauthn' then -- a signature cannot be guessed
        select encode(k.public_key, 'hex'), k.algorithm into attempt_factor.public_key, attempt_factor.algorithm
          from auth.webauthn_credentials k where k.tenant_id = tenon.tenant_id() and k.factor_id = factor;
    else
        seconds := auth.count_attempt(factor);
    end if;
    outcome := case when seconds > 0 then 'blocked' else 'attempt' end;
end $$;
comment on function auth.attempt_factor(uuid, uuid, uuid, uuid, inet) is 'Somebody answers a challenge; the answer is looked at later.';

-- The session is one of two factors from now on; whoever has signed in with one of them only has to sign in anew. `refresh` is the hash
-- of the refresh token with this counter; all before it are gone, because who stole one must not get further by it.
create function auth.raise_session(person uuid, session uuid, factor uuid, method text, refresh text, counter bigint) returns boolean
    language plpgsql volatile set search_path = ''
as $$
begin
    update auth.sessions s
       set aal = 'aal2', factor_id = factor, refresh_token_counter = counter, refresh_token_floor = counter, updated_at = now()
     where s.tenant_id = tenon.tenant_id() and s.id = session and s.refresh_token_counter < counter;
    if not found then
        return false; -- it was refreshed again and again meanwhile
    end if;
    delete from auth.refresh_tokens t where t.tenant_id = tenon.tenant_id() and t.session_id = session;
    insert into auth.refresh_tokens (token, user_id, session_id) values (refresh, person, session);
    insert into auth.mfa_amr_claims (session_id, authentication_method) values (session, method)
        on conflict (tenant_id, session_id, authentication_method) do update set updated_at = now();
    delete from auth.sessions s where s.tenant_id = tenon.tenant_id() and s.user_id = person and s.id <> session and s.aal < 'aal2';
    return true;
end $$;

-- What a new key tells about itself; a key that is known already: its id, and what it counts now.
create type auth.webauthn_answer as (
    credential_id bytea,
    public_key    bytea,
    algorithm     integer,
    sign_count    bigint,
    aaguid        uuid,
    transports    jsonb,
    backup_eligible boolean,
    backed_up     boolean,
    attestation_type text
);

-- session: user_object and claims; or mfa_verification_failed (the code of a step that was used, or a key that counts backwards),
-- webauthn_credential_exists, conflict, and what attempt_factor() says. The server has found the answer right; `step` is TOTP's.
create function auth.verify_factor(person uuid, session uuid, factor uuid, challenge uuid, address inet, step bigint,
                                   answer auth.webauthn_answer, refresh text, counter bigint, notice bytea,
                                   out outcome text, out user_object jsonb, out claims jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    found_factor auth.mfa_factors;
    found_challenge auth.mfa_challenges;
begin
    select c.outcome into verify_factor.outcome from auth.check_factor_caller(person, session, true) c;
    if outcome is not null then
        return;
    end if;
    select * into found_factor from auth.mfa_factors f
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.id = factor for no key update;
    if not found then
        outcome := 'mfa_factor_not_found';
        return;
    end if;
    select * into found_challenge from auth.mfa_challenges c
     where c.tenant_id = tenon.tenant_id() and c.factor_id = factor and c.id = challenge;
    outcome := auth.check_challenge(found_challenge, address);
    if outcome <> 'good' then
        return;
    end if;
    if step <= found_factor.last_step then
        outcome := 'mfa_verification_failed';
        return;
    end if;
    if not answer is null then -- `is not null` wants all members of a row to be there
        outcome := auth.take_answer(person, factor, answer);
        if outcome <> 'good' then
            return;
        end if;
    end if;
    if not auth.raise_session(person, session, factor, auth.factor_method(found_factor.factor_type), refresh, counter) then
        outcome := 'conflict';
        return;
    end if;
    update auth.mfa_challenges c set verified_at = now() where c.tenant_id = tenon.tenant_id() and c.id = challenge;
    if found_factor.status = 'unverified' then
        perform auth.post_notice(person, 'factor_added', notice);
    end if;
    update auth.mfa_factors f
       set status = 'verified', last_step = coalesce(step, f.last_step), attempts = 0, blocked_until = null, updated_at = now(),
           web_authn_aaguid = coalesce(answer.aaguid, f.web_authn_aaguid)
     where f.tenant_id = tenon.tenant_id() and f.id = factor;
    delete from auth.mfa_factors f
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.factor_type = found_factor.factor_type and f.status = 'unverified';
    perform auth.audit('verification_attempted', person, jsonb_build_object('factor_id', factor, 'challenge_id', challenge,
                                                                            'factor_type', found_factor.factor_type), address);
    outcome := 'session';
    select d.user_object, d.claims into verify_factor.user_object, verify_factor.claims from auth.describe_session(session) d;
end $$;
comment on function auth.verify_factor(uuid, uuid, uuid, uuid, inet, bigint, auth.webauthn_answer, text, bigint, bytea)
    is 'A second factor has answered rightly.';

-- good; mfa_verification_failed: the key counts backwards, so there are two of it (Web Authentication section 6.1.1); or
-- webauthn_credential_exists. Two answers at once are put in a row by the row.
create function auth.take_answer(person uuid, factor uuid, answer auth.webauthn_answer) returns text
    language plpgsql volatile set search_path = ''
as $$
begin
    if answer.public_key is not null then
        insert into auth.webauthn_credentials (user_id, factor_id, credential_id, public_key, algorithm, sign_count, aaguid, transports,
                                               backup_eligible, backed_up, attestation_type)
        values (person, factor, answer.credential_id, answer.public_key, answer.algorithm, answer.sign_count, answer.aaguid,
                answer.transports, answer.backup_eligible, answer.backed_up, answer.attestation_type)
        on conflict do nothing;
        return case when found then 'good' else 'webauthn_credential_exists' end;
    end if;
    update auth.webauthn_credentials k
       set sign_count = answer.sign_count, backed_up = answer.backed_up, last_used_at = now(), updated_at = now()
     where k.tenant_id = tenon.tenant_id() and k.credential_id = answer.credential_id and k.user_id = person
       and k.factor_id is not distinct from factor
       and (answer.sign_count > k.sign_count or answer.sign_count = 0 and k.sign_count = 0);
    return case when found then 'good' else 'mfa_verification_failed' end;
end $$;

-- Recovery codes ----------------------------------------------------------------------------------

-- generated, or mfa_verified_factor_exists, mfa_factor_not_found (nothing to generate anew), insufficient_aal,
-- mfa_recovery_codes_sole_factor, mfa_factor_name_conflict, too_many_enrolled_mfa_factors, and those of check_factor_caller()
create function auth.generate_recovery_codes(person uuid, session uuid, anew boolean, name text, hashes text[], most integer, address inet,
                                             notice bytea, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    level auth.aal_level;
    codes auth.mfa_factors;
begin
    select c.outcome, c.aal into generate_recovery_codes.outcome, level from auth.check_factor_caller(person, session, true) c;
    if outcome is not null then
        return;
    end if;
    select * into codes from auth.mfa_factors f
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.factor_type = 'recovery_code';
    select case when anew and codes.id is null then 'mfa_factor_not_found'
                when coalesce(bool_or(f.status = 'verified' and f.factor_type <> 'recovery_code'), false) is false
                    then 'mfa_recovery_codes_sole_factor'
                when level < 'aal2' then 'insufficient_aal'
                when anew then 'generated'
                when codes.id is not null then 'mfa_verified_factor_exists'
                when bool_or(coalesce(f.friendly_name, '') = name) then 'mfa_factor_name_conflict'
                when count(*) >= most then 'too_many_enrolled_mfa_factors'
                else 'generated' end
      into generate_recovery_codes.outcome
      from auth.mfa_factors f where f.tenant_id = tenon.tenant_id() and f.user_id = person;
    if outcome <> 'generated' then
        return;
    end if;
    if anew then
        delete from auth.mfa_recovery_codes c where c.tenant_id = tenon.tenant_id() and c.factor_id = codes.id;
        update auth.mfa_factors f set attempts = 0, blocked_until = null, updated_at = now()
         where f.tenant_id = tenon.tenant_id() and f.id = codes.id;
    else
        insert into auth.mfa_factors (user_id, friendly_name, factor_type, status)
        values (person, name, 'recovery_code', 'verified') returning * into codes;
    end if;
    insert into auth.mfa_recovery_codes (factor_id, code_hash) select codes.id, h from unnest(hashes) as h;
    perform auth.post_notice(person, 'recovery_codes_generated', notice);
    perform auth.audit('recovery_codes_generated', person, jsonb_build_object('factor_id', codes.id), address);
    answer := jsonb_build_object('id', codes.id, 'type', 'recovery_code', 'friendly_name', codes.friendly_name,
                                 'total', cardinality(hashes));
end $$;
comment on function auth.generate_recovery_codes(uuid, uuid, boolean, text, text[], integer, inet, bytea) is 'Codes in place of those before.';

-- found: how many there are and how many are left; or mfa_factor_not_found, and those of check_factor_caller()
create function auth.count_recovery_codes(person uuid, session uuid, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    select c.outcome into count_recovery_codes.outcome from auth.check_factor_caller(person, session, false) c;
    if outcome is not null then
        return;
    end if;
    select 'found', jsonb_build_object('id', f.id, 'type', 'recovery_code', 'total', count(c.id),
                                       'remaining', count(c.id) filter (where c.used_at is null))
      into count_recovery_codes.outcome, count_recovery_codes.answer
      from auth.mfa_factors f
      left join auth.mfa_recovery_codes c on c.tenant_id = f.tenant_id and c.factor_id = f.id
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.factor_type = 'recovery_code'
     group by f.id;
    if not found then
        outcome := 'mfa_factor_not_found';
    end if;
end $$;

-- dropped, or mfa_factor_not_found, insufficient_aal, and those of check_factor_caller()
create function auth.drop_recovery_codes(person uuid, session uuid, address inet, out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    level auth.aal_level;
    codes uuid;
begin
    select c.outcome, c.aal into drop_recovery_codes.outcome, level from auth.check_factor_caller(person, session, true) c;
    if outcome is not null then
        return;
    end if;
    select f.id into codes from auth.mfa_factors f
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.factor_type = 'recovery_code';
    outcome := case when not found then 'mfa_factor_not_found' when level < 'aal2' then 'insufficient_aal' else 'dropped' end;
    if outcome = 'dropped' then
        -- who came in by a code has proven a second factor all the same
        update auth.sessions s set factor_id = null where s.tenant_id = tenon.tenant_id() and s.factor_id = codes;
        delete from auth.mfa_factors f where f.tenant_id = tenon.tenant_id() and f.id = codes;
        perform auth.audit('factor_unenrolled', person,
                           jsonb_build_object('factor_id', codes, 'factor_status', 'verified', 'session_id', session), address);
        answer := jsonb_build_object('id', codes);
    end if;
end $$;

-- attempt: whether the code is right, and the session's counter of refresh tokens; or mfa_verification_failed (there are none), locked
-- with `seconds`, and those of check_factor_caller()
create function auth.attempt_recovery_code(person uuid, session uuid, hash text, out outcome text, out seconds integer, out factor uuid,
                                           out is_right boolean, out counter bigint)
    language plpgsql volatile set search_path = ''
as $$
begin
    select c.outcome, c.counter into attempt_recovery_code.outcome, attempt_recovery_code.counter
      from auth.check_factor_caller(person, session, false) c;
    if outcome is not null then
        return;
    end if;
    select f.id, exists (select from auth.mfa_recovery_codes c
                          where c.tenant_id = f.tenant_id and c.factor_id = f.id and c.code_hash = hash and c.used_at is null)
      into attempt_recovery_code.factor, attempt_recovery_code.is_right
      from auth.mfa_factors f
     where f.tenant_id = tenon.tenant_id() and f.user_id = person and f.factor_type = 'recovery_code';
    if not found then
        outcome := 'mfa_verification_failed';
        return;
    end if;
    seconds := auth.count_attempt(factor);
    outcome := case when seconds > 0 then 'mfa_recovery_codes_locked' else 'attempt' end;
end $$;

-- session: user_object and claims; or mfa_verification_failed (somebody was faster), conflict, and those of check_factor_caller()
create function auth.redeem_recovery_code(person uuid, session uuid, factor uuid, hash text, refresh text, counter bigint, address inet,
                                          out outcome text, out user_object jsonb, out claims jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    select c.outcome into redeem_recovery_code.outcome from auth.check_factor_caller(person, session, true) c;
    if outcome is not null then
        return;
    end if;
    if not exists (select from auth.mfa_recovery_codes c join auth.mfa_factors f on f.tenant_id = c.tenant_id and f.id = c.factor_id
                    where c.tenant_id = tenon.tenant_id() and c.factor_id = factor and c.code_hash = hash and c.used_at is null
                      and f.user_id = person) then
        outcome := 'mfa_verification_failed';
        return;
    end if;
    if not auth.raise_session(person, session, factor, 'mfa/recovery_code', refresh, counter) then
        outcome := 'conflict';
        return;
    end if;
    update auth.mfa_recovery_codes c set used_at = now()
     where c.tenant_id = tenon.tenant_id() and c.factor_id = factor and c.code_hash = hash;
    update auth.mfa_factors f set attempts = 0, blocked_until = null, updated_at = now()
     where f.tenant_id = tenon.tenant_id() and f.id = factor;
    perform auth.audit('verification_attempted', person,
                       jsonb_build_object('factor_id', factor, 'factor_type', 'recovery_code'), address);
    outcome := 'session';
    select d.user_object, d.claims into redeem_recovery_code.user_object, redeem_recovery_code.claims from auth.describe_session(session) d;
end $$;
comment on function auth.redeem_recovery_code(uuid, uuid, uuid, text, text, bigint, inet) is 'A recovery code in place of a second factor.';

-- Passkeys ----------------------------------------------------------------------------------------
--
-- A passkey is a way to sign in, not a second factor: `aal1`, as Supabase has it, unless the operator says otherwise.

-- found: for whom a passkey is made, and descriptors of those there are; or insufficient_aal (who has a second factor needs it to add a
-- way to sign in), too_many_passkeys, and those of check_factor_caller()
create function auth.begin_passkey(person uuid, session uuid, challenge uuid, data jsonb, most integer,
                                   out outcome text, out expires_at bigint, out account text, out label text, out credentials jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    level auth.aal_level;
    known bigint;
begin
    select c.outcome, c.aal into begin_passkey.outcome, level from auth.check_factor_caller(person, session, true) c;
    if outcome is not null then
        return;
    end if;
    select count(*), jsonb_agg(auth.credential_descriptor(k) order by k.created_at) into known, begin_passkey.credentials
      from auth.webauthn_credentials k where k.tenant_id = tenon.tenant_id() and k.user_id = person and k.factor_id is null;
    outcome := case when level < 'aal2' and auth.has_second_factor(person) then 'insufficient_aal'
                    when known >= most then 'too_many_passkeys' else 'found' end;
    if outcome = 'found' then
        delete from auth.webauthn_challenges c where c.tenant_id = tenon.tenant_id() and c.user_id = person;
        insert into auth.webauthn_challenges (id, user_id, challenge_type, session_data) values (challenge, person, 'registration', data)
            returning floor(extract(epoch from webauthn_challenges.expires_at)) into begin_passkey.expires_at;
        select coalesce(nullif(u.email, ''), nullif(u.phone, ''), u.id::text),
               coalesce(u.raw_user_meta_data ->> 'full_name', u.raw_user_meta_data ->> 'name')
          into begin_passkey.account, begin_passkey.label
          from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person;
    end if;
end $$;

-- taken: what was asked, and of a sign-in the key that answers, if there is such a one; or webauthn_challenge_not_found,
-- webauthn_challenge_expired. It is gone then, whatever the answer is worth.
create function auth.take_passkey_challenge(challenge uuid, person uuid, presented bytea,
                                            out outcome text, out data jsonb, out owner uuid, out public_key text, out algorithm integer)
    language plpgsql volatile set search_path = ''
as $$
begin
    delete from auth.webauthn_challenges c
     where c.tenant_id = tenon.tenant_id() and c.id = challenge and c.user_id is not distinct from person
     returning case when c.expires_at > now() then 'taken' else 'webauthn_challenge_expired' end, c.session_data
      into take_passkey_challenge.outcome, take_passkey_challenge.data;
    if not found then
        outcome := 'webauthn_challenge_not_found';
    elsif person is null then
        select k.user_id, encode(k.public_key, 'hex'), k.algorithm
          into take_passkey_challenge.owner, take_passkey_challenge.public_key, take_passkey_challenge.algorithm
          from auth.webauthn_credentials k
         where k.tenant_id = tenon.tenant_id() and k.credential_id = presented and k.factor_id is null;
    end if;
end $$;

-- registered: the passkey; or webauthn_credential_exists and those of begin_passkey()
create function auth.register_passkey(person uuid, session uuid, answer auth.webauthn_answer, most integer, address inet, notice bytea,
                                      out outcome text, out passkey jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    level auth.aal_level;
    made auth.webauthn_credentials;
begin
    select c.outcome, c.aal into register_passkey.outcome, level from auth.check_factor_caller(person, session, true) c;
    if outcome is not null then
        return;
    end if;
    outcome := case when level < 'aal2' and auth.has_second_factor(person) then 'insufficient_aal'
                    when (select count(*) from auth.webauthn_credentials k
                           where k.tenant_id = tenon.tenant_id() and k.user_id = person and k.factor_id is null) >= most
                        then 'too_many_passkeys'
                    else auth.take_answer(person, null, answer) end;
    if outcome = 'good' then
        outcome := 'registered';
        select * into made from auth.webauthn_credentials k
         where k.tenant_id = tenon.tenant_id() and k.credential_id = answer.credential_id;
        perform auth.post_notice(person, 'passkey_added', notice);
        perform auth.audit('passkey_created', person, jsonb_build_object('passkey_id', made.id), address);
        passkey := auth.passkey_object(made);
    end if;
end $$;
comment on function auth.register_passkey(uuid, uuid, auth.webauthn_answer, integer, inet, bytea) is 'One passkey more.';

-- session: user_object and claims; or webauthn_verification_failed (there are two of this key: both are told apart from nobody),
-- user_banned, email_not_confirmed, phone_not_confirmed. The server has verified the signature of `person`'s key.
create function auth.sign_in_with_passkey(person uuid, answer auth.webauthn_answer, counts_twice boolean, opening auth.new_session,
                                          out outcome text, out user_object jsonb, out claims jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    found_user auth.users;
    passkey constant uuid := (select k.id from auth.webauthn_credentials k
                               where k.tenant_id = tenon.tenant_id() and k.credential_id = answer.credential_id);
begin
    select * into found_user from auth.users u
     where u.tenant_id = tenon.tenant_id() and u.id = person and u.deleted_at is null for no key update;
    outcome := case when not found then 'webauthn_verification_failed'
                    when found_user.banned_until > now() then 'user_banned'
                    when found_user.email <> '' and found_user.email_confirmed_at is null then 'email_not_confirmed'
                    when found_user.phone <> '' and found_user.phone_confirmed_at is null then 'phone_not_confirmed'
                    else auth.take_answer(person, null, answer) end;
    if outcome = 'mfa_verification_failed' then
        outcome := 'webauthn_verification_failed';
        perform auth.audit('passkey_cloned', person, jsonb_build_object('passkey_id', passkey), opening.ip);
    elsif outcome = 'good' then
        outcome := 'session';
        perform auth.open_session(person, opening, 'passkey');
        if counts_twice then
            update auth.sessions s set aal = 'aal2' where s.tenant_id = tenon.tenant_id() and s.id = opening.id;
        end if;
        perform auth.audit('login', person, jsonb_build_object('provider', 'passkey', 'passkey_id', passkey), opening.ip);
        select d.user_object, d.claims into sign_in_with_passkey.user_object, sign_in_with_passkey.claims
          from auth.describe_session(opening.id) d;
    end if;
end $$;
comment on function auth.sign_in_with_passkey(uuid, auth.webauthn_answer, boolean, auth.new_session) is 'A session for who has a passkey.';

-- found: all of them; or those of check_factor_caller()
create function auth.list_passkeys(person uuid, session uuid, out outcome text, out passkeys jsonb)
    language plpgsql volatile set search_path = ''
as $$
begin
    select c.outcome into list_passkeys.outcome from auth.check_factor_caller(person, session, false) c;
    if outcome is null then
        outcome := 'found';
        passkeys := auth.passkeys_of(person);
    end if;
end $$;

create function auth.passkeys_of(person uuid) returns jsonb
    language sql stable parallel safe
    return (select coalesce(jsonb_agg(auth.passkey_object(k) order by k.created_at, k.id), '[]')
              from auth.webauthn_credentials as k
             where k.tenant_id = tenon.tenant_id() and k.user_id = person and k.factor_id is null);
comment on function auth.passkeys_of(uuid) is 'The passkeys of a person.';

-- renamed, or passkey_not_found, and those of check_factor_caller()
create function auth.rename_passkey(person uuid, session uuid, passkey uuid, name text, address inet,
                                    out outcome text, out answer jsonb)
    language plpgsql volatile set search_path = ''
as $$
declare
    renamed auth.webauthn_credentials;
begin
    select c.outcome into rename_passkey.outcome from auth.check_factor_caller(person, session, false) c;
    if outcome is not null then
        return;
    end if;
    update auth.webauthn_credentials k set friendly_name = name, updated_at = now()
     where k.tenant_id = tenon.tenant_id() and k.user_id = person and k.id = passkey and k.factor_id is null
     returning * into renamed;
    if not found then
        outcome := 'passkey_not_found';
        return;
    end if;
    perform auth.audit('passkey_updated', person, jsonb_build_object('passkey_id', passkey), address);
    outcome := 'renamed';
    answer := auth.passkey_object(renamed);
end $$;

-- dropped, or passkey_not_found, insufficient_aal, and those of check_factor_caller()
create function auth.drop_passkey(person uuid, session uuid, passkey uuid, address inet, notice bytea, out outcome text)
    language plpgsql volatile set search_path = ''
as $$
declare
    level auth.aal_level;
begin
    select c.outcome, c.aal into drop_passkey.outcome, level from auth.check_factor_caller(person, session, true) c;
    if outcome is not null then
        return;
    end if;
    if level < 'aal2' and auth.has_second_factor(person) then
        outcome := 'insufficient_aal';
        return;
    end if;
    delete from auth.webauthn_credentials k
     where k.tenant_id = tenon.tenant_id() and k.user_id = person and k.id = passkey and k.factor_id is null;
    outcome := case when found then 'dropped' else 'passkey_not_found' end;
    if outcome = 'dropped' then
        perform auth.post_notice(person, 'passkey_removed', notice);
        perform auth.audit('passkey_deleted', person, jsonb_build_object('passkey_id', passkey), address);
    end if;
end $$;

-- For the operator, of somebody's passkeys. Null: there is no such person.
create function auth.admin_passkeys(person uuid) returns jsonb
    language plpgsql stable set search_path = ''
as $$
begin
    return (select auth.passkeys_of(u.id) from auth.users u where u.tenant_id = tenon.tenant_id() and u.id = person);
end $$;

create function auth.admin_delete_passkey(person uuid, passkey uuid, address inet) returns boolean
    language plpgsql volatile set search_path = ''
as $$
begin
    delete from auth.webauthn_credentials k
     where k.tenant_id = tenon.tenant_id() and k.user_id = person and k.id = passkey and k.factor_id is null;
    if found then
        perform auth.audit('passkey_deleted', null, auth.traits_of(person) || jsonb_build_object('passkey_id', passkey), address);
        return true;
    end if;
    return false;
end $$;

-- Sweep --------------------------------------------------------------------------------------------

create function tenon.sweep_challenges() returns bigint
    language sql volatile set search_path = ''
as $$
    with factors as (delete from auth.mfa_challenges where created_at < now() - interval '1 day' returning 1),
         passkeys as (delete from auth.webauthn_challenges where created_at < now() - interval '1 hour' returning 1)
    select (select count(*) from factors) + (select count(*) from passkeys)
$$;
comment on function tenon.sweep_challenges() is 'Deletes challenges that nobody can answer any more.';
select tenon.run_as_platform('tenon.sweep_challenges()');

revoke execute on function auth.factor_object(auth.mfa_factors), auth.passkey_object(auth.webauthn_credentials),
    auth.user_object(auth.users, jsonb, jsonb), auth.factors_of(uuid), auth.check_factor_caller(uuid, uuid, boolean),
    auth.post_notice(uuid, text, bytea), auth.reject_factor(uuid, inet),
    auth.enroll_factor(uuid, uuid, uuid, auth.factor_type, text, text, text, integer, inet),
    auth.settle_factor(), auth.factor_method(auth.factor_type), auth.unenroll_factor(uuid, uuid, uuid, inet, bytea),
    auth.find_factor(uuid, uuid, uuid), auth.credential_descriptor(auth.webauthn_credentials),
    auth.challenge_factor(uuid, uuid, uuid, uuid, inet, text, bytea, jsonb), auth.check_challenge(auth.mfa_challenges, inet),
    auth.count_attempt(uuid), auth.attempt_factor(uuid, uuid, uuid, uuid, inet),
    auth.raise_session(uuid, uuid, uuid, text, text, bigint),
    auth.verify_factor(uuid, uuid, uuid, uuid, inet, bigint, auth.webauthn_answer, text, bigint, bytea),
    auth.take_answer(uuid, uuid, auth.webauthn_answer),
    auth.generate_recovery_codes(uuid, uuid, boolean, text, text[], integer, inet, bytea), auth.count_recovery_codes(uuid, uuid),
    auth.drop_recovery_codes(uuid, uuid, inet), auth.attempt_recovery_code(uuid, uuid, text),
    auth.redeem_recovery_code(uuid, uuid, uuid, text, text, bigint, inet),
    auth.begin_passkey(uuid, uuid, uuid, jsonb, integer), auth.take_passkey_challenge(uuid, uuid, bytea),
    auth.register_passkey(uuid, uuid, auth.webauthn_answer, integer, inet, bytea),
    auth.sign_in_with_passkey(uuid, auth.webauthn_answer, boolean, auth.new_session), auth.list_passkeys(uuid, uuid),
    auth.passkeys_of(uuid), auth.rename_passkey(uuid, uuid, uuid, text, inet), auth.drop_passkey(uuid, uuid, uuid, inet, bytea),
    auth.admin_passkeys(uuid), auth.admin_delete_passkey(uuid, uuid, inet),
    tenon.sweep_challenges() from public;
grant execute on function auth.factor_object(auth.mfa_factors), auth.passkey_object(auth.webauthn_credentials),
    auth.user_object(auth.users, jsonb, jsonb), auth.factors_of(uuid), auth.check_factor_caller(uuid, uuid, boolean),
    auth.post_notice(uuid, text, bytea), auth.reject_factor(uuid, inet),
    auth.enroll_factor(uuid, uuid, uuid, auth.factor_type, text, text, text, integer, inet),
    auth.factor_method(auth.factor_type), auth.unenroll_factor(uuid, uuid, uuid, inet, bytea),
    auth.find_factor(uuid, uuid, uuid), auth.credential_descriptor(auth.webauthn_credentials),
    auth.challenge_factor(uuid, uuid, uuid, uuid, inet, text, bytea, jsonb), auth.check_challenge(auth.mfa_challenges, inet),
    auth.count_attempt(uuid), auth.attempt_factor(uuid, uuid, uuid, uuid, inet),
    auth.raise_session(uuid, uuid, uuid, text, text, bigint),
    auth.verify_factor(uuid, uuid, uuid, uuid, inet, bigint, auth.webauthn_answer, text, bigint, bytea),
    auth.take_answer(uuid, uuid, auth.webauthn_answer),
    auth.generate_recovery_codes(uuid, uuid, boolean, text, text[], integer, inet, bytea), auth.count_recovery_codes(uuid, uuid),
    auth.drop_recovery_codes(uuid, uuid, inet), auth.attempt_recovery_code(uuid, uuid, text),
    auth.redeem_recovery_code(uuid, uuid, uuid, text, text, bigint, inet),
    auth.begin_passkey(uuid, uuid, uuid, jsonb, integer), auth.take_passkey_challenge(uuid, uuid, bytea),
    auth.register_passkey(uuid, uuid, auth.webauthn_answer, integer, inet, bytea),
    auth.sign_in_with_passkey(uuid, auth.webauthn_answer, boolean, auth.new_session), auth.list_passkeys(uuid, uuid),
    auth.passkeys_of(uuid), auth.rename_passkey(uuid, uuid, uuid, text, inet), auth.drop_passkey(uuid, uuid, uuid, inet, bytea),
    auth.admin_passkeys(uuid), auth.admin_delete_passkey(uuid, uuid, inet),
    tenon.sweep_challenges() to tenon_worker;
