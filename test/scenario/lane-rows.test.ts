// Proves that a batch's rows are written as one: what only its final state allows is applied, whatever the order of its commands.
import { afterEach, expect, test } from 'vitest';
import { laneBundle, type LaneBundle, type Sent } from '../support/lane-bundle.ts';
import { SCENARIO_SQL, scenarioTypes } from '../support/lane-types.ts';

let open: LaneBundle | undefined;
const bundle = async (): Promise<LaneBundle> => (open = await laneBundle({ types: scenarioTypes, sql: SCENARIO_SQL }));
afterEach(async () => {
  await open?.close();
  open = undefined;
});

type Line = Omit<Sent, 'id'>;
const take = (subject: string, place: number): Line => ({ type: 'seat.take', subject, data: { place } });
const write = (subject: string): Line => ({ type: 'parent.write', subject, data: { remark: 'there' } });
const join = (subject: string, parent: string): Line => ({ type: 'child.join', subject, data: { parent } });

/** What stood before is one batch, what is proven another. */
async function applied(before: readonly Line[], batch: readonly Line[]): Promise<LaneBundle> {
  const lane = await bundle();
  lane.start();
  for (const part of [before, batch]) {
    if (part.length === 0) continue;
    await lane.publish(part);
    await lane.caughtUp();
  }
  expect(await lane.sql('select resource, code, detail from {schema}.parked')).toEqual([]);
  expect(lane.events.filter((event) => event.kind === 'batch-narrowed')).toEqual([]);
  return lane;
}

const seats = ({ sql }: LaneBundle) => sql('select name, place from {tables}.seat order by name');
const children = ({ sql }: LaneBundle) => sql('select name, parent from {tables}.child order by name');

test('values of a deferrable unique constraint are swapped', async () => {
  const lane = await applied([take('a', 1), take('b', 2)], [take('a', 2), take('b', 1)]);
  expect(await seats(lane)).toEqual([
    { name: 'a', place: 2 },
    { name: 'b', place: 1 },
  ]);
});

test('a child may come before its parent', async () => {
  const lane = await applied([], [join('kim', 'pat'), write('pat')]);
  expect(await children(lane)).toEqual([{ name: 'kim', parent: 'pat' }]);
});

test('a child is moved to a parent of the same batch, away from one that goes', async () => {
  const lane = await applied(
    [write('old'), join('kim', 'old')],
    [{ type: 'parent.erase', subject: 'old' }, join('kim', 'new'), write('new')],
  );
  expect(await children(lane)).toEqual([{ name: 'kim', parent: 'new' }]);
  expect(await lane.sql('select name from {tables}.parent')).toEqual([{ name: 'new' }]);
});

test('a unique value is inserted before its last owner is deleted', async () => {
  const lane = await applied([take('a', 1)], [take('b', 1), { type: 'seat.leave', subject: 'a' }]);
  expect(await seats(lane)).toEqual([{ name: 'b', place: 1 }]);
});

test('two types in one batch are written together, and each counts its own revisions', async () => {
  const lane = await applied([], [take('a', 1), write('a'), take('a', 2), write('a'), write('a')]);
  expect(await lane.sql('select s.changes::text, p.revision::text from {tables}.seat s, {tables}.parent p')).toEqual([
    { changes: '2', revision: '3' },
  ]);
});

test('a row that comes, goes and comes again within one batch counts on', async () => {
  const gone: Line = { type: 'seat.leave', subject: 'a' };
  const lane = await applied([take('a', 1), gone], [take('a', 2), gone, take('a', 3)]);
  expect(await lane.sql('select name, place, changes::text from {tables}.seat')).toEqual([
    { name: 'a', place: 3, changes: '5' },
  ]);
});
