// Owns the topic: making it fit to be a log, and refusing one that would lose, reorder or forget.
import kafkajs, { type Admin } from 'kafkajs';
import { OnelaneError } from '../../process/errors.ts';
import type { Observe } from '../../process/events.ts';
import { printSpan } from '../../process/quantity.ts';
import type { Clock } from '../../process/time.ts';
import { LogPartitionsDiffer } from '../log-partitions-differ.ts';
import { protocolError } from './broker-errors.ts';
import { boundsOf } from './cluster-view.ts';

/** A topic that exists and cannot serve as a log. */
export class TopicUnfit extends OnelaneError {
  readonly code = 'topic-unfit' as const;
}

export interface TopicWanted {
  readonly topic: string;
  readonly partitions: number;
  /** null: three, or as many as there are brokers. */
  readonly replication: number | null;
  /** Of a topic that is made here; at least RETENTION_MADE_MS_MIN. */
  readonly retentionMs: number;
}

export interface TopicFound {
  /** Infinity: for ever. */
  readonly retentionMs: number;
}

const DAY_MS = 86_400_000;
const RETENTION_MS_MIN = DAY_MS;
const RETENTION_ADVISED_MS = 7 * DAY_MS;
/** One command with its headers has at most 900 KiB; this is Kafka's own default for a batch of records. */
const MESSAGE_BYTES = 1_048_588;
const REPLICAS_ADVISED = 3;
const READABLE_COMPRESSIONS: readonly string[] = ['uncompressed', 'gzip'];
const KNOWN_TRIES = 50;
const KNOWN_EVERY_MS = 100;

/** Safe when several processes do it at once. Throws TopicUnfit, LogPartitionsDiffer, or as kafkajs does. */
export async function provisionTopic(
  admin: Admin,
  wanted: TopicWanted,
  effects: { readonly observe: Observe; readonly clock: Clock },
): Promise<TopicFound> {
  if ((await partitionsOf(admin, wanted.topic)) === null) await makeTopic(admin, wanted);
  return await onceKnown(effects.clock, async () => {
    const { partitions, copies } = await layoutOf(admin, wanted.topic);
    if (partitions !== wanted.partitions) throw new LogPartitionsDiffer(partitions, wanted.partitions);
    return await checkTopic(admin, { topic: wanted.topic, copies }, effects.observe);
  });
}

/** null: there is no such topic. */
async function partitionsOf(admin: Admin, topic: string): Promise<number | null> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0]?.partitions.length ?? null;
  } catch (thrown) {
    if (protocolError(thrown) === 'UNKNOWN_TOPIC_OR_PARTITION') return null;
    throw thrown;
  }
}

async function makeTopic(admin: Admin, wanted: TopicWanted): Promise<void> {
  const { brokers } = await admin.describeCluster();
  const replication = wanted.replication ?? Math.min(REPLICAS_ADVISED, brokers.length);
  try {
    // Resolves with false when somebody else was faster.
    await create(admin, wanted, replication);
  } catch (thrown) {
    if (protocolError(thrown) !== 'INVALID_REPLICATION_FACTOR') throw thrown;
    throw new TopicUnfit(
      `topic "${wanted.topic}" cannot be made with ${replication} copies, as ${brokers.length} brokers serve: set KAFKA_REPLICATION to so many or fewer, or start more`,
      { cause: thrown },
    );
  }
}

async function create(admin: Admin, wanted: TopicWanted, replication: number): Promise<void> {
  await admin.createTopics({
    waitForLeaders: false,
    topics: [
      {
        topic: wanted.topic,
        numPartitions: wanted.partitions,
        replicationFactor: replication,
        configEntries: Object.entries({
          'cleanup.policy': 'delete',
          'message.timestamp.type': 'LogAppendTime',
          'min.insync.replicas': String(Math.max(1, replication - 1)),
          'retention.ms': String(Math.max(RETENTION_ADVISED_MS, wanted.retentionMs)),
          'retention.bytes': '-1',
          'max.message.bytes': String(MESSAGE_BYTES),
          // Whatever other publishers use, the broker stores what every consumer can read.
          'compression.type': 'uncompressed',
          'unclean.leader.election.enable': 'false',
        }).map(([name, value]) => ({ name, value })),
      },
    ],
  });
}

/** Brokers learn of a topic one after the other, and its partitions get their leaders later still. */
async function onceKnown<T>(clock: Clock, ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (thrown) {
      if (tries === KNOWN_TRIES || !NOT_YET.has(protocolError(thrown) ?? '')) throw thrown;
    }
    await clock.sleep(KNOWN_EVERY_MS);
  }
}

interface Layout {
  readonly partitions: number;
  /** Of the partition that has the fewest. */
  readonly copies: number;
}

/** Rejects as kafkajs does while a partition has no leader, or a leader does not know of it yet. */
async function layoutOf(admin: Admin, topic: string): Promise<Layout> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  const partitions = topics[0]?.partitions ?? [];
  await boundsOf(admin, topic);
  return { partitions: partitions.length, copies: Math.min(...partitions.map(({ replicas }) => replicas.length)) };
}

const NOT_YET: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
]);

type Config = ReadonlyMap<string, string>;

async function checkTopic(
  admin: Admin,
  { topic, copies }: { readonly topic: string; readonly copies: number },
  observe: Observe,
): Promise<TopicFound> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
  });
  const entries = resources[0]?.configEntries ?? [];
  const config: Config = new Map(entries.map(({ configName, configValue }) => [configName, configValue]));
  const faults = faultsOf(config);
  if (faults.length > 0) {
    throw new TopicUnfit(
      `topic "${topic}" cannot be the log: ${faults.join('; ')}. Change it, or name another ONELANE_CHANNEL`,
    );
  }
  const { brokers } = await admin.describeCluster();
  for (const detail of [...advice(config), ...adviceOnCopies(config, copies, brokers.length)])
    observe({ kind: 'log-warned', detail: `topic "${topic}": ${detail}` });
  return { retentionMs: retentionOf(config) };
}

function faultsOf(config: Config): readonly string[] {
  const faults: string[] = [];
  const policy = config.get('cleanup.policy');
  const stamp = config.get('message.timestamp.type');
  const bytes = Number(config.get('max.message.bytes'));
  const compression = config.get('compression.type') ?? '';
  const retentionMs = retentionOf(config);
  if (policy !== 'delete') faults.push(`cleanup.policy is ${policy} and would drop commands: set it to delete`);
  if (stamp !== 'LogAppendTime') {
    faults.push(`message.timestamp.type is ${stamp}, which is a producer's clock: set it to LogAppendTime`);
  }
  if (retentionMs < RETENTION_MS_MIN) {
    faults.push(`retention.ms is ${printSpan(retentionMs)}: set at least ${printSpan(RETENTION_MS_MIN)}, better 7d`);
  }
  if (!READABLE_COMPRESSIONS.includes(compression)) {
    faults.push(
      `compression.type is ${compression}, and what a publisher sends in snappy, lz4 or zstd cannot be read: set it to uncompressed or gzip`,
    );
  }
  if (bytes < MESSAGE_BYTES) faults.push(`max.message.bytes is ${bytes}: set at least ${MESSAGE_BYTES}`);
  return faults;
}

function advice(config: Config): readonly string[] {
  const said: string[] = [];
  const retentionMs = retentionOf(config);
  const retentionBytes = Number(config.get('retention.bytes'));
  if (retentionMs < RETENTION_ADVISED_MS) {
    said.push(`retention.ms is ${printSpan(retentionMs)}: an outage that long loses commands; 7d or more is advised`);
  }
  if (retentionBytes >= 0) {
    said.push(`retention.bytes is ${retentionBytes}: a backlog beyond it loses commands; -1 is advised`);
  }
  if (config.get('unclean.leader.election.enable') === 'true') {
    said.push(
      'unclean.leader.election.enable is true: a broker that fails can lose accepted commands; false is advised',
    );
  }
  return said;
}

function adviceOnCopies(config: Config, copies: number, brokers: number): readonly string[] {
  const inSync = Number(config.get('min.insync.replicas'));
  if (copies === 1 && brokers > 1) {
    return ['it has one copy of each entry: a broker that fails stops its partitions, or loses them; 3 are advised'];
  }
  if (copies > 2 && inSync < 2) {
    return [`min.insync.replicas is ${inSync}: a broker that fails can lose accepted commands; 2 is advised`];
  }
  return [];
}

/** -1 is for ever. */
function retentionOf(config: Config): number {
  const ms = Number(config.get('retention.ms'));
  return ms < 0 ? Infinity : ms;
}
