// Owns PostgreSQL servers of a test's own, which it may kill: the product's embedded server in a directory under the system's temporary one.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedServer, type EmbeddedServer } from '../../shared/postgres/embedded/server.ts';

export interface TestServer {
  readonly server: EmbeddedServer;
  readonly directory: string;
  /** Stops the server and removes its directory. */
  close(): Promise<void>;
}

const STOP_MS = 10_000;

export async function startTestServer(settings: Readonly<Record<string, string>> = {}): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'onelane-test-'));
  try {
    const server = await startEmbeddedServer({ dataDirectory: directory, observe: () => undefined, settings });
    return { server, directory, close: () => server.stop(STOP_MS).then(() => removeDirectory(directory)) };
  } catch (cause) {
    await removeDirectory(directory);
    throw cause;
  }
}

function removeDirectory(directory: string): Promise<void> {
  return rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
