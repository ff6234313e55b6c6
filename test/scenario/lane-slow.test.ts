// Proves what the statement timeout does to a lane: fewer at once, a lone culprit parked, and nobody blamed for somebody else's lock.
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import type { SessionTimeouts } from '../../shared/postgres/database.ts';
import { laneBundle, type LaneBundle } from '../support/lane-bundle.ts';
import { SCENARIO_SQL, scenarioTypes } from '../support/lane-types.ts';

const SHORT: SessionTimeouts = { statementMs: 400, lockMs: 300, idleInTransactionMs: 10_000, tcpUserMs: 10_000 };

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const bundle = async (trigger: string, timeouts = SHORT): Promise<LaneBundle> => {
  const sql = `${SCENARIO_SQL};
    create sequence {tables}.tries;
    create function {tables}.slow() returns trigger language plpgsql as $$
    begin
      ${trigger}
      return new;
    end $$;
    create trigger slow before insert or update on {tables}.account
      for each row execute function {tables}.slow()`;
  const lane = await laneBundle({ types: scenarioTypes, sql, timeouts });
  closing.push(() => lane.close());
  return lane;
};

const add = (subject: number, by: number) => ({ type: 'account.add', subject: String(subject), data: { by } });
const parkedIn = (lane: LaneBundle) =>
  lane.sql('select resource, code, sqlstate from {schema}.parked order by position');

test('a command that times out alone three times while the database answers is parked, beside one that is refused', async () => {
  // What a sequence has given is not taken back with its transaction.
  const lane = await bundle(
    `if new.balance > 900 then perform nextval('{tables}.tries'); perform pg_sleep(30); end if;`,
  );
  const good = Array.from({ length: 12 }, (_, at) => add(at, 1));
  await lane.publish([...good.slice(0, 3), add(100, -5), ...good.slice(3, 8), add(200, 1_000), ...good.slice(8)]);
  lane.start();
  await lane.caughtUp();
  expect(await parkedIn(lane)).toEqual([
    { resource: 'account/100', code: 'refused-by-database', sqlstate: '23514' },
    { resource: 'account/200', code: 'timed-out', sqlstate: '57014' },
  ]);
  expect(await lane.sql('select count(*)::integer as rows from {tables}.account')).toEqual([{ rows: 12 }]);
  const [tries] = await lane.sql<{ count: number }>('select last_value::integer as count from {tables}.tries');
  expect(tries?.count).toBeGreaterThanOrEqual(3);
  expect(tries?.count).toBeLessThanOrEqual(12);
});

test('commands that are too slow only together are applied in smaller batches, and none is parked', async () => {
  const lane = await bundle(`perform pg_sleep(0.05);`);
  await lane.publish(Array.from({ length: 40 }, (_, at) => add(at, 1)));
  lane.start();
  await lane.caughtUp();
  expect(await parkedIn(lane)).toEqual([]);
  expect(await lane.sql('select count(*)::integer as rows from {tables}.account')).toEqual([{ rows: 40 }]);
  expect(lane.events.filter((event) => event.kind === 'batch-applied').length).toBeGreaterThan(1);
  expect(lane.events.filter((event) => event.kind === 'outage-waited')).toEqual([]);
});

test('a timeout at the fence is an outage, whoever holds the tenure row: nothing is halved or parked', async () => {
  const lane = await bundle('', { ...SHORT, lockMs: 10_000 });
  await lane.publish([add(1, 1)]);
  lane.start();
  await lane.caughtUp();
  const other = new pg.Client({ connectionString: lane.db.url });
  await other.connect();
  closing.push(() => other.end());
  await other.query(`begin; select from ${lane.db.schema}.tenure where partition = 0 for update`);
  await lane.publish([add(1, 1), add(2, 1)]);
  await lane.until((event) => event.kind === 'outage-waited');
  await other.query('rollback');
  await lane.caughtUp();
  expect(await parkedIn(lane)).toEqual([]);
  expect(await lane.sql('select id::text, balance::text from {tables}.account order by id')).toEqual([
    { id: '1', balance: '2' },
    { id: '2', balance: '1' },
  ]);
});
