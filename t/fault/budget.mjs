// t/fault/budget.mjs: however many calls run at once and whoever is killed, settled + reserved never passes a cap
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { psql, rows } from '../lib/postgres.mjs';

const s = await stack({ people: false });
const tenant = (await rows(s.admin, `select id from tenon.tenants order by name limit 1`))[0].id;
const person = '00000000-0000-7000-8000-000000000001';
const dir = fs.mkdtempSync('/tmp/tenon-budget-');
after(() => fs.rmSync(dir, { recursive: true }));

/* Any client reserves for, settles and releases any of 40 runs, so two are often at the same one. What settle() says it has counted is
   written down beside it in the same transaction. It is less than any reservation: then no cap may be passed. */
const script = `
\\set run random(1, 40)
\\set amount random(10, 60)
\\set what random(1, 10)
\\set whose random(1, 2)
begin;
select set_config('tenon.tenant_id', '${tenant}', true), set_config('role', 'tenon_worker', true);
\\if :what <= 6
select tenon.reserve(('00000000-0000-7000-8000-0000000f' || lpad(:run::text, 4, '0'))::uuid, case :whose when 1 then '${person}'::uuid end, null, :amount);
\\else
insert into public.spent select :amount % 10 where tenon.settle(('00000000-0000-7000-8000-0000000f' || lpad(:run::text, 4, '0'))::uuid, :amount % 10);
\\endif
commit;
`;

async function pgbench(clients, transactions) {
  const file = path.join(dir, 'script.sql');
  fs.writeFileSync(file, script);
  const child = spawn('pgbench', ['-n', '-f', file, '-c', clients, '-j', 2, '-t', transactions, s.admin].map(String), { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (data) => (said += data));
  child.stderr.on('data', (data) => (said += data));
  const [code] = await once(child, 'exit');
  return { code, said };
}

const books = () => rows(s.admin, `
  select subject, cap_micros as cap, spent_micros as spent, reserved_micros as reserved,
         coalesce((select sum(amount_micros) from tenon.reservations r where r.budget_id = b.id), 0) as held
    from tenon.budgets b where tenant_id = '${tenant}' order by subject`);

function inOrder(budgets) {
  for (const b of budgets) {
    assert.ok(b.spent + b.reserved <= b.cap, `${b.subject}: ${b.spent} spent and ${b.reserved} reserved of ${b.cap}`);
    assert.equal(b.reserved, b.held, `${b.subject}: what is reserved is what runs hold`);
  }
}

async function begin(cap) {
  await psql(s.admin, `
    delete from tenon.budgets;
    drop table if exists public.spent;
    set tenon.auto_protect = off;
    create table public.spent (amount bigint);
    grant insert, select on public.spent to tenon_worker;
    select tenon.set_budget('${tenant}', 'tenant', null, 'month', ${cap});
    select tenon.set_budget('${tenant}', 'user', '${person}', 'total', ${Math.round(cap / 2)});`);
}

/* Looks again and again, until `work` is done. */
async function watched(work) {
  let running = true;
  let looks = 0;
  const watcher = (async () => {
    while (running) {
      inOrder(await books());
      looks += 1;
    }
  })();
  try {
    return await work;
  } finally {
    running = false;
    await watcher;
    assert.ok(looks > 3, `the books were looked at ${looks} times meanwhile`);
  }
}

test('a hundred reservations at once: as many as fit, and not one more', async () => {
  await begin(1000);
  const run = (n) => `'00000000-0000-7000-8000-0000000f${String(n).padStart(4, '0')}'`;
  const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => psql(s.admin, `
    begin;
    select set_config('tenon.tenant_id', '${tenant}', true), set_config('role', 'tenon_worker', true);
    select coalesce(tenon.reserve(${run(n)}, null, null, 30) ->> 'code', 'admitted');
    commit;`)));
  const admitted = answers.filter((text) => text.endsWith('admitted')).length;
  assert.equal(admitted, 33);
  assert.equal(answers.filter((text) => text.endsWith('budget_exceeded')).length, 67);
  const [budget] = await books();
  assert.deepEqual([budget.spent, budget.reserved, budget.held], [0, 990, 990]);
});

test('reserving, settling and releasing at once', async () => {
  await begin(3000);
  const { code, said } = await watched(pgbench(20, 150));
  assert.equal(code, 0, said);
  assert.ok(!/deadlock/.test(said), said);
  const budgets = await books();
  inOrder(budgets);
  const [{ spent }] = await rows(s.admin, 'select sum(amount) as spent from public.spent');
  const counted = budgets.find((b) => b.subject === 'tenant');
  assert.equal(counted.spent, spent, 'what is spent is what was settled, nothing lost and nothing twice');
  assert.ok(spent > 0);
});

test('clients that are killed in the middle', async () => {
  await begin(3000);
  let running = true;
  const killer = (async () => {
    while (running) {
      await psql(s.admin, `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgbench' and datname = current_database() order by random() limit 1`);
      await new Promise((done) => setTimeout(done, 40));
    }
  })();
  await watched(Promise.all(Array.from({ length: 8 }, () => pgbench(4, 100))));
  running = false;
  await killer;
  const budgets = await books();
  inOrder(budgets);
  const [{ spent }] = await rows(s.admin, 'select coalesce(sum(amount), 0) as spent from public.spent');
  assert.equal(budgets.find((b) => b.subject === 'tenant').spent, spent);
});
