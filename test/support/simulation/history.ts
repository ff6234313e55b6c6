// Owns the real input of the fault runs: the history of a public repository as commands under many prefixes, and what must come of it.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** As a line of examples/history/fastify-changes.ndjson.gz. */
export interface Change {
  readonly n: number;
  readonly path: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly commit: string;
  readonly time: number;
}

export interface History {
  readonly changes: readonly Change[];
  /** Path to blob at the end. */
  readonly tree: ReadonlyMap<string, string>;
  /** Path to the number of its changes. */
  readonly changesOf: ReadonlyMap<string, number>;
}

const HOME = new URL('../../../examples/history/', sourceRoot());

/** `longest`: only the first so many changes, with the tree as they leave it. */
export function loadHistory(longest = Infinity): History {
  const whole = readChanges();
  const changes = whole.slice(0, longest);
  const tree = new Map<string, string>();
  const changesOf = new Map<string, number>();
  for (const { path, to } of changes) {
    if (to === null) tree.delete(path);
    else tree.set(path, to);
    changesOf.set(path, (changesOf.get(path) ?? 0) + 1);
  }
  if (changes.length === whole.length) compareWithGit(tree);
  return { changes, tree, changesOf };
}

export const prefixes = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `p${String(at).padStart(2, '0')}`);

/** The caller's own text: the same line sent again is the same command. */
export const commandId = (prefix: string, { n }: Change): string => `${prefix}-${n}`;

export const SOURCE = '/history';

/** One line of a body of commands. */
export function commandLine(prefix: string, change: Change): string {
  const { from, to, commit, time } = change;
  return JSON.stringify({
    specversion: '1.0',
    id: commandId(prefix, change),
    source: SOURCE,
    type: 'file.change',
    subject: `${prefix}/${change.path}`,
    data: { from, to, commit, time },
  });
}

function readChanges(): readonly Change[] {
  const text = gunzipSync(readFileSync(new URL('fastify-changes.ndjson.gz', HOME))).toString();
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Change); // our own file, described in its README
}

function compareWithGit(tree: ReadonlyMap<string, string>): void {
  const text = gunzipSync(readFileSync(new URL('fastify-final.json.gz', HOME))).toString();
  const final = new Map(Object.entries(JSON.parse(text) as Record<string, string>)); // likewise
  const differs = final.size !== tree.size || [...final].some(([path, blob]) => tree.get(path) !== blob);
  if (differs) throw new Error('the changes do not lead to the tree: the files of examples/history are not a pair');
}

/** Compiled or not, the examples lie beside the sources. */
function sourceRoot(): string {
  return import.meta.url.replace('/dist/test/', '/test/');
}
