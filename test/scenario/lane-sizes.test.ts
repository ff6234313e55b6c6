// Proves that what is too large for one statement halts no lane and waits for nothing: it goes in several, and what is too large alone is parked.
import { afterEach, expect, test } from 'vitest';
import { contract, defineConfig, resourceType, tableRows, text, z } from '../../shared/resources/index.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import { laneBundle, type LaneBundle } from '../support/lane-bundle.ts';

const SQL = 'create table {tables}.sheet (name text primary key, revision bigint not null, content text not null)';
/** No string of this length can be sent, but decide can return it. */
const UNSENDABLE = 257_000_000;

let open: LaneBundle | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

function sheets(tables: string): ResourceTypes {
  const sheet = resourceType({
    contract: contract('sheet', { fill: z.strictObject({ length: z.int() }) }),
    rows: tableRows({
      table: `${tables}.sheet`,
      key: { column: 'name', type: 'text' },
      revision: 'revision',
      columns: { content: text() },
    }),
    decide: (_state, command) => ({ kind: 'change', state: { content: 'x'.repeat(command.data.length) } }),
  });
  return defineConfig({ resources: [sheet] }).types;
}

/** One batch with a sheet of each length. */
async function fill(lengths: readonly number[]): Promise<LaneBundle> {
  const lane = (open = await laneBundle({ types: sheets, sql: SQL }));
  await lane.publish(lengths.map((length, at) => ({ type: 'sheet.fill', subject: `s${at}`, data: { length } })));
  lane.start();
  await lane.caughtUp();
  return lane;
}

const written = (lane: LaneBundle) => lane.sql('select name, length(content) from {tables}.sheet order by name');

test('a row that no statement can hold is parked alone, and the others of its batch are written', async () => {
  const lane = await fill([1, 2, UNSENDABLE, 4]);
  expect(await lane.sql('select resource, code, sqlstate from {schema}.parked')).toEqual([
    { resource: 'sheet/s2', code: 'refused-by-database', sqlstate: null },
  ]);
  expect(await written(lane)).toEqual([
    { name: 's0', length: 1 },
    { name: 's1', length: 2 },
    { name: 's3', length: 4 },
  ]);
});

test('rows that are too much for one statement together are written in several', async () => {
  const lane = await fill([22_000_000, 22_000_001, 22_000_002]);
  expect(await lane.sql('select * from {schema}.parked')).toEqual([]);
  expect(lane.events.filter(({ kind }) => kind === 'batch-applied').length).toBeGreaterThan(1);
  expect(await written(lane)).toEqual([0, 1, 2].map((at) => ({ name: `s${at}`, length: 22_000_000 + at })));
});
