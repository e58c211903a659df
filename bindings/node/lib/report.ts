/** The judgement of one file. */

import { addon } from "./addon";
import { unwrap } from "./errors";
import type { Judgement } from "./native";
import { exact } from "./wire";

/** A number that is exact: a `bigint` beyond `Number.MAX_SAFE_INTEGER`. */
export type Exact = number | bigint;

/** A rule that was hit. */
export interface Finding {
  /** The rule's stable id. */
  rule: string;
  /** The rule's points. A rule counts once, however often it is hit. */
  points: number;
  /** Where: the file's own part is empty, a member's path follows `!/`. */
  path: string;
  /** The byte offset inside the part, where there is one. */
  offset: Exact | null;
  /** What the finding is about. Safe to print. */
  subject: string;
  /** What was seen, as a sentence. Safe to print. */
  message: string;
  /** How often the same rule met the same subject in this part. */
  count: Exact;
  /** The reason for which the policy's file ignores it, where it does. Safe to print. */
  ignored: string | null;
}

/** A call of an imported object. */
export interface Call {
  /** Where the call stands in the part. */
  offset: Exact;
  /** `REDUCE`, `NEWOBJ`, `BUILD` and their kin. */
  opcode: string;
}

/** A global that a pickle asks for. */
export interface Global {
  /** The module as the stream names it: not safe to print. */
  module: string;
  /** The name as the stream spells it: not safe to print. */
  name: string;
  /** What Python 3 would import. Safe to print. */
  python3: string;
  /** What the rules say of it. */
  class: "allowed" | "dangerous" | "unknown";
  /** The family of a dangerous global. */
  family: string | null;
  /** The part that asks for it. */
  path: string;
  /** Where the part first asks for it. */
  offset: Exact;
  /** The first calls of what it gives. */
  calls: Call[];
  /** How many calls there are. */
  callCount: Exact;
}

/** A part of the file that was judged. */
export interface Part {
  /** The member's path, empty for the file itself. */
  path: string;
  /** What it is. */
  format: string;
  /** Its length, unpacked. */
  sizeBytes: Exact;
}

/** A policy file, and what of it decided. */
export interface PolicyInfo {
  /** The file's path. Safe to print. */
  path: string;
  /** The SHA-256 of the file. */
  sha256: string;
  /** The entries that applied. */
  applied: { entry: string; line: number; what: string; reason: string }[];
}

/** The fields of a report. */
interface Fields {
  path: string;
  format: string;
  formats: string[];
  sizeBytes: Exact;
  bytesExamined: Exact;
  threatScore: number;
  threatLevel: string;
  verdict: "allow" | "block";
  reasons: string[];
  scoreBreakdown: Record<string, number>;
  findings: Finding[];
  findingsOmitted: Exact;
  globals: Global[];
  globalsOmitted: Exact;
  parts: Part[];
  limits: string[];
  policy: PolicyInfo | null;
  rules: { version: string; sha256: string };
}

/** The judgement of one file. `spec/report.schema.json` describes its JSON form. */
export class Report {
  readonly #judgement: Judgement;
  /** The path or name under which the file was given. Not safe to print. */
  readonly path: string;
  /** What the file is, by structure. */
  readonly format: string;
  /** Every format whose loader would accept the file; more than one is a polyglot. */
  readonly formats: readonly string[];
  /** The file's length. */
  readonly sizeBytes: Exact;
  /** How many bytes were read to judge it. */
  readonly bytesExamined: Exact;
  /** The points of every rule that was hit, summed and capped at 100. */
  readonly threatScore: number;
  /** The band that the score lies in: `SAFE`, `LOW`, `MEDIUM`, `HIGH` or `CRITICAL`. */
  readonly threatLevel: string;
  /** Whether the policy lets the file through. */
  readonly verdict: "allow" | "block";
  /** Each reason for a block, as a sentence. Empty where the file is allowed. */
  readonly reasons: readonly string[];
  /** Each rule that was hit, with its points. */
  readonly scoreBreakdown: Readonly<Record<string, number>>;
  /** What was seen, in the order of its weight, then of its place. */
  readonly findings: readonly Finding[];
  /** How many findings are beyond the limit of `findings`. */
  readonly findingsOmitted: Exact;
  /** Every global that a pickle of the file asks for. */
  readonly globals: readonly Global[];
  /** How many globals are beyond the limit of `globals`. */
  readonly globalsOmitted: Exact;
  /** What the file holds: itself and, for a container, each member that was judged. */
  readonly parts: readonly Part[];
  /** What the judgement does not cover, as sentences. */
  readonly limits: readonly string[];
  /** The policy file under which the verdict was reached, where there is one. */
  readonly policy: PolicyInfo | null;
  /** The rule set that judged. */
  readonly rules: { readonly version: string; readonly sha256: string };

  /** @internal */
  constructor(judgement: Judgement) {
    this.#judgement = judgement;
    const told = camel(exact(judgement.wire())) as Fields;
    this.path = told.path;
    this.format = told.format;
    this.formats = told.formats;
    this.sizeBytes = told.sizeBytes;
    this.bytesExamined = told.bytesExamined;
    this.threatScore = told.threatScore;
    this.threatLevel = told.threatLevel;
    this.verdict = told.verdict;
    this.reasons = told.reasons;
    this.scoreBreakdown = told.scoreBreakdown;
    this.findings = told.findings;
    this.findingsOmitted = told.findingsOmitted;
    this.globals = told.globals;
    this.globalsOmitted = told.globalsOmitted;
    this.parts = told.parts;
    this.limits = told.limits;
    this.policy = told.policy;
    this.rules = told.rules;
  }

  /** Whether the policy lets the file through. */
  get loadAllowed(): boolean {
    return this.verdict === "allow";
  }

  /** The report as JSON: the same bytes in every language. */
  json(): string {
    return this.#judgement.json();
  }

  /** What `JSON.stringify` writes: the same keys and values as `json()`. */
  toJSON(): Record<string, unknown> {
    return JSON.parse(this.json()) as Record<string, unknown>;
  }

  /** The report as a SARIF 2.1.0 log: JSON. */
  sarif(): string {
    return this.#judgement.sarif();
  }

  /** The SHA-256 of the file's bytes, which are read in full for it. */
  async sha256(): Promise<string> {
    return unwrap((await this.#judgement.sha256(new addon.Interest())) ?? "");
  }
}

/** The same, with keys as JavaScript spells them. The keys of `score_breakdown` are rules. */
function camel(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camel);
  if (typeof value !== "object" || value === null) return value;
  const made: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const name = key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    made[name] = key === "score_breakdown" ? item : camel(item);
  }
  return made;
}
