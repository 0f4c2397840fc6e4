-- t/sql/storage_vault.sql: what the database asks of rows in encrypted buckets, and which keys are dropped
begin;
select plan(16);

insert into tenon.tenants (id, name) values (t.tenant('a'), 'a'), (t.tenant('b'), 'b') on conflict do nothing;
select set_config('tenon.tenant_id', t.tenant('a')::text, true);
insert into storage.buckets (tenant_id, id, name, encrypted) values (t.tenant('a'), 'plain', 'plain', false), (t.tenant('a'), 'vault', 'vault', true);
insert into storage.tenant_keys (tenant_id, generation, sealed, master) values (t.tenant('a'), 1, '\x00', 'm'), (t.tenant('a'), 2, '\x00', 'm'),
    (t.tenant('a'), 300, '\x00', 'm'), (t.tenant('b'), 9, '\x00', 'm');

select is(storage.key_generation('\x010000012caa'), 300, 'the generation is in the sealed key');
select is(storage.key_generation('\x017fffffffaa'), 2147483647, 'also the highest one');
select is(storage.key_generation('\x020000000100'), null, 'another form has none');
select is(storage.key_generation('\x01000000'), null, 'nor has one that is cut off');
select is(storage.key_generation(null), null, 'nor none');

select lives_ok($$ insert into storage.objects (bucket_id, name, version) values ('plain', 'a', 'v1') $$, 'plain bytes in a plain bucket');
select lives_ok($$ insert into storage.objects (bucket_id, name, version, sealed_key) values ('plain', 'b', 'v2', '\x0100000001aa') $$,
    'encrypted ones in a plain bucket');
select lives_ok($$ insert into storage.objects (bucket_id, name, version, sealed_key) values ('vault', 'a', 'v3', '\x0100000002aa') $$,
    'encrypted ones in an encrypted bucket');
select lives_ok($$ insert into storage.objects (bucket_id, name) values ('vault', 'none') $$, 'a row without bytes');
select throws_ok($$ insert into storage.objects (bucket_id, name, version) values ('vault', 'b', 'v4') $$, 'PT503', null,
    'no plain bytes in an encrypted bucket');
select throws_ok($$ update storage.objects set bucket_id = 'vault', name = 'c' where version = 'v1' $$, 'PT503', null, 'none by a move neither');
select throws_ok($$ update storage.objects set version = 'v5', sealed_key = null where version = 'v3' $$, 'PT503', null, 'none by a new version');
select throws_ok($$ insert into storage.objects (bucket_id, name, version, sealed_key) values ('vault', 'd', 'v6', '\x0100000009aa') $$, 'PT503', null,
    'a key of another tenant is no key');

-- b uses 1, vault/a uses 2, nobody 300, which is the newest.
select is(storage.drop_unused_keys(t.tenant('a')), 0, 'keys that seal something stay, and the newest does');
update storage.objects set sealed_key = '\x010000012caa' where version = 'v2';
select is(storage.drop_unused_keys(t.tenant('a')), 1, 'those that seal nothing go');
select set_eq($$ select generation from storage.tenant_keys where tenant_id = t.tenant('a') $$, array[2, 300], 'and no others');

select * from finish();
rollback;
