/** The errors that the package throws. */

import { addon } from "./addon";
import type { Failure } from "./native";
import { Report } from "./report";

/** What an error knows beside its message. */
export interface ErrorDetails {
  /** The stable code, as in `spec/errors.toml`: `model-blocked`, `io-not-found`. */
  code: string;
  /** What to do about it. */
  hint: string;
  /** The path or name that it is about; empty where there is none. */
  path?: string;
  /** The judgement, where there is one. */
  report?: Report | undefined;
  /** The error behind it. */
  cause?: unknown;
}

/** Why something was not done. */
export class SecureTorchError extends Error {
  override name = "SecureTorchError";
  /** The stable code, as in `spec/errors.toml`: `model-blocked`, `io-not-found`. */
  readonly code: string;
  /** What to do about it. */
  readonly hint: string;
  /** The path or name that it is about; empty where there is none. */
  readonly path: string;
  /** The judgement, where there is one. */
  readonly report: Report | undefined;

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.code = details.code;
    this.hint = details.hint;
    this.path = details.path ?? "";
    this.report = details.report;
  }
}

/** The policy does not let the file through. Its report says why. */
export class ModelBlockedError extends SecureTorchError {
  override name = "ModelBlockedError";
  declare readonly report: Report;
}

/** The error for a failure of the native half. @internal */
export function thrown(failure: Failure): SecureTorchError {
  const { code, hint, path, judgement } = failure;
  const report = judgement ? new Report(judgement) : undefined;
  const Kind = code === "model-blocked" && report ? ModelBlockedError : SecureTorchError;
  return new Kind(failure.message, { code, hint, path, report });
}

/** What the native half gave, unless it failed. @internal */
export function unwrap<T extends object | string>(given: T | Failure): T {
  if (typeof given === "object" && "code" in given && "hint" in given) throw thrown(given);
  return given as T;
}

/** An error for a call that cannot be done. @internal */
export function misused(message: string): SecureTorchError {
  return new SecureTorchError(addon.printable(message), { code: "usage", hint: "docs/node.md says what is expected" });
}

/** An error for something in a file that JavaScript cannot hold. @internal */
export function unsupported(path: string, cause: string, report?: Report): SecureTorchError {
  const hint = "convert the file where it came from, or load it in another language";
  return new SecureTorchError(`\`${addon.printable(path)}\` cannot be loaded: ${cause}`, {
    code: "model-unsupported",
    hint,
    path,
    report,
  });
}
