// Compiled, never run: the declared types are usable as the documentation uses them.

import { Policy, SecureTorchError, Slices, rules, scan, version, type Report } from 'secure-torch-wasm';
import { openFile, prepare, scanFile } from 'secure-torch-wasm/file';

export function judged(bytes: Uint8Array): Report {
  const policy = new Policy({ maxThreatScore: 35, allow: ['package.module.Class'] });
  const report = scan('model.pt', bytes, policy);
  const heaviest: string | undefined = report.findings[0]?.rule;
  const points: number = report.scoreBreakdown[heaviest ?? ''] ?? 0;
  // @ts-expect-error: a verdict is a word, not a boolean
  const wrong: boolean = report.verdict;
  return report.loadAllowed || points > 0 || wrong ? report : scan('model.pt', bytes.slice().buffer);
}

export async function page(file: File, signal: AbortSignal): Promise<string> {
  await prepare();
  try {
    const report = await scanFile(file, { signal, policy: { toml: 'max_threat_score = 35' } });
    const opened = await openFile(file, { onProgress: ({ bytes, total }) => void (bytes / total) });
    const [pickle] = await opened.pickles();
    const rows = pickle?.kept ? await opened.rows(0, 0, 50) : [];
    const names = (await opened.archive())?.members.map(({ name }) => name) ?? [];
    opened.close();
    return [report.json(), report.sarif(), version, ...names, ...rows.map(({ opcode }) => opcode)].join();
  } catch (error) {
    if (error instanceof SecureTorchError) return `${error.code}: ${error.message} (${error.hint})`;
    throw error;
  }
}

export const length: number = new Slices('x', 3, (_, count) => new Uint8Array(count)).pickles().length;
export const tables: unknown = rules()['families'];
