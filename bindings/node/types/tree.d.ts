/** Makes values from what the native half tells of a checkpoint (`src/tree.rs`). */
import { Tensor } from "./tensor";
import { NumpyArray, SparseTensor } from "./values";
/** What has a name. */
export type Named = Tensor | SparseTensor | NumpyArray;
