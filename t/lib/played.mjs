/* t/lib/played.mjs: sign-in providers played on the loopback address, honest or not
 *
 *   const played = await startPlayed();
 *   played.issuer, played.settings('acme')                 // a section of the configuration, found by discovery
 *   const begun = await played.leave(s, 'acme');           // GET /authorize: { state, nonce, sent }
 *   const end = await played.come(s, begun, behaviour);    // GET /callback: where it leads, as landing() has it
 *
 * What is answered is decided by the code that comes to the token endpoint, which stands for a behaviour:
 *
 *   claims, header, key, sign   of the id token: members put over the honest ones (undefined takes one away); sign(input, key) makes the signature
 *   idToken                     the whole of it (null: none)
 *   token, userinfo, emails     (response) => void, or an object: the answer of that endpoint
 *   back                        members of the query of the callback, over the honest ones
 */
import http from 'node:http';
import { constants, createHash, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { after } from 'node:test';
import { landing, section } from './oidc.mjs';

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const padding = constants.RSA_PKCS1_PSS_PADDING;

export const signers = {
  RS256: (input, key) => sign('sha256', input, key),
  RS512: (input, key) => sign('sha512', input, key),
  PS256: (input, key) => sign('sha256', input, { key, padding, saltLength: 32 }),
  ES256: (input, key) => sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' }),
  ES384: (input, key) => sign('sha384', input, { key, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (input, key) => sign(null, input, key),
};

/* A JWS in its compact form. */
export function jws(header, claims, key, signer = signers[header.alg]) {
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${Buffer.from(signer(Buffer.from(input), key)).toString('base64url')}`;
}

export const makeKeys = () => ({
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  EdDSA: generateKeyPairSync('ed25519'),
  weak: generateKeyPairSync('rsa', { modulusLength: 1024 }),
});

export async function startPlayed() {
  const server = http.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const keys = makeKeys(), behaviours = new Map(), requests = [], answers = new Map();
  const keySet = { keys: Object.entries(keys).map(([kid, pair]) => ({ ...pair.publicKey.export({ format: 'jwk' }), kid, use: 'sig' })) };
  const document = (at, more) => ({
    issuer: at, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`, userinfo_endpoint: `${issuer}/userinfo`, jwks_uri: `${issuer}/jwks`,
    token_endpoint_auth_methods_supported: ['client_secret_post'], code_challenge_methods_supported: ['S256'], ...more,
  });
  let codes = 0;

  const played = {
    issuer, keys, keySet, requests,
    /* Answers for further paths: (request, response) => void, or an object. */
    answers,
    document,
    settings: (name, more = {}) => section(name, { issuer, client_id: 'ours', secret: 'the secret', allow_private: 'on', ...more }),
    claims: (more = {}) => {
      const now = Math.floor(Date.now() / 1000);
      return { iss: issuer, aud: 'ours', sub: 'somebody', iat: now, exp: now + 300, email: 'somebody@played.example', email_verified: true, name: 'Some Body', ...more };
    },
    token: (more = {}, header = {}, key = keys.RS256.privateKey, signer) => jws({ alg: 'RS256', kid: 'RS256', typ: 'JWT', ...header }, played.claims(more), key, signer),
    /* A code that stands for this behaviour. */
    code: (behaviour) => {
      const code = `code-${++codes}`;
      behaviours.set(code, behaviour);
      return code;
    },
    leave: async (s, provider, parameters = {}, client = s.a.anon) => {
      const answer = await client.request('GET', `/auth/v1/authorize?${new URLSearchParams({ provider, ...parameters })}`);
      if (!answer.headers.location) throw new Error(`${answer.status} ${answer.text}`);
      const sent = Object.fromEntries(new URL(answer.headers.location).searchParams);
      return { sent, state: sent.state, nonce: sent.nonce, to: new URL(answer.headers.location) };
    },
    come: async (s, begun, behaviour = {}) => {
      const code = played.code({ nonce: begun.nonce, ...behaviour });
      const query = Object.fromEntries(Object.entries({ state: begun.state, code, ...behaviour.back }).filter(([, value]) => value !== undefined));
      const answer = await s.a.anon.request('GET', `/auth/v1/callback?${new URLSearchParams(query)}`);
      if (!answer.headers.location) throw new Error(`${answer.status} ${answer.text}`);
      return { status: answer.status, ...landing(answer.headers.location) };
    },
    visit: async (s, provider, behaviour, parameters) => played.come(s, await played.leave(s, provider, parameters), behaviour),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };

  const say = (response, answer, status = 200) => {
    if (typeof answer === 'function') return answer(response);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  };
  const idToken = (behaviour, accessToken) => {
    if (behaviour.idToken !== undefined) return behaviour.idToken ?? undefined;
    const alg = behaviour.header?.alg ?? 'RS256';
    const key = behaviour.key ?? keys[alg]?.privateKey;
    const at_hash = createHash('sha256').update(accessToken).digest().subarray(0, 16).toString('base64url');
    return jws({ alg, kid: alg, typ: 'JWT', ...behaviour.header }, played.claims({ nonce: behaviour.nonce, ...(alg.endsWith('256') && { at_hash }), ...behaviour.claims }), key, behaviour.sign ?? signers[alg]);
  };
  const routes = {
    '/.well-known/openid-configuration': (request, response) => say(response, document(issuer)),
    '/jwks': (request, response) => say(response, keySet),
    '/token': async (request, response, body) => {
      const form = Object.fromEntries(new URLSearchParams(body));
      requests.at(-1).form = form;
      const behaviour = behaviours.get(form.code);
      if (!behaviour) return say(response, { error: 'invalid_grant' }, 400);
      const accessToken = `access-${form.code}`;
      say(response, behaviour.token ?? { access_token: accessToken, refresh_token: `refresh-${form.code}`, token_type: 'Bearer', expires_in: 60, id_token: idToken(behaviour, accessToken) });
    },
  };
  const profile = (member, honest) => (request, response) => {
    const code = /^Bearer access-(.*)$/.exec(request.headers.authorization ?? '')?.[1];
    const behaviour = behaviours.get(code);
    if (!behaviour) return say(response, { error: 'invalid_token' }, 401);
    say(response, behaviour[member] ?? honest(behaviour));
  };
  routes['/userinfo'] = profile('userinfo', (behaviour) => ({ sub: behaviour.claims?.sub ?? 'somebody' }));
  routes['/user'] = profile('userinfo', () => ({}));
  routes['/user/emails'] = profile('emails', () => []);

  server.on('request', async (request, response) => {
    const path = request.url.split('?')[0];
    const chunks = [];
    requests.push({ method: request.method, path, headers: request.headers });
    for await (const chunk of request) chunks.push(chunk);
    const route = answers.get(path) ?? routes[path];
    if (!route) return say(response, { error: 'not_found' }, 404);
    if (typeof route !== 'function') return say(response, route);
    await route(request, response, Buffer.concat(chunks).toString());
  });
  after(played.close);
  return played;
}
