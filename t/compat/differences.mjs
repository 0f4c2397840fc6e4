/* t/compat/differences.mjs: where Tenon deliberately answers otherwise than PostgREST 12.0.2
 *
 * Each entry: `id`; `what` and `reason` for docs/compatibility.md; `matches(request, theirs)`, which requests it is about;
 * `kinds`, in what their answers may differ (see compare.mjs); and `expect(ours, request, theirs)`, whether our answer is the one
 * that we mean. A difference that no entry covers fails the test, and so does an entry that nothing shows any more.
 */
import { errorOf } from './lib/compare.mjs';

const isError = (answer, status, code) => answer.status === status && errorOf(answer)?.code === code;
const whole = ['status', 'body', 'code', 'message', 'details', 'hint', 'members', 'content-type', 'content-range', 'content-location', 'preference-applied', 'www-authenticate', 'content-profile'];

export const differences = [
  {
    id: 'unknown-table',
    what: 'An unknown table is 404 `PGRST205` with every method, before anything is executed.',
    reason: 'PostgREST 13 does the same; in 12 it is `42P01` or an empty object, depending on the method, and the empty object tells nobody anything.',
    matches: (r, theirs) => theirs.status === 404 && (theirs.text === '{}' || errorOf(theirs)?.code === '42P01') && /^\/[^/?]+($|\?)/.test(r.path),
    kinds: whole,
    expect: (ours, r) => (r.method === 'HEAD' ? ours.status === 404 : isError(ours, 404, 'PGRST205')),
  },
  {
    id: 'unknown-path',
    what: 'A path that is neither a relation nor a function is 404 `PGRST125`.',
    reason: 'PostgREST 13 does the same; 12 answers with an empty object.',
    matches: (r, theirs) => theirs.status === 404 && theirs.text === '{}' && !/^\/[^/?]+($|\?)/.test(r.path),
    kinds: whole,
    expect: (ours) => isError(ours, 404, 'PGRST125'),
  },
];
