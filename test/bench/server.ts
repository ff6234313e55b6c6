// Owns the PostgreSQL of a bench run: the one that DATABASE_URL names, else an embedded one with fsync on.
import pg from 'pg';
import { startTestServer } from '../support/postgres-server.ts';

export interface BenchServer {
  readonly url: string;
  readonly version: string;
  stop(): Promise<void>;
}

export async function startBenchServer(): Promise<BenchServer> {
  const named = process.env['DATABASE_URL'];
  const own = named === undefined ? await startTestServer({ max_connections: '200' }) : null;
  const url = named ?? own?.server.url ?? '';
  // For freshDatabase, which the contenders lay their tables with.
  process.env['TEST_DATABASE_URL'] = url;
  return { url, version: await versionOf(url), stop: async () => await own?.close() };
}

async function versionOf(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ server_version: string }>('show server_version');
    return rows[0]?.server_version ?? '';
  } finally {
    await client.end();
  }
}
