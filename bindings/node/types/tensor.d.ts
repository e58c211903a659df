/** Tensors, as views of the memory that the file is mapped to. */
import { type TensorData } from "./elements";
import type { Exact } from "./report";
/** How a quantised tensor's integers stand for numbers. */
export type Quantization = {
    readonly scale: number;
    readonly zeroPoint: Exact;
} | {
    readonly axis: number;
    readonly scales: Tensor;
    readonly zeroPoints: Tensor;
};
/**
 * A tensor: how the elements of a storage are looked at.
 *
 * Its data is a view, not a copy. Tensors that share a storage share their `ArrayBuffer`, and writing
 * to one is seen through the other; the file never changes.
 */
export declare class Tensor {
    #private;
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
    /** How many elements it has. */
    get size(): number;
    /** Whether its elements follow each other in `data`, the last index fastest. */
    get isContiguous(): boolean;
    /**
     * Its elements, from the first one on, as far as the last one reaches: element `[i, j]` is at
     * `i * strides[0] + j * strides[1]`. Complex numbers are two numbers each. `null` without data.
     *
     * It is a `Uint16Array` of bits for bfloat16, and for float16 where the runtime has no
     * `Float16Array`; bytes for every type that JavaScript has no view for.
     */
    get data(): TensorData | null;
    /**
     * The same elements in a row, the last index fastest, with no mark left: this tensor where it is so
     * already, else a copy.
     */
    contiguous(): Tensor;
}
