// t/api/auth-reuse-interval.mjs: within auth.reuse_interval_s an old refresh token is renewed, not punished
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';

const s = await stack({ people: false, settings: { 'auth.reuse_interval_s': 60 } });
const refresh = (refresh_token) => s.a.anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token });

test('a grandparent is renewed while the interval lasts', async () => {
  const { session } = await s.a.person('ada');
  const second = (await refresh(session.refresh_token)).json;
  const third = (await refresh(second.refresh_token)).json;
  const again = await refresh(session.refresh_token);
  answers(again, 200);
  answers(await refresh(again.json.refresh_token), 200);
  assert.ok(third.refresh_token);
});

test('and punished after it', async () => {
  const { session, user } = await s.a.person('bert');
  const second = (await refresh(session.refresh_token)).json;
  const third = (await refresh(second.refresh_token)).json;
  const shifted = await s.rows(`select column_name from information_schema.columns where table_schema = 'auth' and table_name = 'refresh_tokens' and data_type like 'timestamp%'`);
  const sets = shifted.map(({ column_name: c }) => `${c} = ${c} - interval '2 minutes'`).join(', ');
  await s.sql(`update auth.refresh_tokens set ${sets} where user_id::text = '${user.id}'`);
  answers(await refresh(session.refresh_token), 400, 'refresh_token_already_used');
  assert.equal((await refresh(third.refresh_token)).status, 400);
});
