// Owns the faults of a system on Kafka that no other broker knows: one of several brokers dies, a network is cut or loses answers.
import { setTimeout as sleep } from 'node:timers/promises';
import { felt, onlyBrokerKilled, progress } from './broker-faults.ts';
import { drawn, strike, strikeEach, type Fault } from './faults.ts';
import type { KafkaCarrier } from './kafka-carrier.ts';
import { drawInteger } from './random.ts';

/** The only broker is killed with -9 and started again. */
export const onlyKafkaKilled = ({ cluster }: KafkaCarrier): Fault =>
  onlyBrokerKilled({ kill: () => cluster.kill(1), restart: () => cluster.restart(1) });

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
