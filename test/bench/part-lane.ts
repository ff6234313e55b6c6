// Owns the lane's ratios: against row locks on a hot row, and against a bare loop that makes the same writes.
import { freshDatabase } from '../support/database.ts';
import { accountTable } from './accounts.ts';
import { bareLoop } from './bare-loop.ts';
import { createMemoryLog, memoryTransport } from '../../shared/transport/memory/index.ts';
import { lanes } from './lane.ts';
import type { Load } from './load.ts';
import type { Contender } from './measure.ts';
import type { BenchGiven } from './main.ts';
import { printFigures, judged, takeTurns, type Judged } from './measure.ts';
import { rowLock } from './row-lock.ts';

export async function benchLane({ url, rounds }: BenchGiven): Promise<readonly Judged[]> {
  const hot = await freshDatabase({ partitions: 1, sql: accountTable(1) });
  const wide = await freshDatabase({ partitions: 1, sql: accountTable(1_000) });
  try {
    const figures = await takeTurns(
      [
        rowLock(url, `${hot.tables}.account`, { clients: 32, rows: 1, count: 2_000 }),
        laneAlone({ rows: 1, count: 100_000 }),
        bareLoop(url, `${hot.tables}.account`, { rows: 1, count: 100_000 }),
        laneAlone({ rows: 1_000, count: 100_000 }),
        bareLoop(url, `${wide.tables}.account`, { rows: 1_000, count: 100_000 }),
      ],
      rounds,
    );
    printFigures('The lane alone (memory log)', figures);
    const [lock, hotLane, hotLoop, lane, loop] = figures.map((figure) => figure.median);
    return [
      judged('one hot row: the lane against select … for update, 32 clients', ratio(hotLane, lock), { atLeast: 60 }),
      judged('one hot row: the lane against a bare loop with the same writes', ratio(hotLane, hotLoop), {
        atLeast: 0.7,
      }),
      judged('1,000 rows: the lane against a bare loop with the same writes', ratio(lane, loop), { atLeast: 0.7 }),
    ];
  } finally {
    await hot.close();
    await wide.close();
  }
}

function laneAlone(load: Load): Contender {
  return lanes({
    name: 'lane alone (memory log)',
    load,
    partitions: 1,
    transport: () => memoryTransport(createMemoryLog()),
  });
}

const ratio = (a: number | undefined, b: number | undefined): number => (a ?? Number.NaN) / (b ?? Number.NaN);
