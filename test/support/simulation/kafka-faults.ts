// Owns the faults of a system on Kafka: members that come and go, brokers that die, and a network that is cut or loses answers.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from '../processes/child.ts';
import { drawn, strike, strikeEach, takenOver, type Fault, type Trace } from './faults.ts';
import type { HistorySystem } from './history-system.ts';
import type { KafkaCarrier } from './kafka-carrier.ts';
import { drawInteger } from './random.ts';

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

/** The only broker is killed with -9 and started again. */
export const onlyBrokerKilled =
  ({ cluster }: KafkaCarrier): Fault =>
  (given, consumers) =>
    strikeEach(given, async (signal, nth) => {
      const { system, random } = given;
      const consumer = drawn(random, consumers);
      const pendingShare = await strike(system, consumer, signal, nth);
      const trace = felt(system, 'somebody could not publish, or published twice');
      await cluster.kill(1);
      consumer.go();
      await sleep(random() * DOWN_MS_MAX);
      await cluster.restart(1);
      // The next blow falls on a cluster that works again.
      await progress(system);
      return { pendingShare, trace };
    });

/** One of several brokers is killed with -9, and started again when others lead what it led: nobody outside need notice. */
export const oneBrokerKilled =
  (carrier: KafkaCarrier): Fault =>
  (given, consumers) =>
    strikeEach(given, async (signal, nth) => {
      const { cluster, ledBy } = carrier;
      const { system, random } = given;
      const consumer = drawn(random, consumers);
      const pendingShare = await strike(system, consumer, signal, nth);
      const node = await aLeader(carrier, drawInteger(random, 1, cluster.brokers.length));
      await cluster.kill(node);
      consumer.go();
      while ((await ledBy(node)) !== 0) await sleep(LOOK_MS);
      await cluster.restart(node);
      await progress(system);
      const sentence = `others came to lead the partitions of broker ${node}`;
      return { pendingShare, trace: { sentence, isSeen: () => true } };
    });

/** A broker that leads a partition, from this one on: who was away leads nothing for a while. */
async function aLeader({ cluster, ledBy }: KafkaCarrier, from: number): Promise<number> {
  const { length } = cluster.brokers;
  for (let step = 0; step < length; step++) {
    const node = ((from - 1 + step) % length) + 1;
    if (((await ledBy(node)) ?? 0) > 0) return node;
  }
  throw new Error('no broker leads a partition');
}

const LOOK_MS = 100;

/** Nobody reaches the broker for so long, and then everybody does. */
export const networkCut =
  ({ gates }: KafkaCarrier, cutMs: number): Fault =>
  (given, consumers) =>
    strikeEach(given, async (signal, nth) => {
      const { system, random } = given;
      const consumer = drawn(random, consumers);
      const pendingShare = await strike(system, consumer, signal, nth);
      const trace = felt(system, 'somebody could not publish, or published twice');
      for (const gate of gates) gate.refuse();
      consumer.go();
      await sleep(cutMs);
      for (const gate of gates) gate.admit();
      await progress(system);
      return { pendingShare, trace };
    });

const SWALLOW_MS = 3_000;

/** The broker hears everything and is not heard, while clients go on sending: what was stored then is published again. */
export const answersSwallowed =
  ({ gates }: KafkaCarrier): Fault =>
  (given, consumers) =>
    strikeEach(given, async (signal, nth) => {
      const { system, random } = given;
      const consumer = drawn(random, consumers);
      const pendingShare = await strike(system, consumer, signal, nth);
      const { tally } = system.ticker;
      const before = tally.repeated;
      for (const gate of gates) gate.swallowAnswers();
      consumer.go();
      await sleep(SWALLOW_MS);
      for (const gate of gates) gate.admit();
      await progress(system);
      const sentence = 'what was stored without an answer was published again, and known as a repeat';
      return { pendingShare, trace: { sentence, isSeen: () => tally.repeated > before } };
    });

function felt(system: HistorySystem, sentence: string): Trace {
  const { told, ticker } = system;
  const noticed = () => told.lostRequests + told.sentAgain + ticker.tally.repeated;
  const before = noticed();
  return { sentence, isSeen: () => noticed() > before };
}

/** Something is applied that was not before. */
async function progress({ ticker }: HistorySystem): Promise<void> {
  const { applied } = ticker.tally;
  await ticker.until(() => ticker.tally.applied > applied);
}
