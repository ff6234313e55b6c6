// Owns the one server of a test run: the one that DATABASE_URL names, else an embedded one that ends with the run.
import type { TestProject } from 'vitest/node';
import { startTestServer, type TestServer } from './postgres-server.ts';

/** Many test files in parallel, each with a few pools. */
const CONNECTIONS_MAX = 300;

let server: TestServer | undefined;

/** The project that brings its own. */
const CONTAINERS = 'containers';

export async function setup({ vitest }: TestProject): Promise<void> {
  if (vitest.projects.every((project) => project.name === CONTAINERS)) return;
  if (process.env['DATABASE_URL'] !== undefined || process.env['TEST_DATABASE_URL'] !== undefined) return;
  // Without fsync: nobody kills this server, and its data ends with it. Tests that kill one start their own.
  server = await startTestServer({ max_connections: String(CONNECTIONS_MAX), fsync: 'off' });
  // Workers inherit it. Not DATABASE_URL itself, which the commands that a test starts would read.
  process.env['TEST_DATABASE_URL'] = server.server.url;
}

export async function teardown(): Promise<void> {
  await server?.close();
}
