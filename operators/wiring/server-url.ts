// Owns the choice of the database server: the one that is named, one that this process starts, or one that runs here already.
import { resolve } from 'node:path';
import { findEmbeddedServer } from '../../shared/postgres/embedded/find.ts';
import { startEmbeddedServer, type EmbeddedServer } from '../../shared/postgres/embedded/server.ts';
import { OnelaneError } from '../../shared/process/errors.ts';
import type { Observe } from '../../shared/process/events.ts';
import type { Settings } from '../../shared/process/settings.ts';

export class DatabaseNotSet extends OnelaneError {
  readonly code = 'database-not-set' as const;
}

export interface ServerChoice {
  readonly url: string;
  /** Ours to stop; null: a server of somebody else. */
  readonly embedded: EmbeddedServer | null;
  /** Where an embedded server keeps its data; null: the server was named. */
  readonly dataDirectory: string | null;
}

type Wanted = Pick<Settings, 'databaseUrl' | 'dataDirectory' | 'nodeEnv'>;

/** For `up`: starts an embedded server where none is named, but never in production. */
export async function startOrNamed(settings: Wanted, observe: Observe): Promise<ServerChoice> {
  if (settings.databaseUrl !== null) return named(settings.databaseUrl);
  if (settings.nodeEnv === 'production') {
    throw new DatabaseNotSet(
      'DATABASE_URL is not set, and with NODE_ENV=production no embedded server is started: set DATABASE_URL',
    );
  }
  const dataDirectory = resolve(settings.dataDirectory);
  const embedded = await startEmbeddedServer({ dataDirectory, observe });
  return { url: embedded.url, embedded, dataDirectory };
}

/** For every other command: uses an embedded server that runs here, and starts none. */
export async function runningOrNamed(settings: Wanted): Promise<ServerChoice> {
  if (settings.databaseUrl !== null) return named(settings.databaseUrl);
  const dataDirectory = resolve(settings.dataDirectory);
  const url = await findEmbeddedServer(dataDirectory);
  if (url !== null) return { url, embedded: null, dataDirectory };
  throw new DatabaseNotSet(
    `DATABASE_URL is not set, and no embedded server runs in ${dataDirectory}: set DATABASE_URL, or run onelane up in another terminal`,
  );
}

function named(url: string): ServerChoice {
  return { url, embedded: null, dataDirectory: null };
}
