// Owns the connection to PostgreSQL: checked once, then a pool for everything but the lanes, and a pool for the lanes.
import pg from 'pg';
import type { Observe } from '../process/events.ts';
import { connectFailure, DatabasePooler, tooOld, whereOf } from './database-errors.ts';
import type { SchemaName } from './schema-name.ts';
import { ownSchemaLast } from './search-path.ts';

export interface Database {
  readonly url: string;
  /** Onelane's own. */
  readonly schema: SchemaName;
  /** For short statements; a lane has clients of its own. */
  readonly pool: pg.Pool;
}

export interface SessionTimeouts {
  readonly statementMs: number;
  /** Less than statementMs: waiting for a lock must end as 55P03, not as 57014. */
  readonly lockMs: number;
  readonly idleInTransactionMs: number;
  /** How long the server waits for an acknowledgement of what it has sent. */
  readonly tcpUserMs: number;
}

export const LANE_TIMEOUTS: SessionTimeouts = {
  statementMs: 10_000,
  lockMs: 4_000,
  idleInTransactionMs: 10_000,
  tcpUserMs: 10_000,
};
const POOL_TIMEOUTS: SessionTimeouts = {
  statementMs: 30_000,
  lockMs: 10_000,
  idleInTransactionMs: 30_000,
  tcpUserMs: 30_000,
};
/** For changes of tables: they may rewrite a large one, or wait for whoever uses it. */
const PATIENT_TIMEOUTS: SessionTimeouts = { ...POOL_TIMEOUTS, statementMs: 600_000, lockMs: 600_000 };
const CONNECT_MS = 10_000;
/** When no answer comes at all (a frozen server, a dead network), the client gives the connection up. */
const ANSWER_MS = 60_000;
const KEEPALIVE_AFTER_MS = 10_000;
const POOLER_ROUNDS = 3;

/**
 * Opens the pool and proves that the server can be used: reachable, new enough, and not behind a pooler that shares sessions.
 * Throws one of database-errors and leaves nothing open.
 */
export async function openDatabase(wanted: {
  readonly url: string;
  readonly schema: SchemaName;
  readonly poolMax: number;
  readonly observe: Observe;
}): Promise<Database> {
  const where = whereOf(wanted.url);
  const pool = openPool({
    db: wanted,
    max: Math.max(2, wanted.poolMax),
    name: 'onelane',
    timeouts: POOL_TIMEOUTS,
  });
  pool.on('error', (cause) => {
    // Clients go on closing after the pool has ended; a server that stops meanwhile is no news.
    if (!pool.ending) wanted.observe({ kind: 'connection-lost', what: 'database', cause });
  });
  try {
    await checkServer(pool, where);
  } catch (cause) {
    await pool.end();
    throw cause;
  }
  return { url: wanted.url, schema: wanted.schema, pool };
}

/** Idempotent; waits for clients that are still borrowed. */
export async function closeDatabase(db: Database): Promise<void> {
  if (!db.pool.ending) await db.pool.end();
}

/** By this a successor's claim knows the sessions that it may end. */
export const LANE_SESSION_NAME = 'onelane-lane';

/**
 * Lanes and the log run few statements, each by key, with arrays of any length, on tables that may have been empty when the statement
 * was first planned. So: one plan for all, through the index, never a scan that was right only while the table was small. Planning
 * each time took a third of the time of an append.
 */
export const KEYED_PLANNING = `
set plan_cache_mode = force_generic_plan;
set enable_seqscan = off;
set jit = off;
`;

/** Clients with sessions as lanes need them. The caller ends the pool. */
export function openLanePool(db: Pick<Database, 'url' | 'schema'>, max = 8, timeouts = LANE_TIMEOUTS): pg.Pool {
  return openPool({ db, max, name: LANE_SESSION_NAME, timeouts, planning: KEYED_PLANNING });
}

/** One session whose client waits as long as the server lets each statement run. The caller ends the pool. */
export function openPatientPool(db: Pick<Database, 'url' | 'schema'>): pg.Pool {
  return openPool({ db, max: 1, name: 'onelane', timeouts: PATIENT_TIMEOUTS, answerMs: 0 });
}

interface PoolWanted {
  readonly db: Pick<Database, 'url' | 'schema'>;
  readonly max: number;
  readonly name: string;
  readonly timeouts: SessionTimeouts;
  readonly planning?: string;
  /** 0: without end. */
  readonly answerMs?: number;
}

function openPool(wanted: PoolWanted): pg.Pool {
  const { db, timeouts, planning = '' } = wanted;
  const settings = sessionSettings(timeouts) + planning + ownSchemaLast(db.schema);
  const pool = new pg.Pool({
    ...connectionOptions(db.url, wanted.name),
    query_timeout: wanted.answerMs ?? ANSWER_MS,
    max: wanted.max,
    // A statement and not a start-up parameter: poolers in session mode refuse start-up parameters that they do not know.
    verify: (client, done) => {
      client.query(settings).then(() => {
        done();
      }, done);
    },
  });
  // Without a listener, a connection that breaks while it is idle or borrowed would end the process. Who uses it gets the error.
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('error', () => undefined);
  return pool;
}

/** How every connection of ours is made. */
export function connectionOptions(url: string, applicationName: string): pg.ClientConfig {
  return {
    connectionString: withoutName(url),
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: ANSWER_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_AFTER_MS,
  };
}

/** A name in the URL would win over ours, by which sessions of lanes are known. */
function withoutName(url: string): string {
  if (!url.includes('application_name')) return url;
  const named = new URL(url);
  named.searchParams.delete('application_name');
  return named.href;
}

/** Text forms are fixed so that what is read can be compared and written back without loss, whatever the server's defaults. */
export function sessionSettings(timeouts: SessionTimeouts): string {
  return `
set synchronous_commit = on;
set statement_timeout = ${timeouts.statementMs};
set lock_timeout = ${timeouts.lockMs};
set idle_in_transaction_session_timeout = ${timeouts.idleInTransactionMs};
set tcp_user_timeout = ${timeouts.tcpUserMs};
set default_transaction_isolation = 'read committed';
set TimeZone = 'UTC';
set DateStyle = 'ISO';
set IntervalStyle = 'postgres';
set bytea_output = 'hex';
set extra_float_digits = 1;
`;
}

async function checkServer(pool: pg.Pool, where: string): Promise<void> {
  const first = await connect(pool, where);
  try {
    const { rows } = await first.query<{ version: string }>('select current_setting($1) as version', [
      'server_version_num',
    ]);
    const old = tooOld(Number(rows[0]?.version), where);
    if (old !== null) throw old;
    await refuseSharedSessions(pool, first, where);
  } finally {
    first.release();
  }
}

/**
 * A transaction-mode pooler lends one server session to many clients: settings get lost and LISTEN hears nothing. It is known by
 * two clients that are both connected, and meet in one server process or see their own process change.
 */
async function refuseSharedSessions(pool: pg.Pool, first: pg.PoolClient, where: string): Promise<void> {
  const second = await connect(pool, where);
  try {
    const mine = await serverProcess(first);
    for (let round = 0; round < POOLER_ROUNDS; round++) {
      // Asked twice: a pooler that deals two sessions in turn would give each of us the same one every time.
      const seen = [await serverProcess(first), await serverProcess(first)];
      const its = await serverProcess(second);
      if (its !== mine && seen.every((pid) => pid === mine)) continue;
      throw new DatabasePooler(
        `between here and PostgreSQL at ${where} stands a pooler in transaction mode: connect to the server itself, or switch the pooler to session mode`,
      );
    }
  } finally {
    second.release();
  }
}

async function serverProcess(client: pg.PoolClient): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid;
}

async function connect(pool: pg.Pool, where: string): Promise<pg.PoolClient> {
  try {
    return await pool.connect();
  } catch (cause) {
    throw connectFailure(cause, where);
  }
}
