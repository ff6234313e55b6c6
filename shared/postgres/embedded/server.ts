// Owns the embedded PostgreSQL of a data directory: adopted or started, brought back when it dies, stopped by who owns it.
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { asError, invariant } from '../../process/errors.ts';
import type { Observe } from '../../process/events.ts';
import { findBinaries } from './binaries.ts';
import {
  dataDirectory,
  dropForeignPidFile,
  hasCrashed,
  isAlive,
  keepPassword,
  readText,
  runningPostmaster,
  serverUrl,
  writeWhole,
  type DataDirectory,
} from './data-directory.ts';
import { ensureDatabase, settledPostmaster } from './find.ts';
import { initialize, isInitialized, refuseOtherVersion } from './initialize.ts';
import { launch } from './launch.ts';
import { guardAgainstOrphan, type OrphanGuard } from './orphan-guard.ts';
import { chooseRunAs, handOver } from './run-as.ts';
import { underStartLock } from './start-lock.ts';

export interface EmbeddedServer {
  /** Stays the same as long as this object lives, also when the server had to be started again. */
  readonly url: string;
  readonly port: number;
  readonly how: 'created' | 'started' | 'adopted';
  /** Stops the server, unless another living process owns it. Idempotent; past the deadline it is killed, which loses nothing. */
  stop(deadlineMs: number): Promise<void>;
  /** Kills it like a crash would, and does not bring it back. For tests. */
  kill(): Promise<void>;
}

export interface EmbeddedServerWanted {
  readonly dataDirectory: string;
  readonly observe: Observe;
  /** PostgreSQL settings by name. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * States of a server:
 *   owned    we started it, or found it without a living owner; we stop it, and it stops when we die.
 *   borrowed another living process owns it; we only use it.
 *   gone     it died, or its owner stopped it; within WATCH_MS we start it again on the same port, and own it then.
 *   stopped  nobody brings it back.
 */
interface Running {
  readonly pid: number;
  readonly port: number;
  readonly how: EmbeddedServer['how'];
  /** null: borrowed. */
  readonly guard: OrphanGuard | null;
}

const WATCH_MS = 200;
const RESTART_WAIT_MAX_MS = 5_000;
const GONE_POLL_MS = 10;
const KILL_WAIT_MS = 5_000;

/** Resolves when the server takes connections. Throws EmbeddedUnavailable or EmbeddedFailed and leaves nothing running. */
export async function startEmbeddedServer(wanted: EmbeddedServerWanted): Promise<EmbeddedServer> {
  mkdirSync(wanted.dataDirectory, { recursive: true, mode: 0o700 });
  const directory = dataDirectory(wanted.dataDirectory);
  const first = await bringUp(directory, wanted, null);
  wanted.observe({ kind: 'embedded-server-started', port: first.port, how: first.how });
  return supervise(directory, wanted, first);
}

function supervise(directory: DataDirectory, wanted: EmbeddedServerWanted, first: Running): EmbeddedServer {
  const url = serverUrl(directory, first.port);
  invariant(url !== null, 'a server that was started has a password');
  const stopping = new AbortController();
  let running = first;
  const watched = watch(directory, wanted, stopping.signal, {
    current: () => running,
    replace: (next) => (running = next),
  });
  let stopped: Promise<void> | undefined;
  const end = (how: () => Promise<void>, waitMs: number): Promise<void> => {
    stopping.abort();
    return (stopped ??= Promise.race([watched, sleep(waitMs, undefined, { ref: false })]).then(how));
  };
  return {
    url,
    port: first.port,
    how: first.how,
    stop: (deadlineMs) => {
      const until = performance.now() + deadlineMs;
      return end(() => stopServer(directory, running, until), deadlineMs / 2);
    },
    kill: () => end(() => killServer(running), KILL_WAIT_MS),
  };
}

interface Slot {
  current(): Running;
  replace(next: Running): void;
}

/** Never rejects. A restart that fails is observed and tried again, for as long as somebody wants the server. */
async function watch(
  directory: DataDirectory,
  wanted: EmbeddedServerWanted,
  stop: AbortSignal,
  slot: Slot,
): Promise<void> {
  let failures = 0;
  while (!stop.aborted) {
    const waitMs = Math.min(RESTART_WAIT_MAX_MS, WATCH_MS * 2 ** failures);
    await sleep(waitMs, undefined, { signal: stop, ref: false }).catch(() => undefined);
    if (stop.aborted || isServing(directory, slot.current())) continue;
    try {
      slot.current().guard?.release();
      const next = await bringUp(directory, wanted, slot.current().port);
      if (stop.aborted && next.guard !== null) return await killServer(next);
      slot.replace(next);
      failures = 0;
      wanted.observe({ kind: 'embedded-server-started', port: next.port, how: next.how });
    } catch (thrown) {
      failures++;
      wanted.observe({ kind: 'connection-lost', what: 'embedded server', cause: asError(thrown) });
    }
  }
}

function isServing(directory: DataDirectory, running: Running): boolean {
  return isAlive(running.pid) && runningPostmaster(directory)?.pid === running.pid;
}

/** One process at a time. `port`: the one that our clients know, or null at the first start. */
function bringUp(directory: DataDirectory, wanted: EmbeddedServerWanted, port: number | null): Promise<Running> {
  return underStartLock(directory, async () => {
    const found = await settledPostmaster(directory);
    if (found !== null) {
      await ensureDatabase(directory, found.port);
      return { pid: found.pid, port: found.port, how: 'adopted', guard: takeOwnership(directory, found.pid) };
    }
    return start(directory, wanted, port);
  });
}

/** Null when a living process owns the server. */
function takeOwnership(directory: DataDirectory, pid: number): OrphanGuard | null {
  const owner = Number(readText(directory.owner) ?? 0);
  if (owner > 0 && isAlive(owner)) return null;
  writeWhole(directory.owner, String(process.pid));
  return guardAgainstOrphan(pid, 'by-watcher');
}

async function start(directory: DataDirectory, wanted: EmbeddedServerWanted, port: number | null): Promise<Running> {
  const binaries = findBinaries(directory.root);
  const as = chooseRunAs(directory.root, binaries);
  keepPassword(directory);
  if (as.user !== null && statSync(directory.root).uid !== as.user.uid) handOver(directory.root, as);
  const isNew = !isInitialized(directory);
  if (isNew) await initialize(directory, as, binaries);
  else refuseOtherVersion(directory, binaries);
  const after = hasCrashed(directory) ? 'crash' : 'stop';
  dropForeignPidFile(directory);
  const launched = await launch({ directory, as, binaries, settings: wanted.settings ?? {}, port, after });
  const guard = guardAgainstOrphan(launched.pid, as.diesWithUs ? 'by-kernel' : 'by-watcher');
  try {
    writeWhole(directory.owner, String(process.pid));
    await ensureDatabase(directory, launched.port);
  } catch (cause) {
    await killServer({ ...launched, how: 'started', guard });
    throw cause;
  }
  return { ...launched, how: isNew ? 'created' : 'started', guard };
}

async function stopServer(directory: DataDirectory, running: Running, until: number): Promise<void> {
  if (running.guard === null) return;
  signal(running.pid, 'SIGINT');
  if (!(await isGone(running.pid, until - performance.now()))) await killServer(running);
  running.guard.release();
  rmSync(directory.owner, { force: true });
}

async function killServer(running: Running): Promise<void> {
  running.guard?.release();
  signal(running.pid, 'SIGKILL');
  await isGone(running.pid, KILL_WAIT_MS);
}

async function isGone(pid: number, waitMs: number): Promise<boolean> {
  const until = performance.now() + waitMs;
  while (isAlive(pid)) {
    if (performance.now() > until) return false;
    await sleep(GONE_POLL_MS);
  }
  return true;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}
