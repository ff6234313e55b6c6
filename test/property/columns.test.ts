// Proves that every column codec brings back from PostgreSQL what was given to it, and what a batch sees of its own writes is what the next one reads.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { postgresBatchStore } from '../../consumers/lane/postgres/store.ts';
import type { Tenure } from '../../consumers/lane/batch-store.ts';
import { contract } from '../../shared/command/contract.ts';
import { newUuid, resourceKey, revision, trustedTypeName } from '../../shared/command/identity.ts';
import { systemClock } from '../../shared/process/time.ts';
import {
  bigint,
  boolean,
  bytea,
  double,
  integer,
  nullable,
  numeric,
  text,
  textArray,
  uuid,
} from '../../shared/resources/columns.ts';
import { resourceType } from '../../shared/resources/define-config.ts';
import { jsonb } from '../../shared/resources/json-column.ts';
import { tableCheck } from '../../shared/resources/table-check.ts';
import { tableRows } from '../../shared/resources/table-rows.ts';
import { date, timestamptz } from '../../shared/resources/temporal-columns.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { P0, planThrough } from '../support/store-bundle.ts';

const THING = trustedTypeName('thing');
const columns = {
  amount: bigint('a"mount'),
  count: integer('select'),
  price: numeric('Price of it'),
  cents: numeric('cents', { scale: 2 }),
  ratio: double(),
  on: boolean('on'),
  note: text('from'),
  label: nullable(text('Ünïcode, "quoted" {},\\')),
  at: timestamptz(),
  day: date(),
  doc: jsonb(),
  which: uuid('user'),
  bytes: nullable(bytea('bytes')),
  tags: textArray('tags$1'),
};
const rowsIn = (schema: string) =>
  tableRows({ table: `${schema}.thing`, key: { column: 'the key', type: 'text' }, revision: 'order', columns });

let db: TestDatabase;
beforeAll(async () => {
  db = await freshDatabase({
    sql: `create table {tables}.thing (
      "the key" text primary key, "order" bigint not null,
      "a""mount" bigint not null, "select" integer not null, "Price of it" numeric not null, cents numeric(40,2) not null,
      ratio double precision not null, "on" boolean not null, "from" text not null, "Ünïcode, ""quoted"" {},\\" varchar,
      at timestamptz not null, day date not null, doc jsonb not null, "user" uuid not null, bytes bytea, tags$1 text[] not null
    )`.replace('tags$1', '"tags$1"'),
  });
});
afterAll(async () => {
  await db.close();
});

const digits = (length: number) => fc.stringMatching(new RegExp(`^[0-9]{${length}}$`));
const decimal = (scaleMax: number) =>
  fc
    .tuple(
      fc.boolean(),
      fc.stringMatching(/^(0|[1-9][0-9]{0,25})$/),
      fc.integer({ min: 0, max: scaleMax }).chain(digits),
    )
    .map(([minus, whole, fraction]) => `${minus ? '-' : ''}${whole}${fraction === '' ? '' : '.'}${fraction}`)
    .map((value) => (/^-0(\.0+)?$/.test(value) ? value.slice(1) : value));
const storableText = fc
  .string({ unit: 'binary', maxLength: 30 })
  .map((value) => value.replaceAll('\u0000', '').toWellFormed());
const instant = fc
  .tuple(
    fc.date({ min: new Date('0001-01-02T00:00:00Z'), max: new Date('9999-12-30T00:00:00Z'), noInvalidDate: true }),
    fc.integer({ min: 0, max: 999 }),
  )
  .map(([ms, micros]) =>
    micros === 0 ? ms.toISOString() : `${ms.toISOString().slice(0, -1)}${String(micros).padStart(3, '0')}Z`,
  );

const states = fc.record({
  amount: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  count: fc.integer(),
  price: fc.oneof(decimal(20), fc.constantFrom('NaN')),
  cents: decimal(2),
  ratio: fc.double(),
  on: fc.boolean(),
  note: storableText,
  label: fc.option(storableText),
  at: fc.oneof(instant, fc.constantFrom('infinity', '-infinity')),
  day: instant.map((at) => at.slice(0, 10)),
  doc: fc
    .jsonValue({ stringUnit: 'grapheme' })
    .map((value) => JSON.parse(JSON.stringify(value).replaceAll('\\u0000', ''))),
  which: fc.uuid(),
  bytes: fc.option(fc.uint8Array({ maxLength: 40 })),
  tags: fc.array(storableText, { maxLength: 4 }),
});

describe('a state', () => {
  it('comes back as it was written, key and all, and as a batch that wrote it sees it', async () => {
    const rows = rowsIn(db.tables);
    const check = tableCheck(rows, () => false);
    expect(check.judge((await db.database.pool.query(check.text, [...check.values])).rows)).toBeNull();
    const store = postgresBatchStore({
      consumer: newUuid(),
      database: db.database,
      lanePool: db.lanePool,
      types: new Map([
        [
          THING,
          resourceType({
            contract: contract('thing', { make: z.strictObject({}) }),
            rows,
            decide: () => ({ kind: 'unchanged' }),
          }),
        ],
      ]),
      ledgerRetentionMs: 86_400_000,
      observe: () => undefined,
      clock: systemClock,
    });
    let tenure: Tenure = await store.claim(P0, { owner: newUuid(), contractHash: '' });
    const things = fc.uniqueArray(
      fc.tuple(
        storableText.filter((key) => key !== ''),
        states,
      ),
      {
        selector: ([key]) => key,
        minLength: 1,
        maxLength: 40,
      },
    );
    await fc.assert(
      fc.asyncProperty(things, async (drawn) => {
        const keys = drawn.map(([key]) => key);
        const wanted = {
          ids: [],
          entries: [],
          keys: keys.map((key) => resourceKey(THING, key)),
          subjects: new Map([[THING, keys]]),
        };
        const write = drawn.map(([subject, state]) => ({ subject, key: resourceKey(THING, subject), state }));
        ({ tenure } = await store.transact(
          tenure,
          {
            wanted,
            plan: (found) =>
              planThrough(1n, {
                rows: write.map(({ subject, key, state }) => {
                  const before = found.rows.get(key) ?? null;
                  const next = revision((before?.revision ?? 0) + 1);
                  return {
                    type: THING,
                    key,
                    subject,
                    before,
                    after: { values: rows.encode(state), revision: next },
                    lastRevision: next,
                  };
                }),
              }),
          },
          'optimistic',
        ));
        ({ tenure } = await store.transact(
          tenure,
          {
            wanted,
            plan: (found) => {
              expect(found.rows.size).toBe(write.length);
              for (const { key, state } of write) {
                const read = found.rows.get(key)?.state;
                expect(read).toEqual(rows.decode(rows.encode(state)));
                expect(read).toEqual({ ...state, cents: padded(state.cents) });
              }
              return planThrough(2n);
            },
          },
          'rows',
        ));
      }),
      { numRuns: 60 },
    );
  });
});

/** A column with a scale prints all its digits. */
function padded(cents: string): string {
  const [whole = '', fraction = ''] = cents.split('.');
  return `${whole}.${fraction.padEnd(2, '0')}`;
}
