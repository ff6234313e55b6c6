// Owns reading a history and the tree that it must end in, packed or plain.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';

const blob = z.string().nullable();
const changeSchema = z.object({
  n: z.int(),
  path: z.string(),
  from: blob,
  to: blob,
  commit: z.string(),
  time: z.int(),
});

/** One line of a history: a file's content before and after; null where there is no file. */
export type Change = z.infer<typeof changeSchema>;

const treeSchema = z.record(z.string(), z.string());

/** Throws with the line that cannot be read. */
export function readChanges(file: string): readonly Change[] {
  return readText(file)
    .split('\n')
    .flatMap((line, index) => {
      if (line.trim() === '') return [];
      const parsed = changeSchema.safeParse(parse(line, file, index));
      if (!parsed.success) throw new Error(`${file} line ${index + 1} is no change: ${z.prettifyError(parsed.error)}`);
      return [parsed.data];
    });
}

/** Path to blob. Throws with what the file is instead. */
export function readTree(file: string): ReadonlyMap<string, string> {
  const text = readText(file);
  const parsed = treeSchema.safeParse(parseTree(text, file));
  if (!parsed.success) throw new Error(`${file} is no tree {"path":"blob"}: ${z.prettifyError(parsed.error)}`);
  return new Map(Object.entries(parsed.data));
}

function parseTree(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const [first = ''] = text.split('\n', 1);
    const found = isJson(first) ? 'has a JSON value on each line, as a history has' : 'is no JSON';
    throw new Error(`${file} ${found}: a tree is one JSON object {"path":"blob"}`, { cause });
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function parse(text: string, file: string, index: number): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${file} line ${index + 1} is no JSON`, { cause });
  }
}

function readText(file: string): string {
  const bytes = readFileSync(file);
  const isPacked = bytes[0] === 0x1f && bytes[1] === 0x8b;
  return (isPacked ? gunzipSync(bytes) : bytes).toString('utf8');
}
