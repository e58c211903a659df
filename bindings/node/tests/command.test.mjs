// The command that the package brings, and the example of `docs/node.md`.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";

const require = createRequire(import.meta.url);
const home = dirname(require.resolve("secure-torch/package.json"));
const script = join(home, JSON.parse(readFileSync(join(home, "package.json"), "utf8")).bin["secure-torch"]);

const folder = mkdtempSync(join(tmpdir(), "secure-torch-"));
after(() => rmSync(folder, { recursive: true }));

const HOSTILE = Buffer.from("cposix\nsystem\n(S'echo hello'\ntR.");
const HONEST = Buffer.from("\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.", "latin1");

function run(arguments_, options = {}) {
  return spawnSync(process.execPath, [script, ...arguments_], { cwd: folder, encoding: "utf8", ...options });
}

test("exit codes are those of the command", () => {
  writeFileSync(join(folder, "bad.pkl"), HOSTILE);
  writeFileSync(join(folder, "good.pkl"), HONEST);
  assert.equal(run(["scan", "good.pkl"]).status, 0);
  const blocked = run(["scan", "bad.pkl"]);
  assert.equal(blocked.status, 1);
  assert.match(blocked.stdout, /posix\.system/);
  assert.equal(run(["scan", "none.pkl"]).status, 2);
  assert.equal(run(["no-such-command"]).status, 2);
  assert.match(run(["--version"]).stdout, /^secure-torch \d/);
});

test("standard input and output are the command's", () => {
  const told = run(["scan", "--format", "json", "-"], { input: HOSTILE });
  assert.equal(told.status, 1);
  assert.match(told.stdout, /"verdict": ?"block"/);
  assert.equal(run(["scan", "-"], { input: HONEST }).status, 0);
});

test("a name that is no UTF-8 reaches the file that it names", { skip: process.platform !== "linux" }, () => {
  const made = spawnSync("sh", ["-c", `printf . > "$(printf 'a\\377.pkl')" && exec "$0" "$1" scan a?.pkl`, process.execPath, script], {
    cwd: folder,
    encoding: "utf8",
  });
  assert.doesNotMatch(made.stderr, /does not exist/);
  assert.notEqual(made.status, 2);
});

test("the example of the documentation runs as it stands", { skip: process.env.SECURE_TORCH_DOCS ? false : "`SECURE_TORCH_DOCS` names docs/node.md" }, () => {
  const text = readFileSync(process.env.SECURE_TORCH_DOCS, "utf8");
  const examples = [...text.matchAll(/```js\n(.*?)```/gs)].map((found) => found[1]);
  assert.ok(examples.length > 0);
  // The example stands in a project of its own, where the package is installed.
  const place = existsSync(join(home, "../../node_modules")) ? join(home, "../..") : home;
  const name = `documented-${process.pid}.mjs`;
  const file = join(place, name);
  writeFileSync(file, examples.join("\n"));
  try {
    const told = spawnSync(process.execPath, [file], { cwd: folder, encoding: "utf8" });
    assert.equal(told.status, 0, told.stderr);
    assert.match(told.stdout, /blocked/);
  } finally {
    rmSync(file);
  }
});
