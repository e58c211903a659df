// The entry for browsers and workers: fetches the engine from beside this file, and is ready when
// the import is.

import start, { version as ask } from './engine.js';

await start({ module_or_path: new URL('./engine_bg.wasm', import.meta.url) });

export * from './api.js';

/** The version of the package and of the engine in it. */
export const version = ask();
