/** What is let through, beyond the defaults. */
export interface PolicyOptions {
  /** The highest score that is let through: 0 to 100, 20 where it is left out. */
  maxThreatScore?: number;
  /** Globals that are allowed beyond the rules: `module.name` or `module:name`. */
  allow?: readonly string[];
  /** Limits by the names of the rules' table, as `pickle.stack_items`. */
  limits?: Readonly<Record<string, number>>;
  /** The text of a `secure-torch.toml`, over which the other options win. */
  toml?: string;
}

/** What is let through. */
export class Policy {
  constructor(options?: PolicyOptions);
  /** The policy in the text of a `secure-torch.toml`. */
  static fromToml(text: string): Policy;
  readonly options: Readonly<PolicyOptions>;
}

export type Verdict = 'allow' | 'block';
export type Level = 'SAFE' | 'LOW' | 'MEDIUM' | 'HIGH' | 'CRITICAL';

/** A rule that was hit. */
export interface Finding {
  rule: string;
  points: number;
  /** The member's path; empty for the file itself. */
  path: string;
  offset: number | null;
  subject: string;
  message: string;
  count: number;
  ignored: string | null;
}

/** A global that a pickle asks for. `module` and `name` are as the file spells them. */
export interface Global {
  module: string;
  name: string;
  python3: string;
  class: 'allowed' | 'dangerous' | 'unknown';
  family: string | null;
  path: string;
  offset: number;
  calls: readonly { offset: number; opcode: string }[];
  callCount: number;
}

/** The judgement of one file. Numbers above 2^53 are exact in `json()` alone. */
export class Report {
  /** From the texts that `json()` and `sarif()` gave. */
  constructor(json: string, sarif: string);
  readonly path: string;
  readonly format: string;
  readonly formats: readonly string[];
  readonly sizeBytes: number;
  readonly bytesExamined: number;
  readonly threatScore: number;
  readonly threatLevel: Level;
  readonly verdict: Verdict;
  readonly loadAllowed: boolean;
  readonly reasons: readonly string[];
  readonly scoreBreakdown: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
  readonly findingsOmitted: number;
  readonly globals: readonly Global[];
  readonly globalsOmitted: number;
  readonly parts: readonly { path: string; format: string; sizeBytes: number }[];
  readonly limits: readonly string[];
  readonly policy: {
    path: string;
    sha256: string;
    applied: readonly { entry: string; line: number; what: string; reason: string }[];
  } | null;
  readonly rules: { version: string; sha256: string };
  /** The canonical JSON: the same bytes as from every other door. */
  json(): string;
  /** A SARIF 2.1.0 log, as text. */
  sarif(): string;
  /** The fields in the names of `spec/report.schema.json`. */
  toJSON(): object;
}

/** Why there is no verdict. The codes are those of `spec/errors.toml`. */
export class SecureTorchError extends Error {
  readonly code: string;
  readonly hint: string;
}

/** An archive and what lies in it. Names are safe to show. */
export interface ArchiveMap {
  schema: 'secure-torch/archive/1';
  size_bytes: number;
  prefix_bytes: number;
  directory_offset: number;
  directory_bytes: number;
  end_bytes: number;
  members: readonly {
    name: string;
    role: 'pickle' | 'storage' | 'code' | 'mark' | 'folder' | 'other';
    method: string;
    packed_bytes: number;
    size_bytes: number;
    header_offset: number;
    data_offset: number | null;
  }[];
  omitted: number;
}

/** What the audit said about an instruction. */
export type Note =
  | { note: 'import'; global: string; python3: string; class: string; family: string | null }
  | { note: 'call'; global: string }
  | { note: 'nested'; offset: number; length: number }
  | { note: 'finding'; rule: string; points: number; message: string };

/** A pickle, without its rows. */
export interface Pickle {
  path: string;
  offset: number;
  rows: number;
  /** Whether its rows can be had. */
  kept: boolean;
  ended: { end: 'stop' | 'malformed' | 'truncated' | 'limit'; offset: number; notes: readonly Note[] };
}

/** An instruction, as it was executed. Everything in it is safe to show. */
export interface Row {
  offset: number;
  opcode: string;
  length: number;
  argument: string;
  depth: number;
  marks: number;
  top: readonly string[];
  notes: readonly Note[];
}

/** Judges bytes that are in memory. They are copied first. */
export function scan(
  name: string,
  bytes: Uint8Array | ArrayBuffer | ArrayBufferView,
  policy?: Policy | PolicyOptions,
): Report;

/** A file of which slices are read, without waiting: in a worker, or in Node. */
export class Slices {
  constructor(
    name: string,
    length: number,
    read: (offset: number, length: number) => Uint8Array,
    policy?: Policy | PolicyOptions,
  );
  scan(): Report;
  archive(): ArchiveMap | null;
  pickles(): Pickle[];
  rows(pickle: number, first: number, count: number): Row[];
  find(pickle: number, text: string, first?: number): number | null;
  rowAt(pickle: number, offset: number): number | null;
  /** Gives the engine's memory back; nothing can be asked afterwards. */
  free(): void;
}

/** Every rule, band, family, limit and allowed name. */
export function rules(): {
  version: string;
  sha256: string;
  max_threat_score: number;
  levels: readonly { level: Level; first: number; last: number }[];
  [table: string]: unknown;
};

/** The version of the package and of the engine in it. */
export const version: string;
