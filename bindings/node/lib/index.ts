/**
 * The gate that every model file passes before anything loads it.
 *
 * `scan` judges a file, `load` gives its tensors without running anything of it, `convert` writes
 * them to a safetensors file. Each has a twin that blocks (`scanSync`); the others work on libuv's
 * thread pool.
 */

import { addon } from "./addon";
import { Checkpoint } from "./checkpoint";
import { misused, SecureTorchError, unwrap } from "./errors";
import { input, until, whole, type ModelInput, type Whole } from "./input";
import type { Conversion, Failure, Interest, Loading, Converted as NativeConverted } from "./native";
import type { Input as NativeInput, Policy as NativePolicy } from "./native";
import { known, text, type Kinds } from "./options";
import { chosen, type Policy } from "./policy";
import { Report, type Exact } from "./report";

export { Checkpoint, type Plain } from "./checkpoint";
export { bfloat16ToFloat32, float16ToFloat32 } from "./elements";
export type { Float16ArrayLike, TensorData } from "./elements";
export { ModelBlockedError, SecureTorchError, type ErrorDetails } from "./errors";
export type { ModelInput, ReadableStreamLike, Stream, Whole } from "./input";
export { Policy, type PolicyOptions } from "./policy";
export { Report } from "./report";
export type { Call, Exact, Finding, Global, Part, PolicyInfo } from "./report";
export { Tensor, type Quantization } from "./tensor";
export type { Named } from "./tree";
export {
  Complex,
  Dict,
  GlobalName,
  Instance,
  NumpyArray,
  NumpyScalar,
  ObjectArray,
  Parameter,
  Slice,
  SparseTensor,
  type Value,
} from "./values";

/** What every function takes. */
export interface Options {
  /** What is let through. No policy file is looked for: `Policy.discover` does. */
  policy?: Policy;
  /** The highest score that is let through; beside a policy, the lower of the two counts. */
  maxThreatScore?: number;
  /** The name under which bytes or a stream are reported. */
  name?: string;
}

/** How a call can be taken back. */
export interface Abortable {
  /** Rejects the promise with the signal's reason; work that has begun ends unseen. */
  signal?: AbortSignal;
}

/** How a file is loaded. */
export interface LoadOptions extends Options {
  /** How the strings of Python 2 in a pickle are decoded. */
  encoding?: "utf-8" | "ascii" | "latin1" | "bytes";
  /** Work on a copy of the file that nobody can change. */
  sealed?: boolean;
  /** Load what the policy blocks as well; nothing of it runs. `report.loadAllowed` is the truth. */
  auditOnly?: boolean;
  /** Lay tensors over a private mapping of the file. `false` copies them. */
  mmap?: boolean;
}

/** How a file is converted. */
export interface ConvertOptions extends Options {
  /** The part to convert: the keys that lead to it, joined by dots. */
  key?: string;
  /** Leave out what is no tensor, which is an error otherwise. */
  dropRest?: boolean;
  /** Write a tensor that has several names once for each of them. */
  duplicateShared?: boolean;
  /** Replace the file if it exists. */
  force?: boolean;
}

/** What was converted. */
export interface Converted {
  /** How many tensors were written. */
  tensors: Exact;
  /** The length of the file. */
  bytes: Exact;
  /** From each name that was not written to the name that has the same tensor. */
  tied: Map<string, string>;
  /** How many values were left out because they are no tensors. */
  dropped: Exact;
  /** The names of the first of them. Not safe to print. */
  droppedFirst: string[];
  /** The judgement of the source. */
  report: Report;
}

const ENCODINGS = new Set(["utf-8", "ascii", "latin1", "bytes"]);

/** Every option that there is. */
const SCAN: Kinds = { policy: null, maxThreatScore: null, name: "string", signal: null };
const LOAD: Kinds = { ...SCAN, encoding: null, sealed: "boolean", auditOnly: "boolean", mmap: "boolean" };
const CONVERT: Kinds = { ...SCAN, key: "string", dropRest: "boolean", duplicateShared: "boolean", force: "boolean" };

function loading(options: LoadOptions): Loading {
  const { encoding = "utf-8", sealed = false, auditOnly = false, mmap = true } = options;
  if (!ENCODINGS.has(encoding)) {
    throw misused(`\`encoding\` is one of ${[...ENCODINGS].join(", ")}, not ${String(encoding)}`);
  }
  return { encoding, sealed, auditOnly, mmap };
}

function conversion(options: ConvertOptions): Conversion {
  const { key, dropRest = false, duplicateShared = false, force = false } = options;
  return { ...(key === undefined ? {} : { key }), dropRest, duplicateShared, force };
}

/** The input of a call that blocks. */
function blocking(given: unknown, name: string | undefined): NativeInput {
  const ready = whole(given, name);
  if (ready === undefined) throw misused("a stream is read without blocking: leave out `Sync`");
  return ready;
}

/** Begins work on the thread pool, and lets go of it where the signal says so. */
async function away<T extends object>(
  given: unknown,
  options: Options & Abortable,
  begin: (input: NativeInput, policy: NativePolicy, interest: Interest) => Promise<T | Failure | null>,
): Promise<T> {
  const { signal, name } = options;
  if (signal !== undefined && typeof signal?.throwIfAborted !== "function") {
    throw misused("`signal` is an `AbortSignal`");
  }
  signal?.throwIfAborted();
  const policy = chosen(options.policy, options.maxThreatScore);
  const interest = new addon.Interest();
  const ready = await input(given, name, policy, signal);
  const done = await until(begin(ready, policy, interest), signal, () => interest.lose());
  if (done === null) throw new SecureTorchError("nobody wanted it", { code: "usage", hint: "" });
  return unwrap(done);
}

function number(value: bigint): Exact {
  return BigInt.asUintN(53, value) === value ? Number(value) : value;
}

function told(converted: NativeConverted): Converted {
  return {
    tensors: number(converted.tensors),
    bytes: number(converted.bytes),
    tied: new Map(converted.tied as [string, string][]),
    dropped: number(converted.dropped),
    droppedFirst: converted.droppedFirst,
    report: new Report(converted.judgement),
  };
}

/** Judges a model file. A hostile one is a report, not an error. */
export async function scan(model: ModelInput, options: Options & Abortable = {}): Promise<Report> {
  known(options, SCAN);
  return new Report(await away(model, options, (...call) => addon.scan(...call)));
}

/** Judges a model file, and blocks meanwhile. */
export function scanSync(model: Whole, options: Options = {}): Report {
  known(options, SCAN);
  const policy = chosen(options.policy, options.maxThreatScore);
  return new Report(unwrap(addon.scanSync(blocking(model, options.name), policy)));
}

/** Judges a model file and gives what it holds. Nothing of it runs. */
export async function load(model: ModelInput, options: LoadOptions & Abortable = {}): Promise<Checkpoint> {
  known(options, LOAD);
  const how = loading(options);
  return new Checkpoint(
    await away(model, options, (ready, policy, interest) => addon.load(ready, policy, how, interest)),
  );
}

/** Judges a model file and gives what it holds, and blocks meanwhile. */
export function loadSync(model: Whole, options: LoadOptions = {}): Checkpoint {
  known(options, LOAD);
  const policy = chosen(options.policy, options.maxThreatScore);
  const ready = blocking(model, options.name);
  return new Checkpoint(unwrap(addon.loadSync(ready, policy, loading(options))));
}

/** Judges a model file and writes its tensors to a safetensors file, whole or not at all. */
export async function convert(
  model: ModelInput,
  out: string,
  options: ConvertOptions & Abortable = {},
): Promise<Converted> {
  known(options, CONVERT);
  const how = conversion(options);
  const where = text(out, "out");
  return told(
    await away(model, options, (ready, policy, interest) =>
      addon.convert(ready, where, policy, how, interest),
    ),
  );
}

/** Judges a model file and writes its tensors to a safetensors file, and blocks meanwhile. */
export function convertSync(model: Whole, out: string, options: ConvertOptions = {}): Converted {
  known(options, CONVERT);
  const policy = chosen(options.policy, options.maxThreatScore);
  const ready = blocking(model, options.name);
  return told(unwrap(addon.convertSync(ready, text(out, "out"), policy, conversion(options))));
}

/** Checks who signed a model file. No release has it yet. */
export async function verify(_model: ModelInput, _options: Options & Abortable = {}): Promise<never> {
  throw new SecureTorchError("signatures are not verified by this release", {
    code: "feature-missing",
    hint: "leave the call out until a release has it",
  });
}

/** Every rule, level, family, limit and allowed global: the tables that judge. */
export function rules(): Record<string, unknown> {
  return JSON.parse(addon.rules()) as Record<string, unknown>;
}

/** The version of the package and of the engine in it. */
export const version: string = addon.version();
