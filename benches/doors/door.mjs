// The Node door, asked for time and memory: see README.md. `SECURE_TORCH_NODE` is its package.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const { loadSync, scanSync } = await import(process.env.SECURE_TORCH_NODE);

/** The pages that this process has in memory. */
const resident = () => Number(readFileSync("/proc/self/statm", "ascii").split(" ")[1]);

/** The nanoseconds of each scan. */
function scans(times, path) {
  const taken = [];
  for (let at = 0; at < times; at++) {
    const start = process.hrtime.bigint();
    const allowed = scanSync(path).loadAllowed;
    taken.push(process.hrtime.bigint() - start);
    if (!allowed) throw new Error("the file is blocked");
  }
  return taken.join(" ");
}

/** Resident memory before and after loading, and with a byte of every page read. */
function load(path) {
  const before = resident();
  const checkpoint = loadSync(path);
  const seen = [];
  for (const tensor of checkpoint.tensors.values()) {
    const { buffer, byteOffset, byteLength } = tensor.data;
    seen.push(new Uint8Array(buffer, byteOffset, byteLength));
  }
  const after = resident();
  let bytes = 0;
  let sum = 0;
  for (const data of seen) {
    for (let at = 0; at < data.length; at += 4096) sum += data[at];
    bytes += data.length;
  }
  if (sum < 0) throw new Error("never");
  return `${before} ${after} ${resident()} ${seen.length} ${bytes}`;
}

for await (const line of createInterface({ input: process.stdin })) {
  const [request, ...fields] = line.split("\t");
  const answer = request === "scan" ? scans(Number(fields[0]), fields[1]) : load(fields[0]);
  process.stdout.write(`${answer}\n`);
}
