-- 0014: what the app is told by its hooks

-- after_user_created: by a message in the outbox, so that it is told of accounts that are really there, however they came to be, that an
-- app which is away misses none, and that nobody can tell by the time of a sign-up whether an account was made. The server says by
-- tenon.tell_new_users that the hook is set; without it this costs the test of a setting.
create function auth.tell_new_user() returns trigger
    language plpgsql volatile security definer set search_path = ''
as $$
begin
    insert into tenon.outbox (tenant_id, channel, kind, recipient, user_id, sealed, expires_at)
    values (new.tenant_id, 'hook', 'after_user_created', new.id::text, new.id, '', now() + interval '1 day');
    return null;
end $$;
comment on function auth.tell_new_user() is 'Posts a new account to the hook after_user_created.';

create trigger tenon_tell_new_user after insert on auth.users
    for each row when (current_setting('tenon.tell_new_users', true) = 'on') execute function auth.tell_new_user();

revoke execute on function auth.tell_new_user() from public;
