// The real system on a real RabbitMQ under real faults, exact at the end: one of each, or the full counts.
import { test } from 'vitest';
import { describeWhereRabbit } from '../support/rabbitmq/describe.ts';
import { apiAndConsumerKilled, consumersScaled, onlyBrokerKilled } from '../support/simulation/broker-faults.ts';
import { consumerBlocked, type Fault } from '../support/simulation/faults.ts';
import { FULL, type Size } from '../support/simulation/history-system.ts';
import { openRabbitCarrier, type RabbitCarrier } from '../support/simulation/rabbitmq-carrier.ts';
import { alarmRaised, connectionsEnded } from '../support/simulation/rabbitmq-faults.ts';
import { runFault } from './history-run.ts';

const isFull = process.env['ONELANE_FAULTS'] === 'full';
const size: Size = isFull ? FULL : { prefixes: 3, changes: 2_000, partitions: 8, batchSize: 50 };
const strikes = isFull ? 3 : 1;

interface Wanted {
  readonly name: string;
  readonly fault: (carrier: RabbitCarrier) => Fault;
  readonly consumers: number;
}

async function onRabbit({ name, fault, consumers }: Wanted): Promise<void> {
  const carrier = await openRabbitCarrier();
  const about = { name: `RabbitMQ, ${name}`, size, strikes, clients: 'two', consumers } as const;
  await runFault({ ...about, fault: fault(carrier), carrier });
}

await describeWhereRabbit('own', 'on RabbitMQ', () => {
  test('consumers go from one to four and back: lanes are balanced after each change, nothing lost, doubled or swapped', async () => {
    await onRabbit({ name: 'consumers scaled', fault: () => consumersScaled, consumers: 1 });
  });

  test('the API and a consumer are killed with -9: nothing lost, doubled or swapped', async () => {
    await onRabbit({ name: 'API and consumer killed', fault: () => apiAndConsumerKilled, consumers: 2 });
  });

  test('the node is killed with -9 and started again: nothing lost, doubled or swapped', async () => {
    await onRabbit({ name: 'node killed', fault: ({ node }) => onlyBrokerKilled(node), consumers: 2 });
  });

  test("a consumer's event loop is blocked past its heartbeats: it writes nothing", async () => {
    await onRabbit({ name: 'consumer blocked', fault: () => consumerBlocked, consumers: 2 });
  });

  test('the memory alarm is raised and cleared: the API answers 503 and recovers, nothing lost, doubled or swapped', async () => {
    await onRabbit({ name: 'alarm raised', fault: alarmRaised, consumers: 2 });
  });

  test('all connections are ended from the side of the broker: nothing lost, doubled or swapped', async () => {
    await onRabbit({ name: 'connections ended', fault: connectionsEnded, consumers: 2 });
  });
});
