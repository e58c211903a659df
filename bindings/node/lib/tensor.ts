/** Tensors, as views of the memory that the file is mapped to. */

import { addon } from "./addon";
import { element, type TensorData } from "./elements";
import { SecureTorchError, unsupported } from "./errors";
import type { Exact } from "./report";

/** A stretch of a buffer. @internal */
export interface Memory {
  readonly buffer: ArrayBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** How a quantised tensor's integers stand for numbers. */
export type Quantization =
  | { readonly scale: number; readonly zeroPoint: Exact }
  | { readonly axis: number; readonly scales: Tensor; readonly zeroPoints: Tensor };

/** What a tensor is made of. @internal */
export interface Parts {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  /** The name of the file, for messages. */
  readonly file: string;
  /** The memory; none for a tensor without data. */
  readonly memory: (() => Memory) | null;
  readonly requiresGrad?: boolean;
  readonly isConj?: boolean;
  readonly isNeg?: boolean;
  readonly quantization?: Quantization | null;
  readonly className?: string | null;
}

/**
 * A tensor: how the elements of a storage are looked at.
 *
 * Its data is a view, not a copy. Tensors that share a storage share their `ArrayBuffer`, and writing
 * to one is seen through the other; the file never changes.
 */
export class Tensor {
  /** The element type by its name in torch: `float32`. */
  readonly dtype: string;
  /** The sizes. */
  readonly shape: readonly number[];
  /** How many elements lie between neighbours along each dimension. */
  readonly strides: readonly number[];
  /** How many elements of the storage lie before the first. */
  readonly offset: number;
  /** Whether it collects gradients. */
  readonly requiresGrad: boolean;
  /** Whether it stands for the complex conjugate of `data`. */
  readonly isConj: boolean;
  /** Whether it stands for the negative of `data`. */
  readonly isNeg: boolean;
  /** How the integers of a quantised tensor stand for numbers. */
  readonly quantization: Quantization | null;
  /** The tensor subclass that the file names. */
  readonly className: string | null;
  readonly #memory: (() => Memory) | null;
  readonly #file: string;
  #data: TensorData | null | undefined;

  /** @internal */
  constructor(parts: Parts) {
    this.dtype = parts.dtype;
    this.shape = Object.freeze([...parts.shape]);
    this.strides = Object.freeze([...parts.strides]);
    this.offset = parts.offset;
    this.requiresGrad = parts.requiresGrad ?? false;
    this.isConj = parts.isConj ?? false;
    this.isNeg = parts.isNeg ?? false;
    this.quantization = parts.quantization ?? null;
    this.className = parts.className ?? null;
    this.#memory = parts.memory;
    this.#file = parts.file;
  }

  /** How many elements it has. */
  get size(): number {
    return this.shape.reduce((all, size) => all * size, 1);
  }

  /** Whether its elements follow each other in `data`, the last index fastest. */
  get isContiguous(): boolean {
    let wanted = 1;
    for (let at = this.shape.length - 1; at >= 0; at--) {
      const size = this.shape[at] as number;
      if (size === 0) return true;
      if (size !== 1 && this.strides[at] !== wanted) return false;
      wanted *= size;
    }
    return true;
  }

  /**
   * Its elements, from the first one on, as far as the last one reaches: element `[i, j]` is at
   * `i * strides[0] + j * strides[1]`. Complex numbers are two numbers each. `null` without data.
   *
   * It is a `Uint16Array` of bits for bfloat16, and for float16 where the runtime has no
   * `Float16Array`; bytes for every type that JavaScript has no view for.
   */
  get data(): TensorData | null {
    if (this.#data === undefined) this.#data = this.#view();
    return this.#data;
  }

  #view(): TensorData | null {
    if (this.#memory === null) return null;
    const { view: View, parts } = element(this.dtype);
    const memory = fitting(this.#file, this.#memory);
    const last = this.shape.reduce((sum, size, at) => sum + (size - 1) * (this.strides[at] as number), 0);
    const elements = this.shape.includes(0) ? 0 : last + 1;
    const start = elements === 0 ? 0 : this.offset * parts * View.BYTES_PER_ELEMENT;
    return fitting(this.#file, () => new View(memory.buffer, memory.offset + start, elements * parts));
  }

  /**
   * The same elements in a row, the last index fastest, with no mark left: this tensor where it is so
   * already, else a copy.
   */
  contiguous(): Tensor {
    const marked = this.isConj || this.isNeg;
    const { data } = this;
    if (data === null || (this.isContiguous && !marked)) return this;
    const { view: View, parts, sign } = element(this.dtype);
    const length = this.size * parts;
    const bytes = length * View.BYTES_PER_ELEMENT;
    const made = fitting(this.#file, () => new View(new ArrayBuffer(bytes), 0, length)) as unknown as number[];
    this.#walk(data as unknown as ArrayLike<number>, made, parts);
    const negate = (at: number): void => {
      const value = made[at] as number;
      made[at] = sign === undefined ? -value : value ^ sign;
    };
    for (let at = 0; marked && at < length; at++) {
      const imaginary = parts === 2 && at % 2 === 1;
      if (this.isNeg !== (this.isConj && imaginary)) negate(at);
    }
    const memory = { buffer: (made as unknown as TensorData).buffer as ArrayBuffer, offset: 0, bytes };
    let stride = 1;
    const strides = [...this.shape]
      .reverse()
      .map((size) => {
        const own = stride;
        stride *= Math.max(size, 1);
        return own;
      })
      .reverse();
    return new Tensor({
      dtype: this.dtype,
      shape: this.shape,
      strides,
      offset: 0,
      file: this.#file,
      memory: () => memory,
      requiresGrad: this.requiresGrad,
      quantization: this.quantization,
      className: this.className,
    });
  }

  #walk(from: ArrayLike<number>, to: number[], parts: number): void {
    const rank = this.shape.length;
    const places = new Array<number>(rank).fill(0);
    let at = 0;
    for (let done = 0; done < to.length; done += parts) {
      for (let part = 0; part < parts; part++) to[done + part] = from[at * parts + part] as number;
      for (let axis = rank - 1; axis >= 0; axis--) {
        const [size, stride] = [this.shape[axis] as number, this.strides[axis] as number];
        places[axis] = (places[axis] as number) + 1;
        at += stride;
        if ((places[axis] as number) < size) break;
        at -= size * stride;
        places[axis] = 0;
      }
    }
  }
}

/**
 * Memory or a view of it. Both have a greatest length (4 GiB and 4 Gi elements in Node 20), and memory
 * an end. @internal
 */
export function fitting<T>(file: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    const long = cause instanceof RangeError || (cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    if (!long) throw cause;
    const message = `\`${addon.printable(file)}\` has a tensor that does not fit: ${(cause as Error).message}`;
    throw new SecureTorchError(message, {
      code: "input-too-large",
      hint: "a newer Node has longer buffers and typed arrays",
      path: file,
      cause,
    });
  }
}

/** A size, stride or offset that JavaScript can count. @internal */
export function counted(value: Exact, file: string): number {
  if (typeof value === "number") return value;
  throw unsupported(file, "a tensor has sizes beyond 2^53, which JavaScript does not count");
}
