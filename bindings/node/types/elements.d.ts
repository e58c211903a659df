/** Element types: what JavaScript makes of each. */
/** The views that tensors come as. */
export type TensorData = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array | Float32Array | Float64Array | Float16ArrayLike;
/** A `Float16Array`, for runtimes and compilers that have it. */
export interface Float16ArrayLike extends ArrayBufferView {
    readonly BYTES_PER_ELEMENT: 2;
    readonly length: number;
    [index: number]: number;
    readonly [Symbol.toStringTag]: "Float16Array";
}
type Constructor = {
    readonly BYTES_PER_ELEMENT: number;
    new (buffer: ArrayBufferLike, offset?: number, length?: number): TensorData;
};
/** What an element type is: its view, and how many of the view's numbers make one element. */
export interface Element {
    readonly view: Constructor;
    readonly parts: 1 | 2;
    /** The bit to flip for the negative, where the view shows bits instead of floats. */
    readonly sign?: number;
}
export declare function element(dtype: string): Element;
/** The name in torch of a type string of numpy's; none for big-endian numbers and for text. */
export declare function fromNumpy(dtype: string): string | undefined;
/** The numbers that bfloat16 bits stand for. */
export declare function bfloat16ToFloat32(bits: Uint16Array): Float32Array;
/** The numbers that IEEE 754 binary16 bits stand for, or that a `Float16Array` holds. */
export declare function float16ToFloat32(bits: Uint16Array | Float16ArrayLike): Float32Array;
export {};
