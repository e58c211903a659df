// Files in a page: a worker reads slices and judges, so that the page stays free and a file larger
// than memory can be judged. This module does not load the engine; the worker does.

import { SecureTorchError } from './errors.js';
import { Report } from './report.js';

export { Report, SecureTorchError };

/** A worker with the engine in it that holds no file, ready for the next. */
let spare = null;

/** A worker that holds one file. */
class Held {
  #worker;
  #calls = new Map();
  #next = 0;
  #over = null;
  /** Whether a call failed. An engine that ran out of memory judges no other file. */
  #failed = false;

  /** Hears how many bytes were read. */
  onProgress = null;

  constructor() {
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.ready = new Promise((resolve, reject) => {
      this.#calls.set('ready', { resolve, reject });
    });
    this.#worker.onmessage = ({ data }) => {
      if (data.progress !== undefined) this.onProgress?.(data.progress);
      else if (data.ready) this.#settle('ready', 'resolve');
      else if (data.error) {
        this.#failed = true;
        this.#settle(data.id, 'reject', made(data.error));
      } else this.#settle(data.id, 'resolve', data.result);
    };
    const failed = () => {
      const hint = 'serve the package over HTTP with its `.wasm` file, and allow `wasm-unsafe-eval`';
      this.end(new SecureTorchError('io-failed', 'the engine cannot be started', hint));
    };
    this.#worker.onerror = failed;
    this.#worker.onmessageerror = failed;
  }

  #settle(id, how, value) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    call?.[how](value);
  }

  async call(method, ...args) {
    await this.ready;
    if (this.#over) throw this.#over;
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, args });
    });
  }

  /** Lets go of the file, and waits for the next one. */
  release() {
    if (this.#over || this.#failed || this.#calls.size > 0 || spare !== null) {
      this.end(closed());
      return;
    }
    this.onProgress = null;
    spare = this;
    this.call('close').catch(() => {});
  }

  /** Stops at once, in the middle of a judgement too. */
  end(reason) {
    if (this.#over) return;
    this.#over = reason;
    if (spare === this) spare = null;
    this.#worker.terminate();
    for (const call of this.#calls.values()) call.reject(reason);
    this.#calls.clear();
  }
}

function made({ code, message, hint }) {
  return new SecureTorchError(code, message, hint);
}

function closed() {
  return new SecureTorchError('usage', 'the file was closed', 'open it again');
}

/** A file that was judged, and can be looked into until it is closed. */
class JudgedFile {
  #held;
  #closed = false;

  constructor(held, report) {
    this.#held = held;
    this.report = report;
  }

  /** What lies where in it; null where it is no archive. */
  archive() {
    return this.#call('archive');
  }

  /** Its pickles. */
  pickles() {
    return this.#call('pickles');
  }

  /** Rows of a pickle's listing. */
  rows(pickle, first, count) {
    return this.#call('rows', pickle, first, count);
  }

  /** The first row from `first` on that shows a text; null where none does. */
  find(pickle, text, first = 0) {
    return this.#call('find', pickle, text, first);
  }

  /** The row of the instruction at an offset of the pickle's part. */
  rowAt(pickle, offset) {
    return this.#call('rowAt', pickle, offset);
  }

  /** Every rule, band, family, limit and allowed name. */
  rules() {
    return this.#call('rules');
  }

  /** Lets go of the file. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#held.release();
  }

  async #call(...call) {
    if (this.#closed) throw closed();
    return this.#held.call(...call);
  }
}

/** Starts a worker and loads the engine, so that the first file is judged without a request. */
export async function prepare() {
  spare ??= new Held();
  await spare.ready;
}

/**
 * Judges a `File` or `Blob` in a worker, which reads slices of it.
 *
 * @param {Blob} blob
 * @param {import('./file.js').FileOptions} [options]
 */
export async function openFile(blob, { name = blob.name ?? '', policy, signal, onProgress } = {}) {
  signal?.throwIfAborted();
  const held = spare ?? new Held();
  spare = null;
  held.onProgress = (bytes) => onProgress?.({ bytes, total: blob.size });
  const abort = () => held.end(signal.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await held.call('open', blob, String(name), policy?.options ?? policy ?? {});
    const [json, sarif] = await held.call('scan');
    return new JudgedFile(held, new Report(json, sarif));
  } catch (error) {
    held.end(error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** The report alone: [`openFile`] of a file that is closed at once. */
export async function scanFile(blob, options) {
  const file = await openFile(blob, options);
  file.close();
  return file.report;
}
