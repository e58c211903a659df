// Packs the package and the one for this platform: `node pack.mjs FOLDER`.
//
// The package in the tree does not depend on those for the platforms, because they are in no registry
// before it is: as with `napi prepublish`, what is packed does. Prints the names of the tarballs.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const home = dirname(fileURLToPath(import.meta.url));
const [given] = process.argv.slice(2);
if (given === undefined) throw new Error("usage: node pack.mjs FOLDER");
const folder = resolve(given);
const read = (path) => JSON.parse(readFileSync(path, "utf8"));

const own = read(join(home, "package.json"));
const platforms = readdirSync(join(home, "npm")).sort();
const optional = {};
for (const platform of platforms) {
  const { name, version } = read(join(home, "npm", platform, "package.json"));
  if (version !== own.version) throw new Error(`${name} is ${version}, not ${own.version}`);
  optional[name] = version;
}
const built = platforms.filter((platform) =>
  readdirSync(home).includes(`${own.napi.binaryName}.${platform}.node`),
);
if (built.length === 0) throw new Error("nothing is built: `npm run build`");

rmSync(folder, { recursive: true, force: true });

const main = join(folder, own.name);
mkdirSync(main, { recursive: true });
for (const name of [...own.files, "README.md", "LICENSE"]) {
  cpSync(join(home, name), join(main, name), { recursive: true });
}
const { scripts, napi, devDependencies, ...published } = own;
const packed = { ...published, optionalDependencies: optional };
writeFileSync(join(main, "package.json"), `${JSON.stringify(packed, null, 2)}\n`);

const folders = [main];
for (const platform of built) {
  const made = join(folder, `${own.name}-${platform}`);
  cpSync(join(home, "npm", platform), made, { recursive: true });
  const addon = `${own.napi.binaryName}.${platform}.node`;
  cpSync(join(home, addon), join(made, addon));
  cpSync(join(home, "LICENSE"), join(made, "LICENSE"));
  folders.push(made);
}
for (const made of folders) {
  const arguments_ = ["pack", "--silent", "--pack-destination", folder, made];
  const name = execFileSync("npm", arguments_, { encoding: "utf8", shell: process.platform === "win32" });
  console.log(name.trim());
}
