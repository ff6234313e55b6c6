// Proves that scripts which write a resource table themselves, as fast as they can, lose nothing and stop nobody.
import { afterEach, expect, test } from 'vitest';
import pg from 'pg';
import { laneBundle, type LaneBundle, type Sent } from '../support/lane-bundle.ts';
import { SCENARIO_SQL, scenarioTypes } from '../support/lane-types.ts';

let open: LaneBundle | undefined;
const scripts: Script[] = [];
const bundle = async (): Promise<LaneBundle> =>
  (open = await laneBundle({ types: scenarioTypes, sql: SCENARIO_SQL, batchCountMax: 500 }));
afterEach(async () => {
  await Promise.all(scripts.splice(0).map((script) => script.stop()));
  await open?.close();
  open = undefined;
});

interface Script {
  /** Resolves when its statement in flight has ended. */
  stop(): Promise<void>;
}

/** One connection that runs `turn` again and again, without a pause. */
async function script(lane: LaneBundle, turn: (client: pg.Client) => Promise<void>): Promise<Script> {
  const client = new pg.Client({ connectionString: lane.db.url, application_name: 'a legacy script' });
  await client.connect();
  await client.query(`set search_path to ${lane.db.tables}`);
  let isOver = false;
  const looping = (async () => {
    while (!isOver) await turn(client);
  })();
  let stopped: Promise<void> | undefined;
  const made: Script = {
    stop: () => {
      isOver = true;
      return (stopped ??= looping.finally(() => client.end()));
    },
  };
  scripts.push(made);
  return made;
}

const SCRIPTS = 4;
const add = (count: number): readonly Omit<Sent, 'id'>[] =>
  Array.from({ length: count }, () => ({ type: 'account.add', subject: '1', data: { by: 1 } }));

async function commandsPerSecond(lane: LaneBundle, count: number): Promise<number> {
  const startedMs = performance.now();
  await lane.publish(add(count));
  await lane.caughtUp();
  return (count * 1_000) / (performance.now() - startedMs);
}

test('four scripts update a row as fast as they can while commands hit it: the sum is exact, and the lane keeps a tenth of its speed', async () => {
  const lane = await bundle();
  lane.start();
  await commandsPerSecond(lane, 2_000); // warm, and the row exists
  const alone = await commandsPerSecond(lane, 20_000);
  let updates = 0;
  const updating = async (client: pg.Client): Promise<void> => {
    await client.query('update account set balance = balance + 1 where id = 1');
    updates++;
  };
  await Promise.all(Array.from({ length: SCRIPTS }, () => script(lane, updating)));
  const beside = await commandsPerSecond(lane, 20_000);
  await Promise.all(scripts.map((each) => each.stop()));
  const [row] = await lane.sql<{ balance: string; revision: string }>(
    'select balance::text, revision::text from {tables}.account',
  );
  expect(row).toEqual({ balance: String(42_000 + updates), revision: '42000' });
  expect(updates).toBeGreaterThan(SCRIPTS);
  expect(await lane.sql('select * from {schema}.parked')).toEqual([]);
  process.stdout.write(
    `commands/s alone ${Math.round(alone)}, beside ${updates} direct updates ${Math.round(beside)}\n`,
  );
  expect(beside).toBeGreaterThan(alone / 10);
});

test('scripts insert and delete the row itself: nothing is lost, nothing is parked', async () => {
  const lane = await bundle();
  const count = 10_000;
  const gone = { balance: 0n, rows: 0 };
  const made = { balance: 0n };
  const deleting = async (client: pg.Client): Promise<void> => {
    const { rows } = await client.query<{ balance: string }>(
      'delete from account where id = 1 returning balance::text',
    );
    for (const { balance } of rows) {
      gone.balance += BigInt(balance);
      gone.rows++;
    }
  };
  const inserting = async (client: pg.Client): Promise<void> => {
    const { rowCount } = await client.query(
      'insert into account (id, revision, balance) values (1, 0, 1000000) on conflict (id) do nothing',
    );
    made.balance += 1_000_000n * BigInt(rowCount ?? 0);
  };
  await script(lane, deleting);
  await script(lane, inserting);
  lane.start();
  await lane.publish(add(count));
  await lane.caughtUp();
  await Promise.all(scripts.map((each) => each.stop()));
  const [row] = await lane.sql<{ balance: string }>('select balance::text from {tables}.account');
  // Whatever a deletion took with it was there: what commands added is in the row or went with one of its deletions.
  expect(BigInt(row?.balance ?? 0) + gone.balance - made.balance).toBe(BigInt(count));
  expect(gone.rows).toBeGreaterThan(0);
  expect(made.balance).toBeGreaterThan(0n);
  expect(await lane.sql('select outcome, count(*)::integer as rows from {schema}.ledger group by outcome')).toEqual([
    { outcome: 'applied', rows: count },
  ]);
  expect(await lane.sql('select * from {schema}.parked')).toEqual([]);
});
