// Streams, limits, and calls that are taken back.

import assert from "node:assert/strict";
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, test } from "node:test";

import * as st from "secure-torch";

const folder = mkdtempSync(join(tmpdir(), "secure-torch-"));
after(() => rmSync(folder, { recursive: true }));

const HOSTILE = Buffer.from("cposix\nsystem\n(S'echo hello'\ntR.");
const HONEST = Buffer.from("\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.", "latin1");

const bytewise = (bytes) => Array.from(bytes, (byte) => Uint8Array.of(byte));

function web(pieces, seen = {}) {
  return new ReadableStream({
    pull(controller) {
      const piece = pieces.shift();
      if (piece) controller.enqueue(piece);
      else controller.close();
    },
    cancel(reason) {
      seen.cancelled = reason;
    },
  });
}

/** A stream of which nothing more ever comes. */
function stalled() {
  return new Readable({ read() {} });
}

test("streams of every kind are judged as their bytes", async () => {
  const path = join(folder, "m.pkl");
  writeFileSync(path, HOSTILE);
  const wanted = (await st.scan(HOSTILE, { name: "m" })).json();
  async function* generated() {
    yield* bytewise(HOSTILE);
  }
  const streams = [
    createReadStream(path, { highWaterMark: 3 }),
    Readable.from(bytewise(HOSTILE)),
    web(bytewise(HOSTILE)),
    new Blob([HOSTILE]).stream(),
    new Response(HOSTILE).body,
    generated(),
  ];
  for (const stream of streams) assert.equal((await st.scan(stream, { name: "m" })).json(), wanted);
  assert.equal((await st.scan(Readable.from([HONEST]))).path, "<stream>");
  assert.deepEqual((await st.load(web(bytewise(HONEST)))).root, new Map([["a", 1]]));
  await assert.rejects(st.load(web(bytewise(HOSTILE))), { code: "model-blocked" });
  // An empty stream is an empty file.
  assert.equal((await st.scan(web([]))).json(), (await st.scan(Buffer.alloc(0), { name: "<stream>" })).json());
});

test("a stream over the limit is refused, and ended", async () => {
  const policy = new st.Policy({ limits: { "file.standard_input_bytes": 10 } });
  const seen = {};
  await assert.rejects(st.scan(web(bytewise(HOSTILE), seen), { policy }), { code: "input-too-large" });
  assert.ok("cancelled" in seen);
  const stream = Readable.from(bytewise(HOSTILE));
  await assert.rejects(st.load(stream, { policy }), { code: "input-too-large" });
  assert.ok(stream.destroyed);
  assert.equal((await st.scan(Readable.from([HOSTILE.subarray(0, 10)]), { policy })).sizeBytes, 10);
});

test("a piece is a copy, too", async () => {
  const piece = Uint8Array.from(HOSTILE);
  async function* reused() {
    yield piece;
    piece.fill(0x2e);
  }
  assert.equal((await st.scan(reused())).verdict, "block");
});

test("what is no stream of bytes is an error, and the stream's own error comes through", async () => {
  const text = createReadStream(join(folder, "m.pkl"), "utf8");
  await assert.rejects(st.scan(text), { code: "usage" });
  assert.ok(text.destroyed);
  const failure = new Error("the line is dead");
  async function* failing() {
    yield HONEST;
    throw failure;
  }
  await assert.rejects(st.scan(failing()), failure);
  await assert.rejects(st.scan(createReadStream(join(folder, "none"))), { code: "ENOENT" });
  assert.throws(() => st.scanSync(Readable.from([HONEST])), { code: "usage" });
});

test("a signal takes a call back, with its own reason", async () => {
  await assert.rejects(st.scan(HONEST, { signal: AbortSignal.abort() }), { name: "AbortError" });
  const reason = new Error("no more");
  await assert.rejects(st.load(HONEST, { signal: AbortSignal.abort(reason) }), reason);

  // While a stream stalls.
  const waiting = stalled();
  const first = new AbortController();
  const pending = st.scan(waiting, { signal: first.signal });
  setImmediate(() => first.abort(reason));
  await assert.rejects(pending, reason);
  assert.ok(waiting.destroyed);

  // While the work runs, or waits for a thread.
  const second = new AbortController();
  const many = Array.from({ length: 20 }, () => st.scan(Buffer.alloc(1 << 20), { signal: second.signal }));
  second.abort(reason);
  for (const result of await Promise.allSettled(many)) assert.equal(result.reason, reason);
  // The timer of such a signal keeps no process alive, and neither does the stream.
  const alive = setInterval(() => {}, 1_000);
  await assert.rejects(st.scan(stalled(), { signal: AbortSignal.timeout(5) }), { name: "TimeoutError" });
  clearInterval(alive);

  // Afterwards it changes nothing, and nothing is left hanging on the signal.
  const third = new AbortController();
  assert.equal((await st.scan(HONEST, { signal: third.signal })).verdict, "allow");
  third.abort();
  assert.equal((await st.scan(HONEST)).verdict, "allow");
});

test("many calls at once keep to themselves", async () => {
  const calls = Array.from({ length: 64 }, (_, at) => st.scan(at % 2 ? HOSTILE : HONEST, { name: `m${at}` }));
  for (const [at, report] of (await Promise.all(calls)).entries()) {
    assert.deepEqual([report.path, report.verdict], [`m${at}`, at % 2 ? "block" : "allow"]);
  }
});
