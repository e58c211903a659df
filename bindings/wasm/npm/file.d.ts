import type { ArchiveMap, Pickle, Policy, PolicyOptions, Report, Row } from './index.js';

export { Report, SecureTorchError } from './index.js';

export interface FileOptions {
  /** The name that the report carries: the file's own where it is left out. */
  name?: string;
  policy?: Policy | PolicyOptions;
  /** Ends the judgement at once; the promise is rejected with its reason. */
  signal?: AbortSignal;
  /** Hears how many bytes were read so far, and how many the file has. */
  onProgress?: (progress: { bytes: number; total: number }) => void;
}

/** A file that was judged, and can be looked into until it is closed. */
export interface JudgedFile {
  readonly report: Report;
  archive(): Promise<ArchiveMap | null>;
  pickles(): Promise<Pickle[]>;
  rows(pickle: number, first: number, count: number): Promise<Row[]>;
  find(pickle: number, text: string, first?: number): Promise<number | null>;
  rowAt(pickle: number, offset: number): Promise<number | null>;
  /** Every rule, band, family, limit and allowed name. */
  rules(): Promise<ReturnType<typeof import('./index.js').rules>>;
  /** Lets go of the file. */
  close(): void;
}

/** Judges a `File` or `Blob` in a worker, which reads slices of it. */
export function openFile(blob: Blob, options?: FileOptions): Promise<JudgedFile>;

/** The report alone. */
export function scanFile(blob: Blob, options?: FileOptions): Promise<Report>;

/** Starts a worker and loads the engine, so that the first file is judged without a request. */
export function prepare(): Promise<void>;
