/* t/lib/client.mjs: an HTTP client for tests: plain answers, event streams, raw bytes
 *
 *   const answer = await alice.request('PATCH', '/api/chats/1', {title: 'x'});   // status, headers, json, text; never throws on a status
 *   const { chat } = await alice.post('/api/chats/messages', {content: 'hi'});   // the JSON of a 2xx, or an error that shows the answer
 *   const stream = await alice.stream('POST', '/api/chats/messages', {content: 'hi', stream: true});
 *   await stream.next('delta');                                                  // the next event of that name: {event, id, data}
 *
 * A client keeps its connections; client.close() ends them.
 */
import http from 'node:http';
import net from 'node:net';
import { once } from 'node:events';

export class Client {
  /* `headers` go with every request; a request's own headers win, null takes one away. */
  constructor(origin, headers = {}, extras = {}) {
    this.origin = origin;
    this.headers = headers;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
    Object.assign(this, extras);
  }

  /* The same with other headers. */
  with(headers, extras = {}) {
    const { origin, headers: mine, agent, ...rest } = this;
    const other = new Client(origin, { ...mine, ...headers }, { ...rest, ...extras });
    other.agent = agent;
    return other;
  }

  close() {
    this.agent.destroy();
  }

  /* Sends one request and resolves with the response's head; a body that is no string or buffer is sent as JSON. */
  async send(method, path, body, { headers = {}, agent = this.agent, signal } = {}) {
    const all = { ...this.headers, ...headers };
    for (const name of Object.keys(all)) if (all[name] === null || all[name] === undefined) delete all[name];
    let bytes;
    if (body !== undefined) {
      bytes = typeof body === 'string' || Buffer.isBuffer(body) ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
      if (!Object.keys(all).some((n) => n.toLowerCase() === 'content-type') && headers['content-type'] !== null) all['content-type'] = 'application/json';
      all['content-length'] = bytes.length;
    }
    const url = new URL(this.origin);
    const request = http.request({ host: url.hostname, port: url.port, method, path, headers: all, agent, signal });
    request.setNoDelay(true);
    request.end(bytes);
    const [response] = await once(request, 'response');
    response.request = request;
    return response;
  }

  async request(method, path, body, options) {
    const response = await this.send(method, path, body, options);
    const chunks = [];
    for await (const chunk of response) chunks.push(chunk);
    return new Answer(response, Buffer.concat(chunks));
  }

  async stream(method, path, body, options = {}) {
    const headers = { accept: 'text/event-stream', ...options.headers };
    if (options.lastEventId !== undefined) headers['last-event-id'] = String(options.lastEventId);
    return new EventStream(await this.send(method, path, body, { agent: new http.Agent(), ...options, headers }));
  }

  async #ok(method, path, body, options) {
    const answer = await this.request(method, path, body, options);
    if (answer.status < 200 || answer.status > 299) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text.slice(0, 500)}`);
    return answer.json;
  }

  get(path, options) {
    return this.#ok('GET', path, undefined, options);
  }

  post(path, body, options) {
    return this.#ok('POST', path, body, options);
  }

  patch(path, body, options) {
    return this.#ok('PATCH', path, body, options);
  }

  delete(path, options) {
    return this.#ok('DELETE', path, undefined, options);
  }

  put(path, body, options) {
    return this.#ok('PUT', path, body, options);
  }
}

class Answer {
  constructor(response, bytes) {
    this.status = response.statusCode;
    this.headers = response.headers;
    this.bytes = bytes;
    this.text = bytes.toString();
  }

  /* The body as JSON, undefined where it is none. */
  get json() {
    try {
      return JSON.parse(this.text);
    } catch {
      return undefined;
    }
  }
}

/* Server-sent events as they arrive: events are kept, so `all` holds what has been read so far. */
export class EventStream {
  all = [];
  ended = false; // the server has ended the response properly
  broken = undefined; // the error that broke it off
  #waiting = [];
  #taken = 0;
  #rest = '';
  #decoder = new TextDecoder('utf-8', { fatal: true });

  constructor(response) {
    this.response = response;
    this.status = response.statusCode;
    this.headers = response.headers;
    if (!this.headers['content-type']?.startsWith('text/event-stream')) {
      const chunks = [];
      this.body = new Promise((resolve) => {
        response.on('data', (c) => chunks.push(c)).on('end', () => resolve(Buffer.concat(chunks).toString()));
      });
      response.on('error', () => {});
      this.ended = true;
      return;
    }
    response.on('data', (bytes) => this.#feed(this.#decoder.decode(bytes, { stream: true })));
    response.on('end', () => this.#end());
    response.on('error', (error) => this.#end(error));
    response.on('close', () => this.#end(response.complete ? undefined : new Error('the stream was cut off')));
  }

  /* The next event; with a name, the next one of that name, the others are skipped. Rejects at the end of the stream, and
   * when nothing comes for a long time. */
  async next(name) {
    for (;;) {
      const event = await this.#take();
      if (event === undefined) throw new Error(`the stream ended${this.broken ? ` (${this.broken.message})` : ''} without ${name ?? 'another event'}; it had ${JSON.stringify(this.all).slice(0, 600)}`);
      if (name === undefined || event.event === name) return event;
    }
  }

  /* Resolves with all events, when the stream has ended. */
  async finish() {
    while ((await this.#take()) !== undefined);
    return this.all;
  }

  /* The text of all deltas read so far. */
  get text() {
    return this.all.filter((e) => e.event === 'delta').map((e) => e.data.text).join('');
  }

  /* Hangs up, as a client that goes away. */
  close() {
    this.response.destroy();
  }

  async #take() {
    while (this.#taken >= this.all.length) {
      if (this.ended || this.broken) return undefined;
      let deadline;
      const woken = new Promise((resolve) => this.#waiting.push(resolve));
      const late = new Promise((resolve) => (deadline = setTimeout(resolve, 60_000, 'late')));
      if ((await Promise.race([woken, late])) === 'late') throw new Error(`no event for a minute; so far ${JSON.stringify(this.all).slice(0, 600)}`);
      clearTimeout(deadline);
    }
    return this.all[this.#taken++];
  }

  #feed(text) {
    this.#rest += text;
    for (;;) {
      const end = this.#rest.search(/\r?\n\r?\n/);
      if (end < 0) break;
      const block = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end).replace(/^\r?\n\r?\n/, '');
      const event = parseEvent(block);
      if (event) this.all.push(event);
    }
    this.#wake();
  }

  #end(error) {
    if (this.ended || this.broken) return;
    if (error) this.broken = error;
    else this.ended = true;
    this.#wake();
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function parseEvent(block) {
  const fields = { event: 'message', data: [] };
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith(':')) continue;
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === 'data') fields.data.push(value);
    else if (name === 'event' || name === 'id') fields[name] = value;
  }
  if (fields.data.length === 0) return undefined;
  const text = fields.data.join('\n');
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    data = text;
  }
  return { event: fields.event, id: fields.id, data };
}

/* Writes bytes to a socket (a port or a path) and resolves with all that came back until the other end closed,
 * or until `enough(text)` says so. */
export async function rawExchange(target, bytes, { enough, end = true } = {}) {
  const socket = net.connect(typeof target === 'number' ? { port: target, host: '127.0.0.1' } : { path: target });
  const chunks = [];
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(bytes);
  if (end) socket.end();
  await new Promise((resolve) => {
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (enough?.(Buffer.concat(chunks).toString('latin1'))) resolve();
    });
    socket.on('close', resolve);
  });
  socket.destroy();
  return Buffer.concat(chunks);
}
