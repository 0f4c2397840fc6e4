/* t/compat/lib/random-schema.mjs: a random schema with its rows, as data and as SQL
 *
 * {tables: [{name, columns: [{name, type, notNull, default}], key: [names], uniques: [[names]], references, view, rows}], functions}
 * A reference is {name, columns, table, to}. Views are tables with `view: {of, columns}` and no rows of their own.
 */
const names = ['ash', 'birch', 'cedar', 'elm', 'fir', 'hazel', 'Oak Tree', 'pine', 'rowan', 'yew'];
const columnNames = ['a', 'b', 'c', 'd', 'label', 'note', 'qty', 'val', 'Mixed', 'odd.name', 'x y', 'order', 'größe'];

/* Types: how a value is made (as text for a literal), and the operators that suit it. */
export const types = {
  int: { value: (d) => String(d.between(-5, 20)), operators: ['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'in', 'eq(any)', 'isdistinct', 'gt(all)'], number: true },
  bigint: { value: (d) => d.pick(['0', '9007199254740993', '-1', '7', '9223372036854775807']), operators: ['eq', 'neq', 'gt', 'lte', 'in'] },
  numeric: { value: (d) => d.pick(['0', '1.50', '2.500', '-3.1', '12345678901234567890.123', '1e10', 'NaN']), operators: ['eq', 'neq', 'gt', 'lt', 'in'], number: true },
  'double precision': { value: (d) => d.pick(['0', '1.5', '-2.25', '1e20', 'Infinity']), operators: ['eq', 'gt', 'lt'] },
  text: {
    value: (d) => d.pick(['', 'x', 'y', 'alpha', 'Alpha', 'a,b', '(p)', 'q"q', 'b\\s', "o'k", 'null', 'größe', ' lead', '{br}', 'a.b', '%', '*', '🚢', 'two words']),
    operators: ['eq', 'neq', 'gt', 'lte', 'like', 'ilike', 'match', 'imatch', 'in', 'isdistinct', 'like(any)', 'eq(any)'],
  },
  boolean: { value: (d) => d.pick(['true', 'false']), operators: ['eq', 'is', 'neq', 'isdistinct'] },
  date: { value: (d) => d.pick(['2024-02-29', '1999-12-31', '2024-01-01', '0001-01-01']), operators: ['eq', 'gt', 'lt', 'in'] },
  timestamptz: { value: (d) => d.pick(['2024-02-29T13:37:00.5Z', '2024-01-01T00:00:00+02:00', '1999-12-31 23:59:59Z']), operators: ['eq', 'gt', 'lt'] },
  uuid: { value: (d) => `00000000-0000-4000-8000-00000000000${d.below(6)}`, operators: ['eq', 'neq', 'in'] },
  jsonb: { value: (d) => d.pick(['null', '1', '"s"', '[1, 2.50]', '{"k": 1}', '{"k": {"l": [1, "two"]}, "m": null}', '{"k": "1"}']), operators: ['eq', 'cs', 'cd'], json: true },
  json: { value: (d) => d.pick(['1', '[1,  2.50]', '{"k":1, "k":2}', '{"k":{"l":[1,2]}}']), operators: ['is'], json: true },
  'int[]': { value: (d) => d.pick(['{}', '{1,2}', '{3}', '{1,NULL}']), operators: ['eq', 'cs', 'cd', 'ov'] },
  'text[]': { value: (d) => d.pick(['{}', '{a,b}', '{"c d",e}', '{"x,y"}']), operators: ['eq', 'cs', 'ov'] },
  int4range: { value: (d) => d.pick(['[1,5)', 'empty', '[3,)', '(,4)', '[4,8)']), operators: ['eq', 'cs', 'ov', 'sl', 'sr', 'nxr', 'nxl', 'adj'] },
  mood: { value: (d) => d.pick(['sad', 'so so', 'fine']), operators: ['eq', 'neq', 'gt', 'in'] },
};

export function makeSchema(dice) {
  const tables = [];
  for (const name of dice.shuffled(names).slice(0, dice.between(3, 6))) tables.push(makeTable(dice, name, tables));
  if (dice.chance(0.7)) tables.push(makeJunction(dice, 'junction', tables));
  if (dice.chance(0.3)) tables.push(makeJunction(dice, 'junction two', tables));
  for (const table of tables) table.rows = makeRows(dice, table, tables);
  for (const of of dice.some(tables.slice(0, 4), 0.3)) {
    const columns = of.columns.filter((c) => of.key.includes(c.name) || dice.chance(0.7));
    tables.push({ name: `${of.name} view`, columns, key: of.key, uniques: [], references: [], rows: of.rows, view: { of, columns } });
  }
  return { tables, functions: makeFunctions(tables) };
}

function makeTable(dice, name, earlier) {
  const table = { name, columns: [], key: [], uniques: [], references: [], rows: [] };
  const add = (column) => {
    table.columns.push(column);
    return column.name;
  };
  const composite = dice.chance(0.2);
  if (composite) table.key = [add({ name: 'k1', type: 'int', notNull: true }), add({ name: 'k2', type: dice.pick(['int', 'text']), notNull: true })];
  else table.key = [add({ name: 'id', type: dice.pick(['int', 'int', 'bigint', 'text', 'uuid']), notNull: true })];
  for (const column of dice.shuffled(columnNames).slice(0, dice.between(2, 5))) {
    const type = dice.pick(Object.keys(types));
    add({ name: column, type, notNull: false, default: dice.chance(0.2) && type !== 'json' ? types[type].value(dice) : undefined });
  }
  const targets = dice.shuffled([...earlier, ...(composite ? [] : [table])]).slice(0, dice.below(3));
  for (const [i, target] of targets.entries()) {
    const times = dice.chance(0.15) && target !== table ? 2 : 1; // two references to the same table are ambiguous
    for (let n = 0; n < times; n += 1) {
      const columns = target.key.map((key, k) => add({ name: `ref${i}${n}${k}`, type: target.columns.find((c) => c.name === key).type, notNull: false }));
      table.references.push({ name: `${name} to ${target.name} ${i}${n}`, columns, table: target, to: target.key });
      if (dice.chance(0.2) && target !== table) table.uniques.push(columns);
    }
  }
  return table;
}

function makeJunction(dice, name, tables) {
  const table = { name, columns: [], key: [], uniques: [], references: [], rows: [] };
  for (const [i, target] of dice.shuffled(tables.filter((t) => !t.name.startsWith('junction'))).slice(0, 2).entries()) {
    const columns = target.key.map((key, k) => `j${i}${k}`);
    columns.forEach((column, k) => table.columns.push({ name: column, type: target.columns.find((c) => c.name === target.key[k]).type, notNull: true }));
    table.references.push({ name: `${name} ${i}`, columns, table: target, to: target.key });
    table.key.push(...columns);
  }
  table.columns.push({ name: 'since', type: 'date', notNull: false });
  return table;
}

function makeRows(dice, table, tables) {
  const rows = [];
  const seen = new Set();
  for (let n = dice.between(0, 9); n > 0; n -= 1) {
    const row = {};
    for (const column of table.columns) row[column.name] = !column.notNull && dice.chance(0.2) ? null : types[column.type].value(dice);
    for (const reference of table.references) {
      const target = reference.table === table ? rows : reference.table.rows;
      const found = target.length > 0 && (table.key.some((k) => reference.columns.includes(k)) || dice.chance(0.8)) ? dice.pick(target) : undefined;
      reference.columns.forEach((column, i) => (row[column] = found ? found[reference.to[i]] : null));
    }
    if (table.key.some((k) => row[k] === null)) continue;
    const identities = [table.key, ...table.uniques].map((columns, i) => [i, columns.map((c) => row[c])]).filter(([, values]) => !values.includes(null)).map((v) => JSON.stringify(v));
    if (identities.some((i) => seen.has(i))) continue;
    identities.forEach((i) => seen.add(i));
    rows.push(row);
  }
  return rows;
}

const functionOf = (table) => `list_${table.name.replaceAll(' ', '_').toLowerCase()}`;

function makeFunctions(tables) {
  return [
    ...tables.filter((t) => !t.view).slice(0, 2).map((table) => ({ name: functionOf(table), table, arguments: [] })),
    { name: 'sum_of', arguments: [{ name: 'a', type: 'int' }, { name: 'b', type: 'int', default: '1' }] },
    { name: 'echo', arguments: [{ name: 't', type: 'text' }] },
    { name: 'series', arguments: [{ name: 'n', type: 'int' }], set: [{ name: 'i', type: 'int' }, { name: 'word', type: 'text' }] },
  ];
}

export const quoted = (name) => `"${name.replaceAll('"', '""')}"`;
const literal = (value) => (value === null || value === undefined ? 'null' : `'${value.replaceAll("'", "''")}'`);
const list = (columns) => columns.map(quoted).join(', ');

export function schemaSql({ tables, functions }) {
  const lines = [
    'set client_min_messages = warning;', 'set tenon.auto_protect = off;', 'drop schema if exists random cascade;', 'create schema random;', 'set search_path = random;', "create type mood as enum ('sad', 'so so', 'fine');",
    "create function rewind() returns void language sql as 'select';",
  ];
  for (const t of tables.filter((one) => !one.view)) {
    const columns = t.columns.map((c) => `    ${quoted(c.name)} ${c.type}${c.notNull ? ' not null' : ''}${c.default === undefined ? '' : ` default ${literal(c.default)}`}`);
    const keys = [`    primary key (${list(t.key)})`, ...t.uniques.map((u) => `    unique (${list(u)})`), ...t.references.map((r) => `    constraint ${quoted(r.name)} foreign key (${list(r.columns)}) references ${quoted(r.table.name)} (${list(r.to)})`)];
    lines.push(`create table ${quoted(t.name)} (\n${[...columns, ...keys].join(',\n')}\n) with (autovacuum_enabled = off);`);
    for (const row of t.rows) lines.push(`insert into ${quoted(t.name)} (${list(Object.keys(row))}) values (${Object.values(row).map(literal).join(', ')});`);
  }
  for (const t of tables.filter((one) => one.view)) lines.push(`create view ${quoted(t.name)} as select ${list(t.view.columns.map((c) => c.name))} from ${quoted(t.view.of.name)};`);
  for (const f of functions)
    if (f.table) lines.push(`create function ${quoted(f.name)}() returns setof ${quoted(f.table.name)} language sql stable as $$ select * from random.${quoted(f.table.name)} $$;`);
  lines.push(
    'create function sum_of(a int, b int default 1) returns int language sql immutable as $$ select a + b $$;',
    "create function echo(t text) returns text language sql immutable as $$ select 'echo ' || t $$;",
    "create function series(n int) returns table (i int, word text) language sql stable as $$ select g, 'word ' || g from generate_series(1, n) g $$;",
    'grant usage on schema random to anon, authenticated;', 'grant all on all tables in schema random to anon, authenticated;',
  );
  return lines.join('\n');
}
