/* t/compat/lib/random-request.mjs: random requests to a random schema, and how to make one smaller
 *
 * A description is {method, path, parameters: [{key, value}], body, prefer, accept, headers}: parameters are kept apart, so that
 * a request that differs can be tried without each of them. Rows are always put in order by the key where it is known, so that
 * the order of rows means something.
 */
import { types } from './random-schema.mjs';

/* A name as it is written in a query. */
const q = (name) => (/^[a-z_0-9]+$/.test(name) && !['order', 'limit', 'offset', 'select', 'and', 'or', 'not'].includes(name) ? name : `"${name.replaceAll('"', '\\"')}"`);
const listItem = (value) => (/^[\w.:-]+$/.test(value) ? value : `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`);
const arrayItem = (value) => `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

export function randomRequest(dice, schema) {
  if (dice.chance(0.1)) return callRequest(dice, schema);
  const table = dice.pick(schema.tables);
  const kind = dice.below(10);
  if (kind < 6) return readRequest(dice, schema, table);
  const write = kind < 8 ? insertRequest(dice, schema, table) : dice.chance(0.6) ? updateRequest(dice, schema, table) : deleteRequest(dice, schema, table);
  return { ...write, parameters: write.parameters.filter((p) => !/(^|\.)(or|and)$/.test(p.key)) }; // see logic-on-writes in differences.mjs
}

/* What can be embedded below a table: {name to write, target, many}. Also what is not there, now and then. */
function embeddable(table, schema) {
  const found = [];
  const base = table.view?.of ?? table;
  for (const r of base.references) {
    found.push({ text: q(r.table.name), target: r.table, many: false }, { text: `${q(r.table.name)}!${q(r.name)}`, target: r.table, many: false });
    if (r.columns.length === 1) found.push({ text: `${q(r.table.name)}!${q(r.columns[0])}`, target: r.table, many: r.table === table });
  }
  for (const other of schema.tables)
    for (const r of other.references)
      if (r.table === base) {
        found.push({ text: q(other.name), target: other, many: !other.uniques.some((u) => u.join() === r.columns.join()) }, { text: `${q(other.name)}!${q(r.name)}`, target: other, many: true });
        if (other.name.startsWith('junction'))
          for (const end of other.references) if (end.table !== base) found.push({ text: q(end.table.name), target: end.table, many: true }, { text: `${q(end.table.name)}!${q(other.name)}`, target: end.table, many: true });
      }
  for (const view of schema.tables) if (view.view && base.references.some((r) => r.table === view.view.of)) found.push({ text: q(view.name), target: view, many: false });
  return found;
}

function selectTree(dice, schema, table, path, parameters, depth = 0) {
  const items = dice.chance(0.25) ? ['*'] : dice.some(table.columns, 0.6).map((c) => selectItem(dice, c));
  if (items.length === 0) items.push(q(table.key[0]));
  const order = [];
  const embeds = depth < 3 && dice.chance(depth ? 0.35 : 0.55) ? dice.shuffled(embeddable(table, schema)).slice(0, dice.between(1, 2)) : [];
  embeds.forEach((embed, i) => {
    const alias = `e${depth}${i}`;
    const spread = !embed.many && dice.chance(0.15);
    const modifier = dice.chance(0.25) ? '!inner' : dice.chance(0.1) ? '!left' : '';
    const below = [...path, alias];
    const extra = [];
    const inner = selectTree(dice, schema, embed.target, below, extra, depth + 1);
    if (spread) {
      const columns = dice.some(embed.target.columns, 0.5).map((c, n) => `s${depth}${i}${n}:${q(c.name)}`);
      items.push(`...${embed.text}${modifier}(${columns.join(',') || `s${depth}${i}:${q(embed.target.key[0])}`})`);
      return;
    }
    parameters.push(...extra);
    items.push(`${alias}:${embed.text}${modifier}(${dice.chance(0.08) ? '' : inner})`);
    if (dice.chance(0.3)) parameters.push(filter(dice, embed.target, below));
    if (dice.chance(0.1)) parameters.push(logic(dice, embed.target, below));
    if (embed.many) {
      parameters.push({ key: [...below, 'order'].join('.'), value: embed.target.key.map(q).join() });
      if (dice.chance(0.2)) parameters.push({ key: [...below, 'limit'].join('.'), value: String(dice.below(3)) });
      if (dice.chance(0.1)) parameters.push({ key: [...below, 'offset'].join('.'), value: String(dice.below(3)) });
    } else if (depth === 0 && dice.chance(0.1)) order.push(`${alias}(${q(embed.target.key[0])})`);
    if (depth === 0 && dice.chance(0.15)) parameters.push({ key: alias, value: dice.pick(['is.null', 'not.is.null']) });
  });
  if (depth === 0) {
    const own = dice.some(table.columns.filter((c) => !types[c.type].json && c.type !== 'json'), 0.2).map((c) => q(c.name) + dice.pick(['', '.asc', '.desc', '.nullsfirst', '.desc.nullslast']));
    parameters.push({ key: 'order', value: [...order, ...own, ...table.key.map(q)].join() });
  }
  return items.join();
}

function selectItem(dice, column) {
  if (types[column.type].json && dice.chance(0.4)) return `${dice.chance(0.5) ? 'p:' : ''}${q(column.name)}${dice.pick(['->k', '->>k', '->k->l', '->k->l->0', '->0', '->>0', '->k->>l'])}`;
  if (column.type.endsWith('[]') && dice.chance(0.2)) return `${q(column.name)}->${dice.pick(['0', '-1', '5'])}`;
  const alias = dice.chance(0.1) ? 'al:' : '';
  return `${alias}${q(column.name)}${dice.chance(0.1) ? '::text' : ''}`;
}

function operand(dice, column, quoteInLogic = false) {
  const type = types[column.type];
  const value = type.value(dice);
  const operator = dice.chance(0.12) ? 'is' : dice.chance(0.02) ? dice.pick(['cs', 'like', 'sl', 'fts']) : dice.pick(type.operators);
  const not = dice.chance(0.15) ? 'not.' : '';
  const plain = (text) => (quoteInLogic ? arrayItem(text) : text);
  if (operator === 'is') return `${not}is.${column.type === 'boolean' ? dice.pick(['null', 'true', 'false', 'unknown']) : 'null'}`;
  if (operator === 'in') return `${not}in.(${Array.from({ length: dice.below(4) }, () => listItem(type.value(dice))).join()})`;
  if (operator.includes('(')) return `${not}${operator}.{${Array.from({ length: dice.between(1, 3) }, () => arrayItem(type.value(dice))).join()}}`;
  if (operator.endsWith('like')) return `${not}${operator}.${plain(dice.pick([`*${value}`, `${value}*`, value, '*a*', 'A*']).replaceAll('\\', ''))}`;
  if (operator.endsWith('match')) return `${not}${operator}.${plain(dice.pick(['^a', 'a$', '.', '[a-z]+', 'Q|P']))}`;
  return `${not}${operator}.${plain(dice.chance(0.02) ? 'nonsense' : value)}`;
}

function filter(dice, table, path = []) {
  const column = dice.pick(table.columns);
  if (types[column.type].json && dice.chance(0.5)) return { key: [...path, `${q(column.name)}->>k`].join('.'), value: dice.pick(['eq.1', 'is.null', 'not.is.null', 'in.(1,s)', 'like.1*']) };
  return { key: [...path, q(column.name)].join('.'), value: operand(dice, column) };
}

function logic(dice, table, path = [], depth = 0) {
  const words = [...path, ...(dice.chance(0.2) ? ['not'] : []), dice.pick(['or', 'and'])];
  return { key: words.join('.'), value: `(${terms(dice, table, depth)})` };
}

function terms(dice, table, depth) {
  return Array.from({ length: dice.between(1, 3) }, () => {
    if (depth < 2 && dice.chance(0.2)) return `${dice.chance(0.3) ? 'not.' : ''}${dice.pick(['and', 'or'])}(${terms(dice, table, depth + 1)})`;
    const column = dice.pick(table.columns);
    return `${q(column.name)}.${operand(dice, column, true)}`;
  }).join();
}

function filters(dice, table) {
  const found = Array.from({ length: dice.pick([0, 0, 1, 1, 2]) }, () => filter(dice, table));
  if (dice.chance(0.15)) found.push(logic(dice, table));
  return found;
}

function readRequest(dice, schema, table) {
  if (dice.chance(0.08)) return aggregateRequest(dice, table);
  const parameters = [];
  const select = selectTree(dice, schema, table, [], parameters);
  parameters.unshift({ key: 'select', value: select });
  parameters.push(...filters(dice, table));
  if (dice.chance(0.2)) parameters.push({ key: 'limit', value: String(dice.below(5)) });
  if (dice.chance(0.15)) parameters.push({ key: 'offset', value: String(dice.below(5)) });
  if (dice.chance(0.02)) parameters.push(dice.pick([{ key: 'order', value: 'nope' }, { key: 'nope', value: 'eq.1' }, { key: 'limit', value: '-1' }, { key: 'e9.id', value: 'eq.1' }, { key: table.key[0], value: 'nope' }]));
  const accept = dice.chance(0.06) ? 'application/vnd.pgrst.object+json' : dice.chance(0.06) ? 'text/csv' : dice.chance(0.05) ? 'application/vnd.pgrst.array+json;nulls=stripped' : undefined;
  return {
    method: dice.chance(0.05) ? 'HEAD' : 'GET', path: encodeURIComponent(table.name), parameters, accept,
    prefer: dice.chance(0.25) ? 'count=exact' : undefined, headers: dice.chance(0.05) ? { Range: `${dice.below(3)}-${dice.between(2, 5)}` } : undefined,
  };
}

function aggregateRequest(dice, table) {
  const numbers = table.columns.filter((c) => types[c.type].number && c.type === 'int');
  const column = numbers.length ? q(dice.pick(numbers).name) : undefined;
  const items = [column ? `${column}.${dice.pick(['sum', 'max', 'min', 'count'])}()` : 'n:count()'];
  const group = table.columns.filter((c) => !['json', 'jsonb'].includes(c.type) && `${q(c.name)}` !== column);
  if (group.length && dice.chance(0.6)) items.unshift(q(dice.pick(group).name));
  return { method: 'GET', path: encodeURIComponent(table.name), parameters: [{ key: 'select', value: items.join() }, ...filters(dice, table)], unordered: true };
}

/* A JSON value for a column: mostly one of its type. */
function jsonValue(dice, column) {
  if (!column.notNull && dice.chance(0.15)) return null;
  if (dice.chance(0.01)) return dice.pick(['nonsense', 5, true, [1], { k: 1 }]);
  const text = types[column.type].value(dice);
  if (types[column.type].json) return JSON.parse(text);
  if (column.type === 'boolean') return text === 'true';
  if (column.type === 'int') return Number(text);
  if (column.type === 'int[]' && dice.chance(0.5)) return dice.pick([[], [1, 2], [null, 3]]);
  if (column.type === 'text[]' && dice.chance(0.5)) return dice.pick([[], ['a', 'b,c'], ['"', null]]);
  return text;
}

function makeBody(dice, table, columns) {
  const row = () => Object.fromEntries(columns.map((c) => [c.name, jsonValue(dice, c)]));
  return dice.chance(0.5) ? row() : Array.from({ length: dice.between(0, 3) }, row);
}

function back(dice, schema, table, parameters) {
  if (!dice.chance(0.75)) return dice.chance(0.3) ? dice.pick(['return=minimal', 'return=headers-only']) : undefined;
  if (dice.chance(0.6)) {
    const extra = [];
    parameters.push({ key: 'select', value: selectTree(dice, schema, table, [], extra, 2) }, ...extra);
  }
  return 'return=representation';
}

function insertRequest(dice, schema, table) {
  const parameters = [];
  const prefer = [back(dice, schema, table, parameters)];
  const columns = table.columns.filter((c) => table.key.includes(c.name) || dice.chance(0.6));
  let body = makeBody(dice, table, columns);
  if (dice.chance(0.25)) {
    prefer.push(dice.pick(['resolution=merge-duplicates', 'resolution=ignore-duplicates']));
    if (dice.chance(0.4)) parameters.push({ key: 'on_conflict', value: (table.uniques.length && dice.chance(0.5) ? dice.pick(table.uniques) : table.key).map(q).join() });
  }
  if (dice.chance(0.2)) {
    parameters.push({ key: 'columns', value: dice.some(table.columns, 0.8).map((c) => q(c.name)).join() || q(table.key[0]) });
    if (dice.chance(0.5)) prefer.push('missing=default');
  }
  if (dice.chance(0.2)) prefer.push('count=exact');
  if (dice.chance(0.02)) body = dice.pick([{}, [], { nope: 1 }, 'x', [{}, { a: 1 }]]);
  return { method: 'POST', path: encodeURIComponent(table.name), parameters, body, prefer: prefer.filter(Boolean).join(', ') || undefined, unordered: true };
}

function updateRequest(dice, schema, table) {
  const parameters = filters(dice, table);
  const prefer = [back(dice, schema, table, parameters), dice.chance(0.3) ? 'count=exact' : undefined].filter(Boolean).join(', ') || undefined;
  const columns = dice.some(table.columns.filter((c) => !table.key.includes(c.name)), 0.4);
  const body = dice.chance(0.1) ? makeBody(dice, table, columns) : Object.fromEntries(columns.map((c) => [c.name, jsonValue(dice, c)]));
  return { method: 'PATCH', path: encodeURIComponent(table.name), parameters, body, prefer, unordered: true };
}

function deleteRequest(dice, schema, table) {
  const parameters = filters(dice, table);
  const prefer = [back(dice, schema, table, parameters), dice.chance(0.3) ? 'count=exact' : undefined].filter(Boolean).join(', ') || undefined;
  return { method: 'DELETE', path: encodeURIComponent(table.name), parameters, prefer, unordered: true };
}

function callRequest(dice, schema) {
  const f = dice.pick(schema.functions);
  const parameters = [];
  const given = f.arguments.filter((a) => (a.default === undefined ? dice.chance(0.97) : dice.chance(0.5)));
  const values = Object.fromEntries(given.map((a) => [a.name, a.type === 'int' ? String(dice.below(6)) : dice.pick(['x', 'a b', 'größe', '']) ]));
  const prefer = dice.chance(0.3) ? 'count=exact' : undefined;
  const read = dice.chance(0.6);
  if (read) parameters.push(...Object.entries(values).map(([key, value]) => ({ key, value })));
  if (f.table) parameters.push({ key: 'select', value: selectTree(dice, schema, f.table, [], parameters).replace(/^(?!\*)/, () => f.table.key.map(q).join() + ',') });
  else if (f.set && dice.chance(0.4)) parameters.push({ key: 'i', value: dice.pick(['gt.1', 'in.(1,3)', 'eq.2']) });
  if (f.table || f.set) for (const [key, n] of [['limit', 4], ['offset', 3]]) if (dice.chance(0.2)) parameters.push({ key, value: String(dice.below(n)) });
  const order = parameters.find((p) => p.key === 'order');
  if (order) order.value = f.table.key.map(q).join(); // a result can be put in order by what is selected only
  return { method: read ? 'GET' : 'POST', path: `rpc/${f.name}`, parameters, body: read ? undefined : values, prefer };
}

/* Smaller requests: without a parameter, a header, a member of the body, or with a part of `select` less. */
export function* smaller(description) {
  const { parameters } = description;
  for (const [i] of parameters.entries()) yield { ...description, parameters: parameters.filter((_, k) => k !== i) };
  for (const member of ['prefer', 'accept', 'headers']) if (description[member] !== undefined) yield { ...description, [member]: undefined };
  if (description.prefer?.includes(',')) for (const part of description.prefer.split(',')) yield { ...description, prefer: part.trim() };
  const { body } = description;
  if (Array.isArray(body)) for (const [i] of body.entries()) yield { ...description, body: body.filter((_, k) => k !== i) };
  else if (body && typeof body === 'object') for (const key of Object.keys(body)) yield { ...description, body: Object.fromEntries(Object.entries(body).filter(([k]) => k !== key)) };
  for (const [i, p] of parameters.entries()) for (const value of smallerValues(p)) yield { ...description, parameters: parameters.map((one, k) => (k === i ? { ...p, value } : one)) };
}

/* A list without one of its items; quotes and parentheses stay together. */
function* smallerValues({ key, value }) {
  if (!/(^|\.)(select|order|or|and|columns)$/.test(key)) return;
  const logical = /(or|and)$/.test(key);
  yield* withoutOne(logical ? value.slice(1, -1) : value, logical ? (v) => `(${v})` : (v) => v);
}

function* withoutOne(text, wrap) {
  const items = split(text);
  if (items.length > 1) for (const [i] of items.entries()) yield wrap(items.filter((_, k) => k !== i).join());
  for (const [i, item] of items.entries()) {
    const open = item.indexOf('(');
    if (open < 0 || !item.endsWith(')') || item.endsWith('()')) continue;
    for (const inner of withoutOne(item.slice(open + 1, -1), (v) => v)) yield wrap(items.map((one, k) => (k === i ? `${item.slice(0, open)}(${inner})` : one)).join());
  }
}

function split(text) {
  const items = [''];
  let depth = 0;
  let inQuotes = false;
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i];
    if (c === '\\') items[items.length - 1] += c + (text[(i += 1)] ?? '');
    else {
      if (c === '"') inQuotes = !inQuotes;
      else if (!inQuotes && '({'.includes(c)) depth += 1;
      else if (!inQuotes && ')}'.includes(c)) depth -= 1;
      if (c === ',' && depth === 0 && !inQuotes) items.push('');
      else items[items.length - 1] += c;
    }
  }
  return items;
}
