/* t/lib/expect.mjs: assertions on answers that show the answer when they fail */
import assert from 'node:assert/strict';

/* Status and, where given, error code, in whichever of our dialects the answer is. */
export function answers(answer, status, code) {
  const got = [answer.status, code === undefined ? undefined : errorCode(answer)];
  assert.deepEqual(got, [status, code], answer.text?.slice(0, 600));
}

/* The error code: `error_code` of the auth dialect's older shape, else `code`. */
export function errorCode(answer) {
  return answer.json?.error_code ?? answer.json?.code;
}

/* An error of our own dialect: complete, with the request's id, and nothing of the inside. */
export function isOurError(answer, status, code) {
  answers(answer, status, code);
  const { code: got, message, request_id, ...rest } = answer.json;
  assert.equal(typeof got, 'string');
  assert.ok(typeof message === 'string' && message.length > 0, 'an error has a message');
  assert.equal(request_id, answer.headers['x-request-id'], 'the body names the request as the header does');
  assert.ok('details' in rest && 'hint' in rest, 'details and hint are there, if only as null');
  assert.doesNotMatch(answer.text, /\bselect\b.*\bfrom\b|pg_|SQLSTATE|\.c:\d+/i, 'nothing of the inside is shown');
}

export const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
export const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)$/;
