/** What was in a model file. */

import type { Loaded } from "./native";
import { Report } from "./report";
import { unsupported } from "./errors";
import { Tensor } from "./tensor";
import { Tree, type Named } from "./tree";
import { Dict, NumpyArray, type Value } from "./values";

/** A value, in which dicts with text for keys are objects. */
export type Plain = Value | Plain[] | { [key: string]: Plain };

/**
 * What was in a model file.
 *
 * Tensors lie over the file, which has to stay as it is while they are used: what others write to it
 * may show. They live as long as somebody holds them, and their memory goes with the last.
 */
export class Checkpoint {
  /** The judgement under which it was loaded. */
  readonly report: Report;
  readonly #tree: Tree;
  #root: { value: Value } | undefined;
  #tensors: Map<string, Named> | undefined;

  /** @internal */
  constructor(loaded: Loaded) {
    this.report = new Report(loaded.judgement);
    this.#tree = new Tree(loaded);
  }

  /** What the file holds. Every dict is a `Map`, in the order of the file. */
  get root(): Value {
    this.#root ??= { value: this.#tree.root() };
    return this.#root.value;
  }

  /**
   * Every tensor by its name: the keys that lead to it, joined by dots. Of a parameter it is the
   * tensor inside.
   */
  get tensors(): ReadonlyMap<string, Named> {
    this.#tensors ??= this.#tree.tensors();
    return this.#tensors;
  }

  /** The names of the tensors. */
  keys(): string[] {
    return [...this.tensors.keys()];
  }

  /** The tensor of a name. An array of numpy's comes as one too. */
  get(name: string): Tensor | undefined {
    const found = this.tensors.get(name);
    if (found === undefined || found instanceof Tensor) return found;
    if (found instanceof NumpyArray) return found.tensor();
    throw unsupported(this.#tree.file, "the tensor is sparse: `tensors` has its indices and values");
  }

  /** What the format keeps beside the values, such as safetensors' `__metadata__`. */
  get metadata(): ReadonlyMap<string, string> {
    return new Map(this.#tree.metadata);
  }

  /**
   * What the file holds, with dicts as objects where all their keys are text. The objects have no
   * prototype, so a key such as `__proto__` is a key like any other. Keys that look like numbers come
   * first in an object, whatever the file says; `root` keeps the order.
   */
  toObject(): Plain {
    const made = new Map<Value, Plain>();
    const plain = (value: Value): Plain => {
      if (!Array.isArray(value) && !(value instanceof Map) && !(value instanceof Set)) return value;
      const known = made.get(value);
      if (known !== undefined) return known;
      const result = contents(value, plain);
      made.set(value, result);
      return result;
    };
    return plain(this.root);
  }
}

function contents(value: Value[] | Map<Value, Value> | Set<Value>, plain: (value: Value) => Plain): Plain {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Set) return value;
  if (![...value.keys()].every((key) => typeof key === "string")) {
    const made = value instanceof Dict ? new Dict() : new Map<Value, Value>();
    for (const [key, item] of value) made.set(key, plain(item) as Value);
    if (made instanceof Dict && value instanceof Dict) {
      made.className = value.className;
      made.attributes = value.attributes;
      made.factory = value.factory;
    }
    return made;
  }
  const made = Object.create(null) as { [key: string]: Plain };
  for (const [key, item] of value) made[key as string] = plain(item);
  return made;
}
