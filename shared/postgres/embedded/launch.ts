// Owns one run of the postgres program: its arguments, its port, and the wait until it is ready.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, renameSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Binaries } from './binaries.ts';
import { giveToDirectoryOwner, readText, runningPostmaster, writeWhole, type DataDirectory } from './data-directory.ts';
import { EmbeddedFailed } from './embedded-errors.ts';
import { spawnOptions, type RunAs } from './run-as.ts';

export interface LaunchWanted {
  readonly directory: DataDirectory;
  readonly as: RunAs;
  readonly binaries: Binaries;
  /** PostgreSQL settings by name, over ours. */
  readonly settings: Readonly<Record<string, string>>;
  /** null: the kept port if it is free, else any. A number: that one, for clients that know it already. */
  readonly port: number | null;
  /** What ended the server before: after a crash, its last processes may still hold its memory. */
  readonly after: 'stop' | 'crash';
}

export interface Launched {
  readonly pid: number;
  readonly port: number;
}

/** Recovery after a crash of a large database takes a while; while it runs the wait goes on. */
const READY_MS = 120_000;
const POLL_MS = 10;
/** 50 ms, doubling: half a second in all for a port that was taken under our hands, and 12 s for processes that outlive a crash. */
const ATTEMPTS_MAX = { stop: 4, crash: 9 };
const FIRST_PAUSE_MS = 50;
const LOG_BYTES_MAX = 8 * 1024 * 1024;
const LOG_LINES_SHOWN = 5;

/**
 * Only under the start lock, and when nothing serves the directory. Starts again a few times before it gives up.
 */
export async function launch(wanted: LaunchWanted): Promise<Launched> {
  for (let attempt = 1; ; attempt++) {
    const port = wanted.port ?? (await choosePort(wanted.directory));
    const child = spawnServer(wanted, port);
    if (await isReady(child, wanted.directory)) {
      child.unref();
      return { pid: child.pid ?? 0, port };
    }
    if (attempt === ATTEMPTS_MAX[wanted.after]) throw failed(wanted.directory);
    await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1));
  }
}

function spawnServer(wanted: LaunchWanted, port: number): ChildProcess {
  const { directory, as, binaries } = wanted;
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    fsync: 'on',
    max_connections: '200',
    // The log keeps starts, stops and failures of the server. Refused statements are reported to whoever sent them.
    log_min_messages: 'log',
    log_checkpoints: 'off',
    ...wanted.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const [program = '', ...rest] = [...as.prefix, binaries.postgres, '-D', directory.cluster, ...flags];
  const log = openLog(directory);
  try {
    const child = spawn(program, rest, { ...spawnOptions(as, binaries), stdio: ['ignore', log, log] });
    // A program that cannot be started is one that has ended; the wait below sees it.
    child.on('error', () => undefined);
    return child;
  } finally {
    closeSync(log);
  }
}

async function isReady(child: ChildProcess, directory: DataDirectory): Promise<boolean> {
  const until = performance.now() + READY_MS;
  while (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    const running = runningPostmaster(directory);
    if (running?.pid === child.pid && running.status === 'ready') return true;
    if (performance.now() > until) {
      child.kill('SIGKILL');
      return false;
    }
    await sleep(POLL_MS);
  }
  return false;
}

async function choosePort(directory: DataDirectory): Promise<number> {
  const kept = Number(readText(directory.port));
  const isKeptUsable = Number.isSafeInteger(kept) && kept > 1_023 && kept < 65_536;
  const port = (isKeptUsable ? await freePort(kept) : null) ?? (await freePort(0));
  if (port === null) throw new EmbeddedFailed('no port of 127.0.0.1 is free for the embedded PostgreSQL');
  if (port !== kept) writeWhole(directory.port, String(port));
  return port;
}

/** The port when it can be bound, 0 standing for any; null when it is taken. */
function freePort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => {
      resolve(null);
    });
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address();
      const bound = typeof address === 'object' && address !== null ? address.port : null;
      probe.close(() => {
        resolve(bound);
      });
    });
  });
}

function openLog(directory: DataDirectory): number {
  const size = statSync(directory.log, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_BYTES_MAX) renameSync(directory.log, `${directory.log}.1`);
  const log = openSync(directory.log, 'a', 0o600);
  giveToDirectoryOwner(directory.log);
  return log;
}

function failed(directory: DataDirectory): EmbeddedFailed {
  const said = (readText(directory.log) ?? '').split('\n').slice(-LOG_LINES_SHOWN).join(' | ');
  return new EmbeddedFailed(`the embedded PostgreSQL does not start, see ${directory.log}: ${said}`);
}
