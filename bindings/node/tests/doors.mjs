// The Node column of the table of vectors: `node doors.mjs bytes|path FOLDER`.
//
// FOLDER/list.tsv names the inputs, one a line: id, the file's name as it is given, its path in
// FOLDER. Prints a line for each: the id, and the report's canonical JSON. `SECURE_TORCH_NODE` is the
// package to ask instead of the one in this tree.

import { readFileSync } from "node:fs";
import { join } from "node:path";

const { scanSync } = await import(process.env.SECURE_TORCH_NODE ?? "../index.mjs");

const [mode, folder] = process.argv.slice(2);
if ((mode !== "bytes" && mode !== "path") || folder === undefined) {
  console.error("usage: node doors.mjs bytes|path FOLDER");
  process.exit(2);
}
process.chdir(folder);
const lines = readFileSync("list.tsv", "utf8").split("\n").filter(Boolean);
for (const line of lines) {
  const [id, name, path] = line.split("\t");
  const report = mode === "path" ? scanSync(path) : scanSync(readFileSync(join(".", path)), { name });
  process.stdout.write(`${id}\t${report.json()}\n`);
}
