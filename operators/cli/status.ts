// Owns `onelane status`: who holds which partition, how far it is behind, and what is set aside.
import { systemClock } from '../../shared/process/time.ts';
import type { ConsumerStatus } from '../../shared/postgres/status-reads.ts';
import { openExistingSystem, type ExistingSystem } from '../wiring/existing-system.ts';
import { readSystemStatus, type PartitionReading, type SystemReading } from '../wiring/readings.ts';
import { runningOrNamed } from '../wiring/server-url.ts';
import type { CommandSpec } from './command.ts';
import { table } from './output.ts';
import { OF_KAFKA } from './serve.ts';

const CLOSE_MS = 1_000;

export const status: CommandSpec = {
  name: 'status',
  summary: 'Show partitions, their holders and their lag, consumers, and what is set aside',
  settings: OF_KAFKA,
  examples: ['onelane status', 'onelane status --json | jq .setAside'],
  async run({ settings, output, observe }) {
    const { url } = await runningOrNamed(settings);
    const system = await openExistingSystem({ url, settings, observe, clock: systemClock });
    try {
      const reading = await readSystemStatus(system, systemClock.now());
      output.say(textOf(system, reading), documentOf(system, reading));
      return 'done';
    } finally {
      await system.close(CLOSE_MS);
    }
  },
};

function textOf({ system, database }: ExistingSystem, reading: SystemReading): string {
  const { parked, holds, strays, oldestHoldSince } = reading.setAside;
  const consumers = reading.consumers.filter((each) => !each.isExpired);
  const halted = reading.partitions.flatMap(({ status: { partition, halted: halt } }) =>
    halt === null ? [] : [`partition ${partition} has halted: ${halt.code}: ${halt.detail}`],
  );
  const since = oldestHoldSince === null ? '' : `, the oldest since ${oldestHoldSince.toISOString()}`;
  return [
    `System ${system.id}: ${system.partitions} partitions, transport ${system.transport}, channel ${system.channel}, schema ${database.schema}`,
    '',
    partitionTable(reading),
    '',
    consumers.length === 0 ? 'No consumer runs.' : consumerTable(consumers),
    '',
    `parked commands ${parked}, held resources ${holds}${since}, strays ${strays}`,
    ...halted,
  ].join('\n');
}

function partitionTable({ partitions, consumers }: SystemReading): string {
  const names = new Map(consumers.map((each) => [each.id, nameOf(each)]));
  const rows = partitions.map((each) => [
    each.status.partition,
    holderOf(each, names),
    Number(each.status.epoch),
    each.status.next === null ? '-' : Number(each.status.next),
    each.lagEntries,
    Number(each.lagSeconds.toFixed(1)),
    each.status.halted === null ? '' : `halted: ${each.status.halted.code}`,
  ]);
  return table(['partition', 'holder', 'epoch', 'position', 'lag entries', 'lag seconds', 'state'], rows);
}

function holderOf({ status: { lease } }: PartitionReading, names: ReadonlyMap<string, string>): string {
  if (lease === null || lease.isExpired) return '-';
  return names.get(lease.consumer) ?? lease.consumer;
}

function consumerTable(consumers: readonly ConsumerStatus[]): string {
  const rows = consumers.map((each) => [
    nameOf(each),
    each.startedAt.toISOString(),
    each.partitions.length,
    each.partitions.join(' '),
  ]);
  return table(['consumer', 'since', 'holds', 'partitions'], rows);
}

function nameOf({ host, pid }: ConsumerStatus): string {
  return `${host}:${pid}`;
}

function documentOf({ system, database }: ExistingSystem, reading: SystemReading): object {
  return {
    system: { ...system, schema: database.schema },
    partitions: reading.partitions.map(
      ({ status: { partition, epoch, next, halted, lease }, lagEntries, lagSeconds }) => ({
        partition,
        consumer: lease === null || lease.isExpired ? null : lease.consumer,
        epoch,
        position: next,
        lagEntries,
        lagSeconds,
        halted,
      }),
    ),
    consumers: reading.consumers.filter((each) => !each.isExpired),
    setAside: reading.setAside,
  };
}
