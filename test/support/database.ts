// Owns a fresh database for each test: schemas of its own in the run's one server, dropped at the end.
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { closeDatabase, openDatabase, openLanePool, type Database } from '../../shared/postgres/database.ts';
import { migrate } from '../../shared/postgres/migrate.ts';
import { quoted, schemaName, type SchemaName } from '../../shared/postgres/schema-name.ts';
import { openSystem, type System } from '../../shared/postgres/system.ts';
import type { OnelaneEvent } from '../../shared/process/events.ts';

export interface TestSchemas {
  readonly url: string;
  readonly database: Database;
  /** Onelane's own tables; not made yet. */
  readonly schema: SchemaName;
  /** Exists and is empty: for the test's own tables. */
  readonly tables: SchemaName;
  /** Clients open on demand. */
  readonly lanePool: pg.Pool;
  /** What the pool and the migrations observed. */
  readonly events: readonly OnelaneEvent[];
  /** Drops both schemas. Idempotent. */
  close(): Promise<void>;
}

export interface TestDatabase extends TestSchemas {
  readonly system: System;
}

export interface TestDatabaseOptions {
  readonly partitions?: number;
  readonly transport?: string;
  readonly channel?: string;
  readonly poolMax?: number;
  readonly lanePoolMax?: number;
  /** Statements that make the test's tables; `{tables}` stands for the quoted schema. */
  readonly sql?: string;
}

/** The server of this run: named in the environment, else started by global-setup. */
export function testServerUrl(): string {
  return process.env['DATABASE_URL'] ?? process.env['TEST_DATABASE_URL'] ?? 'postgres://root@127.0.0.1:5432/test';
}

/** Onelane's tables, migrated, with a system of `partitions` (4 by default). */
export async function freshDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const schemas = await freshSchemas(options);
  try {
    await migrate(schemas.database, 'auto', () => undefined);
    const system = await openSystem(schemas.database, {
      partitions: options.partitions ?? 4,
      transport: options.transport ?? 'memory',
      channel: options.channel ?? schemas.schema,
    });
    return { ...schemas, system };
  } catch (cause) {
    await schemas.close();
    throw cause;
  }
}

/** The same without tables and system, for tests of migrations. */
export async function freshSchemas(options: TestDatabaseOptions = {}): Promise<TestSchemas> {
  const name = `t_${randomBytes(6).toString('hex')}`;
  const schema = schemaName(name);
  const tables = schemaName(`${name}_rows`);
  const url = testServerUrl();
  const events: OnelaneEvent[] = [];
  const observe = (event: OnelaneEvent) => void events.push(event);
  const database = await openDatabase({ url, schema, poolMax: options.poolMax ?? 4, observe });
  const lanePool = openLanePool({ url, schema }, options.lanePoolMax ?? 4);
  await database.pool.query(`create schema ${quoted(tables)}`);
  if (options.sql !== undefined) await database.pool.query(options.sql.replaceAll('{tables}', quoted(tables)));
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= dropSchemas(database, lanePool, tables));
  return { url, database, schema, tables, lanePool, events, close };
}

/** A pool that gives up after 150 ms what takes longer, as a process's own does after a minute; the caller ends it. */
export function impatientPool(of: Pick<TestSchemas, 'url'>): pg.Pool {
  const pool = new pg.Pool({ connectionString: of.url, max: 1, query_timeout: 150 });
  pool.on('error', () => undefined);
  return pool;
}

async function dropSchemas(database: Database, lanePool: pg.Pool, tables: SchemaName): Promise<void> {
  if (!lanePool.ending) await lanePool.end();
  await closeDatabase(database);
  const client = new pg.Client({ connectionString: database.url, application_name: 'onelane-test-end' });
  await client.connect();
  try {
    await client.query(`set lock_timeout = 20000; set client_min_messages = warning`);
    await client.query(
      `drop schema if exists ${quoted(database.schema)} cascade; drop schema if exists ${quoted(tables)} cascade`,
    );
  } finally {
    await client.end();
  }
}
