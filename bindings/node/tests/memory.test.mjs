// Whose memory it is: nothing is copied, nothing leaks, and no file changes.

import assert from "node:assert/strict";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";

import * as st from "secure-torch";

const folder = mkdtempSync(join(tmpdir(), "secure-torch-"));
after(() => rmSync(folder, { recursive: true }));

const linux = process.platform === "linux" ? false : "it reads /proc";
const gc = globalThis.gc ? false : "it needs `--expose-gc`";

/** A safetensors file of one tensor of float32, whose pages are a hole. */
function hollow(name, bytes) {
  const entry = { dtype: "F32", shape: [bytes / 4], data_offsets: [0, bytes] };
  let header = JSON.stringify({ weight: entry });
  header = header.padEnd(Math.ceil(header.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const path = join(folder, name);
  const file = openSync(path, "w");
  writeSync(file, Buffer.concat([length, Buffer.from(header)]));
  ftruncateSync(file, 8 + header.length + bytes);
  closeSync(file);
  return path;
}

/** Memory of this process's own, in MiB: what a copy would take. Pages of a mapped file are none. */
function own() {
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
}

async function settle() {
  // Node lets go of outside memory in a turn of its own after the collection.
  for (let times = 0; times < 4; times++) {
    globalThis.gc();
    await turn();
  }
}

test("a gigabyte is looked at without a copy of it", { skip: linux || gc }, async () => {
  const path = hollow("large.safetensors", 1 << 30);
  await st.scan(path);
  await settle();
  const before = own();
  const made = await st.load(path);
  const { data } = made.get("weight");
  assert.equal(data.byteLength, 1 << 30);
  let sum = 0;
  for (let at = 0; at < data.length; at += 1024) sum += data[at];
  assert.equal(sum, 0);
  const grown = own() - before;
  assert.ok(grown < 64, `${grown.toFixed(0)} MiB more`);
  // A copy would be seen: this is one.
  const copied = new Float32Array(1 << 26).fill(1);
  assert.ok(own() - before > 200 && copied[7] === 1);
});

test("writing changes no file, and is seen through the storage alone", async () => {
  const path = hollow("mine.safetensors", 1 << 20);
  const first = await st.load(path);
  const second = await st.load(path);
  first.get("weight").data.fill(7);
  assert.equal(first.get("weight").data[9], 7);
  assert.equal(second.get("weight").data[9], 0);
  assert.ok(readFileSync(path).subarray(-4096).every((byte) => byte === 0));
});

test("a file that shrinks under a tensor ends nothing", { skip: linux }, async () => {
  const path = hollow("shrinking.safetensors", 1 << 20);
  const { data } = (await st.load(path)).get("weight");
  const file = openSync(path, "r+");
  ftruncateSync(file, 4096);
  closeSync(file);
  assert.equal(data[data.length - 1], 0);
});

test("a tensor that is longer than a buffer can be is an error with a code", async () => {
  const made = await st.load(hollow("longer.safetensors", 5 * 2 ** 30));
  try {
    assert.equal(made.get("weight").data.byteLength, 5 * 2 ** 30);
  } catch (error) {
    assert.equal(error.name, "SecureTorchError", String(error));
    assert.equal(error.code, "input-too-large");
  }
});

test("memory outlives the checkpoint as long as a view of it does", { skip: gc }, async () => {
  let data = (await st.load(hollow("kept.safetensors", 1 << 20))).get("weight").data;
  data[3] = 5;
  await settle();
  assert.equal(data[3], 5);
  const gone = new WeakRef(data.buffer);
  data = null;
  await settle();
  assert.equal(gone.deref(), undefined);
});

test("ten thousand loads leave nothing behind", { skip: linux || gc }, async () => {
  const mapped = hollow("mapped.safetensors", 1 << 17);
  const small = readFileSync(hollow("small.safetensors", 1 << 14));
  const mappings = () => readFileSync("/proc/self/maps", "utf8").split("mapped.safetensors").length - 1;
  const round = async (times) => {
    for (let at = 0; at < times; at++) {
      const made = at % 2 ? st.loadSync(mapped) : await st.load(small);
      assert.equal(made.get("weight").data[0], 0);
      if (at % 64 === 0) await turn();
    }
    await settle();
  };
  await round(1_000);
  const before = own();
  await round(10_000);
  const grown = own() - before;
  assert.ok(grown < 48, `${grown.toFixed(0)} MiB more`);
  // A local of the last turn may hold the last one: a file is mapped twice, to read and to write.
  assert.ok(mappings() <= 2, `${mappings()} mappings`);
});

test("a worker has its own, and may end at any time", async () => {
  const path = hollow("shared.safetensors", 1 << 18);
  const text = `
    import { parentPort, workerData } from "node:worker_threads";
    const { default: st } = await import(workerData.entry);
    const made = await st.load(workerData.path);
    const { data } = made.get("weight");
    data[0] = workerData.at;
    const error = await st.load(Buffer.from("cposix\\nsystem\\n(S'echo'\\ntR.")).catch((found) => found);
    parentPort.postMessage([data[0], data.length, error.code, error instanceof st.ModelBlockedError]);
    // Work that nobody waits for any more.
    st.scan(workerData.path);
  `;
  const url = new URL(`data:text/javascript,${encodeURIComponent(text)}`);
  const entry = pathToFileURL(createRequire(import.meta.url).resolve("secure-torch")).href;
  const workerData = { path, entry };
  const answers = Array.from({ length: 4 }, (_, at) =>
    new Promise((resolve, reject) => {
      const worker = new Worker(url, { workerData: { ...workerData, at } });
      let answer;
      worker.on("message", (message) => (answer = message));
      worker.on("error", reject);
      worker.on("exit", () => resolve(answer));
    }),
  );
  for (const [at, answer] of (await Promise.all(answers)).entries()) {
    assert.deepEqual(answer, [at, 1 << 16, "model-blocked", true]);
  }
});

test("a tensor that goes to another thread goes as a copy", async () => {
  const { data } = (await st.load(hollow("cloned.safetensors", 1 << 17))).get("weight");
  data[0] = 3;
  const copy = structuredClone(data);
  assert.equal(copy[0], 3);
  copy[0] = 4;
  assert.equal(data[0], 3);
});
