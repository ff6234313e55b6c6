// Owns where tests take a Kafka broker from: the environment, else this machine's Java, else a container, else nowhere, for a reason.
import type { KafkaCluster, KafkaOptions } from './cluster.ts';
import { startKafka } from './cluster.ts';
import { whyNoDistribution } from './distribution.ts';

/** Brokers that a test may use and not harm: they may serve others, so names are the test's own. */
export interface TestKafka {
  readonly brokers: readonly string[];
  /** Stops what was started for the test. Idempotent. */
  close(): Promise<void>;
}

/** `shared`: a broker that others may use, too. `own`: a cluster of the test's own, which it may kill. */
export type KafkaNeed = 'shared' | 'own';

export type KafkaSource =
  | { readonly kind: 'environment'; readonly brokers: readonly string[] }
  | { readonly kind: 'machine' }
  | { readonly kind: 'container' }
  | { readonly kind: 'nowhere'; readonly why: string };

export async function kafkaSource(need: KafkaNeed): Promise<KafkaSource> {
  const named = (process.env['KAFKA_BROKERS'] ?? '').split(',').filter((address) => address !== '');
  if (need === 'shared' && named.length > 0) return { kind: 'environment', brokers: named };
  const lacking = whyNoDistribution();
  if (lacking === null) return { kind: 'machine' };
  const why = `this machine lacks ${lacking}, with which tests start brokers`;
  if (need === 'own') return { kind: 'nowhere', why };
  const { whyNoContainers } = await import('../containers/servers.ts');
  const engine = await whyNoContainers();
  return engine === null
    ? { kind: 'container' }
    : { kind: 'nowhere', why: `KAFKA_BROKERS is not set, ${why}, and ${engine}` };
}

/** A broker from wherever there is one; throws when there is none. */
export async function testKafka(): Promise<TestKafka> {
  const source = await kafkaSource('shared');
  switch (source.kind) {
    case 'environment':
      return { brokers: source.brokers, close: () => Promise.resolve() };
    case 'machine':
      return await startKafka({ nodes: 1 });
    case 'container':
      return await containedKafka();
    case 'nowhere':
      throw new Error(`there is no Kafka broker: ${source.why}`);
  }
}

/** The test's own cluster, which it may kill, never the one that the environment names; throws where none can be started. */
export async function ownKafka(options: KafkaOptions): Promise<KafkaCluster> {
  const source = await kafkaSource('own');
  if (source.kind === 'nowhere') throw new Error(`there is no Kafka broker: ${source.why}`);
  return await startKafka(options);
}

async function containedKafka(): Promise<TestKafka> {
  const { kafka } = await import('../containers/servers.ts');
  const started = await kafka.start();
  let closed: Promise<void> | undefined;
  return { brokers: [started.address], close: () => (closed ??= started.stop()) };
}
