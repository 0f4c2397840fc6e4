-- t/sql/storage_lists.sql: lists give what a reading of all rows would, page by page, and read no more than they give
begin;
select * from no_plan();

create function t.v1(prefix text, search text default '', col text default 'name', ord text default 'asc', lim int default 100, off int default 0) returns text
    language sql as $$
    select string_agg(name || case when id is null and updated_at is null and created_at is null and last_accessed_at is null and metadata is null then '/' else '' end, ' ')
      from storage.search(prefix, 'docs', lim, 1, off, search, col, ord) $$;
create function t.v2(prefix text, delimiter text, col text default 'name', ord text default 'asc', lim int default 1000, after text default null) returns text
    language sql as $$
    select string_agg(name || case when is_folder and id is null and size is null then '|' else '' end, ' ')
      from storage.list_objects('docs', prefix, delimiter, lim, after, col, ord) $$;
create function t.v2_pages(prefix text, delimiter text, lim int, ord text, col text) returns text[]
    language plpgsql as $$
declare
    entry record;
    result text[] := '{}';
    after text;
    after_time timestamptz;
    given int;
begin
    loop
        given := 0;
        for entry in select * from storage.list_objects('odd', prefix, delimiter, lim, after, col, ord, after_time) loop
            given := given + 1;
            result := result || entry.name;
            after := entry.name;
            after_time := case col when 'created_at' then entry.created_at when 'updated_at' then entry.updated_at end;
        end loop;
        exit when given < lim;
    end loop;
    return result;
end $$;
create function t.v2_read(prefix text, delimiter text, ord text, col text) returns text[]
    language sql as $$
    with cuts as (select o.name, o.created_at as at, nullif(position(delimiter in substr(o.name, length(prefix) + 1)), 0) as cut
                    from storage.objects o where o.bucket_id = 'odd' and starts_with(o.name, prefix)),
         entries as (select distinct case when cut is null then name else left(name, length(prefix) + cut + length(delimiter) - 1) end collate "C" as name,
                            case when col <> 'name' and cut is null then at end as at, case when col <> 'name' then cut is null end as is_file from cuts),
         places as (select *, row_number() over (order by at, case when is_file is false then translate(name, '/', chr(1)) else name end) as place from entries)
    select coalesce(array_agg(name order by is_file, case when ord = 'asc' then place else -place end), '{}') from places $$;
create function t.v1_pages(prefix text, search text, lim int, ord text) returns text[]
    language plpgsql as $$
declare
    page text[];
    result text[] := '{}';
begin
    loop
        page := array(select name || case when id is null then '/' else '' end
                        from storage.search(prefix, 'odd', lim, 1, cardinality(result), search, 'name', ord));
        result := result || page;
        exit when cardinality(page) < lim;
    end loop;
    return result;
end $$;
create function t.v1_read(prefix text, search text, ord text) returns text[]
    language sql as $$
    with cuts as (select o.name, o.name_key, nullif(position('/' in substr(o.name, length(prefix || search) + 1)), 0) as cut from storage.objects o
                   where o.bucket_id = 'odd' and starts_with(o.name, prefix) and o.name <> prefix and starts_with(lower(o.name), lower(prefix || search))),
         entries as (select distinct on (key, name) * from (
                         select substr(left(c.name, length(prefix || search) + cut), length(prefix) + 1) as shown, left(name_key, length(prefix || search) + cut) collate "C" as key,
                                '' collate "C" as name, c.name as of from cuts c where cut is not null
                          union all select substr(c.name, length(prefix) + 1), name_key, c.name, c.name from cuts c where cut is null) e
                      -- of folders that differ in case only, the one that comes first
                      order by key, name, case when ord = 'asc' then lower(of) end collate "C", case when ord = 'desc' then lower(of) end collate "C" desc,
                               case when ord = 'asc' then of end collate "C", case when ord = 'desc' then of end collate "C" desc),
         places as (select *, row_number() over (order by key, name) as place from entries)
    select coalesce(array_agg(shown order by case when ord = 'asc' then place else -place end), '{}') from places $$;
create function t.read_rows(statement text) returns bigint
    language plpgsql security definer as $$ -- as the superuser who sees the numbers; `statement` runs as who is asking
begin
    return (select sum(pg_stat_get_xact_tuples_returned(indexrelid)) + pg_stat_get_xact_tuples_returned('storage.objects'::regclass)
              from pg_index where indrelid = 'storage.objects'::regclass);
end $$;
create function t.cost(statement text) returns bigint
    language plpgsql as $$
declare
    before constant bigint := t.read_rows('');
begin
    execute statement;
    return t.read_rows('') - before;
end $$;
create table t.lists as values
    ('select count(*) from storage.search(%L, ''big'')'), ('select count(*) from storage.search(%L, ''big'', sortorder => ''desc'')'),
    ('select count(*) from storage.search(%L, ''big'', sortcolumn => ''created_at'')'), ('select count(*) from storage.list_objects(''big'', %L, ''/'', 100)'),
    ('select count(*) from storage.search(%L, ''big'', sortcolumn => ''updated_at'', sortorder => ''desc'')'),
    ('select count(*) from storage.list_objects(''big'', %L, ''/'', 100, sort_order => ''desc'')'),
    ('select count(*) from storage.list_objects(''big'', %L, ''/'', 100, sort_column => ''created_at'')'),
    ('select count(*) from storage.list_objects(''big'', %L, ''/'', 100, sort_column => ''updated_at'', sort_order => ''desc'')'),
    ('select count(*) from storage.list_objects(''big'', %L, null, 100)'),
    ('select count(*) from storage.search(%L collate "C", ''big'' collate "C")'), ('select count(*) from storage.list_objects(''big'' collate "C", %L collate "C", ''/'' collate "C", 100)'),
    ('select count(*) from storage.search(%L collate "C", ''big'' collate "C", sortcolumn => ''created_at'' collate "C")');
grant select on t.lists to public;

set role tenon_owner;
create policy own on storage.objects to authenticated using (bucket_id in ('docs', 'big') and (storage.foldername(name))[1] = (select auth.uid()::text));
reset role;
select t.act_as('service_role');
insert into storage.buckets (id, name) values ('docs', 'docs'), ('odd', 'odd'), ('big', 'big');

-- What is expected, spelled out

insert into storage.objects (bucket_id, name, created_at, metadata)
select 'docs', name, '2026-01-01'::timestamptz + n * interval '1 microsecond', jsonb_build_object('size', n)
  from unnest(array['b.txt', 'A.txt', 'a/1.txt', 'a/2.txt', 'a/deep/3.txt', 'c/4.txt', 'a-b/5.txt', 'Z.txt', 'c%/x', 'c_/x', 'a/', '100% sure.txt', '100 percent.txt'])
       with ordinality as f (name, n);
select is(t.v1(''), '100 percent.txt 100% sure.txt a-b/ A.txt a/ b.txt c%/ c/ c_/ Z.txt', 'names without regard to case, folders once');
select is(t.v1('', ord => 'DESC'), 'Z.txt c_/ c/ c%/ b.txt a/ A.txt a-b/ 100% sure.txt 100 percent.txt', 'and backwards');
select is(t.v1(null, null, null, null), t.v1(''), 'nothing said is what is usual');
select is(t.v1('a'), '1.txt 2.txt deep/', 'a folder, by names relative to it');
select is(t.v1('a/'), t.v1('a'), 'with or without its slash');
select is(t.v1('a/deep'), '3.txt', 'deeper');
select is(t.v1('A'), null, 'folders are told apart by case');
select is(t.v1('none'), null, 'one that is not there is empty');
select is(t.v1('/a'), null, 'a slash in front is a folder without a name');
select is(t.v1('', 'a'), 'a-b/ A.txt a/', 'search is for the beginning, in any case');
select is(t.v1('', 'C_'), 'c_/', 'and literal');
select is(t.v1('', '100%'), '100% sure.txt', 'signs of LIKE as well');
select is(t.v1('c%'), 'x', 'also in a prefix');
select is(t.v1('', 'a/D'), 'a/deep/', 'search may lead into a folder');
select is(t.v1('', 'a/D', 'created_at'), 'a/deep/', 'also by a time');
select is(t.v1('', 'A/d', 'created_at'), null, 'if the folder is spelled as it is');
select is(t.v1('', '', 'created_at'), 'a/ a-b/ c/ c%/ c_/ b.txt A.txt Z.txt 100% sure.txt 100 percent.txt', 'by a time, folders come first');
select is(t.v1('', '', 'created_at', 'desc'), 'c_/ c%/ c/ a-b/ a/ 100 percent.txt 100% sure.txt Z.txt A.txt b.txt', 'and backwards');
select is(t.v1('', '', 'last_accessed_at') is not null, true, 'by the last access');
select is(t.v1('', '', 'owner; drop table'), t.v1(''), 'a column that is none is the name');
select is(t.v1('', lim => 2, off => 2), 'a-b/ A.txt', 'a page');
select is(t.v1('', '', 'created_at', lim => 2, off => 4), 'c_/ b.txt', 'a page across folders and files');
select is(t.v1('', lim => 0), null, 'none');
select is(t.v1('', lim => -1, off => -1), null, 'less than none is none');
select is_empty($$ select from storage.search('', 'nowhere') $$, 'a bucket that is not there is empty');

select is(t.v2('', '/'), '100 percent.txt 100% sure.txt A.txt Z.txt a-b/| a/| b.txt c%/| c/| c_/|', 'by full names, with regard to case');
select is(t.v2('a', '/'), 'a-b/| a/|', 'a prefix is any beginning');
select is(t.v2('a/', '/'), 'a/ a/1.txt a/2.txt a/deep/|', 'a file whose name ends with the delimiter is one within it');
select is(t.v2('a/', null), 'a/ a/1.txt a/2.txt a/deep/3.txt', 'without delimiter there are no folders');
select is(t.v2('a/', ''), t.v2('a/', null), 'an empty one is none');
select is(t.v2('', '.t'), '100 percent.t| 100% sure.t| A.t| Z.t| a-b/5.t| a/ a/1.t| a/2.t| a/deep/3.t| b.t| c%/x c/4.t| c_/x', 'any text is a delimiter');
select is(t.v2('', '/', after => 'a-b/'), 'a/| b.txt c%/| c/| c_/|', 'behind a folder');
select is(t.v2('', '/', after => 'a/1.txt'), 'a/| b.txt c%/| c/| c_/|', 'behind a file in a folder, of which there is more');
select is(t.v2('', '/', after => 'a/zzz'), 'b.txt c%/| c/| c_/|', 'and of which there is none');
select is(t.v2('a/', null, after => 'Z'), t.v2('a/', null), 'what comes before the prefix is no obstacle');
select is(t.v2('a/', null, after => 'b'), null, 'what comes behind is the end');
select is(t.v2('a', '/', ord => 'desc'), 'a/| a-b/|', 'backwards');
select is(t.v2('', '/', 'created_at'), 'a/| a-b/| c/| c%/| c_/| b.txt A.txt Z.txt 100% sure.txt 100 percent.txt', 'by a time, folders come first');
select is(t.v2('', '/', 'metadata'), t.v2('', '/'), 'a column that is none is the name');

-- Against a reading of all rows, page by page: short names out of few characters, so that everything happens

select setseed(0.5);
insert into storage.objects (bucket_id, name, created_at)
select 'odd', name, '2026-01-01'::timestamptz + (random() * 500)::int * interval '1 microsecond'
  from (select distinct string_agg(substr('aAbB/-.z', 1 + (random() * 8)::int, 1), '') as name
          from generate_series(1, 1200) g, generate_series(1, 1 + g % 7) group by g) made where name <> '';

select is(t.v2_pages(prefix, delimiter, lim, ord, col), t.v2_read(prefix, delimiter, ord, col),
          format('names that begin with %L by %s %s, delimiter %L, pages of %s', prefix, col, ord, delimiter, lim))
  from (values (''), ('a'), ('a/'), ('A/b'), ('zz')) p (prefix), (values (null), ('/'), ('-.'), ('a')) d (delimiter), (values (1), (7), (2000)) l (lim),
       (values ('asc'), ('desc')) o (ord), (values ('name'), ('created_at')) c (col)
 where col = 'name' or coalesce(delimiter, '/') = '/';

select is(t.v1_pages(prefix, search, lim, ord), t.v1_read(prefix, search, ord), format('%L in %L %s, pages of %s', search, prefix, ord, lim))
  from (values (''), ('a/'), ('A/'), ('b/')) p (prefix), (values (''), ('a'), ('B'), ('a/z')) s (search), (values (1), (7), (1500)) l (lim), (values ('asc'), ('desc')) o (ord);

-- Row security

select t.act_as('authenticated');
select is_empty($$ select from storage.search('', 'docs') $$, 'what is hidden is not listed');
select is_empty($$ select from storage.list_objects('docs', '', '/') $$, 'in no way');
select is_empty($$ select from storage.search('', 'odd', sortcolumn => 'created_at') union all select from storage.list_objects('odd', '', '/', sort_column => 'updated_at') $$,
    'nor by a time');
select t.act_as('service_role', tenant => 'b');
select is_empty($$ select from storage.search('', 'docs') union all select from storage.list_objects('docs') $$, 'nor in another tenant');

-- How much is read: rows of the indexes. Three folders of 3,000, one of them the person's, which has folders itself.

select t.act_as('service_role');
insert into storage.objects (bucket_id, name)
select 'big', case n % 3 when 0 then t.person('a', 1) || '/' || case when n % 30 < 15 then 'sub' || n % 4 || '/' else '' end else 'folder' || n % 3 || '/' end || 'file' || n
  from generate_series(1, 9000) n;
insert into storage.objects (bucket_id, name) select 'big', 'root' || n from generate_series(1, 5) n;
reset role;
analyze storage.objects;
select t.act_as('service_role');
select cmp_ok(t.cost(format(column1, '')), '<', 250::bigint, format(column1, '') || ' as a secret key') from t.lists;
select t.act_as('authenticated');
select cmp_ok(t.cost(format(column1, t.person('a', 1) || '/')), '<', 250::bigint, format(column1, 'own') || ' as a person') from t.lists;
select cmp_ok(t.cost(format(column1, t.person('a', 1) || '/sub1/')), '<', 450::bigint, format(column1, 'own/sub1') || ' as a person') from t.lists;
select is((select count(*) from storage.search(t.person('a', 1)::text, 'big', sortcolumn => 'created_at')), 100::bigint, 'and there was something to read');

select * from finish();
rollback;
