// Owns the reading of what a lane left in PostgreSQL, in the form that the interpreter is compared in.
import type { Headers } from '../../shared/command/entry.ts';
import type { TestDatabase } from '../support/database.ts';
import { stateOf, type Findings } from './compare.ts';
import { wholeText } from './interpreter.ts';
import { worldTypes } from './world.ts';

interface Row {
  readonly key: string;
  readonly value: unknown;
}

/** `{schema}` and `{tables}` are the test's own. Numbers come as JSON, so that revisions compare as numbers. */
const ROWS = `
select 'counter/' || id as key, array[value::text] as columns, to_json(revision) as revision
from {tables}.counters
union all
select 'note/' || name,
  array[text, edits::text, price::text, (at at time zone 'utc')::text || '+00', owner::text, doc::text, mark::text],
  to_json(changes)
from {tables}.notes`;
const GONE = `
select resource as key, to_json(revision) as value
from {schema}.last_revision
where resource not in (select 'counter/' || id from {tables}.counters union all select 'note/' || name from {tables}.notes)`;
const OUTCOMES = `
select resource || ' ' || id as key,
  json_build_object('outcome', outcome, 'revision', revision, 'code', code, 'reply', reply::json) as value
from {schema}.ledger`;
const PARKED = `
select resource as key, json_agg(json_build_object('id', id, 'code', code) order by number) as value
from {schema}.parked
group by resource`;
const STRAYS = `select headers, bytes, reason from {schema}.stray order by number`;
const LEDGER_ROWS = `select count(*)::integer as count from {schema}.ledger`;

export async function foundIn(db: TestDatabase): Promise<Findings> {
  const read = async <T extends object>(sql: string): Promise<readonly T[]> => {
    const text = sql.replaceAll('{schema}', db.schema).replaceAll('{tables}', db.tables);
    return (await db.database.pool.query<T>(text)).rows;
  };
  const strays = await read<{ headers: Buffer; bytes: Buffer; reason: string }>(STRAYS);
  return {
    rows: record((await read<TableRow>(ROWS)).map(decoded)),
    goneAt: record(await read(GONE)) as Findings['goneAt'], // revisions as JSON numbers
    outcomes: record(await read(OUTCOMES)),
    ledgerRows: (await read<{ count: number }>(LEDGER_ROWS))[0]?.count ?? -1,
    parked: record(await read(PARKED)) as Findings['parked'], // built as JSON in this form
    strays: strays.map(({ headers, bytes, reason }) => ({
      text: wholeText({ headers: JSON.parse(headers.toString()) as Headers, bytes }), // as the store wrote them
      reason,
    })),
  };
}

interface TableRow {
  readonly key: string;
  readonly columns: readonly string[];
  readonly revision: number;
}

function decoded({ key, columns, revision }: TableRow): Row {
  return { key, value: { state: stateOf(key, columns, worldTypes), revision } };
}

function record(rows: readonly Row[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(rows.map(({ key, value }) => [key, value]));
}
