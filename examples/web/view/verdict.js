// The verdict: in a word, a colour and a picture, with the score and its bands.

import { bytes, code, counted, el, icon, number } from '../dom.js';

const WORDS = { allow: 'Allowed', block: 'Blocked' };

export function verdict(report, { levels, most, families }) {
  const allowed = report.verdict === 'allow';
  const says = allowed
    ? 'Nothing in it is above what the policy lets through.'
    : report.reasons.length === 1
      ? 'Do not load this file, for this reason:'
      : 'Do not load this file, for these reasons:';
  return el(
    'section',
    { class: `card verdict ${report.verdict}`, 'aria-labelledby': 'verdict' },
    el(
      'div',
      { class: 'verdict-head' },
      el('span', { class: 'seal' }, icon(report.verdict)),
      el(
        'div',
        {},
        el('h2', { id: 'verdict', tabindex: -1 }, WORDS[report.verdict]),
        el('p', { class: 'file' }, el('bdi', {}, report.path || 'a file without a name')),
      ),
    ),
    el('p', { class: 'says' }, says),
    report.reasons.length > 0 && el('ul', { class: 'reasons' }, report.reasons.map((reason) => el('li', {}, el('bdi', {}, reason)))),
    attacks(report, families),
    score(report, levels, most),
    el(
      'dl',
      { class: 'facts' },
      fact('Format', report.formats.join(' and ') || report.format),
      fact('Size', bytes(report.size_bytes), `${number(report.size_bytes)} bytes`),
      fact('Examined', bytes(report.bytes_examined), `${number(report.bytes_examined)} bytes`),
      fact('Seen', counted(report.findings.length + report.findings_omitted, 'finding')),
    ),
    limits(report),
  );
}

/** How many attacks are told of here; the findings have them all. */
const TOLD = 3;

/** What the file would do, where the rules know a name that it asks for. */
function attacks(report, families) {
  const known = new Map(families.map((family) => [family.id, family]));
  const dangerous = report.globals.filter((global) => known.has(global.family));
  if (dangerous.length === 0) return null;
  return el(
    'ul',
    { class: 'attacks' },
    dangerous.slice(0, TOLD).map((global) => {
      const { title, reason } = known.get(global.family);
      return el('li', {}, code(global.python3), el('span', {}, el('strong', {}, title), ': ', reason));
    }),
  );
}

function fact(name, value, exact) {
  return el('div', {}, el('dt', {}, name), el('dd', { title: exact }, value));
}

/** The score on the line of its bands, with the place where the policy draws its own. */
function score(report, levels, most) {
  const value = report.threat_score;
  const bands = levels.map(({ level, first, last }) =>
    el(
      'div',
      { class: `band ${level.toLowerCase()} ${level === report.threat_level ? 'here' : ''}`, style: { 'flex-grow': String(last - first + 1) } },
      el('span', {}, level.toLowerCase()),
    ),
  );
  return el(
    'figure',
    { class: 'score' },
    el(
      'figcaption',
      {},
      el('strong', {}, String(value)),
      ` of 100 · ${report.threat_level.toLowerCase()}`,
      el('span', { class: 'quiet' }, ` · up to ${most} is let through`),
    ),
    el(
      'div',
      { class: 'bands', 'aria-hidden': 'true' },
      bands,
      el('span', { class: 'needle', style: { left: `${(100 * (value + 0.5)) / 101}%` } }),
      el('span', { class: 'gate', style: { left: `${(100 * (most + 1)) / 101}%` } }),
    ),
  );
}

function limits(report) {
  if (report.limits.length === 0) return null;
  return el(
    'div',
    { class: 'limits' },
    el('h3', {}, 'What was not looked at'),
    el('ul', {}, report.limits.map((limit) => el('li', {}, el('bdi', {}, limit)))),
  );
}

/** Why there is no verdict. */
export function problem({ code: id, message, hint }) {
  return el(
    'section',
    { class: 'card verdict none', 'aria-labelledby': 'verdict' },
    el(
      'div',
      { class: 'verdict-head' },
      el('span', { class: 'seal' }, icon('none')),
      el('div', {}, el('h2', { id: 'verdict', tabindex: -1 }, 'No verdict'), el('p', { class: 'file' }, 'Take the file for unsafe until there is one.')),
    ),
    el('p', { class: 'says' }, el('bdi', {}, message)),
    hint && el('p', { class: 'quiet' }, hint),
    el('p', { class: 'quiet' }, 'Code: ', code(id)),
  );
}
