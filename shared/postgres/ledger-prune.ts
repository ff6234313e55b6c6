// Owns forgetting: drops ledger partitions that lie wholly before a horizon, without stopping lanes.
import pg from 'pg';
import { connectionOptions, type Database } from './database.ts';
import { rangeOfName, readLedgerPartitions } from './ledger-partitions.ts';
import { LOCK_CLASS } from './migrate.ts';
import { quoted } from './schema-name.ts';

const PARTITIONS_MAX = 4;
/** Detaching waits for every transaction that uses the ledger; longer ones are met again at the next call. */
const STATEMENT_MS = 30_000;

/**
 * Drops at most a few partitions whose every row is dated before `horizon`, and what an earlier call left half done. One process
 * at a time; the others return [] at once. Returns the names of what was dropped.
 */
export async function pruneLedger(
  db: Database,
  horizon: Date,
  partitionsMax = PARTITIONS_MAX,
): Promise<readonly string[]> {
  // A session of its own: detaching concurrently cannot run in a transaction, and the lock belongs to the session.
  const client = new pg.Client(connectionOptions(db.url, 'onelane-housekeeping'));
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(
      `set statement_timeout = ${STATEMENT_MS}; set lock_timeout = ${STATEMENT_MS / 2}; set client_min_messages = warning`,
    );
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1, hashtext($2)) as mine', [
      LOCK_CLASS,
      `${db.schema}/ledger-prune`,
    ]);
    return rows[0]?.mine === true ? await prune(client, db, { horizon, partitionsMax }) : [];
  } finally {
    await client.end();
  }
}

async function prune(
  client: pg.Client,
  db: Database,
  limit: { readonly horizon: Date; readonly partitionsMax: number },
): Promise<readonly string[]> {
  const ledger = `${quoted(db.schema)}.ledger`;
  const partitions = await readLedgerPartitions(db, client);
  for (const each of partitions.filter((one) => one.isLeaving)) {
    await client.query(`alter table ${ledger} detach partition ${nameOf(db, each.name)} finalize`);
  }
  const old = partitions.filter((one) => !one.isLeaving && one.to.getTime() <= limit.horizon.getTime());
  for (const each of old.slice(0, limit.partitionsMax)) {
    await client.query(`alter table ${ledger} detach partition ${nameOf(db, each.name)} concurrently`);
  }
  const detached = await readDetached(client, db);
  for (const name of detached) await client.query(`drop table if exists ${nameOf(db, name)}`);
  return detached;
}

/** Tables with a partition's name that belong to no ledger; nothing else is ever called so. */
async function readDetached(client: pg.Client, db: Database): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select c.relname as name
     from pg_class c
     join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1
       and c.relkind = 'r'
       and not c.relispartition`,
    [db.schema],
  );
  return rows.map((row) => row.name).filter((name) => rangeOfName(name) !== null);
}

const nameOf = (db: Database, partition: string): string => `${quoted(db.schema)}."${partition}"`;
