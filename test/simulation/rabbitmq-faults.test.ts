// The real system on a real RabbitMQ node under real faults, exact at the end: one of each, or the full counts.
import { test } from 'vitest';
import { describeWhereRabbit } from '../support/rabbitmq/describe.ts';
import { apiAndConsumerKilled, brokerKilled, consumersScaled } from '../support/simulation/broker-faults.ts';
import type { Fault } from '../support/simulation/faults.ts';
import { FULL, type Size } from '../support/simulation/history-system.ts';
import { openRabbitCarrier, type RabbitCarrier } from '../support/simulation/rabbitmq-carrier.ts';
import { alarmRaised, connectionsClosed, eventLoopBlocked } from '../support/simulation/rabbitmq-faults.ts';
import { runFault } from './history-run.ts';

const isFull = process.env['ONELANE_FAULTS'] === 'full';
const size: Size = isFull ? FULL : { prefixes: 3, changes: 2_000, partitions: 8, batchSize: 50 };
const strikes = isFull ? 3 : 1;

async function onRabbit(name: string, consumers: number, fault: (carrier: RabbitCarrier) => Fault): Promise<void> {
  const carrier = await openRabbitCarrier();
  const named = `RabbitMQ, ${name}`;
  await runFault({ name: named, fault: fault(carrier), size, strikes, clients: 'two', consumers, carrier });
}

await describeWhereRabbit('own', 'on RabbitMQ', () => {
  test('consumers go from one to four and back: lanes are balanced after each change, nothing lost, doubled or swapped', async () => {
    await onRabbit('consumers scaled', 1, () => consumersScaled);
  });

  test('the API and a consumer are killed with -9: nothing lost, doubled or swapped', async () => {
    await onRabbit('API and consumer killed', 2, () => apiAndConsumerKilled);
  });

  test('the node is killed with -9 and started again: nothing lost, doubled or swapped', async () => {
    await onRabbit('node killed', 2, ({ node }) => brokerKilled(node));
  });

  test('an event loop stands still past its heartbeats: others go on, and what wakes writes nothing', async () => {
    await onRabbit('event loop blocked', 2, () => eventLoopBlocked);
  });

  test('the memory alarm is raised and cleared: the API answers 503 and recovers, nothing lost, doubled or swapped', async () => {
    await onRabbit('memory alarm', 2, alarmRaised);
  });

  test('connections are closed from the side of the broker: nothing lost, doubled or swapped', async () => {
    await onRabbit('connections closed', 2, connectionsClosed);
  });
});
