// Real uploads over HTTP: what is let through is stored whole, and nothing else leaves a trace.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { Agent, request as send } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { application } from "./app.mjs";
import { Gate } from "./gate.mjs";

const HOSTILE = Buffer.from("cposix\nsystem\n(S'echo hello'\ntR.");
const HONEST = Buffer.from("\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.", "latin1");
const MOST = 2 ** 20;

const inputs = process.env.SECURE_TORCH_INPUTS;
const model = inputs && join(inputs, "torchmetrics-1.9.0/torchmetrics/functional/image/lpips_models/alex.pth");
const real = model && existsSync(model) ? readFileSync(model) : undefined;

const storage = mkdtempSync(join(tmpdir(), "upload-gate-"));
let app, base, port;

before(async () => {
  app = await application({ storage, maxBytes: MOST });
  base = await app.listen({ port: 0, host: "127.0.0.1" });
  ({ port } = app.server.address());
});
after(async () => {
  await app.close();
  rmSync(storage, { recursive: true });
});

const stored = () => readdirSync(storage).filter((name) => !name.startsWith(".")).sort();
const passing = () => readdirSync(join(storage, ".incoming"));

function raw(name, body) {
  const headers = { "content-type": "application/octet-stream" };
  return fetch(`${base}/models/${encodeURIComponent(name)}`, { method: "PUT", headers, body });
}

function form(name, body) {
  const data = new FormData();
  data.set("model", new Blob([body]), name);
  return fetch(`${base}/models`, { method: "POST", body: data });
}

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

for (const [how, upload] of [["raw", raw], ["form", form]]) {
  test(`${how}: an honest model is stored whole`, async () => {
    const response = await upload(`${how}.pkl`, HONEST);
    const told = await response.json();
    assert.equal(response.status, 201, JSON.stringify(told));
    assert.equal(told.sha256, sha256(HONEST));
    assert.deepEqual(readFileSync(join(storage, `${how}.pkl`)), HONEST);
    assert.deepEqual(passing(), []);
  });

  test(`${how}: a hostile model is refused with its report, and gone`, async () => {
    const before = stored();
    const response = await upload("evil.pt", HOSTILE);
    assert.equal(response.status, 422);
    const { error, report } = await response.json();
    assert.equal(error, "the model is blocked");
    assert.equal(report.verdict, "block");
    assert.equal(report.path, "evil.pt");
    assert.ok(!JSON.stringify(report).includes(storage));
    assert.ok(report.globals.some((global) => global.python3 === "posix.system"));
    assert.deepEqual(stored(), before);
    assert.deepEqual(passing(), []);
  });

  test(`${how}: too large a model is refused while it comes`, async () => {
    const before = stored();
    const response = await upload("large.pt", Buffer.alloc(MOST + 1)).catch((error) => error);
    // The server may close the connection before all was sent.
    if (response instanceof Response) assert.equal(response.status, 413);
    assert.deepEqual(stored(), before);
    await settled();
  });

  test(`${how}: a published model is stored, and half of one is not`, { skip: real ? false : "no inputs" }, async () => {
    assert.equal((await upload(`${how}-alex.pth`, real)).status, 201);
    assert.equal(sha256(readFileSync(join(storage, `${how}-alex.pth`))), sha256(real));
    const before = stored();
    const response = await upload(`${how}-half.pth`, real.subarray(0, real.length / 2));
    assert.equal(response.status, 422);
    assert.deepEqual(stored(), before);
    assert.deepEqual(passing(), []);
  });

  test(`${how}: a name leads nowhere else`, async () => {
    for (const name of ["../evil.pkl", "..", ".hidden", "a/b.pkl", "a\u0000b", "", "x".repeat(101)]) {
      const response = await upload(name, HONEST);
      if (response.status === 201) {
        // Parsers of forms cut the folders off a file's name.
        const told = await response.json();
        assert.match(told.name, /^[A-Za-z0-9_][A-Za-z0-9._-]*$/);
        rmSync(join(storage, told.name));
      } else {
        assert.ok(response.status >= 400 && response.status < 500, `${name}: ${response.status}`);
      }
    }
    assert.ok(!existsSync(join(storage, "../evil.pkl")));
    assert.deepEqual(passing(), []);
  });
}

test("without a length, what is too large is refused too", async () => {
  const status = await new Promise((resolve) => {
    const headers = { "content-type": "application/octet-stream", "transfer-encoding": "chunked" };
    const request = send({ port, method: "PUT", path: "/models/endless.pt", headers });
    request.on("response", (response) => resolve(response.statusCode));
    request.on("error", resolve);
    const piece = Buffer.alloc(1 << 16);
    const more = () => {
      while (!request.destroyed && request.write(piece));
    };
    request.on("drain", more);
    more();
  });
  assert.equal(status, 413);
  await settled();
  assert.ok(!stored().includes("endless.pt"));
});

test("a connection that breaks off leaves nothing", async () => {
  const headers = { "content-type": "application/octet-stream", "content-length": MOST };
  const request = send({ port, method: "PUT", path: "/models/broken.pt", headers });
  request.on("error", () => {});
  request.write(Buffer.alloc(1 << 16));
  while (passing().length === 0) await pause(5);
  request.destroy();
  await settled();
  assert.ok(!stored().includes("broken.pt"));
});

test("a form that ends too early leaves nothing", async () => {
  const head = '--x\r\ncontent-disposition: form-data; name="model"; filename="half.pkl"\r\n\r\n';
  const headers = { "content-type": "multipart/form-data; boundary=x" };
  const body = Buffer.concat([Buffer.from(head), HONEST]);
  const response = await fetch(`${base}/models`, { method: "POST", headers, body });
  assert.equal(response.status, 400);
  assert.ok(!stored().includes("half.pkl"));
  await settled();
});

test("uploads at the same time keep to themselves", async () => {
  const calls = Array.from({ length: 16 }, (_, at) => raw(`many-${at}.pkl`, at % 2 ? HOSTILE : HONEST));
  const statuses = (await Promise.all(calls)).map((response) => response.status);
  assert.deepEqual(statuses, Array.from({ length: 16 }, (_, at) => (at % 2 ? 422 : 201)));
  assert.equal(stored().filter((name) => name.startsWith("many-")).length, 8);
  // Of one name the first wins, and stays.
  const same = await Promise.all([raw("same.pkl", HONEST), raw("same.pkl", HONEST)]);
  assert.deepEqual(same.map((response) => response.status).sort(), [201, 409]);
  assert.equal((await raw("same.pkl", HOSTILE)).status, 422);
  assert.deepEqual(readFileSync(join(storage, "same.pkl")), HONEST);
  assert.deepEqual(passing(), []);
});

test("a connection that serves many uploads gathers nothing", async () => {
  const warnings = [];
  const warned = (warning) => warnings.push(warning.name);
  process.on("warning", warned);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const headers = { "content-type": "application/octet-stream", "content-length": HOSTILE.length };
  const sockets = new Set();
  for (let at = 0; at < 12; at++) {
    const request = send({ agent, port, method: "PUT", path: `/models/again-${at}.pkl`, headers });
    request.end(HOSTILE);
    const [response] = await once(request, "response");
    assert.equal(response.statusCode, 422);
    sockets.add(request.socket);
    response.resume();
    await once(response, "end");
  }
  await pause(0);
  agent.destroy();
  process.off("warning", warned);
  assert.equal(sockets.size, 1);
  assert.deepEqual(warnings, []);
});

test("a sender that leaves ends the judging", async () => {
  const take = Gate.prototype.take;
  let left, reached;
  const gone = new Promise((resolve) => (left = resolve));
  const there = new Promise((resolve) => (reached = resolve));
  Gate.prototype.take = async (stream, _, signal) => {
    stream.resume();
    signal.addEventListener("abort", () => left(signal.reason));
    reached();
    return gone.then((reason) => Promise.reject(reason));
  };
  try {
    const headers = { "content-type": "application/octet-stream", "content-length": HONEST.length };
    const request = send({ port, method: "PUT", path: "/models/gone.pkl", headers });
    request.on("error", () => {});
    request.end(HONEST);
    await there;
    request.destroy();
    assert.equal((await gone).statusCode, 400);
  } finally {
    Gate.prototype.take = take;
  }
});

test("what is no upload is told so", async () => {
  const headers = { "content-type": "application/json" };
  const json = await fetch(`${base}/models/x.pkl`, { method: "PUT", headers, body: "{}" });
  assert.equal(json.status, 415);
  const empty = await fetch(`${base}/models`, { method: "POST", body: new FormData() });
  assert.equal(empty.status, 400);
});

/** Waits until nothing is on its way any more. */
async function settled() {
  while (passing().length > 0) await pause(5);
}
