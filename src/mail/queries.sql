-- mail/queries.sql: as tenon_worker; the first two without a tenant, the others in the tenant of the message

-- name: messages_claim   $1 how many, $2 seconds of the lease
select tenant_id, id, channel, kind, recipient, user_id, sealed, attempts
  from tenon.claim_messages($1::integer, $2::bigint)

-- name: messages_drop_expired
select tenant_id, id, channel, kind, attempts from tenon.drop_expired_messages()

-- name: message_done   $1 id, $2 of one that was sent along with it, or null
delete from tenon.outbox where id in ($1::uuid, $2::uuid) and tenant_id = tenon.tenant_id()

-- name: message_postpone   $1 id, $2 seconds; never beyond its lifetime, so that its end is noticed
update tenon.outbox set due_at = least(now() + $2::bigint * interval '1 second', expires_at)
 where id = $1::uuid and tenant_id = tenon.tenant_id()

-- name: message_words   $1 user or null, $2 kind: who it is for, and the tenant's own words
select array_to_string(l.languages, ','), auth.describe_user($1::uuid),
       u.email, u.raw_user_meta_data, t.language, t.subject, t.text, t.html
  from (select auth.mail_languages($1::uuid) as languages) as l
  left join auth.users as u on u.tenant_id = tenon.tenant_id() and u.id = $1::uuid
  left join lateral (select m.language, m.subject, m.text, m.html
                       from auth.mail_templates as m
                      where m.tenant_id = tenon.tenant_id() and m.kind = $2 and m.language = any (l.languages)
                      order by array_position(l.languages, m.language) limit 1) as t on true

-- name: message_other   $1 id: what was posted along with it, of the same kind for the same person. No row: the message itself is gone
select b.id, b.sealed
  from tenon.outbox as a
  left join tenon.outbox as b on b.tenant_id = a.tenant_id and b.user_id = a.user_id and b.kind = a.kind
                             and b.created_at = a.created_at and b.id <> a.id and b.expires_at > now()
 where a.id = $1::uuid and a.tenant_id = tenon.tenant_id()
 limit 1
