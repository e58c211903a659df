/**
 * What a checkpoint holds beside plain values and tensors.
 *
 * None of these runs, imports or looks anything up: a class is a name that the file mentions.
 */
import { type TensorData } from "./elements";
import { Tensor } from "./tensor";
/** A value of a checkpoint. */
export type Value = null | boolean | number | bigint | string | Uint8Array | Tensor | SparseTensor | Parameter | NumpyArray | ObjectArray | NumpyScalar | Complex | GlobalName | Slice | Instance | Value[] | Map<Value, Value> | Set<Value>;
/** A `dict` of a kind of its own, or one with attributes, such as `_metadata` of a `state_dict`. */
export declare class Dict extends Map<Value, Value> {
    /** The class: `collections.OrderedDict`. */
    className: string;
    /** The attributes that the file gives to the object. */
    attributes: Value;
    /** What makes the missing values of a `defaultdict`. */
    factory: Value;
}
/** A complex number. */
export declare class Complex {
    readonly real: number;
    readonly imaginary: number;
    constructor(real: number, imaginary: number);
}
/** A class or another global of the allowlist, by name. */
export declare class GlobalName {
    readonly module: string;
    readonly name: string;
    constructor(module: string, name: string);
    toString(): string;
}
/** A `slice` or a `range`. */
export declare class Slice {
    readonly className: "slice" | "range";
    readonly start: Value;
    readonly stop: Value;
    readonly step: Value;
    constructor(className: "slice" | "range", start: Value, stop: Value, step: Value);
}
/** A `torch.nn.Parameter` or its kin. */
export declare class Parameter {
    /** The class: `torch.nn.parameter.Parameter`. */
    readonly className: string;
    /** The tensor; `null` where it is not initialised. */
    readonly data: Tensor | null;
    /** Whether it collects gradients. */
    readonly requiresGrad: boolean;
    /** The attributes that the file gives to the object. */
    readonly state: Value;
    constructor(
    /** The class: `torch.nn.parameter.Parameter`. */
    className: string, 
    /** The tensor; `null` where it is not initialised. */
    data: Tensor | null, 
    /** Whether it collects gradients. */
    requiresGrad: boolean, 
    /** The attributes that the file gives to the object. */
    state: Value);
}
/** A sparse tensor, whose indices were checked. */
export declare class SparseTensor {
    /** `sparse_coo`, `sparse_csr` and their kin. */
    readonly layout: string;
    readonly shape: readonly number[];
    /** The indices of COO; of the others the compressed ones. */
    readonly indices: Tensor;
    /** The plain indices; `null` for COO. */
    readonly plainIndices: Tensor | null;
    readonly values: Tensor;
    /** Whether the indices are said to be sorted and unique. */
    readonly coalesced: boolean | null;
    constructor(
    /** `sparse_coo`, `sparse_csr` and their kin. */
    layout: string, shape: readonly number[], 
    /** The indices of COO; of the others the compressed ones. */
    indices: Tensor, 
    /** The plain indices; `null` for COO. */
    plainIndices: Tensor | null, values: Tensor, 
    /** Whether the indices are said to be sorted and unique. */
    coalesced: boolean | null);
}
/** An array of numpy's. */
export declare class NumpyArray {
    #private;
    /** The type string: `<f8`, `|S12`. */
    readonly dtype: string;
    /** The fields of a record: name, type string, first byte. */
    readonly fields: readonly (readonly [string, string, number])[];
    readonly shape: readonly number[];
    /** Whether the first index changes fastest. */
    readonly fortran: boolean;
    /** Its elements: a view of numbers, or of bytes where JavaScript has no view for the type. */
    get data(): TensorData;
    /** The same as a tensor, where torch has the type. */
    tensor(): Tensor;
}
/** An array of numpy's that holds objects. */
export declare class ObjectArray {
    readonly shape: readonly number[];
    /** Whether the first index changes fastest. */
    readonly fortran: boolean;
    readonly items: readonly Value[];
    constructor(shape: readonly number[], 
    /** Whether the first index changes fastest. */
    fortran: boolean, items: readonly Value[]);
}
/** A scalar of numpy's that is no plain number. */
export declare class NumpyScalar {
    /** The type string. */
    readonly dtype: string;
    readonly bytes: Uint8Array;
    constructor(
    /** The type string. */
    dtype: string, bytes: Uint8Array);
}
/** An instance of another class of the allowlist, as the call that makes it. */
export declare class Instance {
    readonly className: string;
    readonly arguments_: readonly Value[];
    readonly state: Value;
    constructor(className: string, arguments_: readonly Value[], state: Value);
}
