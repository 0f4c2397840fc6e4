// t/fault/fairness.mjs: two nginx with kept-alive connections in front of few threads are both served
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';

const s = await stack({ nginxes: 2, settings: { 'api.processes': 1, 'api.threads': 4, 'api.connections': 2 } });

test('two nginx, sixteen connections each, four threads', async () => {
  const served = [0, 0];
  let running = true;
  const clients = s.origins.map((origin) => s.client({ apikey: s.a.publishable, authorization: `Bearer ${s.alice.session.access_token}` }, origin));
  const load = clients.flatMap((client, i) => Array.from({ length: 16 }, async () => {
    while (running) {
      const answer = await client.request('GET', '/auth/v1/user');
      assert.equal(answer.status, 200);
      served[i]++;
      if (served[i] > 3000) running = false; // one of them has had its share; what has the other?
    }
  }));
  await Promise.all(load);
  assert.ok(Math.min(...served) > 1000, `served ${served}`);
});

test('one nginx with a hundred idle kept-alive connections does not starve the other', async () => {
  const [first, second] = s.origins.map((origin) => s.client({}, origin));
  await Promise.all(Array.from({ length: 100 }, () => first.request('GET', '/auth/v1/health'))); // their connections stay open
  const answers = await Promise.all(Array.from({ length: 50 }, () => second.request('GET', '/auth/v1/health')));
  assert.ok(answers.every((a) => a.status === 200));
});
