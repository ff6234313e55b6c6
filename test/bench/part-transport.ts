// Owns the ratio of the whole read side: a backlog in the `postgres` log, drained by one lane, against the bare loop; what four lanes of one process do is shown beside it.
import { systemClock } from '../../shared/process/time.ts';
import { postgresTransport } from '../../shared/transport/postgres/index.ts';
import type { Transport } from '../../shared/transport/transport.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { accountTable } from './accounts.ts';
import { bareLoop } from './bare-loop.ts';
import { lanes } from './lane.ts';
import type { BenchGiven } from './main.ts';
import { printFigures, judged, takeTurns, type Judged } from './measure.ts';

const SIDE_BY_SIDE = 4;

export async function benchThrough({ url, rounds }: BenchGiven): Promise<readonly Judged[]> {
  const wide = await freshDatabase({ partitions: 1, sql: accountTable(1_000) });
  try {
    const load = { rows: 1_000, count: 100_000 };
    const figures = await takeTurns(
      [
        // Like with like: one lane and one loop, one connection for the writes of each.
        lanes({ name: 'through postgres, 1 lane', load, partitions: 1, transport: postgresLog }),
        lanes({
          name: `through postgres, ${SIDE_BY_SIDE} lanes`,
          load,
          partitions: SIDE_BY_SIDE,
          transport: postgresLog,
        }),
        bareLoop(url, `${wide.tables}.account`, load),
      ],
      rounds,
    );
    printFigures('Through the postgres transport', figures);
    const [through = Number.NaN, , loop = Number.NaN] = figures.map((figure) => figure.median);
    return [judged('1,000 rows: one lane through postgres against one bare loop', through / loop, { atLeast: 0.4 })];
  } finally {
    await wide.close();
  }
}

export function postgresLog(bench: Pick<TestDatabase, 'database' | 'system'>): Transport {
  return postgresTransport({
    database: bench.database,
    systemId: bench.system.id,
    logRetentionMs: 86_400_000,
    inboxBytesMax: 64 * 1024 * 1024,
    observe: () => undefined,
    clock: systemClock,
  });
}
