// Proves that the queue behind a held resource is bounded: past it the API takes nothing more for it, and everything for others.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFullHolds } from '../../../shared/postgres/hold-reads.ts';
import { httpBundle, type HttpBundle } from '../../support/producers/http-bundle.ts';

const PARKED_MAX = 3;
const PATIENCE = { timeout: 20_000 };
const LINES = { 'content-type': 'application/x-ndjson' };

let bundle: HttpBundle;
beforeAll(async () => {
  bundle = await httpBundle({ held: { parkedMax: PARKED_MAX, pollMs: 10 } });
});
afterAll(() => bundle.close());

const deposit = (subject: string) => ({ type: 'account.deposit', subject, data: { amount: 1 } });
const isRefused = async (subject: string) => (await bundle.post(deposit(subject))).status === 429;

/** What a lane writes when it parks these numbers of a resource. */
async function park(subject: string, numbers: readonly number[]): Promise<void> {
  const { schema, pool } = bundle.db.database;
  await pool.query(
    `with held as (insert into ${schema}.hold (resource, partition, next_number) values ($1, 0, $2))
     insert into ${schema}.parked (resource, number, id, content, partition, position, bytes, headers, appended_at, code, detail)
     select $1, number, gen_random_uuid(), '', 0, number, '', '', now(), 'decide-threw', '' from unnest($3::bigint[]) as number`,
    [`account/${subject}`, Math.max(...numbers) + 1, numbers],
  );
}

describe('a held resource', () => {
  it('below its bound queues what comes', async () => {
    await park('1', [1, 2]);
    await park('2', [1, 2, 3]);
    await expect.poll(() => isRefused('2'), PATIENCE).toBe(true);
    expect(await isRefused('1')).toBe(false);
  });

  it('at its bound takes nothing more, and says when to come again', async () => {
    await park('3', [1, 2, 3]);
    await expect.poll(() => isRefused('3'), PATIENCE).toBe(true);
    const answer = await bundle.post(deposit('3'));
    expect(answer).toMatchObject({ status: 429, body: { code: 'resource-held', id: expect.any(String) } });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await bundle.post(deposit('4'))).status).toBe(202);
  });

  it('at its bound stops its own lines, and no others', async () => {
    await park('5', [1, 2, 3]);
    await expect.poll(() => isRefused('5'), PATIENCE).toBe(true);
    const body = ['5', '6', '5'].map((subject) => JSON.stringify(deposit(subject))).join('\n');
    const results = (await bundle.post(body, LINES)).text.trimEnd().split('\n');
    expect(results.map((each): unknown => JSON.parse(each))).toMatchObject([
      { line: 1, status: 'not-accepted', code: 'resource-held', id: expect.any(String) },
      { line: 2, status: 'accepted' },
      { line: 3, status: 'not-attempted', code: 'not-attempted' },
    ]);
  });

  it('takes commands again when some of its queue are gone', async () => {
    await park('7', [1, 2, 3]);
    await expect.poll(() => isRefused('7'), PATIENCE).toBe(true);
    const { schema, pool } = bundle.db.database;
    await pool.query(`delete from ${schema}.parked where resource = 'account/7' and number = 1`);
    await expect.poll(() => isRefused('7'), PATIENCE).toBe(false);
  });

  it('is found by the numbers that are parked, not by those that ever were', async () => {
    await park('8', [11, 12]);
    await park('9', [10, 11, 12]);
    const full = await readFullHolds(bundle.db.database, PARKED_MAX);
    expect(full).toContain('account/9');
    expect(full).not.toContain('account/8');
  });
});
