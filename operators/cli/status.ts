// Owns `onelane status`: who holds which partition, how far it is behind, and what is set aside.
import { systemClock } from '../../shared/process/time.ts';
import type { ConsumerStatus, HeldResource } from '../../shared/postgres/status-reads.ts';
import { openExistingSystem, type ExistingSystem } from '../wiring/existing-system.ts';
import { readSystemStatus, type PartitionReading, type SystemReading } from '../wiring/readings.ts';
import { runningOrNamed } from '../wiring/server-url.ts';
import type { CommandSpec } from './command.ts';
import { counted, table } from './output.ts';
import { OF_KAFKA } from './serve.ts';

const CLOSE_MS = 1_000;
/** So many claims without progress mean that something ends the consumers. */
const CLAIMS_STRANGE = 3;

export const status: CommandSpec = {
  name: 'status',
  summary: 'Show partitions, their holders and their lag, consumers, what is set aside, and what holds it',
  settings: OF_KAFKA,
  examples: ['onelane status', 'onelane status --json | jq .held'],
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
  const held = reading.held.length === 0 ? [] : [heldTable(reading.held, holds), ''];
  return [
    `System ${system.id}: ${counted(system.partitions, 'partition')}, transport ${system.transport}, channel ${system.channel}, schema ${database.schema}`,
    '',
    partitionTable(reading),
    '',
    consumers.length === 0 ? 'No consumer runs.' : consumerTable(consumers),
    '',
    ...held,
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
    stateOf(each),
  ]);
  return table(['partition', 'holder', 'epoch', 'position', 'lag entries', 'lag seconds', 'state'], rows);
}

/** An outage is known to the lane that waits in it, and to its log; here only what it has written. */
function stateOf({ status: { halted, claims }, lagEntries }: PartitionReading): string {
  if (halted !== null) return `halted: ${halted.code}`;
  return claims >= CLAIMS_STRANGE && lagEntries > 0 ? `claimed ${claims} times without progress` : '';
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

const DETAIL_SHOWN_MAX = 100;

function heldTable(held: readonly HeldResource[], holds: number): string {
  const rows = held.map(({ resource, since, blocker, behind }) => [
    resource,
    since.toISOString(),
    blocker?.id ?? '-',
    blocker?.code ?? '-',
    behind,
    shortened(blocker?.detail ?? ''),
  ]);
  const more = holds > held.length ? [`… and ${holds - held.length} more, held later`] : [];
  return [table(['held resource', 'since', 'by command', 'code', 'behind it', 'detail'], rows), ...more].join('\n');
}

/** One line of the table; the whole text stands in the outcome of the command, and in `--json`. */
function shortened(detail: string): string {
  const line = detail.replaceAll(/\s+/g, ' ').trim();
  return line.length <= DETAIL_SHOWN_MAX ? line : `${line.slice(0, DETAIL_SHOWN_MAX - 1)}…`;
}

function nameOf({ host, pid }: ConsumerStatus): string {
  return `${host}:${pid}`;
}

function documentOf({ system, database }: ExistingSystem, reading: SystemReading): object {
  return {
    system: { ...system, schema: database.schema },
    partitions: reading.partitions.map(
      ({ status: { partition, epoch, next, claims, halted, lease }, lagEntries, lagSeconds }) => ({
        partition,
        consumer: lease === null || lease.isExpired ? null : lease.consumer,
        epoch,
        position: next,
        lagEntries,
        lagSeconds,
        claims,
        halted,
      }),
    ),
    consumers: reading.consumers.filter((each) => !each.isExpired),
    setAside: reading.setAside,
    held: reading.held,
  };
}
