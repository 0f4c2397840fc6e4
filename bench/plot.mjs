/* bench/plot.mjs: the results of `bench/run data` as a picture, in SVG that is written here and nowhere else
 *
 * Two groups of bars for each request: how many times PostgREST's throughput Tenon reaches, with a mark where it is meant to be,
 * and how many per second each of them does.
 */
const width = 760, left = 250, right = 90, top = 64, row = 46, bar = 15;
const colours = { tenon: '#2b6cb0', postgrest: '#a0aec0', aim: '#c53030', text: '#1a202c', faint: '#718096' };

const escape = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const text = (x, y, what, more = '') => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escape(what)}</text>`;
const rect = (x, y, w, h, fill) => `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${w.toFixed(1)}" height="${h}" fill="${fill}"/>`;
const rate = (value) => `${Math.round(value).toLocaleString('en')}/s`;

export function plot({ machine, shapes }) {
  const all = Object.values(shapes);
  const most = Math.max(...all.map((s) => Math.max(s.times_postgrest, s.aim)));
  const scale = (times) => (times * (width - left - right)) / most;
  const height = top + all.length * row + 44;
  const rows = all.map((s, i) => {
    const y = top + i * row;
    const aim = left + scale(s.aim);
    return [
      text(left - 10, y + 13, s.title, 'text-anchor="end"'),
      text(left - 10, y + 28, `99 %: ${s.p99.tenon.toFixed(0)} ms, PostgREST ${s.p99.postgrest.toFixed(0)} ms`, `text-anchor="end" font-size="11" fill="${colours.faint}"`),
      rect(left, y, scale(s.times_postgrest), bar, colours.tenon),
      text(left + scale(s.times_postgrest) + 6, y + 12, `${s.times_postgrest.toFixed(1)} ×  (${rate(s.tenon)})`),
      rect(left, y + bar + 2, scale(1), bar, colours.postgrest),
      text(left + scale(1) + 6, y + bar + 14, rate(s.postgrest), `font-size="11" fill="${colours.faint}"`),
      `<line x1="${aim.toFixed(1)}" x2="${aim.toFixed(1)}" y1="${y - 3}" y2="${y + 2 * bar + 5}" stroke="${colours.aim}" stroke-width="1.5" stroke-dasharray="3 2"/>`,
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="13" fill="${colours.text}">
<rect width="${width}" height="${height}" fill="#ffffff"/>
${text(20, 24, 'The data API: requests per second, as multiples of PostgREST 12.0.2', 'font-size="15" font-weight="600"')}
${rect(20, 36, 12, 12, colours.tenon)}${text(37, 47, 'Tenon (behind nginx)', 'font-size="12"')}
${rect(190, 36, 12, 12, colours.postgrest)}${text(207, 47, 'PostgREST', 'font-size="12"')}
<line x1="300" x2="300" y1="34" y2="50" stroke="${colours.aim}" stroke-width="1.5" stroke-dasharray="3 2"/>${text(307, 47, 'the aim', 'font-size="12"')}
${rows.join('\n')}
${text(20, height - 14, `${machine.cpu}, ${machine.cores} cores; ${machine.system}; ${machine.postgres}. Same database, token and row-level security.`, `font-size="10.5" fill="${colours.faint}"`)}
</svg>
`;
}
