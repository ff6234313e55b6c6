// Owns the metrics: a subscriber that counts events, and gauges that are read when somebody asks.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Observe, OnelaneEvent } from './events.ts';

/** How far a partition's lane is behind its log. */
export interface PartitionLag {
  readonly partition: number;
  readonly entries: number;
  /** Since the oldest entry that waits was appended, at most. */
  readonly seconds: number;
}

/** What is read anew for each scrape; a reading that fails leaves its gauges out and the rest stands. */
export interface Readings {
  readonly lag: readonly PartitionLag[];
  readonly parked: number;
  readonly held: number;
  readonly strays: number;
}

export interface Metrics {
  readonly observe: Observe;
  readonly contentType: string;
  /** Prometheus text. Never rejects. */
  text(): Promise<string>;
}

/** Each call makes a registry of its own: nothing is global, so several systems fit in one process. */
export function openMetrics(read: () => Promise<Readings>): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const observe = countEvents(registry);
  const refresh = readingGauges(registry, read);
  return {
    observe,
    contentType: registry.contentType,
    text: async () => {
      await refresh();
      return registry.metrics();
    },
  };
}

function countEvents(registry: Registry): Observe {
  const counters = openCounters(registry);
  return (event) => {
    countLanes(counters, event);
    countRest(counters, event);
  };
}

type Counters = ReturnType<typeof openCounters>;

function openCounters(registry: Registry) {
  const registers = [registry];
  const count = <Label extends string>(name: string, help: string, labelNames: Label[] = []): Counter<Label> =>
    new Counter({ name: `onelane_${name}_total`, help, labelNames, registers });
  return {
    batches: count('batches', 'Transactions committed by lanes of this process', ['cut']),
    commands: count('commands', 'Commands that got an outcome in this process; repeated: recognised, nothing written', [
      'outcome',
    ]),
    strays: count('strays', 'Entries set aside that no resource can be blamed for'),
    outages: count('outages', 'Waits of a lane because nothing could be written'),
    tenuresLost: count('tenures_lost', 'Lanes that found another holder at the fence'),
    plannedAgain: count('batches_planned_again', 'Batches planned again from fresh rows', ['sqlstate']),
    publishFailures: count('publish_failures', 'Publishes that failed or whose end is unknown'),
    requestsFailed: count('requests_failed', 'Requests that ended in an error of ours', ['code']),
    connectionsLost: count('connections_lost', 'Connections lost', ['what']),
    seconds: new Histogram({
      name: 'onelane_batch_seconds',
      help: 'Time from taking a batch to its commit',
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
      registers,
    }),
    entries: new Histogram({
      name: 'onelane_batch_entries',
      help: 'Entries per batch',
      buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000],
      registers,
    }),
    lanes: new Gauge({ name: 'onelane_lanes', help: 'Partitions that this process holds', registers }),
    halted: new Gauge({
      name: 'onelane_lanes_halted',
      help: 'Lanes of this process that halted since it started',
      registers,
    }),
  };
}

function countLanes(counters: Counters, event: OnelaneEvent): void {
  switch (event.kind) {
    case 'lane-claimed':
      return counters.lanes.inc();
    case 'lane-released':
      return counters.lanes.dec();
    case 'lane-halted':
      return counters.halted.inc();
    case 'tenure-lost':
      counters.lanes.dec();
      return counters.tenuresLost.inc();
    case 'batch-applied':
      counters.batches.inc({ cut: event.cut });
      counters.commands.inc({ outcome: 'applied' }, event.applied);
      counters.commands.inc({ outcome: 'rejected' }, event.rejected);
      counters.commands.inc({ outcome: 'repeated' }, event.repeated);
      counters.commands.inc({ outcome: 'parked' }, event.parked);
      counters.strays.inc(event.strays);
      counters.seconds.observe(event.ms / 1000);
      return counters.entries.observe(event.entries);
    default:
  }
}

function countRest(counters: Counters, event: OnelaneEvent): void {
  switch (event.kind) {
    case 'batch-planned-again':
      return counters.plannedAgain.inc({ sqlstate: event.sqlstate });
    case 'outage-waited':
      return counters.outages.inc();
    case 'publish-failed':
      return counters.publishFailures.inc();
    case 'request-failed':
      return counters.requestsFailed.inc({ code: event.code });
    case 'connection-lost':
      return counters.connectionsLost.inc({ what: event.what });
    default:
  }
}

function readingGauges(registry: Registry, read: () => Promise<Readings>): () => Promise<void> {
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: 'partition'[] = []): Gauge<'partition'> =>
    new Gauge({ name: `onelane_${name}`, help, labelNames, registers });
  const entries = gauge('partition_lag_entries', 'Entries in the log that are not applied yet', ['partition']);
  const seconds = gauge('partition_lag_seconds', 'Age of the oldest entry that is not applied yet, at most', [
    'partition',
  ]);
  const parked = gauge('parked_commands', 'Commands set aside with their failure');
  const held = gauge('held_resources', 'Resources that park what comes after');
  const strays = gauge('stray_entries', 'Entries kept that no resource can be blamed for');
  const all = [entries, seconds, parked, held, strays];
  return async () => {
    for (const each of all) each.reset();
    const found = await read().catch(() => null);
    if (found === null) {
      // A gauge without labels is reset to 0, which would be a lie.
      for (const each of [parked, held, strays]) each.remove();
      return;
    }
    for (const lag of found.lag) {
      const partition = String(lag.partition);
      entries.set({ partition }, lag.entries);
      seconds.set({ partition }, lag.seconds);
    }
    parked.set(found.parked);
    held.set(found.held);
    strays.set(found.strays);
  };
}
