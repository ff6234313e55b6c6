// Proves that a command which cannot be decided or written is parked alone: what follows it queues behind it, all others flow on.
import { afterEach, expect, test } from 'vitest';
import { laneBundle, type LaneBundle, type Sent } from '../support/lane-bundle.ts';
import { SCENARIO_SQL, scenarioTypes } from '../support/lane-types.ts';

let open: LaneBundle | undefined;
const bundle = async (moreSql = '', batchCountMax = 1_000): Promise<LaneBundle> =>
  (open = await laneBundle({ types: scenarioTypes, sql: `${SCENARIO_SQL};${moreSql}`, batchCountMax }));
afterEach(async () => {
  await open?.close();
  open = undefined;
});

const ACCOUNTS = 200;
/** A thousand commands over 200 accounts, five each; each adds 1 but those in `others`, by their place. */
function thousand(others: ReadonlyMap<number, Omit<Sent, 'id'>>): readonly Omit<Sent, 'id'>[] {
  return Array.from(
    { length: 1_000 },
    (_, at) => others.get(at) ?? { type: 'account.add', subject: String(at % ACCOUNTS), data: { by: 1 } },
  );
}

interface Parked {
  readonly resource: string;
  readonly number: string;
  readonly id: string;
  readonly code: string;
  readonly sqlstate: string | null;
}

const parkedIn = ({ sql }: LaneBundle): Promise<readonly Parked[]> =>
  sql<Parked>('select resource, number::text, id, code, sqlstate from {schema}.parked order by resource, number');

/** Only the command at `at` failed; those of its account after it queue behind it; everything else was applied. */
async function expectAlone(
  lane: LaneBundle,
  sent: readonly Sent[],
  at: number,
  failed: Pick<Parked, 'code' | 'sqlstate'>,
) {
  const account = at % ACCOUNTS;
  const behind = sent.filter((_, index) => index > at && index % ACCOUNTS === account);
  const resource = `account/${account}`;
  expect(await parkedIn(lane)).toEqual([
    { resource, number: '1', id: sent[at]?.id, ...failed },
    ...behind.map(({ id }, index) => ({
      resource,
      number: String(index + 2),
      id,
      code: 'resource-held',
      sqlstate: null,
    })),
  ]);
  const applied = Math.floor(at / ACCOUNTS);
  const odd = `(id = ${account} and (balance <> ${applied} or revision <> ${applied}))`;
  const even = `(id <> ${account} and (balance <> 5 or revision <> 5))`;
  expect(await lane.sql(`select * from {tables}.account where ${odd} or ${even}`)).toEqual([]);
  expect(await lane.sql('select count(*)::integer as rows from {tables}.account')).toEqual([{ rows: ACCOUNTS }]);
  const outcomes = await lane.sql('select outcome, count(*)::integer as rows from {schema}.ledger group by outcome');
  expect(outcomes).toEqual([{ outcome: 'applied', rows: 999 - behind.length }]);
  expect(await lane.sql('select resource, next_number::integer as next from {schema}.hold')).toEqual([
    { resource, next: behind.length + 2 },
  ]);
}

test('a check constraint violated in the middle of a batch of 1,000 parks that command alone', async () => {
  const lane = await bundle();
  const at = 437;
  const spent = { type: 'account.add', subject: String(at % ACCOUNTS), data: { by: -10 } };
  const sent = await lane.publish(thousand(new Map([[at, spent]])));
  lane.start();
  await lane.caughtUp();
  await expectAlone(lane, sent, at, { code: 'refused-by-database', sqlstate: '23514' });
});

test('a deferred constraint that fails at COMMIT parks its command alone', async () => {
  const lane = await bundle(`
    create function {tables}.refuse() returns trigger language plpgsql as $$
    begin
      if new.balance > 900 then raise exception 'too rich' using errcode = 'check_violation'; end if;
      return null;
    end $$;
    create constraint trigger not_too_rich after insert or update on {tables}.account
      deferrable initially deferred for each row execute function {tables}.refuse()`);
  const at = 611;
  const rich = { type: 'account.add', subject: String(at % ACCOUNTS), data: { by: 1_000 } };
  const sent = await lane.publish(thousand(new Map([[at, rich]])));
  lane.start();
  await lane.caughtUp();
  await expectAlone(lane, sent, at, { code: 'refused-by-database', sqlstate: '23514' });
});

test('a decide that throws parks its command alone, without asking the database', async () => {
  const lane = await bundle();
  const at = 250;
  const sent = await lane.publish(
    thousand(new Map([[at, { type: 'account.explode', subject: String(at % ACCOUNTS) }]])),
  );
  lane.start();
  await lane.caughtUp();
  await expectAlone(lane, sent, at, { code: 'decide-threw', sqlstate: null });
  expect(lane.events.filter((event) => event.kind === 'batch-narrowed')).toEqual([]);
});

test('10,000 culprits in one batch are parked, each with its own resource; a good one among them is applied', async () => {
  const lane = await bundle('', 10_001);
  const culprits = Array.from({ length: 10_000 }, (_, at) => ({
    type: 'account.add',
    subject: String(at),
    data: { by: -1 },
  }));
  const good = { type: 'account.add', subject: '77777', data: { by: 1 } };
  await lane.publish([...culprits.slice(0, 5_000), good, ...culprits.slice(5_000)]);
  lane.start();
  await lane.caughtUp();
  expect(
    await lane.sql(
      'select code, count(*)::integer as rows, count(distinct resource)::integer as held from {schema}.parked group by code',
    ),
  ).toEqual([{ code: 'refused-by-database', rows: 10_000, held: 10_000 }]);
  expect(await lane.sql('select id::text from {tables}.account')).toEqual([{ id: '77777' }]);
});

test('a command that only waits for others of its batch is not blamed for the culprit beside it', async () => {
  const lane = await bundle();
  const sent = await lane.publish([
    { type: 'child.join', subject: 'kim', data: { parent: 'pat' } },
    { type: 'account.add', subject: '1', data: { by: -5 } },
    { type: 'parent.write', subject: 'pat', data: { remark: '' } },
    { type: 'account.add', subject: '1', data: { by: 1 } },
  ]);
  lane.start();
  await lane.caughtUp();
  expect((await parkedIn(lane)).map(({ id }) => id)).toEqual([sent[1]?.id, sent[3]?.id]);
  expect(await lane.sql('select name, parent from {tables}.child')).toEqual([{ name: 'kim', parent: 'pat' }]);
});

test('values that are swapped, and chains of waiting, pass between culprits of the same constraints', async () => {
  const lane = await bundle();
  const take = (subject: string, place: number) => ({ type: 'seat.take', subject, data: { place } });
  const join = (subject: string, parent: string) => ({ type: 'child.join', subject, data: { parent } });
  await lane.publish([
    take('a', 1),
    take('b', 2),
    take('c', 3),
    { type: 'parent.write', subject: 'old', data: { remark: '' } },
    join('ann', 'old'),
  ]);
  const culprits = [join('lost', 'nobody'), { type: 'account.add', subject: '1', data: { by: -5 } }, take('greedy', 3)];
  const [first, second, third] = culprits;
  await lane.publish(
    [
      ...[take('a', 2), join('kim', 'pat'), first, { type: 'parent.erase', subject: 'old' }, join('kim', 'new')],
      ...[
        take('b', 1),
        second,
        join('ann', 'new'),
        third,
        { type: 'parent.write', subject: 'new', data: { remark: '' } },
      ],
      { type: 'parent.write', subject: 'pat', data: { remark: '' } },
    ].flatMap((each) => each ?? []),
  );
  lane.start();
  await lane.caughtUp();
  expect((await parkedIn(lane)).map(({ resource }) => resource)).toEqual(['account/1', 'child/lost', 'seat/greedy']);
  expect(await lane.sql('select name, place from {tables}.seat order by name')).toEqual([
    { name: 'a', place: 2 },
    { name: 'b', place: 1 },
    { name: 'c', place: 3 },
  ]);
  expect(await lane.sql('select name, parent, revision::integer from {tables}.child order by name')).toEqual([
    { name: 'ann', parent: 'new', revision: 2 },
    { name: 'kim', parent: 'new', revision: 2 },
  ]);
  expect(await lane.sql('select name from {tables}.parent order by name')).toEqual([{ name: 'new' }, { name: 'pat' }]);
});

test('a trigger that raises, and one that returns null, park the commands whose rows they refuse', async () => {
  const lane = await bundle(`
    create function {tables}.choosy() returns trigger language plpgsql as $$
    begin
      if new.id = 7 then raise exception 'never seven'; end if;
      if new.id = 8 then return null; end if;
      return new;
    end $$;
    create trigger choosy before insert or update on {tables}.account
      for each row execute function {tables}.choosy()`);
  await lane.publish(['6', '7', '8', '9', '7'].map((subject) => ({ type: 'account.add', subject, data: { by: 1 } })));
  lane.start();
  await lane.caughtUp();
  expect(await parkedIn(lane)).toEqual([
    expect.objectContaining({ resource: 'account/7', number: '1', code: 'refused-by-database', sqlstate: 'P0001' }),
    expect.objectContaining({ resource: 'account/7', number: '2', code: 'resource-held' }),
    expect.objectContaining({ resource: 'account/8', number: '1', code: 'refused-by-database' }),
  ]);
  expect(await lane.sql('select id::text from {tables}.account order by id')).toEqual([{ id: '6' }, { id: '9' }]);
});

test('NUL in a text parks its command with its bytes, and holds nobody else', async () => {
  const lane = await bundle();
  await lane.publish([
    { type: 'parent.write', subject: 'a', data: { remark: 'fine' } },
    { type: 'parent.write', subject: 'b', data: { remark: 'not\u0000fine' } },
    { type: 'parent.write', subject: 'c', data: { remark: 'fine again' } },
  ]);
  lane.start();
  await lane.caughtUp();
  const parked = await lane.sql<{ resource: string; text: string; detail: string }>(
    `select resource, convert_from(bytes, 'UTF8') as text, detail from {schema}.parked`,
  );
  expect(parked).toEqual([expect.objectContaining({ resource: 'parent/b' })]);
  expect(JSON.parse(parked[0]?.text ?? '')).toMatchObject({ data: { remark: 'not\u0000fine' } });
  expect(await lane.sql('select name from {tables}.parent order by name')).toEqual([{ name: 'a' }, { name: 'c' }]);
});

test('"02" is rejected where "2" is meant: one row never has two names', async () => {
  const lane = await bundle();
  await lane.publish(['2', '02', '2'].map((subject) => ({ type: 'account.add', subject, data: { by: 1 } })));
  lane.start();
  await lane.caughtUp();
  expect(await lane.sql('select id::text, balance::text from {tables}.account')).toEqual([{ id: '2', balance: '2' }]);
  expect(await lane.sql('select resource, outcome, code from {schema}.ledger where outcome <> $$applied$$')).toEqual([
    { resource: 'account/02', outcome: 'rejected', code: 'subject-not-canonical' },
  ]);
  expect(await parkedIn(lane)).toEqual([]);
});
