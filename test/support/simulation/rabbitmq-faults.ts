// Owns the faults of a system on RabbitMQ: an event loop that stands still past its heartbeats, an alarm, and connections that the broker closes.
import { setTimeout as sleep } from 'node:timers/promises';
import type { RabbitNode } from '../rabbitmq/node.ts';
import { progress } from './broker-faults.ts';
import { drawn, strike, strikeEach, type Fault } from './faults.ts';
import type { HistorySystem } from './history-system.ts';
import type { RabbitCarrier } from './rabbitmq-carrier.ts';

/** Longer than the lease, and than a broker waits that hears nothing: twice the heartbeat of half a lease, and a tick. */
const BLOCKED_MS = 15_000;
/** A consumer whose event loop does not turn ends itself, after so long as to make a zombie of it first. */
export const ZOMBIE_SETTINGS = { ONELANE_DECIDE_LIMIT: '60s' } as const;

/** Successors get what it has in its hands while it stands still; it finds its tenures lost and writes nothing. */
export const eventLoopBlocked: Fault = (given, consumers) =>
  strikeEach(given, async (signal, nth) => {
    const { system, random } = given;
    const { ticker } = system;
    const zombie = drawn(random, consumers);
    const pendingShare = await strike(system, zombie, signal, nth);
    const held = ticker.heldBy(zombie.name);
    const made = new Map(held.map((partition) => [partition, ticker.madeByOthers(zombie.name, partition)]));
    const lost = () => ticker.succeeded(zombie.name, 'lost');
    const before = lost();
    zombie.block(BLOCKED_MS);
    const wakesMs = performance.now() + BLOCKED_MS;
    zombie.go();
    await ticker.until(() => ticker.heldBy(zombie.name).length === 0);
    await ticker.until(() => held.some((at) => ticker.madeByOthers(zombie.name, at) > (made.get(at) ?? 0)));
    if (performance.now() > wakesMs) throw new Error(`${zombie.name} was awake before others had its commands`);
    const died = zombie.ended.then(() => Promise.reject(new Error(`${zombie.name} has ended in place of waking`)));
    died.catch(() => undefined); // it ends some day in any case
    await Promise.race([ticker.until(() => lost() > before), died]);
    const sentence = `${zombie.name} found tenures lost whose commands others had applied meanwhile`;
    return { pendingShare, trace: { sentence, isSeen: () => true } };
  });

const ANSWER_MS = 30_000;
const LOOK_MS = 100;
const UNAVAILABLE = 503;
const ACCEPTED = 202;
/** What a node has by itself, as part of the machine's memory. */
const WATERMARK = '0.4';

/** The broker takes nothing for a while, as its memory is short: the API says so, and nobody has to be started again. */
export const alarmRaised =
  ({ node }: RabbitCarrier): Fault =>
  (given, consumers) =>
    strikeEach(given, async (signal, nth) => {
      const { system, random } = given;
      const consumer = drawn(random, consumers);
      const pendingShare = await strike(system, consumer, signal, nth);
      await node.ctl('set_vm_memory_high_watermark', '0');
      consumer.go();
      await answers(system, UNAVAILABLE);
      await node.ctl('set_vm_memory_high_watermark', WATERMARK);
      await answers(system, ACCEPTED);
      await progress(system);
      const sentence = `the API answered ${UNAVAILABLE}, and ${ACCEPTED} again when the alarm was over`;
      return { pendingShare, trace: { sentence, isSeen: () => true } };
    });

/** Asked until it is so; a command that was accepted before makes no difference. */
async function answers(system: HistorySystem, status: number): Promise<void> {
  const until = performance.now() + ANSWER_MS;
  for (;;) {
    const answered = await system.repeatFirst();
    if (answered === status) return;
    if (performance.now() > until) throw new Error(`the API answers ${answered ?? 'nothing'}, not ${status}`);
    await sleep(LOOK_MS);
  }
}

/** An operator closes all connections at the broker; everybody opens new ones. */
export const connectionsClosed =
  ({ node }: RabbitCarrier): Fault =>
  (given, consumers) =>
    strikeEach(given, async (signal, nth) => {
      const { system, random } = given;
      const consumer = drawn(random, consumers);
      const pendingShare = await strike(system, consumer, signal, nth);
      const before = await connectionsOf(node);
      await node.ctl('close_all_connections', 'a test does it');
      consumer.go();
      await progress(system);
      const left = (await connectionsOf(node)).filter((connection) => before.includes(connection));
      const sentence = `of ${before.length} connections all were closed (left: ${left.length}), and commands flowed over others`;
      return { pendingShare, trace: { sentence, isSeen: () => before.length > 0 && left.length === 0 } };
    });

async function connectionsOf(node: RabbitNode): Promise<readonly string[]> {
  const printed = await node.ctl('list_connections', '--no-table-headers', 'pid');
  return printed.split('\n').filter((line) => line !== '');
}
