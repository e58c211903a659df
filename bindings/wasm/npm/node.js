// The entry for Node, where `fetch` reads no files.

import { readFileSync } from 'node:fs';

import { initSync, version as ask } from './engine.js';

initSync({ module: readFileSync(new URL('./engine_bg.wasm', import.meta.url)) });

export * from './api.js';

/** The version of the package and of the engine in it. */
export const version = ask();
