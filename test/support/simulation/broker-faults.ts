// Owns the faults of a system on any broker: consumers that come and go, an API and a consumer that are killed, a broker that dies.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from '../processes/child.ts';
import { drawn, strike, strikeEach, takenOver, type Fault, type Trace } from './faults.ts';
import type { HistorySystem } from './history-system.ts';

const GUESTS = 3;

/** From one consumer to four and back, balanced after each change: two of the guests go in good order, one is killed. */
export const consumersScaled: Fault = (given, [host]) =>
  strikeEach(given, async (signal, nth) => {
    const { system, random } = given;
    if (host === undefined) throw new Error('somebody must be there before the guests');
    const guests = await Promise.all(Array.from({ length: GUESTS }, () => system.startConsumer()));
    await balanced(system, [host, ...guests]);
    const killed = drawn(random, guests);
    const leaving = guests.filter((guest) => guest !== killed);
    const pendingShare = await strike(system, killed, signal, nth);
    await system.end(killed, 'SIGKILL');
    await balanced(system, [host, ...leaving]);
    for (const guest of leaving) await system.end(guest, 'SIGTERM');
    await balanced(system, [host]);
    return { pendingShare, trace: takenOver(system, [killed]) };
  });

/** Every partition is held, and nobody holds two more than another. */
async function balanced(system: HistorySystem, consumers: readonly Child[]): Promise<void> {
  const { ticker, partitions } = system;
  await ticker.until(() => {
    const held = consumers.map(({ name }) => ticker.heldBy(name).length);
    const sum = held.reduce((total, count) => total + count, 0);
    return sum === partitions && Math.max(...held) - Math.min(...held) <= 1;
  });
}

/** The API and a consumer are killed with -9 at once, and started again. */
export const apiAndConsumerKilled: Fault = (given, first) => {
  let consumers = first;
  return strikeEach(given, async (signal, nth) => {
    const { system, random } = given;
    const killed = drawn(random, consumers);
    const pendingShare = await strike(system, killed, signal, nth);
    await Promise.all([system.killApi(), system.end(killed, 'SIGKILL')]);
    const [successor] = await Promise.all([system.startConsumer(), system.startApi()]);
    consumers = consumers.map((consumer) => (consumer === killed ? successor : consumer));
    return { pendingShare, trace: takenOver(system, [killed]) };
  });
};

const DOWN_MS_MAX = 2_000;

/** The only one there is. */
export interface MortalBroker {
  kill(): Promise<void>;
  restart(): Promise<void>;
}

/** The only broker is killed with -9 and started again. */
export const onlyBrokerKilled =
  (broker: MortalBroker): Fault =>
  (given, consumers) =>
    strikeEach(given, async (signal, nth) => {
      const { system, random } = given;
      const consumer = drawn(random, consumers);
      const pendingShare = await strike(system, consumer, signal, nth);
      const trace = felt(system, 'somebody could not publish, or published twice');
      await broker.kill();
      consumer.go();
      await sleep(random() * DOWN_MS_MAX);
      await broker.restart();
      // The next blow falls on a broker that works again.
      await progress(system);
      return { pendingShare, trace };
    });

export function felt(system: HistorySystem, sentence: string): Trace {
  const { told, ticker } = system;
  const noticed = () => told.lostRequests + told.sentAgain + ticker.tally.repeated;
  const before = noticed();
  return { sentence, isSeen: () => noticed() > before };
}

/** Something is applied that was not before. */
export async function progress({ ticker }: HistorySystem): Promise<void> {
  const { applied } = ticker.tally;
  await ticker.until(() => ticker.tally.applied > applied);
}
