// The package in Node: `scan` for bytes, `Slices` for what is read piece by piece, policies, errors.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { Zip, built, command, hostile, real, root } from './support.mjs';

const { Policy, Report, SecureTorchError, Slices, rules, scan, version } = await import(
  pathToFileURL(join(built, 'node.js'))
);

const slices = (bytes, name = 'x.pt', policy = undefined) =>
  new Slices(name, bytes.length, (offset, length) => bytes.subarray(offset, offset + length), policy);

test('a hostile pickle is blocked, and the report says why', () => {
  const report = scan('model.pt', hostile);
  assert.equal(report.verdict, 'block');
  assert.equal(report.loadAllowed, false);
  assert.equal(report.threatLevel, 'CRITICAL');
  assert.deepEqual(report.globals.map(({ python3, class: kind, callCount }) => [python3, kind, callCount]), [
    ['posix.system', 'dangerous', 1],
  ]);
  assert.equal(report.scoreBreakdown['pickle.global.dangerous'], 70);
  assert.deepEqual(JSON.parse(report.sarif()).runs[0].results[0].ruleId, 'pickle.global.dangerous');
  assert.equal(JSON.stringify(report), report.json());
});

test('bytes are taken in every shape, and copied', () => {
  const wide = new Uint8Array([0, ...hostile, 0]);
  const view = wide.subarray(1, 1 + hostile.length);
  const texts = [hostile, view, view.slice().buffer, new DataView(view.buffer, 1, hostile.length)];
  assert.equal(new Set(texts.map((bytes) => scan('a.pt', bytes).json())).size, 1);
  assert.equal(scan('a.pt', new Uint8Array()).verdict, 'block');
  assert.equal(wide[1], hostile[0]);
});

test('the report is the one of the command, byte for byte', (t) => {
  const file = real('lpips_models/alex.pth');
  if (file === null || command(file) === null) return t.skip('no real inputs, or no command');
  const report = scan('alex.pth', readFileSync(file));
  assert.equal(report.verdict, 'allow');
  assert.ok(command(file).includes(`"reports":[${report.json()}]`));
});

test('slices give the report of the whole, and what is inside', () => {
  const bytes = new Zip()
    .add('m/data.pkl', Buffer.from('\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.', 'latin1'))
    .add('m/data/0', Buffer.alloc(5000, 7))
    .bytes();
  const file = slices(bytes);
  assert.equal(file.scan().json(), scan('x.pt', bytes).json());
  const map = file.archive();
  assert.deepEqual(map.members.map(({ name, role }) => [name, role]), [
    ['m/data.pkl', 'pickle'],
    ['m/data/0', 'storage'],
  ]);
  assert.equal(bytes[map.members[1].data_offset], 7);
  const [pickle] = file.pickles();
  assert.equal(pickle.path, 'm/data.pkl');
  const rows = file.rows(0, 0, 100);
  assert.equal(rows.length, pickle.rows);
  assert.deepEqual(file.rows(0, 2, 2), rows.slice(2, 4));
  assert.equal(file.find(0, 'setitem'), rows.findIndex(({ opcode }) => opcode === 'SETITEM'));
  assert.equal(file.find(0, 'no such text'), null);
  assert.equal(file.rowAt(0, 3), rows.findIndex(({ offset }) => offset === 3));
  file.free();
  assert.equal(slices(hostile).archive(), null);
});

test('a policy lets through what it names, and says what it cannot use', () => {
  const bytes = Buffer.from('cmine\nThing\n)R.');
  assert.equal(scan('a.pkl', bytes).verdict, 'block');
  const policy = new Policy({ allow: ['mine.Thing'], maxThreatScore: 35 });
  assert.equal(scan('a.pkl', bytes, policy).verdict, 'allow');
  assert.equal(scan('a.pkl', bytes, policy.options).verdict, 'allow');
  assert.equal(scan('a.pkl', hostile, { allow: ['posix.system'] }).verdict, 'block');
  const toml = '[[allow]]\nglobal = "mine.Thing"\nreason = "ours"\n';
  assert.equal(scan('a.pkl', bytes, Policy.fromToml(toml)).globals[0].python3, 'mine.Thing');
  const invalid = [
    { toml: 'nonsense = 1' },
    { allow: ['nodots'] },
    { limits: { 'no.such': 1 } },
    { limits: { 'archive.depth': -1 } },
    { maxThreatScore: 1.5 },
    { maxThreatScore: 256 },
    { max_threat_score: 3 },
  ];
  for (const options of invalid) {
    assert.throws(() => new Policy(options), (error) => {
      assert.ok(error instanceof SecureTorchError);
      assert.equal(error.code, 'policy-invalid');
      return error.hint !== '';
    });
  }
});

test('what cannot be read is an error, and no verdict', () => {
  const failing = (read) => () => new Slices('x.pt', 100, read).scan();
  const thrown = failing(() => {
    throw new Error('the disk is gone');
  });
  assert.throws(thrown, (error) => error instanceof SecureTorchError && error.code === 'io-failed');
  assert.throws(failing(() => new Uint8Array(3)), { code: 'io-changed' });
  assert.throws(failing(() => 'text'), (error) => error instanceof Error);
  assert.equal(scan('a.pt', hostile).verdict, 'block');
});

test('rules and versions are those of the engine', () => {
  const tables = rules();
  assert.ok(tables.rules.some(({ id }) => id === 'pickle.global.dangerous'));
  assert.equal(tables.opcodes.length, 68);
  assert.equal(version, JSON.parse(readFileSync(join(built, 'package.json'), 'utf8')).version);
  assert.equal(new Report(scan('a', hostile).json(), '').threatScore, scan('a', hostile).threatScore);
});

test('nothing in the page takes text for HTML', () => {
  const folder = join(root, 'examples/web');
  const sources = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.js'));
  assert.ok(sources.length >= 5);
  for (const name of sources) {
    const text = readFileSync(join(folder, name), 'utf8');
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|DOMParser/, name);
  }
});
