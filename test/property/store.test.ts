// The same lanes on real PostgreSQL: whatever befalls their holders, tables, ledger and parking are what the interpreter says.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type pg from 'pg';
import type { BatchStore } from '../../consumers/lane/batch-store.ts';
import { postgresBatchStore } from '../../consumers/lane/postgres/store.ts';
import { newUuid } from '../../shared/command/identity.ts';
import { openLanePool } from '../../shared/postgres/database.ts';
import { systemClock } from '../../shared/process/time.ts';
import { freshDatabase } from '../support/database.ts';
import type { Holder } from '../support/simulation/lane-story.ts';
import type { Positions } from '../support/simulation/model-log.ts';
import { drawnSeed, seededRandom } from '../support/simulation/random.ts';
import { expectExact } from './lane-property.ts';
import { logs, PLACE } from './logs.ts';
import { foundIn } from './postgres-findings.ts';
import { blows } from './stories.ts';
import { WORLD_SQL, worldTypesIn } from './world.ts';

const seed = drawnSeed('property of the store');
const numRuns = Number(process.env['ONELANE_RUNS'] ?? 6);
const DAY_MS = 24 * 60 * 60 * 1_000;

/** Waits are a fiftieth: a claim is as patient with a frozen holder, only sooner. */
const hurried = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 50, signal) };

const bundle = async (storySeed: number) => {
  const db = await freshDatabase({ partitions: PLACE.partitions, sql: WORLD_SQL });
  const types = worldTypesIn(`${db.tables}.`);
  const random = seededRandom(storySeed);
  const pools: pg.Pool[] = [];
  const hire = (): Holder => {
    const pool = openLanePool(db, 2);
    const clients = new Set<pg.PoolClient>();
    pool.on('connect', (client) => clients.add(client));
    pools.push(pool);
    const store = postgresBatchStore({
      consumer: newUuid(),
      database: db.database,
      lanePool: pool,
      types,
      ledgerRetentionMs: 400 * DAY_MS,
      observe: () => undefined,
      clock: hurried,
    });
    return { store: losingAnswers(store, random), die: () => cut(clients) };
  };
  const close = async (): Promise<void> => {
    for (const pool of pools) void pool.end(); // those of the dead never come to an end
    await db.close();
  };
  return { db, types, hire, close };
};

/** As kill -9 does: the server sees the connections close, whatever they were about. */
async function cut(clients: ReadonlySet<pg.PoolClient>): Promise<void> {
  for (const client of clients) client.connection.stream.destroy();
  return Promise.resolve();
}

/** One answer in thirty is lost, to a commit that was carried out or to one that never arrived. */
function losingAnswers(store: BatchStore, random: () => number): BatchStore {
  const losing = async <T>(work: () => Promise<T>): Promise<T> => {
    if (random() < 0.03) throw new Error('the connection was lost before');
    const done = await work();
    if (random() < 0.03) throw new Error('the connection was lost after');
    return done;
  };
  return {
    ...store,
    transact: (tenure, step, locking) => losing(() => store.transact(tenure, step, locking)),
    transactEach: (tenure, steps, locking) => losing(() => store.transactEach(tenure, steps, locking)),
  };
}

test.each<Positions>(['stored', 'lane'])(
  'whatever befalls its holders, a lane over "%s" positions leaves the exact tables',
  async (positions) => {
    let redelivered = 0;
    await fc.assert(
      fc.asyncProperty(logs(60), blows, fc.nat(), async (log, dealt, storySeed) => {
        const { db, types, hire, close } = await bundle(storySeed);
        try {
          await expectExact(
            { log, dealt, seed: storySeed, types, positions, hire, found: () => foundIn(db) },
            { refuses: () => false, onRedelivered: (count) => (redelivered += count), onBlamed: () => undefined },
          );
        } finally {
          await close();
        }
      }),
      { seed, numRuns, endOnFailure: true },
    );
    expect(redelivered).toBeGreaterThan(0);
  },
);
