// Runs a module in a page, in Chromium, and prints what it logs: `node example.mjs FOLDER`.
//
// The module is `FOLDER/example.js`; it imports the package by its name, as a bundler would let it.

import { writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { launch } from './browser.mjs';
import { serve } from './serve.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2];
const built = process.env.SECURE_TORCH_WASM ?? resolve(here, '../../../target/npm/secure-torch-wasm');
writeFileSync(
  join(folder, 'example.html'),
  `<!doctype html><title>An example</title><link rel="icon" href="data:,">
<script type="importmap">{ "imports": { "secure-torch-wasm": "/engine/index.js" } }</script>
<script type="module">
  try {
    await import('/example/example.js');
    document.title = 'done';
  } catch (error) {
    console.error(error.message);
    document.title = 'failed';
  }
</script>
`,
);

const server = await serve({ '/engine/': built, '/example/': folder });
const browser = await launch();
try {
  const page = await browser.newPage();
  page.on('console', (message) => {
    if (message.type() === 'error') process.exitCode = 1;
    console.log(message.text());
  });
  await page.goto(`${server.address}example/example.html`);
  await page.waitForFunction(() => document.title !== 'An example');
} finally {
  await browser.close();
  await server.close();
}
