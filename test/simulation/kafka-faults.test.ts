// The real system on real Kafka under real faults, exact at the end: one of each, or the full counts.
import { test } from 'vitest';
import { describeWhereKafka } from '../support/kafka/describe.ts';
import { apiAndConsumerKilled, consumersScaled } from '../support/simulation/broker-faults.ts';
import { consumerFrozen, type Fault } from '../support/simulation/faults.ts';
import { FULL, type Size } from '../support/simulation/history-system.ts';
import { openKafkaCarrier, type KafkaCarrier } from '../support/simulation/kafka-carrier.ts';
import { answersSwallowed, networkCut, oneBrokerKilled, onlyKafkaKilled } from '../support/simulation/kafka-faults.ts';
import { runFault } from './history-run.ts';

const isFull = process.env['ONELANE_FAULTS'] === 'full';
const size: Size = isFull ? FULL : { prefixes: 3, changes: 2_000, partitions: 8, batchSize: 50 };
const strikes = isFull ? 3 : 1;
const CUT_MS = isFull ? 20_000 : 3_000;

interface Wanted {
  readonly name: string;
  readonly nodes: 1 | 3;
  readonly fault: (carrier: KafkaCarrier) => Fault;
  readonly strikes?: number;
  readonly consumers: number;
}

async function onKafka({ name, nodes, fault, consumers, ...rest }: Wanted): Promise<void> {
  const carrier = await openKafkaCarrier({ nodes });
  await runFault({ name, fault: fault(carrier), size, strikes, clients: 'two', consumers, carrier, ...rest });
}

await describeWhereKafka('own', 'on Kafka', () => {
  test('consumers go from one to four and back: lanes are balanced after each change, nothing lost, doubled or swapped', async () => {
    await onKafka({ name: 'Kafka, consumers scaled', nodes: 1, fault: () => consumersScaled, consumers: 1 });
  });

  test('the API and a consumer are killed with -9: nothing lost, doubled or swapped', async () => {
    await onKafka({
      name: 'Kafka, API and consumer killed',
      nodes: 1,
      fault: () => apiAndConsumerKilled,
      consumers: 2,
    });
  });

  test('the only broker is killed with -9 and started again: nothing lost, doubled or swapped', async () => {
    await onKafka({ name: 'Kafka, only broker killed', nodes: 1, fault: onlyKafkaKilled, consumers: 2 });
  });

  test('one of three brokers is killed with -9 and started again: nothing lost, doubled or swapped', async () => {
    await onKafka({ name: 'Kafka, one of three killed', nodes: 3, fault: oneBrokerKilled, consumers: 2 });
  });

  test('a consumer is frozen past its session and woken: it writes nothing', async () => {
    await onKafka({ name: 'Kafka, consumer frozen', nodes: 1, fault: () => consumerFrozen, consumers: 2 });
  });

  test('the network to the broker is cut for a while: nothing lost, doubled or swapped', async () => {
    const fault = (carrier: KafkaCarrier) => networkCut(carrier, CUT_MS);
    await onKafka({ name: 'Kafka, network cut', nodes: 1, fault, strikes: 1, consumers: 2 });
  });

  test('answers of the broker get lost while commands come: nothing lost, doubled or swapped', async () => {
    await onKafka({ name: 'Kafka, answers swallowed', nodes: 1, fault: answersSwallowed, consumers: 2 });
  });
});
