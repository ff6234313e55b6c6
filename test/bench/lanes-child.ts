// Owns the consumer process that drains a backlog from a broker: the product's own wiring, its default settings.
import { assembleConsumer } from '../../operators/wiring/consumer.ts';
import { openFoundation } from '../../operators/wiring/foundation.ts';
import type { OnelaneEvent } from '../../shared/process/events.ts';
import { startAll, stopAll } from '../../shared/process/service.ts';
import { parseSettings } from '../../shared/process/settings.ts';
import { systemClock } from '../../shared/process/time.ts';
import { accounts } from './accounts.ts';
import { measured, tell, type LanesOrder } from './drain.ts';

const STOP_MS = 8_000;

// Written by our own parent.
const { url, schema, tables, env, count } = JSON.parse(process.argv[2] ?? '{}') as LanesOrder;
const settings = parseSettings({
  env: { DATABASE_URL: url, ONELANE_SCHEMA: schema, ...env },
  flags: {},
  readFile: () => '',
});
const type = accounts(tables);
const config = { file: 'accounts', types: new Map([[type.contract.type, type]]), sql: [] };

let left = count;
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
// Checking the system comes before, as the loop's tables do; what reads and writes is connected within, as the loop's is.
const done = new Promise((resolve) => drained.signal.addEventListener('abort', resolve));
const told = await measured(count, async () => {
  await startAll(services, STOP_MS);
  await done;
});
await stopAll(services, STOP_MS);
await foundation.close(STOP_MS);
tell(told);
