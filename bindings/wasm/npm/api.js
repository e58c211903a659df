// The engine as JavaScript expects it. It converts arguments and results, and judges nothing.

import * as engine from './engine.js';
import { SecureTorchError } from './errors.js';
import { Report } from './report.js';

export { Report, SecureTorchError };

const DAY = 86_400_000;

/** The longest text or array that one call can take: WebAssembly's memory ends at 4 GiB. */
const MOST = 2 ** 31;

let broken = false;

/**
 * Runs something in the engine. A trap, as when memory is out, leaves it in a state that nobody
 * vouches for, so nothing is judged by it from then on.
 */
function guarded(run) {
  if (!broken) {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) throw error;
      broken = true;
    }
  }
  const message = 'the engine stopped: most likely the file takes more memory than there is';
  throw new SecureTorchError('input-too-large', message, 'judge the file with the command');
}

/** What is let through. */
export class Policy {
  #native;

  /** @param {import('./index.js').PolicyOptions} options */
  constructor(options = {}) {
    const { toml, maxThreatScore, allow = [], limits = {}, ...unknown } = options;
    for (const name of Object.keys(unknown)) throw unusable(`there is no option \`${name}\``);
    const native =
      toml === undefined
        ? new engine.Policy()
        : engine.Policy.fromToml(String(toml), Math.floor(Date.now() / DAY));
    if (maxThreatScore !== undefined) {
      native.setMaxThreatScore(whole(maxThreatScore, 255, 'maxThreatScore'));
    }
    for (const name of allow) native.allow(String(name));
    for (const [name, value] of Object.entries(limits)) {
      native.setLimit(name, BigInt(whole(value, Number.MAX_SAFE_INTEGER, name)));
    }
    this.#native = native;
    /** What it was made from, which can be sent to a worker. */
    this.options = Object.freeze({ ...options });
  }

  /** The policy in the text of a `secure-torch.toml`. */
  static fromToml(text) {
    return new Policy({ toml: text });
  }

  /** The engine's own, for this package. */
  static native(policy) {
    return (policy instanceof Policy ? policy : new Policy(policy)).#native;
  }
}

function whole(value, most, name) {
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  throw unusable(`\`${name}\` is a whole number from 0 to ${most}`);
}

function unusable(cause) {
  const hint = 'docs/web.md lists the options; docs/policy.md describes the file';
  return new SecureTorchError('policy-invalid', `the policy is not valid: ${cause}`, hint);
}

function reported(judged) {
  try {
    return new Report(judged.json(), judged.sarif());
  } finally {
    judged.free();
  }
}

/** Judges bytes that are in memory. They are copied first. */
export function scan(name, bytes, policy) {
  const view = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  if (view.length >= MOST) {
    const message = `\`${name}\` is too large: at most 2 GiB are judged in memory`;
    throw new SecureTorchError('input-too-large', message, 'judge it in slices: `scanFile`');
  }
  const native = Policy.native(policy);
  return guarded(() => reported(engine.scan(String(name), view, native)));
}

/**
 * A file of which slices are read, without waiting: in a worker, or in Node.
 * `secure-torch-wasm/file` is the same for pages.
 */
export class Slices {
  #native;

  /**
   * @param {string} name
   * @param {number} length
   * @param {(offset: number, length: number) => Uint8Array} read
   * @param {import('./index.js').Policy | import('./index.js').PolicyOptions} [policy]
   */
  constructor(name, length, read, policy) {
    const native = Policy.native(policy);
    this.#native = new engine.Opened(String(name), BigInt(length), { read }, native);
  }

  /** Judges the file. */
  scan() {
    return guarded(() => reported(this.#native.scan()));
  }

  /** What lies where in it; null where it is no archive. */
  archive() {
    return parsed(guarded(() => this.#native.archive()));
  }

  /** Its pickles. */
  pickles() {
    return parsed(guarded(() => this.#native.pickles()));
  }

  /** Rows of a pickle's listing. */
  rows(pickle, first, count) {
    return parsed(guarded(() => this.#native.rows(pickle, first, count)));
  }

  /** The first row from `first` on that shows a text; null where none does. */
  find(pickle, text, first = 0) {
    return guarded(() => this.#native.find(pickle, String(text), first)) ?? null;
  }

  /** The row of the instruction at an offset of the pickle's part. */
  rowAt(pickle, offset) {
    return guarded(() => this.#native.rowAt(pickle, offset)) ?? null;
  }

  /** Gives the engine's memory back; nothing can be asked afterwards. */
  free() {
    this.#native.free();
  }
}

function parsed(text) {
  return text === undefined ? null : JSON.parse(text);
}

/** Every rule, band, family, limit and allowed name. */
export function rules() {
  return JSON.parse(guarded(() => engine.rules()));
}
