/**
 * Finds the native half of the package: beside it where it was built here, else in the package for
 * this platform, which npm installs as an optional dependency.
 *
 * It looks nowhere else: no environment variable and no working directory says what is loaded.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";

type Addon = typeof import("./native");

/** The platforms that there are packages for, as napi-rs names them. */
const PLATFORMS: Record<string, string> = {
  "darwin arm64": "darwin-arm64",
  "darwin x64": "darwin-x64",
  "linux arm64 glibc": "linux-arm64-gnu",
  "linux x64 glibc": "linux-x64-gnu",
  "win32 x64": "win32-x64-msvc",
};

function failed(message: string, hint: string, cause?: unknown): Error {
  const error = new Error(`${message}: ${hint}`, { cause });
  return Object.assign(error, { name: "SecureTorchError", code: "feature-missing", hint });
}

/** Which C library this Node runs on. Only Linux has a choice. */
function library(): string {
  if (process.platform !== "linux") return "";
  // `process.report.getReport()` looks host names up unless it is told otherwise, and that can hang.
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean | undefined };
  const before = report.excludeNetwork;
  report.excludeNetwork = true;
  const told = report.getReport() as { header?: { glibcVersionRuntime?: string } };
  report.excludeNetwork = before;
  return told.header?.glibcVersionRuntime === undefined ? " musl" : " glibc";
}

function load(): Addon {
  const here = `${process.platform} ${process.arch}${library()}`;
  const platform = PLATFORMS[here];
  if (platform === undefined) {
    const known = Object.keys(PLATFORMS).join(", ");
    throw failed(`secure-torch is not built for ${here}`, `it is for ${known}`);
  }
  const built = join(__dirname, "..", `secure-torch.${platform}.node`);
  if (existsSync(built)) return require(built) as Addon;
  const name = `secure-torch-${platform}`;
  try {
    return require(name) as Addon;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") {
      const hint = "install again without `--omit=optional` or `--no-optional`, on this platform";
      throw failed(`the package \`${name}\` is not installed`, hint, cause);
    }
    const hint = `it needs Node 18 or newer and the C library of this platform (${String(cause)})`;
    throw failed(`the package \`${name}\` cannot be loaded`, hint, cause);
  }
}

/** The native half. @internal */
export const addon: Addon = load();
