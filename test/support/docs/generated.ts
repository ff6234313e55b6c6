// Owns the parts of the documents that are printed from the code: what each says, and where it stands.
import { readFileSync, writeFileSync } from 'node:fs';
import { settingsTable } from '../../../shared/process/settings.ts';

const ROOT = new URL('../../../', import.meta.url);

export interface GeneratedPart {
  readonly file: string;
  /** Stands between `<!-- name -->` and `<!-- /name -->`. */
  readonly name: string;
  readonly text: string;
}

export const GENERATED: readonly GeneratedPart[] = [{ file: 'README.md', name: 'settings', text: settingsTable() }];

/** The text between the marks of a part, or null when a mark is missing. */
export function partIn(document: string, name: string): string | null {
  const [open, close] = marks(name);
  const from = document.indexOf(open);
  const to = document.indexOf(close, from + open.length);
  return from < 0 || to < 0 ? null : document.slice(from + open.length, to).trimEnd();
}

/** Prints every part into its document. */
export function writeGenerated(): void {
  for (const part of GENERATED) {
    const url = new URL(part.file, ROOT);
    const document = readFileSync(url, 'utf8');
    const [open, close] = marks(part.name);
    const [before, rest] = document.split(open);
    const after = rest?.split(close)[1];
    if (before === undefined || after === undefined) throw new Error(`${part.file} has no marks for ${part.name}`);
    writeFileSync(url, `${before}${open}${part.text}\n${close}${after}`);
  }
}

function marks(name: string): readonly [string, string] {
  return [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
}
