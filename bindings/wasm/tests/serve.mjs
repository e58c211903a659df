// A static server for this machine alone: `node serve.mjs FOLDER [PORT]`, or `serve(folders)`.

import { createReadStream, existsSync, realpathSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

/** The file that a path names, or nothing. `folders` says which folder stands behind which start. */
function find(folders, path) {
  const start = Object.keys(folders).find((start) => path.startsWith(start));
  if (start === undefined) return null;
  const folder = realpathSync(folders[start]);
  const rest = path.slice(start.length);
  const file = join(folder, normalize(rest === '' || rest.endsWith('/') ? `${rest}index.html` : rest));
  if (!file.startsWith(folder + sep) || !existsSync(file)) return null;
  return statSync(file).isFile() ? file : null;
}

/**
 * Serves folders, each behind the start of a path, at a port or at any that is free; gives the
 * address and how to stop. `seen` hears of every request.
 */
export async function serve(folders, { port = 0, seen = () => {} } = {}) {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    seen(path);
    const file = find(folders, path);
    if (file === null || request.method !== 'GET') {
      response.writeHead(file === null ? 404 : 405).end();
      return;
    }
    response.writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'content-length': statSync(file).size,
      'x-content-type-options': 'nosniff',
    });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = `http://127.0.0.1:${server.address().port}/`;
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { address, close };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , folder, port] = process.argv;
  if (folder === undefined) {
    console.error('usage: node serve.mjs FOLDER [PORT]');
    process.exit(2);
  }
  const { address } = await serve({ '/': folder }, { port: Number(port ?? 0) });
  console.log(`${address} (Ctrl+C ends it)`);
}
