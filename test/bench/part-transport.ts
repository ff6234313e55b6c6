// Owns the ratio of the whole read side: a backlog in the `postgres` log, drained by four lanes of one process, against the bare loop.
import { systemClock } from '../../shared/process/time.ts';
import { postgresTransport } from '../../shared/transport/postgres/index.ts';
import type { Transport } from '../../shared/transport/transport.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { accountTable } from './accounts.ts';
import { bareLoop } from './bare-loop.ts';
import { lanes } from './lane.ts';
import type { BenchGiven } from './main.ts';
import { printFigures, ratioLine, takeTurns } from './measure.ts';

const PARTITIONS = 4;

export async function benchThrough({ url, rounds }: BenchGiven): Promise<readonly string[]> {
  const wide = await freshDatabase({ partitions: 1, sql: accountTable(1_000) });
  try {
    const load = { rows: 1_000, count: 100_000 };
    const figures = await takeTurns(
      [
        lanes({ name: `through postgres, ${PARTITIONS} lanes`, load, partitions: PARTITIONS, transport: postgresLog }),
        bareLoop(url, `${wide.tables}.account`, load),
      ],
      rounds,
    );
    printFigures('Through the postgres transport', figures);
    const [through = Number.NaN, loop = Number.NaN] = figures.map((figure) => figure.median);
    return [ratioLine('1,000 rows: through postgres against the bare loop', through / loop, { atLeast: 0.4 })];
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
