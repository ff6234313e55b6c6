// Owns the bench of the batch store by itself: what its transactions cost against a bare loop that writes the same, without a lane around it.
import { postgresBatchStore } from '../../consumers/lane/postgres/store.ts';
import type { Plan, Recall, Wanted } from '../../consumers/lane/batch-store.ts';
import {
  newCommandId,
  newUuid,
  partition,
  position,
  resourceKey,
  revision,
  trustedContent,
  trustedEntryHash,
  trustedTypeName,
} from '../../shared/command/identity.ts';
import { systemClock } from '../../shared/process/time.ts';
import { freshDatabase } from '../support/database.ts';
import { accounts, accountTable } from './accounts.ts';
import { bareLoop } from './bare-loop.ts';
import type { Load } from './load.ts';
import { judged, printFigures, takeTurns, timed, type Contender, type Judged } from './measure.ts';
import type { BenchGiven } from './main.ts';

const BATCH = 500;
const ACCOUNT = trustedTypeName('account');
const HASH = 'ab'.repeat(32);

export async function benchStore({ url, rounds }: BenchGiven): Promise<readonly Judged[]> {
  const hot = await freshDatabase({ partitions: 1, sql: accountTable(1) });
  const wide = await freshDatabase({ partitions: 1, sql: accountTable(1_000) });
  try {
    const figures = await takeTurns(
      [
        storeAlone({ rows: 1, count: 50_000 }),
        bareLoop(url, `${hot.tables}.account`, { rows: 1, count: 50_000 }),
        storeAlone({ rows: 1_000, count: 50_000 }),
        bareLoop(url, `${wide.tables}.account`, { rows: 1_000, count: 50_000 }),
      ],
      rounds,
    );
    printFigures('The store alone (plans made by hand)', figures);
    const [hotStore, hotLoop, store, loop] = figures.map((figure) => figure.median);
    return [
      judged('one hot row: the store against a bare loop', ratio(hotStore, hotLoop), { atLeast: 0.9 }),
      judged('1,000 rows: the store against a bare loop', ratio(store, loop), { atLeast: 0.9 }),
    ];
  } finally {
    await hot.close();
    await wide.close();
  }
}

export function storeAlone(load: Load): Contender {
  return {
    name: `store alone, ${load.rows.toLocaleString('en')} rows`,
    run: async () => {
      const db = await freshDatabase({ partitions: 1, sql: accountTable(load.rows) });
      const types = new Map([[ACCOUNT, accounts(db.tables)]]);
      const store = postgresBatchStore({
        consumer: newUuid(),
        database: db.database,
        lanePool: db.lanePool,
        types,
        ledgerRetentionMs: 30 * 86_400_000,
        observe: () => undefined,
        clock: systemClock,
      });
      try {
        let tenure = await store.claim(partition(0), { owner: newUuid(), contractHash: 'bench' });
        return await timed(load.count, async () => {
          for (let at = 0; at < load.count; at += BATCH) {
            const { wanted, plan } = batchOf(load, at);
            ({ tenure } = await store.transact(tenure, { wanted, plan }, 'optimistic'));
          }
        });
      } finally {
        await db.close();
      }
    },
  };
}

/** Deposits folded as a lane would fold them, with nothing else around it. */
export function batchOf(load: Load, from: number): { readonly wanted: Wanted; readonly plan: (found: Recall) => Plan } {
  const commands = Array.from({ length: BATCH }, (_, n) => ({
    id: newCommandId(),
    subject: String(1 + ((from + n) % load.rows)),
  }));
  const subjects = [...new Set(commands.map((command) => command.subject))];
  const wanted: Wanted = {
    ids: commands.map((command) => command.id),
    subjects: new Map([[ACCOUNT, subjects]]),
    keys: subjects.map((subject) => resourceKey(ACCOUNT, subject)),
    entries: [],
  };
  return { wanted, plan: (found) => planOf(commands, subjects, found, from) };
}

function planOf(
  commands: readonly { readonly id: Plan['ledger'][number]['id']; readonly subject: string }[],
  subjects: readonly string[],
  found: Recall,
  from: number,
): Plan {
  const at = new Date();
  const rows = new Map(
    subjects.map((subject) => {
      const key = resourceKey(ACCOUNT, subject);
      const before = found.rows.get(key) ?? null;
      // The bench's own state of this type.
      const balance = (before?.state as { readonly balance: bigint } | undefined)?.balance ?? 0n;
      return [subject, { key, before, balance, count: before?.revision ?? 0 }];
    }),
  );
  const ledger = commands.map(({ id, subject }) => {
    const row = rows.get(subject);
    if (row === undefined) throw new Error(`no account ${subject}`);
    row.balance += 5n;
    row.count++;
    return {
      id,
      key: row.key,
      content: trustedContent(HASH),
      at,
      outcome: 'applied' as const,
      revision: revision(row.count),
      code: null,
      detail: null,
      reply: '{"balance":"1000000"}',
    };
  });
  return {
    rows: [...rows].map(([subject, { key, before, balance, count }]) => ({
      type: ACCOUNT,
      key,
      subject,
      before,
      after: { values: [String(balance)], revision: revision(count) },
      lastRevision: revision(count),
    })),
    ledger,
    parked: [],
    strays: [],
    through: { position: position(from + BATCH - 1), hash: trustedEntryHash(HASH), appendedAt: at },
    tally: { entries: BATCH, applied: BATCH, rejected: 0, repeated: 0, parked: 0, strays: 0 },
    halt: null,
    progress: 'yes',
  };
}

const ratio = (a: number | undefined, b: number | undefined): number => (a ?? Number.NaN) / (b ?? Number.NaN);
