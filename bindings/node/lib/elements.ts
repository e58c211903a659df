/** Element types: what JavaScript makes of each. */

/** The views that tensors come as. */
export type TensorData =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array
  | Float16ArrayLike;

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

const Half =
  (globalThis as unknown as { Float16Array?: Constructor }).Float16Array ??
  (Uint16Array as unknown as Constructor);

/** What an element type is: its view, and how many of the view's numbers make one element. */
export interface Element {
  readonly view: Constructor;
  readonly parts: 1 | 2;
  /** The bit to flip for the negative, where the view shows bits instead of floats. */
  readonly sign?: number;
}

const one = (view: unknown, sign?: number): Element =>
  sign === undefined
    ? { view: view as Constructor, parts: 1 }
    : { view: view as Constructor, parts: 1, sign };

const half: Element = { view: Half, parts: 1, ...(Half === (Uint16Array as unknown) ? { sign: 0x8000 } : {}) };

/** By name in torch. Every other type is shown as bytes. */
const ELEMENTS: ReadonlyMap<string, Element> = new Map([
  ["int8", one(Int8Array)],
  ["int16", one(Int16Array)],
  ["int32", one(Int32Array)],
  ["int64", one(BigInt64Array)],
  ["uint16", one(Uint16Array)],
  ["uint32", one(Uint32Array)],
  ["uint64", one(BigUint64Array)],
  ["float16", half],
  ["float32", one(Float32Array)],
  ["float64", one(Float64Array)],
  ["bfloat16", one(Uint16Array, 0x8000)],
  ["complex32", { ...half, parts: 2 }],
  ["complex64", { view: Float32Array as unknown as Constructor, parts: 2 }],
  ["complex128", { view: Float64Array as unknown as Constructor, parts: 2 }],
  ["qint8", one(Int8Array)],
  ["qint32", one(Int32Array)],
  ["bits16", one(Uint16Array)],
]);

const BYTES: Element = one(Uint8Array, 0x80);

export function element(dtype: string): Element {
  return ELEMENTS.get(dtype) ?? BYTES;
}

/** numpy's type strings that have a view, by what follows the byte order. */
const NUMPY: ReadonlyMap<string, string> = new Map([
  ["b1", "bool"],
  ["i1", "int8"],
  ["i2", "int16"],
  ["i4", "int32"],
  ["i8", "int64"],
  ["u1", "uint8"],
  ["u2", "uint16"],
  ["u4", "uint32"],
  ["u8", "uint64"],
  ["f2", "float16"],
  ["f4", "float32"],
  ["f8", "float64"],
  ["c8", "complex64"],
  ["c16", "complex128"],
]);

/** The name in torch of a type string of numpy's; none for big-endian numbers and for text. */
export function fromNumpy(dtype: string): string | undefined {
  return dtype.startsWith(">") ? undefined : NUMPY.get(dtype.replace(/^[<|=]/, ""));
}

/** The numbers that bfloat16 bits stand for. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const made = new Uint32Array(bits.length);
  for (let at = 0; at < bits.length; at++) made[at] = (bits[at] as number) << 16;
  return new Float32Array(made.buffer);
}

/** The numbers that IEEE 754 binary16 bits stand for, or that a `Float16Array` holds. */
export function float16ToFloat32(bits: Uint16Array | Float16ArrayLike): Float32Array {
  const made = new Float32Array(bits.length);
  if (!(bits instanceof Uint16Array)) {
    for (let at = 0; at < bits.length; at++) made[at] = bits[at] as number;
    return made;
  }
  for (let at = 0; at < bits.length; at++) {
    const half = bits[at] as number;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    const sign = half & 0x8000 ? -1 : 1;
    if (exponent === 0x1f) made[at] = fraction ? NaN : sign * Infinity;
    else if (exponent === 0) made[at] = sign * fraction * 2 ** -24;
    else made[at] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return made;
}
