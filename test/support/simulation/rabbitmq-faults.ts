// Owns the faults of a system on RabbitMQ that no other broker knows: an alarm is raised, and an operator ends all connections.
import { setTimeout as sleep } from 'node:timers/promises';
import { progress } from './broker-faults.ts';
import { drawn, strike, strikeEach, type Fault } from './faults.ts';
import type { HistorySystem } from './history-system.ts';
import type { RabbitCarrier } from './rabbitmq-carrier.ts';

const LOOK_MS = 100;
const ANSWER_MS = 30_000;
const UNAVAILABLE = 503;
const ACCEPTED = 202;

/** The broker is out of memory and takes nothing until the API has said so; then it has room again, and the API accepts again. */
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
      await node.ctl('set_vm_memory_high_watermark', '0.4');
      await answers(system, ACCEPTED);
      await progress(system);
      const sentence = `the API answered ${UNAVAILABLE}, and ${ACCEPTED} when the alarm was over`;
      return { pendingShare, trace: { sentence, isSeen: () => true } };
    });

/** Asked until it is so, by a command that was accepted before and makes no difference. */
async function answers(system: HistorySystem, status: number): Promise<void> {
  const until = performance.now() + ANSWER_MS;
  for (;;) {
    const answered = await system.repeatFirst();
    if (answered === status) return;
    if (performance.now() > until) throw new Error(`the API answers ${answered ?? 'nothing'}, not ${status}`);
    await sleep(LOOK_MS);
  }
}

/** Every connection is ended from the broker's side, while lanes read and the API publishes. */
export const connectionsEnded =
  ({ node }: RabbitCarrier): Fault =>
  (given, consumers) =>
    strikeEach(given, async (signal, nth) => {
      const { system, random } = given;
      const consumer = drawn(random, consumers);
      const pendingShare = await strike(system, consumer, signal, nth);
      const connections = async () =>
        (await node.ctl('list_connections', 'peer_port', '--no-table-headers')).split('\n');
      const before = new Set((await connections()).filter((port) => port !== ''));
      await node.ctl('close_all_connections', 'an operator does it');
      consumer.go();
      await progress(system);
      const after = await connections();
      const isSeen = () => before.size > 0 && !after.some((port) => before.has(port));
      return { pendingShare, trace: { sentence: `none of ${before.size} connections is left`, isSeen } };
    });
