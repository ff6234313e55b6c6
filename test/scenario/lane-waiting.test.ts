// Proves that commands which pass only after, or together with, others of their batch are applied, whoever is refused beside them.
import { afterEach, expect, test } from 'vitest';
import { parkAndWait, type FailurePolicy } from '../../consumers/failure/policies.ts';
import { newCommandId } from '../../shared/command/identity.ts';
import { laneBundle, type LaneBundle, type Unsent } from '../support/lane-bundle.ts';
import { SCENARIO_SQL, scenarioTypes } from '../support/lane-types.ts';

let open: LaneBundle | undefined;
const bundle = async (policy?: FailurePolicy): Promise<LaneBundle> =>
  (open = await laneBundle({
    types: scenarioTypes,
    sql: SCENARIO_SQL,
    ...(policy === undefined ? {} : { policy }),
  }));
afterEach(async () => {
  await open?.close();
  open = undefined;
});

type Line = Unsent;
const take = (subject: string, place: number): Line => ({ type: 'seat.take', subject, data: { place } });
const write = (subject: string): Line => ({ type: 'parent.write', subject, data: { remark: '' } });
const join = (subject: string, parent: string): Line => ({ type: 'child.join', subject, data: { parent } });
/** Refused by a check; from the second one on their batch runs in single steps. */
const overdraw = (subject: string): Line => ({ type: 'account.add', subject, data: { by: -1 } });

const seats = ({ sql }: LaneBundle) => sql('select name, place from {tables}.seat order by name');
const parked = async ({ sql }: LaneBundle): Promise<readonly string[]> =>
  (
    await sql<{ text: string }>(`select resource || ' ' || code as text from {schema}.parked order by resource, number`)
  ).map(({ text }) => text);

test.for([10, 11, 40, 400])(
  'a swap passes beside a culprit that %d commands of its resource follow',
  async (followers) => {
    const lane = await bundle();
    await lane.publish([take('a', 1), take('b', 2), take('owner', 9)]);
    const behind = Array.from({ length: followers }, () => take('greedy', 9));
    await lane.publish([take('a', 2), take('greedy', 9), overdraw('1'), ...behind, take('b', 1)]);
    lane.start();
    await lane.caughtUp();
    expect(await seats(lane)).toEqual([
      { name: 'a', place: 2 },
      { name: 'b', place: 1 },
      { name: 'owner', place: 9 },
    ]);
    expect(await parked(lane)).toEqual([
      'account/1 refused-by-database',
      'seat/greedy refused-by-database',
      ...behind.map(() => 'seat/greedy resource-held'),
    ]);
  },
);

test('a swap passes between culprits that are many, and each of those is parked for itself', async () => {
  const lane = await bundle();
  await lane.publish([take('a', 1), take('b', 2), take('owner', 9)]);
  const greedy = Array.from({ length: 13 }, (_, at) => take(`greedy-${at}`, 9));
  await lane.publish([take('a', 2), overdraw('1'), ...greedy, take('b', 1)]);
  lane.start();
  await lane.caughtUp();
  expect((await seats(lane)).slice(0, 2)).toEqual([
    { name: 'a', place: 2 },
    { name: 'b', place: 1 },
  ]);
  expect(await parked(lane)).toHaveLength(14);
});

test('of a chain, what stands before the culprit is applied; it alone is parked, and what follows it held', async () => {
  const lane = await bundle();
  await lane.publish([take('a', 1), take('b', 2), take('owner', 9)]);
  const before = Array.from({ length: 20 }, (_, at) => take('a', 100 + at));
  await lane.publish([take('a', 2), overdraw('1'), take('b', 1), ...before, take('a', 9), take('a', 9)]);
  lane.start();
  await lane.caughtUp();
  expect(await seats(lane)).toEqual([
    { name: 'a', place: 119 },
    { name: 'b', place: 1 },
    { name: 'owner', place: 9 },
  ]);
  expect(await parked(lane)).toEqual([
    'account/1 refused-by-database',
    'seat/a refused-by-database',
    'seat/a resource-held',
  ]);
  expect(await lane.sql(`select changes::integer from {tables}.seat where name = 'a'`)).toEqual([{ changes: 22 }]);
});

test('what one swap makes possible is tried again', async () => {
  const lane = await bundle();
  await lane.publish([take('a', 1), take('b', 2), take('c', 3), take('owner', 9)]);
  await lane.publish([
    overdraw('1'),
    take('a', 3),
    take('a', 2),
    take('a', 9),
    take('b', 3),
    overdraw('2'),
    take('c', 1),
  ]);
  lane.start();
  await lane.caughtUp();
  expect(await seats(lane)).toEqual([
    { name: 'a', place: 2 },
    { name: 'b', place: 3 },
    { name: 'c', place: 1 },
    { name: 'owner', place: 9 },
  ]);
  expect(await parked(lane)).toEqual([
    'account/1 refused-by-database',
    'account/2 refused-by-database',
    'seat/a refused-by-database',
  ]);
});

test('of two resources that an id puts into one chain, each is told its own reason', async () => {
  const lane = await bundle();
  await lane.publish([take('owner', 9)]);
  const id = newCommandId();
  const poor: Line = { type: 'account.add', subject: '3', data: { by: -3 } };
  await lane.publish([overdraw('1'), { ...take('greedy', 9), id }, { ...poor, id }, poor, overdraw('2')]);
  lane.start();
  await lane.caughtUp();
  expect(await lane.sql('select resource, sqlstate from {schema}.parked where number = 1 order by resource')).toEqual([
    { resource: 'account/1', sqlstate: '23514' },
    { resource: 'account/2', sqlstate: '23514' },
    { resource: 'account/3', sqlstate: '23514' },
    { resource: 'seat/greedy', sqlstate: '23505' },
  ]);
});

test('a row that waits for another one to be deleted is remembered like every other', async () => {
  const lane = await bundle();
  await lane.publish([write('old'), join('kim', 'old')]);
  await lane.publish([
    overdraw('1'),
    { type: 'parent.erase', subject: 'old' },
    overdraw('2'),
    { type: 'child.leave', subject: 'kim' },
  ]);
  lane.start();
  await lane.caughtUp();
  expect(
    await lane.sql(
      `select resource, at > now() - interval '1 hour' as young from {schema}.last_revision order by resource`,
    ),
  ).toEqual([
    { resource: 'child/kim', young: true },
    { resource: 'parent/old', young: true },
  ]);
});

test('of two commands with one id the earlier one counts, also when it waits for what stands behind the other', async () => {
  const lane = await bundle();
  const id = newCommandId();
  const entries = [
    overdraw('1'),
    { ...join('kim', 'pat'), id },
    { ...write('other'), id },
    write('other'),
    write('pat'),
    overdraw('2'),
  ];
  await lane.publish(entries);
  lane.start();
  await lane.caughtUp();
  expect(await lane.sql('select name, parent from {tables}.child')).toEqual([{ name: 'kim', parent: 'pat' }]);
  expect(await lane.sql('select name, revision::integer from {tables}.parent order by name')).toEqual([
    { name: 'other', revision: 1 },
    { name: 'pat', revision: 1 },
  ]);
  expect(await lane.sql('select reason, resource from {schema}.stray')).toEqual([
    { reason: 'id-conflict', resource: 'parent/other' },
  ]);
  expect(await parked(lane)).toEqual(['account/1 refused-by-database', 'account/2 refused-by-database']);
});

test('a policy that halts does so before its command, and what stands before that is not blamed', async () => {
  const park = parkAndWait(Math.random);
  const policy: FailurePolicy = {
    ...park,
    onCommandFailure: (failure, command) =>
      failure.code === 'decide-threw' ? 'halt-lane' : park.onCommandFailure(failure, command),
  };
  const lane = await bundle(policy);
  await lane.publish([take('a', 1), take('b', 2)]);
  const explode: Line = { type: 'account.explode', subject: '3' };
  await lane.publish([overdraw('1'), take('a', 2), overdraw('2'), take('b', 1), explode, write('pat'), take('c', 3)]);
  lane.start();
  const halted = await lane.until((event) => event.kind === 'lane-halted');
  expect(halted).toMatchObject({ code: 'decide-threw', detail: expect.stringContaining('at position 6') });
  expect(await seats(lane)).toEqual([
    { name: 'a', place: 2 },
    { name: 'b', place: 1 },
  ]);
  expect(await lane.sql('select * from {tables}.parent')).toEqual([]);
  expect(await parked(lane)).toEqual(['account/1 refused-by-database', 'account/2 refused-by-database']);
  expect(await lane.sql('select last_position::integer as at from {schema}.tenure')).toEqual([{ at: 5 }]);
});
