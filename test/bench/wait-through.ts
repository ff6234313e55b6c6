// Owns the ratio of waiting over HTTP at low load: a whole system on a broker against the same on `postgres`.
import { freshSchemas, type TestSchemas } from '../support/database.ts';
import { accountTable } from './accounts.ts';
import { loadHttp } from './http-load.ts';
import { judged, median, type Judged } from './measure.ts';
import { startOurs, stop, waitLoad, type Setting, type Started } from './part-http.ts';
import type { BenchGiven } from './main.ts';

const ROWS = 1_000;
const WARM_UP = 200;

/** `env`: the settings of the broker's transport, by their variables. */
export async function waitThrough(
  broker: string,
  env: Readonly<Record<string, string>>,
  { url, rounds }: Pick<BenchGiven, 'url' | 'rounds'>,
): Promise<readonly Judged[]> {
  const schemas = [await freshSchemas({ sql: accountTable(ROWS) }), await freshSchemas({ sql: accountTable(ROWS) })];
  const started: Started[] = [];
  try {
    for (const [at, named] of [{ ONELANE_TRANSPORT: broker, ...env }, { ONELANE_TRANSPORT: 'postgres' }].entries()) {
      started.push(await startOurs(settingOf(url, schemas[at], named)));
    }
    const [overBroker = Number.NaN, overPostgres = Number.NaN] = await medians(started, rounds);
    console.log('\nOver HTTP with wait, 1 connection');
    console.log(
      `  median: through ${broker} ${overBroker.toFixed(2)} ms, through postgres ${overPostgres.toFixed(2)} ms`,
    );
    return [
      judged(`HTTP single with wait, low load: median through ${broker} against postgres`, overBroker / overPostgres, {
        atMost: 3,
      }),
    ];
  } finally {
    for (const { child } of started) await stop(child);
    for (const each of schemas) await each.close();
  }
}

function settingOf(url: string, schemas: TestSchemas | undefined, named: Readonly<Record<string, string>>): Setting {
  if (schemas === undefined) throw new Error('there is a database for each');
  const env = { DATABASE_URL: url, ONELANE_SCHEMA: schemas.schema, BENCH_TABLES: schemas.tables, ...named };
  return { rounds: 1, command: 'up', env };
}

/** Of the rounds' medians; both systems run throughout and take turns. */
async function medians(systems: readonly Started[], rounds: number): Promise<readonly number[]> {
  const figures = systems.map((): number[] => []);
  for (const { port } of systems) await loadHttp({ ...waitLoad(port), count: WARM_UP });
  for (let round = 0; round < rounds; round++) {
    for (const [at, { port }] of systems.entries()) {
      figures[at]?.push((await loadHttp(waitLoad(port))).medianLatencyMs);
    }
  }
  return figures.map(median);
}
