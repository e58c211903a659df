/** Makes values from what the native half tells of a checkpoint (`src/tree.rs`). */

import { addon } from "./addon";
import { element, fromNumpy } from "./elements";
import { unsupported, unwrap } from "./errors";
import type { Loaded } from "./native";
import type { Exact } from "./report";
import { counted, Tensor, type Memory, type Quantization } from "./tensor";
import {
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
import { exact } from "./wire";

/** Values nest no deeper, whatever the policy's limits say: each level takes some of the stack. */
const DEPTH = 400;

type Told = null | boolean | number | string | [string, ...unknown[]];
type Numpy = [string, number, [string, string, number][]];

interface Document {
  root: Told;
  objects: [string, ...unknown[]][];
  tuples: Told[][];
  texts: string[];
  names: [string, Told][];
  storages: [Exact, string, string][];
  metadata: [string, string][];
  files: string[];
}

/** What has a name. */
export type Named = Tensor | SparseTensor | NumpyArray;

/** The values of a checkpoint, each object made once. @internal */
export class Tree {
  readonly #loaded: Loaded;
  readonly #told: Document;
  readonly #objects = new Map<number, Value>();
  readonly #tuples = new Map<number, Value[]>();
  readonly #bytes = new Map<number, Uint8Array>();
  readonly #integers = new Map<number, bigint>();
  readonly #buffers = new Map<number, ArrayBuffer>();
  readonly #memories = new Map<number, Memory>();
  #depth = 0;

  constructor(loaded: Loaded) {
    this.#loaded = loaded;
    this.#told = exact(loaded.tree()) as Document;
  }

  get file(): string {
    return this.#told.files[0] ?? "";
  }

  get metadata(): [string, string][] {
    return this.#told.metadata;
  }

  root(): Value {
    return this.#value(this.#told.root);
  }

  /** The tensors by their dotted names. */
  tensors(): Map<string, Named> {
    const made = new Map<string, Named>();
    for (const [name, told] of this.#told.names) {
      const value = this.#value(told) as Named;
      if ((made.get(name) ?? value) !== value) {
        throw this.#unsupported(`two tensors have the name \`${addon.printable(name)}\`; \`root\` has both`);
      }
      made.set(name, value);
    }
    return made;
  }

  #unsupported(cause: string): Error {
    return unsupported(this.file, cause);
  }

  /** The memory of a storage: of one storage it is one buffer, however many tensors look at it. */
  #memory(storage: number): Memory {
    const known = this.#memories.get(storage);
    if (known) return known;
    const { bufferOf, offset } = unwrap(this.#loaded.lies(storage));
    const buffer = this.#buffers.get(bufferOf) ?? unwrap(this.#loaded.buffer(bufferOf));
    this.#buffers.set(bufferOf, buffer);
    const bytes = counted(this.#told.storages[storage]?.[0] ?? 0, this.file);
    const memory = { buffer, offset, bytes };
    this.#memories.set(storage, memory);
    return memory;
  }

  #value(told: Told): Value {
    if (!Array.isArray(told)) return told;
    const [tag, what, more] = told as [string, never, string];
    switch (tag) {
      case "o":
        return this.#object(what);
      case "t":
      case "z":
        return this.#tuple(what);
      case "s":
        return this.#told.texts[what] ?? "";
      case "b":
        return this.#copy(what);
      case "i":
        return this.#integer(what);
      case "n":
        return BigInt(what);
      case "f":
        return Number(what);
      case "d":
        return `torch.${String(what)}`;
      case "g":
        return new GlobalName(what, more);
      case "u":
        return this.#storage(what);
      default:
        throw new TypeError(`an unknown tag: ${tag}`);
    }
  }

  #values(told: readonly Told[]): Value[] {
    return told.map((one) => this.#value(one));
  }

  #deeper<T>(make: () => T): T {
    try {
      if (++this.#depth > DEPTH) throw this.#unsupported(`its values nest deeper than ${DEPTH}`);
      return make();
    } finally {
      this.#depth--;
    }
  }

  /** Bytes, copied once: two bytes of a file can refer to a megabyte again. */
  #copy(number: number): Uint8Array {
    const made = this.#bytes.get(number) ?? this.#loaded.bytes(number);
    this.#bytes.set(number, made);
    return made;
  }

  #integer(number: number): bigint {
    const made = this.#integers.get(number) ?? integer(this.#loaded.bytes(number), this.file);
    this.#integers.set(number, made);
    return made;
  }

  #tuple(number: number): Value[] {
    const known = this.#tuples.get(number);
    if (known) return known;
    const made = this.#deeper(() => this.#values(this.#told.tuples[number] ?? []));
    this.#tuples.set(number, made);
    return made;
  }

  /** A storage that the file holds as a value: all its elements in a row. */
  #storage(number: number): Tensor {
    const [bytes, dtype] = this.#told.storages[number] ?? [0, "uint8"];
    const { view, parts } = element(dtype);
    const size = Math.floor(counted(bytes, this.file) / view.BYTES_PER_ELEMENT / parts);
    const memory = (): Memory => this.#memory(number);
    return new Tensor({ dtype, shape: [size], strides: [1], offset: 0, file: this.file, memory });
  }

  #object(number: number): Value {
    const known = this.#objects.get(number);
    if (known !== undefined) return known;
    const told = this.#told.objects[number];
    if (!told) throw new TypeError("an unknown object");
    const made = this.#deeper(() => this.#make(told));
    this.#objects.set(number, made);
    return made;
  }

  #make(told: readonly unknown[]): Value {
    const [kind, ...rest] = told as [string, ...never[]];
    switch (kind) {
      case "list":
      case "deque":
        return this.#values(rest[0] as never);
      case "set":
      case "frozenset":
        return new Set(this.#values(rest[0] as never));
      case "dict":
        return this.#dict(rest);
      case "bytearray":
        return this.#copy(rest[0] as never);
      case "complex":
        return new Complex(this.#value(rest[0] as never) as number, this.#value(rest[1] as never) as number);
      case "slice":
      case "range": {
        const [start, stop, step] = this.#values(rest[0] as never) as [Value, Value, Value];
        return new Slice(kind, start, stop, step);
      }
      case "device": {
        const [type, index] = rest as unknown as [string, number | null];
        return index === null ? type : `${type}:${index}`;
      }
      case "tensor":
        return this.#tensor(rest);
      case "sparse":
        return this.#sparse(rest);
      case "parameter": {
        const [name, data, grad, state] = rest as unknown as [string, Told, boolean, Told[] | null];
        return new Parameter(name, this.#value(data) as Tensor | null, grad, this.#maybe(state));
      }
      case "array":
        return this.#array(rest);
      case "objects": {
        const [shape, fortran, items] = rest as unknown as [Exact[], boolean, Told[]];
        return new ObjectArray(this.#sizes(shape), fortran, this.#values(items));
      }
      case "scalar": {
        const [dtype, bytes] = rest as unknown as [Numpy, number];
        return this.#scalar(dtype[0], this.#copy(bytes));
      }
      case "dtype":
        return (rest[0] as unknown as Numpy)[0];
      case "instance": {
        const [name, given, state] = rest as unknown as [string, Told[], Told[] | null];
        return new Instance(name, this.#values(given), this.#maybe(state));
      }
      default:
        throw new TypeError(`an unknown kind: ${kind}`);
    }
  }

  #maybe(told: readonly Told[] | null): Value {
    return told === null ? null : this.#value(told[0] as Told);
  }

  #sizes(sizes: readonly Exact[]): number[] {
    return sizes.map((size) => counted(size, this.file));
  }

  #dict(rest: readonly unknown[]): Map<Value, Value> {
    const [className, items, attributes, factory] = rest as [string, [Told, Told][], Told[] | null, Told[] | null];
    const plain = className === "dict" && attributes === null;
    const made: Map<Value, Value> = plain ? new Map() : new Dict();
    for (const [key, value] of items) made.set(this.#value(key), this.#value(value));
    if (made instanceof Dict) {
      made.className = className;
      made.attributes = this.#maybe(attributes);
      made.factory = this.#maybe(factory);
    }
    return made;
  }

  #tensor(rest: readonly unknown[]): Tensor {
    const [dtype, storage, offset, shape, strides, flags, quantizer, className] = rest as [
      string,
      number | null,
      Exact,
      Exact[],
      Exact[],
      [boolean, boolean, boolean],
      { scale: Told; zeroPoint: Exact } | { axis: number; scales: Told; zeroPoints: Told } | null,
      string | null,
    ];
    let quantization: Quantization | null = null;
    if (quantizer && "scale" in quantizer) {
      const scale = this.#value(quantizer.scale) as number;
      quantization = { scale, zeroPoint: quantizer.zeroPoint };
    } else if (quantizer) {
      const [scales, zeroPoints] = this.#values([quantizer.scales, quantizer.zeroPoints]) as [Tensor, Tensor];
      quantization = { axis: quantizer.axis, scales, zeroPoints };
    }
    return new Tensor({
      dtype,
      shape: this.#sizes(shape),
      strides: this.#sizes(strides),
      offset: counted(offset, this.file),
      file: this.file,
      memory: storage === null ? null : () => this.#memory(storage),
      requiresGrad: flags[0],
      isConj: flags[1],
      isNeg: flags[2],
      quantization,
      className,
    });
  }

  #sparse(rest: readonly unknown[]): SparseTensor {
    const [layout, indices, plain, values, shape, coalesced] = rest as [
      string,
      Told,
      Told,
      Told,
      Exact[],
      boolean | null,
    ];
    return new SparseTensor(
      layout,
      this.#sizes(shape),
      this.#value(indices) as Tensor,
      this.#value(plain) as Tensor | null,
      this.#value(values) as Tensor,
      coalesced,
    );
  }

  #array(rest: readonly unknown[]): NumpyArray {
    const [[dtype, , fields], shape, fortran, storage] = rest as [Numpy, Exact[], boolean, number];
    const memory = (): Memory => this.#memory(storage);
    return new NumpyArray(dtype, fields, this.#sizes(shape), fortran, memory, this.file);
  }

  #scalar(dtype: string, bytes: Uint8Array): Value {
    const known = fromNumpy(dtype);
    const { view: View, parts } = element(known ?? "");
    if (known === undefined || parts === 2 || bytes.length !== View.BYTES_PER_ELEMENT) {
      return new NumpyScalar(dtype, bytes);
    }
    // Without `Float16Array` there is no number to give.
    if (known === "float16" && (View as unknown) === Uint16Array) return new NumpyScalar(dtype, bytes);
    const [value] = new View(bytes.slice().buffer, 0, 1) as unknown as [number | bigint];
    if (known === "bool") return value !== 0;
    return typeof value === "bigint" && BigInt.asIntN(53, value) === value ? Number(value) : value;
  }
}

/** The longest integer that V8 holds is of 2^30 bits (Node 20). */
const LONGEST = 2 ** 27 - 1;

/** An integer from its two's complement, little-endian. */
function integer(bytes: Uint8Array, file: string): bigint {
  if (bytes.length === 0) return 0n;
  if (bytes.length > LONGEST) throw unsupported(file, "an integer has more than 2^30 bits, which JavaScript does not count");
  // Text that is put together digit by digit takes V8 thirty bytes for each.
  const digits = Buffer.from(bytes).reverse().toString("hex");
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${digits}`));
}
