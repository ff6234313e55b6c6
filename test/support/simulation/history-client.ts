// Owns a client of the fault runs: sends its lines in order, and sends again what was not accepted, under the same ids, for as long as it takes.
import { setTimeout as sleep } from 'node:timers/promises';
import { commandLine, SOURCE, type Change } from './history.ts';

export interface ClientGiven {
  /** The API's address right now; it changes when the API was started again elsewhere. */
  readonly url: () => string;
  readonly prefixes: readonly string[];
  readonly changes: readonly Change[];
  readonly stop: AbortSignal;
  /** Of one request; each prefix's part of it is consecutive. */
  readonly linesMax: number;
  /** Asked before each request. `trickle`: few lines, and a pause: blows are still to fall, and must find work under way. */
  readonly pace: () => 'full' | 'trickle';
}

export interface ClientTold {
  accepted: number;
  /** Requests that ended without an answer, and lines that were answered otherwise than accepted. */
  lostRequests: number;
  sentAgain: number;
}

/** Part of a request of full size. */
const TRICKLE = 0.02;
const TRICKLE_MS = 250;
const AGAIN_MS = 250;
const PATIENCE_MS = 60_000;

/** Resolves when every line was accepted. Order per path is kept: nothing later is sent before all of a request was accepted. */
export async function sendHistory(given: ClientGiven, told: ClientTold): Promise<void> {
  let perPrefix = 0;
  for (let from = 0; from < given.changes.length; from += perPrefix) {
    perPrefix = await paced(given);
    const part = given.changes.slice(from, from + perPrefix);
    let lines = given.prefixes.flatMap((prefix) => part.map((change) => commandLine(prefix, change)));
    while (lines.length > 0) {
      if (given.stop.aborted) return;
      const rest = await send(given, lines, told);
      told.accepted += lines.length - rest.length;
      if (rest.length > 0) {
        told.sentAgain += rest.length;
        await sleep(AGAIN_MS);
      }
      lines = rest;
    }
  }
}

/** How many changes of each prefix the next request carries. */
async function paced({ pace, prefixes, linesMax }: ClientGiven): Promise<number> {
  const isTrickle = pace() === 'trickle';
  if (isTrickle) await sleep(TRICKLE_MS);
  const lines = isTrickle ? TRICKLE * linesMax : linesMax;
  return Math.max(1, Math.floor(lines / prefixes.length));
}

/** The lines that must be sent again, in their order. */
async function send(given: ClientGiven, lines: readonly string[], told: ClientTold): Promise<string[]> {
  const answer = await post(given, lines);
  if (answer === null) {
    told.lostRequests++;
    return [...lines];
  }
  const results = answer.split('\n').filter((line) => line !== '');
  return lines.filter((_, at) => !isAccepted(results[at]));
}

async function post({ url, stop }: ClientGiven, lines: readonly string[]): Promise<string | null> {
  try {
    const response = await fetch(`${url()}/v1/commands`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: lines.join('\n'),
      signal: AbortSignal.any([stop, AbortSignal.timeout(PATIENCE_MS)]),
    });
    const text = await response.text();
    if (response.status === 200) return text;
    if (response.status === 503 || response.status === 429) return null;
    throw new RequestRefused(`the API answered ${response.status}: ${text.slice(0, 500)}`);
  } catch (thrown) {
    if (thrown instanceof RequestRefused) throw thrown;
    return null; // the connection was lost; whether anything was stored, nobody knows
  }
}

/** The HTTP status of its answer, whatever it is; null: there was none. */
export async function repeatCommand(url: string, prefix: string, change: Change): Promise<number | null> {
  const request = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: commandLine(prefix, change),
  };
  try {
    const response = await fetch(`${url}/v1/commands`, { ...request, signal: AbortSignal.timeout(PATIENCE_MS) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return null;
  }
}

/** What the API says became of each of these commands, by id. */
export async function askOutcomes(url: string, ids: readonly string[]): Promise<ReadonlyMap<string, Answered>> {
  const answers = new Map<string, Answered>();
  for (const id of ids) {
    const response = await fetch(`${url}/v1/commands/${id}?source=${encodeURIComponent(SOURCE)}`);
    answers.set(id, (await response.json()) as Answered); // our own API's answer
  }
  return answers;
}

/** The document of an outcome, or of none yet. */
export interface Answered {
  readonly status: string;
  readonly [name: string]: unknown;
}

class RequestRefused extends Error {}

function isAccepted(result: string | undefined): boolean {
  if (result === undefined) return false;
  const { status } = JSON.parse(result) as { status: string }; // our own API's answer
  if (status === 'invalid') throw new RequestRefused(`a line was refused: ${result}`);
  return status === 'accepted';
}
