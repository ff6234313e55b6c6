// Owns the way everybody does it first: `select … for update`, change, write, by many clients on one row or on many.
import pg from 'pg';
import { timed, type Contender } from './measure.ts';

/** `clients` connections share `count` deposits over `rows` accounts of `table` (id bigint, revision bigint, balance bigint). */
export function rowLock(url: string, table: string, load: { clients: number; rows: number; count: number }): Contender {
  return {
    name: `select … for update, ${load.clients} clients, ${load.rows.toLocaleString('en')} rows`,
    run: async () => {
      const pool = new pg.Pool({ connectionString: url, max: load.clients });
      try {
        await Promise.all(Array.from({ length: load.clients }, async () => (await pool.connect()).release()));
        let left = load.count;
        const client = async (): Promise<void> => {
          const connection = await pool.connect();
          while (left-- > 0) await deposit(connection, table, 1 + Math.floor(Math.random() * load.rows));
          connection.release();
        };
        return await timed(load.count, async () => await Promise.all(Array.from({ length: load.clients }, client)));
      } finally {
        await pool.end();
      }
    },
  };
}

/** One read-modify-write as an application does it: four round trips, one commit. */
export async function deposit(client: pg.ClientBase, table: string, account: number): Promise<void> {
  await client.query('begin');
  const found = await client.query<{ balance: string }>({
    name: `lock-${table}`,
    text: `select balance from ${table} where id = $1 for update`,
    values: [account],
  });
  const balance = BigInt(found.rows[0]?.balance ?? '0') + 5n;
  await client.query({
    name: `write-${table}`,
    text: `update ${table} set balance = $2, revision = revision + 1 where id = $1`,
    values: [account, balance],
  });
  await client.query('commit');
}
