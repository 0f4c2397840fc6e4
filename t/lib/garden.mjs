/* t/lib/garden.mjs: the tables of an app, as its developer would make them in psql, for tests of the data API
 *
 *   const s = await garden({ settings });      // a stack whose database has them; tenants a and b have rows of their own
 *
 * `ownCluster`: with a PostgreSQL of its own, for tests that make roles, which belong to all databases of one.
 *
 * stock and beds are the tenant's (everybody of it reads and writes them), notes are of their owner alone, vault is closed.
 */
import { after } from 'node:test';
import { startCluster } from './postgres.mjs';
import { stack } from './stack.mjs';

const schema = `
create table public.stock (id bigint primary key, sku text unique, qty int not null default 0 check (qty >= 0), note text);
create table public.beds (id bigint generated always as identity primary key, stock_id bigint references public.stock (id), code text);
create table public.notes (id bigint generated always as identity primary key, owner uuid not null default auth.uid(), body text);
create table public.vault (id bigint primary key, secret text);
create policy everybody on public.stock to anon, authenticated, agent using (true) with check (true);
create policy everybody on public.beds to anon, authenticated using (true) with check (true);
create policy owner on public.notes to authenticated using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
revoke all on public.vault from anon, authenticated;

create function public.add(a int, b int default 10) returns int language sql immutable as 'select a + b';
create function public.numbers(n int) returns table (i int, square int) language sql stable as 'select i, i * i from generate_series(1, n) i';
create function public.nothing() returns void language sql as '';
create function public.remember(label text) returns public.stock language sql as 'insert into public.stock (id, note) values (900, label) returning *';
create function public.setting(name text) returns text language sql stable as 'select current_setting(name, true)';
create function public.whoami() returns json language sql stable as $$ select json_build_object('role', current_user, 'tenant', tenon.tenant_id(), 'claims', current_setting('request.jwt.claims')::json) $$;
create function public.answer(status text, headers text) returns text language sql as $$
  select set_config('response.status', status, true), set_config('response.headers', headers, true); select 'made' $$;
create function public.raise(state text, message text, detail text default null, hint text default null) returns void language plpgsql as
  $$ begin raise exception using errcode = state, message = message, detail = coalesce(detail, ''), hint = coalesce(hint, ''); end $$;
create function public.sleep(seconds float) returns void language sql stable as 'select pg_sleep(seconds)';
create function public.slow_by_itself() returns void language sql stable set statement_timeout = '100ms' as 'select pg_sleep(5)';
create function public.isolation() returns text language sql stable set default_transaction_isolation = 'serializable' as $$ select current_setting('transaction_isolation') $$;

create domain public."text/html" as text;
create domain public."image/x-dot" as bytea;
create function public.page(title text) returns public."text/html" language sql stable as $$ select ('<h1>' || title || '</h1>')::public."text/html" $$;
create function public.dot() returns public."image/x-dot" language sql stable as $$ select '\\x00ff10'::bytea::public."image/x-dot" $$;

create schema annex;
grant usage on schema annex to anon, authenticated, service_role;
create table annex.stock (id bigint primary key, title text);
grant select on annex.stock to anon;
select tenon.protect('annex.stock');
create policy everybody on annex.stock to anon, authenticated using (true);
`;

const rows = (id) => `
select set_config('tenon.tenant_id', '${id}', true);
insert into public.stock (id, sku, qty, note) values (1, 'rope', 10, null), (2, 'spade', 2, 'ash handle'), (3, 'lamp', 0, '');
insert into public.beds (stock_id, code) values (1, 'A1'), (1, 'A2'), (2, 'B1');
`;

export async function garden({ ownCluster = false, ...options } = {}) {
  const cluster = ownCluster ? await startCluster() : options.cluster;
  const s = await stack({ people: false, ...options, cluster, settings: { 'data.schemas': 'public, annex', ...options.settings } });
  await s.sql(schema);
  await s.sql(`begin; ${rows(s.a.id)} commit;`);
  if (ownCluster) after(() => cluster.remove());
  return s;
}
