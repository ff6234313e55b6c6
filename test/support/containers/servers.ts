// Owns the servers that tests take from containers: the image of each, and the variable by which tests find it.
import { KafkaContainer } from '@testcontainers/kafka';
import { PostgreSqlContainer } from '@testcontainers/postgresql';
import { RabbitMQContainer } from '@testcontainers/rabbitmq';
import { getContainerRuntimeClient } from 'testcontainers';

export interface ContainedServer {
  readonly variable: 'DATABASE_URL' | 'KAFKA_BROKERS' | 'RABBITMQ_URL';
  start(): Promise<Contained>;
}

export interface Contained {
  /** The variable's value. */
  readonly address: string;
  stop(): Promise<void>;
}

const POSTGRES = 'postgres:17';
/** From 8.0.0 on it needs no ZooKeeper. */
const KAFKA = 'confluentinc/cp-kafka:8.2.0';
const RABBITMQ = 'rabbitmq:4-management';
const CONNECTIONS_MAX = 300;
const KAFKA_PORT = 9093;

export const postgres: ContainedServer = {
  variable: 'DATABASE_URL',
  async start() {
    // Without fsync: its data end with it.
    const settings = ['-c', `max_connections=${CONNECTIONS_MAX}`, '-c', 'fsync=off'];
    const started = await new PostgreSqlContainer(POSTGRES).withCommand(['postgres', ...settings]).start();
    return { address: started.getConnectionUri(), stop: () => started.stop().then(() => undefined) };
  },
};

export const kafka: ContainedServer = {
  variable: 'KAFKA_BROKERS',
  async start() {
    const started = await new KafkaContainer(KAFKA)
      .withEnvironment({
        KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
        KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
        KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS: '1000',
        KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
      })
      .start();
    const address = `${started.getHost()}:${started.getMappedPort(KAFKA_PORT)}`;
    return { address, stop: () => started.stop().then(() => undefined) };
  },
};

export const rabbitmq: ContainedServer = {
  variable: 'RABBITMQ_URL',
  async start() {
    const started = await new RabbitMQContainer(RABBITMQ).start();
    return { address: started.getAmqpUrl(), stop: () => started.stop().then(() => undefined) };
  },
};

/** What a run by containers starts. A transport's server is added here. */
export const CONTAINED: readonly ContainedServer[] = [postgres, kafka, rabbitmq];

/** Why no container can be started, as half a sentence; null when an engine answers. */
export async function whyNoContainers(): Promise<string | null> {
  try {
    await getContainerRuntimeClient();
    return null;
  } catch {
    return 'no Docker engine answers (start one, or name it in DOCKER_HOST)';
  }
}
