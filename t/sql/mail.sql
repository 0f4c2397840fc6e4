-- t/sql/mail.sql: templates of tenants, languages, and who gets which message to send
begin;
select * from no_plan();

-- Languages fall back to what is less special.
select is(tenon.language_chain(given), wanted, coalesce(given, 'null')) from (values
    ('de', '{de}'::text[]), ('de_AT', '{de-at,de}'), ('DE-at', '{de-at,de}'), ('zh-Hant-TW', '{zh-hant-tw,zh-hant,zh}'),
    ('', '{}'), ('x', '{}'), ('english', '{}'), ('de-', '{}'), ('de at', '{}'), ('de-at-1-x', '{}'), (null, '{}')
) as cases (given, wanted);

select t.act_as('tenon_worker');
select is(auth.mail_languages(t.person('a', 1)), '{en}', 'without any wish it is English');
set local role tenon_owner;
update auth.users set raw_user_meta_data = '{"locale": "de_AT", "language": "fr"}' where id = t.person('a', 1);
select t.act_as('tenon_platform');
update tenon.tenants set settings = settings || '{"language": "it"}' where id = t.tenant('a');
select t.act_as('tenon_worker');
select is(auth.mail_languages(t.person('a', 1)), '{de-at,de,fr,it,en}', 'the person''s, then the tenant''s, then English');
select is(auth.mail_languages(null), '{it,en}', 'for an address that belongs to nobody the tenant''s');
select is(auth.mail_languages(t.person('b', 1)), '{it,en}', 'another tenant''s person is nobody');

-- Templates are the operator's to write and the sender's to read.
select t.act_as('tenon_platform');
select lives_ok(format($$ insert into auth.mail_templates (tenant_id, kind, language, subject, text) values (%L, 'invite', 'de', 'x', 'y') $$, t.tenant('a')),
    'the operator writes one');
select throws_ok(format($$ insert into auth.mail_templates (tenant_id, kind, language, subject, text) values (%L, 'invite', %L, 'x', 'y') $$, t.tenant('a'), language),
    '23514', null, 'no language: ' || language) from unnest('{DE,de_at,x,""}'::text[]) as wrong (language);
select throws_ok(format($$ insert into auth.mail_templates (tenant_id, kind, language, subject) values (%L, 'invite', 'en', 'x') $$, t.tenant('a')),
    '23514', null, 'a template says something');
select t.act_as('tenon_worker');
select is((select count(*) from auth.mail_templates), 1::bigint, 'the sender reads those of its tenant');
select throws_ok($$ update auth.mail_templates set text = 'z' $$, '42501', null, 'and writes none');
select t.act_as('tenon_worker', tenant => 'b');
select is_empty('select 1 from auth.mail_templates', 'another tenant''s are not seen');
select t.act_as('anon');
select throws_ok('select 1 from auth.mail_templates', '42501', null, 'anon reads none');
select t.act_as('authenticated');
select throws_ok('select 1 from auth.mail_templates', '42501', null, 'people read none');
select t.act_as('service_role');
select throws_ok('select 1 from auth.mail_templates', '42501', null, 'secret keys read none');
reset role;

-- What is due is given to one process at a time.
create function t.post(to_whom text, lifetime_s bigint default 600) returns uuid language sql as $$
    select tenon.post_message('email', 'recovery', to_whom, null, '\x00', lifetime_s)
$$;
create function t.claim(most integer, out recipients text[]) language sql as $$
    select coalesce(array_agg(recipient order by recipient), '{}') from tenon.claim_messages(most, 60)
$$;
grant execute on all functions in schema t to public;
select t.act_as('tenon_worker');
select t.post('1@a');
select t.act_as('tenon_worker', tenant => 'b');
select t.post('2@b');
select t.act_as('tenon_worker');
select set_config('tenon.tenant_id', '', true);
select is(t.claim(10), '{1@a,2@b}', 'of all tenants');
select is(t.claim(10), '{}', 'and not twice while the lease lasts');
reset role;
update tenon.outbox set due_at = now();
update tenon.tenants set status = 'suspended' where id = t.tenant('b');
select t.act_as('tenon_worker');
select is(t.claim(10), '{1@a}', 'when it is over again, but nothing of a suspended tenant');
select is((select attempts from tenon.outbox), 2::smallint, 'attempts are counted');
select t.post('3@a'), t.post('4@a');
select is(array_length(t.claim(1), 1), 1, 'as many as asked for');

-- What is too late is dropped, and nothing else.
select t.post('5@a', 0);
select is(t.claim(10) @> '{5@a}', false, 'what is too late is not sent');
reset role;
update tenon.outbox set expires_at = now(), due_at = now() + interval '1 minute' where recipient = '1@a';
select t.act_as('tenon_worker');
select is((select array_agg(kind) from tenon.drop_expired_messages()), '{recovery}', 'it is dropped and told');
select is((select array_agg(recipient order by recipient) from tenon.outbox), '{1@a,3@a,4@a}', 'not what somebody is sending just now');
select t.act_as('authenticated');
select throws_ok('select tenon.claim_messages(1, 1)', '42501', null, 'people claim nothing');
select t.act_as('service_role');
select throws_ok('select tenon.claim_messages(1, 1)', '42501', null, 'secret keys claim nothing');
select throws_ok('select tenon.drop_expired_messages()', '42501', null, 'and drop nothing');

select * from finish();
rollback;
