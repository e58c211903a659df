// What the tests share: where things are, and small files to judge.

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));

export const root = resolve(here, '../../..');

/** The built package. */
export const built = process.env.SECURE_TORCH_WASM ?? join(root, 'target/npm/secure-torch-wasm');

/** A pickle that runs a command when it is unpickled. Nothing here unpickles it. */
export const hostile = Buffer.from("cposix\nsystem\n(S'echo secure-torch'\ntR.");

const inputs = process.env.SECURE_TORCH_INPUTS ?? '';

/** A real file of the cache, or nothing where the cache was not filled. */
export function real(ending) {
  const index = join(inputs, 'index.json');
  if (!existsSync(index)) return null;
  const row = JSON.parse(readFileSync(index, 'utf8')).find(({ path }) => path.endsWith(ending));
  return row && existsSync(row.path) ? row.path : null;
}

/** What the command prints about a file under its own name; nothing without the command. */
export function command(path) {
  const program = process.env.SECURE_TORCH_BIN;
  if (!program) return null;
  const scan = ['scan', '--format', 'json', '--no-policy', basename(path)];
  const { stdout, status } = spawnSync(program, scan, { cwd: dirname(path), encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (status !== 0 && status !== 1) throw new Error(`the command ended with ${status}`);
  return stdout;
}

/** A ZIP of stored members: `[name, content]`, or `[name, length]` of zeros that are not made. */
export class Zip {
  #pieces = [];
  #length = 0;
  #entries = [];

  /** What only a length says is not read by a judge, nor is its CRC. */
  add(name, content) {
    const sparse = typeof content === 'number';
    const crc = sparse ? 0 : crc32(content);
    const size = sparse ? content : content.length;
    const raw = Buffer.from(name);
    const wide = size >= 0xffffffff;
    const extra = Buffer.alloc(wide ? 20 : 0);
    if (wide) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(16, 2);
      extra.writeBigUInt64LE(BigInt(size), 4);
      extra.writeBigUInt64LE(BigInt(size), 12);
    }
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    header.writeUInt16LE(wide ? 45 : 20, 4);
    header.writeUInt16LE(0x800, 6);
    header.writeUInt32LE(crc >>> 0, 14);
    header.writeUInt32LE(wide ? 0xffffffff : size, 18);
    header.writeUInt32LE(wide ? 0xffffffff : size, 22);
    header.writeUInt16LE(raw.length, 26);
    header.writeUInt16LE(extra.length, 28);
    this.#entries.push({ raw, size, crc: crc >>> 0, offset: this.#length });
    this.#put(Buffer.concat([header, raw, extra]));
    this.#put(sparse ? null : content, size);
    return this;
  }

  #put(content, size = content.length) {
    this.#pieces.push({ offset: this.#length, content });
    this.#length += size;
  }

  /** The pieces with their places, and the whole length. */
  finish() {
    const start = this.#length;
    for (const { raw, size, crc, offset } of this.#entries) {
      const wide = size >= 0xffffffff || offset >= 0xffffffff;
      const extra = Buffer.alloc(wide ? 28 : 0);
      if (wide) {
        extra.writeUInt16LE(1, 0);
        extra.writeUInt16LE(24, 2);
        extra.writeBigUInt64LE(BigInt(size), 4);
        extra.writeBigUInt64LE(BigInt(size), 12);
        extra.writeBigUInt64LE(BigInt(offset), 20);
      }
      const header = Buffer.alloc(46);
      header.writeUInt32LE(0x02014b50, 0);
      header.writeUInt16LE(wide ? 45 : 20, 4);
      header.writeUInt16LE(wide ? 45 : 20, 6);
      header.writeUInt16LE(0x800, 8);
      header.writeUInt32LE(crc, 16);
      header.writeUInt32LE(wide ? 0xffffffff : size, 20);
      header.writeUInt32LE(wide ? 0xffffffff : size, 24);
      header.writeUInt16LE(raw.length, 28);
      header.writeUInt16LE(extra.length, 30);
      header.writeUInt32LE(wide ? 0xffffffff : offset, 42);
      this.#put(Buffer.concat([header, raw, extra]));
    }
    const size = this.#length - start;
    const wide = start >= 0xffffffff;
    const count = this.#entries.length;
    if (wide) {
      const record = Buffer.alloc(76);
      record.writeUInt32LE(0x06064b50, 0);
      record.writeBigUInt64LE(44n, 4);
      record.writeUInt16LE(45, 12);
      record.writeUInt16LE(45, 14);
      record.writeBigUInt64LE(BigInt(count), 24);
      record.writeBigUInt64LE(BigInt(count), 32);
      record.writeBigUInt64LE(BigInt(size), 40);
      record.writeBigUInt64LE(BigInt(start), 48);
      record.writeUInt32LE(0x07064b50, 56);
      record.writeBigUInt64LE(BigInt(start + size), 64);
      record.writeUInt32LE(1, 72);
      this.#put(record);
    }
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(count, 8);
    end.writeUInt16LE(count, 10);
    end.writeUInt32LE(size, 12);
    end.writeUInt32LE(wide ? 0xffffffff : start, 16);
    this.#put(end);
    return { pieces: this.#pieces, length: this.#length };
  }

  /** The whole archive, which must hold no member of zeros. */
  bytes() {
    return Buffer.concat(this.finish().pieces.map(({ content }) => content));
  }

  /** Writes the archive; its zeros take no room on the disk. */
  write(path) {
    const { pieces, length } = this.finish();
    const file = openSync(path, 'w');
    try {
      ftruncateSync(file, length);
      for (const { offset, content } of pieces) {
        if (content !== null) writeSync(file, content, 0, content.length, offset);
      }
    } finally {
      closeSync(file);
    }
    return path;
  }
}

