// Judges every file of a folder by the browser build, in Chromium: `node doors.mjs FOLDER`.
//
// `FOLDER/list.tsv` has a line for each: id, the name to judge it under, its path in the folder.
// For each a line comes out: the id, and the canonical JSON of the report.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { launch } from './browser.mjs';
import { serve } from './serve.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv.slice(2).filter((argument) => argument !== 'bytes').at(-1);
if (folder === undefined) {
  console.error('usage: node doors.mjs [bytes] FOLDER');
  process.exit(2);
}
const built = process.env.SECURE_TORCH_WASM ?? resolve(here, '../../../target/npm/secure-torch-wasm');
if (!existsSync(join(built, 'engine_bg.wasm'))) {
  console.error(`error: no browser build in ${built}: run \`cargo xtask web --build\``);
  process.exit(2);
}

const inputs = readFileSync(join(folder, 'list.tsv'), 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => line.split('\t'));

/** Runs in the page: judges one input. */
async function judge([name, path]) {
  const { scan } = await import('/engine/index.js');
  const answer = await fetch(`/inputs/${path.split('/').map(encodeURIComponent).join('/')}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return scan(name, await answer.arrayBuffer()).json();
}

const server = await serve({ '/engine/': built, '/inputs/': folder, '/': here });
const browser = await launch();
let failed = false;
try {
  const page = await browser.newPage();
  await page.goto(`${server.address}empty.html`);
  for (const [id, name, path] of inputs) {
    try {
      process.stdout.write(`${id}\t${await page.evaluate(judge, [name, path])}\n`);
    } catch (error) {
      failed = true;
      console.error(`error: ${id}: ${error.message.split('\n')[0]}`);
    }
  }
} finally {
  await browser.close();
  await server.close();
}
process.exitCode = failed ? 1 : 0;
