/* t/lib/fastcgi.mjs: FastCGI records by hand (FastCGI specification 1.0, sections 3 to 5), good ones and broken ones */

export const types = { begin: 1, abort: 2, end: 3, params: 4, stdin: 5, stdout: 6, stderr: 7, data: 8, getValues: 9, getValuesResult: 10, unknown: 11 };

/* One record. `claimed` is a content length that is not the real one. */
export function record(type, content = Buffer.alloc(0), { id = 1, version = 1, claimed, padding = 0 } = {}) {
  const bytes = Buffer.from(content);
  const head = Buffer.alloc(8);
  head[0] = version;
  head[1] = type;
  head.writeUInt16BE(id, 2);
  head.writeUInt16BE(claimed ?? bytes.length, 4);
  head[6] = padding;
  return Buffer.concat([head, bytes, Buffer.alloc(padding)]);
}

export function begin({ role = 1, keep = false, id = 1 } = {}) {
  return record(types.begin, Buffer.from([role >> 8, role & 255, keep ? 1 : 0, 0, 0, 0, 0, 0]), { id });
}

/* Name-value pairs; the lengths of a pair may be lies: [name, value, claimedNameLength, claimedValueLength]. */
export function pairs(list) {
  const length = (n) => (n < 128 ? Buffer.from([n]) : Buffer.from([(n >>> 24) | 128, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]));
  return Buffer.concat(list.flatMap(([name, value, a, b]) => {
    const [n, v] = [Buffer.from(name), Buffer.from(value)];
    return [length(a ?? n.length), length(b ?? v.length), n, v];
  }));
}

/* A whole request, as nginx would send it. */
export function request(params, body = '', { keep = false, id = 1 } = {}) {
  const all = { REQUEST_METHOD: 'GET', REQUEST_URI: '/auth/v1/health', QUERY_STRING: '', CONTENT_TYPE: '', CONTENT_LENGTH: String(Buffer.byteLength(body)), SERVER_PROTOCOL: 'HTTP/1.1', REMOTE_ADDR: '127.0.0.1', TENON_REQUEST_ID: 'f'.repeat(32), ...params };
  const content = pairs(Object.entries(all).filter(([, v]) => v !== undefined));
  const chunks = (type, bytes) => {
    const out = [];
    for (let at = 0; at < bytes.length; at += 65535) out.push(record(type, bytes.subarray(at, at + 65535), { id }));
    return Buffer.concat([...out, record(type, '', { id })]);
  };
  return Buffer.concat([begin({ keep, id }), chunks(types.params, content), chunks(types.stdin, Buffer.from(body))]);
}

/* What came back: {status, text, ended}. */
export function response(bytes) {
  let out = Buffer.alloc(0);
  let ended = false;
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = bytes.readUInt16BE(at + 4);
    if (bytes[at + 1] === types.stdout) out = Buffer.concat([out, bytes.subarray(at + 8, at + 8 + length)]);
    if (bytes[at + 1] === types.end) ended = true;
    at += 8 + length + bytes[at + 6];
  }
  const text = out.toString();
  return { status: Number(/^Status: (\d+)/im.exec(text)?.[1] ?? (text ? 200 : 0)), text, ended };
}
