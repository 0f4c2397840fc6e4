/* t/lib/authenticator.mjs: an authenticator in software, and whatever else answers a WebAuthn ceremony
 *
 *   const key = authenticator();                        // algorithm: 'ES256' (default), 'RS256', 'EdDSA'
 *   key.create(options, origin, changes)                // RegistrationResponseJSON
 *   key.get(options, origin, changes)                   // AuthenticationResponseJSON
 *
 * `changes` bend what an honest one would send: {type, challenge, origin, crossOrigin} of the client data, {rpId, flags, counter} of
 * the authenticator data, format and statement of the attestation, {signature, userHandle} of the answer.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest();
const base64url = (bytes) => Buffer.from(bytes).toString('base64url');

/* CBOR as CTAP2 wants it; maps are Maps, so that keys may be numbers. */
export function cbor(value) {
  const head = (type, n) => (n < 24 ? Buffer.from([type << 5 | n]) : n < 256 ? Buffer.from([type << 5 | 24, n]) : Buffer.from([type << 5 | 25, n >> 8, n & 255]));
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  return Buffer.concat([head(5, value.size), ...[...value].flatMap(([k, v]) => [cbor(k), cbor(v)])]);
}

const kinds = {
  ES256: {
    pair: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    cose: ({ x, y }) => new Map([[1, 2], [3, -7], [-1, 1], [-2, x], [-3, y]]),
    sign: (bytes, key) => sign('sha256', bytes, key),
    algorithm: -7,
  },
  RS256: {
    pair: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
    cose: ({ n, e }) => new Map([[1, 3], [3, -257], [-1, n], [-2, e]]),
    sign: (bytes, key) => sign('sha256', bytes, key),
    algorithm: -257,
  },
  EdDSA: {
    pair: () => generateKeyPairSync('ed25519'),
    cose: ({ x }) => new Map([[1, 1], [3, -8], [-1, 6], [-2, x]]),
    sign: (bytes, key) => sign(null, bytes, key),
    algorithm: -8,
  },
};

export const flag = { present: 1, verified: 4, backupEligible: 8, backedUp: 16, credential: 64, extensions: 128 };

export function authenticator(algorithm = 'ES256') {
  const kind = kinds[algorithm];
  const { publicKey, privateKey } = kind.pair();
  const jwk = Object.fromEntries(Object.entries(publicKey.export({ format: 'jwk' })).map(([k, v]) => [k, Buffer.from(v, 'base64url')]));
  const id = randomBytes(32);
  let counter = 0;
  let handle;

  const clientData = (type, challenge, origin, changes) =>
    Buffer.from(JSON.stringify({ type: changes.type ?? type, challenge: changes.challenge ?? challenge, origin: changes.origin ?? origin, crossOrigin: changes.crossOrigin ?? false }));
  const authenticatorData = (rpId, flags, changes, ...more) => {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(changes.counter ?? ++counter);
    return Buffer.concat([sha256(changes.rpId ?? rpId), Buffer.from([changes.flags ?? flags]), number, ...more]);
  };
  return {
    id: base64url(id),
    create(options, origin, changes = {}) {
      handle ??= options.user.id;
      const client = clientData('webauthn.create', options.challenge, origin, changes);
      const data = authenticatorData(options.rp.id, flag.present | flag.verified | flag.credential, changes,
        Buffer.alloc(16, 7), Buffer.from([0, id.length]), id, cbor(kind.cose(jwk)), ...(changes.more ?? []));
      let statement = changes.statement ?? new Map();
      if (changes.format === 'packed' && !changes.statement)
        statement = new Map([['alg', kind.algorithm], ['sig', kind.sign(Buffer.concat([data, sha256(client)]), privateKey)]]);
      const object = changes.object ?? cbor(new Map([['fmt', changes.format ?? 'none'], ['attStmt', statement], ['authData', data]]));
      return {
        id: base64url(id), rawId: base64url(id), type: 'public-key', clientExtensionResults: {},
        response: { clientDataJSON: base64url(client), attestationObject: base64url(object), transports: changes.transports ?? ['usb'] },
      };
    },
    get(options, origin, changes = {}) {
      const client = clientData('webauthn.get', options.challenge, origin, changes);
      const data = authenticatorData(options.rpId, flag.present | flag.verified, changes, ...(changes.more ?? []));
      const signature = changes.signature ?? kind.sign(Buffer.concat([data, sha256(client)]), privateKey);
      return {
        id: base64url(id), rawId: base64url(id), type: 'public-key', clientExtensionResults: {},
        response: { clientDataJSON: base64url(client), authenticatorData: base64url(data), signature: base64url(signature), userHandle: changes.userHandle ?? handle },
      };
    },
  };
}
