// Owns what API and consumer both stand on: a checked database, the system's identity, the developer's tables, the transport.
import { closeDatabase, openDatabase, type Database } from '../../shared/postgres/database.ts';
import { migrate } from '../../shared/postgres/migrate.ts';
import { schemaName } from '../../shared/postgres/schema-name.ts';
import { openSystem, type System } from '../../shared/postgres/system.ts';
import type { Observe } from '../../shared/process/events.ts';
import type { Settings } from '../../shared/process/settings.ts';
import { inTime, type Clock } from '../../shared/process/time.ts';
import type { Transport } from '../../shared/transport/transport.ts';
import { checkTables } from './check-tables.ts';
import { applyConfigSql } from './config-sql.ts';
import { transportOf } from './existing-system.ts';
import type { KafkaSettings } from './kafka-settings.ts';
import type { LoadedConfig } from './load-config.ts';
import { provisioned } from './provisioned.ts';
import type { RabbitSettings } from './rabbitmq-settings.ts';

export interface Foundation {
  readonly database: Database;
  readonly system: System;
  readonly transport: Transport;
  readonly config: LoadedConfig;
  /** After everything that uses it was stopped; abandons what does not end in time. Idempotent. */
  close(deadlineMs: number): Promise<void>;
}

export type FoundationSettings = KafkaSettings &
  RabbitSettings &
  Pick<Settings, 'schema' | 'migrate' | 'partitions' | 'transport' | 'channel' | 'logRetention' | 'inbox' | 'lease'>;

export interface FoundationGiven {
  readonly url: string;
  readonly settings: FoundationSettings;
  readonly config: LoadedConfig;
  readonly observe: Observe;
  readonly clock: Clock;
}

/** Short statements of a whole process; lanes have clients of their own. */
const POOL_MAX = 8;

/** Throws the first thing that is wrong, as a sentence with a code, and leaves nothing open. */
export async function openFoundation(given: FoundationGiven): Promise<Foundation> {
  const { url, settings, observe, clock } = given;
  const database = await openDatabase({ url, schema: schemaName(settings.schema), poolMax: POOL_MAX, observe });
  try {
    const { system, transport } = await build(database, given);
    // A client that is stuck in a dead connection is abandoned with the process.
    const close = (deadlineMs: number) =>
      inTime(
        transport.close().finally(() => closeDatabase(database)),
        deadlineMs,
        clock,
      );
    return { database, system, transport, config: given.config, close };
  } catch (cause) {
    await closeDatabase(database);
    throw cause;
  }
}

async function build(database: Database, given: FoundationGiven): Promise<Pick<Foundation, 'system' | 'transport'>> {
  const { settings, config, observe } = given;
  await migrate(database, settings.migrate, observe);
  const system = await openSystem(database, settings);
  await applyConfigSql(database, config.sql, settings.migrate);
  await checkTables(database, config.types);
  const transport = transportOf(system, database, given);
  return { system, transport: await provisioned(transport, system.partitions, observe) };
}
