// Owns clusters of real Kafka brokers for tests, whose nodes a test may kill, freeze and start again; all of it is gone at the end.
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kafkaDistribution, QUICK_START, type Distribution } from './distribution.ts';
import { startNode, type NodeProcess, type NodeWanted } from './node-process.ts';
import { nodeProperties, type Listener, type NodePorts } from './node-properties.ts';
import { reservePorts } from '../ports.ts';
import { makeCertificates, OWNER, secureProperties, STRANGER, type SecureAccess } from './secure.ts';

export interface KafkaOptions {
  /** Numbered from 1. Each is broker and controller: of three, two are a majority. */
  readonly nodes: 1 | 3;
  /** The port that clients are told in place of the one that is bound: that of a test's proxy. */
  readonly advertised?: (node: number, port: number) => number | Promise<number>;
  /** Default: plain ones only. The secure ones come on top. */
  readonly listeners?: 'plain' | 'plain-and-secure';
  /** What the brokers are to be good at. Default: starting, which costs throughput. */
  readonly tuned?: 'to-start' | 'to-run';
  /** Settings of every node by name, over ours. */
  readonly properties?: Readonly<Record<string, string>>;
}

export interface KafkaCluster {
  /** Where clients begin, as `host:port`, the first being node 1. The same over restarts. */
  readonly brokers: readonly string[];
  /** The same nodes past a proxy, for a test's own look. */
  readonly directBrokers: readonly string[];
  /** null when only plain listeners were wanted. */
  readonly secure: SecureAccess | null;
  /** kill -9; resolves when it is gone. */
  kill(node: number): Promise<void>;
  /** On its data and its ports; resolves when it serves. One that still runs is killed first. */
  restart(node: number): Promise<void>;
  /** SIGSTOP: its connections stay, and nobody answers. */
  freeze(node: number): void;
  wake(node: number): void;
  /** Kills all nodes and removes their data. Idempotent. */
  close(): Promise<void>;
}

interface Plan {
  readonly folder: string;
  readonly distribution: Distribution;
  readonly options: KafkaOptions;
  readonly clusterId: string;
  readonly ports: readonly NodePorts[];
}

/** Resolves when every node serves and knows the others. Needs Java, and for the first time Maven. */
export async function startKafka(options: KafkaOptions): Promise<KafkaCluster> {
  const distribution = await kafkaDistribution();
  const folder = await mkdtemp(join(tmpdir(), 'onelane-kafka-'));
  const nodes = new Nodes();
  const close = async () => {
    await nodes.killAll();
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  try {
    const ports = await choosePorts(options);
    const plan = { folder, distribution, options, clusterId: uuid(), ports };
    const secure = await prepare(plan);
    for (const id of idsOf(plan)) nodes.start(nodeWanted(plan, id));
    await Promise.all(idsOf(plan).map((id) => nodes.at(id).serves(idsOf(plan))));
    return clusterOf(plan, { nodes, secure, close });
  } catch (cause) {
    await close();
    throw cause;
  }
}

/** The processes; each number has one at a time. */
class Nodes {
  readonly #running = new Map<number, NodeProcess>();

  start(wanted: NodeWanted): NodeProcess {
    const node = startNode(wanted);
    this.#running.set(wanted.id, node);
    return node;
  }

  at(id: number): NodeProcess {
    const node = this.#running.get(id);
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  async killAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map((node) => node.kill()));
  }
}

interface Parts {
  readonly nodes: Nodes;
  readonly secure: SecureAccess | null;
  close(): Promise<void>;
}

function clusterOf(plan: Plan, { nodes, secure, close }: Parts): KafkaCluster {
  let closed: Promise<void> | undefined;
  return {
    brokers: addresses(plan, 'advertised'),
    directBrokers: addresses(plan, 'internal'),
    secure,
    kill: (id) => nodes.at(id).kill(),
    restart: async (id) => {
      await nodes.at(id).kill();
      if (closed !== undefined) throw new Error('the cluster is closed');
      await nodes.start(nodeWanted(plan, id)).serves([id]);
    },
    freeze: (id) => nodes.at(id).freeze(),
    wake: (id) => nodes.at(id).wake(),
    close: () => (closed ??= close()),
  };
}

async function choosePorts({ nodes, advertised }: KafkaOptions): Promise<readonly NodePorts[]> {
  const chosen: NodePorts[] = [];
  for (let id = 1; id <= nodes; id++) {
    const [client = 0, internal = 0, controller = 0, sasl = 0, tls = 0] = await reservePorts(5);
    const told = (await advertised?.(id, client)) ?? client;
    chosen.push({ client, advertised: told, internal, controller, sasl, tls });
  }
  return chosen;
}

/** Writes what each node needs to start; several may be started on it in turn. */
async function prepare(plan: Plan): Promise<SecureAccess | null> {
  const isSecure = plan.options.listeners === 'plain-and-secure';
  const [certificates, checkpoint] = await Promise.all([
    isSecure ? makeCertificates(plan.folder) : null,
    plan.distribution.checkpoint(isSecure ? [OWNER, STRANGER] : []),
  ]);
  const listeners: readonly Listener[] = ['CLIENT', 'INTERNAL', ...(isSecure ? (['SASL', 'TLS'] as const) : [])];
  for (const id of idsOf(plan)) {
    const logs = join(folderOf(plan, id), 'logs');
    await mkdir(logs, { recursive: true });
    const properties = {
      ...nodeProperties({ id, nodes: plan.ports, logs, listeners }),
      ...(certificates === null ? {} : secureProperties(certificates)),
      ...plan.options.properties,
    };
    await writeFile(join(folderOf(plan, id), 'server.properties'), linesOf(properties));
    const meta = { version: '1', 'cluster.id': plan.clusterId, 'node.id': String(id), 'directory.id': uuid() };
    await writeFile(join(logs, 'meta.properties'), linesOf(meta));
    await copyFile(checkpoint, join(logs, 'bootstrap.checkpoint'));
  }
  if (certificates === null) return null;
  const at = { saslBrokers: addresses(plan, 'sasl'), tlsBrokers: addresses(plan, 'tls') };
  return { caPem: certificates.caPem, ...at, owner: OWNER, stranger: STRANGER };
}

function nodeWanted(plan: Plan, id: number): NodeWanted {
  return {
    id,
    folder: folderOf(plan, id),
    java: [...(plan.options.tuned === 'to-run' ? [] : QUICK_START), ...plan.distribution.java],
    address: addresses(plan, 'internal')[id - 1] ?? '',
  };
}

function idsOf(plan: Plan): readonly number[] {
  return plan.ports.map((_, at) => at + 1);
}

function folderOf(plan: Plan, id: number): string {
  return join(plan.folder, `node-${id}`);
}

function addresses(plan: Plan, port: keyof NodePorts): readonly string[] {
  return plan.ports.map((ports) => `127.0.0.1:${ports[port]}`);
}

/** In the file format of Java, where a backslash begins an escape. */
function linesOf(properties: Readonly<Record<string, string>>): string {
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}\n`);
  return lines.join('');
}

/** As Kafka spells them. */
function uuid(): string {
  return randomBytes(16).toString('base64url');
}
