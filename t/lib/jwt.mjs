/* t/lib/jwt.mjs: tokens as attackers and other issuers make them */
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/* The parts of a token, unverified. */
export function decode(token) {
  const [header, claims, signature] = token.split('.');
  return { header: JSON.parse(Buffer.from(header, 'base64url')), claims: JSON.parse(Buffer.from(claims, 'base64url')), signature };
}

/* An HMAC token; `header` overrides members of {alg: HS256, typ: JWT}. */
export function hs256(claims, secret, header = {}) {
  const hash = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' }[header.alg ?? 'HS256'] ?? 'sha256';
  const text = `${encode({ alg: 'HS256', typ: 'JWT', ...header })}.${encode(claims)}`;
  return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`;
}

/* A token with no signature, in one of the spellings of "none". */
export function unsigned(claims, alg = 'none') {
  return `${encode({ alg, typ: 'JWT' })}.${encode(claims)}.`;
}

/* A token signed with an elliptic key that is not the server's. */
export function foreignEs256(claims, header = {}) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const text = `${encode({ alg: 'ES256', typ: 'JWT', ...header })}.${encode(claims)}`;
  return `${text}.${createSign('sha256').update(text).sign({ key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/* The token with one part replaced. */
export function tamper(token, part, change) {
  const parts = token.split('.');
  const index = { header: 0, claims: 1, signature: 2 }[part];
  parts[index] = part === 'signature' ? change(parts[2]) : encode(change(JSON.parse(Buffer.from(parts[index], 'base64url'))));
  return parts.join('.');
}

export const now = () => Math.floor(Date.now() / 1000);
