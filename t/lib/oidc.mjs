/* t/lib/oidc.mjs: a real OpenID Connect provider on the loopback address (npm oidc-provider), and a browser that goes there
 *
 *   const oidc = await startOidc();                                // before the stack, because its settings name it
 *   const s = await stack({ settings: oidc.settings('acme') });    // [oauth acme]: issuer, client_id, secret, allow_private
 *   oidc.admit(`${s.origin}/auth/v1/callback`);                    // where it may send people back to
 *   const visit = await travel(`${s.origin}/auth/v1/authorize?provider=acme&login_hint=ada`);
 *   visit.status, visit.location (a URL), visit.fragment, visit.query
 *
 * Whoever `login_hint` names is signed in there without being asked: an id out of `people`, or anything else, whose address is
 * then <id>@oidc.example and verified.
 */
import http from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { after } from 'node:test';
import Provider from 'oidc-provider';

export const clientId = 'tenon';
export const clientSecret = 'a secret that the provider has given us';

export async function startOidc({ people = {}, algorithm = 'RS256', configuration = {} } = {}) {
  const server = http.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const redirects = [];
  const { privateKey } = algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const provider = new Provider(issuer, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: ['https://not.yet.example/'], response_types: ['code'], grant_types: ['authorization_code', 'refresh_token'], id_token_signed_response_alg: algorithm }],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'first', use: 'sig', alg: algorithm }] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'picture', 'preferred_username'] },
    cookies: { keys: ['one of ours'] },
    pkce: { required: () => true },
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, RefreshToken: 600, Session: 600 },
    issueRefreshToken: async () => true,
    features: { devInteractions: { enabled: false } },
    scopes: ['openid', 'offline_access', 'email', 'profile'],
    findAccount: (ctx, sub) => ({
      accountId: sub,
      claims: () => ({ sub, email: `${sub}@oidc.example`, email_verified: true, name: `${sub} of OIDC`, picture: 'https://oidc.example/a.png', ...people[sub] }),
    }),
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope('openid email profile offline_access');
      await grant.save();
      return grant;
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    ...configuration,
  });
  provider.Client.prototype.redirectUriAllowed = (uri) => redirects.includes(uri);
  provider.on('server_error', (ctx, error) => console.error('oidc-provider:', error));
  const callback = provider.callback();
  const requests = [];
  server.on('request', async (request, response) => {
    requests.push(`${request.method} ${request.url.split('?')[0]}`);
    if (!request.url.startsWith('/interaction/')) return callback(request, response);
    const { params } = await provider.interactionDetails(request, response);
    await provider.interactionFinished(request, response, { login: { accountId: params.login_hint ?? 'ada', remember: false } });
  });
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  after(close);
  return {
    issuer, provider, requests, people, close,
    admit: (uri) => redirects.push(uri),
    settings: (name, more = {}) => section(name, { issuer, client_id: clientId, secret: clientSecret, allow_private: 'on', ...more }),
  };
}

export const section = (name, settings) => Object.fromEntries(Object.entries(settings).map(([key, value]) => [`oauth ${name}.${key}`, value]));

/* A browser with cookies that follows redirects, until one leads to a host that is neither of those it began with; `stop` says what is
 * the end besides. Nothing listens there: what matters is the address. */
export async function travel(url, { hosts = ['127.0.0.1'], headers = {}, stop = () => false } = {}) {
  const jar = new Map();
  let at = new URL(url);
  for (let step = 0; step < 20; step++) {
    const cookies = [...(jar.get(at.host) ?? new Map())].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(at, { redirect: 'manual', headers: { ...(step === 0 ? headers : {}), ...(cookies && { cookie: cookies }) } });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (!jar.has(at.host)) jar.set(at.host, new Map());
      jar.get(at.host).set(name, value);
    }
    const text = await answer.text();
    const location = answer.headers.get('location');
    if (!location) return { status: answer.status, url: at, text, json: parse(text), query: {}, fragment: {} };
    const from = at;
    at = new URL(location, at);
    if (!hosts.includes(at.hostname) || stop(at)) return { ...landing(at), status: answer.status, from };
  }
  throw new Error(`no end of redirects at ${at}`);
}

/* The parts of an address in which a flow ends. */
export function landing(address) {
  const location = new URL(address);
  return { location, query: Object.fromEntries(location.searchParams), fragment: Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
