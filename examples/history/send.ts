// Owns sending a history through the API: in order, again what was not accepted, until the last command has its outcome.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Change } from './input.ts';

/** The last command of one partition: when it has an outcome, all before it have. */
export interface LastCommand {
  readonly id: string;
  readonly position: number;
}

export interface SendGiven {
  readonly url: string;
  readonly changes: readonly Change[];
  readonly prefixes: readonly string[];
  readonly onAccepted: (commands: number) => void;
}

const LINES_PER_REQUEST = 2_000;
const AGAIN_MS = 100;
const PATIENCE_MS = 60_000;
const SOURCE = '/examples/history';

const resultSchema = z.object({
  status: z.string(),
  id: z.string().optional(),
  partition: z.int().optional(),
  position: z.int().nullish(),
  detail: z.string().optional(),
});
type Result = z.infer<typeof resultSchema>;

export interface Sent {
  /** Of all that was sent, as Onelane knows it. */
  readonly ids: readonly string[];
  readonly lasts: readonly LastCommand[];
}

/** Resolves when every command is in the log. Nothing later of a path is sent before what is earlier was accepted. */
export async function sendAll(given: SendGiven): Promise<Sent> {
  const ids: string[] = [];
  const lasts = new Map<number, LastCommand>();
  const perPrefix = Math.max(1, Math.floor(LINES_PER_REQUEST / given.prefixes.length));
  for (let from = 0; from < given.changes.length; from += perPrefix) {
    const part = given.changes.slice(from, from + perPrefix);
    let lines = given.prefixes.flatMap((prefix) => part.map((change) => commandLine(prefix, change)));
    while (lines.length > 0) {
      const results = await post(given.url, lines);
      for (const { id, partition, position } of results.filter(isAccepted)) {
        if (id === undefined || partition === undefined || position === undefined || position === null) continue;
        ids.push(id);
        if (position >= (lasts.get(partition)?.position ?? -1)) lasts.set(partition, { id, position });
      }
      const again = lines.filter((_, at) => !isAccepted(results[at]));
      given.onAccepted(lines.length - again.length);
      if (again.length > 0) await sleep(AGAIN_MS);
      lines = again;
    }
  }
  return { ids, lasts: [...lasts.values()] };
}

/** Resolves when each of these commands has an outcome. */
export async function waitForOutcomes(url: string, lasts: readonly LastCommand[]): Promise<void> {
  const until = performance.now() + PATIENCE_MS * Math.max(1, lasts.length);
  for (const { id } of lasts) {
    while (!(await hasOutcome(url, id))) {
      if (performance.now() > until)
        throw new Error(`command ${id} was accepted and has no outcome: see the log above`);
      await sleep(AGAIN_MS);
    }
  }
}

/** The id is made of what the change is, so that sending it again is known as a repeat. */
function commandLine(prefix: string, { n, path, from, to, commit, time }: Change): string {
  return JSON.stringify({
    id: `${prefix}${n}@${commit}`,
    source: SOURCE,
    type: 'file.change',
    subject: `${prefix}${path}`,
    data: { from, to, commit, time },
  });
}

async function post(url: string, lines: readonly string[]): Promise<readonly Result[]> {
  const response = await fetch(`${url}/v1/commands`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: lines.join('\n'),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const text = await response.text();
  if (response.status === 429 || response.status === 503) return [];
  if (!response.ok) throw new Error(`the API answered ${response.status}: ${text.slice(0, 500)}`);
  const results = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => resultSchema.parse(JSON.parse(line)));
  const invalid = results.find(({ status }) => status === 'invalid');
  if (invalid !== undefined) throw new Error(`a change is no valid command: ${invalid.detail}`);
  return results;
}

function isAccepted(result: Result | undefined): boolean {
  return result?.status === 'accepted';
}

async function hasOutcome(url: string, id: string): Promise<boolean> {
  const response = await fetch(`${url}/v1/commands/${id}?wait=30`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  await response.arrayBuffer();
  return response.status !== 404 && response.status !== 503;
}
