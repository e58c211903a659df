// The same module objects for `import` as for `require`, so that an error's class is one class.

import secureTorch from "./dist/index.js";

export const {
  Checkpoint,
  Complex,
  Dict,
  GlobalName,
  Instance,
  ModelBlockedError,
  NumpyArray,
  NumpyScalar,
  ObjectArray,
  Parameter,
  Policy,
  Report,
  SecureTorchError,
  Slice,
  SparseTensor,
  Tensor,
  bfloat16ToFloat32,
  convert,
  convertSync,
  float16ToFloat32,
  load,
  loadSync,
  rules,
  scan,
  scanSync,
  verify,
  version,
} = secureTorch;
