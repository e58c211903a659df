/** What was in a model file. */
import { Report } from "./report";
import { Tensor } from "./tensor";
import { type Named } from "./tree";
import { type Value } from "./values";
/** A value, in which dicts with text for keys are objects. */
export type Plain = Value | Plain[] | {
    [key: string]: Plain;
};
/**
 * What was in a model file.
 *
 * Tensors lie over the file, which has to stay as it is while they are used: what others write to it
 * may show. They live as long as somebody holds them, and their memory goes with the last.
 */
export declare class Checkpoint {
    #private;
    /** The judgement under which it was loaded. */
    readonly report: Report;
    /** What the file holds. Every dict is a `Map`, in the order of the file. */
    get root(): Value;
    /**
     * Every tensor by its name: the keys that lead to it, joined by dots. Of a parameter it is the
     * tensor inside.
     */
    get tensors(): ReadonlyMap<string, Named>;
    /** The names of the tensors. */
    keys(): string[];
    /** The tensor of a name. An array of numpy's comes as one too. */
    get(name: string): Tensor | undefined;
    /** What the format keeps beside the values, such as safetensors' `__metadata__`. */
    get metadata(): ReadonlyMap<string, string>;
    /**
     * What the file holds, with dicts as objects where all their keys are text. The objects have no
     * prototype, so a key such as `__proto__` is a key like any other. Keys that look like numbers come
     * first in an object, whatever the file says; `root` keeps the order.
     */
    toObject(): Plain;
}
