/**
 * The gate that every model file passes before anything loads it.
 *
 * `scan` judges a file, `load` gives its tensors without running anything of it, `convert` writes
 * them to a safetensors file. Each has a twin that blocks (`scanSync`); the others work on libuv's
 * thread pool.
 */
import { Checkpoint } from "./checkpoint";
import { type ModelInput, type Whole } from "./input";
import { type Policy } from "./policy";
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
export { Complex, Dict, GlobalName, Instance, NumpyArray, NumpyScalar, ObjectArray, Parameter, Slice, SparseTensor, type Value, } from "./values";
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
/** Judges a model file. A hostile one is a report, not an error. */
export declare function scan(model: ModelInput, options?: Options & Abortable): Promise<Report>;
/** Judges a model file, and blocks meanwhile. */
export declare function scanSync(model: Whole, options?: Options): Report;
/** Judges a model file and gives what it holds. Nothing of it runs. */
export declare function load(model: ModelInput, options?: LoadOptions & Abortable): Promise<Checkpoint>;
/** Judges a model file and gives what it holds, and blocks meanwhile. */
export declare function loadSync(model: Whole, options?: LoadOptions): Checkpoint;
/** Judges a model file and writes its tensors to a safetensors file, whole or not at all. */
export declare function convert(model: ModelInput, out: string, options?: ConvertOptions & Abortable): Promise<Converted>;
/** Judges a model file and writes its tensors to a safetensors file, and blocks meanwhile. */
export declare function convertSync(model: Whole, out: string, options?: ConvertOptions): Converted;
/** Checks who signed a model file. No release has it yet. */
export declare function verify(_model: ModelInput, _options?: Options & Abortable): Promise<never>;
/** Every rule, level, family, limit and allowed global: the tables that judge. */
export declare function rules(): Record<string, unknown>;
/** The version of the package and of the engine in it. */
export declare const version: string;
