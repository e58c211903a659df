/**
 * What a checkpoint holds beside plain values and tensors.
 *
 * None of these runs, imports or looks anything up: a class is a name that the file mentions.
 */

import { element, fromNumpy, type TensorData } from "./elements";
import { unsupported } from "./errors";
import { fitting, Tensor, type Memory } from "./tensor";

/** A value of a checkpoint. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Tensor
  | SparseTensor
  | Parameter
  | NumpyArray
  | ObjectArray
  | NumpyScalar
  | Complex
  | GlobalName
  | Slice
  | Instance
  | Value[]
  | Map<Value, Value>
  | Set<Value>;

/** A `dict` of a kind of its own, or one with attributes, such as `_metadata` of a `state_dict`. */
export class Dict extends Map<Value, Value> {
  /** The class: `collections.OrderedDict`. */
  className = "dict";
  /** The attributes that the file gives to the object. */
  attributes: Value = null;
  /** What makes the missing values of a `defaultdict`. */
  factory: Value = null;
}

/** A complex number. */
export class Complex {
  constructor(
    readonly real: number,
    readonly imaginary: number,
  ) {}
}

/** A class or another global of the allowlist, by name. */
export class GlobalName {
  constructor(
    readonly module: string,
    readonly name: string,
  ) {}

  toString(): string {
    return `${this.module}.${this.name}`;
  }
}

/** A `slice` or a `range`. */
export class Slice {
  constructor(
    readonly className: "slice" | "range",
    readonly start: Value,
    readonly stop: Value,
    readonly step: Value,
  ) {}
}

/** A `torch.nn.Parameter` or its kin. */
export class Parameter {
  constructor(
    /** The class: `torch.nn.parameter.Parameter`. */
    readonly className: string,
    /** The tensor; `null` where it is not initialised. */
    readonly data: Tensor | null,
    /** Whether it collects gradients. */
    readonly requiresGrad: boolean,
    /** The attributes that the file gives to the object. */
    readonly state: Value,
  ) {}
}

/** A sparse tensor, whose indices were checked. */
export class SparseTensor {
  constructor(
    /** `sparse_coo`, `sparse_csr` and their kin. */
    readonly layout: string,
    readonly shape: readonly number[],
    /** The indices of COO; of the others the compressed ones. */
    readonly indices: Tensor,
    /** The plain indices; `null` for COO. */
    readonly plainIndices: Tensor | null,
    readonly values: Tensor,
    /** Whether the indices are said to be sorted and unique. */
    readonly coalesced: boolean | null,
  ) {}
}

/** An array of numpy's. */
export class NumpyArray {
  readonly #memory: () => Memory;
  readonly #file: string;

  /** @internal */
  constructor(
    /** The type string: `<f8`, `|S12`. */
    readonly dtype: string,
    /** The fields of a record: name, type string, first byte. */
    readonly fields: readonly (readonly [string, string, number])[],
    readonly shape: readonly number[],
    /** Whether the first index changes fastest. */
    readonly fortran: boolean,
    memory: () => Memory,
    file: string,
  ) {
    this.#memory = memory;
    this.#file = file;
  }

  get #known(): string | undefined {
    return this.fields.length === 0 ? fromNumpy(this.dtype) : undefined;
  }

  /** Its elements: a view of numbers, or of bytes where JavaScript has no view for the type. */
  get data(): TensorData {
    const { view: View } = element(this.#known ?? "uint8");
    const { buffer, offset, bytes } = fitting(this.#file, this.#memory);
    const length = Math.floor(bytes / View.BYTES_PER_ELEMENT);
    return fitting(this.#file, () => new View(buffer, offset, length));
  }

  /** The same as a tensor, where torch has the type. */
  tensor(): Tensor {
    const dtype = this.#known;
    if (dtype === undefined) {
      throw unsupported(this.#file, `torch has no element type for numpy's \`${this.dtype}\``);
    }
    let stride = 1;
    const strides = this.shape.map(() => 1);
    const axes = this.shape.map((_, axis) => axis);
    for (const axis of this.fortran ? axes : axes.reverse()) {
      strides[axis] = stride;
      stride *= this.shape[axis] as number;
    }
    const { shape } = this;
    return new Tensor({ dtype, shape, strides, offset: 0, file: this.#file, memory: this.#memory });
  }
}

/** An array of numpy's that holds objects. */
export class ObjectArray {
  constructor(
    readonly shape: readonly number[],
    /** Whether the first index changes fastest. */
    readonly fortran: boolean,
    readonly items: readonly Value[],
  ) {}
}

/** A scalar of numpy's that is no plain number. */
export class NumpyScalar {
  constructor(
    /** The type string. */
    readonly dtype: string,
    readonly bytes: Uint8Array,
  ) {}
}

/** An instance of another class of the allowlist, as the call that makes it. */
export class Instance {
  constructor(
    readonly className: string,
    readonly arguments_: readonly Value[],
    readonly state: Value,
  ) {}
}
