// What was seen: findings with their points, and the names that pickles ask for.

import { code, counted, el, number } from '../dom.js';

/** Rules with points and no place, such as that of a file which nobody signed. */
export function placeless(report) {
  const found = new Set(report.findings.map(({ rule }) => rule));
  return Object.entries(report.score_breakdown).filter(([rule]) => !found.has(rule));
}

export function findings(report, { rules, place }) {
  const reasons = new Map(rules.map((rule) => [rule.id, rule]));
  const others = placeless(report).map(([rule, points]) =>
    el(
      'li',
      { class: `finding ${weight(points)}` },
      el('p', { class: 'points' }, el('strong', {}, `+${points}`), el('span', { class: 'hidden' }, ' points')),
      el(
        'div',
        { class: 'finding-body' },
        el('p', {}, reasons.get(rule)?.reason ?? rule),
        el('p', { class: 'meta' }, code(rule, { class: 'rule' })),
      ),
    ),
  );
  if (report.findings.length + others.length === 0) {
    return el('p', { class: 'empty' }, 'No rule was hit.');
  }
  const items = report.findings.map((finding) => {
    const rule = reasons.get(finding.rule);
    return el(
      'li',
      { class: `finding ${weight(finding.points)}` },
      el('p', { class: 'points' }, el('strong', {}, `+${finding.points}`), el('span', { class: 'hidden' }, ' points')),
      el(
        'div',
        { class: 'finding-body' },
        el('p', { class: 'message' }, finding.subject !== '' && [code(finding.subject), ' '], el('bdi', {}, finding.message)),
        el(
          'p',
          { class: 'meta' },
          code(finding.rule, { class: 'rule' }),
          el('span', {}, where(finding)),
          finding.count > 1 && el('span', {}, `${number(finding.count)} times`),
          place(finding.path, finding.offset),
        ),
        finding.ignored !== null && el('p', { class: 'meta' }, 'Ignored by the policy: ', el('bdi', {}, finding.ignored)),
        rule && el('details', {}, el('summary', {}, 'Why this rule'), el('p', {}, rule.reason)),
      ),
    );
  });
  return el('div', {}, el('ol', { class: 'findings' }, items, others), omitted(report.findings_omitted, 'finding'));
}

export function globals(report, { families, place }) {
  if (report.globals.length === 0) {
    return el('p', { class: 'empty' }, 'No pickle in it asks for a global.');
  }
  const titles = new Map(families.map((family) => [family.id, family]));
  const rows = report.globals.map((global) => {
    const family = titles.get(global.family);
    return el(
      'tr',
      {},
      el('td', {}, el('span', { class: `class ${global.class}` }, global.class)),
      el('td', {}, code(global.python3), family && el('p', { class: 'quiet' }, family.title)),
      el('td', {}, global.call_count === 0 ? 'not called' : counted(global.call_count, 'call')),
      el('td', {}, el('bdi', {}, global.path || 'the file itself'), ' ', place(global.path, global.offset)),
    );
  });
  const head = ['Judgement', 'Name that is imported', 'Calls', 'Where'];
  return el(
    'div',
    { class: 'wide' },
    el('table', {}, el('thead', {}, el('tr', {}, head.map((name) => el('th', { scope: 'col' }, name)))), el('tbody', {}, rows)),
    omitted(report.globals_omitted, 'name'),
  );
}

function weight(points) {
  if (points >= 40) return 'heavy';
  return points >= 15 ? 'middle' : 'light';
}

function where({ path, offset }) {
  const part = path === '' ? 'the file itself' : path;
  return offset === null ? part : `${part}, byte ${number(offset)}`;
}

function omitted(count, what) {
  return count > 0 ? el('p', { class: 'quiet' }, `${counted(count, what)} more than the report holds.`) : null;
}
