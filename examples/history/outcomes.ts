// Owns counting what became of the commands of one run: those only, whoever else sends at the same time and whatever was left over.
import pg from 'pg';

export interface Counts {
  readonly applied: number;
  /** Sent before this run: the first outcome stands. */
  readonly repeats: number;
  readonly rejected: number;
  readonly parked: number;
}

export interface CountGiven {
  readonly databaseUrl: string;
  readonly schema: string;
  readonly ids: readonly string[];
  /** When this run began, by the database's clock: what was accepted before it is a repeat. */
  readonly since: Date;
}

const IDS_PER_QUERY = 10_000;

export function databaseNow(databaseUrl: string): Promise<Date> {
  return withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ readonly now: Date }>('select clock_timestamp() as now');
    return rows[0]?.now ?? new Date();
  });
}

export function countOutcomes({ databaseUrl, schema, ids, since }: CountGiven): Promise<Counts> {
  return withClient(databaseUrl, async (client) => {
    const counts = { applied: 0, repeats: 0, rejected: 0, parked: 0 };
    for (let at = 0; at < ids.length; at += IDS_PER_QUERY) {
      const { rows } = await client.query<{ readonly what: keyof Counts; readonly count: number }>(
        countSql(client.escapeIdentifier(schema)),
        [ids.slice(at, at + IDS_PER_QUERY), since],
      );
      for (const { what, count } of rows) counts[what] += count;
    }
    return counts;
  });
}

const countSql = (schema: string): string => `
select case
         when outcome = 'rejected' then 'rejected'
         when at < $2 then 'repeats'
         else 'applied'
       end as what,
       count(*)::integer as count
from ${schema}.ledger
where id = any($1::uuid[])
group by 1
union all
select 'parked', count(*)::integer
from ${schema}.parked
where id = any($1::uuid[])`;

async function withClient<T>(databaseUrl: string, act: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'onelane-example' });
  await client.connect();
  try {
    return await act(client);
  } finally {
    await client.end();
  }
}
