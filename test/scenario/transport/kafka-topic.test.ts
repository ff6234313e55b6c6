// Owns the proof that a topic is made fit to be a log, and that one which would lose, reorder or forget is refused in a sentence.
import { randomBytes } from 'node:crypto';
import kafkajs from 'kafkajs';
import { afterEach, expect, test } from 'vitest';
import { asError } from '../../../shared/process/errors.ts';
import type { KafkaTransportGiven } from '../../../shared/transport/kafka/index.ts';
import { describeWithCluster } from '../../support/kafka/describe.ts';
import { openTestLog, type TestLog } from '../../support/kafka/log.ts';

const DAY_MS = 86_400_000;
const logs: TestLog[] = [];

afterEach(async () => {
  for (const log of logs.splice(0)) await log.close();
});

type Settings = Readonly<Record<string, string>>;

/** Fit in every respect. */
const FIT: Settings = {
  'message.timestamp.type': 'LogAppendTime',
  'compression.type': 'uncompressed',
  'min.insync.replicas': '2',
};

const bundleOn = async (brokers: readonly string[]) => {
  const log = await openTestLog({ brokers, topic: `topic-${randomBytes(6).toString('hex')}` });
  logs.push(log);
  const make = (settings: Settings, numPartitions = 2, replicationFactor = 3) =>
    log.admin.createTopics({
      waitForLeaders: false,
      topics: [
        {
          topic: log.topic,
          numPartitions,
          replicationFactor,
          configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
        },
      ],
    });
  const settings = async (): Promise<Settings> => {
    const { resources } = await log.admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: log.topic }],
    });
    return Object.fromEntries(
      (resources[0]?.configEntries ?? []).map(({ configName, configValue }) => [configName, configValue]),
    );
  };
  const replicas = async () => {
    const { topics } = await log.admin.fetchTopicMetadata({ topics: [log.topic] });
    return topics[0]?.partitions.map((each) => each.replicas.length);
  };
  const provision = async (partitions: number, more: Partial<KafkaTransportGiven> = {}): Promise<string> => {
    try {
      await log.open(more).provision(partitions);
      return 'provisioned';
    } catch (thrown) {
      const error = asError(thrown);
      return `${error.message} [${'code' in error ? String(error.code) : ''}]`;
    }
  };
  const warnings = () => log.events.flatMap((event) => (event.kind === 'log-warned' ? [event.detail] : []));
  return { make, settings, replicas, provision, warnings };
};

await describeWithCluster('a topic', { nodes: 3 }, (cluster) => {
  const bundle = () => bundleOn(cluster().brokers);

  test('is made with three copies, two of which must be written, the broker’s clock and seven days', async () => {
    const { provision, settings, replicas, warnings } = await bundle();
    expect(await provision(5)).toBe('provisioned');
    expect(await replicas()).toEqual([3, 3, 3, 3, 3]);
    expect(await settings()).toMatchObject({
      'cleanup.policy': 'delete',
      'message.timestamp.type': 'LogAppendTime',
      'min.insync.replicas': '2',
      'retention.ms': String(7 * DAY_MS),
      'retention.bytes': '-1',
      'compression.type': 'uncompressed',
      'unclean.leader.election.enable': 'false',
    });
    expect(warnings()).toEqual([]);
  });

  test('is made with as many copies and days as the settings say', async () => {
    const { provision, settings, replicas } = await bundle();
    expect(await provision(1, { replication: 1, retentionMs: 30 * DAY_MS })).toBe('provisioned');
    expect(await replicas()).toEqual([1]);
    expect(await settings()).toMatchObject({ 'min.insync.replicas': '1', 'retention.ms': String(30 * DAY_MS) });
  });

  test('with more copies than brokers cannot be made, and a sentence says so', async () => {
    const { provision } = await bundle();
    expect(await provision(1, { replication: 4 })).toMatch(
      /with 4 copies, as 3 brokers serve: set KAFKA_REPLICATION .*\[topic-unfit\]$/,
    );
  });

  test('with another number of partitions is refused', async () => {
    const { make, provision } = await bundle();
    await make(FIT, 3);
    expect(await provision(2)).toMatch(/3 partitions.*2.*\[log-partitions-differ\]$/);
    expect(await provision(3)).toBe('provisioned');
  });

  test.each([
    [
      'compacts',
      { 'cleanup.policy': 'compact' },
      /cleanup\.policy is compact and would drop commands: set it to delete/,
    ],
    ['compacts and deletes', { 'cleanup.policy': 'compact,delete' }, /cleanup\.policy is compact,delete/],
    ['forgets within a day', { 'retention.ms': String(DAY_MS - 1) }, /retention\.ms is .*: set at least 1d, better 7d/],
    [
      'believes a producer’s clock',
      { 'message.timestamp.type': 'CreateTime' },
      /message\.timestamp\.type is CreateTime.*set it to LogAppendTime/,
    ],
    [
      'takes any compression',
      { 'compression.type': 'producer' },
      /compression\.type is producer, .*: set it to uncompressed or gzip/,
    ],
    [
      'takes no large command',
      { 'max.message.bytes': '262144' },
      /max\.message\.bytes is 262144: set at least 1048588/,
    ],
  ] as const)('that %s is refused', async (_, fault, sentence) => {
    const { make, provision } = await bundle();
    await make({ ...FIT, ...fault });
    const said = await provision(2);
    expect(said).toMatch(sentence);
    expect(said).toMatch(
      /^topic "topic-.*" cannot be the log: .* Change it, or name another ONELANE_CHANNEL \[topic-unfit\]$/,
    );
  });

  test('is told all that is wrong with it at once', async () => {
    const { make, provision } = await bundle();
    await make({ 'cleanup.policy': 'compact', 'message.timestamp.type': 'CreateTime', 'retention.ms': '1000' });
    expect(await provision(2)).toMatch(/cleanup\.policy.*; message\.timestamp\.type.*; retention\.ms/);
  });

  test.each([
    [
      'keeps less than seven days',
      { 'retention.ms': String(2 * DAY_MS) },
      /retention\.ms is 2d: .*7d or more is advised/,
    ],
    ['keeps so many bytes', { 'retention.bytes': '1000000' }, /retention\.bytes is 1000000: .*-1 is advised/],
    ['is content with one copy written', { 'min.insync.replicas': '1' }, /min\.insync\.replicas is 1: .*2 is advised/],
    [
      'may lose what was accepted',
      { 'unclean.leader.election.enable': 'true' },
      /unclean\.leader\.election\.enable is true: .*false is advised/,
    ],
  ] as const)('that %s is warned of, and serves', async (_, risk, sentence) => {
    const { make, provision, warnings } = await bundle();
    await make({ ...FIT, ...risk });
    expect(await provision(2)).toBe('provisioned');
    expect(warnings()).toEqual([expect.stringMatching(sentence)]);
  });

  test('that has one copy of each entry is warned of, and serves', async () => {
    const { make, provision, warnings } = await bundle();
    await make({ ...FIT, 'min.insync.replicas': '1' }, 2, 1);
    expect(await provision(2)).toBe('provisioned');
    expect(warnings()).toEqual([expect.stringMatching(/one copy of each entry: .*3 are advised/)]);
  });

  test('that keeps everything for ever needs no warning', async () => {
    const { make, provision, warnings } = await bundle();
    await make({ ...FIT, 'retention.ms': '-1' });
    expect(await provision(2)).toBe('provisioned');
    expect(warnings()).toEqual([]);
  });
});
