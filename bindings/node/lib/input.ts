/**
 * What a caller gives as a model file.
 *
 * Bytes are copied before a call gives its promise back, and pieces of a stream as they come: what is
 * judged, and loaded, is that copy, whatever happens to the caller's own afterwards.
 */

import { fileURLToPath } from "node:url";
import { types } from "node:util";

import { addon } from "./addon";
import { misused } from "./errors";
import type { Input as Native, Policy } from "./native";

/** A path, a `file:` URL, or bytes. */
export type Whole = string | URL | ArrayBufferView | ArrayBuffer | SharedArrayBuffer;

/** A stream of bytes: of Node's, of the web's, or any other that is iterated asynchronously. */
export type Stream = AsyncIterable<ArrayBufferView | ArrayBuffer> | ReadableStreamLike;

/** What is read of a `ReadableStream`. */
export interface ReadableStreamLike {
  getReader(): {
    read(): Promise<{ done: boolean; value?: unknown }>;
    cancel(reason?: unknown): Promise<void>;
  };
}

/** What a caller can give as a model file. */
export type ModelInput = Whole | Stream;

/** Bytes that nobody else can change while they are copied. */
function bytes(given: ArrayBufferView | ArrayBuffer | SharedArrayBuffer): Uint8Array {
  const view = viewed(given);
  // Another thread may be writing to it. A copy that JavaScript makes is any mixture, and then fixed.
  return types.isSharedArrayBuffer(view.buffer) ? Uint8Array.from(view) : view;
}

function viewed(given: ArrayBufferView | ArrayBuffer | SharedArrayBuffer): Uint8Array {
  try {
    return ArrayBuffer.isView(given)
      ? new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
      : new Uint8Array(given);
  } catch {
    throw misused("the buffer was transferred or made shorter: its bytes are gone");
  }
}

/** The input, unless it is a stream. @internal */
export function whole(given: unknown, name: string | undefined): Native | undefined {
  if (typeof given === "string" || given instanceof URL) {
    const path = typeof given === "string" ? given : local(given);
    // The system's calls end a path there, and would look at another file.
    if (path.includes("\0")) throw misused("a path holds no NUL character");
    return addon.Input.path(path);
  }
  if (ArrayBuffer.isView(given) || types.isAnyArrayBuffer(given)) {
    return addon.Input.bytes(name ?? "<bytes>", bytes(given));
  }
  return undefined;
}

function local(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw misused(`the URL names no file here: ${(cause as Error).message}`);
  }
}

interface Pieces {
  next(): Promise<{ done?: boolean | undefined; value?: unknown }>;
  end(reason: unknown): void;
}

function pieces(given: unknown): Pieces {
  const stream = given as Partial<ReadableStreamLike & AsyncIterable<unknown>> | null;
  if (typeof stream?.getReader === "function") {
    const reader = (stream as ReadableStreamLike).getReader();
    const end = (reason: unknown): void => void reader.cancel(reason).catch(() => {});
    return { next: () => reader.read(), end };
  }
  const iterate = stream?.[Symbol.asyncIterator];
  if (typeof iterate !== "function") {
    throw misused("a model is a path, a `file:` URL, bytes or a stream of bytes");
  }
  const iterator = iterate.call(stream) as AsyncIterator<unknown>;
  const end = (reason: unknown): void => {
    // Where a read is pending, an iterator of Node's streams returns only after it: end the stream.
    const { destroy } = stream as { destroy?: (reason?: unknown) => void };
    if (typeof destroy === "function") destroy.call(stream);
    else void Promise.resolve(iterator.return?.(reason)).catch(() => {});
  };
  return { next: () => iterator.next(), end };
}

/** The input, for which a stream is read to its end or to the policy's limit. @internal */
export async function input(
  given: unknown,
  name: string | undefined,
  policy: Policy,
  signal: AbortSignal | undefined,
): Promise<Native> {
  const ready = whole(given, name);
  if (ready !== undefined) return ready;
  const source = pieces(given);
  const made = addon.Input.stream(name ?? "<stream>", policy);
  let done = false;
  try {
    for (;;) {
      const piece = await until(source.next(), signal);
      if (piece.done) {
        done = true;
        return made;
      }
      const { value } = piece;
      if (!ArrayBuffer.isView(value) && !types.isAnyArrayBuffer(value)) {
        throw misused("the pieces of a stream are bytes: is an encoding set?");
      }
      if (!made.push(bytes(value))) return made;
    }
  } finally {
    if (!done) source.end(signal?.reason);
  }
}

/** What a promise gives, unless the signal comes first. @internal */
export async function until<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  lost: () => void = () => {},
): Promise<T> {
  if (signal === undefined) return promise;
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      lost();
      reject(signal.reason);
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
    // Nobody waits for what lost the race.
    promise.catch(() => {});
    aborted.catch(() => {});
  }
}
