/** What the caller lets through. */

import { addon } from "./addon";
import { misused, unwrap } from "./errors";
import type { Policy as Native } from "./native";
import { known, text } from "./options";

/** What a policy is made of. */
export interface PolicyOptions {
  /** The highest score that is let through, from 0 to 100. */
  maxThreatScore?: number;
  /** Globals that are allowed beyond the rules, as `module.name` or `module:name`. */
  allow?: readonly string[];
  /** Limits of the judgement by their names in `spec/limits.toml`. */
  limits?: Readonly<Record<string, number | bigint>>;
}

const OPTIONS = { maxThreatScore: null, allow: "object", limits: "object" };

let nativeOf: (policy: Policy) => Native;

/** What is let through: a score, names of globals, limits, and perhaps a `secure-torch.toml`. */
export class Policy {
  #native: Native;

  static {
    nativeOf = (policy) => policy.#native;
  }

  constructor(options: PolicyOptions = {}) {
    known(options, OPTIONS);
    const limits = Object.entries(options.limits ?? {});
    const values = limits.map(([name, value]) => whole(name, value));
    const allow = Array.from(options.allow ?? [], (name) => text(name, "allow"));
    const made = unwrap(addon.Policy.make(allow, limits.map(([name]) => name), values));
    const score = options.maxThreatScore;
    this.#native = score === undefined ? made : made.withMaxThreatScore(scored(score));
  }

  /** The policy in a `secure-torch.toml`, which the caller names and therefore trusts. */
  static open(path: string): Policy {
    return Policy.#of(unwrap(addon.Policy.open(text(path, "path"))));
  }

  /** The policy in a text, whose `paths` count from the folder `base`. */
  static fromToml(toml: string, base = "."): Policy {
    return Policy.#of(unwrap(addon.Policy.fromToml(text(toml, "toml"), text(base, "base"))));
  }

  /** The policy file that holds for a path, and the policy in it, where there is one. */
  static discover(path: string): { path: string; policy: Policy } | null {
    const found = addon.Policy.discover(text(path, "path"));
    if (found === null) return null;
    const { path: where, policy } = unwrap(found);
    return { path: where, policy: Policy.#of(policy) };
  }

  static #of(native: Native): Policy {
    const policy = new Policy();
    policy.#native = native;
    return policy;
  }

  /** The same policy with another score. */
  withMaxThreatScore(score: number): Policy {
    return Policy.#of(this.#native.withMaxThreatScore(scored(score)));
  }

  /** The highest score that is let through. */
  get maxThreatScore(): number {
    return this.#native.maxThreatScore;
  }

  /** The globals that are allowed beyond the rules. */
  get allow(): string[] {
    return this.#native.allow;
  }

  /** The file that the policy comes from. */
  get path(): string | null {
    return this.#native.path;
  }
}

function scored(score: number): number {
  if (Number.isInteger(score) && score >= 0 && score <= 100) return score;
  throw misused(`\`maxThreatScore\` is a whole number from 0 to 100, not ${String(score)}`);
}

function whole(name: string, value: number | bigint): bigint {
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return BigInt(value);
  throw misused(`the limit \`${name}\` is a whole number, not ${String(value)}`);
}

/** The policy of a call, and the score of a call: the lower of two scores counts. @internal */
export function chosen(policy: Policy | undefined, score: number | undefined): Native {
  if (policy !== undefined && !(policy instanceof Policy)) {
    throw misused("`policy` is a `Policy`: `Policy.open(path)` reads one from a file");
  }
  const native = nativeOf(policy ?? new Policy());
  if (score === undefined) return native;
  const most = policy ? Math.min(scored(score), policy.maxThreatScore) : scored(score);
  return native.withMaxThreatScore(most);
}
