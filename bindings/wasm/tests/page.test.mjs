// The page, in headless Chromium.

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { launch, skip } from './browser.mjs';
import { serve } from './serve.mjs';
import { Zip, built, command, hostile, real, root } from './support.mjs';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** An archive of `torch.save` with one storage of zeros that take no room. */
function sparse(path, length) {
  const pickle =
    '\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03' +
    'ctorch\nByteStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06\x8a\x05';
  const size = Buffer.alloc(5);
  size.writeUIntLE(length, 0, 5);
  const rest = 'tq\x07QK\x00\x8a\x05';
  const tail = '\x85q\x08K\x01\x85q\x09\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds.';
  const data = Buffer.concat([Buffer.from(pickle, 'latin1'), size, Buffer.from(rest, 'latin1'), size, Buffer.from(tail, 'latin1')]);
  return new Zip().add('big/data.pkl', data).add('big/data/0', length).add('big/version', Buffer.from('3\n')).write(path);
}

/** The most memory that any process below this one has held, in bytes. */
function peak() {
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const parent = Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]);
      const held = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
      parents.set(Number(pid), { parent, held });
    } catch {
      // It ended meanwhile.
    }
  }
  const below = (pid) => {
    for (let at = parents.get(pid); at !== undefined; at = parents.get(at.parent)) {
      if (at.parent === process.pid) return true;
    }
    return false;
  };
  return Math.max(0, ...[...parents].filter(([pid]) => below(pid)).map(([, { held }]) => held));
}

describe('the page', { skip }, () => {
  let folder;
  let browser;
  let server;
  const asked = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'secure-torch-page-'));
    const folders = { '/secure-torch-wasm/': built, '/': join(root, 'examples/web') };
    server = await serve(folders, { seen: (path) => asked.push(path) });
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A page that has the engine, and what went wrong in it. */
  async function opened(options = {}) {
    const context = await browser.newContext(options);
    // A machine may be slow; only what never comes is a failure.
    context.setDefaultTimeout(300_000);
    const page = await context.newPage();
    const wrong = [];
    page.on('console', (message) => message.type() === 'error' && wrong.push(message.text()));
    page.on('pageerror', (error) => wrong.push(error.message));
    await page.goto(server.address);
    await page.waitForSelector('html[data-ready]', { state: 'attached' });
    return { page, context, wrong };
  }

  function written(name, content) {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  }

  async function judge(page, path) {
    await page.setInputFiles('#file', path);
    await page.waitForSelector('#verdict');
    return page.textContent('#verdict');
  }

  async function saved(page, button) {
    const [download] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
    return readFileSync(await download.path(), 'utf8');
  }

  async function shot(page, name) {
    const shots = join(built, '../../web-screenshots');
    mkdirSync(shots, { recursive: true });
    await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
  }

  test('a real file is allowed, with the report of the command', async (t) => {
    const file = real('lpips_models/alex.pth');
    if (file === null) return t.skip('no real inputs');
    const { page, context, wrong } = await opened();
    assert.equal(await judge(page, file), 'Allowed');
    await shot(page, 'allowed');
    const json = await saved(page, '#save-json');
    const report = command(file);
    if (report !== null) assert.ok(report.includes(`"reports":[${json}]`));
    assert.equal(JSON.parse(await saved(page, '#save-sarif')).version, '2.1.0');
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('a hostile file is blocked, and its opcodes show where', async () => {
    const { page, context, wrong } = await opened();
    assert.equal(await judge(page, written('model.pt', hostile)), 'Blocked');
    await shot(page, 'blocked');
    assert.equal(await page.textContent('.score strong'), '80');
    assert.match(await page.textContent('.findings'), /posix\.system/);
    await page.click('.findings .link');
    await page.waitForSelector('.opcodes .row[aria-selected=true]');
    assert.match(await page.textContent('.opcodes .row[aria-selected=true]'), /GLOBAL/);
    assert.match(await page.textContent('.detail'), /imports posix\.system: dangerous/);
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('names from the file are text and never HTML', async () => {
    const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    const bytes = new Zip()
      .add('m/data.pkl', Buffer.from(`c${evil}\n${evil}\n)R.`))
      .add(`m/${evil}.pkl`, hostile)
      .add(`m/data/${evil}`, Buffer.alloc(100))
      .bytes();
    const { page, context, wrong } = await opened();
    const title = await page.title();
    const images = await page.locator('img').count();
    assert.equal(await judge(page, written('<b>bold<b> &amp; .pt', bytes)), 'Blocked');
    for (const tab of ['findings', 'globals', 'archive', 'opcodes']) {
      await page.click(`#tab-${tab}`);
      await page.waitForSelector(`#panel-${tab} :is(.row, li, td)`);
    }
    for (const option of await page.locator('#pickle option').all()) {
      await page.selectOption('#pickle', await option.getAttribute('value'));
    }
    assert.match(await page.textContent('#panel-archive'), /<img src=x onerror/);
    assert.equal(await page.locator('img').count(), images);
    assert.equal(await page.locator('#result script, #result b').count(), 0);
    assert.equal(await page.title(), title);
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('nothing is asked for once the page is there, and nothing leaves it', async () => {
    const { page, context, wrong } = await opened();
    const requests = [];
    context.on('request', (request) => !request.url().startsWith('blob:') && requests.push(request.url()));
    const before = asked.length;
    await context.setOffline(true);
    for (const [name, bytes] of [['a.pt', hostile], ['b.pt', new Zip().add('m/data.pkl', hostile).bytes()]]) {
      assert.equal(await judge(page, written(name, bytes)), 'Blocked');
      for (const tab of ['archive', 'opcodes']) await page.click(`#tab-${tab}`);
      await page.waitForSelector('.opcodes .space .row');
      await saved(page, '#save-json');
    }
    assert.deepEqual(requests, []);
    assert.equal(asked.length, before);
    await context.setOffline(false);
    const blocked = await page.evaluate(async () => {
      const broken = new Promise((resolve) => addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective)));
      fetch('https://example.invalid/?leak').catch(() => {});
      return broken;
    });
    assert.equal(blocked, 'connect-src');
    assert.deepEqual(wrong.filter((text) => !text.includes('example.invalid')), []);
    await context.close();
  });

  test('ten gigabytes are judged without being held', async () => {
    const { page, context, wrong } = await opened();
    const file = sparse(join(folder, 'big.pt'), 10 * GIB);
    assert.equal(await judge(page, file), 'Allowed', await page.textContent('#result'));
    const report = JSON.parse(await saved(page, '#save-json'));
    assert.ok(report.size_bytes > 10 * GIB && report.bytes_examined < MIB);
    assert.equal(report.format, 'pytorch-zip');
    await page.click('#tab-archive');
    await page.waitForSelector('.members .space .row');
    assert.match(await page.textContent('.legend'), /Tensor data\s*1 · 10\.7 GB/);
    await page.click('#tab-opcodes');
    await page.waitForSelector('.opcodes .space .row');
    await shot(page, 'large');
    const held = peak();
    console.log(`    10 GB: ${report.bytes_examined} bytes examined; the largest process held ${Math.round(held / MIB)} MiB`);
    assert.ok(held < GIB, `${held} bytes`);
    const judged = command(file);
    if (judged !== null) assert.ok(judged.includes(`"reports":[${JSON.stringify(report)}]`));
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('a judgement can be cancelled, and the next one works', async () => {
    const { page, context, wrong } = await opened();
    // Four million globals are asked for: it takes a while.
    const slow = written('slow.pkl', Buffer.from(`${'cmine\nThing\n0'.repeat(4_000_000)}N.`));
    await page.setInputFiles('#file', slow);
    await page.click('#cancel');
    await page.waitForSelector('#reading', { state: 'hidden' });
    assert.equal(await page.textContent('#status'), 'Cancelled');
    assert.equal(await page.locator('#verdict').count(), 0);
    assert.equal(await judge(page, written('next.pt', hostile)), 'Blocked');
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('everything can be reached with the keyboard', async () => {
    const { page, context, wrong } = await opened();
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);
    const chooser = page.waitForEvent('filechooser');
    for (let presses = 0; (await focused()) !== 'pick' && presses < 3; presses++) await page.keyboard.press('Tab');
    assert.equal(await focused(), 'pick');
    await page.keyboard.press('Enter');
    await (await chooser).setFiles(written('keys.pt', hostile));
    await page.waitForSelector('#verdict');
    assert.equal(await focused(), 'verdict');
    assert.match(await page.textContent('#status'), /^Blocked: keys\.pt/);
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'tab-findings');
    for (const tab of ['globals', 'archive', 'opcodes']) {
      await page.keyboard.press('ArrowRight');
      assert.equal(await focused(), `tab-${tab}`);
    }
    await page.waitForSelector('.opcodes .space .row');
    for (let presses = 0; (await focused()) !== 'search' && presses < 5; presses++) await page.keyboard.press('Tab');
    await page.keyboard.type('reduce');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.opcodes .row[aria-selected=true]');
    assert.match(await page.textContent('.opcodes .row[aria-selected=true]'), /REDUCE/);
    for (let presses = 0; (await focused()) !== 'scroll' && presses < 5; presses++) await page.keyboard.press('Tab');
    await page.keyboard.press('Home');
    await page.waitForFunction(() => /GLOBAL/.test(document.querySelector('.opcodes .row[aria-selected=true]')?.textContent));
    const unnamed = await page.evaluate(() =>
      [...document.querySelectorAll('button, input:not(.hidden), select, textarea, [role=grid], [role=img]')]
        .filter((node) => !(node.textContent.trim() || node.labels?.length || node.getAttribute('aria-label')))
        .map((node) => node.outerHTML),
    );
    assert.deepEqual(unnamed, []);
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('a million opcodes are shown a page at a time', async () => {
    const { page, context, wrong } = await opened();
    const long = written('long.pkl', Buffer.concat([Buffer.from('\x80\x02]q\x00', 'latin1'), Buffer.from('K\x01a'.repeat(1_000_000)), Buffer.from('.')]));
    assert.equal(await judge(page, long), 'Allowed');
    await page.click('#tab-opcodes');
    await page.waitForSelector('.opcodes .space .row');
    await page.focus('.opcodes .scroll');
    await page.keyboard.press('End');
    await page.waitForFunction(() => /STOP/.test(document.querySelector('.opcodes .row[aria-selected=true]')?.textContent));
    assert.ok((await page.locator('.opcodes .row').count()) < 100);
    assert.match(await page.textContent('#pickle'), /2,000,004 opcodes/);
    assert.deepEqual(wrong, []);
    await context.close();
  });

  for (const [name, options] of Object.entries({
    'a phone in the dark': { viewport: { width: 360, height: 740 }, colorScheme: 'dark' },
    'a desktop': { viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
  })) {
    test(`it fits ${name}`, async () => {
      const { page, context, wrong } = await opened(options);
      const bytes = new Zip().add('m/data.pkl', hostile).add(`m/data/${'long'.repeat(60)}`, Buffer.alloc(9000)).bytes();
      await judge(page, written(`${'name'.repeat(40)}.pt`, bytes));
      for (const tab of ['findings', 'globals', 'archive', 'opcodes']) {
        await page.click(`#tab-${tab}`);
        await page.waitForSelector(`#panel-${tab} :is(.row, li, td)`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${tab}: ${wide} pixels too wide`);
        await shot(page, `${name.replaceAll(' ', '-')}-${tab}`);
      }
      assert.deepEqual(wrong, []);
      await context.close();
    });
  }

  test('a worker in which a call failed judges no other file', async () => {
    const { page, context } = await opened();
    const made = await page.evaluate(async () => {
      const { openFile } = await import('/secure-torch-wasm/file.js');
      let workers = 0;
      const Plain = Worker;
      self.Worker = class extends Plain {
        constructor(...given) {
          super(...given);
          workers += 1;
        }
      };
      const counts = [];
      for (const fails of [false, true, false]) {
        const file = await openFile(new File(['N.'], 'x.pkl'));
        counts.push(workers);
        if (fails) await file.rows(0n, 0, 1).then(() => counts.push('no error'), () => {});
        file.close();
      }
      return counts;
    });
    assert.deepEqual(made, [0, 0, 1]);
    await context.close();
  });

  test('a file that changes while it is read gives no verdict', async () => {
    const { page, context } = await opened();
    const verdict = await page.evaluate(async () => {
      const { scanFile } = await import('/secure-torch-wasm/file.js');
      const lying = new File([new Uint8Array(10)], 'x.pt');
      const [before, after] = await Promise.allSettled([
        scanFile(lying, { policy: { maxThreatScore: 300 } }),
        scanFile(lying, { signal: AbortSignal.abort(new Error('no more')) }),
      ]);
      return [before.reason?.code, after.reason?.message, (await scanFile(lying)).verdict];
    });
    assert.deepEqual(verdict, ['policy-invalid', 'no more', 'block']);
    const path = written('gone.pt', Buffer.alloc(200_000));
    await page.setInputFiles('#file', []);
    const handle = await page.$('#file');
    await page.evaluate(() => document.querySelector('#file').addEventListener('change', (event) => event.stopImmediatePropagation(), { capture: true }));
    await handle.setInputFiles(path);
    copyFileSync(written('other.pt', hostile), path);
    const code = await page.evaluate(async () => {
      const { scanFile } = await import('/secure-torch-wasm/file.js');
      return scanFile(document.querySelector('#file').files[0]).then(({ verdict }) => verdict, (error) => error.code);
    });
    assert.ok(code.startsWith('io-'), code);
    await context.close();
  });
});
