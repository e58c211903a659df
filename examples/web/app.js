// The page: takes a file, has a worker judge it, and shows what it says. It asks for nothing but
// its own modules and the engine, and sends nothing.

import { openFile, prepare } from './secure-torch-wasm/file.js';
import { bytes, el } from './dom.js';
import { findings, globals, placeless } from './view/findings.js';
import { map } from './view/map.js';
import { Trace } from './view/trace.js';
import { problem, verdict } from './view/verdict.js';
import { tabs } from './view/tabs.js';

const $ = (id) => document.getElementById(id);

let open = null;
let running = null;
let given = null;

function policy() {
  const most = Math.min(100, Math.max(0, Math.trunc(Number($('most').value) || 0)));
  const allow = $('allow').value.split('\n').map((line) => line.trim()).filter((line) => line !== '');
  return { maxThreatScore: most, allow };
}

function reading(name) {
  $('choose').classList.toggle('busy', name !== null);
  $('reading').hidden = name === null;
  document.querySelector('.drop-in').hidden = name !== null;
  if (name !== null) {
    $('reading-name').textContent = name;
    $('reading-bytes').textContent = '';
    $('progress').removeAttribute('value');
  }
}

function progress({ bytes: read, total }) {
  if (total > 0) $('progress').value = Math.min(1, read / total);
  $('reading-bytes').textContent = `${bytes(read)} of ${bytes(total)} read`;
}

function close() {
  running?.abort(new DOMException('Cancelled', 'AbortError'));
  running = null;
  open?.close();
  open = null;
}

async function judge(file) {
  close();
  given = file;
  const controller = new AbortController();
  running = controller;
  $('result').replaceChildren();
  reading(file.name);
  $('status').textContent = `Reading ${file.name}`;
  try {
    const chosen = policy();
    const opened = await openFile(file, { policy: chosen, signal: controller.signal, onProgress: progress });
    const tables = await opened.rules();
    if (running !== controller) return opened.close();
    open = opened;
    show(opened, tables, chosen.maxThreatScore);
  } catch (error) {
    if (error.name === 'AbortError') {
      if (running === null) $('status').textContent = 'Cancelled';
      return;
    }
    $('result').replaceChildren(problem({ code: error.code ?? 'io-failed', message: error.message, hint: error.hint }));
    $('status').textContent = 'No verdict';
    $('verdict').focus();
  } finally {
    if (running === controller || running === null) {
      running = null;
      reading(null);
    }
  }
}

function show(file, tables, most) {
  // The canonical text's own names, as `spec/report.schema.json` has them.
  const report = file.report.toJSON();
  const trace = new Trace(file, tables.opcodes);
  const bar = el('div', {});
  let traced = null;
  const once = () => (traced ??= trace.load().catch(failed(trace.node)));
  const place = (path, offset) =>
    offset !== null && report.globals.length + report.findings.length > 0
      ? el('button', { type: 'button', class: 'link', onclick: (event) => jump(path, offset, event.target) }, 'show')
      : null;
  const jump = async (path, offset, button) => {
    await once();
    panels.open('opcodes');
    if (await trace.jump(path, offset)) {
      panels.node.scrollIntoView({ block: 'start', behavior: 'instant' });
      return;
    }
    panels.back();
    button.replaceWith(el('span', {}, 'no opcode stands there'));
  };
  const panels = tabs([
    { id: 'findings', title: 'Findings', count: report.findings.length + placeless(report).length, body: findings(report, { rules: tables.rules, place }) },
    { id: 'globals', title: 'Globals', count: report.globals.length, body: globals(report, { families: tables.families, place }) },
    { id: 'archive', title: 'Archive', body: bar, opened: async () => bar.replaceChildren(await file.archive().then(map, failed(bar))) },
    { id: 'opcodes', title: 'Opcodes', body: trace.node, opened: once },
  ]);
  $('result').replaceChildren(verdict(report, { levels: tables.levels, families: tables.families, most }), el('section', { class: 'card' }, panels.node), exports(file.report, report));
  $('status').textContent = `${report.verdict === 'allow' ? 'Allowed' : 'Blocked'}: ${report.path}, score ${report.threat_score} of 100`;
  $('verdict').focus({ preventScroll: true });
  $('result').scrollIntoView({ block: 'start', behavior: 'instant' });
}

const failed = (node) => (error) => {
  const message = el('p', { class: 'problem' }, error.message);
  node.replaceChildren(message);
  return message;
};

function exports(whole, report) {
  const base = (report.path.split(/[\\/]/).pop() || 'model').replaceAll(/[^\w.-]/g, '_');
  const save = (text, name, type) => () => {
    const url = URL.createObjectURL(new Blob([text], { type }));
    el('a', { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  };
  return el(
    'section',
    { class: 'exports', 'aria-label': 'Save the report' },
    el('button', { type: 'button', id: 'save-json', onclick: save(whole.json(), `${base}.report.json`, 'application/json') }, 'Save report (JSON)'),
    el('button', { type: 'button', id: 'save-sarif', onclick: save(whole.sarif(), `${base}.sarif`, 'application/sarif+json') }, 'Save as SARIF'),
    el('span', { class: 'quiet' }, `Rules ${report.rules.version}`),
  );
}

$('pick').addEventListener('click', () => $('file').click());
$('file').addEventListener('change', () => {
  const [file] = $('file').files;
  $('file').value = '';
  if (file) judge(file);
});
$('cancel').addEventListener('click', () => {
  close();
  $('status').textContent = 'Cancelled';
  reading(null);
  $('pick').focus();
});
for (const id of ['most', 'allow']) $(id).addEventListener('change', () => open && judge(given));

let inside = 0;
const dragged = (event) => event.dataTransfer?.types.includes('Files');
addEventListener('dragenter', (event) => {
  if (dragged(event)) $('choose').classList.toggle('over', ++inside > 0);
});
addEventListener('dragleave', (event) => {
  if (dragged(event)) $('choose').classList.toggle('over', --inside > 0);
});
addEventListener('dragover', (event) => dragged(event) && event.preventDefault());
addEventListener('drop', (event) => {
  if (!dragged(event)) return;
  event.preventDefault();
  inside = 0;
  $('choose').classList.remove('over');
  const [file] = event.dataTransfer.files;
  if (file) judge(file);
});

prepare().then(
  () => document.documentElement.setAttribute('data-ready', ''),
  (error) => $('result').replaceChildren(problem({ code: error.code, message: error.message, hint: error.hint })),
);
