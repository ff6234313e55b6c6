// Owns one broker's process: its start on a folder, the blows that a test deals it, and its certain end.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { guardAgainstOrphan, type OrphanGuard } from '../../../shared/postgres/embedded/orphan-guard.ts';

export interface NodeWanted {
  readonly id: number;
  /** Has `server.properties`; the log is written there. */
  readonly folder: string;
  /** What `java` is told before the program's name. */
  readonly java: readonly string[];
  /** Plain text, and to the node itself: it is asked there whether it serves. */
  readonly address: string;
}

export interface NodeProcess {
  /** Resolves when the node says that these nodes, itself among them, serve. Throws with the end of its log. */
  serves(nodes: readonly number[]): Promise<void>;
  freeze(): void;
  wake(): void;
  /** kill -9; resolves when it is gone. Idempotent. */
  kill(): Promise<void>;
}

const READY_MS = 60_000;
const POLL_MS = 30;
const LOG_LINES_SHOWN = 20;
const HEAP = '-Xmx512m';
const PDEATHSIG = ['setpriv', '--pdeathsig', 'KILL'];

let kernelGuards: boolean | undefined;

export function startNode(wanted: NodeWanted): NodeProcess {
  kernelGuards ??= process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0;
  const child = spawnBroker(wanted, kernelGuards ? PDEATHSIG : []);
  const guard = guardAgainstOrphan(
    child.pid ?? 0,
    kernelGuards || child.pid === undefined ? 'by-kernel' : 'by-watcher',
  );
  return {
    serves: (nodes) => serves(wanted, child, nodes),
    freeze: () => void child.kill('SIGSTOP'),
    wake: () => void child.kill('SIGCONT'),
    kill: () => kill(child, guard),
  };
}

function spawnBroker(wanted: NodeWanted, guard: readonly string[]): ChildProcess {
  const broker = ['kafka.Kafka', join(wanted.folder, 'server.properties')];
  const command = [...guard, 'java', HEAP, ...wanted.java, ...broker];
  const [program = '', ...rest] = command;
  const log = openSync(logOf(wanted), 'a', 0o600);
  try {
    // A session of its own: Ctrl-C in a terminal is for the test run, which then ends its brokers.
    const child = spawn(program, rest, { detached: true, stdio: ['ignore', log, log] });
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

async function kill(child: ChildProcess, guard: OrphanGuard): Promise<void> {
  guard.release();
  if (hasEnded(child)) return;
  // While it ran it kept nobody's process alive; now somebody waits for it.
  child.ref();
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

async function serves(wanted: NodeWanted, child: ChildProcess, nodes: readonly number[]): Promise<void> {
  const until = performance.now() + READY_MS;
  while (!hasEnded(child)) {
    const seen = await nodesSeenBy(wanted.address);
    if (nodes.every((node) => seen.includes(node))) return;
    if (performance.now() > until) throw failed(wanted, `does not serve within ${READY_MS / 1_000} s`);
    await sleep(POLL_MS);
  }
  throw failed(wanted, `has ended (${child.exitCode ?? child.signalCode ?? 'the program cannot be started'})`);
}

/** None while it does not answer. A node is listed from the time on at which it may lead partitions. */
async function nodesSeenBy(address: string): Promise<readonly number[]> {
  const client = new kafkajs.Kafka({
    brokers: [address],
    connectionTimeout: 2_000,
    requestTimeout: 5_000,
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries: 0 },
  });
  const admin = client.admin({ retry: { retries: 0 } });
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.map((broker) => broker.nodeId);
  } catch {
    return [];
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

function failed(wanted: NodeWanted, why: string): Error {
  const log = readFileSync(logOf(wanted), 'utf8').trimEnd().split('\n').slice(-LOG_LINES_SHOWN).join('\n');
  return new Error(`Kafka's node ${wanted.id} ${why}; its log ends with:\n${log}`);
}

function logOf(wanted: NodeWanted): string {
  return join(wanted.folder, 'server.log');
}
