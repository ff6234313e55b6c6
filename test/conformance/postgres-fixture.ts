// Owns the postgres transport as the suite sees it: a schema per log, a connection pool and a gate of its own per process.
import type { OnelaneEvent } from '../../shared/process/events.ts';
import { closeDatabase, openDatabase } from '../../shared/postgres/database.ts';
import { quoted } from '../../shared/postgres/schema-name.ts';
import { systemClock } from '../../shared/process/time.ts';
import { postgresTransport } from '../../shared/transport/postgres/index.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { openTcpGate } from '../support/tcp-gate.ts';
import type { ConformanceFixture, ProcessUnderTest } from './suite/fixture.ts';

const DAY_MS = 86_400_000;

export const postgresFixture: ConformanceFixture = {
  name: 'postgres',
  traits: { positions: 'stored', assigns: 'by-lease', carriedBy: 'the database' },
  abilities: ['away', 'lost-answers', 'recreate', 'recreate-live', 'truncate', 'connections', 'inbox-bytes'],
  patienceMs: 20_000,
  quietMs: 150,
  async bundle({ partitions }) {
    const test = await freshDatabase({ partitions, transport: 'postgres' });
    const schema = quoted(test.schema);
    return {
      systemId: test.system.id,
      openProcess: (options) => openProcess(test, options?.inboxBytesMax),
      recreate: async () => {
        await test.database.pool.query(
          `begin; update ${schema}.log_head set next_position = 0; delete from ${schema}.log_segment; commit`,
        );
      },
      truncate: async (partition, before) => {
        await test.database.pool.query(
          `delete from ${schema}.log_segment where partition = $1 and last_position < $2`,
          [partition, before],
        );
      },
      close: () => test.close(),
    };
  },
};

/** All its connections go through one gate. */
export async function openProcess(
  test: TestDatabase,
  inboxBytesMax = 16 * 1024 * 1024,
  observe: (event: OnelaneEvent) => void = () => undefined,
): Promise<ProcessUnderTest> {
  const gate = await openTcpGate(test.url);
  const database = await openDatabase({ url: gate.url, schema: test.schema, poolMax: 2, observe });
  const transport = postgresTransport({
    database,
    systemId: test.system.id,
    logRetentionMs: DAY_MS,
    inboxBytesMax,
    observe,
    clock: systemClock,
  });
  let closed: Promise<void> | undefined;
  return {
    transport,
    cut: () => Promise.resolve(gate.refuse()),
    loseAnswers: () => Promise.resolve(gate.swallowAnswers()),
    restore: () => Promise.resolve(gate.admit()),
    connections: () => gate.connections(),
    inboxBytes: () => transport.inboxBytes(),
    close: () => (closed ??= closeDatabase(database)),
  };
}
