// The gate: a stream comes in, and a judged file in storage comes out, or nothing does.
//
// The stream goes to a file with a random name in a folder that only this process may enter, up to a
// limit. That very file is judged, and takes its name in storage in one step where the policy lets it
// through. It is removed in every other case: blocked, broken off, too large, an error.
//
// What it refuses: to replace a model that is there, to name a file after anything but plain letters,
// and to hold a model in memory.

import { randomUUID } from "node:crypto";
import { link, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";

import { scan } from "secure-torch";

/** Why an upload was not taken, as an HTTP status. */
export class Refused extends Error {
  constructor(statusCode, message, report) {
    super(message);
    this.statusCode = statusCode;
    this.report = report;
  }
}

/** The pieces of a stream, whose own error is the sender's fault. */
async function* pieces(stream) {
  try {
    yield* stream.iterator({ destroyOnReturn: false });
  } catch (error) {
    throw new Refused(400, `the upload broke off: ${error.message}`);
  }
}

export class Gate {
  /** `storage` is where models end up; `policy` and `maxBytes` are what is let through. */
  constructor({ storage, policy, maxBytes = 8 * 2 ** 30 }) {
    this.storage = storage;
    // On the same file system, so that a file moves in one step.
    this.incoming = join(storage, ".incoming");
    this.policy = policy;
    this.maxBytes = maxBytes;
  }

  /** Makes the folders, and removes what a crash left behind. */
  async prepare() {
    await rm(this.incoming, { recursive: true, force: true });
    await mkdir(this.incoming, { recursive: true, mode: 0o700 });
  }

  /** Takes a model from a stream. Gives its report, or throws `Refused`. */
  async take(stream, name, signal) {
    if (typeof name !== "string" || !/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/.test(name)) {
      stream.resume();
      throw new Refused(400, "a name has up to 100 letters, digits, dots, hyphens and underscores");
    }
    const passing = join(this.incoming, randomUUID());
    try {
      await this.#write(stream, passing);
      const report = await scan(passing, { policy: this.policy, signal });
      // Where it lay here is nothing that the sender has to know.
      if (!report.loadAllowed) throw new Refused(422, "the model is blocked", { ...report.toJSON(), path: name });
      const sha256 = await report.sha256();
      await this.#keep(passing, join(this.storage, name));
      return { report, sha256 };
    } finally {
      await rm(passing, { force: true });
    }
  }

  /** Writes a stream to a file of its own, and to the disk. A stream that breaks off is an error. */
  async #write(stream, path) {
    const file = await open(path, "wx", 0o600);
    try {
      let bytes = 0;
      // The stream stays, so that an answer can be sent to whoever is still sending.
      for await (const piece of pieces(stream)) {
        bytes += piece.length;
        if (bytes > this.maxBytes) break;
        await file.appendFile(piece);
      }
      if (bytes > this.maxBytes) throw new Refused(413, `a model has at most ${this.maxBytes} bytes here`);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Gives a file its name, unless another has it. */
  async #keep(passing, wanted) {
    try {
      await link(passing, wanted);
    } catch (error) {
      if (error.code === "EEXIST") throw new Refused(409, "there is a model of this name");
      throw error;
    }
  }
}
