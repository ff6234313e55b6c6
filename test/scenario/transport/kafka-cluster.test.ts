// Owns the proof that a test's brokers are what fault tests take them for: they keep what they took, change leaders, demand what they should, and end with their owner.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import kafkajs from 'kafkajs';
import { expect, test } from 'vitest';
import { firstWords } from '../../support/embedded.ts';
import { startKafka, type KafkaCluster } from '../../support/kafka/cluster.ts';
import { describeWhereKafka, describeWithCluster } from '../../support/kafka/describe.ts';
import { openTcpGate, type TcpGate } from '../../support/tcp-gate.ts';

const OWNER = fileURLToPath(new URL('../../support/kafka/owner.ts', import.meta.url));

type Kafka = kafkajs.Kafka;

function client(brokers: readonly string[], more: Partial<kafkajs.KafkaConfig> = {}): Kafka {
  const logLevel = kafkajs.logLevel.NOTHING;
  return new kafkajs.Kafka({ brokers: [...brokers], logLevel, retry: { initialRetryTime: 100, retries: 9 }, ...more });
}

async function withAdmin<T>(kafka: Kafka, work: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

async function makeTopic(kafka: Kafka, topic: string, replicationFactor: number): Promise<void> {
  const configEntries = [{ name: 'min.insync.replicas', value: replicationFactor === 3 ? '2' : '1' }];
  const topics = [{ topic, numPartitions: 1, replicationFactor, configEntries }];
  await withAdmin(kafka, (admin) => admin.createTopics({ topics, waitForLeaders: false }));
  // Brokers learn of a topic one after the other.
  await patiently(() => endOf(kafka, topic));
}

/** Resolves with the position when every replica that is in sync has it. */
async function produce(kafka: Kafka, topic: string): Promise<string | undefined> {
  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  // It may begin with the broker that is gone.
  await patiently(() => producer.connect());
  try {
    const [record] = await producer.send({ topic, acks: -1, messages: [{ value: 'x', partition: 0 }] });
    return record?.baseOffset;
  } finally {
    await producer.disconnect();
  }
}

function endOf(kafka: Kafka, topic: string): Promise<string | undefined> {
  return withAdmin(kafka, async (admin) => (await admin.fetchTopicOffsets(topic))[0]?.high);
}

async function partitionOf(kafka: Kafka, topic: string): Promise<kafkajs.PartitionMetadata> {
  const { topics } = await withAdmin(kafka, (admin) => admin.fetchTopicMetadata({ topics: [topic] }));
  const partition = topics[0]?.partitions[0];
  if (partition === undefined) throw new Error(`${topic} has no partition`);
  return partition;
}

const PATIENCE_MS = 20_000;

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await patiently(holds))) {
    if (performance.now() > deadline) throw new Error(`it does not come to hold within ${PATIENCE_MS} ms`);
    await sleep(50);
  }
}

/** Asked again while brokers do not know yet, or are on their way back. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await ask();
    } catch (thrown) {
      if (performance.now() > deadline) throw thrown;
      await sleep(50);
    }
  }
}

/** Whether somebody takes connections there. */
function isServed(address: string): Promise<boolean> {
  const [host = '', port = ''] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect(Number(port), host, () => resolve(true));
    socket.once('error', () => resolve(false)).once('connect', () => socket.destroy());
  });
}

await describeWithCluster('one node', { nodes: 1, listeners: 'plain-and-secure' }, (cluster) => {
  const secure = () => {
    const access = cluster().secure;
    if (access === null) throw new Error('secure listeners were wanted');
    return access;
  };
  const signedIn = (sasl: kafkajs.SASLOptions, ca = secure().caPem) =>
    client(secure().saslBrokers, { ssl: { ca }, sasl, retry: { retries: 1 } });

  test('keeps what it took when it is killed and started again', async () => {
    const kafka = client(cluster().brokers);
    await makeTopic(kafka, 'kept', 1);
    expect(await produce(kafka, 'kept')).toBe('0');
    await cluster().kill(1);
    expect(await isServed(cluster().brokers[0] ?? '')).toBe(false);
    await cluster().restart(1);
    expect(await endOf(kafka, 'kept')).toBe('1');
    expect(await produce(kafka, 'kept')).toBe('1');
  });

  test('that is frozen answers nobody until it is woken', async () => {
    const kafka = client(cluster().brokers);
    await makeTopic(kafka, 'frozen', 1);
    cluster().freeze(1);
    const impatient = client(cluster().brokers, { requestTimeout: 500, retry: { retries: 0 } });
    await expect(endOf(impatient, 'frozen')).rejects.toThrow();
    cluster().wake(1);
    expect(await endOf(kafka, 'frozen')).toBe('0');
  });

  test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
    'lets its owner do everything by %s',
    async (mechanism) => {
      const kafka = signedIn({ mechanism, ...secure().owner });
      await makeTopic(kafka, mechanism, 1);
      expect(await produce(kafka, mechanism)).toBe('0');
    },
  );

  test('lets a stranger in and do nothing', async () => {
    await makeTopic(client(cluster().brokers), 'closed', 1);
    const kafka = signedIn({ mechanism: 'scram-sha-256', ...secure().stranger });
    await expect(produce(kafka, 'closed')).rejects.toMatchObject({
      cause: { type: 'TOPIC_AUTHORIZATION_FAILED' },
    });
  });

  test.each(['plain', 'scram-sha-512'] as const)('refuses a wrong password by %s', async (mechanism) => {
    const kafka = signedIn({ mechanism, username: secure().owner.username, password: 'wrong' });
    await expect(endOf(kafka, 'plain')).rejects.toThrow(/SASL/);
  });

  test('is trusted by whoever trusts its authority, and by nobody else', async () => {
    const topics = (ssl: kafkajs.KafkaConfig['ssl']) =>
      withAdmin(client(secure().tlsBrokers, { ssl: ssl ?? true, retry: { retries: 0 } }), (admin) =>
        admin.listTopics(),
      );
    expect(await topics({ ca: secure().caPem })).toBeInstanceOf(Array);
    await expect(topics(true)).rejects.toThrow(/certificate/);
  });
});

await describeWithCluster('three nodes', { nodes: 3 }, (cluster) => {
  test('go on without the leader that was killed, and take it back', async () => {
    const kafka = client(cluster().brokers);
    await makeTopic(kafka, 'led', 3);
    expect(await produce(kafka, 'led')).toBe('0');
    const { leader } = await partitionOf(kafka, 'led');
    await cluster().kill(leader);
    expect(await produce(kafka, 'led')).toBe('1');
    const after = await patiently(() => partitionOf(kafka, 'led'));
    expect(after.leader).not.toBe(leader);
    expect(after.isr).not.toContain(leader);
    await cluster().restart(leader);
    await until(async () => (await partitionOf(kafka, 'led')).isr.includes(leader));
    expect(await patiently(() => endOf(kafka, 'led'))).toBe('2');
  });
});

await describeWhereKafka('own', 'a broker', () => {
  test('behind a proxy tells its clients the proxy, and nobody else passes it', async () => {
    let gate: TcpGate | undefined;
    let cluster: KafkaCluster | undefined;
    try {
      cluster = await startKafka({
        nodes: 1,
        advertised: async (_, port) => {
          gate = await openTcpGate(`http://127.0.0.1:${port}`);
          return Number(new URL(gate.url).port);
        },
      });
      expect(gate?.connections()).toBe(0);
      await makeTopic(client(cluster.brokers), 'behind', 1);
      gate?.refuse();
      await expect(produce(client(cluster.brokers, { retry: { retries: 0 } }), 'behind')).rejects.toThrow();
      expect(await produce(client(cluster.directBrokers), 'behind')).toBe('0');
    } finally {
      await cluster?.close();
      await gate?.close();
    }
  });

  test('ends with the process that started it, however that dies', async () => {
    // Nobody is left to remove the data of the dead.
    const folder = await mkdtemp(join(tmpdir(), 'onelane-test-'));
    const env = { ...process.env, TMPDIR: folder };
    const command = ['--import', 'jiti/register', OWNER];
    const owner = spawn(process.execPath, command, { stdio: ['pipe', 'pipe', 'inherit'], env });
    try {
      const address = await firstWords(owner);
      expect(await isServed(address)).toBe(true);
      owner.kill('SIGKILL');
      await until(async () => !(await isServed(address)));
    } finally {
      owner.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    }
  });

  test('that does not start says why, with the end of its log', async () => {
    const properties = { 'num.io.threads': 'none' };
    await expect(startKafka({ nodes: 1, properties })).rejects.toThrow(/node 1 has ended[^]*num\.io\.threads/);
  });
});
