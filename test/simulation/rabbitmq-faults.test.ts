// The real system on a real RabbitMQ node under real faults, exact at the end: one of each, or the full counts.
import { test } from 'vitest';
import { describeWhereRabbit } from '../support/rabbitmq/describe.ts';
import { apiAndConsumerKilled, brokerKilled, consumersScaled } from '../support/simulation/broker-faults.ts';
import type { Fault } from '../support/simulation/faults.ts';
import { FULL, type Size } from '../support/simulation/history-system.ts';
import { openRabbitCarrier, type RabbitCarrier } from '../support/simulation/rabbitmq-carrier.ts';
import {
  alarmRaised,
  connectionsClosed,
  eventLoopBlocked,
  ZOMBIE_SETTINGS,
} from '../support/simulation/rabbitmq-faults.ts';
import { runFault } from './history-run.ts';

const isFull = process.env['ONELANE_FAULTS'] === 'full';
const size: Size = isFull ? FULL : { prefixes: 3, changes: 2_000, partitions: 8, batchSize: 50 };
const strikes = isFull ? 3 : 1;

interface Wanted {
  readonly name: string;
  readonly fault: (carrier: RabbitCarrier) => Fault;
  readonly consumers: number;
  readonly settings?: RabbitCarrier['settings'];
}

async function onRabbit({ name, fault, consumers, settings }: Wanted): Promise<void> {
  const carrier = await openRabbitCarrier(settings);
  const named = `RabbitMQ, ${name}`;
  await runFault({ name: named, fault: fault(carrier), size, strikes, clients: 'two', consumers, carrier });
}

await describeWhereRabbit('own', 'on RabbitMQ', () => {
  test('consumers go from one to four and back: lanes are balanced after each change, nothing lost, doubled or swapped', async () => {
    await onRabbit({ name: 'consumers scaled', fault: () => consumersScaled, consumers: 1 });
  });

  test('the API and a consumer are killed with -9: nothing lost, doubled or swapped', async () => {
    await onRabbit({ name: 'API and consumer killed', fault: () => apiAndConsumerKilled, consumers: 2 });
  });

  test('the node is killed with -9 and started again: nothing lost, doubled or swapped', async () => {
    await onRabbit({ name: 'node killed', fault: ({ node }) => brokerKilled(node), consumers: 2 });
  });

  test('an event loop stands still past its heartbeats: others go on, and what wakes writes nothing', async () => {
    await onRabbit({
      name: 'event loop blocked',
      fault: () => eventLoopBlocked,
      consumers: 2,
      settings: ZOMBIE_SETTINGS,
    });
  });

  test('the memory alarm is raised and cleared: the API answers 503 and recovers, nothing lost, doubled or swapped', async () => {
    await onRabbit({ name: 'memory alarm', fault: alarmRaised, consumers: 2 });
  });

  test('connections are closed from the side of the broker: nothing lost, doubled or swapped', async () => {
    await onRabbit({ name: 'connections closed', fault: connectionsClosed, consumers: 2 });
  });
});
