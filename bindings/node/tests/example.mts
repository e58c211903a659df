// A program in TypeScript, which is compiled under `--strict` against the packed types, and run.

import { Readable } from "node:stream";
import { ReadableStream } from "node:stream/web";

import {
  bfloat16ToFloat32,
  load,
  ModelBlockedError,
  Policy,
  scan,
  SecureTorchError,
  type Exact,
  type Finding,
  type Report,
  type Tensor,
  type TensorData,
  type Value,
} from "secure-torch";

const policy: Policy = new Policy({ maxThreatScore: 20, allow: ["my.module.Thing"] });

function worst(report: Report): Finding | undefined {
  return report.findings[0];
}

function total(tensors: Iterable<Tensor>): number {
  let sum = 0;
  for (const tensor of tensors) sum += tensor.size;
  return sum;
}

async function judge(model: Uint8Array): Promise<string> {
  try {
    const checkpoint = await load(model, { policy, signal: AbortSignal.timeout(60_000) });
    const root: Value = checkpoint.root;
    const found: Tensor | undefined = checkpoint.get("weight");
    const data: TensorData | null | undefined = found?.data;
    if (data instanceof Uint16Array) console.log(bfloat16ToFloat32(data)[0]);
    return `loaded ${root instanceof Map ? root.size : 0} values, ${total(found ? [found] : [])} elements`;
  } catch (error) {
    if (error instanceof ModelBlockedError) return `blocked: ${worst(error.report)?.subject ?? "?"}`;
    if (error instanceof SecureTorchError) return `${error.code}: ${error.hint}`;
    throw error;
  }
}

const hostile = new TextEncoder().encode("cposix\nsystem\n(S'echo hello'\ntR.");
const size: Exact = (await scan(hostile)).sizeBytes;
console.log(await judge(hostile), size);
console.log(await judge(Uint8Array.of(0x80, 2, 0x7d, 0x2e)));
const web = new ReadableStream<Uint8Array>({
  start(controller) {
    controller.enqueue(hostile);
    controller.close();
  },
});
const streams = [Readable.from([hostile]), web];
for (const stream of streams) console.log((await scan(stream)).verdict);
