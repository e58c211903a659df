// The worker behind `file.js`: it holds one file, reads slices of it, and answers one call at a
// time. It sends nothing anywhere but to the page that started it.

import { SecureTorchError, Slices, rules } from './index.js';

/** How often the page hears how far the reading is, in milliseconds. */
const EVERY = 100;

const METHODS = new Set(['scan', 'archive', 'pickles', 'rows', 'find', 'rowAt']);

let slices;

/** Reads slices of a blob, and tells how many bytes that were. */
function reader(blob) {
  const sync = new FileReaderSync();
  let read = 0;
  let told = 0;
  return (offset, length) => {
    const bytes = new Uint8Array(sync.readAsArrayBuffer(blob.slice(offset, offset + length)));
    read += bytes.length;
    const now = performance.now();
    if (now - told > EVERY) {
      told = now;
      self.postMessage({ progress: read });
    }
    return bytes;
  };
}

function answer({ method, args }) {
  if (method === 'open') {
    const [blob, name, policy] = args;
    slices?.free();
    slices = new Slices(name, blob.size, reader(blob), policy);
    return null;
  }
  if (method === 'close') {
    slices?.free();
    slices = undefined;
    return null;
  }
  if (method === 'rules') return rules();
  if (!METHODS.has(method)) throw new TypeError(`no method ${method}`);
  const result = slices[method](...args);
  return method === 'scan' ? [result.json(), result.sarif()] : result;
}

function told(error) {
  if (error instanceof SecureTorchError) {
    const { code, message, hint } = error;
    return { code, message, hint };
  }
  return { code: 'io-failed', message: String(error?.message ?? error), hint: '' };
}

self.onmessage = ({ data }) => {
  try {
    self.postMessage({ id: data.id, result: answer(data) });
  } catch (error) {
    self.postMessage({ id: data.id, error: told(error) });
  }
};

self.postMessage({ ready: true });
