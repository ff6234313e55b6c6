// Owns a server's process of a test: started with its output in a file, frozen and killed at will, and gone when its owner is.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { guardAgainstOrphan } from '../../shared/postgres/embedded/orphan-guard.ts';

export interface ProcessWanted {
  /** In sentences. */
  readonly name: string;
  /** The program and its arguments. It must become the server itself: what it spawns is not guarded. */
  readonly command: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Appended to. */
  readonly logFile: string;
}

export interface GuardedProcess {
  /** Resolves when `isServing` says so, asked again and again. Throws with the end of the log. */
  serves(isServing: () => Promise<boolean>): Promise<void>;
  /** SIGSTOP. */
  freeze(): void;
  wake(): void;
  /** kill -9; resolves when it is gone. Idempotent. */
  kill(): Promise<void>;
}

const READY_MS = 60_000;
const POLL_MS = 30;
const LOG_LINES_SHOWN = 20;
const PDEATHSIG = ['setpriv', '--pdeathsig', 'KILL'];

let kernelGuards: boolean | undefined;

export function startGuarded(wanted: ProcessWanted): GuardedProcess {
  kernelGuards ??= process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0;
  const child = spawnServer(wanted, kernelGuards ? PDEATHSIG : []);
  const isGuarded = kernelGuards || child.pid === undefined;
  const guard = guardAgainstOrphan(child.pid ?? 0, isGuarded ? 'by-kernel' : 'by-watcher');
  return {
    serves: (isServing) => serves(wanted, child, isServing),
    freeze: () => void child.kill('SIGSTOP'),
    wake: () => void child.kill('SIGCONT'),
    kill: async () => {
      guard.release();
      if (hasEnded(child)) return;
      // While it ran it kept nobody's process alive; now somebody waits for it.
      child.ref();
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function spawnServer({ command, env, logFile }: ProcessWanted, guard: readonly string[]): ChildProcess {
  const [program = '', ...rest] = [...guard, ...command];
  const log = openSync(logFile, 'a', 0o600);
  try {
    // A session of its own: Ctrl-C in a terminal is for the test run, which then ends its servers.
    const child = spawn(program, rest, { detached: true, env, stdio: ['ignore', log, log] });
    // A program that cannot be started is one that has ended; whoever waits for it sees that.
    child.on('error', () => undefined);
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

async function serves(wanted: ProcessWanted, child: ChildProcess, isServing: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + READY_MS;
  while (!hasEnded(child)) {
    if (await isServing()) return;
    if (performance.now() > until) throw failed(wanted, `does not serve within ${READY_MS / 1_000} s`);
    await sleep(POLL_MS);
  }
  throw failed(wanted, `has ended (${child.exitCode ?? child.signalCode ?? 'the program cannot be started'})`);
}

function failed({ name, logFile }: ProcessWanted, why: string): Error {
  const log = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-LOG_LINES_SHOWN).join('\n');
  return new Error(`${name} ${why}; its log ends with:\n${log}`);
}
