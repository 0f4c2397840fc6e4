// t/api/providers.mjs: every way in which a provider misbehaves, in both wire formats, streamed and not
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { answers, isOurError } from '../lib/expect.mjs';
import { contentText } from '../lib/provider.mjs';

const s = await stack({
  provider: { retries: 2, connect_timeout_ms: 1000, first_byte_timeout_ms: 700, silence_timeout_ms: 700, total_timeout_ms: 20_000 },
  settings: { 'chat.reply_max': 1_000_000, 'stream.processes': 1, 'stream.threads': 32 },
});
const { alice, provider } = s;
const keys = ['sk-mock-0123456789', 'sk-ant-mock-0123456789'];
const long = 'one two three four five six seven eight';

/* calls: how often the provider is asked. text: the reply. status, code: of the error, provider_status in it. kept: what is stored of the text. */
const cases = [
  { name: 'a plain answer', play: [{}], calls: 1, text: `You said: ${long}` },
  { name: 'bytes one by one, through characters and lines', play: [{ bytes: 1, text: 'ünïcödé → 日本語 🎉' }], calls: 1, text: 'ünïcödé → 日本語 🎉' },
  { name: 'three bytes at a time', play: [{ bytes: 3, text: '😀😀😀 née' }], calls: 1, text: '😀😀😀 née' },
  { name: 'CRLF between events', play: [{ newline: '\r\n' }], calls: 1, text: `You said: ${long}` },
  { name: 'CR between events', play: [{ newline: '\r' }], calls: 1, text: `You said: ${long}`, streamOnly: true },
  { name: 'comments and unknown events', play: [{ comments: true }], calls: 1, text: `You said: ${long}` },
  { name: 'the stream is not closed at its end', play: [{ lingers: true }], calls: 1, text: `You said: ${long}` },
  { name: 'more tokens than there can be', play: [{ usage: { input: 9e18, output: 9e18 }, text: 'so many' }], calls: 1, text: 'so many', estimated: true },
  { name: 'empty pieces', play: [{ deltas: ['', 'a', '', '', 'b', ''] }], calls: 1, text: 'ab' },
  { name: 'an answer without a word', play: [{ deltas: [], text: '' }], calls: 1, text: '' },
  { name: 'cut short by its length', play: [{ finish: 'length', text: 'to be cont' }], calls: 1, text: 'to be cont', finish: 'length' },
  { name: 'filtered', play: [{ finish: 'content_filter', text: 'no' }], calls: 1, text: 'no', finish: 'content_filter' },
  { name: 'no usage', play: [{ usage: null, text: 'a reply without figures' }], calls: 1, text: 'a reply without figures', estimated: true },
  { name: 'a NUL in the text', play: [{ text: 'a\u0000b' }], calls: 1, anything: true },
  { name: 'half a surrogate pair', play: [{ body: undefined, text: 'a\ud800b' }], calls: 1, anything: true },

  { name: '429 once, then fine', play: [{ status: 429, retryAfter: 0 }, { text: 'now' }], calls: 2, text: 'now' },
  { name: '429 twice with dates, then fine', play: [{ status: 429, retryAfter: new Date(0).toUTCString() }, { status: 429, retryAfter: new Date(0).toUTCString() }, { text: 'now' }], calls: 3, text: 'now' },
  { name: '429 for ever', play: [{ status: 429, retryAfter: 0 }, { status: 429, retryAfter: 0 }, { status: 429, retryAfter: 0 }], calls: 3, status: [429, 502, 503], code: ['provider_error', 'provider_rate_limited'], providerStatus: 429 },
  { name: '500 once, then fine', play: [{ status: 500 }, { text: 'now' }], calls: 2, text: 'now' },
  { name: '529 once, then fine', play: [{ status: 529 }, { text: 'now' }], calls: 2, text: 'now' },
  { name: '500 for ever', play: [{ status: 500 }, { status: 502 }, { status: 503 }], calls: 3, status: 502, code: 'provider_error', providerStatus: 503 },
  { name: '401: not tried again', play: [{ status: 401, message: `Incorrect API key provided: ${keys[0]} ${keys[1]}` }], calls: 1, status: 502, code: 'provider_error', providerStatus: 401 },
  { name: '403', play: [{ status: 403 }], calls: 1, status: 502, code: 'provider_error', providerStatus: 403 },
  { name: '404: no such model', play: [{ status: 404 }], calls: 1, status: 502, code: 'provider_error', providerStatus: 404 },
  { name: '400: the context is too long', play: [{ status: 400, message: "This model's maximum context length is 8192 tokens." }], calls: 1, status: 502, code: 'provider_error', providerStatus: 400 },
  { name: 'a redirect is not followed', play: [{ status: 302, message: 'elsewhere' }], calls: 1, status: 502, code: 'provider_error' },
  { name: 'a page of HTML', play: [{ body: '<html>Welcome</html>', type: 'text/html' }], calls: 1, status: 502, code: 'provider_bad_answer' },
  { name: 'an error page of HTML', play: [{ status: 400, body: '<html>400</html>', type: 'text/html' }], calls: 1, status: 502, code: 'provider_error', providerStatus: 400 },
  { name: 'half of a JSON text', play: [{ body: '{"choices": [{"message": {"role": "assi', type: 'application/json' }], calls: 1, status: 502, code: 'provider_bad_answer' },
  { name: 'an empty body', play: [{ body: '', type: 'application/json' }], calls: 1, status: 502, code: 'provider_bad_answer' },
  { name: 'JSON of another kind', play: [{ body: '{"hello": [1, 2, {"x": null}]}', type: 'application/json' }], calls: 1, status: 502, code: 'provider_bad_answer' },
  { name: 'JSON nested very deep', play: [{ body: '['.repeat(200_000), type: 'application/json' }], calls: 1, status: 502, code: 'provider_bad_answer' },
  { name: 'the connection is cut before the first byte, then fine', play: [{ cut: 'request' }, { text: 'now' }], calls: 2, text: 'now' },
  { name: 'cut before the first byte for ever', play: [{ cut: 'request' }, { cut: 'request' }, { cut: 'request' }], calls: 3, status: 502, code: 'provider_unreachable' },
  { name: 'cut in the middle', play: [{ cut: 'middle' }], calls: 1, status: 502, code: 'provider_bad_answer', kept: /^You said: one/ },
  { name: 'cut before the end marker', play: [{ cut: 'end' }], calls: 1, status: 502, code: 'provider_bad_answer', kept: /eight$/ },
  { name: 'ends without its end marker', play: [{ noDone: true }], calls: 1, streamOnly: true, status: 502, code: 'provider_bad_answer', kept: /eight$/, orText: `You said: ${long}` },
  { name: 'an error event in the middle', play: [{ eventError: 'Overloaded' }], calls: 1, streamOnly: true, status: 502, code: 'provider_error', kept: /^You said: one/ },
  { name: 'a broken line in the middle', play: [{ brokenEvent: true }], calls: 1, streamOnly: true, status: 502, code: 'provider_bad_answer', kept: /^You said: one/, orText: `You said: ${long}` },
  { name: 'no first byte', play: [{ hold: 'request' }], calls: 1, status: 504, code: 'provider_timeout', atMost: 3 },
  { name: 'a head and nothing more', play: [{ hold: 'headers' }], calls: 1, status: 504, code: 'provider_timeout' },
  { name: 'silence in the middle', play: [{ hold: 'middle' }], calls: 1, status: 504, code: 'provider_timeout', kept: /^You said: one/ },
  { name: '20 MB', play: [{ size: 20 * 1024 * 1024, usage: { input: 1, output: 1 } }], calls: 1, status: 502, code: 'reply_too_large', huge: true },
];

const reply = async (chatId) => (await alice.get(`/api/chats/${chatId}`)).messages.at(-1);
const oneOf = (wanted, got) => assert.ok([wanted].flat().includes(got), `${got}, wanted ${wanted}`);

for (const [dialect, model] of [['openai', 'mock/mock-large'], ['anthropic', 'claude/claude-large']])
  for (const stream of [false, true])
    for (const c of cases)
      if (stream || !c.streamOnly)
        test(`${dialect}${stream ? ', streamed' : ''}: ${c.name}`, { timeout: 60_000 }, async () => {
          provider.reset();
          provider.next(...c.play, ...Array.from({ length: 3 - c.play.length }, () => c.play.at(-1)));
          const result = stream ? await streamed(model) : await whole(model);
          if (c.anything) return oneOf([200, 502], result.status);
          if (c.atMost) assert.ok(provider.calls.length <= c.atMost);
          else assert.equal(provider.calls.length, c.calls, `asked ${provider.calls.length} times`);
          assert.deepEqual(provider.complaints, []);
          for (const key of keys) assert.ok(!JSON.stringify(result).includes(key), 'no key of ours is shown');

          if (c.huge && result.status === 200) { // kept up to chat.reply_max is as good as refused
            assert.ok(Buffer.byteLength(result.text) <= 1_100_000);
            return undefined;
          }
          if (c.status === undefined || (c.orText && result.status === 200)) {
            assert.equal(result.status, 200, JSON.stringify(result).slice(0, 500));
            assert.equal(result.text, c.text ?? c.orText);
            assert.equal(result.run.finish_reason, c.finish ?? 'stop');
            assert.equal(result.run.status, 'completed');
            assert.equal(result.run.usage.estimated, c.estimated === true);
            assert.ok(result.run.usage.output_tokens >= (c.text === '' ? 0 : 1) && result.run.usage.input_tokens > 0);
            assert.equal((await reply(result.chat)).content, c.text ?? c.orText, 'and so it is stored');
            return undefined;
          }
          oneOf(c.status, result.status);
          oneOf(c.code, result.error.code);
          if (c.providerStatus) assert.equal(result.error.provider_status, c.providerStatus);
          if (result.run) assert.equal((result.run.run ?? result.run).status, 'failed');
          if (stream && c.kept) {
            assert.match(result.text, c.kept);
            const last = await reply(result.chat);
            assert.equal(last.content, result.text, 'what was said is kept');
            assert.equal(last.status, 'failed');
          }
          return undefined;
        });

async function whole(model) {
  const answer = await alice.request('POST', '/api/chats/messages', { content: long, model });
  if (answer.status === 200) return { status: 200, text: contentText(answer.json.reply.content), run: answer.json.run, chat: answer.json.chat.id };
  isOurError(answer, answer.status, answer.json.code);
  return { status: answer.status, error: answer.json };
}

async function streamed(model) {
  const stream = await alice.stream('POST', '/api/chats/messages', { content: long, model, stream: true });
  if (stream.status !== 200) return { status: stream.status, error: JSON.parse(await stream.body) };
  const events = await stream.finish();
  const { data } = events[0];
  const run = await alice.get(`/api/chats/runs/${data.run?.id ?? data.id}`);
  const chat = data.chat?.id ?? data.chat_id ?? (run.run ?? run).chat_id;
  const error = events.find((e) => e.event === 'error')?.data;
  assert.equal(events.at(-1).event, 'done', 'every stream has its end');
  if (!error) return { status: 200, text: stream.text, run: run.run ?? run, chat };
  return { status: error.status ?? (run.run ?? run).error.status, error: error.error ?? error, text: stream.text, run, chat };
}

test('Retry-After is honoured: the provider is not asked before', async () => {
  provider.reset();
  provider.next({ status: 429, retryAfter: 2 }, { text: 'now' });
  answers(await alice.request('POST', '/api/chats/messages', { content: 'x', model: 'mock/mock-large' }), 200);
  const [first, second] = provider.calls;
  assert.ok(second.time - first.time >= 1900, `${second.time - first.time} ms`);
});

test('without Retry-After it waits longer each time', async () => {
  provider.reset();
  provider.next({ status: 500 }, { status: 500 }, { text: 'now' });
  answers(await alice.request('POST', '/api/chats/messages', { content: 'x', model: 'mock/mock-large' }), 200);
  const [a, b, c] = provider.calls.map((x) => x.time);
  assert.ok(b - a >= 50 && c - b > (b - a) * 0.8, `${b - a} ms, ${c - b} ms`);
});

test('a Retry-After of an hour is not waited for, but handed on', { timeout: 25_000 }, async () => {
  provider.reset();
  provider.next({ status: 429, retryAfter: 3600 });
  const answer = await alice.request('POST', '/api/chats/messages', { content: 'x', model: 'mock/mock-large' });
  assert.ok(answer.status >= 400, answer.text);
  assert.equal(provider.calls.length, 1);
  assert.equal(answer.headers['retry-after'], '3600');
});

test('what would fail again says nothing of coming back', async () => {
  provider.reset();
  provider.next({ status: 401 });
  const answer = await alice.request('POST', '/api/chats/messages', { content: 'x', model: 'mock/mock-large' });
  assert.equal(answer.status, 502);
  assert.equal(answer.headers['retry-after'], undefined);
});

test('every try is a row of its own', async () => {
  provider.reset();
  provider.next({ status: 500 }, { text: 'now' });
  const { run } = await alice.post('/api/chats/messages', { content: 'x', model: 'mock/mock-large' });
  const calls = await s.rows(`select attempt, outcome, http_status from ai.model_calls where run_id = '${run.id}' order by attempt`);
  assert.deepEqual(calls.map((c) => [c.attempt, c.outcome, c.http_status]), [[1, 'failed', 500], [2, 'completed', 200]]);
});

test('after all that a chat still works', async () => {
  provider.reset();
  answers(await alice.request('POST', '/api/chats/messages', { content: 'hello' }), 200);
});

test('no key and no content is in the log', () => {
  const text = JSON.stringify(s.log());
  for (const secret of [...keys, 'You said', 'seven eight']) assert.ok(!text.includes(secret), secret);
});
