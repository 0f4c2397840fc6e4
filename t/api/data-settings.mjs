// t/api/data-settings.mjs: settings that name what is not there: the log says so at the start, and so does the answer
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';

const s = await stack({ people: false, settings: { 'data.default_tenant': 'nobody', 'data.schemas': 'public, nope', 'data.pre_request': 'nope.before' } });

test('the log names each setting, its value and how grave it is', async () => {
  const found = (event, setting) => eventually(`the line about ${setting}`, () => s.log().find((l) => l.event === event && l.setting === setting));
  const tenant = await found('identity.default_tenant.unknown', 'data.default_tenant');
  assert.deepEqual([tenant.level, tenant.value], ['error', 'nobody']);
  const schema = await found('settings.names_nothing', 'data.schemas');
  assert.deepEqual([schema.level, schema.value], ['warn', 'nope']);
  const called = await found('settings.names_nothing', 'data.pre_request');
  assert.deepEqual([called.level, called.value], ['warn', 'nope.before']);
});

test('what is there is not complained of', () => {
  assert.ok(!s.log().some((l) => l.event === 'settings.names_nothing' && l.value === 'public'));
});

test('the answer to nobody says which setting it is', async () => {
  const answer = await s.client().request('GET', '/rest/v1/');
  assert.deepEqual([answer.status, answer.json.code], [500, 'internal_error']);
  assert.match(answer.json.hint, /data\.default_tenant/);
});
