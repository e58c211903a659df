/**
 * What a caller gives as a model file.
 *
 * Bytes are copied before a call gives its promise back, and pieces of a stream as they come: what is
 * judged, and loaded, is that copy, whatever happens to the caller's own afterwards.
 */
/** A path, a `file:` URL, or bytes. */
export type Whole = string | URL | ArrayBufferView | ArrayBuffer | SharedArrayBuffer;
/** A stream of bytes: of Node's, of the web's, or any other that is iterated asynchronously. */
export type Stream = AsyncIterable<ArrayBufferView | ArrayBuffer> | ReadableStreamLike;
/** What is read of a `ReadableStream`. */
export interface ReadableStreamLike {
    getReader(): {
        read(): Promise<{
            done: boolean;
            value?: unknown;
        }>;
        cancel(reason?: unknown): Promise<void>;
    };
}
/** What a caller can give as a model file. */
export type ModelInput = Whole | Stream;
