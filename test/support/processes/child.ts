// Owns a process that a test started: its messages, its blows, and its certain end.
import { fork, type ChildProcess } from 'node:child_process';
import { extname } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { LaneSignal } from '../../../shared/process/test-signal.ts';
import { UNBLOCKING, type ChildGiven, type FromChild, type Happening, type ToChild } from './protocol.ts';

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** The API's address. */
  readonly url: string | null;
  /** Everything that it told since it was started, in its order. */
  readonly told: readonly Happening[];
  /** Resolves when a lane of it waits at the signal; it waits until `go`. Rejects when the process ends first. */
  reach(signal: LaneSignal, nth: number): Promise<void>;
  go(): void;
  /** Resolves when the process has ended, whoever ended it. */
  readonly ended: Promise<void>;
  /** SIGTERM ends it in good order, SIGKILL at once; resolves when it has ended. */
  end(how: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  freeze(): void;
  wake(): void;
  /** It runs and does nothing, not even for its connections, as if in a loop without end. Consumers only. */
  block(): void;
  unblock(): void;
}

export interface ChildWanted {
  readonly entry: 'api' | 'consumer';
  readonly given: ChildGiven;
  onTold(name: string, happening: Happening): void;
}

const READY_MS = 120_000;
const STDERR_CHARACTERS = 4_000;

let started = 0;

/** Resolves when it serves; throws, with what it printed, when it ends before. */
export async function startChild(wanted: ChildWanted): Promise<Child> {
  // As this file is: a source, or compiled.
  const entry = fileURLToPath(new URL(`./${wanted.entry}${extname(import.meta.url)}`, import.meta.url));
  const process_ = fork(entry, [JSON.stringify(wanted.given)], {
    execArgv: ['--import', 'jiti/register'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'],
    serialization: 'json',
  });
  const name = `${wanted.entry} ${++started}`;
  const printed = keepTail(process_);
  const told: Happening[] = [];
  const heard = new Listeners();
  process_.on('message', (message) => {
    const said = message as FromChild; // our own entry points send nothing else
    if (said.kind !== 'ready' && said.kind !== 'reached') {
      told.push(said);
      wanted.onTold(name, said);
    }
    heard.hear(said);
  });
  const ended = new Promise<void>((resolve) => process_.once('exit', () => resolve()));
  const ready = await orEnd(heard.next('ready'), { ended, name, printed });
  return childOf(process_, { name, url: ready.kind === 'ready' ? ready.url : null, told, heard, ended, printed });
}

interface Parts {
  readonly name: string;
  readonly url: string | null;
  readonly told: readonly Happening[];
  readonly heard: Listeners;
  readonly ended: Promise<void>;
  readonly printed: () => string;
}

function childOf(process_: ChildProcess, parts: Parts): Child {
  const say = (message: ToChild): void => {
    if (process_.connected) process_.send(message);
  };
  const signal = (name: NodeJS.Signals): void => {
    process_.kill(name);
  };
  return {
    name: parts.name,
    pid: process_.pid ?? -1,
    url: parts.url,
    told: parts.told,
    ended: parts.ended,
    reach: async (at, nth) => {
      const reached = parts.heard.next('reached');
      say({ kind: 'arm', signal: at, nth });
      await orEnd(reached, parts);
    },
    go: () => say({ kind: 'go' }),
    end: async (how) => {
      signal(how);
      await parts.ended;
    },
    freeze: () => signal('SIGSTOP'),
    wake: () => signal('SIGCONT'),
    block: () => say({ kind: 'block' }),
    unblock: () => {
      const pipe = process_.stdio[UNBLOCKING];
      if (pipe instanceof Writable) pipe.write('.');
    },
  };
}

/** Waits for messages of one kind; each wait takes one. */
class Listeners {
  readonly #waiting = new Map<FromChild['kind'], ((said: FromChild) => void)[]>();

  next(kind: FromChild['kind']): Promise<FromChild> {
    return new Promise((resolve) => {
      this.#waiting.set(kind, [...(this.#waiting.get(kind) ?? []), resolve]);
    });
  }

  hear(said: FromChild): void {
    this.#waiting.get(said.kind)?.shift()?.(said);
  }
}

async function orEnd(
  said: Promise<FromChild>,
  of: { readonly ended: Promise<void>; readonly name: string; readonly printed: () => string },
): Promise<FromChild> {
  const patience = new AbortController();
  const tooLate = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`${of.name} did not answer: ${of.printed()}`)), READY_MS);
    patience.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  const gone = of.ended.then(() => Promise.reject(new Error(`${of.name} has ended: ${of.printed()}`)));
  gone.catch(() => undefined); // it ends some day in any case
  try {
    return await Promise.race([said, gone, tooLate]);
  } finally {
    patience.abort();
  }
}

function keepTail(process_: ChildProcess): () => string {
  let tail = '';
  process_.stderr?.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-STDERR_CHARACTERS);
  });
  return () => tail.trim();
}
