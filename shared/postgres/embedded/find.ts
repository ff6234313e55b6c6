// Owns finding the server that serves a data directory already, proven by its password.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import {
  dataDirectory,
  DATABASE,
  runningPostmaster,
  serverUrl,
  type DataDirectory,
  type Postmaster,
} from './data-directory.ts';
import { EmbeddedFailed } from './embedded-errors.ts';

const CONNECT_MS = 5_000;
const SETTLE_MS = 120_000;
const POLL_MS = 20;

/** The URL of a server that runs on this directory and takes the kept password; null when there is none, or it is on its way out. */
export async function findEmbeddedServer(path: string): Promise<string | null> {
  const directory = dataDirectory(path);
  const running = runningPostmaster(directory);
  const url = running?.status === 'ready' ? serverUrl(directory, running.port) : null;
  return url !== null && (await answer(url)) === 'yes' ? url : null;
}

/** Waits out a start or a stop in progress; null when nobody serves the directory in the end. */
export async function settledPostmaster(directory: DataDirectory): Promise<Postmaster | null> {
  const until = performance.now() + SETTLE_MS;
  while (performance.now() < until) {
    const running = runningPostmaster(directory);
    if (running === null) return null;
    if (running.status === 'ready') {
      const said = await answer(serverUrl(directory, running.port, 'postgres') ?? '');
      if (said === 'yes') return running;
      if (said === 'refused') throw refused(directory, running);
    }
    await sleep(POLL_MS);
  }
  throw new EmbeddedFailed(
    `the server that runs on ${directory.root} neither starts nor stops: end process ${runningPostmaster(directory)?.pid ?? ''}`,
  );
}

/** A new server has no database of ours, and a start that was killed may not have come to it. */
export async function ensureDatabase(directory: DataDirectory, port: number): Promise<void> {
  if ((await answer(serverUrl(directory, port) ?? '')) === 'yes') return;
  const client = clientOf(serverUrl(directory, port, 'postgres') ?? '');
  await client.connect();
  try {
    await client.query(`create database ${DATABASE}`);
  } catch (thrown) {
    if (!(thrown instanceof pg.DatabaseError && thrown.code === '42P04')) throw thrown;
  } finally {
    await client.end();
  }
}

async function answer(url: string): Promise<'yes' | 'refused' | 'no'> {
  const client = clientOf(url);
  try {
    await client.connect();
    await client.query('select 1');
    return 'yes';
  } catch (thrown) {
    return thrown instanceof pg.DatabaseError && thrown.code?.startsWith('28') === true ? 'refused' : 'no';
  } finally {
    await client.end().catch(() => undefined);
  }
}

function clientOf(url: string): pg.Client {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: CONNECT_MS,
    application_name: 'onelane-embedded',
  });
  client.on('error', () => undefined);
  return client;
}

function refused(directory: DataDirectory, running: Postmaster): EmbeddedFailed {
  return new EmbeddedFailed(
    `the server that runs on ${directory.root} (process ${running.pid}) does not take the password in ${directory.password}: stop it and start again`,
  );
}
