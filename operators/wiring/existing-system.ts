// Owns the way to a system that some other process has made: looked at, never changed.
import { closeDatabase, openDatabase, type Database } from '../../shared/postgres/database.ts';
import { isUntouched, migrate } from '../../shared/postgres/migrate.ts';
import { schemaName } from '../../shared/postgres/schema-name.ts';
import { readSystem, type System } from '../../shared/postgres/system.ts';
import { OnelaneError } from '../../shared/process/errors.ts';
import { inTime } from '../../shared/process/time.ts';
import { openTransport } from '../../shared/transport/catalogue.ts';
import type { Transport } from '../../shared/transport/transport.ts';
import type { Foundation, FoundationGiven } from './foundation.ts';
import { kafkaOf } from './kafka-settings.ts';
import { rabbitOf } from './rabbitmq-settings.ts';

export class SystemMissing extends OnelaneError {
  readonly code = 'system-missing' as const;
}

export type ExistingSystem = Omit<Foundation, 'config'>;

const POOL_MAX = 4;

/** Throws SystemMissing where no process has been yet, MigrationNeeded where none of this version has. */
export async function openExistingSystem(given: Omit<FoundationGiven, 'config'>): Promise<ExistingSystem> {
  const { url, settings, observe, clock } = given;
  const database = await openDatabase({ url, schema: schemaName(settings.schema), poolMax: POOL_MAX, observe });
  try {
    if (await isUntouched(database)) throw noSystem(database);
    await migrate(database, 'never', observe);
    const system = await knownSystem(database);
    const transport = transportOf(system, database, given);
    const close = (deadlineMs: number) =>
      inTime(
        transport.close().finally(() => closeDatabase(database)),
        deadlineMs,
        clock,
      );
    return { database, system, transport, close };
  } catch (cause) {
    await closeDatabase(database);
    throw cause;
  }
}

function noSystem({ schema }: Database): SystemMissing {
  return new SystemMissing(
    `there is no system in schema "${schema}" of this database: correct ONELANE_SCHEMA or DATABASE_URL, or start onelane up, api or consumer once`,
  );
}

async function knownSystem(database: Database): Promise<System> {
  const system = await readSystem(database);
  if (system !== null) return system;
  throw new SystemMissing(
    `schema "${database.schema}" has tables but no system yet: start onelane up, api or consumer once`,
  );
}

export function transportOf(
  system: System,
  database: Database,
  { settings, observe, clock }: Pick<FoundationGiven, 'settings' | 'observe' | 'clock'>,
): Transport {
  return openTransport(system.transport, {
    database,
    systemId: system.id,
    channel: system.channel,
    partitions: system.partitions,
    logRetentionMs: settings.logRetention,
    inboxBytesMax: settings.inbox,
    leaseMs: settings.lease,
    kafka: kafkaOf(settings),
    rabbitmq: () => rabbitOf(settings),
    observe,
    clock,
    random: Math.random,
  });
}
