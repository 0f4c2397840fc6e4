-- t/sql/isolation.sql: tenant a cannot touch tenant b, in any table, as anybody, whatever the context says
--
-- A loop over the catalog: a new table is tested because it exists. t.fill() puts a row of a and one of b into each, then every role tries
-- everything on them. What is allowed to an attacker: nothing found, or no permission.

begin;
-- tables as people make them, with what could tie tenants together; every row of `theirs` has the same code
set role tenon_owner;
create table shelves (id bigint generated always as identity primary key, code text not null default 'same' unique);
create table books (id bigint generated always as identity primary key, shelf bigint not null references shelves on delete cascade,
    next bigint references books on delete cascade, code text not null default 'same', unique (shelf, code));
create unique index on books (lower(code));
create table book_tags (book bigint references books on delete cascade, tag text not null default gen_random_uuid(), primary key (book, tag));
reset role;
select t.fill();
create table t.scopes as -- agents get all there are, so that the tenant is the only wall left
    select (coalesce(jsonb_agg(distinct m[1]), '[]') || '["storage:*"]')::text as every
      from pg_policies p, regexp_matches(coalesce(p.qual, p.with_check), 'has_scope\(''([^'']+)''') as m;
create table t.attackers as
    select unnest(array['anon', 'authenticated', 'agent', 'service_role', 'tenon_worker', 'tenon_owner']) as role;
grant select on all tables in schema t to public;
commit;
\c
begin;
select * from no_plan();

select isnt_empty('select 1 from t.rows', 'there are tables to test');
select is(count(distinct r.tenant), 2::bigint, o.name || ' has a row of each tenant')
  from t.ours o left join t.rows r on r.tab = o.id
 where o.has_tenant and not o.relispartition group by o.name order by o.name;

-- Puts a statement's outcome on the list of breaches unless it is one of those expected.
create function t.breach(what text, statement text, given jsonb, variadic expected text[]) returns text
    language plpgsql
as $$
declare
    outcome constant text := t.outcome(statement, given);
begin
    return case when outcome <> all (expected) then what || ': ' || outcome || E'\n' end;
end $$;

-- What somebody who is in tenant a may try on the rows of b. Row security is checked before any constraint, so the only right answer
-- to a row that is put into b is 42501.
create function t.attack(tab regclass, mine jsonb, theirs jsonb) returns text
    language plpgsql
as $$
declare
    a constant text := quote_literal(mine ->> 'tenant_id');
    b constant text := quote_literal(theirs ->> 'tenant_id');
    columns constant text := (select string_agg(quote_ident(attname), ', ') from pg_attribute
                               where attrelid = tab and attnum > 0 and not attisdropped and attgenerated = '');
begin
    return concat(
        t.breach('select', format('select from %s where tenant_id = %s', tab, b), null, 'rows 0', '42501'),
        t.breach('select any', format('select from %s where tenant_id is distinct from %s', tab, a), null, 'rows 0', '42501'),
        t.breach('lock', format('select from %s where tenant_id = %s for update', tab, b), null, 'rows 0', '42501'),
        t.breach('update', format('update %s set tenant_id = tenant_id where tenant_id = %s', tab, b), null, 'rows 0', '42501'),
        t.breach('take', format('update %s set tenant_id = %s where tenant_id = %s', tab, a, b), null, 'rows 0', '42501'),
        t.breach('give', format('update %s set tenant_id = %s where tenant_id = %s', tab, b, a), null, 'rows 0', '42501'),
        t.breach('delete', format('delete from %s where tenant_id = %s', tab, b), null, 'rows 0', '42501'),
        t.breach('insert', format('insert into %1$s (%2$s) overriding system value select %2$s from jsonb_populate_record(null::%1$s, $1)',
                                  tab, columns), theirs, '42501'),
        t.breach('upsert', format('insert into %1$s (%2$s) overriding system value select %2$s from jsonb_populate_record(null::%1$s, $1) '
                                  'on conflict do nothing', tab, columns), theirs, '42501'),
        t.breach('truncate', format('truncate %s', tab), null,
                 variadic case when current_user = 'tenon_owner' then '{rows 0,0A000}'::text[] else '{42501}' end));
end $$;

-- What somebody without a tenant, or with one that does not exist, may try: there are no rows at all. 22P02: the context is no uuid.
create function t.attack_from_nowhere(tab regclass, theirs jsonb) returns text
    language plpgsql
as $$
declare
    columns constant text := (select string_agg(quote_ident(attname), ', ') from pg_attribute
                               where attrelid = tab and attnum > 0 and not attisdropped and attgenerated = '');
begin
    return concat(
        t.breach('select', format('select from %s', tab), null, 'rows 0', '42501', '22P02'),
        t.breach('update', format('update %s set tenant_id = tenant_id', tab), null, 'rows 0', '42501', '22P02'),
        t.breach('delete', format('delete from %s', tab), null, 'rows 0', '42501', '22P02'),
        t.breach('insert', format('insert into %1$s (%2$s) overriding system value select %2$s from jsonb_populate_record(null::%1$s, $1)',
                                  tab, columns), theirs, '42501', '22P02'));
end $$;

create view t.targets as
    select r.tab, mine.content as mine, theirs.content as theirs, a.role
      from (select distinct tab from t.rows) r
      join t.rows mine on mine.tab = r.tab and mine.tenant = t.tenant('a')
      join t.rows theirs on theirs.tab = r.tab and theirs.tenant = t.tenant('b')
     cross join t.attackers a
     order by r.tab::text, a.role;

-- One test for each table and role. `context` is what set_config() is called with beforehand; null leaves the setting as it is.
create function t.check_all(label text, tenant_id text, claims text) returns setof text
    language plpgsql
as $$
declare
    target record;
    every constant text := (select every from t.scopes);
    breaches text;
begin
    for target in select * from t.targets loop
        if tenant_id is not null then
            perform set_config('tenon.tenant_id', tenant_id, true);
        end if;
        if claims is not null then
            perform set_config('request.jwt.claims', claims, true), set_config('tenon.scopes', every, true);
            perform set_config('storage.allow_delete_query', 'true', true); -- that guard is none
        end if;
        perform set_config('role', target.role, true);
        if tenant_id = t.tenant('a')::text then
            breaches := t.attack(target.tab, target.mine, target.theirs);
        else
            breaches := t.attack_from_nowhere(target.tab, target.theirs);
        end if;
        perform set_config('role', 'none', true);
        return next is(breaches, '', format('%s as %s, %s', target.tab, target.role, label));
    end loop;
end $$;

grant execute on all functions in schema t to public;
grant select on all tables in schema t to public;

-- First, while this session has never set anything: a worker that forgot.
select is(current_setting('tenon.tenant_id', true), null, 'nothing is set in a new session');
select t.check_all('nothing set', null, null);

select t.check_all('in their own tenant', t.tenant('a')::text, jsonb_build_object('role', 'x', 'sub', t.person('a', 1))::text);
select t.check_all('with claims that name the other tenant and its person', t.tenant('a')::text,
                   jsonb_build_object('role', 'tenon_platform', 'sub', t.person('b', 1), 'tenant_id', t.tenant('b'), 'email', 'b1@example.com',
                                      'app_metadata', jsonb_build_object('tenant_id', t.tenant('b')))::text);
select t.check_all('tenant empty', '', jsonb_build_object('sub', t.person('b', 1), 'tenant_id', t.tenant('b'))::text);
select t.check_all('tenant unknown', '00000000-0000-7000-8000-0000000000ff', jsonb_build_object('sub', t.person('b', 1))::text);
select t.check_all('tenant malformed', 'b'' or true --', jsonb_build_object('sub', t.person('b', 1))::text);
select t.check_all('tenant a list', format('{%s,%s}', t.tenant('a'), t.tenant('b')), jsonb_build_object('sub', t.person('b', 1))::text);

-- The walls are not simply closed: the owner's login sees its tenant's row in each table, and the platform sees both.
select t.act_as('tenon_owner');
select is(t.outcome(format('select from %s where tenant_id = %L', tab, t.tenant('a'))) <> 'rows 0', true, tab || ' has rows for their own tenant')
  from (select distinct tab from t.rows order by tab) r;
select t.act_as('tenon_platform', tenant => null);
select is(t.outcome(format('select distinct tenant_id from %s', tab)), 'rows 2', tab || ' is whole for the platform')
  from (select distinct tab from t.rows order by tab) r;
reset role;

-- References: a row of a that points to a row of b cannot exist, not even by a superuser's hand. For each foreign key, a's row is taken
-- out and put back with the key turned towards b's; the answer is the name of the key that forbids it.
create function t.point_across(target regclass, key name) returns text
    language plpgsql
as $$
declare
    made jsonb := (select content from t.rows where tab = target and tenant = t.tenant('a'));
    columns constant text := (select string_agg(quote_ident(attname), ', ') from pg_attribute
                               where attrelid = target and attnum > 0 and not attisdropped and attgenerated = '');
    all_shared constant boolean := (select bool_and(shared) from t.keys where child = target and name = key and child_column <> 'tenant_id');
    violated text;
begin
    -- columns that other keys need as well stay as they are, if there is another one to turn
    select made || jsonb_object_agg(k.child_column, theirs.content -> k.parent_column) into made
      from t.keys k join t.rows theirs on theirs.tab = k.parent and theirs.tenant = t.tenant('b')
     where k.child = target and k.name = key and k.child_column <> 'tenant_id' and (all_shared or not k.shared);
    perform set_config('session_replication_role', 'replica', true); -- its triggers, and what refers to it, are not what is tested
    execute format('delete from %s where tenant_id = %L', target, t.tenant('a'));
    perform set_config('session_replication_role', 'origin', true);
    execute format('insert into %1$s (%2$s) overriding system value select %2$s from jsonb_populate_record(null::%1$s, $1)', target, columns)
      using made;
    raise exception using errcode = 'TT000', message = 'nothing forbids it';
exception when others then
    get stacked diagnostics violated = constraint_name;
    return coalesce(nullif(violated, ''), sqlerrm);
end $$;
alter table if exists storage.s3_keys drop constraint of_somebody; -- would notice first
select is(t.point_across(k.child, k.name), k.name::text, format('%s of %s cannot point to another tenant', k.name, k.child::regclass))
  from t.keys k join t.ours p on p.id = k.parent and p.has_tenant join t.ours c on c.id = k.child and c.has_tenant
 where k.parent_column <> 'tenant_id'
 group by k.child, k.name
 order by k.child::regclass::text, k.name;

select * from finish();
rollback;
