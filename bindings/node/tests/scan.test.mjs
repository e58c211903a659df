// `scan`, its reports, policies and errors.

import assert from "node:assert/strict";
import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import * as st from "secure-torch";

const folder = mkdtempSync(join(tmpdir(), "secure-torch-"));
after(() => rmSync(folder, { recursive: true }));

const HOSTILE = Buffer.from("cposix\nsystem\n(S'echo hello'\ntR.");
const HONEST = Buffer.from("\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.", "latin1");

/** A view of bytes that another thread has now. */
function transferred() {
  const view = new Uint8Array(8);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

test("a hostile file is a report", async () => {
  for (const report of [await st.scan(HOSTILE, { name: "m.pkl" }), st.scanSync(HOSTILE, { name: "m.pkl" })]) {
    assert.ok(report instanceof st.Report);
    assert.equal(report.path, "m.pkl");
    assert.equal(report.verdict, "block");
    assert.equal(report.loadAllowed, false);
    assert.equal(report.threatLevel, "CRITICAL");
    assert.equal(report.sizeBytes, HOSTILE.length);
    assert.ok(report.reasons.length > 0);
    assert.ok(report.findings.some((finding) => finding.rule === "pickle.global.dangerous"));
    assert.equal(report.scoreBreakdown["pickle.global.dangerous"], report.findings[0].points);
    const [asked] = report.globals;
    assert.deepEqual([asked.python3, asked.class, asked.callCount], ["posix.system", "dangerous", 1]);
    // `stringify` writes the canonical form: the same keys in the same order.
    assert.equal(JSON.stringify(report), report.json());
    const log = JSON.parse(report.sarif());
    assert.equal(log.runs[0].results[0].ruleId, "pickle.global.dangerous");
  }
});

test("an honest file is let through", async () => {
  const report = await st.scan(HONEST);
  assert.deepEqual([report.verdict, report.path, report.loadAllowed], ["allow", "<bytes>", true]);
  assert.match(await report.sha256(), /^[0-9a-f]{64}$/);
  assert.deepEqual((await st.load(HONEST)).root, new Map([["a", 1]]));
});

test("a path, a URL and every kind of bytes are the same", async () => {
  const path = join(folder, "tränen 模型 %41.pkl");
  writeFileSync(path, HOSTILE);
  const wanted = (await st.scan(path)).json();
  assert.equal((await st.scan(pathToFileURL(path))).json(), wanted);
  const array = Uint8Array.from(HOSTILE);
  const padded = new Uint8Array(HOSTILE.length + 16);
  padded.set(HOSTILE, 8);
  const shared = new Uint8Array(new SharedArrayBuffer(HOSTILE.length));
  shared.set(HOSTILE);
  const kinds = [
    HOSTILE, array, array.buffer, new DataView(array.buffer), shared, shared.buffer,
    padded.subarray(8, 8 + HOSTILE.length),
  ];
  for (const bytes of kinds) {
    assert.equal((await st.scan(bytes, { name: path })).json(), wanted);
    assert.equal(st.scanSync(bytes, { name: path }).json(), wanted);
  }
});

test("what is judged is a copy", async () => {
  const bytes = Uint8Array.from(HOSTILE);
  const pending = st.scan(bytes);
  bytes.fill(0x2e);
  assert.equal((await pending).verdict, "block");
  const honest = Uint8Array.from(HONEST);
  const loading = st.load(honest);
  honest.set(HOSTILE.subarray(0, honest.length));
  assert.deepEqual((await loading).root, new Map([["a", 1]]));
});

test("what is blocked is not loaded", async () => {
  const blocked = async (call) => {
    const error = await call.then(() => assert.fail("it was let through"), (found) => found);
    assert.ok(error instanceof st.ModelBlockedError && error instanceof st.SecureTorchError);
    assert.deepEqual([error.name, error.code, error.report.verdict], ["ModelBlockedError", "model-blocked", "block"]);
    assert.match(error.hint, /findings/);
  };
  await blocked(st.load(HOSTILE));
  await blocked(st.convert(HOSTILE, join(folder, "never.safetensors")));
  assert.throws(() => st.loadSync(HOSTILE), { code: "model-blocked" });
  // Listening to the report alone lets nothing run: what has no rule stays an error.
  await assert.rejects(st.load(HOSTILE, { auditOnly: true }), { code: "model-unsupported" });
});

test("errors have a code, a hint and a path", async () => {
  const missing = join(folder, "no such.pt");
  const rejected = [
    [() => st.scan(missing), { name: "SecureTorchError", code: "io-not-found", path: missing }],
    [() => st.load(missing), { code: "io-not-found" }],
    [() => st.scan(folder), { code: "io-not-a-file" }],
    [() => st.load(folder), { code: "io-not-found" }],
    [() => st.scan("a\0b"), { code: "usage" }],
    [() => st.scan(7), { code: "usage" }],
    [() => st.scan(null), { code: "usage" }],
    [() => st.scan(undefined), { code: "usage" }],
    [() => st.scan({}), { code: "usage" }],
    [() => st.scan(HONEST, { maxThreatScore: 101 }), { code: "usage" }],
    [() => st.scan(HONEST, { maxThreatScore: "20" }), { code: "usage" }],
    [() => st.scan(HONEST, { policy: {} }), { code: "usage" }],
    [() => st.scan(HONEST, { polcy: new st.Policy() }), { code: "usage", message: /polcy/ }],
    [() => st.load(HONEST, { encoding: "rot13" }), { code: "usage" }],
    [() => st.load(HONEST, { sealed: "yes" }), { code: "usage", message: /sealed/ }],
    [() => st.scan(HONEST, { name: 7 }), { code: "usage", message: /name/ }],
    [() => st.scan(HONEST, { signal: null }), { code: "usage" }],
    [() => st.scan(HONEST, null), { code: "usage" }],
    [() => st.scan(new URL("http://localhost/m.pt")), { code: "usage" }],
    [() => st.scan(transferred()), { code: "usage" }],
    [() => st.scan(transferred().buffer), { code: "usage" }],
    [() => st.scan({ [Symbol.toStringTag]: "ArrayBuffer", length: 4 }), { code: "usage" }],
    [() => st.convert(HONEST, 7), { code: "usage" }],
    [() => st.load(Buffer.from("\x80\x02}", "latin1")), { code: /./ }],
    [() => st.verify(HONEST), { code: "feature-missing" }],
  ];
  for (const [call, wanted] of rejected) {
    const error = await call().then(() => assert.fail("no error"), (found) => found);
    assert.ok(error instanceof st.SecureTorchError, String(error));
    assert.ok(error.hint);
    for (const [key, value] of Object.entries(wanted)) {
      if (value instanceof RegExp) assert.match(error[key], value);
      else assert.equal(error[key], value);
    }
  }
  assert.throws(() => st.scanSync(missing), { code: "io-not-found" });
  // A native function gets whatever a caller hands over, and never brings the process down.
  for (const odd of [Symbol("x"), 1n, () => {}, [], new Map()]) {
    assert.throws(() => st.scanSync(odd), { code: "usage" });
  }
});

test("a pipe, a device and a hostile name are no way in", { skip: process.platform === "win32" }, async () => {
  await assert.rejects(st.scan("/dev/zero"), { code: "io-not-a-file" });
  const name = "a\u001b[31m\u202eb.pkl";
  writeFileSync(join(folder, name), HOSTILE);
  const report = await st.scan(join(folder, name));
  assert.equal(report.path, join(folder, "a\\u{1b}[31m\\u{202e}b.pkl"));
  const error = await st.load(join(folder, name)).catch((found) => found);
  assert.ok(!error.message.includes("\u001b") && !error.message.includes("\u202e"));
  symlinkSync("nowhere", join(folder, "dangling"));
  await assert.rejects(st.scan(join(folder, "dangling")), { code: "io-not-found" });
});

test("a policy lets through what it names", async () => {
  const pickle = Buffer.from("cmy.own\nThing\n.");
  assert.equal((await st.scan(pickle)).verdict, "block");
  const policy = new st.Policy({ allow: ["my.own.Thing"] });
  assert.deepEqual([policy.allow, policy.maxThreatScore, policy.path], [["my.own.Thing"], 20, null]);
  assert.equal((await st.scan(pickle, { policy })).verdict, "allow");
  // Of two scores the lower one counts.
  const loose = new st.Policy({ maxThreatScore: 100 });
  assert.equal((await st.scan(HOSTILE, { policy: loose })).verdict, st.scanSync(HOSTILE, { policy: loose }).verdict);
  assert.equal((await st.scan(pickle, { policy: loose })).verdict, "allow");
  assert.equal((await st.scan(pickle, { policy: loose, maxThreatScore: 20 })).verdict, "block");
  assert.equal(loose.withMaxThreatScore(5).maxThreatScore, 5);
  for (const wrong of [{ allow: ["nodots"] }, { limits: { "no.such": 1 } }]) {
    assert.throws(() => new st.Policy(wrong), { code: "policy-invalid" });
  }
  // A name that is misspelled would leave the default in force.
  for (const wrong of [{ maxThreatscore: 0 }, { limits: { "archive.depth": 1.5 } }, { allow: "my.own.Thing" }, { allow: [7] }, null]) {
    assert.throws(() => new st.Policy(wrong), { name: "SecureTorchError", code: "usage" });
  }
  for (const make of ["open", "fromToml", "discover"]) {
    assert.throws(() => st.Policy[make](7), { name: "SecureTorchError", code: "usage" });
  }

  const file = join(folder, "secure-torch.toml");
  writeFileSync(file, 'max_threat_score = 15\n');
  assert.equal(st.Policy.open(file).maxThreatScore, 15);
  assert.equal(st.Policy.open(file).path, file);
  assert.equal(st.Policy.fromToml("max_threat_score = 7", folder).maxThreatScore, 7);
  assert.throws(() => st.Policy.fromToml("max_threat_score = 'x'"), { code: "policy-invalid" });
  assert.throws(() => st.Policy.open(join(folder, "none.toml")), { code: "io-not-found" });
  const here = process.cwd();
  mkdirSync(join(folder, "models/in"), { recursive: true });
  writeFileSync(join(folder, "models/in/m.pkl"), HONEST);
  try {
    process.chdir(folder);
    const found = st.Policy.discover("models/in/m.pkl");
    assert.deepEqual([found.path, found.policy.maxThreatScore], ["secure-torch.toml", 15]);
    process.chdir(join(folder, "models"));
    assert.notEqual(st.Policy.discover(join(folder, "models/in/m.pkl")), null);
  } finally {
    process.chdir(here);
  }
});

test("numbers that JavaScript would round are exact", async () => {
  // LONG1 of eight bytes.
  const pickle = (number) => {
    const bytes = Buffer.from("\x80\x02\x8a\x08________.", "latin1");
    bytes.writeBigInt64LE(number, 4);
    return bytes;
  };
  for (const wanted of [2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 62n]) {
    assert.equal((await st.load(pickle(wanted))).root, wanted);
  }
  for (const wanted of [2n ** 53n - 1n, -(2n ** 53n) + 1n]) {
    assert.equal((await st.load(pickle(wanted))).root, Number(wanted));
  }
  // A hole of more than 2^53 bytes is nothing that a file system makes, but a limit can be named.
  const policy = new st.Policy({ limits: { "file.standard_input_bytes": 2n ** 60n } });
  assert.equal((await st.scan(HONEST, { policy })).verdict, "allow");
});

test("rules and version are those of the engine", () => {
  const { rules, levels } = st.rules();
  assert.ok(rules.length > 20 && levels.length > 3);
  assert.match(st.version, /^\d+\.\d+\.\d+/);
});

test("`require` gives the very same", () => {
  const required = createRequire(import.meta.url)("secure-torch");
  assert.deepEqual(Object.keys(required).sort(), Object.keys(st).filter((name) => name !== "default").sort());
  for (const [name, value] of Object.entries(st)) assert.equal(required[name], value);
});

test("converting writes what loading gives", async () => {
  const pickle = join(folder, "empty.npy");
  const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".padEnd(117) + "\n";
  const npy = Buffer.concat([Buffer.from("\x93NUMPY\x01\x00v\x00", "latin1"), Buffer.from(header), Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer)]);
  writeFileSync(pickle, npy);
  const out = join(folder, "out.safetensors");
  const told = await st.convert(pickle, out);
  assert.deepEqual([told.tensors, told.dropped, told.report.verdict], [1, 0, "allow"]);
  const made = await st.load(out);
  assert.deepEqual([...made.get(made.keys()[0]).data], [1, 2, 3, 4, 5, 6]);
  await assert.rejects(st.convert(pickle, out), { code: "io-exists" });
  assert.equal(st.convertSync(pickle, out, { force: true }).tensors, 1);
  await assert.rejects(st.convert(HONEST, join(folder, "x.safetensors")), { code: "model-inconvertible" });
});
