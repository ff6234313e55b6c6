// Owns the floor: the same writes as a lane's (fence, rows, ledger, position) by a loop with nothing else in it.
import { hash } from 'node:crypto';
import pg from 'pg';
import { timed, type Contender } from './measure.ts';
import { depositEvents, type Load } from './load.ts';

const BATCH = 500;

/** Reads JSON, folds, and writes each batch in two pipelined flushes. Tables: `table`, and `<table>_ledger`, `<table>_fence`. */
export function bareLoop(url: string, table: string, load: Load): Contender {
  return {
    name: `bare loop, ${load.rows.toLocaleString('en')} rows`,
    run: async () => {
      const client = await openBareClient(url);
      try {
        await prepareBare(client, table, 1);
        const lane: BareLane = { client, table, partition: 0, ledger: 'made-up' };
        const events = depositEvents(load);
        return await timed(load.count, async () => {
          for (let at = 0; at < events.length; at += BATCH) await applyBare(lane, events.slice(at, at + BATCH));
        });
      } finally {
        await client.end();
      }
    },
  };
}

/** What one partition is written through; each has a connection of its own, as our lanes have. */
export interface BareLane {
  readonly client: pg.Client;
  readonly table: string;
  readonly partition: number;
  /** What stands in the columns that nobody reads here: the command's hash and its reply, or something as long. */
  readonly ledger: 'true' | 'made-up';
}

export async function openBareClient(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, pipeline: true });
  await client.connect();
  // Its tables were empty when it planned its statements; without this it would scan them for ever, and be no floor.
  await client.query('set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off');
  return client;
}

/** Makes the tables beside `table`; what it returns connects one lane for each partition, as a consumer does when it starts. */
export async function openBareLanes(
  url: string,
  table: string,
  partitions: number,
): Promise<() => Promise<readonly BareLane[]>> {
  const client = await openBareClient(url);
  await prepareBare(client, table, partitions);
  await client.end();
  return () =>
    Promise.all(
      Array.from({ length: partitions }, async (_, partition): Promise<BareLane> => {
        return { client: await openBareClient(url), table, partition, ledger: 'true' };
      }),
    );
}

/** Makes the tables beside `table`, anew. */
export async function prepareBare(client: pg.Client, table: string, partitions: number): Promise<void> {
  await client.query(`drop table if exists ${table}_ledger, ${table}_fence`);
  await client.query(
    `create table ${table}_ledger (id uuid not null, resource text not null, content bytea not null, partition integer not null,
       at timestamptz not null, outcome text not null, revision bigint not null, code text, detail text, reply text)`,
  );
  await client.query(`create index on ${table}_ledger (id)`);
  await client.query(
    `create table ${table}_fence (partition integer primary key, epoch bigint, position bigint, commits bigint) with (fillfactor = 20)`,
  );
  await client.query(`insert into ${table}_fence select n, 1, 0, 0 from generate_series(0, ${partitions - 1}) as n`);
}

/** One transaction: everything of `batch` is committed when this resolves. */
export async function applyBare(lane: BareLane, batch: readonly Uint8Array[]): Promise<void> {
  const commands = batch.map((bytes): Deposit => JSON.parse(Buffer.from(bytes).toString()));
  await applyParsed(lane, commands);
}

/** The same for what has been read already. */
export async function applyParsed(lane: BareLane, commands: readonly Deposit[]): Promise<void> {
  const { client, table, partition } = lane;
  const subjects = [...new Set(commands.map((command) => command.subject))];
  const begun = client.query('begin');
  const fenced = client.query({
    name: 'fence',
    text: `select epoch from ${table}_fence where partition = $1 for update`,
    values: [partition],
  });
  const known = client.query({
    name: 'known',
    text: `select id from ${table}_ledger where id = any($1::uuid[])`,
    values: [commands.map((command) => command.id)],
  });
  const recalled = client.query<{ id: string; revision: string; balance: string; xmin: string }>({
    name: 'recall',
    text: `select id::text, revision::text, balance::text, xmin::text from ${table} where id = any($1::bigint[])`,
    values: [subjects],
  });
  await Promise.all([begun, fenced, known]);
  const rows = new Map(
    (await recalled).rows.map((row) => [
      row.id,
      { ...row, balance: BigInt(row.balance), revision: Number(row.revision) },
    ]),
  );
  const revisions: number[] = [];
  const replies: string[] = [];
  for (const { subject, data } of commands) {
    const row = rows.get(subject);
    if (row === undefined) throw new Error(`no account ${subject}`);
    row.balance += BigInt(data.amount);
    row.revision++;
    revisions.push(row.revision);
    replies.push(lane.ledger === 'true' ? `{"balance":"${row.balance}"}` : '{"balance":"1000000"}');
  }
  await write(lane, { commands, revisions, replies, rows: [...rows.values()] });
}

export interface Deposit {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly data: { readonly amount: number };
}

interface Written {
  readonly commands: readonly Deposit[];
  readonly revisions: readonly number[];
  readonly replies: readonly string[];
  readonly rows: readonly {
    readonly id: string;
    readonly revision: number;
    readonly balance: bigint;
    readonly xmin: string;
  }[];
}

async function write(
  { client, table, partition, ledger }: BareLane,
  { commands, revisions, replies, rows }: Written,
): Promise<void> {
  const ids = commands.map((command) => command.id);
  await Promise.all([
    client.query({
      name: 'rows',
      text: `update ${table} as t set revision = v.revision, balance = v.balance
             from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) as v (id, revision, balance, xmin)
             where t.id = v.id and t.xmin = v.xmin::xid`,
      values: [rows.map((r) => r.id), rows.map((r) => r.revision), rows.map((r) => r.balance), rows.map((r) => r.xmin)],
    }),
    client.query({
      name: 'ledger',
      text: `insert into ${table}_ledger (id, resource, content, partition, at, outcome, revision, code, detail, reply)
             select id, resource, decode(content, 'hex'), $6, now(), 'applied', revision, null, null, reply
             from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[]) as v (id, resource, content, revision, reply)`,
      values: [
        ids,
        commands.map((command) => `account/${command.subject}`),
        ledger === 'true' ? commands.map(contentOf) : ids.map((id) => id.replaceAll('-', '').repeat(2)),
        revisions,
        replies,
        partition,
      ],
    }),
    client.query({
      name: 'position',
      text: `update ${table}_fence set position = position + $1, commits = commits + 1 where partition = $2`,
      values: [commands.length, partition],
    }),
    client.query('commit'),
  ]);
}

/** As by hand: the names are in their order already, and nothing needs an escape that JSON does not give it. */
function contentOf({ type, subject, data }: Deposit): string {
  return hash('sha256', JSON.stringify({ data, subject, type }), 'hex');
}
