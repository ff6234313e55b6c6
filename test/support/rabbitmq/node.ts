// Owns a real RabbitMQ node for tests, which a test may kill, freeze, start again and order about; all of it is gone at the end.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect } from 'amqplib';
import { startGuarded, type GuardedProcess } from '../guarded-process.ts';
import { reservePorts } from '../ports.ts';
import { makeCertificate, type Certificate } from './certificate.ts';
import type { Installed } from './installed.ts';

export interface NodeOptions {
  /** Default: a plain one only. The secure one comes on top. */
  readonly listeners?: 'plain' | 'plain-and-secure';
}

export interface RabbitNode {
  /** As a user with all rights, in the vhost that a node has by itself. The same over restarts. */
  readonly url: string;
  /** null when only the plain listener was wanted. */
  readonly secure: SecureListener | null;
  /** What `rabbitmqctl` prints for these arguments; throws what it says when it refuses. Takes about a second. */
  ctl(...args: readonly string[]): Promise<string>;
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>;
  /** On its data and its ports; resolves when it serves. One that still runs is killed first. */
  restart(): Promise<void>;
  /** SIGSTOP: its connections stay, and nobody answers. */
  freeze(): void;
  wake(): void;
  /** Kills the node and removes its data. Idempotent. */
  close(): Promise<void>;
}

export interface SecureListener {
  /** amqps, the same user. */
  readonly url: string;
  /** Whoever trusts this authority trusts the node. No machine does by itself. */
  readonly caPem: string;
}

interface Plan {
  readonly programs: Installed;
  readonly folder: string;
  readonly ports: Ports;
  readonly env: NodeJS.ProcessEnv;
}

interface Ports {
  readonly amqp: number;
  readonly amqps: number;
  readonly distribution: number;
  readonly register: number;
}

const CTL_MS = 60_000;

/** Resolves when the node serves. */
export async function startRabbit(programs: Installed, options: NodeOptions = {}): Promise<RabbitNode> {
  const folder = await mkdtemp(join(tmpdir(), 'onelane-rabbitmq-'));
  const [amqp = 0, amqps = 0, distribution = 0, register = 0] = await reservePorts(4);
  const ports: Ports = { amqp, amqps, distribution, register };
  const plan: Plan = { programs, folder, ports, env: environment(folder, ports) };
  const running: GuardedProcess[] = [];
  const close = async () => {
    for (const each of running.splice(0).reverse()) await each.kill();
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  try {
    const certificate = options.listeners === 'plain-and-secure' ? await makeCertificate(folder) : null;
    await prepare(plan, certificate);
    running.push(startRegister(plan), startServer(plan));
    await serves(plan, running);
    return nodeOf(plan, { running, certificate, close });
  } catch (cause) {
    await close();
    throw cause;
  }
}

interface Parts {
  /** The register of nodes, and the node. */
  readonly running: GuardedProcess[];
  readonly certificate: Certificate | null;
  close(): Promise<void>;
}

function nodeOf(plan: Plan, { running, certificate, close }: Parts): RabbitNode {
  let closed: Promise<void> | undefined;
  const { amqp, amqps } = plan.ports;
  return {
    url: urlOf(amqp),
    secure: certificate === null ? null : { url: `amqps://guest:guest@localhost:${amqps}`, caPem: certificate.caPem },
    ctl: (...args) => ctl(plan, args),
    kill: async () => await running.at(-1)?.kill(),
    restart: async () => {
      await running.pop()?.kill();
      if (closed !== undefined) throw new Error('the node is closed');
      running.push(startServer(plan));
      await serves(plan, running);
    },
    freeze: () => running.at(-1)?.freeze(),
    wake: () => running.at(-1)?.wake(),
    close: () => (closed ??= close()),
  };
}

/** Everything that the node and its tools read of it, and nothing of the machine's own node. */
function environment(folder: string, ports: Ports): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(RABBITMQ|ERL)_/.test(name));
  return {
    ...Object.fromEntries(own),
    // Where the secret lies that the tools share with the node.
    HOME: folder,
    ERL_EPMD_PORT: String(ports.register),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_CRASH_DUMP_BYTES: '0',
    // The script becomes the node, in place of waiting for it: whoever kills it has killed the node.
    RUNNING_UNDER_SYSTEMD: 'true',
    RABBITMQ_NODENAME: `onelane-${ports.amqp}@localhost`,
    RABBITMQ_CONF_ENV_FILE: join(folder, 'none'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'none'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: folder,
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_DIST_PORT: String(ports.distribution),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '+sbwt none +sbwtdcpu none +sbwtdio none -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}',
  };
}

/** Writes what the node needs to start; it may be started on it again. */
async function prepare({ folder, ports }: Plan, certificate: Certificate | null): Promise<void> {
  const settings = {
    'listeners.tcp.1': `127.0.0.1:${ports.amqp}`,
    // To where it was started, whose end is shown when it does not start.
    'log.console': 'true',
    'log.file': 'false',
    'disk_free_limit.absolute': '50MB',
    // A node that was killed reads all of it again.
    'raft.wal_max_size_bytes': '67108864',
    ...(certificate === null
      ? {}
      : {
          'listeners.ssl.1': `127.0.0.1:${ports.amqps}`,
          'ssl_options.cacertfile': certificate.caFile,
          'ssl_options.certfile': certificate.certFile,
          'ssl_options.keyfile': certificate.keyFile,
        }),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  await mkdir(join(folder, 'data'));
  await writeFile(join(folder, 'rabbitmq.conf'), lines.join(''));
  await writeFile(join(folder, 'plugins'), '[].\n');
}

/** A register of its own: the machine's is not ours to start, and whoever starts one leaves it behind. */
function startRegister({ programs, folder, ports, env }: Plan): GuardedProcess {
  return startGuarded({
    name: "Erlang's register of nodes",
    command: [programs.epmd, '-port', String(ports.register), '-address', '127.0.0.1'],
    env,
    logFile: join(folder, 'epmd.log'),
  });
}

function startServer({ programs, folder, env }: Plan): GuardedProcess {
  return startGuarded({ name: 'RabbitMQ', command: [programs.server], env, logFile: join(folder, 'server.log') });
}

async function serves({ ports }: Plan, running: readonly GuardedProcess[]): Promise<void> {
  await running.at(-1)?.serves(() => canOpen(urlOf(ports.amqp)));
}

/** A node listens last, when all its queues are there. */
async function canOpen(url: string): Promise<boolean> {
  try {
    await (await connect(url, { timeout: 5_000 })).close();
    return true;
  } catch {
    return false;
  }
}

async function ctl({ programs, env }: Plan, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(programs.ctl, ['--quiet', ...args], { env, timeout: CTL_MS });
  return stdout;
}

function urlOf(port: number): string {
  return `amqp://guest:guest@127.0.0.1:${port}`;
}
