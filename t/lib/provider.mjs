/* t/lib/provider.mjs: an AI provider, played on the loopback address
 *
 * Speaks the wire formats of OpenAI (POST …/chat/completions, …/embeddings, GET …/models) and of
 * Anthropic (POST …/messages, GET …/models), streamed and not, and misbehaves on demand. What a call
 * gets is decided by, in this order:
 *
 *   1. the queue: provider.next({status: 429, retryAfter: 1}, {text: 'fine now'}) for the calls to come,
 *   2. the name of the model, where it is one of `byModel` below,
 *   3. a well-behaved answer: "You said: " and the last message of the user.
 *
 * A behaviour is an object; its members are described at `defaults`. Nothing here sleeps: what must wait
 * (`hold`) waits for call.release() or for the caller to hang up, so a test decides the order of events.
 *
 * Every call is recorded (provider.calls): headers, body, the time it came, and how it ended. What the
 * real provider would refuse (a wrong role, a missing header, an empty message) is refused here with the
 * provider's own error and counted in provider.complaints, so a sloppy request cannot pass unseen.
 */
import http from 'node:http';
import { once, EventEmitter } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';

const defaults = {
  status: 200,
  message: undefined, //  of an error answer
  retryAfter: undefined, // seconds or a date: the Retry-After header
  text: undefined, //  the reply; by default "You said: …"
  deltas: undefined, //  the reply in pieces (array), else words
  finish: 'stop', //  stop, length, tool_calls, content_filter: OpenAI's words, translated for Anthropic
  usage: undefined, //  {input, output}; null: none is given
  hold: undefined, //  'request': never answers · 'headers': answers the head only · 'middle': half of the text · 'end': all but the end
  cut: undefined, //  the same four points: the connection is reset there
  eventError: undefined, //  an error event in the middle of a stream, with this message
  brokenEvent: false, //  a line of data in the middle of a stream that is no JSON
  body: undefined, //  sent as it stands instead of an answer
  type: undefined, //  the Content-Type of `body`
  bytes: undefined, //  the wire is written in pieces of so many bytes, through the middle of lines and characters
  newline: '\n', //  of the events: '\r\n' or '\r' are as legal
  comments: false, //  comments, `id:`, `retry:` and unknown events between the events
  noDone: false, //  the stream ends without its end marker
  lingers: false, //  the stream stays open behind its end marker, with comments, until the other side closes it
  size: undefined, //  the reply is padded to so many bytes
  tools: undefined, //  [{name, arguments}]: the model calls tools
};

const anthropicErrors = {
  400: 'invalid_request_error', 401: 'authentication_error', 403: 'permission_error', 404: 'not_found_error',
  413: 'request_too_large', 429: 'rate_limit_error', 500: 'api_error', 529: 'overloaded_error',
};
const anthropicStops = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use', content_filter: 'refusal' };
const context = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.";

/* Behaviours that a model's name selects, for callers without access to the queue. */
export const byModel = {
  'slow-first-byte': { hold: 'request' },
  'stall-middle': { hold: 'middle' },
  'stall-end': { hold: 'end' },
  'error-401': { status: 401, message: 'Incorrect API key provided.' },
  'error-400-context': { status: 400, message: context },
  'error-429': { status: 429, retryAfter: 0 },
  'error-500': { status: 500 },
  'broken-json': { body: '{"choices": [{"message": {"role": "assi', type: 'application/json' },
  'broken-sse': { brokenEvent: true },
  'cut-first': { cut: 'request' },
  'cut-middle': { cut: 'middle' },
  'no-usage': { usage: null },
  'tiny-bytes': { bytes: 1, text: 'ünïcödé → 日本語 🎉 done', usage: { input: 5, output: 9 } },
  'crlf': { newline: '\r\n' },
  'comments': { comments: true },
  'finish-length': { finish: 'length' },
  'huge': { size: 20 * 1024 * 1024 },
};

export async function startProvider({ port = 0 } = {}) {
  const provider = new Provider();
  await provider.listen(port);
  return provider;
}

class Provider extends EventEmitter {
  calls = []; // every request, in the order of arrival
  complaints = []; // what the real provider would have refused
  #queue = [];
  #sockets = new Set();
  #server = http.createServer({ keepAliveTimeout: 0 }, (request, response) => this.#serve(request, response));

  async listen(port) {
    this.setMaxListeners(0);
    this.#server.on('connection', (socket) => {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {});
    });
    this.#server.listen({ port, host: '127.0.0.1', backlog: 4096 });
    await once(this.#server, 'listening');
    this.port = this.#server.address().port;
    this.origin = `http://127.0.0.1:${this.port}`;
    this.openai = `${this.origin}/v1`; // base URLs as people configure them
    this.anthropic = this.origin;
  }

  /* Behaviours for the calls to come, one each. */
  next(...behaviours) {
    this.#queue.push(...behaviours);
    return this;
  }

  /* Resolves with the first call that passes `test`, one that has come or one that will; rejects after a while. */
  async call(test = () => true, { signal = AbortSignal.timeout(30_000) } = {}) {
    for (;;) {
      const found = this.calls.find(test);
      if (found) return found;
      await once(this, 'call', { signal }).catch(() => {
        throw new Error(`the provider was not asked; so far there were ${this.calls.length} calls`);
      });
    }
  }

  /* The n-th call, counted from 1. */
  nth(n) {
    return this.call((c) => c.number === n);
  }

  /* Forgets calls and queued behaviours; for the start of a test. Held calls go on waiting. */
  reset() {
    this.calls.length = 0;
    this.complaints.length = 0;
    this.#queue.length = 0;
  }

  /* Lets every held call go on. */
  release() {
    for (const call of this.calls) call.release();
  }

  async close() {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await once(this.#server, 'close');
  }

  /* The port closed, as when the provider is down; listen(port) opens it again. */
  async goDown() {
    await this.close();
    this.#server = http.createServer({ keepAliveTimeout: 0 }, (request, response) => this.#serve(request, response));
  }

  async #serve(request, response) {
    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // the caller hung up while it sent
    }
    const raw = Buffer.concat(chunks);
    if (request.url.startsWith('/control/')) return this.#control(request, response, raw);

    const call = this.#record(request, response, raw);
    const behaviour = { ...defaults, ...(this.#queue.shift() ?? byModel[call.model] ?? {}) };
    call.behaviour = behaviour;
    const complaint = call.dialect === undefined ? undefined : complain(call);
    this.calls.push(call);
    this.emit('call', call);
    try {
      if (complaint) {
        this.complaints.push(complaint);
        await new Answer(call, { ...defaults, status: 400, message: complaint }, response).send();
      } else if (call.path.endsWith('/models') && request.method === 'GET') {
        json(response, 200, { object: 'list', data: [{ id: 'mock-large', object: 'model' }], has_more: false });
      } else if (call.path.endsWith('/embeddings')) {
        json(response, 200, embeddings(call.body));
      } else if (call.dialect) {
        await new Answer(call, behaviour, response).send();
      } else {
        json(response, 404, { error: { message: `no such path: ${call.path}`, type: 'invalid_request_error' } });
      }
      call.outcome ??= 'answered';
    } catch (error) {
      if (error !== wentAway) throw error;
      call.outcome ??= 'aborted';
    }
    call.finish();
  }

  #record(request, response, raw) {
    const path = request.url.split('?')[0];
    const call = {
      number: this.calls.length + 1,
      time: Date.now(),
      method: request.method,
      path,
      headers: request.headers,
      raw,
      body: parse(raw),
      dialect: path.endsWith('/chat/completions') ? 'openai' : path.endsWith('/messages') ? 'anthropic' : undefined,
      aborted: false, // the caller hung up before the end
      outcome: undefined, // 'answered', 'cut' or 'aborted'
    };
    call.model = call.body?.model;
    call.stream = call.body?.stream === true;
    call.ended = new Promise((resolve) => (call.finish = resolve));
    call.released = new Promise((resolve) => (call.release = resolve));
    call.hungUp = new Promise((resolve) =>
      response.on('close', () => {
        call.aborted = !response.writableFinished && call.outcome !== 'cut';
        resolve();
      }));
    return call;
  }

  /* For programs in other languages: POST /control/next [behaviour…], GET /control/calls, POST /control/release, /control/reset. */
  #control(request, response, raw) {
    const verb = request.url.slice('/control/'.length);
    if (verb === 'next') this.next(...JSON.parse(raw));
    else if (verb === 'release') this.release();
    else if (verb === 'reset') this.reset();
    else if (verb !== 'calls') return json(response, 404, { error: 'next, calls, release or reset' });
    return json(response, 200, {
      calls: this.calls.map(({ number, time, method, path, headers, body, dialect, model, stream, aborted, outcome }) => ({
        number, time, method, path, headers, body, dialect, model, stream, aborted, outcome,
      })),
      complaints: this.complaints,
    });
  }
}

const wentAway = new Error('one side went away before the end');

/* One answer: what the behaviour says, in the dialect of the call. */
class Answer {
  constructor(call, behaviour, response) {
    this.call = call;
    this.b = behaviour;
    this.response = response;
    this.text = behaviour.text ?? behaviour.deltas?.join('') ?? `You said: ${lastUserText(call)}`;
    if (behaviour.size) this.text = this.text.padEnd(behaviour.size, ' and so on');
    const usage = behaviour.usage === undefined ? { input: countWords(inputText(call)), output: countWords(this.text) } : behaviour.usage;
    this.usage = usage;
    this.id = `${call.dialect === 'openai' ? 'chatcmpl' : 'msg'}-mock-${call.number}`;
  }

  async send() {
    await this.#point('request');
    if (this.b.body !== undefined) return this.#raw();
    if (this.b.status !== 200) return this.#error();
    if (!this.call.stream) return this.#whole();
    return this.#stream();
  }

  /* A place in the answer at which it may have to wait or to be cut off. */
  async #point(name) {
    if (this.b.cut === name) {
      this.call.outcome = 'cut';
      if (this.response.headersSent) {
        await new Promise((resolve) => this.response.socket.write('', resolve)); // what was written is on its way
        this.response.destroy();
      } else this.response.socket.resetAndDestroy();
      throw wentAway;
    }
    if (this.b.hold === name) {
      this.call.held = name;
      await Promise.race([this.call.released, this.call.hungUp]);
    }
    if (this.response.destroyed) throw wentAway;
  }

  async #raw() {
    const type = this.b.type ?? (this.call.stream ? 'text/event-stream' : 'application/json');
    this.response.writeHead(this.b.status, { 'content-type': type });
    this.response.end(this.b.body);
    await this.#finished();
  }

  async #error() {
    const { status } = this.b;
    const message = this.b.message ?? `The mock provider was told to answer ${status}.`;
    const headers = this.b.retryAfter === undefined ? {} : { 'retry-after': String(this.b.retryAfter) };
    const body = this.call.dialect === 'openai'
      ? { error: { message, type: status === 429 ? 'rate_limit_exceeded' : 'invalid_request_error', param: null, code: message === context ? 'context_length_exceeded' : null } }
      : { type: 'error', error: { type: anthropicErrors[status] ?? 'api_error', message }, request_id: 'req_mock' };
    json(this.response, status, body, headers);
    await this.#finished();
  }

  async #whole() {
    const body = JSON.stringify(this.call.dialect === 'openai' ? this.#openaiWhole() : this.#anthropicWhole());
    this.response.writeHead(200, { 'content-type': 'application/json' });
    this.response.flushHeaders();
    await this.#point('headers');
    const half = body.length >> 1;
    await this.#write(body.slice(0, half));
    await this.#point('middle');
    await this.#write(body.slice(half));
    await this.#point('end');
    this.response.end();
    await this.#finished();
  }

  #openaiWhole() {
    const tool_calls = this.b.tools?.map((t, i) => ({ id: `call_${i}`, type: 'function', function: { name: t.name, arguments: JSON.stringify(t.arguments) } }));
    return {
      id: this.id, object: 'chat.completion', created: seconds(), model: this.call.model,
      choices: [{ index: 0, message: { role: 'assistant', content: this.text, refusal: null, ...(tool_calls && { tool_calls }) }, logprobs: null, finish_reason: this.b.finish }],
      ...(this.usage && { usage: openaiUsage(this.usage) }),
    };
  }

  #anthropicWhole() {
    const tools = this.b.tools?.map((t, i) => ({ type: 'tool_use', id: `toolu_${i}`, name: t.name, input: t.arguments })) ?? [];
    return {
      id: this.id, type: 'message', role: 'assistant', model: this.call.model, content: [{ type: 'text', text: this.text }, ...tools],
      stop_reason: anthropicStops[this.b.finish], stop_sequence: null,
      ...(this.usage && { usage: { input_tokens: this.usage.input, output_tokens: this.usage.output } }),
    };
  }

  async #stream() {
    this.response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
    this.response.flushHeaders();
    await this.#point('headers');
    const pieces = this.b.deltas ?? (this.b.size ? slices(this.text, 65536) : this.text.match(/\s*\S+\s*$|\s*\S+/g) ?? [this.text]);
    const half = Math.ceil(pieces.length / 2);
    const speak = this.call.dialect === 'openai' ? this.#openaiEvents() : this.#anthropicEvents();
    await this.#events(speak.start);
    for (const [index, piece] of pieces.entries()) {
      if (index === half) await this.#middle();
      await this.#events(speak.piece(piece));
    }
    if (pieces.length < 2) await this.#middle();
    await this.#point('end');
    await this.#events(this.b.noDone ? speak.finish.slice(0, 0) : speak.finish);
    if (this.b.lingers) await this.#linger();
    this.response.end();
    await this.#finished();
  }

  async #linger() {
    const comments = setInterval(() => this.response.write(': still here\n\n'), 50);
    await this.call.hungUp;
    clearInterval(comments);
    this.call.outcome = 'answered';
    throw wentAway;
  }

  async #middle() {
    await this.#point('middle');
    if (this.b.brokenEvent) await this.#write(`data: {"id": "x", "choices": [{"delta": {"content": "no en${this.b.newline.repeat(2)}`);
    if (this.b.eventError) {
      const error = this.call.dialect === 'openai'
        ? [undefined, { error: { message: this.b.eventError, type: 'server_error', param: null, code: null } }]
        : ['error', { type: 'error', error: { type: 'overloaded_error', message: this.b.eventError } }];
      await this.#events([error]);
      this.response.end();
      this.call.outcome = 'answered';
      throw wentAway;
    }
  }

  #openaiEvents() {
    const wantsUsage = this.call.body.stream_options?.include_usage === true;
    const chunk = (delta, finish_reason = null) => [undefined, {
      id: this.id, object: 'chat.completion.chunk', created: seconds(), model: this.call.model, system_fingerprint: null,
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
      ...(wantsUsage && this.usage && { usage: null }),
    }];
    const tools = this.b.tools?.map((t, index) => chunk({ tool_calls: [{ index, id: `call_${index}`, type: 'function', function: { name: t.name, arguments: JSON.stringify(t.arguments) } }] })) ?? [];
    return {
      start: [chunk({ role: 'assistant', content: '', refusal: null })],
      piece: (content) => [chunk({ content })],
      finish: [
        ...tools,
        chunk({}, this.b.finish),
        ...(wantsUsage && this.usage ? [[undefined, { id: this.id, object: 'chat.completion.chunk', created: seconds(), model: this.call.model, choices: [], usage: openaiUsage(this.usage) }]] : []),
        [undefined, '[DONE]'],
      ],
    };
  }

  #anthropicEvents() {
    const usage = this.usage && { input_tokens: this.usage.input, output_tokens: 1 };
    const message = { id: this.id, type: 'message', role: 'assistant', content: [], model: this.call.model, stop_reason: null, stop_sequence: null, ...(usage && { usage }) };
    const tools = this.b.tools?.flatMap((t, i) => [
      ['content_block_start', { type: 'content_block_start', index: i + 1, content_block: { type: 'tool_use', id: `toolu_${i}`, name: t.name, input: {} } }],
      ['content_block_delta', { type: 'content_block_delta', index: i + 1, delta: { type: 'input_json_delta', partial_json: JSON.stringify(t.arguments) } }],
      ['content_block_stop', { type: 'content_block_stop', index: i + 1 }],
    ]) ?? [];
    return {
      start: [
        ['message_start', { type: 'message_start', message }],
        ['content_block_start', { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }],
        ['ping', { type: 'ping' }],
      ],
      piece: (text) => [['content_block_delta', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }]],
      finish: [
        ['content_block_stop', { type: 'content_block_stop', index: 0 }],
        ...tools,
        ['message_delta', { type: 'message_delta', delta: { stop_reason: anthropicStops[this.b.finish], stop_sequence: null }, ...(this.usage && { usage: { output_tokens: this.usage.output } }) }],
        ['message_stop', { type: 'message_stop' }],
      ],
    };
  }

  /* [name, data] pairs onto the wire, in one write where `bytes` does not ask for splinters. */
  async #events(events) {
    const n = this.b.newline;
    let text = '';
    for (const [name, data] of events) {
      if (this.b.comments) text += `: keep-alive${n}${n}event: surprise${n}data: {"type": "surprise"}${n}${n}id: 7${n}retry: 3000${n}${n}`;
      if (name) text += `event: ${name}${n}`;
      text += `data: ${typeof data === 'string' ? data : JSON.stringify(data)}${n}${n}`;
    }
    await this.#write(text);
  }

  async #write(text) {
    const bytes = Buffer.from(text);
    const step = this.b.bytes ?? bytes.length;
    for (let at = 0; at < bytes.length; at += step) {
      if (this.response.destroyed) throw wentAway;
      const roomLeft = this.response.write(bytes.subarray(at, at + step));
      if (!roomLeft) await Promise.race([once(this.response, 'drain'), this.call.hungUp]);
      else if (this.b.bytes) await turn(); // each piece its own packet
    }
  }

  async #finished() {
    if (!this.response.writableFinished) await Promise.race([once(this.response, 'finish'), this.call.hungUp]);
    if (!this.response.writableFinished) throw wentAway;
  }
}

/* What the real provider would refuse in this request, or undefined. */
function complain({ dialect, headers, body, method }) {
  if (method !== 'POST') return `method ${method}`;
  if (!headers['content-type']?.startsWith('application/json')) return `Content-Type is ${headers['content-type']}`;
  if (body === null || typeof body !== 'object') return 'the body is no JSON object';
  if (typeof body.model !== 'string' || body.model === '') return 'model is required';
  if (!Array.isArray(body.messages) || body.messages.length === 0) return 'messages: at least one message is required';
  const roles = dialect === 'openai' ? ['system', 'developer', 'user', 'assistant', 'tool'] : ['user', 'assistant'];
  const types = dialect === 'openai' ? ['text', 'image_url'] : ['text', 'image', 'tool_use', 'tool_result'];
  for (const { role, content } of body.messages) {
    if (!roles.includes(role)) return `messages: unexpected role ${role}`;
    if (typeof content === 'string' ? content === '' && dialect === 'anthropic' : !Array.isArray(content) || content.length === 0) return 'messages: content must be non-empty';
    for (const part of Array.isArray(content) ? content : []) {
      if (!types.includes(part.type)) return `messages: unexpected part ${part.type}`;
      if (part.type === 'text' && typeof part.text !== 'string') return 'messages: a text part has a text';
      if (part.type === 'image_url' && typeof part.image_url?.url !== 'string') return 'messages: image_url.url is required';
      if (part.type === 'image' && !(part.source?.type === 'url' && typeof part.source.url === 'string') && part.source?.type !== 'base64') return 'messages: image.source is required';
    }
  }
  if (dialect === 'openai') {
    if (body.stream_options !== undefined && body.stream !== true) return 'stream_options is only allowed with stream';
    return undefined;
  }
  if (!headers['anthropic-version']) return 'anthropic-version: header is required';
  if (!Number.isInteger(body.max_tokens) || body.max_tokens < 1) return 'max_tokens: field required';
  if (body.messages[0].role !== 'user') return 'messages: first message must use the user role';
  if (body.system !== undefined && typeof body.system !== 'string' && !Array.isArray(body.system)) return 'system: a string or a list';
  for (const member of Object.keys(body))
    if (!['model', 'messages', 'system', 'max_tokens', 'stream', 'temperature', 'top_p', 'top_k', 'stop_sequences', 'metadata', 'tools', 'tool_choice'].includes(member))
      return `${member}: extra inputs are not permitted`;
  return undefined;
}

/* The text of a message's content, string or parts. */
export function contentText(content) {
  return typeof content === 'string' ? content : (content ?? []).filter((p) => p.type === 'text').map((p) => p.text).join('');
}

function lastUserText({ body }) {
  return contentText(body?.messages?.findLast?.((m) => m.role === 'user')?.content);
}

function inputText({ body }) {
  return [contentText(body.system), ...body.messages.map((m) => contentText(m.content))].join(' ');
}

function embeddings(body) {
  const inputs = Array.isArray(body?.input) ? body.input : [body?.input];
  return {
    object: 'list', model: body?.model, usage: { prompt_tokens: countWords(inputs.join(' ')), total_tokens: countWords(inputs.join(' ')) },
    data: inputs.map((text, index) => ({ object: 'embedding', index, embedding: [String(text).length, 0, 1] })),
  };
}

function openaiUsage({ input, output }) {
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
}

function json(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

function parse(raw) {
  try {
    return JSON.parse(raw);
  } catch {
    return undefined;
  }
}

const countWords = (text) => text.split(/\s+/).filter(Boolean).length;
const seconds = () => Math.floor(Date.now() / 1000);
const slices = (text, size) => Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size));

/* node t/lib/provider.mjs [PORT]: by itself, for the bench and for trying things by hand. */
if (process.argv[1] === import.meta.filename) {
  const provider = await startProvider({ port: Number(process.argv[2] ?? 0) });
  console.log(`${provider.openai} speaks OpenAI, ${provider.anthropic} Anthropic`);
}
