-- 0007: mail: the words of each tenant, and what the sender of the outbox asks

-- What a tenant says instead of the built-in words. `text` and `html` are the two forms of the same mail; one may be missing.
-- Whoever writes here has had the variables checked by `tenon mail template set`; a template that is wrong all the same is passed over.
create table auth.mail_templates (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    kind       text        not null check (kind ~ '^[a-z_]{1,64}$'),
    language   text        not null check (language ~ '^[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}$'), -- BCP 47, in small letters
    subject    text        not null check (octet_length(subject) between 1 and 1000),
    text       text        check (octet_length(text) between 1 and 262144),
    html       text        check (octet_length(html) between 1 and 262144),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, kind, language),
    check (coalesce(text, html) is not null)
);
comment on table auth.mail_templates is 'What the mails of a tenant say, by kind and language.';
select tenon.isolate('auth.mail_templates');
grant select on auth.mail_templates to tenon_worker;

-- `de_AT` → {de-at, de}; what is no language → {}.
create function tenon.language_chain(wanted text) returns text[]
    language sql immutable parallel safe set search_path = ''
as $$
    select coalesce(array_agg(distinct part order by part desc), '{}')
      from (values (replace(lower(wanted), '_', '-'))) as given (tag)
     cross join lateral (values (given.tag), (regexp_replace(given.tag, '-[a-z0-9]+$', '')), (split_part(given.tag, '-', 1))) as parts (part)
     where given.tag ~ '^[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}$'
$$;
comment on function tenon.language_chain(text) is 'A language and those that it falls back to, the nearest first.';

-- In which languages a person may be written to, the best first: theirs, the tenant's, English.
create function auth.mail_languages(person uuid) returns text[]
    language sql stable set search_path = ''
as $$
    select tenon.language_chain(u.raw_user_meta_data ->> 'locale') || tenon.language_chain(u.raw_user_meta_data ->> 'language')
           || tenon.language_chain(t.settings ->> 'language') || array['en']
      from tenon.tenants as t
      left join auth.users as u on u.tenant_id = t.id and u.id = person
     where t.id = tenon.tenant_id()
$$;
comment on function auth.mail_languages(uuid) is 'The languages for a person of this tenant, the best first.';

-- What is due, of all tenants: each message to one process at a time. The lease is in due_at, so that a process which dies
-- on the way loses nothing: what it has not deleted by then is due again. Of a suspended tenant nothing is sent.
create function tenon.claim_messages(most integer, lease_s bigint)
    returns table (tenant_id uuid, id uuid, channel text, kind text, recipient text, user_id uuid, sealed bytea, attempts integer)
    language sql volatile set search_path = ''
as $$
    update tenon.outbox as o
       set due_at = now() + lease_s * interval '1 second', attempts = least(o.attempts + 1, 32767)
      from (select m.tenant_id, m.id
              from tenon.outbox as m
              join tenon.tenants as t on t.id = m.tenant_id and t.status = 'active'
             where m.due_at <= now() and m.expires_at > now()
             order by m.due_at
             limit most
               for update of m skip locked) as due
     where o.tenant_id = due.tenant_id and o.id = due.id
    returning o.tenant_id, o.id, o.channel, o.kind, o.recipient, o.user_id, o.sealed, o.attempts::integer
$$;
comment on function tenon.claim_messages(integer, bigint) is 'Messages to send now, for the sender of the outbox.';

-- What could not be sent in its lifetime is of no use any more. One that somebody is sending just now is left alone.
create function tenon.drop_expired_messages()
    returns table (tenant_id uuid, id uuid, channel text, kind text, attempts integer)
    language sql volatile set search_path = ''
as $$
    delete from tenon.outbox as o
     using (select m.tenant_id, m.id from tenon.outbox as m
             where m.expires_at <= now() and m.due_at <= now() limit 100 for update skip locked) as late
     where o.tenant_id = late.tenant_id and o.id = late.id
    returning o.tenant_id, o.id, o.channel, o.kind, o.attempts::integer
$$;
comment on function tenon.drop_expired_messages() is 'Deletes the messages whose time is over, and tells which.';

create index outbox_by_expiry on tenon.outbox (expires_at);

select tenon.run_as_platform('tenon.claim_messages(integer, bigint)');
select tenon.run_as_platform('tenon.drop_expired_messages()');

revoke execute on function tenon.language_chain(text), auth.mail_languages(uuid),
    tenon.claim_messages(integer, bigint), tenon.drop_expired_messages() from public;
grant execute on function tenon.language_chain(text), auth.mail_languages(uuid),
    tenon.claim_messages(integer, bigint), tenon.drop_expired_messages() to tenon_worker;
