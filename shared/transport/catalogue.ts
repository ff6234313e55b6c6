// Owns which transports there are: the only file that imports adapters.
import { OnelaneError } from '../process/errors.ts';
import type { Random } from '../process/time.ts';
import { kafkaTransport, type KafkaTransportGiven } from './kafka/index.ts';
import { createMemoryLog, memoryTransport } from './memory/index.ts';
import { postgresTransport, type PostgresTransportGiven } from './postgres/index.ts';
import { rabbitTransport, type RabbitTransportGiven } from './rabbitmq/index.ts';
import type { Transport } from './transport.ts';

export class TransportUnknown extends OnelaneError {
  readonly code = 'transport-unknown' as const;
}

export const TRANSPORTS = ['memory', 'postgres', 'kafka', 'rabbitmq'] as const;

export interface TransportGiven extends PostgresTransportGiven {
  /** The log's name: of a topic, say. */
  readonly channel: string;
  /** As many as the system has. */
  readonly partitions: number;
  /** How long a silent consumer keeps its partitions. */
  readonly leaseMs: number;
  readonly random: Random;
  readonly kafka: Pick<KafkaTransportGiven, 'connection' | 'replication'>;
  /** Asked only for `rabbitmq`: others may have set its variables for something else. */
  readonly rabbitmq: () => Pick<RabbitTransportGiven, 'access'>;
}

/** Throws TransportUnknown for a name that this build does not know. `memory`: a log of its own, gone with the process. */
export function openTransport(kind: string, given: TransportGiven): Transport {
  switch (kind) {
    case 'memory':
      return memoryTransport(createMemoryLog(), { systemId: given.systemId, clock: given.clock });
    case 'postgres':
      return postgresTransport(given);
    case 'kafka':
      return kafkaTransport({
        ...given,
        ...given.kafka,
        topic: given.channel,
        retentionMs: given.logRetentionMs,
        sessionMs: Math.max(given.leaseMs, KAFKA_SESSION_MS_MIN),
      });
    case 'rabbitmq':
      return rabbitTransport({ ...given, ...given.rabbitmq() });
    default:
      throw new TransportUnknown(`transport "${kind}" is not in this build: use postgres, kafka or rabbitmq`);
  }
}

/** What brokers accept unless they are told otherwise. */
const KAFKA_SESSION_MS_MIN = 6_000;
