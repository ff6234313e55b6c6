// Owns the faults of a system on RabbitMQ that no other broker knows: an alarm is raised, and an operator ends all connections.
import { setTimeout as sleep } from 'node:timers/promises';
import { felt, progress } from './broker-faults.ts';
import { drawn, strike, strikeEach, type Fault } from './faults.ts';
import type { RabbitCarrier } from './rabbitmq-carrier.ts';

const LOOK_MS = 100;

/** The broker is out of memory, takes nothing until clients have been told, and has room again. */
export const alarmRaised =
  ({ node }: RabbitCarrier): Fault =>
  (given, consumers) =>
    strikeEach(given, async (signal, nth) => {
      const { system, random } = given;
      const consumer = drawn(random, consumers);
      const pendingShare = await strike(system, consumer, signal, nth);
      const refused = felt(system, 'clients were told to come again');
      await node.ctl('set_vm_memory_high_watermark', '0');
      consumer.go();
      while (!(await refused.isSeen())) await sleep(LOOK_MS);
      await node.ctl('set_vm_memory_high_watermark', '0.4');
      await progress(system);
      return { pendingShare, trace: refused };
    });

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
