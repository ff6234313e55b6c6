// Owns the proof that memory does not grow with the backlog: the peak of a process that drains 100,000 and one that drains 1,000,000.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { freshDatabase } from '../support/database.ts';
import { accountTable } from './accounts.ts';
import { layBacklog } from './lane.ts';
import type { BenchGiven } from './main.ts';
import type { DrainOrder, DrainPeak } from './memory-child.ts';
import { judged, type Judged } from './measure.ts';
import { postgresLog } from './part-transport.ts';

const PARTITIONS = 4;
const ROWS = 1_000;

export async function benchMemory(_given: BenchGiven): Promise<readonly Judged[]> {
  const small = await peakOf(100_000);
  const large = await peakOf(1_000_000);
  console.log('\nMemory of a process that drains a backlog');
  for (const { count, residentPeakBytes } of [small, large]) {
    console.log(
      `  ${count.toLocaleString('en').padStart(9)} commands   peak ${Math.round(residentPeakBytes / 2 ** 20)} MiB resident`,
    );
  }
  const growth = large.residentPeakBytes / small.residentPeakBytes;
  return [judged('peak memory at 1,000,000 against 100,000 commands of backlog', growth, { atMost: 1.2 })];
}

async function peakOf(count: number): Promise<DrainPeak> {
  const bench = await freshDatabase({ partitions: PARTITIONS, sql: accountTable(ROWS) });
  const transport = postgresLog(bench);
  try {
    await transport.provision(PARTITIONS);
    await layBacklog(transport, { rows: ROWS, count }, PARTITIONS);
    const { url, schema, tables, system } = bench;
    return await inChild({ url, schema, tables, system, count });
  } finally {
    await transport.close();
    await bench.close();
  }
}

async function inChild(order: DrainOrder): Promise<DrainPeak> {
  const child = fork(new URL('./memory-child.js', import.meta.url), [JSON.stringify(order)]);
  let peak: DrainPeak | null = null;
  child.on('message', (message: DrainPeak) => (peak = message));
  const [code] = await once(child, 'exit');
  if (peak === null) throw new Error(`the draining process ended with ${String(code)} and without a word`);
  return peak;
}
