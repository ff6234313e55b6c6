// Owns the consumer process that drains a backlog from Kafka: the product's own wiring, its default settings.
import { assembleConsumer } from '../../operators/wiring/consumer.ts';
import { openFoundation } from '../../operators/wiring/foundation.ts';
import type { OnelaneEvent } from '../../shared/process/events.ts';
import { startAll, stopAll } from '../../shared/process/service.ts';
import { parseSettings } from '../../shared/process/settings.ts';
import { systemClock } from '../../shared/process/time.ts';
import { accounts } from './accounts.ts';
import type { KafkaDrained, KafkaDrainOrder } from './part-kafka-drain.ts';
import { residentPeakBytes } from './resident-peak.ts';

const STOP_MS = 8_000;

// Written by our own parent.
const { url, schema, tables, log } = JSON.parse(process.argv[2] ?? '{}') as KafkaDrainOrder;
const env = {
  DATABASE_URL: url,
  ONELANE_SCHEMA: schema,
  ONELANE_TRANSPORT: 'kafka',
  ONELANE_CHANNEL: log.topic,
  KAFKA_BROKERS: log.brokers.join(','),
};
const settings = parseSettings({ env, flags: {}, readFile: () => '' });
const type = accounts(tables);
const config = { file: 'accounts', types: new Map([[type.contract.type, type]]), sql: [] };

let left = log.load.count;
const drained = new AbortController();
const observe = (event: OnelaneEvent): void => {
  if (event.kind === 'lane-halted') throw new Error(event.detail);
  if (event.kind === 'connection-lost') console.error(event.cause);
  if (event.kind !== 'batch-applied') return;
  left -= event.applied;
  if (left === 0) drained.abort();
};

const foundation = await openFoundation({ url, settings, config, observe, clock: systemClock });
const parts = { foundation, settings, observe, clock: systemClock, random: Math.random, reach: null };
const { services } = assembleConsumer(parts);
const cpuFrom = process.cpuUsage();
const from = performance.now();
const done = new Promise((resolve) => drained.signal.addEventListener('abort', resolve));
await startAll(services, STOP_MS);
await done;
const ms = performance.now() - from;
const cpu = process.cpuUsage(cpuFrom);
await stopAll(services, STOP_MS);
await foundation.close(STOP_MS);
const told: KafkaDrained = {
  count: log.load.count,
  ms,
  cpuMs: (cpu.user + cpu.system) / 1_000,
  residentPeakBytes: residentPeakBytes(),
};
process.send?.(told);
process.disconnect();
